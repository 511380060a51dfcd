import type { components } from './api.js';

/** An error of the admin API, by RFC 9457. */
export type Problem = components['schemas']['Problem'];

/** Why Bursar, or what is behind it, did not do what was asked. */
export class BursarError extends Error {
  override readonly name: string = 'BursarError';

  /**
   * @param status of the answer; null: there was none
   * @param requestId X-Bursar-Request-ID, under which Bursar knows the call; null: it has none
   */
  constructor(
    message: string,
    readonly status: number | null = null,
    readonly requestId: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The admin API refused. Its problem says what is wrong with which field, and what would be right. */
export class AdminError extends BursarError {
  override readonly name = 'AdminError';

  constructor(
    readonly problem: Problem,
    options?: ErrorOptions,
  ) {
    const fields = (problem.errors ?? []).map((e) => `${e.field}: ${e.message}${e.allowed ? ` (${e.allowed})` : ''}`);
    super([problem.detail, ...fields].join(' '), problem.status, null, options);
  }
}

/** What OpenRouter, or Bursar in its words, says about an error. Numbers are literals. */
export type ErrorMetadata = Readonly<Record<string, unknown>>;

/** A call to a model failed: OpenRouter's error, or Bursar's in the same form. */
export class CallError extends BursarError {
  override readonly name: string = 'CallError';

  constructor(
    message: string,
    status: number,
    requestId: string | null,
    /** error_type, limit_source and whatever else was said. Numbers are literals with all their digits. */
    readonly metadata: ErrorMetadata,
  ) {
    super(message, status, requestId);
  }

  /** OpenRouter's vocabulary, as "rate_limit_exceeded"; null: none was given. */
  get errorType(): string | null {
    return text(this.metadata.error_type);
  }

  /** Who limits: "bursar_budget", "bursar_emergency_stop", or OpenRouter's own; null: nobody did. */
  get limitSource(): string | null {
    return text(this.metadata.limit_source);
  }
}

/**
 * A budget or a stop of Bursar's refused the call with 402. Nothing was sent to
 * OpenRouter, and sending it again is of no use before something changes.
 * Amounts are literals with all their digits, in currency.
 */
export class BudgetRefusedError extends CallError {
  override readonly name = 'BudgetRefusedError';

  /** budget_exceeded, budget_no_room, no_bound, no_lease, budget_not_loaded, tag_required, emergency_stop or campaign_held. */
  get reason(): string | null {
    return text(this.metadata.reason);
  }

  /** The id of the budget that refused. */
  get budget(): string | null {
    return text(this.metadata.budget);
  }

  /** Of a budget for each lead, email or campaign separately: which one. */
  get eachValue(): string | null {
    return text(this.metadata.each_value);
  }

  get limit(): string | null {
    return text(this.metadata.limit);
  }

  get settled(): string | null {
    return text(this.metadata.settled);
  }

  get reserved(): string | null {
    return text(this.metadata.reserved);
  }

  get currency(): string | null {
    return text(this.metadata.currency);
  }

  /** When the budget's period ends; null: never, or a stop refused. */
  get resetsAt(): Date | null {
    const at = text(this.metadata.resets_at);
    return at === null ? null : new Date(at);
  }

  /** What of the request has no bound, or which tag is missing. */
  get field(): string | null {
    return text(this.metadata.field);
  }

  /** The id of the emergency stop or hold. */
  get stop(): string | null {
    return text(this.metadata.stop);
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
