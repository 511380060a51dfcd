package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeRates remembers what it was asked, through f.
type fakeRates struct {
	*fakeEconomics
	err error
}

func (f *fakeRates) ExchangeRates(_ context.Context, from, to accounting.Day) (accounting.RateBook, error) {
	f.ask("rates %s %s", from, to)
	return accounting.RateBook{Default: *usd("0.92"), Rates: []accounting.ExchangeRate{{Day: to, USDToEUR: *usd("0.9"), Source: accounting.RateByHand}}}, f.err
}

func (f *fakeRates) PutExchangeRates(_ context.Context, rates []accounting.ExchangeRate, by string) (accounting.RateChange, error) {
	for _, r := range rates {
		f.ask("put rate %s %s %s by %s", r.Day, r.USDToEUR, r.Source, by)
	}
	return accounting.RateChange{Changed: len(rates), Months: []accounting.Month{accounting.MonthOf(economicsNow)}}, f.err
}

func (f *fakeRates) FixedCosts(context.Context) (accounting.FixedCostBook, error) {
	return accounting.FixedCostBook{Defaults: []accounting.NamedCost{}, Entries: []accounting.DatedFixedCost{}, Present: []accounting.NamedCost{}}, nil
}

func (f *fakeRates) PutFixedCost(_ context.Context, c accounting.DatedFixedCost, by string) error {
	platform := "everybody"
	if c.Platform != nil {
		platform = *c.Platform
	}
	f.ask("put %s from %s %s for %s by %s", c.Name, c.From, c.EUR, platform, by)
	return f.err
}

func (f *fakeRates) DeleteFixedCost(_ context.Context, name string, from accounting.Month, by string) error {
	f.ask("delete %s from %s by %s", name, from, by)
	return f.err
}

func newRatesHandler(t *testing.T) (*Handler, *fakeRates) {
	f := &fakeRates{fakeEconomics: &fakeEconomics{}}
	return newEconomicsHandler(t, f.fakeEconomics, func(o *EconomicsOptions) { o.Rates, o.FixedCosts = f, f }), f
}

func TestRatesAreListedAndSet(t *testing.T) {
	h, f := newRatesHandler(t)
	data := ask(t, h, "GET", "/api/exchange-rates", "", http.StatusOK)
	require.Equal(t, json.Number("0.92"), data["default_usd_to_eur"])
	require.Len(t, data["rates"], 1)
	ask(t, h, "GET", "/api/exchange-rates?from=2026-01-01&to=2026-02-01", "", http.StatusOK)
	data = ask(t, h, "PUT", "/api/exchange-rates", `{"rates":[{"day":"2026-11-20","usd_to_eur":0.94679038060},{"day":"2026-11-22","usd_to_eur":0.95}]}`, http.StatusOK)
	require.Equal(t, []any{"2026-11"}, data["months"])
	require.Equal(t, []string{
		"rates 2026-08-24 2026-11-22", "rates 2026-01-01 2026-02-01",
		"put rate 2026-11-20 0.9467903806 api by loopback", "put rate 2026-11-22 0.95 api by loopback",
	}, f.asked)
}

func TestRatesThatCannotBeAreNamedAndNoneIsSet(t *testing.T) {
	h, f := newRatesHandler(t)
	for body, field := range map[string]string{
		`{"rates":[{"day":"2026-11-23","usd_to_eur":0.9}]}`:                                       "rates[0].day",
		`{"rates":[{"day":"2026-11-20","usd_to_eur":0.9},{"day":"soon","usd_to_eur":0.9}]}`:       "rates[1].day",
		`{"rates":[{"day":"2026-11-20","usd_to_eur":92}]}`:                                        "rates[0].usd_to_eur",
		`{"rates":[{"day":"2026-11-20","usd_to_eur":0.9},{"day":"2026-11-20","usd_to_eur":0.8}]}`: "rates[1].day",
		`{"rates":[{"day":"2026-11-20"}]}`:                                                        "rates[0]",
		`{"rates":[]}`:                                                                            "rates",
		`{}`:                                                                                      "rates",
	} {
		answer := ask(t, h, "PUT", "/api/exchange-rates", body, http.StatusUnprocessableEntity)
		require.Contains(t, answer["errors"].([]any)[0].(map[string]any)["field"], field, body)
	}
	for _, query := range []string{"from=2026-02-01&to=2026-01-01", "from=2000-01-01", "to=soon", "until=2026-01-01"} {
		ask(t, h, "GET", "/api/exchange-rates?"+query, "", http.StatusUnprocessableEntity)
	}
	require.Empty(t, f.asked)
}

func TestFixedCostsAreSetAndTakenAway(t *testing.T) {
	h, f := newRatesHandler(t)
	ask(t, h, "GET", "/api/fixed-costs", "", http.StatusOK)
	ask(t, h, "PUT", "/api/fixed-costs/apollo", `{"eur":99.99}`, http.StatusOK)
	ask(t, h, "PUT", "/api/fixed-costs/heyreach", `{"eur":79,"from":"2027-01","platform":"heyreach"}`, http.StatusOK)
	ask(t, h, "PUT", "/api/fixed-costs/instantly", `{"eur":97,"from":"2026-10"}`, http.StatusOK)
	ask(t, h, "DELETE", "/api/fixed-costs/apollo/2026-11", "", http.StatusOK)
	require.Equal(t, []string{
		"put apollo from 2026-11 99.99 for everybody by loopback", "put heyreach from 2027-01 79 for heyreach by loopback",
		"put instantly from 2026-10 97 for instantly by loopback", "delete apollo from 2026-11 by loopback",
	}, f.asked)
	f.err = accounting.ErrUnknownFixedCost
	ask(t, h, "DELETE", "/api/fixed-costs/apollo/2026-11", "", http.StatusNotFound)
	f.err = accounting.ErrTooManyFixedCosts
	ask(t, h, "PUT", "/api/fixed-costs/apollo", `{"eur":1}`, http.StatusConflict)
}

func TestFixedCostsThatCannotBeAreNamed(t *testing.T) {
	h, f := newRatesHandler(t)
	for body, field := range map[string]string{
		`{"eur":-1}`:                                "eur",
		`{"eur":9000001}`:                           "eur",
		`{"eur":0.00000000001}`:                     "eur",
		`{}`:                                        "eur",
		`{"eur":1,"from":"November"}`:               "from",
		`{"eur":1,"from":"1998-12"}`:                "from",
		`{"eur":1,"from":"2029-01"}`:                "from",
		`{"eur":1,"platform":" heyreach"}`:          "platform",
		`{"eur":1,"platform":"hey\u0000reach"}`:     "platform",
		`{"eur":1,"from":"2026-11","until":"2027"}`: "until",
	} {
		answer := ask(t, h, "PUT", "/api/fixed-costs/apollo", body, http.StatusUnprocessableEntity)
		require.Contains(t, answer["errors"].([]any)[0].(map[string]any)["field"], field, body)
	}
	ask(t, h, "DELETE", "/api/fixed-costs/apollo/soon", "", http.StatusUnprocessableEntity)
	require.Empty(t, f.asked)
}

func TestTheDashboardForgetsWhatItKnewWhenARateOrAFixedCostChanges(t *testing.T) {
	h, f := newRatesHandler(t)
	for _, change := range []struct{ method, path, body string }{
		{"PUT", "/api/exchange-rates", `{"rates":[{"day":"2026-11-20","usd_to_eur":0.9}]}`},
		{"PUT", "/api/fixed-costs/apollo", `{"eur":1}`},
		{"DELETE", "/api/fixed-costs/apollo/2026-11", ""},
	} {
		ask(t, h, "GET", "/api/costs/dashboard-metrics", "", http.StatusOK)
		ask(t, h, change.method, change.path, change.body, http.StatusOK)
		f.asked = nil
		ask(t, h, "GET", "/api/costs/dashboard-metrics", "", http.StatusOK)
		require.Equal(t, []string{"months 2026-11 2026-11"}, f.asked, change.path)
	}
}
