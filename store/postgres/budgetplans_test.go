package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// planOf is a plan of 100 EUR whose campaigns, standard ones, have spent some
// EUR each.
func planOf(t *testing.T, spent map[string]string) accounting.BudgetPlan {
	t.Helper()
	month := accounting.MonthOf(noon)
	from, to := accounting.PlanWindow(month, noon)
	var sums []accounting.CampaignSums
	for id, eur := range spent {
		sums = append(sums, accounting.CampaignSums{ID: id, Calls: 1, AICostEUR: accounting.Amount{Decimal: dec(eur)}, ProcessedLeads: 100, SentLeads: 60, Emails: 100})
	}
	return accounting.MakeBudgetPlan(&accounting.PlanTerms{Month: month, From: from, To: to, Amount: dec("100"),
		Split: accounting.DefaultPlanSplit(), Step: dec("20"), Targets: accounting.DefaultTargets()}, sums)
}

var planner = accounting.PlanApplication{Mode: accounting.ModeSoft, Actor: "tester"}

func apply(t *testing.T, s *Store, plan accounting.BudgetPlan, a accounting.PlanApplication) accounting.AppliedPlan {
	t.Helper()
	applied, made, err := s.ApplyBudgetPlan(t.Context(), plan, a, s.now())
	require.NoError(t, err)
	require.True(t, made)
	return applied
}

// limitsOf are the limits of the planned budgets by campaign.
func limitsOf(t *testing.T, s *Store) map[string]string {
	t.Helper()
	budgets, err := s.PlanBudgets(t.Context(), s.now())
	require.NoError(t, err)
	limits := map[string]string{}
	for campaign, b := range planned(budgets) {
		limits[campaign] = b.Limit.String()
	}
	return limits
}

func itemOfCampaign(t *testing.T, p *accounting.AppliedPlan, campaign string) accounting.PlanItem {
	t.Helper()
	for _, item := range p.Items {
		if item.CampaignID == campaign {
			return item
		}
	}
	require.Fail(t, "no item", campaign)
	return accounting.PlanItem{}
}

// planStore is a budgetStore whose time can be moved by days.
func planStore(t *testing.T) (s *Store, nextDay func() *accounting.PlanSteps) {
	t.Helper()
	s = budgetStore(t)
	now := s.now()
	s.opts.Now = func() time.Time { return now }
	return s, func() *accounting.PlanSteps {
		now = now.AddDate(0, 0, 1)
		steps, err := s.StepBudgetPlan(t.Context(), now)
		require.NoError(t, err)
		return steps
	}
}

func TestAPlanBecomesBudgetsThatMoveDayByDay(t *testing.T) {
	s, nextDay := planStore(t)
	first := apply(t, s, planOf(t, map[string]string{"a": "1", "b": "1"}), planner)
	require.Equal(t, map[string]string{"a": "50", "b": "50"}, limitsOf(t, s), "there are no campaigns of another class")
	require.Equal(t, accounting.PlanReached, itemOfCampaign(t, &first, "a").State)
	made, err := s.FindBudget(t.Context(), *itemOfCampaign(t, &first, "a").BudgetID)
	require.NoError(t, err)
	require.Equal(t, []any{"plan-a", "plan:a", accounting.EUR, accounting.ModeSoft, accounting.PeriodMonth, "plan", []string{"testing", "research"}},
		[]any{made.ID, made.Name, made.Currency, made.Mode, made.Period, made.Origin, made.NonessentialPurposes})
	require.Equal(t, []int{100}, made.Thresholds, "a limit that moves each day arms them again")
	require.Equal(t, "tester", auditLog(t, s, "budget/plan-a")[0].Actor)
	require.Zero(t, nextDay().Moved, "there is nothing to move")
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_plans WHERE moved_on = '2026-11-23'`))

	hard := planner
	hard.Mode = accounting.ModeHard
	plan := planOf(t, map[string]string{"a": "9", "b": "1"})
	second := apply(t, s, plan, hard)
	require.Equal(t, map[string]string{"a": "60", "b": "40"}, limitsOf(t, s), "a fifth up, a fifth down")
	require.Equal(t, first.ID, *second.Replaces)
	require.Equal(t, accounting.PlanMoving, itemOfCampaign(t, &second, "a").State)
	b := itemOfCampaign(t, &second, "b")
	require.Equal(t, []string{"50", "14", "40"}, []string{b.Before.String(), b.Target.String(), b.Limit.String()})
	changed, err := s.FindBudget(t.Context(), "plan-a")
	require.NoError(t, err)
	require.Equal(t, accounting.ModeHard, changed.Mode)

	none, err := s.StepBudgetPlan(t.Context(), s.now().Add(time.Minute))
	require.NoError(t, err)
	require.Nil(t, none, "today's step was the first one")
	require.Equal(t, accounting.PlanSteps{Plan: second.ID, Moved: 2}, *nextDay())
	require.Equal(t, map[string]string{"a": "72", "b": "32"}, limitsOf(t, s))
	steps := 0
	for range 5 {
		steps += nextDay().Moved
	}
	require.Equal(t, map[string]string{"a": "86", "b": "14"}, limitsOf(t, s))
	require.Equal(t, 5, steps, "two on the first of these days, and b on three more")
	require.Equal(t, "budget plan "+strconv.FormatInt(second.ID, 10), auditLog(t, s, "budget/plan-b")[0].Actor)
	page, err := s.ListBudgetPlans(t.Context(), 1, "")
	require.NoError(t, err)
	require.Equal(t, second.ID, page.Plans[0].ID)
	require.Equal(t, accounting.PlanReached, itemOfCampaign(t, &page.Plans[0], "b").State)
	page, err = s.ListBudgetPlans(t.Context(), 1, page.NextCursor)
	require.NoError(t, err)
	require.Equal(t, accounting.PlanReplaced, *page.Plans[0].Ending)
	require.Empty(t, page.NextCursor)
	requireExactBudgets(t, s)
}

func TestALimitMovesOneStepADayWhicheverPlanIsApplied(t *testing.T) {
	s, nextDay := planStore(t)
	apply(t, s, planOf(t, map[string]string{"a": "1", "b": "1"}), planner)
	nextDay()
	apply(t, s, planOf(t, map[string]string{"a": "9", "b": "1"}), planner)
	require.Equal(t, map[string]string{"a": "60", "b": "40"}, limitsOf(t, s), "a step today")
	again := apply(t, s, planOf(t, map[string]string{"a": "19", "b": "1"}), planner)
	require.Equal(t, map[string]string{"a": "60", "b": "40"}, limitsOf(t, s), "and no other, by another plan")
	require.Equal(t, accounting.PlanMoving, itemOfCampaign(t, &again, "a").State)
	require.Equal(t, 2, nextDay().Moved)
	require.Equal(t, map[string]string{"a": "72", "b": "32"}, limitsOf(t, s))
}

func TestApplyingAPlanAgainChangesNothing(t *testing.T) {
	s, nextDay := planStore(t)
	spent := map[string]string{"a": "200", "b": "1"}
	named := planner
	named.ID = "mine"
	first := apply(t, s, planOf(t, spent), named)
	require.Equal(t, map[string]string{"a": "160", "b": "5.45"}, limitsOf(t, s), "a fifth less than it spent")
	again := func(a accounting.PlanApplication, spent map[string]string, made bool) {
		t.Helper()
		applied, isMade, err := s.ApplyBudgetPlan(t.Context(), planOf(t, spent), a, s.now())
		require.NoError(t, err)
		require.Equal(t, made, isMade)
		require.Equal(t, made, applied.ID != first.ID)
	}
	nextDay()
	limits := limitsOf(t, s)
	again(named, map[string]string{"c": "1"}, false)
	again(planner, spent, false)
	require.Equal(t, limits, limitsOf(t, s), "it is a retry, and no other step")
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_plans`))

	_, _, err := s.ApplyBudgetPlan(t.Context(), planOf(t, nil), planner, s.now())
	require.ErrorIs(t, err, accounting.ErrNothingToPlan)
}

func TestTheBudgetsOfPeopleAreNeverTouched(t *testing.T) {
	s, nextDay := planStore(t)
	own := budgetOf(accounting.ModeSoft, "3")
	own.ID, own.Scope = "mine", accounting.Scope{CampaignID: "a"}
	createBudget(t, s, own)
	narrower := budgetOf(accounting.ModeSoft, "3")
	narrower.ID, narrower.Scope = "narrower", accounting.Scope{CampaignID: "b", Purpose: "research"}
	createBudget(t, s, narrower)
	plan := planOf(t, map[string]string{"a": "1", "b": "200", "c": "200"})
	first := apply(t, s, plan, planner)
	require.NotContains(t, limitsOf(t, s), "a")
	a := itemOfCampaign(t, &first, "a")
	require.Equal(t, []any{accounting.PlanConflicted, "mine"}, []any{a.State, *a.BudgetID})
	require.Nil(t, a.Limit)

	changeBudget(t, s, "plan-b", accounting.BudgetChange{Limit: ref(dec("7")), Enabled: ref(false)})
	page, err := s.ListBudgetPlans(t.Context(), 1, "")
	require.NoError(t, err)
	require.Equal(t, accounting.PlanStopped, itemOfCampaign(t, &page.Plans[0], "b").State, "at once")
	steps := nextDay()
	require.Equal(t, accounting.PlanSteps{Plan: first.ID, Moved: 1, Stopped: 1}, *steps)
	b, err := s.FindBudget(t.Context(), "plan-b")
	require.NoError(t, err)
	require.Equal(t, "7", b.Limit.String(), "the plan leaves it alone")

	second := apply(t, s, plan, planner)
	require.Equal(t, accounting.PlanConflicted, itemOfCampaign(t, &second, "b").State, "it is a person's now, though disabled")
	createBudget(t, s, accounting.Budget{Name: "c too", Scope: accounting.Scope{CampaignID: "c"}, Period: accounting.PeriodDay, Currency: accounting.USD,
		Mode: accounting.ModeAlert, Enabled: true, Limit: accounting.Amount{Decimal: dec("1")}})
	third := apply(t, s, plan, planner)
	require.Equal(t, accounting.PlanConflicted, itemOfCampaign(t, &third, "c").State)
	require.Empty(t, limitsOf(t, s), "a person's budget takes the planned one's place")
	mine, err := s.FindBudget(t.Context(), "mine")
	require.NoError(t, err)
	require.Equal(t, "3", mine.Limit.String())

	undo, err := s.RollBackBudgetPlan(t.Context(), 0, "tester", "too early", s.now())
	require.NoError(t, err)
	require.Equal(t, second.ID, *undo.InForce)
	require.Contains(t, limitsOf(t, s), "c", "as it was before")
	require.Len(t, undo.Restored, 1)
}

func TestAPlannedBudgetThatAPersonHasDeletedStaysDeletedUntilItIsAskedForAgain(t *testing.T) {
	s, nextDay := planStore(t)
	spent := map[string]string{"a": "1", "b": "1"}
	first := apply(t, s, planOf(t, spent), planner)
	require.NoError(t, s.DeleteBudget(t.Context(), "plan-b", "person", "we do not want it"))
	require.Equal(t, accounting.PlanSteps{Plan: first.ID, Stopped: 1}, *nextDay())
	_, made, err := s.ApplyBudgetPlan(t.Context(), planOf(t, spent), planner, s.now())
	require.NoError(t, err)
	require.False(t, made, "it says the same")

	spent["a"] = "3"
	second := apply(t, s, planOf(t, spent), planner)
	b := itemOfCampaign(t, &second, "b")
	require.Equal(t, []any{accounting.PlanStopped, (*string)(nil), (*accounting.Amount)(nil)}, []any{b.State, b.BudgetID, b.Limit})
	require.Equal(t, map[string]string{"a": "60"}, limitsOf(t, s))
	undo, err := s.RollBackBudgetPlan(t.Context(), second.ID, "tester", "", s.now())
	require.NoError(t, err)
	require.Len(t, undo.Restored, 1, "nothing was done about b, so nothing is undone")
	require.Equal(t, map[string]string{"a": "50"}, limitsOf(t, s))

	own := budgetOf(accounting.ModeSoft, "3")
	own.ID, own.Scope = "mine", accounting.Scope{CampaignID: "b"}
	createBudget(t, s, own)
	require.NoError(t, s.DeleteBudget(t.Context(), "mine", "person", ""))
	plan := planOf(t, spent)
	plan.Again = []string{"b"}
	third := apply(t, s, plan, planner)
	require.Equal(t, "plan-b-2", *itemOfCampaign(t, &third, "b").BudgetID)
	require.Equal(t, map[string]string{"a": "50", "b": itemOfCampaign(t, &third, "b").Limit.String()}, limitsOf(t, s), "a was moved today")
	require.Contains(t, string(auditLog(t, s, planSubject(third.ID))[0].After), `"again": ["b"]`)

	apply(t, s, planOf(t, map[string]string{"a": "3"}), planner)
	require.NotContains(t, limitsOf(t, s), "b", "it left the plan")
	apply(t, s, planOf(t, spent), planner)
	require.Contains(t, limitsOf(t, s), "b", "and is in it again: it was a plan that deleted its budget, and no person")
	requireExactBudgets(t, s)
}

func TestNoCampaignOfAPlanThatHasEndedIsMoving(t *testing.T) {
	s, _ := planStore(t)
	first := apply(t, s, planOf(t, map[string]string{"a": "200", "b": "1", "mine": "1", "gone": "1"}), planner)
	changeBudget(t, s, "plan-mine", accounting.BudgetChange{Limit: ref(dec("7"))})
	second := apply(t, s, planOf(t, map[string]string{"a": "100", "b": "2"}), planner)
	states := func(p *accounting.AppliedPlan) map[string]accounting.PlanState {
		states := map[string]accounting.PlanState{}
		for _, item := range p.Items {
			states[item.CampaignID] = item.State
		}
		return states
	}
	plans := func() (latest, before map[string]accounting.PlanState) {
		page, err := s.ListBudgetPlans(t.Context(), 2, "")
		require.NoError(t, err)
		return states(&page.Plans[0]), states(&page.Plans[1])
	}
	moving := map[string]accounting.PlanState{"a": "moving", "b": "moving", "gone": "removed"}
	require.Equal(t, moving, states(&second))
	latest, before := plans()
	require.Equal(t, moving, latest)
	require.Equal(t, map[string]accounting.PlanState{"a": "replaced", "b": "reached", "gone": "reached", "mine": "stopped"}, before)

	undo, err := s.RollBackBudgetPlan(t.Context(), 0, "tester", "", s.now())
	require.NoError(t, err)
	rolledBack := map[string]accounting.PlanState{"a": "rolled_back", "b": "rolled_back", "gone": "rolled_back"}
	require.Equal(t, rolledBack, states(&undo.Plan))
	latest, before = plans()
	require.Equal(t, rolledBack, latest)
	require.Equal(t, map[string]accounting.PlanState{"a": "moving", "b": "reached", "gone": "reached", "mine": "stopped"}, before, "it is in force again")
	_, err = s.RollBackBudgetPlan(t.Context(), first.ID, "tester", "", s.now())
	require.NoError(t, err)
	changeBudget(t, s, "plan-mine", accounting.BudgetChange{Limit: ref(dec("8"))})
	_, before = plans()
	require.Equal(t, map[string]accounting.PlanState{"a": "rolled_back", "b": "rolled_back", "gone": "rolled_back", "mine": "stopped"}, before)
}

func TestARollbackPutsBackAtOnceWhatWasBefore(t *testing.T) {
	s, nextDay := planStore(t)
	first := apply(t, s, planOf(t, map[string]string{"a": "1", "b": "1", "gone": "1"}), planner)
	before := limitsOf(t, s)
	hard := planner
	hard.Mode = accounting.ModeHard
	second := apply(t, s, planOf(t, map[string]string{"a": "5", "b": "1", "new": "1"}), hard)
	require.NotContains(t, limitsOf(t, s), "gone")
	require.Equal(t, accounting.PlanRemoved, itemOfCampaign(t, &second, "gone").State)
	nextDay()
	changeBudget(t, s, "plan-b", accounting.BudgetChange{Limit: ref(dec("1"))})

	_, err := s.RollBackBudgetPlan(t.Context(), first.ID, "tester", "", s.now())
	require.ErrorIs(t, err, accounting.ErrPlanNotInForce)
	_, err = s.RollBackBudgetPlan(t.Context(), 1<<40, "tester", "", s.now())
	require.ErrorIs(t, err, accounting.ErrNoBudgetPlan)
	undo, err := s.RollBackBudgetPlan(t.Context(), second.ID, "tester", "meetings fell", s.now())
	require.NoError(t, err)
	actions := map[string]string{}
	for _, r := range undo.Restored {
		actions[r.CampaignID] = r.Action
	}
	require.Equal(t, map[string]string{"a": "restored", "b": "left", "gone": "restored", "new": "removed"}, actions)
	require.Equal(t, map[string]string{"a": before["a"], "gone": before["gone"]}, limitsOf(t, s))
	a, err := s.FindBudget(t.Context(), "plan-a")
	require.NoError(t, err)
	require.Equal(t, accounting.ModeSoft, a.Mode)
	log := auditLog(t, s, planSubject(second.ID))
	require.Equal(t, []string{accounting.ActionPlanRollback, "meetings fell"}, []string{log[0].Action, *log[0].Reason})

	again, err := s.RollBackBudgetPlan(t.Context(), second.ID, "tester", "", s.now())
	require.NoError(t, err, "a retry")
	require.Equal(t, first.ID, *again.InForce)
	require.Empty(t, again.Restored)
	require.Nil(t, nextDayMoves(nextDay()), "the plan before has arrived")
	page, err := s.ListBudgetPlans(t.Context(), 2, "")
	require.NoError(t, err)
	require.Nil(t, page.Plans[1].EndedAt, "it is in force again")
	require.Equal(t, "plan-gone-2", *itemOfCampaign(t, &page.Plans[1], "gone").BudgetID)
	require.Equal(t, accounting.PlanStopped, itemOfCampaign(t, &page.Plans[1], "b").State)

	_, err = s.RollBackBudgetPlan(t.Context(), 0, "tester", "", s.now())
	require.NoError(t, err)
	require.Empty(t, limitsOf(t, s), "there were none before")
	_, err = s.RollBackBudgetPlan(t.Context(), 0, "tester", "", s.now())
	require.ErrorIs(t, err, accounting.ErrNoBudgetPlan)
	requireExactBudgets(t, s)
}

// nextDayMoves are the moves of a day's steps, nil: none.
func nextDayMoves(steps *accounting.PlanSteps) *int {
	if steps == nil || steps.Moved == 0 {
		return nil
	}
	return &steps.Moved
}

func TestOfManyReplicasOneMakesTheStepOfADayAndTheAutomaticPlan(t *testing.T) {
	s, _ := planStore(t)
	apply(t, s, planOf(t, map[string]string{"a": "400"}), planner)
	tomorrow := s.now().AddDate(0, 0, 1)
	auto := accounting.PlanApplication{ID: "auto/2026-12", Mode: accounting.ModeSoft, Automatic: true, Actor: "automatic"}
	var wg sync.WaitGroup
	var stepped, made atomic.Int32
	for range 4 {
		wg.Go(func() {
			steps, err := s.StepBudgetPlan(t.Context(), tomorrow)
			assert.NoError(t, err)
			if steps != nil {
				stepped.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, stepped.Load())
	require.Equal(t, "256", limitsOf(t, s)["a"], "400 less a fifth, less a fifth")
	for range 4 {
		wg.Go(func() {
			_, isMade, err := s.ApplyBudgetPlan(t.Context(), planOf(t, map[string]string{"b": "1"}), auto, tomorrow)
			assert.NoError(t, err)
			if isMade {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, made.Load())
	alerts := alertsOf(t, s, accounting.AlertFilter{Kind: "budget_plan"})
	require.Len(t, alerts, 1)
	require.Contains(t, alerts[0].Text, "POST /api/budget-plan/rollback")
	require.Len(t, alerts[0].Deliveries, 2)
}

func TestAPlanThatIsRolledBackLeavesNoBudgetsBehindInMemory(t *testing.T) {
	s, _ := planStore(t)
	failed := errors.New("the network broke")
	err := s.inTx(t.Context(), func(tx pgx.Tx) error {
		for _, id := range []string{"a", "b"} {
			b := budgetOf(accounting.ModeSoft, "1")
			b.ID = id
			if _, err := s.createBudget(t.Context(), tx, accounting.NormalizeBudget(b), true, "tester"); err != nil {
				return err
			}
		}
		return failed
	})
	require.ErrorIs(t, err, failed)
	other := openStore(t, shared.url) // another replica makes the version that would have been theirs
	other.opts.Now = s.opts.Now
	createBudget(t, other, budgetOf(accounting.ModeSoft, "1"))
	ship(t, s, closed(noon, "gen-1", "0.5"))
	require.Equal(t, "0.5", periodState(t, s, novemberOf("q4", "")).Settled.String())
	requireExactBudgets(t, s)
}

func TestTheSchemaKeepsPlansConsistent(t *testing.T) {
	s, _ := planStore(t)
	apply(t, s, planOf(t, map[string]string{"a": "1"}), planner)
	ctx := context.WithoutCancel(t.Context())
	for query, constraint := range map[string]string{
		`UPDATE budget_plans SET testing_percent = 16`: "budget_plans_split_check",
		`UPDATE budget_plans SET ending = 'replaced'`:  "budget_plans_ended_check",
		`UPDATE budget_plan_items SET class = NULL`:    "budget_plan_items_in_plan_check",
		`UPDATE budget_plan_items SET before_eur = 1`:  "budget_plan_items_before_check",
		`INSERT INTO budget_plans (year, month, from_day, to_day, amount_eur, reserve_eur, high_roi_percent, standard_percent, testing_percent,
			step_percent, mode, actor, created_at, moved_on) VALUES (2026, 11, now(), now(), 1, 0, 50, 35, 15, 20, 'soft', 'x', now(), now())`: "budget_plans_in_force_idx",
	} {
		_, err := s.pool.Exec(ctx, query)
		require.ErrorContains(t, err, constraint)
	}
}
