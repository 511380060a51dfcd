package settle

import (
	"context"
	"math/rand/v2"
	"time"

	"bursar/accounting"
)

const (
	// claimLength is for how long a day is one replica's; one that dies holds
	// it up no longer.
	claimLength = 15 * time.Minute
	// restPeriod is for how long after its end a day is looked at again while
	// calls of it are open or unverified.
	restPeriod = 72 * time.Hour
)

// troubleBackoff is the pause after a look at which OpenRouter gave no answer.
var troubleBackoff = backoff{first: 15 * time.Minute, most: 6 * time.Hour}

// Run reconciles each day after it is complete, once over all replicas, until
// ctx ends; it returns nil. Days that were missed are made up for, as far back
// as OpenRouter keeps them. A failure is tried again at the next check.
func (r *Reconciler) Run(ctx context.Context) error {
	if !r.opts.Enabled {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		err := r.check(ctx)
		switch {
		case err == nil:
			r.outage.ended()
		case ctx.Err() == nil:
			r.outage.failed(err)
		}
		sleep(ctx, r.opts.CheckInterval)
	}
	return nil
}

// check reconciles what is due, and shows the latest figures, whichever
// replica found them.
func (r *Reconciler) check(ctx context.Context) error {
	now := r.opts.Now()
	since, until := dueRange(now, r.opts.After)
	days, err := r.opts.Days.DaysToReconcile(ctx, since, until, now)
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := r.work(ctx, day); err != nil {
			return err
		}
	}
	latest, err := r.opts.Findings.LatestReconciliations(ctx)
	if err != nil {
		return err
	}
	r.metrics.show(latest)
	return nil
}

// work reconciles a day if nobody else does.
func (r *Reconciler) work(ctx context.Context, day accounting.Day) error {
	now := r.opts.Now()
	attempts, claimed, err := r.opts.Days.ClaimDay(ctx, day, now, now.Add(claimLength))
	if err != nil || !claimed {
		return err
	}
	list, trouble, err := r.reconcileDay(ctx, day)
	if err != nil {
		return err // the claim ends by itself
	}
	if trouble != nil {
		r.opts.Logger.Warn().Err(trouble).Stringer("day", day).Int("attempt", attempts).
			Msg("OpenRouter's figures were not all to be had")
	}
	now = r.opts.Now()
	return r.opts.Days.ReleaseDay(ctx, day, nextLook(day, list, trouble != nil, attempts, now), now)
}

// dueRange are the days to look at: those that are complete at now and that
// OpenRouter still keeps.
func dueRange(now time.Time, after time.Duration) (since, until accounting.Day) {
	return accounting.DayOf(now).Add(-activityDays), accounting.DayOf(now.Add(-after)).Add(-1)
}

// nextLook is when a day is to be looked at again; the zero time: it is done.
// After three days its open calls are an operator's, and a source that has
// given no answer will give none.
func nextLook(day accounting.Day, list []accounting.Reconciliation, trouble bool, attempts int, now time.Time) time.Time {
	if !now.Before(day.End().Add(restPeriod)) {
		return time.Time{}
	}
	if trouble {
		return now.Add(troubleBackoff.delay(attempts-1, rand.Float64()))
	}
	for i := range list {
		if !list[i].Settled() {
			return now.Add(24 * time.Hour)
		}
	}
	return time.Time{}
}
