package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// lessAI is a draft of q4: as asked, a cheaper model, none.
func lessAI(change ...func(*accounting.Experiment)) accounting.Experiment {
	e := accounting.Experiment{
		ID: "less-ai", Name: "Less AI", CampaignID: "q4", Metric: accounting.MetricConversion, Margin: accounting.DefaultExperimentMargin(), Enforce: true,
		Arms: []accounting.ExperimentArm{{Name: "control", Weight: 2, AI: true}, {Name: "cheap", Weight: 1, Model: "openai/gpt-5-mini", AI: true}, {Name: "none", Weight: 1}},
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

// leadIn is the nth lead that the experiment has in an arm.
func leadIn(t testing.TB, arm string, n int) string {
	t.Helper()
	e := lessAI()
	for i := range 10_000 {
		lead := fmt.Sprint("lead-", i)
		if e.Arms[e.Assign(lead)].Name != arm {
			continue
		}
		if n--; n < 0 {
			return lead
		}
	}
	t.Fatalf("no lead is in %s", arm)
	return ""
}

// runExperiment creates an experiment and starts it at noon.
func runExperiment(t testing.TB, s *Store, change ...func(*accounting.Experiment)) accounting.Experiment {
	t.Helper()
	before := s.opts.Now
	defer func() { s.opts.Now = before }()
	s.opts.Now = func() time.Time { return noon.Add(-startDelay) }
	made, err := s.CreateExperiment(t.Context(), lessAI(change...), "ada")
	require.NoError(t, err)
	started, err := s.StartExperiment(t.Context(), made.ID, "ada", "")
	require.NoError(t, err)
	require.Equal(t, noon, *started.StartedAt)
	return started
}

// sumsOf are the sums of an experiment by arm.
func sumsOf(t testing.TB, s *Store, e accounting.Experiment) [3]accounting.ArmSums {
	t.Helper()
	list, err := s.ExperimentSums(t.Context(), &e)
	require.NoError(t, err)
	var sums [3]accounting.ArmSums
	for _, sum := range list {
		sums[sum.Arm] = sum
	}
	return sums
}

func TestAnExperimentIsMadeChangedStartedStoppedAndRolledBack(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon }
	days, leads := 30, int64(1000)
	full := lessAI(func(e *accounting.Experiment) {
		e.Purpose, e.StopOnVerdict, e.MaxDays, e.MaxLeads = "follow_up", true, &days, &leads
	})
	made, err := s.CreateExperiment(t.Context(), full, "ada")
	require.NoError(t, err)
	require.Equal(t, accounting.ExperimentDraft, made.State)
	found, err := s.FindExperiment(t.Context(), "less-ai")
	require.NoError(t, err)
	require.Equal(t, made, found)
	full.State, full.CreatedAt, full.UpdatedAt = made.State, made.CreatedAt, made.UpdatedAt
	require.Equal(t, full, found, "everything that was set is kept")
	_, err = s.CreateExperiment(t.Context(), lessAI(), "ada")
	require.ErrorIs(t, err, accounting.ErrExperimentExists)

	changed, err := s.ReplaceExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.Arms[0].Weight = 5 }), "ada")
	require.NoError(t, err)
	require.Equal(t, 5, changed.Arms[0].Weight)
	require.Nil(t, changed.MaxDays)

	started, err := s.StartExperiment(t.Context(), "less-ai", "bob", "let us see")
	require.NoError(t, err)
	require.Equal(t, accounting.ExperimentRunning, started.State)
	require.Equal(t, noon.Add(startDelay), *started.StartedAt)
	var conflict *accounting.ExperimentConflictError
	_, err = s.ReplaceExperiment(t.Context(), lessAI(), "ada")
	require.ErrorAs(t, err, &conflict, "weights of a running one would move leads")
	require.Equal(t, accounting.ExperimentRunning, conflict.State)
	_, err = s.StartExperiment(t.Context(), "less-ai", "bob", "")
	require.ErrorAs(t, err, &conflict)

	s.opts.Now = func() time.Time { return noon.Add(time.Hour) }
	stopped, err := s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentStopped, "ada", "enough")
	require.NoError(t, err)
	require.Equal(t, []any{accounting.ExperimentStopped, noon.Add(time.Hour), "ada", "enough"}, []any{stopped.State, *stopped.EndedAt, *stopped.EndedBy, *stopped.EndReason})
	s.opts.Now = func() time.Time { return noon.Add(2 * time.Hour) }
	rolled, err := s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentRolledBack, "bob", "it was wrong")
	require.NoError(t, err)
	require.Equal(t, accounting.ExperimentRolledBack, rolled.State)
	require.Equal(t, noon.Add(time.Hour), *rolled.EndedAt, "it ended when it was stopped")
	again, err := s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentRolledBack, "eve", "again")
	require.NoError(t, err)
	require.Equal(t, "bob", *again.EndedBy, "rolling back twice changes nothing")
	_, err = s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentStopped, "ada", "")
	require.ErrorAs(t, err, &conflict)

	var actions []string
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Subject: "experiment/less-ai", Limit: 10})
	require.NoError(t, err)
	for _, e := range page.Entries {
		actions = append(actions, e.Actor+" "+e.Action)
	}
	require.Equal(t, []string{"bob experiment.rollback", "ada experiment.stop", "bob experiment.start", "ada experiment.change", "ada experiment.create"}, actions)
	for _, err := range []error{
		second(s.FindExperiment(t.Context(), "nobody")), second(s.StartExperiment(t.Context(), "nobody", "ada", "")),
		second(s.EndExperiment(t.Context(), "nobody", accounting.ExperimentStopped, "ada", "")), second(s.ReplaceExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.ID = "nobody" }), "ada")),
		second(s.EnrolLead(t.Context(), "nobody", "l", "")),
	} {
		require.ErrorIs(t, err, accounting.ErrUnknownExperiment)
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestOpenExperimentsAreBoundedAndThoseThatAreOverAreNot(t *testing.T) {
	s := newStore(t)
	for i := range accounting.MaxOpenExperiments {
		_, err := s.CreateExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.ID = fmt.Sprint("e-", i) }), "ada")
		require.NoError(t, err)
	}
	more := func(e *accounting.Experiment) { e.ID = "one-too-many" }
	_, err := s.CreateExperiment(t.Context(), lessAI(more), "ada")
	require.ErrorIs(t, err, accounting.ErrTooManyExperiments)
	_, err = s.StartExperiment(t.Context(), "e-0", "ada", "")
	require.NoError(t, err)
	_, err = s.EndExperiment(t.Context(), "e-0", accounting.ExperimentStopped, "ada", "")
	require.NoError(t, err)
	_, err = s.CreateExperiment(t.Context(), lessAI(more), "ada")
	require.NoError(t, err)
}

func TestADraftIsDeletedAndMakesRoomAndWhatWasStartedStays(t *testing.T) {
	s := newStore(t)
	for i := range accounting.MaxOpenExperiments {
		_, err := s.CreateExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.ID = fmt.Sprint("e-", i) }), "ada")
		require.NoError(t, err)
	}
	require.NoError(t, s.DeleteExperiment(t.Context(), "e-7", "ada", "of no use"))
	_, err := s.FindExperiment(t.Context(), "e-7")
	require.ErrorIs(t, err, accounting.ErrUnknownExperiment)
	log := auditLog(t, s, accounting.ExperimentSubject("e-7"))
	require.Equal(t, []string{accounting.ActionExperimentDelete, "ada", "of no use"}, []string{log[0].Action, log[0].Actor, *log[0].Reason})
	require.Contains(t, string(log[0].Before), `"name": "`)
	require.ErrorIs(t, s.DeleteExperiment(t.Context(), "e-7", "ada", ""), accounting.ErrUnknownExperiment)

	_, err = s.CreateExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.ID = "e-7" }), "ada")
	require.NoError(t, err, "there is room again, and the id is free")
	_, err = s.StartExperiment(t.Context(), "e-7", "ada", "")
	require.NoError(t, err)
	var conflict *accounting.ExperimentConflictError
	require.ErrorAs(t, s.DeleteExperiment(t.Context(), "e-7", "ada", ""), &conflict)
	require.Equal(t, accounting.ExperimentRunning, conflict.State)
}

func TestADraftCannotBeStoppedAndEndsOfTheListAreFiltered(t *testing.T) {
	s := newStore(t)
	_, err := s.CreateExperiment(t.Context(), lessAI(), "ada")
	require.NoError(t, err)
	var conflict *accounting.ExperimentConflictError
	for _, state := range []accounting.ExperimentState{accounting.ExperimentStopped, accounting.ExperimentRolledBack} {
		_, err = s.EndExperiment(t.Context(), "less-ai", state, "ada", "")
		require.ErrorAs(t, err, &conflict)
	}
	_, err = s.EnrolLead(t.Context(), "less-ai", "l", "")
	require.ErrorAs(t, err, &conflict)
	drafts, err := s.ListExperiments(t.Context(), accounting.ExperimentDraft)
	require.NoError(t, err)
	require.Len(t, drafts, 1)
	running, err := s.ListExperiments(t.Context(), accounting.ExperimentRunning)
	require.NoError(t, err)
	require.Empty(t, running)
	all, err := s.ListExperiments(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, drafts, all)
}

func TestTwoEnforcedExperimentsNeverHoldTheSameCall(t *testing.T) {
	s := newStore(t)
	runExperiment(t, s)
	other := func(id, campaign string, enforce bool) error {
		_, err := s.CreateExperiment(t.Context(), lessAI(func(e *accounting.Experiment) { e.ID, e.CampaignID, e.Enforce = id, campaign, enforce }), "ada")
		require.NoError(t, err)
		_, err = s.StartExperiment(t.Context(), id, "ada", "")
		return err
	}
	var conflict *accounting.ExperimentConflictError
	require.ErrorAs(t, other("all", "", true), &conflict)
	require.Equal(t, "less-ai", conflict.Other)
	require.NoError(t, other("elsewhere", "q3", true))
	require.NoError(t, other("asked-for", "q4", false), "the application sees to that")

	rules, err := s.GuardRules(t.Context())
	require.NoError(t, err)
	require.Len(t, rules.Experiments, 2, "those that are enforced")
	before := rules.Version
	_, err = s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentRolledBack, "ada", "")
	require.NoError(t, err)
	rules, err = s.GuardRules(t.Context())
	require.NoError(t, err)
	require.Greater(t, rules.Version, before, "every replica is told")
	require.Len(t, rules.Experiments, 1)
}

func TestALeadCountsInTheArmThatItWasAssignedTo(t *testing.T) {
	s := newStore(t)
	e := runExperiment(t, s)
	control, cheap, none := leadIn(t, "control", 0), leadIn(t, "cheap", 0), leadIn(t, "none", 0)
	refused := closed(noon.Add(time.Minute), "", "")
	refused.Kind, refused.Tags.LeadID = accounting.Refused, none
	refused.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonWithoutAI, Experiment: "less-ai", Arm: "none"}
	events := []accounting.Event{
		forLead(noon.Add(-time.Second), control, "gen-0", "9"), // before the start
		forLead(noon, control, "gen-1", "0.5"), forLead(noon.Add(24*time.Hour), control, "gen-2", "0.25"),
		forLead(noon, cheap, "gen-3", "0.125"), refused,
	}
	for range 2 { // shipping again changes nothing
		ship(t, s, events...)
		sums := sumsOf(t, s, e)
		require.Equal(t, []int64{1, 2, 1, 1, 1, 0}, []int64{sums[0].Leads, sums[0].Calls, sums[1].Leads, sums[1].Calls, sums[2].Leads, sums[2].Calls})
		require.Equal(t, "0.75", sums[0].CostUSD.String())
		require.Equal(t, "0.69", sums[0].CostEUR.String())
	}
	record(t, s, happened(accounting.EmailSent, none, noon.Add(time.Hour)), happened(accounting.EmailSent, none, noon.Add(2*time.Hour)),
		happened(accounting.EmailSent, control, noon.Add(-time.Hour)), happened(accounting.ReplyReceived, control, noon.Add(time.Hour)),
		happened(accounting.MeetingBooked, cheap, noon.Add(time.Hour)), happened(accounting.MeetingBooked, cheap, noon.Add(2*time.Hour)),
		happened(accounting.MeetingBooked, leadIn(t, "cheap", 7), noon.Add(time.Hour))) // who takes no part
	sums := sumsOf(t, s, e)
	require.Equal(t, []int64{0, 1, 0}, []int64{sums[0].Sent, sums[0].Replied, sums[0].Converted}, "what was sent before the start does not count")
	require.Equal(t, []int64{0, 1, 2}, []int64{sums[1].Sent, sums[1].Converted, sums[1].Meetings}, "a lead converts once")
	require.Equal(t, []int64{1, 0}, []int64{sums[2].Sent, sums[2].Converted})
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_decisions WHERE experiment_id = 'less-ai' AND arm = 'none' AND arm_model IS NULL`))
	requireExactRollups(t, s)
}

func TestWhatComesOfALeadBeforeItIsSeenCountsOnceItIs(t *testing.T) {
	s := newStore(t)
	e := runExperiment(t, s)
	lead := leadIn(t, "control", 0)
	record(t, s, happened(accounting.EmailSent, lead, noon.Add(time.Hour)))
	require.Zero(t, sumsOf(t, s, e)[0].Sent)
	ship(t, s, forLead(noon.Add(time.Minute), lead, "gen-1", "1")) // its journal was slow
	require.EqualValues(t, 1, sumsOf(t, s, e)[0].Sent)
	requireExactRollups(t, s)
}

func TestAReversedActivityAndACorrectedCostMoveTheExperiment(t *testing.T) {
	s := newStore(t)
	e := runExperiment(t, s)
	lead := leadIn(t, "control", 0)
	call := forLead(noon, lead, "gen-1", "1")
	ship(t, s, call)
	booked := happened(accounting.MeetingBooked, lead, noon.Add(time.Hour))
	booked.ID = "m-1"
	record(t, s, booked)
	require.EqualValues(t, 1, sumsOf(t, s, e)[0].Converted)
	_, err := s.ReverseActivity(t.Context(), "m-1", "ada")
	require.NoError(t, err)
	settleFor(t, s, call, "1.5")
	sums := sumsOf(t, s, e)
	require.Equal(t, []int64{0, 0}, []int64{sums[0].Converted, sums[0].Meetings})
	require.Equal(t, "1.5", sums[0].CostUSD.String())
	requireExactRollups(t, s)
}

func TestAfterItsEndAnExperimentTakesNoLeadsAndFollowsThoseItHas(t *testing.T) {
	s := newStore(t)
	runExperiment(t, s)
	in, late := leadIn(t, "control", 0), leadIn(t, "control", 1)
	ship(t, s, forLead(noon, in, "gen-1", "1"))
	s.opts.Now = func() time.Time { return noon.Add(time.Hour) }
	ended, err := s.EndExperiment(t.Context(), "less-ai", accounting.ExperimentStopped, "ada", "")
	require.NoError(t, err)
	ship(t, s, forLead(noon.Add(2*time.Hour), in, "gen-2", "1"), forLead(noon.Add(2*time.Hour), late, "gen-3", "1"), forLead(noon.Add(time.Minute), in, "gen-4", "1"))
	record(t, s, happened(accounting.MeetingBooked, in, noon.Add(30*24*time.Hour)))
	sums := sumsOf(t, s, ended)
	require.Equal(t, []int64{1, 2, 1}, []int64{sums[0].Leads, sums[0].Calls, sums[0].Converted}, "a call that came late was made in time")
	requireExactRollups(t, s)
}

func TestALeadIsEnrolledWithoutACall(t *testing.T) {
	s := newStore(t)
	e := runExperiment(t, s)
	s.opts.Now = func() time.Time { return noon.Add(time.Minute) }
	lead := leadIn(t, "none", 3)
	for range 2 {
		assigned, err := s.EnrolLead(t.Context(), "less-ai", lead, "q4")
		require.NoError(t, err)
		require.Equal(t, accounting.Assignment{ExperimentID: "less-ai", LeadID: lead, Arm: e.Arms[2], Enforced: true}, assigned)
	}
	require.EqualValues(t, 1, sumsOf(t, s, e)[2].Leads)
	requireExactRollups(t, s)
}

func TestPostgresAssignsLeadsAsGoDoes(t *testing.T) {
	s := newStore(t)
	var leads []string
	for i := range 2000 {
		leads = append(leads, fmt.Sprint("lead-", i))
	}
	leads = append(leads, "", "Grüße", "a/b", "\t", strings.Repeat("x", 200))
	for _, e := range []accounting.Experiment{lessAI(), lessAI(func(e *accounting.Experiment) {
		e.ID = "uneven"
		for i := range e.Arms {
			e.Arms[i].Weight = []int{1, 999, 37}[i]
		}
	})} {
		arms, err := json.Marshal(e.Arms)
		require.NoError(t, err)
		rows, err := s.pool.Query(t.Context(), `SELECT experiment_arm($1, lead, $2) FROM unnest($3::text[]) WITH ORDINALITY AS t (lead, n) ORDER BY n`, e.ID, arms, leads)
		require.NoError(t, err)
		for i := 0; rows.Next(); i++ {
			var arm int
			require.NoError(t, rows.Scan(&arm))
			require.Equal(t, e.Assign(leads[i]), arm, leads[i])
		}
		require.NoError(t, rows.Err())
	}
}

func TestAnExperimentIsJudgedByOneReplicaAtATime(t *testing.T) {
	s := newStore(t)
	runExperiment(t, s)
	claim := func(now time.Time) int {
		list, err := s.ClaimExperiments(t.Context(), now, now.Add(time.Minute))
		require.NoError(t, err)
		return len(list)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	claimed := 0
	for range 8 {
		wg.Go(func() {
			list, err := s.ClaimExperiments(context.WithoutCancel(t.Context()), noon, noon.Add(time.Minute))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			claimed += len(list)
		})
	}
	wg.Wait()
	require.Equal(t, 1, claimed)
	require.Zero(t, claim(noon.Add(59*time.Second)))
	require.Equal(t, 1, claim(noon.Add(time.Minute)), "its holder may have died")
}

func TestAnExperimentThatEndsByItselfTellsSomebodyOnce(t *testing.T) {
	s := newStore(t)
	runExperiment(t, s)
	s.opts.Now = func() time.Time { return noon.Add(time.Hour) }
	harm := accounting.ExperimentEnd{State: accounting.ExperimentRolledBack, Reason: accounting.StopHarm, Detail: "cheap does harm."}
	for range 2 {
		require.NoError(t, s.ConcludeExperiment(t.Context(), "less-ai", harm))
	}
	e, err := s.FindExperiment(t.Context(), "less-ai")
	require.NoError(t, err)
	require.Equal(t, []any{accounting.ExperimentRolledBack, "bursar", "harm"}, []any{e.State, *e.EndedBy, *e.EndReason})
	alerts, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Kind: "experiment_ended", Limit: 10})
	require.NoError(t, err)
	require.Len(t, alerts.Alerts, 1)
	require.Equal(t, accounting.SeverityWarning, alerts.Alerts[0].Severity)
	require.Equal(t, "cheap does harm. Calls are as the application asks again.", alerts.Alerts[0].Text)
	list, err := s.ClaimExperiments(t.Context(), noon.Add(time.Hour), noon.Add(2*time.Hour))
	require.NoError(t, err)
	require.Empty(t, list, "it runs no longer")
}

func TestThePublishedQueryOfExperimentsIsTheOneThatIsTestedAndFindsDifferences(t *testing.T) {
	published, err := os.ReadFile("../../docs/queries/experiments.sql")
	require.NoError(t, err)
	require.Equal(t, string(published), checkExperimentsSQL)

	s := newStore(t)
	runExperiment(t, s)
	lead := leadIn(t, "cheap", 0)
	ship(t, s, forLead(noon, lead, "gen-1", "1"))
	record(t, s, happened(accounting.EmailSent, lead, noon))
	requireExactRollups(t, s)
	for _, change := range []string{
		`UPDATE experiment_daily SET leads = leads + 1`, `UPDATE experiment_daily SET cost_usd = cost_usd + 0.000000000001`, `DELETE FROM experiment_daily`,
		`UPDATE experiment_leads SET arm = 0`, `UPDATE experiment_leads SET emails = 0`, `UPDATE experiment_leads SET seen_at = NULL`, `DELETE FROM experiment_leads`,
	} {
		_, err := s.pool.Exec(t.Context(), change)
		require.NoError(t, err)
		differences, err := s.CheckRollups(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, differences, change)
		require.NoError(t, s.RecountEconomics(t.Context()))
		requireExactRollups(t, s)
	}
}

func TestWhateverHappensTheSumsOfExperimentsEqualTheRows(t *testing.T) {
	s := newStore(t)
	runExperiment(t, s)
	runExperiment(t, s, func(e *accounting.Experiment) {
		e.ID, e.CampaignID, e.Purpose, e.Enforce = "of-all", "", "follow_up", false
	})
	atMost(t, 15)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(rt, label) }
		at := func() time.Time { return noon.Add(time.Duration(rapid.IntRange(-3, 60).Draw(rt, "hours")) * time.Hour) }
		var shipped []accounting.Event
		var recorded []string
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			n++
			lead := pick("lead", "a", "b", "c", "d", "e")
			switch pick("step", "call", "call", "refusal", "activity", "activity", "settle", "reverse", "enrol") {
			case "call", "refusal":
				e := forLead(at(), lead, fmt.Sprint("gen-", n), pick("cost", "", "0.1", "0.02"))
				e.Tags.CampaignID, e.Tags.Purpose = pick("campaign", "q4", "q3", ""), pick("purpose", "follow_up", "research", "")
				if pick("kind", "sent", "sent", "refused") == "refused" {
					e.Kind, e.Decision = accounting.Refused, &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom}
					e.GenerationID, e.Usage = "", accounting.Usage{}
				}
				shipped = append(shipped, e)
				ship(t, s, e)
			case "activity":
				kinds := accounting.ActivityTypes()
				a := happened(kinds[rapid.IntRange(0, len(kinds)-1).Draw(rt, "type")], lead, at())
				a.CampaignID, a.ID = pick("campaign", "q4", "q3"), fmt.Sprint("a-", n)
				recorded = append(recorded, a.ID)
				record(t, s, a)
			case "settle":
				if len(shipped) > 0 && shipped[0].Kind == accounting.Closed {
					settleFor(t, s, shipped[0], pick("billed", "0.3", "0.1"))
				}
			case "reverse":
				if len(recorded) > 0 {
					_, _ = s.ReverseActivity(t.Context(), recorded[0], "ada") // it may have been
				}
			case "enrol":
				_, err := s.EnrolLead(t.Context(), "less-ai", lead, "q4")
				require.NoError(rt, err)
			}
		}
		differences, err := s.CheckRollups(t.Context())
		require.NoError(rt, err)
		require.Empty(rt, differences)
	})
	sums := sumsOf(t, s, must(s.FindExperiment(t.Context(), "less-ai")))
	require.NoError(t, s.RecountEconomics(t.Context()))
	requireExactRollups(t, s)
	require.Equal(t, sums, sumsOf(t, s, must(s.FindExperiment(t.Context(), "less-ai"))))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
