package settle

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

// PlanBook is the database as [BudgetPlans] needs it. Each method does its work
// once over all replicas, in one transaction.
type PlanBook interface {
	// StepBudgetPlan moves the budgets of the plan in force by the step of now's
	// day; nil: somebody has, or there is none.
	StepBudgetPlan(ctx context.Context, now time.Time) (*accounting.PlanSteps, error)
	// ListBudgetPlans lists plans, the newest first.
	ListBudgetPlans(ctx context.Context, limit int, cursor string) (accounting.PlanPage, error)
	// ApplyBudgetPlan turns a plan into budgets, once for each id.
	ApplyBudgetPlan(ctx context.Context, plan accounting.BudgetPlan, a accounting.PlanApplication, now time.Time) (applied accounting.AppliedPlan, made bool, err error)
}

// BudgetPlansOptions configure [BudgetPlans]. A zero duration stands for its
// default.
type BudgetPlansOptions struct {
	Book    PlanBook
	Planner *Planner

	// Automatic: a plan is made and applied at the beginning of each month.
	Automatic bool
	Mode      accounting.Mode // of the budgets of an automatic plan

	Interval time.Duration // default 1 min
	Timeout  time.Duration // of one look; default 1 min: many budgets may have calls to count

	Logger zerolog.Logger
}

// BudgetPlans moves budgets towards the plan in force, a step each UTC day, and
// makes the plan of a month by itself where that is asked for.
type BudgetPlans struct {
	opts   BudgetPlansOptions
	outage outage

	// The latest days of which the step was made, and the automatic plan looked
	// after, by this replica or another.
	stepped, tried accounting.Optional[accounting.Day]
}

// autoDays are the days of a month on which the automatic plan may be applied:
// on the first, or on the first of these on which a Bursar runs. Later the month
// is too far gone.
const autoDays = 7

// NewBudgetPlans checks the options. It starts nothing.
func NewBudgetPlans(o BudgetPlansOptions) (*BudgetPlans, error) {
	if o.Book == nil || o.Planner == nil {
		return nil, errors.New("budget plans: they need a book and a planner")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("budget plans: durations must not be negative")
	}
	setDefault(&o.Interval, time.Minute)
	setDefault(&o.Timeout, time.Minute)
	setDefault(&o.Mode, accounting.ModeSoft)
	return &BudgetPlans{opts: o, outage: outage{log: o.Logger, what: "moving budgets towards their plan"}}, nil
}

// Run looks at once and then at each interval until ctx ends; it returns nil.
func (b *BudgetPlans) Run(ctx context.Context) error {
	every(ctx, b.opts.Interval, b.opts.Timeout, &b.outage, b.look)
	return nil
}

func (b *BudgetPlans) look(ctx context.Context, now time.Time) error {
	return errors.Join(b.step(ctx, now), b.automatic(ctx, now))
}

// step makes the step of the day.
func (b *BudgetPlans) step(ctx context.Context, now time.Time) error {
	today := accounting.DayOf(now)
	if b.stepped.Known && !b.stepped.Value.Before(today) {
		return nil
	}
	steps, err := b.opts.Book.StepBudgetPlan(ctx, now)
	if err != nil {
		return err
	}
	// A plan that is applied later on this day takes its first step then.
	b.stepped = accounting.Some(today)
	if steps != nil && steps.Moved+steps.Stopped > 0 {
		b.opts.Logger.Info().Int64("plan", steps.Plan).Int("moved", steps.Moved).Int("arrived", steps.Arrived).Int("stopped", steps.Stopped).
			Msg("budgets moved towards their plan")
	}
	return nil
}

// automatic applies the plan of the month, unless there is one of it.
func (b *BudgetPlans) automatic(ctx context.Context, now time.Time) error {
	today, month := accounting.DayOf(now), accounting.MonthOf(now)
	if !b.opts.Automatic || today.Start().Day() > autoDays || b.tried.Known && !b.tried.Value.Before(today) {
		return nil
	}
	latest, err := b.opts.Book.ListBudgetPlans(ctx, 1, "")
	if err != nil {
		return err
	}
	if len(latest.Plans) == 0 || latest.Plans[0].Month.Before(month) {
		if err := b.apply(ctx, month, now); err != nil {
			return err
		}
	}
	b.tried = accounting.Some(today)
	return nil
}

func (b *BudgetPlans) apply(ctx context.Context, month accounting.Month, now time.Time) error {
	plan, err := b.opts.Planner.MakePlan(ctx, accounting.PlanRequest{Month: month}, now)
	switch {
	case errors.Is(err, accounting.ErrUnknownBudget):
		b.opts.Logger.Warn().Msg("the budget monthly-ai was deleted, so the automatic plan has no amount to split")
		return nil
	case err != nil:
		return err
	case len(plan.Rows) == 0 || !plan.Amount.IsPositive():
		b.opts.Logger.Info().Str("note", plan.Note).Msg("there is nothing to plan by itself")
		return nil
	}
	applied, made, err := b.opts.Book.ApplyBudgetPlan(ctx, plan, accounting.PlanApplication{
		ID: "auto/" + month.String(), Mode: b.opts.Mode, Automatic: true, Actor: "automatic plan",
	}, now)
	if err == nil && made {
		b.opts.Logger.Info().Int64("plan", applied.ID).Int("campaigns", len(plan.Rows)).Msg("the budget plan of the month is in force")
	}
	return err
}
