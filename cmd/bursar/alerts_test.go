package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
)

// alertsListed are the alerts of a kind as the admin port shows them.
func (r *running) alertsListed(kind string) []accounting.Alert {
	r.t.Helper()
	return data[struct{ Alerts []accounting.Alert }](r, http.StatusOK, "GET", "/api/alerts?kind="+kind, "").Alerts
}

// awaitDelivered waits until an alert of the kind is delivered everywhere.
func (r *running) awaitDelivered(kind string) accounting.Alert {
	r.t.Helper()
	var found accounting.Alert
	require.Eventually(r.t, func() bool {
		for _, a := range r.alertsListed(kind) {
			delivered := len(a.Deliveries) > 0
			for _, d := range a.Deliveries {
				delivered = delivered && d.State == "delivered"
			}
			if delivered {
				found = a
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond, "no alert of kind %s is delivered", kind)
	return found
}

// requireExact checks every sum against its rows.
func (r *running) requireExact() {
	r.t.Helper()
	differences, err := r.store.CheckRollups(r.t.Context())
	require.NoError(r.t, err)
	require.Empty(r.t, differences)
	differences, err = r.store.CheckBudgets(r.t.Context())
	require.NoError(r.t, err)
	require.Empty(r.t, differences)
}

func TestABudgetsThresholdArrivesSignedAtAWebhookAndAsAMail(t *testing.T) {
	receiver, mail := startHook(t), startMailbox(t)
	r := startProgram(t, startFake(t), alertingTo(receiver.url(), mail.url()))
	tested := data[accounting.Alert](r, http.StatusOK, "POST", "/api/alerts/test", "")
	require.Len(t, tested.Deliveries, 2)
	for _, d := range tested.Deliveries {
		require.Equal(t, "delivered", d.State, d)
	}
	require.True(t, receiver.await(t, "test", 1)[0].Test)
	require.Len(t, mail.got(), 1)

	r.budget(`{"name":"Q4","scope":{"campaign_id":"q4"},"period":"total","limit":0.000001,"mode":"alert","thresholds":[100]}`)
	status, answer := r.call(chatPath, chatBody, "X-Campaign-ID", "q4")
	require.Equal(t, http.StatusOK, status, answer)
	got := receiver.await(t, "budget_threshold", 1)[0]
	require.Equal(t, "Budget q4: 100 % of 0.000001 USD is spent", got.Title)
	require.Equal(t, "critical", got.Severity)
	require.Contains(t, got.Text, "It only alerts: calls go on.")
	require.Equal(t, "https://bursar.example/", got.Link)
	require.Equal(t, "0.000001", got.field("Limit"))
	listed := r.awaitDelivered("budget_threshold")
	require.Equal(t, got.field("Settled"), fieldsOf(listed)["Settled"])
	require.Equal(t, 1, strings.Count(strings.Join(mail.got(), ""), "Budget q4"), "one mail for all recipients")
	for _, d := range listed.Deliveries {
		require.NotContains(t, d.Channel, webhookSecret)
	}
	_, metrics := r.ask("GET", "/metrics", "")
	require.Contains(t, metrics, `bursar_alerts_raised_total{kind="budget_threshold",severity="critical"} 1`)
	require.Contains(t, metrics, `bursar_alert_deliveries_total{channel_kind="webhook",outcome="delivered"} 1`)
	require.Contains(t, metrics, `bursar_alert_delivery_age_seconds_count{channel_kind="email"} 1`)
	r.requireExact()
}

// fieldsOf are the figures of an alert as its messages show them.
func fieldsOf(a accounting.Alert) map[string]string {
	fields := map[string]string{}
	for _, f := range alertFields(a.Data) {
		fields[f.Name] = f.Value
	}
	return fields
}

func TestAReceiverThatIsDownGetsItsAlertsLaterAndTwoReplicasDeliverOnce(t *testing.T) {
	receiver := startHook(t)
	receiver.down = 2
	fake := startFake(t)
	r := startProgram(t, fake, alertingTo(receiver.url()))
	cfg := testConfig(t, fake)
	alertingTo(receiver.url())(&cfg)
	cfg.Database.URL = r.cfg.Database.URL
	other := startConfigured(t, fake, cfg)
	for i := range 3 {
		r.budget(fmt.Sprintf(`{"name":"B%d","scope":{"campaign_id":"q4"},"period":"total","limit":0.000001,"mode":"alert","thresholds":[50,100]}`, i))
	}
	for _, replica := range []*running{r, other} {
		status, answer := replica.call(chatPath, chatBody, "X-Campaign-ID", "q4")
		require.Equal(t, http.StatusOK, status, answer)
	}
	receiver.await(t, "budget_threshold", 6)
	require.Eventually(t, func() bool {
		for _, a := range other.alertsListed("budget_threshold") {
			if a.Deliveries[0].State != "delivered" {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
	seen := map[string]int{}
	for _, d := range receiver.of("budget_threshold") {
		seen[d.ID]++
	}
	require.Len(t, seen, 6, "two thresholds of three budgets")
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
	attempts := 0
	for _, a := range r.alertsListed("budget_threshold") {
		attempts += a.Deliveries[0].Attempts
	}
	require.Equal(t, 8, attempts, "the two that were turned away came back")
}

// startDear starts a fake whose calls cost what price says, and a Bursar that
// brakes.
func startDear(t *testing.T, price *atomic.Value, action string, receiver *hook) *running {
	fake := startFake(t, func(o *openroutertest.Options) {
		o.Choose = func(*http.Request, []byte) openroutertest.Behavior {
			return openroutertest.Behavior{CostLiteral: price.Load().(string)}
		}
	})
	r := startProgram(t, fake, alertingTo(receiver.url()), func(c *config.Config) {
		c.Spike.Action, c.Spike.Interval = action, 100*time.Millisecond
	})
	// What the campaigns have cost for a day and a half: two cents an hour.
	var calls []accounting.Event
	for h := 1; h <= 36; h++ {
		for i, campaign := range []string{"q4", "calm"} {
			at := time.Now().Add(-time.Duration(h) * time.Hour)
			calls = append(calls, accounting.Event{
				Kind: accounting.Closed, ID: accounting.NewRequestID(at, uint64(h), uint64(i)),
				Tags: accounting.Tags{CampaignID: campaign}, Endpoint: chatPath, Model: cheapModel, RequestedModel: cheapModel,
				HTTPStatus: http.StatusOK, Usage: accounting.Usage{Cost: accounting.ParseCost("0.02")},
			})
		}
	}
	_, err := r.store.Ship(t.Context(), calls)
	require.NoError(t, err)
	return r
}

func TestACampaignThatSuddenlySpendsDollarsIsAlerted(t *testing.T) {
	var price atomic.Value
	price.Store("2.5")
	receiver := startHook(t)
	r := startDear(t, &price, "alert", receiver)
	status, answer := r.call(chatPath, chatBody, "X-Campaign-ID", "q4")
	require.Equal(t, http.StatusOK, status, answer)
	got := receiver.await(t, "spike", 1)[0]
	require.Equal(t, "Campaign q4 has cost 2.50 USD within an hour", got.Title)
	require.Equal(t, "warning", got.Severity)
	require.Equal(t, "https://bursar.example/campaigns/q4", got.Link)
	require.Equal(t, "2.5", got.field("Spent USD"))
	require.Equal(t, "0.02", got.field("Median USD"))
	require.Equal(t, "q4", got.field("Campaign ID"))
	status, _ = r.call(chatPath, chatBody, "X-Campaign-ID", "q4")
	require.Equal(t, http.StatusOK, status, "it is only told")
	r.requireExact()
}

func TestASpikeHoldsItsCampaignAndNoOtherUntilItIsLifted(t *testing.T) {
	var price atomic.Value
	price.Store("2.5")
	receiver := startHook(t)
	r := startDear(t, &price, "hold", receiver)
	status, answer := r.call(chatPath, chatBody, "X-Campaign-ID", "q4")
	require.Equal(t, http.StatusOK, status, answer)
	price.Store("0.001") // else what comes after the hour would be a spike again
	got := receiver.await(t, "spike", 1)[0]
	require.Equal(t, "critical", got.Severity)
	require.Contains(t, got.Title, "and is held")
	refused := r.until(refusedFor(accounting.ReasonHeld), chatPath, chatBody, "X-Campaign-ID", "q4")
	require.Contains(t, refused.body, got.field("Stop ID"))
	status, _ = r.call(chatPath, chatBody, "X-Campaign-ID", "calm")
	require.Equal(t, http.StatusOK, status)
	status, _ = r.call(chatPath, chatBody)
	require.Equal(t, http.StatusOK, status)

	status, answer = r.ask("DELETE", "/api/guard/emergency-stop/"+got.field("Stop ID"), "")
	require.Equal(t, http.StatusOK, status, answer)
	r.until(func(a *clientAnswer) bool { return a.status == http.StatusOK }, chatPath, chatBody, "X-Campaign-ID", "q4")
	r.requireExact()
}

func TestACallWhoseCostStaysUnknownIsEstimatedFromThePriceList(t *testing.T) {
	fake := startFake(t, func(o *openroutertest.Options) {
		o.Choose = func(*http.Request, []byte) openroutertest.Behavior {
			return openroutertest.Behavior{InlineCost: openroutertest.CostAbsent, NeverPublished: true}
		}
	})
	r := startProgram(t, fake, func(c *config.Config) { c.Settle.EstimateAfter = 200 * time.Millisecond })
	require.Eventually(t, func() bool { return r.budgeting.prices.Catalog().Model(cheapModel) != nil }, time.Minute, 10*time.Millisecond)
	status, answer := r.call(chatPath, chatBody)
	require.Equal(t, http.StatusOK, status, answer)
	var row accounting.UsageRow
	require.Eventually(t, func() bool {
		page, err := r.store.ListUsage(t.Context(), accounting.UsageFilter{Limit: 1})
		if err != nil || len(page.Rows) == 0 || page.Rows[0].EstimatedCostUSD == nil {
			return false
		}
		row = page.Rows[0]
		return true
	}, time.Minute, 20*time.Millisecond, "no estimate")
	require.Nil(t, row.CostUSD, "a guess is no cost")
	want := decimal.RequireFromString("0.00000025").Mul(decimal.NewFromInt(*row.PromptTokens)).
		Add(decimal.RequireFromString("0.000002").Mul(decimal.NewFromInt(*row.CompletionTokens)))
	require.Equal(t, want.String(), row.EstimatedCostUSD.String())
	standing := data[struct{ Status []accounting.BudgetStatus }](r, http.StatusOK, "GET", "/api/budgets/status?id="+accounting.BudgetMonthlyAI, "")
	require.Equal(t, want.Mul(decimal.RequireFromString("0.92")).String(), standing.Status[0].Estimated.String(), "in EUR")
	r.requireExact()
}
