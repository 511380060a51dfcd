package admin

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// ExchangeRates keeps dated rates. It is called concurrently and must return
// when ctx ends.
type ExchangeRates interface {
	// ExchangeRates lists the rates of the days from from to to, both included,
	// the newest first.
	ExchangeRates(ctx context.Context, from, to accounting.Day) (accounting.RateBook, error)
	// PutExchangeRates sets rates in the name of by, all or none, converts the
	// open months anew, and writes its entry of the audit log.
	PutExchangeRates(ctx context.Context, rates []accounting.ExchangeRate, by string) (accounting.RateChange, error)
}

var listRatesOperation = huma.Operation{
	OperationID: "list-exchange-rates", Method: http.MethodGet, Path: "/api/exchange-rates",
	Summary: "What a dollar is worth, by day",
	Description: "Rates dated to some UTC days, the newest first. A call is converted at the latest rate dated on or before its day, since there is none for weekends and holidays, " +
		"else at default_usd_to_eur, which is USD_TO_EUR_RATE. source is api for a rate that was set here, ecb for one of the European Central Bank's feed, inverted to 10 decimals.",
	Tags: []string{"costs"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var putRatesOperation = huma.Operation{
	OperationID: "put-exchange-rates", Method: http.MethodPut, Path: "/api/exchange-rates",
	Summary: "Set what a dollar is worth",
	Description: "Sets the rates of some days, all or none, in place of those that were there; no feed replaces them. Open months are converted anew and listed in months; " +
		"closed months keep their figures, and budgets what they were charged. Audited.",
	Tags: []string{"costs"}, Security: needsToken, MaxBodyBytes: 1 << 20,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

func (e *economics) rateRoutes(api huma.API) {
	if e.Rates != nil {
		huma.Register(api, listRatesOperation, operation(e.listRates))
		huma.Register(api, putRatesOperation, operation(e.putRates))
		describeType(api, reflect.TypeFor[accounting.ExchangeRate](), rateColumns)
	}
	if e.FixedCosts != nil {
		huma.Register(api, listFixedCostsOperation, operation(e.listFixedCosts))
		huma.Register(api, putFixedCostOperation, operation(e.putFixedCost))
		huma.Register(api, deleteFixedCostOperation, operation(e.deleteFixedCost))
		describeType(api, reflect.TypeFor[accounting.DatedFixedCost](), fixedCostColumns)
		describeType(api, reflect.TypeFor[accounting.NamedCost](), namedCostColumns)
	}
}

// rateColumns describes an [accounting.ExchangeRate].
var rateColumns = map[string]string{
	"day": "From this UTC day on, until that of the next rate.", "usd_to_eur": "EUR for one USD.",
	"source": "api: set by hand; ecb: of the European Central Bank.", "recorded_at": "When it was stored.",
}

// ratesInput is the query of GET /api/exchange-rates.
type ratesInput struct {
	From string `query:"from" maxLength:"10" doc:"First day, UTC; default: 90 days before to." example:"2026-11-01"`
	To   string `query:"to" maxLength:"10" doc:"Last day, included; default: today." example:"2026-11-22"`
}

// defaultRateDays is how many days are listed unless somebody asks for others.
const defaultRateDays = 90

// listRates answers GET /api/exchange-rates.
func (e *economics) listRates(ctx context.Context, in *ratesInput) (*answer[accounting.RateBook], error) {
	to := accounting.DayOf(e.Now())
	var wrong []fieldError
	if in.To != "" {
		to, wrong = dayIn("to", in.To)
	}
	from := to.Add(-defaultRateDays)
	if in.From != "" {
		day, bad := dayIn("from", in.From)
		from, wrong = day, append(wrong, bad...)
	}
	if len(wrong) == 0 {
		switch {
		case to.Before(from):
			wrong = append(wrong, fieldError{Field: "to", Value: shown(in.To), Message: "expected a day not before from"})
		case from.Add(accounting.MaxRates - 1).Before(to):
			wrong = append(wrong, fieldError{Field: "from", Value: shown(in.From), Message: "expected at most 1000 days at once",
				Allowed: "a day from " + to.Add(1-accounting.MaxRates).String() + " on"})
		}
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	reading, cancel := limited(ctx)
	defer cancel()
	book, err := e.Rates.ExchangeRates(reading, from, to)
	if err != nil {
		return nil, err
	}
	return answered(book), nil
}

// RateBody is one rate as somebody writes it.
type RateBody struct {
	Day      string            `json:"day" maxLength:"10" doc:"UTC, from 1999 to today." example:"2026-11-20"`
	USDToEUR accounting.Amount `json:"usd_to_eur" doc:"EUR for one USD, 0.2 to 5." example:"0.9468"`
}

// putRatesInput is the request of PUT /api/exchange-rates.
type putRatesInput struct {
	Body struct {
		Rates []RateBody `json:"rates" minItems:"1" maxItems:"1000" nullable:"false" doc:"At most one a day."`
	}
}

// rateChange is the data of PUT /api/exchange-rates.
type rateChange struct {
	Changed int                `json:"changed" doc:"Rates that are new or other than before." example:"1"`
	Months  []accounting.Month `json:"months" nullable:"false" doc:"Open months whose figures moved."`
}

// putRates answers PUT /api/exchange-rates.
func (e *economics) putRates(ctx context.Context, in *putRatesInput) (*answer[rateChange], error) {
	now := e.Now()
	rates := make([]accounting.ExchangeRate, 0, len(in.Body.Rates))
	seen := make(map[accounting.Day]bool, len(in.Body.Rates))
	var wrong []fieldError
	for i, body := range in.Body.Rates {
		place := fmt.Sprintf("rates[%d]", i)
		day, bad := dayIn(place+".day", body.Day)
		if wrong = append(wrong, bad...); len(bad) > 0 {
			continue
		}
		r := accounting.ExchangeRate{Day: day, USDToEUR: body.USDToEUR, Source: accounting.RateByHand}
		if err := accounting.CheckRate(r, now); err != nil {
			field, sent := place+".usd_to_eur", shownAmount(&body.USDToEUR)
			if accounting.DayOf(now).Before(day) || day.Before(accounting.EarliestRate) {
				field, sent = place+".day", shown(body.Day)
			}
			wrong = append(wrong, fieldError{Field: field, Value: sent, Message: err.Error()})
		}
		if seen[day] {
			wrong = append(wrong, fieldError{Field: place + ".day", Value: shown(body.Day), Message: "expected each day once"})
		}
		seen[day] = true
		rates = append(rates, r)
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong[:min(len(wrong), maxWrong)]...)
	}
	writing, cancel := limited(ctx)
	defer cancel()
	change, err := e.Rates.PutExchangeRates(writing, rates, actorOf(ctx))
	e.dashboard.drop() // an error does not say that nothing was written
	if err != nil {
		return nil, err
	}
	return answered(rateChange{Changed: change.Changed, Months: append([]accounting.Month{}, change.Months...)}), nil
}
