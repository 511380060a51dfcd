// What an application's server does, against the Bursar of OPENROUTER_BASE_URL
// and BURSAR_ADMIN_URL. cmd/bursar/react_test.go runs it and looks at what came
// of it in the database.
import { BudgetRefusedError, leadProcessingCostTracker, openRouterCostTracker } from '../dist/server.js';

const model = 'fake/cost-17-digits';
const messages = [{ role: 'user', content: 'Hello' }];

const written = await openRouterCostTracker.makeTrackedRequest(
  messages,
  model,
  {
    campaignId: 'Kampagne Köln 🚀',
    emailId: 'email-456',
    sequenceId: 'sequence-1',
    platform: 'instantly',
    leadValue: 'high',
    purpose: 'email_generation',
    metadata: { emailType: 'follow-up' },
  },
  { body: { max_tokens: 50 } },
);
const personalised = await leadProcessingCostTracker.trackPersonalization('lead/7', messages, model, {
  campaignId: 'q4',
});

const stream = await openRouterCostTracker.streamTrackedRequest(messages, model, { campaignId: 'stream' });
const streamed = await stream.text();

const sent = await leadProcessingCostTracker.trackSent('lead/7', { campaignId: 'q4', id: 'sent-1' });
const again = await leadProcessingCostTracker.trackSent('lead/7', { campaignId: 'q4', id: 'sent-1' });
const converted = await leadProcessingCostTracker.trackConversion('lead/7', {
  campaignId: 'q4',
  value: '1999.900000000000000001',
});

let refusal;
try {
  await openRouterCostTracker.makeTrackedRequest(messages, model, { campaignId: 'frozen' });
} catch (error) {
  if (!(error instanceof BudgetRefusedError)) throw error;
  const { message, status, requestId, limitSource, reason, budget, limit, settled, currency } = error;
  refusal = { message, status, requestId, limitSource, reason, budget, limit, settled, currency };
}

console.log(
  JSON.stringify({
    written: written.bursar,
    personalised: personalised.bursar,
    streamed: { requestId: stream.headers.get('X-Bursar-Request-ID'), whole: streamed.endsWith('data: [DONE]\n\n') },
    recorded: [sent.recorded, again.known, converted.recorded],
    refusal,
  }),
);
