import type { BursarClient, DashboardMetrics } from './client.js';
import type { Reading } from './exact.js';

/** What is known at one moment. It is never changed, only replaced. */
export interface Figures {
  /** The last reading; null: none yet. An error leaves it as it is. */
  readonly metrics: Reading<DashboardMetrics> | null;
  /** Why the last attempt to read failed; null: it did not. */
  readonly error: Error | null;
  /** Nothing was read yet, and nothing has failed. */
  readonly loading: boolean;
}

const nothingYet: Figures = { metrics: null, error: null, loading: true };

/**
 * The figures of one client, read at once and then each interval for as long as
 * somebody listens. All who listen share one reading.
 */
export class FiguresStore {
  #figures = nothingYet;
  #listeners = new Set<() => void>();
  #reading: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param interval milliseconds between an answer and the next question; 0: ask once */
  constructor(
    private readonly client: BursarClient,
    private readonly interval: number,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) void this.refresh();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  };

  readonly current = (): Figures => this.#figures;

  /** What a server renders: it reads nothing. */
  readonly onServer = (): Figures => nothingYet;

  /**
   * Reads anew, giving up a reading that is under way, which may have begun
   * before what the caller wants to see. Does nothing if nobody listens.
   */
  readonly refresh = async (): Promise<void> => {
    this.#stop();
    if (this.#listeners.size === 0) return;
    const reading = new AbortController();
    this.#reading = reading;
    let next: Figures;
    try {
      next = { metrics: await this.client.dashboardMetrics({ signal: reading.signal }), error: null, loading: false };
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause), { cause });
      next = { metrics: this.#figures.metrics, error, loading: false };
    }
    // Nobody listens any more, or a later reading has taken its place.
    if (this.#reading !== reading) return;
    this.#reading = null;
    this.#figures = next;
    if (this.interval > 0) this.#timer = setTimeout(() => void this.refresh(), this.interval);
    for (const listener of this.#listeners) listener();
  };

  #stop(): void {
    clearTimeout(this.#timer);
    this.#reading?.abort();
    this.#reading = null;
  }
}

const stores = new WeakMap<BursarClient, Map<number, FiguresStore>>();

/** The one store of a client and an interval. */
export function figuresOf(client: BursarClient, interval: number): FiguresStore {
  const ofClient = stores.get(client) ?? new Map<number, FiguresStore>();
  stores.set(client, ofClient);
  const store = ofClient.get(interval) ?? new FiguresStore(client, interval);
  ofClient.set(interval, store);
  return store;
}
