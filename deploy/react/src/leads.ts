import { type Activity, activityBody, type Recorded } from './activity.js';
import type { Tags } from './tags.js';
import type { CallOptions, Message, TrackedCompletion } from './tracked.js';

/** What else is known of an email to a lead, or of its meeting. */
export type LeadDetails = Omit<Activity, 'type' | 'leadId' | 'metadata'>;

/** What a lead cost, whether an email went out, and what came of it. */
export interface LeadProcessingCostTracker {
  /** Calls a model for a lead, with the purpose lead_personalization unless another is given. */
  readonly trackPersonalization: (
    leadId: string,
    messages: Message[],
    model: string,
    tags?: Omit<Tags, 'leadId'>,
    options?: CallOptions,
  ) => Promise<TrackedCompletion>;
  /** Records that an email was sent to the lead. */
  readonly trackSent: (leadId: string, details?: LeadDetails) => Promise<Recorded>;
  /** Records that the lead booked a meeting. */
  readonly trackConversion: (leadId: string, details?: LeadDetails) => Promise<Recorded>;
}

export function leadTracker(
  post: (path: string, body: string) => Promise<Recorded>,
  call: (messages: Message[], model: string, tags: Tags, options?: CallOptions) => Promise<TrackedCompletion>,
): LeadProcessingCostTracker {
  const happened = async (leadId: string, what: string, details: LeadDetails = {}) => {
    if (leadId === '') throw new RangeError('leadId is empty: want the lead, as in X-Lead-ID');
    return post(`/api/leads/${encodeURIComponent(leadId)}/${what}`, activityBody(details));
  };
  return {
    trackPersonalization: (leadId, messages, model, tags, options) =>
      call(messages, model, { purpose: 'lead_personalization', ...tags, leadId }, options),
    trackSent: (leadId, details) => happened(leadId, 'sent', details),
    trackConversion: (leadId, details) => happened(leadId, 'converted', details),
  };
}
