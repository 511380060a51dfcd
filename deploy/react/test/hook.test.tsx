import './page.js';
import assert from 'node:assert/strict';
import { mock, type TestContext, test } from 'node:test';
import { act, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { BursarProvider, type CostTracking, type CostTrackingOptions, useCostTracking } from '../src/index.js';
import { FakeClient } from './fake.js';

/** Does something and lets all that follows from it happen. */
const step = (what: () => unknown) =>
  act(async () => {
    await what();
    await new Promise((done) => setImmediate(done));
  });

/** Mounts components that use the hook, and tells what each of them last saw. */
function mount(t: TestContext) {
  const root: Root = createRoot(document.createElement('div'));
  t.after(() => act(() => root.unmount()));
  const seen: Record<string, CostTracking> = {};
  const renders: Record<string, number> = {};
  function User({ name = 'it', ...options }: CostTrackingOptions & { name?: string }) {
    seen[name] = useCostTracking(options);
    renders[name] = (renders[name] ?? 0) + 1;
    return null;
  }
  const of = (name = 'it') => {
    const tracking = seen[name];
    if (!tracking) throw new Error(`${name} was not rendered`);
    return tracking;
  };
  return { root, User, of, renders };
}

test('figures come with the first answer; what is not known stays null', async (t) => {
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} locale="de-DE" />));
  assert.equal(of().loading, true);
  assert.deepEqual(
    [of().costPerEmail, of().totalMonthlySpend, of().costBreakdown, of().lastUpdated],
    [null, null, null, null],
  );

  await step(() => client.last.answer('1.2806000000000000000001'));
  const now = of();
  assert.equal(now.loading, false);
  assert.equal(now.error, null);
  assert.equal(now.costPerEmail, 1.2806);
  assert.equal(now.exact?.costPerEmail, '1.2806000000000000000001');
  assert.equal(now.costPerMeeting, null);
  assert.equal(now.totalMonthlySpend, 128.06);
  assert.equal(now.costBreakdown?.fixed.instantly, 75);
  assert.equal(now.remainingCredits, 94.5);
  assert.equal(now.lastUpdated?.getTime(), Date.UTC(2026, 10, 22, 10));
  assert.equal(now.formatCost(now.costPerEmail).replace('\u00a0', ' '), '1,28 €');
  assert.equal(now.formatCost(now.remainingCredits, 'USD').replace('\u00a0', ' '), '94,50 $');
});

test('an error leaves the figures as they were, and the next answer ends it', async (t) => {
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} />));
  await step(() => client.last.fail(new Error('away')));
  assert.equal(of().loading, false);
  assert.equal(of().error?.message, 'away');
  assert.equal(of().costPerEmail, null);

  await step(() => {
    void of().refresh();
  });
  await step(() => client.last.answer('1'));
  assert.equal(of().error, null);
  await step(() => {
    void of().refresh();
  });
  await step(() => client.last.fail(new Error('away again')));
  assert.equal(of().error?.message, 'away again');
  assert.equal(of().costPerEmail, 1);
});

test('an activity is recorded and the figures follow, not those of before', async (t) => {
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} />));
  const early = client.last;
  let recorded: unknown;
  await step(async () => {
    recorded = await of().recordActivity('email_sent', 'q4', { leadId: 'l-1' });
  });
  assert.deepEqual(recorded, { recorded: 1, known: 0, activities: [] });
  assert.deepEqual(client.recorded, [['email_sent', 'q4', { leadId: 'l-1' }]]);
  assert.equal(early.signal.aborted, true, 'it may have been answered without the activity');
  assert.deepEqual([of().loading, of().error], [true, null], 'that it was given up is no error');
  assert.equal(client.questions.length, 2);
  await step(() => client.last.answer('0.5'));
  assert.equal(of().costPerEmail, 0.5);

  await step(() => assert.rejects(of().recordActivity('bounced'), /refused/));
  assert.equal(client.questions.length, 2);
  assert.equal(of().error, null, 'it is the caller who is told');
});

test('the figures are read again a minute after each answer', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} />));
  await step(() => mock.timers.tick(600_000));
  assert.equal(client.questions.length, 1, 'one question at a time');
  await step(() => client.last.answer('1'));
  await step(() => mock.timers.tick(59_999));
  assert.equal(client.questions.length, 1);
  await step(() => mock.timers.tick(1));
  assert.equal(client.questions.length, 2);
  await step(() => client.last.fail(new Error('away')));
  await step(() => mock.timers.tick(60_000));
  await step(() => client.last.answer('2'));
  assert.equal(of().costPerEmail, 2);
  assert.equal(of().error, null);
});

test('reading at once sets the clock anew', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} />));
  await step(() => client.last.answer('1'));
  await step(() => mock.timers.tick(30_000));
  await step(() => {
    void of().refresh();
  });
  await step(() => client.last.answer('2'));
  await step(() => mock.timers.tick(59_999));
  assert.equal(client.questions.length, 2);
  await step(() => mock.timers.tick(1));
  assert.equal(client.questions.length, 3);
});

test('an interval of zero reads once', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { root, User } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} interval={0} />));
  await step(() => client.last.answer('1'));
  await step(() => mock.timers.tick(600_000));
  assert.equal(client.questions.length, 1);
});

test('after the unmount nothing is asked and nothing changes', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const complaints = t.mock.method(console, 'error', () => {});
  const { root, User, of, renders } = mount(t);
  const client = new FakeClient();
  await step(() => root.render(<User client={client} />));
  const { recordActivity, refresh } = of();
  const under = client.last;
  await step(() => root.render(null));
  assert.equal(under.signal.aborted, true);
  const before = renders.it;
  await step(async () => {
    under.answer('1');
    await refresh();
    await recordActivity('email_sent');
    mock.timers.tick(600_000);
  });
  assert.equal(client.recorded.length, 1, 'what was to be recorded is');
  assert.equal(client.questions.length, 1);
  assert.equal(renders.it, before);
  assert.equal(complaints.mock.callCount(), 0);

  await step(() => root.render(<User client={client} />));
  assert.equal(client.questions.length, 2);
  await step(() => client.last.answer('3'));
  assert.equal(of().costPerEmail, 3);
});

test('strict mode leaves one reading and one clock', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  await step(() =>
    root.render(
      <StrictMode>
        <User client={client} />
      </StrictMode>,
    ),
  );
  assert.equal(client.questions.filter(({ signal }) => !signal.aborted).length, 1);
  const asked = client.questions.length;
  await step(() => client.last.answer('1'));
  await step(() => mock.timers.tick(60_000));
  assert.equal(client.questions.length, asked + 1);
  assert.equal(of().costPerEmail, 1);
});

test('all below one provider share one reading, and one tells the others', async (t) => {
  const { root, User, of } = mount(t);
  const client = new FakeClient();
  const render = (second: boolean) =>
    step(() =>
      root.render(
        <BursarProvider client={client}>
          <User name="first" />
          {second && <User name="second" />}
        </BursarProvider>,
      ),
    );
  await render(true);
  assert.equal(client.questions.length, 1);
  await step(() => client.last.answer('1'));
  assert.deepEqual([of('first').costPerEmail, of('second').costPerEmail], [1, 1]);
  await step(() => of('second').recordActivity('email_sent'));
  await render(false);
  assert.equal(client.last.signal.aborted, false, 'one of them still listens');
  await step(() => client.last.answer('2'));
  assert.equal(of('first').costPerEmail, 2);
});

test('another Bursar is asked at once, and its figures are its own', async (t) => {
  const { root, User, of } = mount(t);
  const [one, two] = [new FakeClient(), new FakeClient()];
  await step(() => root.render(<User client={one} />));
  await step(() => one.last.answer('1'));
  await step(() => root.render(<User client={two} />));
  assert.equal(of().loading, true);
  assert.equal(of().costPerEmail, null);
  await step(() => two.last.answer('2'));
  assert.equal(of().costPerEmail, 2);
});

test('options that are equal are one Bursar, however often they are written', async (t) => {
  const asked: string[] = [];
  t.mock.method(globalThis, 'fetch', async (input: unknown) => {
    asked.push(String(input));
    return new Response('{"success":false}', { status: 404 });
  });
  const { root, User, of } = mount(t);
  for (let i = 0; i < 3; i++) await step(() => root.render(<User adminURL="http://bursar.example" />));
  await step(() => {});
  assert.deepEqual(asked, ['http://bursar.example/api/costs/dashboard-metrics']);
  await step(() => root.render(<User />));
  assert.equal(asked[1], '/api/costs/dashboard-metrics', "the page's own origin");

  assert.match(of().error?.message ?? '', /answered 404/);
});

test('a server renders what is known there, which is nothing, and asks nobody', () => {
  const client = new FakeClient();
  function Page() {
    const { loading, costPerEmail, formatCost } = useCostTracking({ client, locale: 'en-IE' });
    return <p>{loading ? 'reading' : formatCost(costPerEmail)}</p>;
  }
  assert.equal(renderToString(<Page />), '<p>reading</p>');
  assert.equal(client.questions.length, 0);
});
