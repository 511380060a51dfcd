package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakePlanBook is the database of several replicas: one campaign, and a step
// and an automatic plan that each are made once.
type fakePlanBook struct {
	mu      sync.Mutex
	spent   string // of the campaign; empty: there is none
	budget  accounting.Budget
	gone    bool // the budget monthly-ai was deleted
	err     error
	asked   [2]accounting.Day
	steps   []accounting.Day
	plans   []accounting.AppliedPlan
	applied []accounting.PlanApplication
}

func (b *fakePlanBook) Campaigns(_ context.Context, from, to, _ accounting.Day, _ *string, _ int) ([]accounting.CampaignSums, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = [2]accounting.Day{from, to}
	if b.spent == "" {
		return nil, b.err
	}
	return []accounting.CampaignSums{{ID: "q4", Calls: 1, AICostEUR: accounting.Amount{Decimal: usd(b.spent)}, ProcessedLeads: 100, SentLeads: 60, Emails: 60}}, b.err
}

func (b *fakePlanBook) Months(_ context.Context, from, _ accounting.Month) ([]accounting.MonthReport, error) {
	return []accounting.MonthReport{{MonthFigures: accounting.MonthFigures{Month: from, USDToEUR: usd("0.922")}}}, nil
}

func (b *fakePlanBook) FindBudget(_ context.Context, id string) (accounting.Budget, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone || id != accounting.BudgetMonthlyAI {
		return accounting.Budget{}, accounting.ErrUnknownBudget
	}
	return b.budget, nil
}

func (b *fakePlanBook) PlanBudgets(context.Context, time.Time) ([]accounting.PlanBudget, error) {
	return []accounting.PlanBudget{{ID: "plan-q4", CampaignID: "q4", Limit: accounting.Amount{Decimal: usd("50")},
		Currency: accounting.EUR, Period: accounting.PeriodMonth, Mode: accounting.ModeSoft, Planned: true}}, nil
}

func (b *fakePlanBook) StepBudgetPlan(_ context.Context, now time.Time) (*accounting.PlanSteps, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if n := len(b.steps); n > 0 && !b.steps[n-1].Before(accounting.DayOf(now)) {
		return nil, nil
	}
	b.steps = append(b.steps, accounting.DayOf(now))
	return &accounting.PlanSteps{Plan: 1, Moved: 1}, nil
}

func (b *fakePlanBook) ListBudgetPlans(context.Context, int, string) (accounting.PlanPage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.plans) == 0 {
		return accounting.PlanPage{}, b.err
	}
	return accounting.PlanPage{Plans: b.plans[len(b.plans)-1:]}, b.err
}

func (b *fakePlanBook) ApplyBudgetPlan(_ context.Context, plan accounting.BudgetPlan, a accounting.PlanApplication, _ time.Time) (accounting.AppliedPlan, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.plans {
		if *b.plans[i].RequestID == a.ID {
			return b.plans[i], false, nil
		}
	}
	applied := accounting.AppliedPlan{ID: int64(len(b.plans) + 1), RequestID: &a.ID, Month: plan.Month, Amount: plan.Amount}
	b.plans, b.applied = append(b.plans, applied), append(b.applied, a)
	return applied, true, nil
}

func (b *fakePlanBook) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func newPlanBook() *fakePlanBook {
	return &fakePlanBook{spent: "10", budget: accounting.Budget{Currency: accounting.EUR, Limit: accounting.Amount{Decimal: usd("77")}}}
}

func newPlans(t *testing.T, b *fakePlanBook, log *logBook, automatic bool) *BudgetPlans {
	t.Helper()
	plans, err := NewBudgetPlans(BudgetPlansOptions{Book: b, Automatic: automatic, Interval: time.Hour, Logger: log.logger(), Planner: &Planner{
		Figures: b, Targets: accounting.DefaultTargets(), Split: accounting.DefaultPlanSplit(), Step: decimal.NewFromInt(20)}})
	require.NoError(t, err)
	return plans
}

// running runs loops until the function that it returns is called.
func running(loops ...*BudgetPlans) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { _ = l.Run(ctx) })
	}
	return func() { cancel(); wg.Wait() }
}

func TestReplicasMoveBudgetsOnceADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, log := newPlanBook(), new(logBook)
		began := accounting.DayOf(time.Now())
		stop := running(newPlans(t, b, log, false), newPlans(t, b, log, false))
		defer stop()
		pass(50 * time.Hour)
		assert.Equal(t, []accounting.Day{began, began.Add(1), began.Add(2)}, b.steps)
		assert.Equal(t, 3, log.lines("budgets moved towards their plan"))
		assert.Empty(t, b.plans, "nobody asked for automatic plans")

		b.set(func() { b.err = errors.New("connection refused") })
		pass(24 * time.Hour)
		assert.Len(t, b.steps, 3)
		b.set(func() { b.err = nil })
		pass(24 * time.Hour)
		assert.Len(t, b.steps, 5, "the fourth day's when the database was back, the fifth day's at midnight")
		assert.Equal(t, 4, log.lines("trouble with moving budgets towards their plan"), "of each replica when it began and when it ended")
	})
}

func TestThePlanOfAMonthIsAppliedOnItsFirstDayOnceOverReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) { // time begins on 1 January 2000
		b, log := newPlanBook(), new(logBook)
		stop := running(newPlans(t, b, log, true), newPlans(t, b, log, true))
		defer stop()
		pass(time.Hour)
		require.Len(t, b.plans, 1)
		assert.Equal(t, accounting.PlanApplication{ID: "auto/2000-01", Mode: accounting.ModeSoft, Automatic: true, Actor: "automatic plan"}, b.applied[0])
		assert.Equal(t, "77", b.plans[0].Amount.String())
		pass(29 * 24 * time.Hour)
		assert.Len(t, b.plans, 1)
		pass(2 * 24 * time.Hour)
		require.Len(t, b.plans, 2)
		assert.Equal(t, "auto/2000-02", b.applied[1].ID)
		assert.Equal(t, []string{"2000-01-02", "2000-01-31"}, []string{b.asked[0].String(), b.asked[1].String()})

		// March: a person is quicker.
		id := "mine"
		b.set(func() {
			b.plans = append(b.plans, accounting.AppliedPlan{ID: 3, RequestID: &id, Month: accounting.Month{Year: 2000, Month: time.March}})
		})
		pass(30 * 24 * time.Hour)
		assert.Len(t, b.plans, 3)
	})
}

func TestTheAutomaticPlanWaitsForSomethingToPlanForAWeek(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, log := newPlanBook(), new(logBook)
		b.spent = ""
		stop := running(newPlans(t, b, log, true))
		defer stop()
		pass(time.Hour)
		assert.Equal(t, 1, log.lines("there is nothing to plan by itself"))
		b.set(func() { b.gone = true })
		pass(24 * time.Hour)
		assert.Equal(t, 1, log.lines("was deleted, so the automatic plan has no amount"))
		b.set(func() { b.spent, b.gone = "10", false })
		pass(2 * time.Hour)
		assert.Empty(t, b.plans, "it looks once a day")
		pass(24 * time.Hour)
		assert.Len(t, b.plans, 1)
		b.set(func() { b.spent = "" })
		pass(36 * 24 * time.Hour)
		b.set(func() { b.spent = "10" })
		pass(2 * 24 * time.Hour)
		assert.Len(t, b.plans, 1, "after a week the month is too far gone")
	})
}

func TestAPlanIsMadeAsItIsAskedFor(t *testing.T) {
	b := newPlanBook()
	planner := newPlans(t, b, new(logBook), false).opts.Planner
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	november := accounting.MonthOf(now)
	plan, err := planner.MakePlan(t.Context(), accounting.PlanRequest{Month: november}, now)
	require.NoError(t, err)
	assert.Equal(t, []string{"77", "50/35/15", "20", "77"}, []string{plan.Amount.String(), plan.Split.String(), plan.StepPercent.String(), plan.Rows[0].Limit.String()})
	assert.Equal(t, accounting.PlanRaises, plan.Rows[0].Action)
	assert.Equal(t, "60", plan.Rows[0].FirstStep.String())
	split := accounting.PlanSplit{HighROI: usd("0"), Standard: usd("100"), Testing: usd("0")}
	plan, err = planner.MakePlan(t.Context(), accounting.PlanRequest{Month: november,
		Amount: accounting.Some(usd("40")), Split: accounting.Some(split), Step: accounting.Some(usd("10"))}, now)
	require.NoError(t, err)
	assert.Equal(t, []string{"40", "0/100/0", "45"}, []string{plan.Amount.String(), plan.Split.String(), plan.Rows[0].FirstStep.String()})
	b.budget.Currency = accounting.USD
	plan, err = planner.MakePlan(t.Context(), accounting.PlanRequest{Month: november}, now)
	require.NoError(t, err)
	assert.Equal(t, "70.99", plan.Amount.String(), "77 USD at the month's rate of 0.922, in whole cents")
	b.gone = true
	_, err = planner.MakePlan(t.Context(), accounting.PlanRequest{Month: november}, now)
	require.ErrorIs(t, err, accounting.ErrUnknownBudget)
}

func TestOptionsOfBudgetPlansAreChecked(t *testing.T) {
	b := newPlanBook()
	for _, o := range []BudgetPlansOptions{{}, {Book: b}, {Planner: &Planner{}}, {Book: b, Planner: &Planner{}, Interval: -1}} {
		_, err := NewBudgetPlans(o)
		assert.Error(t, err)
	}
}
