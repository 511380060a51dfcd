import type { BursarClient, DashboardMetrics, Reading } from '../src/index.js';

/** A client that answers when it is told to. */
export class FakeClient implements BursarClient {
  readonly questions: { signal: AbortSignal; answer: (cost: string | null) => void; fail: (error: Error) => void }[] =
    [];
  readonly recorded: unknown[][] = [];

  dashboardMetrics({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<Reading<DashboardMetrics>> {
    return new Promise((resolve, reject) => {
      if (!signal) throw new Error('a reading cannot be given up');
      signal.addEventListener('abort', () => reject(signal.reason));
      this.questions.push({ signal, answer: (cost) => resolve(reading(cost)), fail: reject });
    });
  }

  async recordActivity(...activity: unknown[]) {
    this.recorded.push(activity);
    if (activity[0] === 'bounced') throw new Error('refused');
    return { recorded: 1, known: 0, activities: [] };
  }

  /** The last question that was asked. */
  get last() {
    const question = this.questions.at(-1);
    if (!question) throw new Error('nothing was asked');
    return question;
  }

  makeTrackedRequest = unused;
  streamTrackedRequest = unused;
  leadProcessingCostTracker = { trackPersonalization: unused, trackSent: unused, trackConversion: unused };
}

function unused(): never {
  throw new Error('is no part of the test');
}

/** The figures of a month in which an email has cost that much. */
function reading(cost: string | null): Reading<DashboardMetrics> {
  const figures = {
    costPerEmail: cost,
    costPerMeeting: null,
    totalMonthlySpend: '128.060',
    costBreakdown: {
      fixed: { instantly: '75', googleWorkspace: '48', total: '123' },
      variable: { openRouter: '5.060', total: '5.060' },
      total: '128.060',
    },
    emailsSent: '100',
    meetingsBooked: '0',
    remainingCredits: '94.5',
    exchangeRate: '0.92',
    efficiencyScore: null,
    efficiencyTargets: { costPerEmail: '0.10', costPerMeeting: '5' },
    month: '2026-11',
    lastUpdated: '2026-11-22T10:00:00Z',
  };
  const value = {
    ...figures,
    costPerEmail: cost === null ? null : Number(cost),
    totalMonthlySpend: 128.06,
    costBreakdown: {
      fixed: { instantly: 75, googleWorkspace: 48, total: 123 },
      variable: { openRouter: 5.06, total: 5.06 },
      total: 128.06,
    },
    emailsSent: 100,
    meetingsBooked: 0,
    remainingCredits: 94.5,
    exchangeRate: 0.92,
    efficiencyTargets: { costPerEmail: 0.1, costPerMeeting: 5 },
    costPerMeeting: null,
    efficiencyScore: null,
  };
  return { value, exact: { ...figures, costPerMeeting: null, efficiencyScore: null } };
}
