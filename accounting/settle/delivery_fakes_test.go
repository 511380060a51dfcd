package settle

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"bursar/accounting"
)

// fakeOutbox claims and keeps deliveries as the database promises.
type fakeOutbox struct {
	mu       sync.Mutex
	channels []string
	alerts   []accounting.Alert
	err      error
}

func (o *fakeOutbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *fakeOutbox) RaiseAlert(_ context.Context, a accounting.Alert) (accounting.Alert, bool, error) {
	meet()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, other := range o.alerts {
		if other.Key == a.Key {
			return other, false, o.err
		}
	}
	a.ID, a.CreatedAt = int64(len(o.alerts)+1), time.Now()
	for _, name := range o.channels {
		if a.Subject != accounting.ChannelSubject(name) {
			now := time.Now()
			a.Deliveries = append(a.Deliveries, accounting.AlertDelivery{AlertID: a.ID, Channel: name, State: "pending", NextAt: &now})
		}
	}
	o.alerts = append(o.alerts, a)
	return a, true, o.err
}

func (o *fakeOutbox) ClaimDeliveries(_ context.Context, channels []string, now time.Time, lease time.Duration, limit int) ([]accounting.Alert, error) {
	meet()
	o.mu.Lock()
	defer o.mu.Unlock()
	var claimed []accounting.Alert
	for _, a := range o.alerts {
		for i := range a.Deliveries {
			d := &a.Deliveries[i]
			if d.State != "pending" || d.NextAt.After(now) || !slices.Contains(channels, d.Channel) || len(claimed) == limit {
				continue
			}
			until := now.Add(lease)
			d.NextAt, d.Attempts = &until, d.Attempts+1
			one := a
			one.Deliveries = []accounting.AlertDelivery{*d}
			claimed = append(claimed, one)
		}
	}
	return claimed, o.err
}

func (o *fakeOutbox) FinishDelivery(_ context.Context, id int64, channel string, at time.Time, deliverErr string, next *time.Time) error {
	meet()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	for i := range o.alerts[id-1].Deliveries {
		d := &o.alerts[id-1].Deliveries[i]
		if d.Channel != channel || d.State != "pending" {
			continue
		}
		switch {
		case deliverErr == "":
			d.State, d.DeliveredAt, d.NextAt = "delivered", &at, nil
		case next == nil:
			d.State, d.Error, d.NextAt = "failed", &deliverErr, nil
		default:
			d.Error, d.NextAt = &deliverErr, next
		}
	}
	return nil
}

// states are those of an alert's deliveries, by channel.
func (o *fakeOutbox) states(id int64) (states []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.alerts[id-1].Deliveries {
		states = append(states, fmt.Sprintf("%s %s %d", d.Channel, d.State, d.Attempts))
	}
	return states
}

// fakeChannel answers as it is told and remembers when it was sent what.
type fakeChannel struct {
	name  string
	mu    sync.Mutex
	err   error
	hangs bool
	sent  []string
	at    []time.Time
}

func (c *fakeChannel) Name() string { return c.name }
func (c *fakeChannel) Kind() string { return "fake" }

func (c *fakeChannel) SendAlert(ctx context.Context, a *accounting.Alert, test bool) error {
	meet()
	c.mu.Lock()
	c.sent, c.at = append(c.sent, fmt.Sprint(a.Kind, " ", a.ID, " ", test)), append(c.at, time.Now())
	err, hangs := c.err, c.hangs
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (c *fakeChannel) answer(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *fakeChannel) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// answered is what a receiver can say.
type answered struct {
	permanent bool
	after     time.Duration
}

func (r answered) Error() string             { return "not today" }
func (r answered) Permanent() bool           { return r.permanent }
func (r answered) RetryAfter() time.Duration { return r.after }
