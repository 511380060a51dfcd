package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// data asks the admin port and decodes the data of its answer, numbers as they
// are written.
func (r *running) data(method, path, body string, into any) {
	r.t.Helper()
	status, answer := r.ask(method, path, body)
	require.Equal(r.t, http.StatusOK, status, answer)
	envelope := struct {
		Success bool
		Data    any
	}{Data: into}
	require.NoError(r.t, json.Unmarshal([]byte(answer), &envelope), answer)
	require.True(r.t, envelope.Success)
}

func TestAMonthOfEmailsCostsWhatItsCallsAndFixedCostsAddUpTo(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake, func(cfg *config.Config) {
		cfg.Upstream.APIKey = config.NewSecret("sk-or-test")
		cfg.Economics.MeetingValue = "1000"
	})
	const body = `{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Write an email"}]}`
	for _, lead := range []string{"ada", "bob", "ada"} {
		status, answer := r.call("/api/v1/chat/completions", body, "X-Campaign-ID", "q4", "X-Lead-ID", lead, "X-Email-ID", "mail-"+lead, "X-Purpose", "email_generation")
		require.Equal(t, http.StatusOK, status, answer)
	}
	r.requireLedgersAgree(30 * time.Second)

	var recorded struct{ Recorded, Known int }
	const sent = `{"id":"msg-1","type":"email_sent","campaignId":"q4","leadId":"ada","emailId":"mail-ada","platform":"instantly"}`
	r.data("POST", "/api/costs/record-activity", sent, &recorded)
	require.Equal(t, 1, recorded.Recorded)
	r.data("POST", "/api/costs/record-activity", sent, &recorded)
	require.Equal(t, 1, recorded.Known, "sent twice, counted once")
	r.data("POST", "/api/leads/ada/converted", `{"campaignId":"q4"}`, &recorded)

	var month struct {
		CostPerEmail, CostPerMeeting, TotalMonthlySpend, ExchangeRate, RemainingCredits decimal.NullDecimal
		CostBreakdown                                                                   struct {
			Variable struct{ OpenRouter decimal.Decimal }
		}
		EmailsSent, MeetingsBooked int
	}
	r.data("GET", "/api/costs/dashboard-metrics", "", &month)
	billed := fake.Total()
	require.True(t, billed.IsPositive())
	variable := billed.Mul(decimal.RequireFromString("0.92"))
	require.True(t, variable.Equal(month.CostBreakdown.Variable.OpenRouter), "%s of %s", month.CostBreakdown.Variable.OpenRouter, billed)
	require.True(t, variable.Add(decimal.NewFromInt(123)).Equal(month.TotalMonthlySpend.Decimal))
	require.Equal(t, []int{1, 1}, []int{month.EmailsSent, month.MeetingsBooked})
	require.True(t, month.TotalMonthlySpend.Decimal.DivRound(decimal.NewFromInt(1), 10).Equal(month.CostPerEmail.Decimal))
	require.True(t, month.RemainingCredits.Valid, "the account can be read with the injected key")

	var campaigns struct {
		Rows []struct {
			ID             string
			AICostUSD      decimal.Decimal `json:"ai_cost_usd"`
			FixedCost      decimal.Decimal `json:"fixed_cost"`
			ProcessedLeads int             `json:"processed_leads"`
			SentLeads      int             `json:"sent_leads"`
			Value          decimal.Decimal
			Band           string
		}
	}
	r.data("GET", "/api/campaigns", "", &campaigns)
	require.Len(t, campaigns.Rows, 1)
	q4 := campaigns.Rows[0]
	require.True(t, billed.Equal(q4.AICostUSD))
	require.Equal(t, "123", q4.FixedCost.String(), "the only email of the month carries it all")
	require.Equal(t, []int{2, 1}, []int{q4.ProcessedLeads, q4.SentLeads})
	require.Equal(t, "1000", q4.Value.String())
	require.Equal(t, "not_enough_data", q4.Band)

	var waste struct {
		Kinds []struct {
			Kind  string
			Count int
		}
	}
	r.data("GET", "/api/waste", "", &waste)
	for _, kind := range waste.Kinds {
		if kind.Kind == "redrafted" {
			require.Equal(t, 1, kind.Count, "ada's email was written twice")
		}
	}
	var report struct {
		Totals struct {
			Calls   int
			CostUSD decimal.Decimal `json:"cost_usd"`
		}
	}
	r.data("GET", "/api/costs/usage-report?days=2", "", &report)
	require.Equal(t, 3, report.Totals.Calls)
	require.True(t, billed.Equal(report.Totals.CostUSD))

	status, _ := r.ask("DELETE", "/api/activities/msg-1", "")
	require.Equal(t, http.StatusOK, status)
	r.data("GET", "/api/costs/dashboard-metrics", "", &month)
	require.Zero(t, month.EmailsSent)
	require.False(t, month.CostPerEmail.Valid, "nothing sent is no cost of zero")
}

func TestTheDefaultTargetsAreThoseOfTheFoundingDocuments(t *testing.T) {
	cfg, err := config.Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%+v", accounting.DefaultTargets()), fmt.Sprintf("%+v", targets(&cfg.Economics)))
	cfg.Economics.TierPremium, cfg.Economics.ScoreWeightCost = decimal.RequireFromString("0.99"), 5
	changed := targets(&cfg.Economics)
	require.Equal(t, "0.99 5", fmt.Sprintf("%s %d", changed.Tiers.Premium, changed.Weights.Cost))
}

func TestThePageOfSettingsNamesEveryVariableOfATargetAndNoOther(t *testing.T) {
	r := startProgram(t, startFake(t))
	_, page := r.ask(http.MethodGet, "/settings", "")
	shown := regexp.MustCompile(`BURSAR_ECONOMICS_[A-Z_]+`).FindAllString(page, -1)
	target := regexp.MustCompile(`^BURSAR_ECONOMICS_(TARGET|DASHBOARD|SCORE_WEIGHT|BAND|TIER|INVEST|REDUCE|MIN_LEADS)`)
	var wanted []string
	for _, key := range config.Keys() {
		if target.MatchString(key.Env) {
			wanted = append(wanted, key.Env)
		}
	}
	require.NotEmpty(t, wanted)
	require.ElementsMatch(t, wanted, shown)
}
