import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BudgetRefusedError, type BursarError, CallError, createBursarClient } from '../src/index.js';
import { json, serve } from './server.js';

const messages = [{ role: 'user' as const, content: 'Hello' }];
const answer =
  '{"id":"gen-1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"cost":0.000497013333333333333333}}';

test('a call carries its tags, its key and what else was asked for', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) =>
    json(response, 200, answer, { 'X-Bursar-Request-ID': '01a2', 'X-Bursar-Verdict': 'allowed' }),
  );
  const client = createBursarClient({ proxyURL: `${url}/api/v1/`, apiKey: 'sk-or-1' });
  const tags = { campaignId: 'q4', emailId: 'e-1', purpose: 'email_generation' };
  const completion = await client.makeTrackedRequest(messages, 'm', tags, { body: { max_tokens: 9 } });
  assert.equal(completion.choices[0]?.message.content, 'Hi');
  assert.deepEqual(completion.bursar, {
    requestId: '01a2',
    verdict: 'allowed',
    model: null,
    costUSD: '0.000497013333333333333333',
  });
  assert.equal(arrivals[0]?.url, '/api/v1/chat/completions');
  assert.deepEqual(JSON.parse(arrivals[0]?.body ?? ''), { model: 'm', messages, max_tokens: 9 });
  const { authorization, ...headers } = arrivals[0]?.headers ?? {};
  assert.equal(authorization, 'Bearer sk-or-1');
  assert.equal(headers['x-campaign-id'], 'q4');
  assert.equal(headers['x-email-id'], 'e-1');
  assert.equal(headers['x-purpose'], 'email_generation');
});

test('a cost that is not known is null', async (t) => {
  const { url } = await serve(t, (_, response) => json(response, 200, '{"choices":[],"usage":{"cost":null}}'));
  const { bursar } = await createBursarClient({ proxyURL: url }).makeTrackedRequest(messages, 'm');
  assert.deepEqual(bursar, { requestId: null, verdict: null, model: null, costUSD: null });
});

test('personalising a lead is a call for that lead', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) => json(response, 200, answer));
  const { leadProcessingCostTracker } = createBursarClient({ proxyURL: url });
  await leadProcessingCostTracker.trackPersonalization('l-1', messages, 'm', { campaignId: 'q4' });
  await leadProcessingCostTracker.trackPersonalization('l-1', messages, 'm', { purpose: 'subject_line' });
  assert.deepEqual(
    arrivals.map(({ headers }) => [headers['x-lead-id'], headers['x-purpose'], headers['x-campaign-id']]),
    [
      ['l-1', 'lead_personalization', 'q4'],
      ['l-1', 'subject_line', undefined],
    ],
  );
});

test('a budget that refuses says how it stands', async (t) => {
  const refusal =
    '{"error":{"code":402,"message":"The budget is used up.","metadata":{"error_type":"payment_required","limit_source":"bursar_budget","reason":"budget_no_room","budget":"q4-launch","limit":12.5,"settled":12.4999999999999999,"reserved":0.250,"currency":"EUR","resets_at":"2026-12-01T00:00:00Z"}}}';
  const { url, arrivals } = await serve(t, (_, response) =>
    json(response, 402, refusal, { 'X-Bursar-Request-ID': '01a2' }),
  );
  const client = createBursarClient({ proxyURL: url });
  for (const call of [client.makeTrackedRequest, client.streamTrackedRequest]) {
    await assert.rejects(call(messages, 'm'), (error: BudgetRefusedError) => {
      assert.ok(error instanceof BudgetRefusedError);
      assert.equal(error.message, 'The budget is used up.');
      assert.equal(error.status, 402);
      assert.equal(error.requestId, '01a2');
      assert.equal(error.limitSource, 'bursar_budget');
      assert.equal(error.reason, 'budget_no_room');
      assert.equal(error.budget, 'q4-launch');
      assert.deepEqual(
        [error.limit, error.settled, error.reserved, error.currency],
        ['12.5', '12.4999999999999999', '0.250', 'EUR'],
      );
      assert.equal(error.resetsAt?.getTime(), Date.UTC(2026, 11, 1));
      assert.deepEqual([error.eachValue, error.field, error.stop], [null, null, null]);
      return true;
    });
  }
  assert.equal(arrivals.length, 2, 'no refusal is sent again');
});

test("OpenRouter's own refusals are not Bursar's", async (t) => {
  const bodies: [number, string, string | null][] = [
    [
      402,
      '{"error":{"code":402,"message":"Insufficient credits","metadata":{"limit_source":"openrouter_credits"}}}',
      'openrouter_credits',
    ],
    [429, '{"error":{"code":429,"message":"Slow down"}}', null],
    [502, '<html>', null],
    [200, '{"error":{"code":500,"message":"The provider broke"}}', null],
  ];
  for (const [status, body, source] of bodies) {
    const { url, arrivals } = await serve(t, (_, response) => json(response, status, body));
    await assert.rejects(
      createBursarClient({ proxyURL: url }).makeTrackedRequest(messages, 'm'),
      (error: CallError) => {
        assert.ok(error instanceof CallError && !(error instanceof BudgetRefusedError));
        assert.equal(error.status, status);
        assert.equal(error.limitSource, source);
        return true;
      },
    );
    assert.equal(arrivals.length, 1, 'it may have been billed');
  }
});

test('a stream arrives as it is sent', async (t) => {
  const chunks = ['data: {"a":1}\n\n', ': comment\n\n', 'data: [DONE]\n\n'];
  const { url, arrivals } = await serve(t, (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const chunk of chunks) response.write(chunk);
    response.end();
  });
  const response = await createBursarClient({ proxyURL: url }).streamTrackedRequest(messages, 'm', {
    campaignId: 'q4',
  });
  assert.equal(await response.text(), chunks.join(''));
  assert.equal(JSON.parse(arrivals[0]?.body ?? '').stream, true);
});

test('a call ends when its caller wants it to', async (t) => {
  const { url } = await serve(t, () => {});
  const signal = AbortSignal.timeout(20);
  await assert.rejects(createBursarClient({ proxyURL: url }).makeTrackedRequest(messages, 'm', {}, { signal }), {
    name: 'TimeoutError',
  });
});

test('a connection that breaks is an error that says where', async (t) => {
  const { url } = await serve(t, (_, response) => {
    response.writeHead(200, { 'Content-Length': '100' }).write('{');
    setTimeout(() => response.destroy(), 10);
  });
  await assert.rejects(
    createBursarClient({ proxyURL: url }).makeTrackedRequest(messages, 'm'),
    (error: BursarError) => {
      assert.match(error.message, /broke off/);
      assert.equal(error.status, null);
      return true;
    },
  );
});

test('what is not set is asked for, and a key is not used in a page', async () => {
  await assert.rejects(createBursarClient({}).makeTrackedRequest(messages, 'm'), /proxyURL is not set/);
  Object.assign(globalThis, { document: {} });
  try {
    const client = createBursarClient({ proxyURL: 'http://127.0.0.1:1', apiKey: 'sk-or-1' });
    await assert.rejects(client.makeTrackedRequest(messages, 'm'), /apiKey is for servers only/);
  } finally {
    Reflect.deleteProperty(globalThis, 'document');
  }
});

test('a server finds its client by the environment, when it is first used', async (t) => {
  const { url, arrivals } = await serve(t, ({ url }, response) =>
    url.startsWith('/api/leads/')
      ? json(response, 200, '{"success":true,"data":{"recorded":1}}')
      : json(response, 200, answer),
  );
  const server = await import('../src/server.js');
  Object.assign(process.env, {
    OPENROUTER_BASE_URL: `${url}/api/v1`,
    OPENROUTER_API_KEY: 'sk-or-2',
    BURSAR_ADMIN_URL: url,
    BURSAR_ADMIN_TOKEN: 'secret',
  });
  await server.openRouterCostTracker.makeTrackedRequest(messages, 'm', { campaignId: 'q4' });
  await server.leadProcessingCostTracker.trackSent('l-1');
  assert.deepEqual(
    arrivals.map(({ url, headers }) => [url, headers.authorization]),
    [
      ['/api/v1/chat/completions', 'Bearer sk-or-2'],
      ['/api/leads/l-1/sent', 'Bearer secret'],
    ],
  );
});
