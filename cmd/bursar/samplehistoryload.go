package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting"
	"bursar/config"
	"bursar/store/postgres"
	"bursar/store/postgres/private"
)

// historyLoader brings a made-up history into the demo's database, by the way
// that calls and activities take in life: the sums move with the rows, alerts
// are raised and months closed, all by a clock of its own.
type historyLoader struct {
	cfg     config.Config
	cluster *private.Cluster // nil: the database is somebody else's
	store   *postgres.Store
	clock   time.Time // the present moment of the story
	history sampleHistory

	unconfirmed toldHistory // of the latest day
}

// sampleActor is who set up the demo, in the audit log.
const sampleActor = "demo"

// loadHistory loads the history up to now into an empty demo, or tells on the
// one that is there if its last day is older than yesterday. It says in one
// line what it does, and is safe to call again after it was interrupted.
//
// The caller leaves the database, even after an error, once it uses it by
// itself: so a private Postgres runs on.
func loadHistory(ctx context.Context, cfg config.Config, log zerolog.Logger, out io.Writer, now time.Time) (leave func() error, err error) {
	l := &historyLoader{cfg: cfg, clock: now, history: sampleHistory{monthly: (&program{cfg: cfg}).monthlyAI(), rate: cfg.Economics.USDToEURRate}}
	l.cluster, l.store, err = openStore(ctx, cfg, log, prometheus.NewRegistry(), func(o *postgres.Options) {
		o.URL = withoutWaiting(o.URL)
		o.Now = func() time.Time { return l.clock }
		o.CostTolerance = cfg.Reconcile.Tolerance
	})
	if err != nil {
		return func() error { return nil }, err
	}
	defer l.store.Close()
	return l.leave, l.tell(ctx, out, now)
}

// withoutWaiting lets commits return before they are on disk: what a crash takes
// away is told again.
func withoutWaiting(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	query := u.Query()
	query.Set("synchronous_commit", "off")
	u.RawQuery = query.Encode()
	return u.String()
}

// leave stops a private Postgres that nobody else uses.
func (l *historyLoader) leave() error {
	if l.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return l.cluster.Stop(ctx)
}

// tell loads what is missing.
func (l *historyLoader) tell(ctx context.Context, out io.Writer, now time.Time) error {
	if err := l.store.Migrate(ctx); err != nil {
		return err
	}
	from, fresh, err := l.resume(ctx, now)
	if err != nil || from.IsZero() {
		return err
	}
	fmt.Fprintf(out, "Making up %d days of history, which takes some seconds …", accounting.DayOf(now).Start().Sub(from)/(24*time.Hour)+1)
	began := time.Now()
	told := l.history.until(now).since(from)
	if err = l.load(ctx, told, from, now, fresh); err == nil {
		fmt.Fprintf(out, " %d calls in %.0f s.\n", len(told.calls), time.Since(began).Seconds())
	}
	return err
}

// resume finds from when on there is no history; the zero time: there is
// nothing to tell. The campaign that ended, which nothing live belongs to, tells
// on which day the history began.
func (l *historyLoader) resume(ctx context.Context, now time.Time) (from time.Time, fresh bool, err error) {
	today := accounting.DayOf(now)
	all, err := l.store.Campaigns(ctx, today.Add(-1000), today, today, nil, 1000)
	if err != nil {
		return from, false, err
	}
	known := false
	for _, c := range all {
		if c.ID == sampleEnded && c.FirstDay != nil {
			l.history.first, known = *c.FirstDay, true
		}
	}
	if !known {
		l.history.first = today.Add(1 - sampleDays)
		return l.history.first.Start(), true, nil
	}
	last := l.history.first
	for _, c := range all {
		if c.LastDay != nil && last.Before(*c.LastDay) {
			last = *c.LastDay
		}
	}
	if !last.Before(today.Add(-1)) {
		return time.Time{}, false, nil
	}
	return last.Start(), false, nil
}

// load tells the history from a day on.
func (l *historyLoader) load(ctx context.Context, told toldHistory, from, now time.Time, fresh bool) error {
	l.clock = from
	if err := l.prepare(ctx, from, now, fresh); err != nil {
		return err
	}
	for day := accounting.DayOf(from); !accounting.DayOf(now).Before(day); day = day.Add(1) {
		if err := l.day(ctx, told.on(day), day, now); err != nil {
			return fmt.Errorf("load the history of %s: %w", day, err)
		}
	}
	l.clock = now
	return l.conclude(ctx, now, fresh)
}

// on is what of the history happened on a day.
func (t toldHistory) on(day accounting.Day) toldHistory {
	from, rest := t.since(day.Start()), t.since(day.End())
	return toldHistory{calls: from.calls[:len(from.calls)-len(rest.calls)], activities: from.activities[:len(from.activities)-len(rest.activities)]}
}

// day records what happened on a day.
func (l *historyLoader) day(ctx context.Context, told toldHistory, day accounting.Day, now time.Time) error {
	if err := l.closeMonths(ctx, day); err != nil {
		return err
	}
	if n := len(told.calls); n > 0 {
		l.clock = told.calls[n-1].recorded()
	}
	var wg sync.WaitGroup
	var shipped, confirmed error
	wg.Go(func() { shipped = l.ship(ctx, told.calls) })
	wg.Go(func() { confirmed = l.confirm(ctx, l.unconfirmed) })
	wg.Wait()
	if err := errors.Join(shipped, confirmed); err != nil {
		return err
	}
	if l.unconfirmed = told; day == accounting.DayOf(now) {
		if err := l.confirm(ctx, told); err != nil {
			return err
		}
	}
	return l.brakeSpikes(ctx, day)
}

func (l *historyLoader) ship(ctx context.Context, calls []historicCall) error {
	events := make([]accounting.Event, len(calls))
	for i := range calls {
		events[i] = calls[i].Event
	}
	_, err := l.store.Ship(ctx, events)
	return err
}

// confirm records what came after the calls of a day: OpenRouter's own record of
// each, and what became of the leads. Days in a row meet in few rows, so one is
// confirmed while the next is shipped.
func (l *historyLoader) confirm(ctx context.Context, told toldHistory) error {
	var settlements []postgres.Settlement
	for i := range told.calls {
		if c := &told.calls[i]; c.billed.Known {
			settlements = append(settlements, postgres.Settlement{ID: c.ID, Generation: c.record(), At: c.recorded()})
		}
	}
	if _, err := l.store.SettleAll(ctx, settlements); err != nil {
		return err
	}
	_, err := l.store.RecordActivities(ctx, told.activities)
	return err
}

// closeMonths closes what is due on a day, soon after midnight.
func (l *historyLoader) closeMonths(ctx context.Context, day accounting.Day) error {
	l.clock = day.Start().Add(time.Minute)
	if l.clock.Day() != max(1, l.cfg.Reconcile.CloseDay) {
		return nil
	}
	open, err := l.store.OpenMonths(ctx, l.clock)
	if err != nil {
		return err
	}
	for _, month := range accounting.DueMonths(open, l.clock, l.cfg.Reconcile.CloseDay) {
		rest, err := l.store.MonthRest(ctx, month)
		if err != nil {
			return err
		}
		if !rest.IsZero() {
			continue
		}
		if _, err := l.store.CloseMonth(ctx, month, "bursar", l.clock); err != nil {
			return err
		}
	}
	return nil
}

// brakeSpikes looks at the hours of the day on which there is a spike.
func (l *historyLoader) brakeSpikes(ctx context.Context, day accounting.Day) error {
	if day != l.history.first.Add(l.history.officeDay(sampleSpikeDay)) || l.cfg.Spike.Action == "off" {
		return nil
	}
	for hour := range 24 {
		l.clock = day.Start().Add(time.Duration(hour)*time.Hour + 59*time.Minute)
		rule := accounting.SpikeRule{MinUSD: l.cfg.Spike.MinUSD, MinHours: l.cfg.Spike.MinHours}
		if _, err := l.store.BrakeSpikes(ctx, rule, l.clock); err != nil {
			return err
		}
	}
	return nil
}
