package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/config"
)

func TestADashboardFollowsTheECBAndFixedCostsOfItsMonth(t *testing.T) {
	fake := startFake(t)
	ecb := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
			<Cube><Cube time="%s"><Cube currency="USD" rate="1.25"/></Cube></Cube></gesmes:Envelope>`, time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	}))
	t.Cleanup(ecb.Close)
	r := startProgram(t, fake, func(cfg *config.Config) {
		cfg.Upstream.APIKey = config.NewSecret("sk-or-test")
		cfg.Rates.ECBURL = ecb.URL
		cfg.Economics.InstantlyCost = decimal.NewFromInt(97)
	})
	var book struct {
		Rates []struct {
			Rate   decimal.Decimal `json:"usd_to_eur"`
			Source string
		}
	}
	require.Eventually(t, func() bool {
		r.data("GET", "/api/exchange-rates", "", &book)
		return len(book.Rates) == 1
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, "0.8 ecb", book.Rates[0].Rate.String()+" "+book.Rates[0].Source)
	require.Eventually(t, func() bool { return r.budgeting.rate.present().String() == "0.8" }, 30*time.Second, 20*time.Millisecond)

	status, answer := r.call("/api/v1/chat/completions", `{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Write an email"}]}`)
	require.Equal(t, http.StatusOK, status, answer)
	r.requireLedgersAgree(30 * time.Second)
	total := func() decimal.Decimal {
		var month struct{ TotalMonthlySpend decimal.Decimal }
		r.data("GET", "/api/costs/dashboard-metrics", "", &month)
		return month.TotalMonthlySpend
	}
	variable := fake.Total().Mul(decimal.RequireFromString("0.8"))
	var budget struct {
		Status []struct{ Settled decimal.Decimal }
	}
	r.data("GET", "/api/budgets/monthly-ai", "", &budget)
	require.Equal(t, variable.String(), budget.Status[0].Settled.String(), "a budget in EUR counts the EUR that the dashboard shows")
	require.Equal(t, variable.Add(decimal.NewFromInt(97+48)).String(), total().String())

	var costs struct{ Present []struct{ Name string } }
	r.data("PUT", "/api/fixed-costs/heyreach", `{"eur":79.5,"platform":"heyreach"}`, &costs)
	require.Len(t, costs.Present, 3)
	require.Equal(t, variable.Add(decimal.RequireFromString("224.5")).String(), total().String())
	r.data("DELETE", "/api/fixed-costs/heyreach/"+time.Now().UTC().Format("2006-01"), "", &costs)
	require.Len(t, costs.Present, 2)

	var change struct{ Changed int }
	r.data("PUT", "/api/exchange-rates", fmt.Sprintf(`{"rates":[{"day":%q,"usd_to_eur":0.5}]}`, time.Now().UTC().Format(time.DateOnly)), &change)
	require.Equal(t, 1, change.Changed)
	require.Equal(t, fake.Total().Mul(decimal.RequireFromString("0.5")).Add(decimal.NewFromInt(145)).String(), total().String())
}

// brokenRates is a database that may or may not have written.
type brokenRates struct{ settle.RateStore }

func (brokenRates) SaveRates(context.Context, string, []accounting.ExchangeRate, time.Time, time.Time) (accounting.RateChange, error) {
	return accounting.RateChange{}, errors.New("the connection broke")
}

func TestARateFromTheFeedMakesTheDashboardNewEvenIfItsWritingIsInDoubt(t *testing.T) {
	told := 0
	_, err := toldRates{brokenRates{}, func() { told++ }}.SaveRates(t.Context(), "ecb", nil, time.Time{}, time.Time{})
	require.Error(t, err)
	require.Equal(t, 1, told)
}
