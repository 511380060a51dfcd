package postgres

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// interrupted is a call of which only the beginning is known.
func interrupted() accounting.Event {
	e := closed(noon, "", "")
	e.Kind, e.Model, e.HTTPStatus, e.Duration = accounting.Interrupted, "", 0, 0
	return e
}

func decisionOn(e accounting.Event) accounting.Decision {
	return accounting.Decision{Call: e.ID, Actor: "loopback", Reason: "looked it up"}
}

func attachTo(t testing.TB, s *Store, e accounting.Event, generation string) accounting.UsageRow {
	t.Helper()
	row, err := s.AttachGeneration(t.Context(), decisionOn(e), generation)
	require.NoError(t, err)
	return row
}

func dismissCall(t testing.TB, s *Store, e accounting.Event) accounting.UsageRow {
	t.Helper()
	row, err := s.DismissCall(t.Context(), decisionOn(e))
	require.NoError(t, err)
	return row
}

// requireRefused asserts that err is a decision that does not fit.
func requireRefused(t testing.TB, err error, part string) {
	t.Helper()
	var refused *accounting.DecisionError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Reason, part)
}

func unsettledCalls(t testing.TB, s *Store) int64 {
	t.Helper()
	return count1(t, s, `SELECT coalesce(sum(unsettled_calls), 0)::bigint FROM usage_hourly`)
}

func auditLog(t testing.TB, s *Store, subject string) []accounting.AuditEntry {
	t.Helper()
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Subject: subject, Limit: 100})
	require.NoError(t, err)
	return page.Entries
}

func TestAnAttachedGenerationIsSettledByTheRecord(t *testing.T) {
	s := newStore(t)
	e := interrupted()
	ship(t, s, e)
	require.Empty(t, claim(t, s, true))

	row := attachTo(t, s, e, "gen-1")
	require.Equal(t, accounting.StatusPending, row.Status)
	require.Equal(t, "gen-1", *row.GenerationID)
	require.EqualValues(t, 1, unsettledCalls(t, s), "its cost is open still")
	requireExactRollups(t, s)

	claimed := claim(t, s, true)
	require.Len(t, claimed, 1, "it is due at once")
	require.Equal(t, "gen-1", claimed[0].GenerationID)
	_, err := s.Settle(t.Context(), claimed[0], accounting.Generation{ID: "gen-1", Model: "openai/gpt-4o", Usage: usd("0.000000000000000000012")}, later)
	require.NoError(t, err)
	settled := stored(t, s, e.ID)
	require.EqualValues(t, accounting.StatusSettled, settled.status)
	requireAmount(t, "0.000000000000000000012", settled.cost)
	require.Zero(t, unsettledCalls(t, s))
	requireExactRollups(t, s)

	other := closed(noon, "gen-1", "5")
	require.Equal(t, 1, ship(t, s, other).Updated, "the generation is one row, whichever call returns it")
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
}

func TestADismissedCallCountsAsOpenNoLonger(t *testing.T) {
	s := newStore(t)
	e, unresolved := interrupted(), closed(noon, "", "")
	ship(t, s, e, unresolved)
	require.EqualValues(t, accounting.StatusUnresolved, stored(t, s, unresolved.ID).status)
	require.EqualValues(t, 2, unsettledCalls(t, s))
	for _, call := range []accounting.Event{e, unresolved} {
		row := dismissCall(t, s, call)
		require.Equal(t, accounting.StatusDismissed, row.Status)
		require.Nil(t, row.CostUSD)
	}
	require.Zero(t, unsettledCalls(t, s))
	require.Zero(t, count1(t, s, `SELECT sum(failed_calls)::bigint FROM usage_hourly`))
	requireExactRollups(t, s)
	backlog, err := s.Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, backlog.Interrupted+backlog.Unresolved)

	before := snapshot(t, s)
	ship(t, s, e, unresolved)
	require.Equal(t, before, snapshot(t, s), "a replay does not undo it")
}

func TestEveryDecisionIsAuditedWithWhatItChanged(t *testing.T) {
	s := newStore(t)
	e := interrupted()
	ship(t, s, e)
	dismissCall(t, s, e)
	_, err := s.AttachGeneration(t.Context(), accounting.Decision{Call: e.ID, Actor: "session 1a2b3c4d"}, "gen-1")
	require.NoError(t, err)
	log := auditLog(t, s, accounting.UsageSubject(e.ID))
	require.Len(t, log, 2)
	require.Equal(t, accounting.ActionAttachGeneration, log[0].Action, "the newest first")
	require.Equal(t, "session 1a2b3c4d", log[0].Actor)
	require.Nil(t, log[0].Reason)
	require.JSONEq(t, `{"status":"dismissed","generation_id":null,"settle_next_at":null}`, string(log[0].Before))
	require.JSONEq(t, `{"status":"pending","generation_id":"gen-1","settle_next_at":"2026-11-22T12:00:05Z"}`, string(log[0].After))
	require.Equal(t, accounting.ActionDismiss, log[1].Action)
	require.Equal(t, "loopback", log[1].Actor)
	require.Equal(t, "looked it up", *log[1].Reason)
	require.JSONEq(t, `{"status":"interrupted"}`, string(log[1].Before))
	require.JSONEq(t, `{"status":"dismissed"}`, string(log[1].After))
	require.Empty(t, auditLog(t, s, "usage/other"))
}

func TestADecisionThatDoesNotFitChangesNothing(t *testing.T) {
	s := newStore(t)
	settled, pending, failed, keyless, cut := closed(noon, "gen-1", "1"), closed(noon, "gen-2", ""), closed(noon, "", ""), interrupted(), closed(noon, "gen-3", "0.5")
	failed.HTTPStatus = 500
	keyless.KeyFingerprint = ""
	cut.Truncated = true
	open := interrupted()
	ship(t, s, settled, pending, failed, keyless, cut, open)
	require.NoError(t, s.GiveUp(t.Context(), cut.ID, "not published"))
	before := snapshot(t, s)

	for _, e := range []accounting.Event{settled, pending, failed} {
		_, err := s.AttachGeneration(t.Context(), decisionOn(e), "gen-9")
		requireRefused(t, err, "The call is "+string(stored(t, s, e.ID).status))
		_, err = s.DismissCall(t.Context(), decisionOn(e))
		requireRefused(t, err, "The call is "+string(stored(t, s, e.ID).status))
	}
	_, err := s.AttachGeneration(t.Context(), decisionOn(open), "gen-1")
	requireRefused(t, err, "Generation gen-1 is that of call "+settled.ID.String())
	_, err = s.AttachGeneration(t.Context(), decisionOn(keyless), "gen-9")
	requireRefused(t, err, "carried no key")
	_, err = s.DismissCall(t.Context(), decisionOn(cut))
	requireRefused(t, err, "cost 0.5 USD")
	_, err = s.DismissCall(t.Context(), decisionOn(interrupted()))
	require.ErrorIs(t, err, accounting.ErrUnknownCall)
	_, err = s.AttachGeneration(t.Context(), decisionOn(interrupted()), "gen-9")
	require.ErrorIs(t, err, accounting.ErrUnknownCall)
	_, err = s.AttachGeneration(t.Context(), accounting.Decision{Call: open.ID}, "gen-9")
	require.Error(t, err, "somebody must answer for it")

	require.Equal(t, before, snapshot(t, s))
	require.Empty(t, auditLog(t, s, ""))
	require.Zero(t, count1(t, s, `SELECT count(*) FROM generations WHERE generation_id = 'gen-9'`))
}

func TestAGenerationThatWasTypedWrongCanBeReplaced(t *testing.T) {
	s := newStore(t)
	e := interrupted()
	ship(t, s, e)
	attachTo(t, s, e, "gen-wrong")
	require.Len(t, claim(t, s, true), 1)
	require.NoError(t, s.GiveUp(t.Context(), e.ID, "not published"))
	attachTo(t, s, e, "gen-wrong") // asked for once more
	require.Len(t, claim(t, s, true), 1)
	require.NoError(t, s.GiveUp(t.Context(), e.ID, "not published"))
	row := attachTo(t, s, e, "gen-right")
	require.Nil(t, row.SettleError)

	other := interrupted()
	ship(t, s, other)
	attachTo(t, s, other, "gen-wrong") // it is free again
	require.EqualValues(t, 2, count1(t, s, `SELECT count(*) FROM generations`))
	requireExactRollups(t, s)
}

func TestOfTwoOperatorsOnlyOneAttachesAGeneration(t *testing.T) {
	s := newStore(t)
	var calls []accounting.Event
	for range 6 {
		calls = append(calls, interrupted())
	}
	ship(t, s, calls...)
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, e := range calls {
		wg.Go(func() { _, errs[i] = s.AttachGeneration(context.WithoutCancel(t.Context()), decisionOn(e), "gen-1") })
	}
	wg.Wait()
	attached := 0
	for _, err := range errs {
		var refused *accounting.DecisionError
		if err == nil {
			attached++
		} else {
			require.ErrorAs(t, err, &refused)
		}
	}
	require.Equal(t, 1, attached)
	require.Len(t, auditLog(t, s, ""), 1)
	requireExactRollups(t, s)
}

func TestWhatIsLearntAfterADismissalGoesBeforeIt(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(e *accounting.Event)
		want   accounting.Status
	}{
		"a cost":           {func(e *accounting.Event) { e.GenerationID, e.Usage = "gen-1", usd("1") }, accounting.StatusSettled},
		"an id":            {func(e *accounting.Event) { e.GenerationID = "gen-1" }, accounting.StatusPending},
		"a cut-off cost":   {func(e *accounting.Event) { e.GenerationID, e.Usage, e.Truncated = "gen-1", usd("1"), true }, accounting.StatusPending},
		"an error":         {func(e *accounting.Event) { e.HTTPStatus = 500 }, accounting.StatusFailed},
		"no more than was": {func(e *accounting.Event) { e.HTTPStatus, e.Cancelled = 0, true }, accounting.StatusDismissed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			e := interrupted()
			ship(t, s, e)
			dismissCall(t, s, e)
			end := closed(noon, "", "")
			end.ID = e.ID
			tt.change(&end)
			ship(t, s, end)
			require.EqualValues(t, tt.want, stored(t, s, e.ID).status)
			requireExactRollups(t, s)
		})
	}
}

// No event may leave a dismissed row with a cost: nobody would confirm it.
func TestADismissedRowNeverHasACost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyEvent(t)
		first.Kind, first.Usage.Cost = accounting.Closed, accounting.Optional[decimal.Decimal]{}
		r := received(t, first, requestID(first.ID)).row
		r.status, r.settleNextAt = text(accounting.StatusUnresolved), nil // as the settler gives it up
		require.NoError(t, dismiss(r))
		for range 4 {
			e := anyEvent(t)
			pure.absorb(r, received(t, e, r.id))
			require.False(t, r.is(accounting.StatusDismissed) && r.cost != nil)
			before := *r
			pure.absorb(r, received(t, e, r.id))
			require.Empty(t, changed(&before, r), "the same event again")
		}
	})
}

func TestTheAuditLogIsReadInPages(t *testing.T) {
	s := newStore(t)
	for i := range 5 {
		require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			return audit(t.Context(), tx, auditEntry{actor: "loopback", action: "test", subject: "number", after: map[string]any{"n": i}})
		}))
	}
	var seen []string
	filter := accounting.AuditFilter{Limit: 2}
	for {
		page, err := s.ListAudit(t.Context(), filter)
		require.NoError(t, err)
		for _, e := range page.Entries {
			require.True(t, json.Valid(e.After))
			require.Nil(t, e.Before)
			seen = append(seen, string(e.After))
		}
		if filter.Cursor = page.NextCursor; filter.Cursor == "" {
			break
		}
	}
	require.Equal(t, []string{`{"n": 4}`, `{"n": 3}`, `{"n": 2}`, `{"n": 1}`, `{"n": 0}`}, seen)
	for _, bad := range []string{"x", "AAAAAAAAAAA", "AAAAAAAAAAAA"} {
		_, err := s.ListAudit(t.Context(), accounting.AuditFilter{Limit: 1, Cursor: bad})
		require.ErrorIs(t, err, accounting.ErrBadCursor, bad)
	}
	_, err := s.ListAudit(t.Context(), accounting.AuditFilter{})
	require.Error(t, err)
}

func TestACallIsFoundByItsID(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "0.25")
	ship(t, s, e)
	require.NoError(t, s.Postpone(t.Context(), e.ID, later, "asked too often"))
	row, err := s.FindUsage(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, e.ID, row.ID)
	require.Equal(t, "0.25", row.CostUSD.String())
	require.Equal(t, "asked too often", *row.SettleError)
	page, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, row, page.Rows[0])
	_, err = s.FindUsage(t.Context(), callAt(noon))
	require.ErrorIs(t, err, accounting.ErrUnknownCall)
}

func TestPartitionsMadeBeforeTheMigrationTakeDismissedCallsToo(t *testing.T) {
	s := emptyStore(t)
	all, err := migrations()
	require.NoError(t, err)
	for _, m := range all[:4] {
		require.NoError(t, s.migrate(t.Context(), m))
	}
	require.NoError(t, s.ensurePartition(t.Context(), "openrouter_usage", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	_, err = s.pool.Exec(t.Context(), `INSERT INTO openrouter_usage (id, model, status, created_at) VALUES (gen_random_uuid(), 'm', 'dismissed', $1)`, noon)
	require.ErrorContains(t, err, "openrouter_usage_status_check")
	require.NoError(t, s.Migrate(t.Context()))
	e := interrupted()
	ship(t, s, e)
	dismissCall(t, s, e)
	require.NoError(t, s.EnsurePartitions(t.Context(), noon.AddDate(0, 3, 0)), "younger partitions fit the new rule")
	_, err = s.pool.Exec(t.Context(), `UPDATE openrouter_usage SET status = 'paid'`)
	require.Error(t, err)
}
