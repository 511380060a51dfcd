import { StrictMode, type SubmitEvent, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { type ActivityType, BursarProvider, useCostTracking } from '../src/index.js';

function Figures() {
  const { metrics, exact, costPerEmail, costPerMeeting, totalMonthlySpend, costBreakdown, remainingCredits } =
    useCostTracking();
  const { formatCost, loading, error, lastUpdated } = useCostTracking();
  if (loading) return <p role="status">Reading …</p>;
  return (
    <>
      {error && <p role="alert">{error.message}</p>}
      <dl>
        <Figure name="Cost per email" shown={formatCost(costPerEmail)} exact={exact?.costPerEmail} />
        <Figure name="Cost per meeting" shown={formatCost(costPerMeeting)} exact={exact?.costPerMeeting} />
        <Figure name="This month" shown={formatCost(totalMonthlySpend)} exact={exact?.totalMonthlySpend} />
        <Figure name="Fixed" shown={formatCost(costBreakdown?.fixed.total)} exact={exact?.costBreakdown.fixed.total} />
        <Figure
          name="AI"
          shown={formatCost(costBreakdown?.variable.total)}
          exact={exact?.costBreakdown.variable.total}
        />
        <Figure name="Credits" shown={formatCost(remainingCredits, 'USD')} exact={exact?.remainingCredits} />
        <Figure name="Emails" shown={String(metrics?.emailsSent ?? '–')} exact={exact?.emailsSent} />
        <Figure name="Meetings" shown={String(metrics?.meetingsBooked ?? '–')} exact={exact?.meetingsBooked} />
      </dl>
      {lastUpdated && (
        <p>
          <small>
            As of <time dateTime={lastUpdated.toISOString()}>{lastUpdated.toLocaleTimeString()}</time>
          </small>
        </p>
      )}
    </>
  );
}

/** A figure, rounded for people; all its digits are its value. */
function Figure({ name, shown, exact }: { name: string; shown: string; exact: string | null | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <data value={exact ?? ''} title={exact ?? 'not known'}>
          {shown}
        </data>
      </dd>
    </div>
  );
}

function Record() {
  const { recordActivity } = useCostTracking();
  const [campaign, setCampaign] = useState('q4-launch');
  const [said, setSaid] = useState('');
  const record = async (type: ActivityType) => {
    try {
      const { recorded } = await recordActivity(type, campaign);
      setSaid(`${type}: ${recorded} recorded`);
    } catch (error) {
      setSaid(String(error));
    }
  };
  return (
    <form onSubmit={(event) => event.preventDefault()}>
      <label>
        Campaign
        <input name="campaign" value={campaign} onChange={(event) => setCampaign(event.target.value)} />
      </label>
      <button type="button" id="email-sent" onClick={() => void record('email_sent')}>
        Email sent
      </button>
      <button type="button" id="meeting-booked" onClick={() => void record('meeting_booked')}>
        Meeting booked
      </button>
      <output>{said}</output>
    </form>
  );
}

function App() {
  const asked = new URLSearchParams(location.search).get('admin');
  const [where, setWhere] = useState<{ adminURL: string; token?: string }>({
    adminURL: asked ?? 'http://127.0.0.1:8081',
  });
  // The token stays in the memory of this page.
  const connect = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string) => form.get(name) as string; // a file it is not
    setWhere({ adminURL: field('admin'), token: field('token') });
  };
  return (
    <BursarProvider {...where}>
      <h1>What it costs</h1>
      <Figures />
      <Record />
      <form id="where" onSubmit={connect}>
        <label>
          Admin port
          <input name="admin" type="url" defaultValue={where.adminURL} required />
        </label>
        <label>
          Token, if it needs one
          <input name="token" type="password" autoComplete="off" />
        </label>
        <button type="submit">Connect</button>
      </form>
    </BursarProvider>
  );
}

const root = document.getElementById('app');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
