package main

import (
	"context"
	"time"

	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/admin/webhook"
)

// toldActivities tells of what it records, so that the dashboard counts it at
// once. Also after an error, which does not say that nothing was written.
type toldActivities struct {
	webhook.Activities
	told func()
}

func (a toldActivities) RecordActivities(ctx context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error) {
	defer a.told()
	return a.Activities.RecordActivities(ctx, list)
}

// toldRates tells of the rates that it saves, in the same way.
type toldRates struct {
	settle.RateStore
	told func()
}

func (r toldRates) SaveRates(ctx context.Context, feed string, rates []accounting.ExchangeRate, now, next time.Time) (accounting.RateChange, error) {
	defer r.told()
	return r.RateStore.SaveRates(ctx, feed, rates, now, next)
}
