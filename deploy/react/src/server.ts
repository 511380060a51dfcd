// What a server needs, without React: a client of the environment's own, under
// the names that the applications know.
import { type BursarClient, createBursarClient } from './client.js';
import type { LeadProcessingCostTracker } from './leads.js';

export type { Activity, ActivityDetails, ActivityType, Recorded } from './activity.js';
export { type BursarClient, type BursarOptions, createBursarClient, type DashboardMetrics } from './client.js';
export { AdminError, BudgetRefusedError, BursarError, CallError, type ErrorMetadata, type Problem } from './errors.js';
export type { Exact, Reading } from './exact.js';
export { type FormatOptions, formatCost, unknownCost } from './format.js';
export type { LeadDetails, LeadProcessingCostTracker } from './leads.js';
export type { Purpose, Tags } from './tags.js';
export type { CallOptions, Message, TrackedCompletion } from './tracked.js';

declare const process: { env: Record<string, string | undefined> };

let fromEnvironment: BursarClient | undefined;

// The environment is read on first use: .env files are often loaded after imports.
function client(): BursarClient {
  fromEnvironment ??= createBursarClient({
    adminURL: process.env.BURSAR_ADMIN_URL ?? 'http://127.0.0.1:8081',
    token: process.env.BURSAR_ADMIN_TOKEN,
    proxyURL: process.env.OPENROUTER_BASE_URL ?? 'http://127.0.0.1:8080/api/v1',
    apiKey: process.env.OPENROUTER_API_KEY,
  });
  return fromEnvironment;
}

/** Calls of models, by OPENROUTER_BASE_URL and OPENROUTER_API_KEY. */
export const openRouterCostTracker: Pick<BursarClient, 'makeTrackedRequest' | 'streamTrackedRequest'> = {
  makeTrackedRequest: (...args) => client().makeTrackedRequest(...args),
  streamTrackedRequest: (...args) => client().streamTrackedRequest(...args),
};

/** What leads cost and what came of them, by BURSAR_ADMIN_URL and BURSAR_ADMIN_TOKEN too. */
export const leadProcessingCostTracker: LeadProcessingCostTracker = {
  trackPersonalization: (...args) => client().leadProcessingCostTracker.trackPersonalization(...args),
  trackSent: (...args) => client().leadProcessingCostTracker.trackSent(...args),
  trackConversion: (...args) => client().leadProcessingCostTracker.trackConversion(...args),
};

/** Records that an email was sent, a meeting booked, … */
export const recordActivity: BursarClient['recordActivity'] = (...args) => client().recordActivity(...args);
