import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminError, BursarError, createBursarClient } from '../src/index.js';
import { json, serve } from './server.js';

const recorded = '{"success":true,"data":{"recorded":1,"known":0,"activities":[]}}';

test('figures are read with the token and keep their digits', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) =>
    json(response, 200, '{"success":true,"data":{"costPerEmail":1.28060000000000000001,"remainingCredits":null}}'),
  );
  const client = createBursarClient({ adminURL: `${url}/`, token: 'secret' });
  const { value, exact } = await client.dashboardMetrics();
  assert.equal(value.costPerEmail, 1.2806);
  assert.equal(exact.costPerEmail, '1.28060000000000000001');
  assert.equal(value.remainingCredits, null);
  assert.equal(arrivals[0]?.url, '/api/costs/dashboard-metrics');
  assert.equal(arrivals[0]?.headers.authorization, 'Bearer secret');
});

test('an activity arrives as it was given, to the last digit of its value', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) => json(response, 200, recorded));
  const client = createBursarClient({ adminURL: url });
  const result = await client.recordActivity('meeting_booked', 'q4', {
    id: 'm-1',
    value: '1999.900000000000000001',
    occurredAt: new Date('2026-11-22T10:00:00Z'),
    metadata: { via: 'phone' },
  });
  assert.equal(result.recorded, 1);
  assert.match(arrivals[0]?.body ?? '', /"value":1999\.900000000000000001[,}]/);
  const { value, ...rest } = JSON.parse(arrivals[0]?.body ?? '');
  assert.equal(value, 1999.9);
  assert.deepEqual(rest, {
    id: 'm-1',
    type: 'meeting_booked',
    campaignId: 'q4',
    occurredAt: '2026-11-22T10:00:00.000Z',
    metadata: { via: 'phone' },
  });
});

test('a value that is no amount is not sent', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) => json(response, 200, recorded));
  const client = createBursarClient({ adminURL: url });
  for (const value of ['1,5', '', '1}', Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(client.recordActivity('deal_won', 'q4', { value }), RangeError);
  }
  assert.equal(arrivals.length, 0);
});

test('an activity is sent again under the same id while Bursar is away', async (t) => {
  let times = 0;
  const { url, arrivals } = await serve(t, (_, response) => {
    times++;
    if (times === 1) response.destroy();
    else if (times === 2) json(response, 503, '{}');
    else json(response, 200, recorded);
  });
  await createBursarClient({ adminURL: url }).recordActivity('email_sent', 'q4');
  const ids = new Set(arrivals.map(({ body }) => JSON.parse(body).id));
  assert.equal(arrivals.length, 3);
  assert.equal(ids.size, 1);
  assert.match([...ids][0], /^[0-9a-f]{32}$/);
});

test('a refusal names the field and the way out, and is not sent again', async (t) => {
  const problem = {
    type: 'about:blank',
    title: 'Unprocessable Entity',
    status: 422,
    detail: '1 parameter is not usable.',
    success: false,
    errors: [{ field: 'type', message: 'expected the type of the activity', allowed: 'email_sent, meeting_booked' }],
  };
  const { url, arrivals } = await serve(t, (_, response) => json(response, 422, JSON.stringify(problem)));
  const refused = createBursarClient({ adminURL: url }).recordActivity('email_sent');
  await assert.rejects(refused, (error: AdminError) => {
    assert.ok(error instanceof AdminError && error instanceof BursarError);
    assert.equal(error.status, 422);
    assert.deepEqual(error.problem, problem);
    assert.match(error.message, /type: expected the type of the activity \(email_sent, meeting_booked\)/);
    return true;
  });
  assert.equal(arrivals.length, 1);
});

test('what is not Bursar is said to be so', async (t) => {
  for (const [status, body] of [
    [200, '<!doctype html>'],
    [200, '{"success":false}'],
    [404, '[1]'],
    [200, 'null'],
  ] as const) {
    const { url } = await serve(t, (_, response) => json(response, status, body));
    await assert.rejects(createBursarClient({ adminURL: url }).dashboardMetrics(), (error: BursarError) => {
      assert.equal(error.status, status);
      assert.match(error.message, /is this Bursar's admin port\?/);
      return true;
    });
  }
});

test('no answer in time is an error of its own', async (t) => {
  const { url } = await serve(t, () => {});
  let attempts = 0;
  const counted: typeof fetch = (...args) => {
    attempts++;
    return fetch(...args);
  };
  const client = createBursarClient({ adminURL: url, timeout: 50, retries: 1, fetch: counted });
  await assert.rejects(client.dashboardMetrics(), /did not answer within 50 ms/);
  assert.equal(attempts, 2);
});

test('nobody there is an error that says where', async () => {
  const client = createBursarClient({ adminURL: 'http://127.0.0.1:1', retries: 0 });
  await assert.rejects(client.dashboardMetrics(), /^BursarError: Bursar at http:\/\/127\.0\.0\.1:1\/api/);
});

test('an abort ends a request, and the pause before the next, with its reason', async (t) => {
  const silent = await serve(t, () => {});
  const busy = await serve(t, (_, response) => json(response, 503, '{}'));
  for (const { url, arrivals } of [silent, busy]) {
    const controller = new AbortController();
    const client = createBursarClient({ adminURL: url, retries: 100 });
    const reading = client.dashboardMetrics({ signal: controller.signal });
    const timer = setInterval(() => arrivals.length > 0 && controller.abort(new Error('enough')), 10);
    await assert.rejects(reading, /^Error: enough$/);
    clearInterval(timer);
  }
  const before = AbortSignal.abort(new Error('at once'));
  await assert.rejects(createBursarClient({ adminURL: silent.url }).dashboardMetrics({ signal: before }), /at once/);
});

test('what becomes of a lead is recorded under its name, whatever it holds', async (t) => {
  const { url, arrivals } = await serve(t, (_, response) => json(response, 200, recorded));
  const { leadProcessingCostTracker } = createBursarClient({ adminURL: url });
  await leadProcessingCostTracker.trackSent('a/b ?ü', { campaignId: 'q4', emailId: 'e-1', id: 's-1' });
  await leadProcessingCostTracker.trackConversion('l-1', { value: 2000 });
  await assert.rejects(leadProcessingCostTracker.trackSent(''), RangeError);
  assert.deepEqual(
    arrivals.map(({ method, url }) => `${method} ${url}`),
    ['POST /api/leads/a%2Fb%20%3F%C3%BC/sent', 'POST /api/leads/l-1/converted'],
  );
  assert.deepEqual(JSON.parse(arrivals[0]?.body ?? ''), { campaignId: 'q4', emailId: 'e-1', id: 's-1' });
  assert.equal(JSON.parse(arrivals[1]?.body ?? '').value, 2000);
});
