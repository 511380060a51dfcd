import { type Activity, type ActivityDetails, type ActivityType, activityBody, type Recorded } from './activity.js';
import type { components } from './api.js';
import { AdminError, BursarError, type Problem } from './errors.js';
import { type Reading, read } from './exact.js';
import { type LeadProcessingCostTracker, leadTracker } from './leads.js';
import type { Tags } from './tags.js';
import { type CallOptions, type Message, type TrackedCompletion, trackedCalls } from './tracked.js';
import { send, type Transport } from './transport.js';

/** The figures of the present month. Amounts are EUR, remainingCredits USD; null is not known. */
export type DashboardMetrics = components['schemas']['DashboardMetrics'];

/** Where Bursar is, and how to show who asks. */
export interface BursarOptions {
  /**
   * The admin port, such as "https://bursar.example.com:8081". Default: the
   * page's own origin, whose server passes /api/ on to it.
   */
  adminURL?: string | undefined;
  /**
   * BURSAR_ADMIN_TOKEN. Whoever has it may change budgets too: not for a page
   * that strangers load. Without one the browser's session cookie is sent.
   */
  token?: string | undefined;
  /** OPENROUTER_BASE_URL of the data port, such as "http://127.0.0.1:8080/api/v1". */
  proxyURL?: string | undefined;
  /** OpenRouter's key, or one of BURSAR_PROXY_CLIENT_TOKENS. For servers only. */
  apiKey?: string | undefined;
  /** Milliseconds that the admin port may take for one answer; default 15000. */
  timeout?: number | undefined;
  /** How often a request to the admin port is repeated while Bursar is away or busy; default 2. */
  retries?: number | undefined;
  /** Default: the global one. */
  fetch?: typeof fetch | undefined;
}

/** What can be asked of a Bursar. */
export interface BursarClient {
  /** Reads the figures of the present month. */
  readonly dashboardMetrics: (options?: { signal?: AbortSignal | undefined }) => Promise<Reading<DashboardMetrics>>;
  /**
   * Records that an email was sent, a meeting booked, … It counts once, however
   * often it has to be sent: without an id of yours it gets one.
   */
  readonly recordActivity: (type: ActivityType, campaignId?: string, details?: ActivityDetails) => Promise<Recorded>;
  /** Calls a model through Bursar, for whom the tags say. For servers only, if it needs a key. */
  readonly makeTrackedRequest: (messages: Message[], model: string, tags?: Tags, options?: CallOptions) => Promise<TrackedCompletion>;
  /** The same with a stream of server-sent events: the answer as it arrives, with an OK status. */
  readonly streamTrackedRequest: (messages: Message[], model: string, tags?: Tags, options?: CallOptions) => Promise<Response>;
  readonly leadProcessingCostTracker: LeadProcessingCostTracker;
}

/** A client; it opens nothing until it is asked. */
export function createBursarClient(options: BursarOptions = {}): BursarClient {
  const admin = adminPort(options);
  const calls = trackedCalls(options);
  return {
    dashboardMetrics: ({ signal } = {}) => admin<DashboardMetrics>('/api/costs/dashboard-metrics', undefined, signal),
    recordActivity: async (type, campaignId, details = {}) => {
      const activity: Activity = { ...details, type };
      if (campaignId !== undefined) activity.campaignId = campaignId;
      return (await admin<Recorded>('/api/costs/record-activity', activityBody(activity))).value;
    },
    makeTrackedRequest: calls.complete,
    streamTrackedRequest: calls.stream,
    leadProcessingCostTracker: leadTracker(
      async (path, body) => (await admin<Recorded>(path, body)).value,
      calls.complete,
    ),
  };
}

/** Sends to the admin port: a GET, or a POST if there is a body. Returns the data of the answer. */
type AdminPort = <T>(path: string, body?: string, signal?: AbortSignal) => Promise<Reading<T>>;

function adminPort(options: BursarOptions): AdminPort {
  const base = (options.adminURL ?? '').replace(/\/+$/, '');
  const transport: Transport = {
    // Called as a function of the global object, which browsers insist on.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    timeout: options.timeout ?? 15_000,
    retries: options.retries ?? 2,
  };
  return async <T>(path: string, body?: string, signal?: AbortSignal) => {
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (options.token) headers.Authorization = `Bearer ${options.token}`;
    const init: RequestInit = { headers, credentials: options.token ? 'omit' : 'include', cache: 'no-store' };
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.method = 'POST';
      init.body = body;
    }
    const { response, text } = await send(transport, base + path, init, signal);
    return dataOf<T>(path, response, text);
  };
}

/** The data of an answer; an answer without any is an error. */
function dataOf<T>(path: string, response: Response, text: string): Reading<T> {
  let answer: Reading<{ success?: boolean; data?: T } | null>;
  try {
    answer = read(text);
  } catch (cause) {
    const message = `${path} answered ${response.status} and no JSON: is this Bursar's admin port?`;
    throw new BursarError(message, response.status, null, { cause });
  }
  const { value, exact } = answer as Reading<{ success?: boolean; data: T }>;
  if (response.ok && value?.success === true) return { value: value.data, exact: exact.data };
  const problem = value as unknown as Problem | null;
  if (typeof problem?.detail === 'string') throw new AdminError(problem);
  throw new BursarError(`${path} answered ${response.status}: is this Bursar's admin port?`, response.status);
}
