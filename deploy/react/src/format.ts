/** How an amount is written. */
export interface FormatOptions {
  /** A BCP 47 tag such as "de-DE"; default: the browser's. Set it where pages are rendered on a server too. */
  locale?: string | undefined;
  /** ISO 4217; default EUR. */
  currency?: string | undefined;
}

/** What stands for an amount that is not known. It is not zero. */
export const unknownCost = '–';

/**
 * Writes an amount, given as a number or as its literal, rounding only what is
 * shown: to cents, or below one cent to two significant digits, so that the
 * cost of a single call is not "0.00". Null is unknown and written as a dash.
 */
export function formatCost(amount: number | string | null | undefined, options: FormatOptions = {}): string {
  if (amount === null || amount === undefined || amount === '') return unknownCost;
  const size = Math.abs(Number(amount));
  if (Number.isNaN(size)) return unknownCost;
  const small = size > 0 && size < 0.01;
  const format = new Intl.NumberFormat(options.locale, {
    style: 'currency',
    currency: options.currency ?? 'EUR',
    ...(small ? { maximumSignificantDigits: 2 } : {}),
  });
  return format.format(amount as Intl.StringNumericLiteral);
}
