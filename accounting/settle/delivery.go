package settle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Outbox holds the alerts that are on their way to channels.
type Outbox interface {
	// ClaimDeliveries hands out up to limit deliveries to one of channels that
	// are due at now, each to one claimer of all replicas: an alert with that
	// one delivery inside. The claim counts as an attempt, and the delivery is
	// due again after lease.
	ClaimDeliveries(ctx context.Context, channels []string, now time.Time, lease time.Duration, limit int) ([]accounting.Alert, error)
	// FinishDelivery records how a claimed delivery went: without a deliverErr
	// it is delivered, with one it is due again at next, or given up if that
	// is nil.
	FinishDelivery(ctx context.Context, alertID int64, channel string, at time.Time, deliverErr string, next *time.Time) error
	// RaiseAlert makes an alert, once for its key. One about a channel is not
	// delivered through it.
	RaiseAlert(ctx context.Context, a accounting.Alert) (raised accounting.Alert, made bool, err error)
}

// Channel is where alerts are sent. It is called concurrently.
type Channel interface {
	Name() string // without secrets, e.g. slack-1a2b3c4d
	Kind() string // e.g. slack
	// SendAlert tries once to deliver the alert, under an id that is the same
	// in every attempt. The error shows no secret. If it has a method
	// Permanent() bool, that says whether trying again is of no use; if it has
	// RetryAfter() time.Duration, that is how long the receiver asks to be left
	// alone. test marks an alert that is only a test.
	SendAlert(ctx context.Context, a *accounting.Alert, test bool) error
}

// deliveryRetry is the pause after an attempt that failed and may yet succeed.
var deliveryRetry = backoff{first: 5 * time.Second, most: time.Hour}

// outboxRetry is the pause after the database did not answer.
var outboxRetry = backoff{first: time.Second, most: 30 * time.Second}

// DeliveriesOptions configure [Deliveries]. A zero duration stands for its
// default.
type DeliveriesOptions struct {
	Outbox   Outbox
	Channels []Channel // none: alerts are only listed

	Interval    time.Duration // between two looks for deliveries that are due; default 5 s
	Timeout     time.Duration // of one attempt; default 30 s
	GiveUpAfter time.Duration // since the alert was made; default 24 h
	Registerer  prometheus.Registerer
	Logger      zerolog.Logger
}

// Deliveries sends alerts to the channels: each by one replica, again until the
// channel has taken it, at least once whatever dies.
//
// Each channel has a lane, a goroutine that sends one alert after the other, so
// that a channel that hangs holds up no other. Wake leaves a word in each lane.
type Deliveries struct {
	opts    DeliveriesOptions
	metrics *deliveryMetrics
	outage  outage
	lanes   []*deliveryLane
}

// NewDeliveries checks the options. It starts nothing.
func NewDeliveries(o DeliveriesOptions) (*Deliveries, error) {
	if o.Outbox == nil {
		return nil, errors.New("deliveries: they need an outbox")
	}
	if o.Interval < 0 || o.Timeout < 0 || o.GiveUpAfter < 0 {
		return nil, errors.New("deliveries: durations must not be negative")
	}
	setDefault(&o.Interval, 5*time.Second)
	setDefault(&o.Timeout, 30*time.Second)
	setDefault(&o.GiveUpAfter, 24*time.Hour)
	d := &Deliveries{
		opts: o, metrics: newDeliveryMetrics(o.Registerer),
		outage: outage{log: o.Logger, what: "reading and noting deliveries of alerts; they are made up for"},
	}
	for _, c := range o.Channels {
		d.lanes = append(d.lanes, &deliveryLane{Deliveries: d, channel: c, wake: make(chan struct{}, 1)})
	}
	return d, nil
}

// Raised tells of alerts that this process has made: they are logged, counted
// and sent at once. It does not block.
func (d *Deliveries) Raised(alerts []accounting.Alert) {
	for i := range alerts {
		a := &alerts[i]
		d.metrics.raised.WithLabelValues(a.Kind, string(a.Severity)).Inc()
		level := zerolog.WarnLevel
		if a.Severity == accounting.SeverityInfo {
			level = zerolog.InfoLevel
		}
		d.opts.Logger.WithLevel(level).Str("kind", a.Kind).Str("severity", string(a.Severity)).Str("subject", a.Subject).Msg("alert: " + a.Title)
	}
	for _, l := range d.lanes {
		select {
		case l.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Run delivers until ctx ends; it returns nil.
func (d *Deliveries) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, l := range d.lanes {
		running.Go(func() { l.run(ctx) })
	}
	<-ctx.Done()
	running.Wait()
	return nil
}

// lease is for how long a delivery is one replica's.
func (d *Deliveries) lease() time.Duration { return d.opts.Timeout + time.Minute }

// deliveryLane is the way to one channel.
type deliveryLane struct {
	*Deliveries
	channel Channel
	wake    chan struct{} // something may be due
}

func (l *deliveryLane) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		due, err := l.opts.Outbox.ClaimDeliveries(ctx, []string{l.channel.Name()}, time.Now(), l.lease(), 1)
		switch {
		case ctx.Err() != nil && err != nil:
			return
		case err != nil:
			l.outage.failed(err)
			sleep(ctx, outboxRetry.delay(failures, 0.5))
			failures++
			continue
		}
		failures = 0
		l.outage.ended()
		if len(due) == 0 {
			l.rest(ctx)
			continue
		}
		for i := range due {
			sleep(ctx, l.deliver(ctx, &due[i]))
		}
	}
}

// rest waits until something may be due.
func (l *deliveryLane) rest(ctx context.Context) {
	timer := time.NewTimer(l.opts.Interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.wake:
	case <-timer.C:
	}
}

// deliver tries once to send a claimed alert and records what came of it. It
// returns how long the channel wants to be left alone.
func (l *deliveryLane) deliver(ctx context.Context, a *accounting.Alert) time.Duration {
	sending, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	err := l.channel.SendAlert(sending, a, false)
	cancel()
	now := time.Now()
	if err == nil {
		l.metrics.delivered(l.channel.Kind(), now.Sub(a.CreatedAt))
		l.finish(ctx, a, now, "", nil)
		return 0
	}
	if ctx.Err() != nil { // this process ends: another one tries at once
		l.finish(ctx, a, now, "the process that sent it was stopped", &now)
		return 0
	}
	permanent, pause := judgeDelivery(err)
	if permanent || now.Sub(a.CreatedAt) >= l.opts.GiveUpAfter {
		l.finish(ctx, a, now, err.Error(), nil)
		l.giveUp(ctx, a, err, now)
		return pause
	}
	l.metrics.ended(l.channel.Kind(), "retried")
	next := now.Add(max(pause, deliveryRetry.delay(attempts(a)-1, 0.5)))
	l.finish(ctx, a, now, err.Error(), &next)
	return pause
}

// judgeDelivery reads from an error what follows it.
func judgeDelivery(err error) (permanent bool, pause time.Duration) {
	var final interface{ Permanent() bool }
	if errors.As(err, &final) {
		permanent = final.Permanent()
	}
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		pause = max(asked.RetryAfter(), 0)
	}
	return permanent, pause
}

// attempts are those of the delivery inside, this one included.
func attempts(a *accounting.Alert) int {
	if len(a.Deliveries) == 0 {
		return 1
	}
	return a.Deliveries[0].Attempts
}

// finish records an outcome, also while the process stops. Where the database
// does not take it before the claim ends, the alert is delivered again.
func (l *deliveryLane) finish(ctx context.Context, a *accounting.Alert, at time.Time, deliverErr string, next *time.Time) {
	for failures := 0; ; failures++ {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := l.opts.Outbox.FinishDelivery(limited, a.ID, l.channel.Name(), at, deliverErr, next)
		cancel()
		if err == nil {
			return
		}
		l.outage.failed(err)
		if pause := outboxRetry.delay(failures, 0.5); time.Since(at)+pause > time.Minute || !sleep(ctx, pause) {
			return
		}
	}
}

// giveUp tells of a delivery that will not be tried again: in the log, and
// through the other channels, once a day for each.
func (l *deliveryLane) giveUp(ctx context.Context, a *accounting.Alert, cause error, now time.Time) {
	name := l.channel.Name()
	l.metrics.ended(l.channel.Kind(), "failed")
	l.opts.Logger.Error().Err(cause).Int64("alert", a.ID).Str("channel", name).Int("attempts", attempts(a)).Msg("an alert was not delivered, and is given up")
	_, _, err := l.opts.Outbox.RaiseAlert(ctx, accounting.Alert{
		Key:  fmt.Sprintf("channel_failed/%s/%s", name, accounting.DayOf(now)),
		Kind: "channel_failed", Severity: accounting.SeverityCritical, Subject: accounting.ChannelSubject(name),
		Title: fmt.Sprintf("Alerts do not reach %s", name),
		Text: fmt.Sprintf("%q was given up there after %d attempts: %v. POST /api/alerts/test tries every channel. This comes at most once a day for a channel.",
			a.Title, attempts(a), cause),
	})
	if err != nil && ctx.Err() == nil {
		l.outage.failed(err)
	}
}
