'use client';

import { useCallback, useSyncExternalStore } from 'react';
import type { ActivityDetails, ActivityType, Recorded } from './activity.js';
import type { BursarClient, DashboardMetrics } from './client.js';
import type { Exact } from './exact.js';
import { figuresOf } from './figures.js';
import { type FormatOptions, formatCost } from './format.js';
import { useBursarClient } from './provider.js';

/** All are optional; where Bursar is can be left to a BursarProvider. */
export interface CostTrackingOptions {
  client?: BursarClient | undefined;
  adminURL?: string | undefined;
  token?: string | undefined;
  /** Milliseconds from one reading to the next; default 60000, for which Bursar keeps an answer; 0: none. */
  interval?: number | undefined;
  /** Of formatCost; default: the browser's. */
  locale?: string | undefined;
}

/** The figures of the present UTC month. What is not known, or not read yet, is null, which is not zero. */
export interface CostTracking {
  /** EUR; null: no email was sent. */
  costPerEmail: number | null;
  /** EUR; null: no meeting was booked. */
  costPerMeeting: number | null;
  /** EUR, fixed and variable. */
  totalMonthlySpend: number | null;
  /** EUR. */
  costBreakdown: DashboardMetrics['costBreakdown'] | null;
  /** USD that OpenRouter's account has left; null: no key may read it. */
  remainingCredits: number | null;
  /** All of the figures. */
  metrics: DashboardMetrics | null;
  /** All of the figures, numbers as literals with all their digits. */
  exact: Exact<DashboardMetrics> | null;
  /** Writes an amount: EUR unless another currency is named. */
  formatCost: (amount: number | string | null | undefined, currency?: FormatOptions['currency']) => string;
  /** Records what happened; the figures follow. Rejects with a BursarError. */
  recordActivity: (type: ActivityType, campaignId?: string, details?: ActivityDetails) => Promise<Recorded>;
  /** Reads anew. The promise ends with the reading; a failure becomes error. */
  refresh: () => Promise<void>;
  /** The first reading is under way. */
  loading: boolean;
  /** Why the last reading failed; the figures are then those of the one before. */
  error: Error | null;
  /** When Bursar computed the figures. */
  lastUpdated: Date | null;
}

const minute = 60_000;

/** What the month, an email and a meeting cost, kept up to date while the component is mounted. */
export function useCostTracking(options: CostTrackingOptions = {}): CostTracking {
  const { interval = minute, locale } = options;
  const client = useBursarClient(options);
  const store = figuresOf(client, interval);
  const { metrics, error, loading } = useSyncExternalStore(store.subscribe, store.current, store.onServer);
  const format = useCallback<CostTracking['formatCost']>(
    (amount, currency) => formatCost(amount, { locale, currency }),
    [locale],
  );
  const recordActivity = useCallback<CostTracking['recordActivity']>(
    async (type, campaignId, details) => {
      const recorded = await client.recordActivity(type, campaignId, details);
      void store.refresh();
      return recorded;
    },
    [client, store],
  );
  const value = metrics?.value ?? null;
  return {
    costPerEmail: value?.costPerEmail ?? null,
    costPerMeeting: value?.costPerMeeting ?? null,
    totalMonthlySpend: value?.totalMonthlySpend ?? null,
    costBreakdown: value?.costBreakdown ?? null,
    remainingCredits: value?.remainingCredits ?? null,
    metrics: value,
    exact: metrics?.exact ?? null,
    formatCost: format,
    recordActivity,
    refresh: store.refresh,
    loading,
    error,
    lastUpdated: value ? new Date(value.lastUpdated) : null,
  };
}
