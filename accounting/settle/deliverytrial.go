package settle

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"bursar/accounting"
)

// TestAlert sends a test through every channel, at once and without trying
// again, and returns it with what came of each delivery. It is not kept.
func (d *Deliveries) TestAlert(ctx context.Context, actor string) (accounting.Alert, error) {
	now := time.Now().UTC()
	data, err := json.Marshal(map[string]string{"sent_by": actor})
	if err != nil {
		return accounting.Alert{}, fmt.Errorf("write test alert: %w", err)
	}
	a := accounting.Alert{
		Key: "test/" + now.Format(time.RFC3339Nano), Kind: "test", Severity: accounting.SeverityInfo, Subject: "alerts",
		Title: "This channel gets Bursar's alerts",
		Text:  "Somebody has tried the channels on the admin port. Nothing has to be done.",
		Data:  data, CreatedAt: now,
		Deliveries: make([]accounting.AlertDelivery, len(d.lanes)),
	}
	sent := a // without the deliveries, which are written meanwhile
	sent.Deliveries = nil
	var sending sync.WaitGroup
	for i, l := range d.lanes {
		sending.Go(func() { a.Deliveries[i] = l.try(ctx, &sent) })
	}
	sending.Wait()
	return a, nil
}

// try sends a test and reports what came of it.
func (l *deliveryLane) try(ctx context.Context, a *accounting.Alert) accounting.AlertDelivery {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	outcome := accounting.AlertDelivery{Channel: l.channel.Name(), State: "delivered", Attempts: 1}
	if err := l.channel.SendAlert(ctx, a, true); err != nil {
		reason := err.Error()
		outcome.State, outcome.Error = "failed", &reason
		return outcome
	}
	at := time.Now().UTC()
	outcome.DeliveredAt = &at
	return outcome
}
