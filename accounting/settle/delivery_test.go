package settle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// delivering is deliveries among fakes.
type delivering struct {
	*Deliveries
	t      *testing.T
	outbox *fakeOutbox
	log    *logBook
	reg    *prometheus.Registry
}

func newDelivering(t *testing.T, outbox *fakeOutbox, channels ...*fakeChannel) *delivering {
	d := &delivering{t: t, outbox: outbox, log: new(logBook), reg: prometheus.NewRegistry()}
	o := DeliveriesOptions{Outbox: outbox, Registerer: d.reg, Logger: d.log.logger()}
	outbox.channels = nil
	for _, c := range channels {
		o.Channels, outbox.channels = append(o.Channels, c), append(outbox.channels, c.name)
	}
	var err error
	d.Deliveries, err = NewDeliveries(o)
	require.NoError(t, err)
	return d
}

// raise makes an alert, as a transaction of this process would.
func (d *delivering) raise(key string) int64 {
	a, _, err := d.outbox.RaiseAlert(d.t.Context(), accounting.Alert{Key: key, Kind: "spike", Severity: accounting.SeverityWarning, Title: key})
	require.NoError(d.t, err)
	d.Raised([]accounting.Alert{a})
	return a.ID
}

// start runs deliveries until the returned function is called.
func (d *delivering) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(d.t, <-done)
	}
}

func TestAnAlertIsSentAtOnceThroughEveryChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fakeChannel{name: "a-1"}, &fakeChannel{name: "b-1"}
		d := newDelivering(t, new(fakeOutbox), a, b)
		defer d.start()()
		pass(time.Millisecond)
		began := time.Now()
		id := d.raise("q4")
		pass(time.Millisecond)
		require.Equal(t, []string{"a-1 delivered 1", "b-1 delivered 1"}, d.outbox.states(id))
		require.Equal(t, []string{"spike 1 false"}, a.got())
		require.WithinDuration(t, began, a.at[0], time.Millisecond, "woken, not found by looking")
		require.Equal(t, 1.0, metric(t, d.reg, "bursar_alerts_raised_total", "kind", "spike", "severity", "warning"))
		require.Equal(t, 2.0, metric(t, d.reg, "bursar_alert_deliveries_total", "channel_kind", "fake", "outcome", "delivered"))
		require.Equal(t, 1, d.log.lines("alert: q4"))
	})
}

func TestAnAlertOfAnotherReplicaIsFoundByLooking(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &fakeChannel{name: "a-1"}
		d := newDelivering(t, new(fakeOutbox), c)
		defer d.start()()
		pass(time.Second)
		_, _, err := d.outbox.RaiseAlert(t.Context(), accounting.Alert{Key: "k"})
		require.NoError(t, err)
		pass(5 * time.Second)
		require.Len(t, c.got(), 1)
	})
}

func TestAChannelThatIsDownIsTriedAgainWithGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &fakeChannel{name: "a-1", err: errors.New("connection refused")}
		d := newDelivering(t, new(fakeOutbox), c)
		defer d.start()()
		id := d.raise("q4")
		pass(2 * time.Minute)
		tries := len(c.got())
		require.Greater(t, tries, 3)
		require.Less(t, tries, 8)
		require.Less(t, c.at[1].Sub(c.at[0]), c.at[3].Sub(c.at[2]))
		c.answer(nil)
		pass(10 * time.Minute)
		require.Equal(t, []string{fmt.Sprintf("a-1 delivered %d", tries+1)}, d.outbox.states(id))
		require.Equal(t, float64(tries), metric(t, d.reg, "bursar_alert_deliveries_total", "channel_kind", "fake", "outcome", "retried"))
	})
}

func TestAChannelThatAsksForRestIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &fakeChannel{name: "a-1", err: answered{after: 10 * time.Minute}}
		d := newDelivering(t, new(fakeOutbox), c)
		defer d.start()()
		d.raise("one")
		pass(time.Second)
		d.raise("two")
		pass(9 * time.Minute)
		require.Len(t, c.got(), 1, "neither is sent, since the channel is the same")
		c.answer(nil)
		pass(2 * time.Minute)
		require.Equal(t, []string{"a-1 delivered 2"}, d.outbox.states(1))
		require.Equal(t, []string{"a-1 delivered 1"}, d.outbox.states(2))
	})
}

func TestAFinalRefusalIsGivenUpAndToldThroughTheOtherChannelsOnceADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad, good := &fakeChannel{name: "bad-1", err: answered{permanent: true}}, &fakeChannel{name: "good-1"}
		d := newDelivering(t, new(fakeOutbox), bad, good)
		defer d.start()()
		one, two := d.raise("one"), d.raise("two")
		pass(time.Minute)
		require.Equal(t, []string{"bad-1 failed 1", "good-1 delivered 1"}, d.outbox.states(one))
		require.Equal(t, []string{"bad-1 failed 1", "good-1 delivered 1"}, d.outbox.states(two))
		require.Len(t, bad.got(), 2)
		require.Equal(t, []string{"spike 1 false", "spike 2 false", "channel_failed 3 false"}, good.got())
		require.Len(t, d.outbox.alerts, 3)
		a := d.outbox.alerts[2]
		require.Equal(t, "Alerts do not reach bad-1", a.Title)
		require.Contains(t, a.Text, "not today")
		require.Equal(t, 2, d.log.lines("is given up"))
		require.Equal(t, 2.0, metric(t, d.reg, "bursar_alert_deliveries_total", "channel_kind", "fake", "outcome", "failed"))
	})
}

func TestAnAlertIsGivenUpAfterADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &fakeChannel{name: "a-1", err: errors.New("connection refused")}
		d := newDelivering(t, new(fakeOutbox), c)
		defer d.start()()
		id := d.raise("q4")
		pass(23 * time.Hour)
		require.Contains(t, d.outbox.states(id)[0], "a-1 pending")
		pass(2 * time.Hour)
		require.Contains(t, d.outbox.states(id)[0], "a-1 failed")
		require.Less(t, len(c.got()), 50)
	})
}

func TestAChannelThatHangsHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow, quick := &fakeChannel{name: "slow-1", hangs: true}, &fakeChannel{name: "quick-1"}
		d := newDelivering(t, new(fakeOutbox), slow, quick)
		defer d.start()()
		d.raise("one")
		pass(time.Millisecond)
		require.Equal(t, []string{"slow-1 pending 1", "quick-1 delivered 1"}, d.outbox.states(1))
		pass(31 * time.Second)
		require.Equal(t, []string{"slow-1 pending 1", "quick-1 delivered 1"}, d.outbox.states(1))
		require.Equal(t, "context deadline exceeded", *d.outbox.alerts[0].Deliveries[0].Error)
	})
}

func TestTwoReplicasDeliverAnAlertOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		outbox, c := new(fakeOutbox), &fakeChannel{name: "a-1"}
		one, two := newDelivering(t, outbox, c), newDelivering(t, outbox, c)
		defer one.start()()
		defer two.start()()
		for i := range 20 {
			one.raise(fmt.Sprint(i))
			two.Raised(nil)
		}
		pass(time.Minute)
		require.Len(t, c.got(), 20)
	})
}

func TestADeliveryOfADeadReplicaIsMadeUpForAfterItsLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		outbox, c := new(fakeOutbox), &fakeChannel{name: "a-1"}
		d := newDelivering(t, outbox, c)
		d.raise("q4")
		_, err := outbox.ClaimDeliveries(t.Context(), []string{"a-1"}, time.Now(), d.lease(), 1) // and dies
		require.NoError(t, err)
		defer d.start()()
		pass(time.Minute)
		require.Empty(t, c.got())
		pass(time.Minute)
		require.Equal(t, []string{"a-1 delivered 2"}, outbox.states(1))
	})
}

func TestAStopInTheMiddleOfASendLeavesItToTheNextProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		outbox, c := new(fakeOutbox), &fakeChannel{name: "a-1", hangs: true}
		d := newDelivering(t, outbox, c)
		stop := d.start()
		d.raise("q4")
		pass(time.Second)
		stop()
		require.Equal(t, []string{"a-1 pending 1"}, outbox.states(1))
		c.hangs = false
		next := newDelivering(t, outbox, c)
		defer next.start()()
		pass(time.Millisecond)
		require.Equal(t, []string{"a-1 delivered 2"}, outbox.states(1), "at once, not after the lease")
	})
}

func TestDeliveriesOutliveTheDatabase(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &fakeChannel{name: "a-1"}
		d := newDelivering(t, new(fakeOutbox), c)
		d.raise("q4")
		d.outbox.fail(errors.New("connection refused"))
		defer d.start()()
		pass(time.Hour)
		require.Equal(t, 1, d.log.lines("trouble with reading and noting deliveries"))
		d.outbox.fail(nil)
		pass(5 * time.Minute)
		require.Contains(t, d.outbox.states(1)[0], "a-1 delivered")
		require.Equal(t, 1, d.log.lines("no more trouble"))
	})
}

func TestATestReportsEveryChannelAndKeepsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		good, bad, slow := &fakeChannel{name: "good-1"}, &fakeChannel{name: "bad-1", err: answered{}}, &fakeChannel{name: "slow-1", hangs: true}
		d := newDelivering(t, new(fakeOutbox), good, bad, slow)
		a, err := d.TestAlert(t.Context(), "admin token")
		require.NoError(t, err)
		require.Len(t, a.Deliveries, 3)
		require.Equal(t, "delivered", a.Deliveries[0].State)
		require.NotNil(t, a.Deliveries[0].DeliveredAt)
		require.Equal(t, "failed", a.Deliveries[1].State)
		require.Equal(t, "not today", *a.Deliveries[1].Error)
		require.Equal(t, "context deadline exceeded", *a.Deliveries[2].Error)
		require.Equal(t, []string{"test 0 true"}, good.got())
		require.JSONEq(t, `{"sent_by":"admin token"}`, string(a.Data))
		require.Empty(t, d.outbox.alerts)
	})
}

func TestWithoutChannelsATestSendsNothing(t *testing.T) {
	d := newDelivering(t, new(fakeOutbox))
	a, err := d.TestAlert(t.Context(), "admin token")
	require.NoError(t, err)
	require.Empty(t, a.Deliveries)
}

func TestOptionsOfDeliveriesAreChecked(t *testing.T) {
	_, err := NewDeliveries(DeliveriesOptions{})
	assert.Error(t, err)
	_, err = NewDeliveries(DeliveriesOptions{Outbox: new(fakeOutbox), Timeout: -1})
	assert.Error(t, err)
}
