/** T with every number as the literal that stood in the JSON, so with all its digits. */
export type Exact<T> = T extends number
  ? string
  : T extends readonly (infer E)[]
    ? Exact<E>[]
    : T extends object
      ? { [K in keyof T]: Exact<T[K]> }
      : T;

/** What was read, twice: to compute and draw with, and to the last digit. */
export interface Reading<T> {
  readonly value: T;
  readonly exact: Exact<T>;
}

type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown;

const parse = JSON.parse as (text: string, reviver?: Reviver) => unknown;

/** Whether JSON.parse shows a reviver the source of a number: Chrome 114, Firefox 135, Safari 18.4, Node 22. */
const showsSource = (() => {
  let source: string | undefined;
  parse('1.0', (_key, value, context) => {
    source = context?.source;
    return value;
  });
  return source === '1.0';
})();

// A string of JSON, or a number: outside of strings digits are only in numbers.
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** Parses JSON with every number as its literal. The text must be valid JSON. */
export function parseExact(text: string, source: boolean = showsSource): unknown {
  if (source) {
    return parse(text, (_key, value, context) => (typeof value === 'number' ? (context?.source ?? value) : value));
  }
  return parse(text.replace(stringOrNumber, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}

/** Reads JSON both ways. Throws a SyntaxError where it is none. */
export function read<T>(text: string): Reading<T> {
  const value = parse(text) as T;
  return { value, exact: parseExact(text) as Exact<T> };
}
