package admin

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

func init() {
	economicsColumns[reflect.TypeFor[accounting.DailySeries]()] = map[string]string{
		"name":  "A tag's value, a model, a key's fingerprint; empty: calls without it.",
		"rest":  "The sum of all that are not listed one by one.",
		"total": "Of all these days, EUR.",
		"days":  "Every day, in order.",
	}
	economicsColumns[reflect.TypeFor[accounting.DailyCost]()] = map[string]string{
		"day":      "UTC.",
		"calls":    "That started on it.",
		"cost_usd": "What OpenRouter charged.",
		"cost_eur": "The same at the rate of the day.",
	}
}

var dailyCostsOperation = huma.Operation{
	OperationID: "daily-costs", Method: http.MethodGet, Path: "/api/costs/daily",
	Summary:     "What each day has cost, by one thing",
	Description: "AI costs of UTC days by purpose, campaign, platform, model or key: the dearest one by one, the rest as one series at the end, so that they add up.",
	Tags:        []string{"costs"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

// dailyCostsInput is the query of GET /api/costs/daily.
type dailyCostsInput struct {
	DaysInput
	By    string `query:"by" enum:"purpose,campaign,platform,model,key" default:"purpose" doc:"What the days are told apart by." example:"purpose"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Series one by one." example:"10"`
}

type dailyCosts struct {
	From   accounting.Day           `json:"from" doc:"First day, UTC." example:"2026-11-01"`
	To     accounting.Day           `json:"to" doc:"Last day, included." example:"2026-11-22"`
	Series []accounting.DailySeries `json:"series" nullable:"false" doc:"The dearest first."`
}

// dailyCosts answers GET /api/costs/daily.
func (e *economics) dailyCosts(ctx context.Context, in *dailyCostsInput) (*answer[dailyCosts], error) {
	from, to, err := in.days(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	series, err := e.Store.DailyCosts(reading, from, to, accounting.DailyDimension(in.By), nil, in.Limit)
	if err != nil {
		return nil, err
	}
	return answered(dailyCosts{From: from, To: to, Series: series}), nil
}
