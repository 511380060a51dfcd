package admin

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func modelSums(name, cost, meetings string) accounting.ModelSums {
	return accounting.ModelSums{
		UsageGroup: accounting.UsageGroup{Name: name, UsageTotals: accounting.UsageTotals{Calls: 1200, CostEUR: eur(cost), PromptTokens: 34567}}, Meetings: eur(meetings),
	}
}

func TestModelsShowWhatTheyCostAndBring(t *testing.T) {
	first, second := modelSums("anthropic/claude", "10", "40"), modelSums("", "0.00012", "0")
	perCall, perLead, perMeeting, duration := eur("0.00905"), eur("0.25"), eur("0.25"), eur("1834.6")
	first.CostPerCall, first.CostPerLead, first.CostPerMeeting, first.DurationMS = &perCall, &perLead, &perMeeting, &duration
	first.Finish = map[string]int64{"stop": 1100, "length": 70, "error": 20, "": 10}
	body := browse(t, newEconomicsHandler(t, &fakeEconomics{models: []accounting.ModelSums{first, second}}, nil), "/models", http.StatusOK)
	seen := spaced(body)
	require.Contains(t, seen, "anthropic/claude €10.00 1 200 calls $0.00905 €0.25 0 leads €0.25 40 booked 34 567 in 0 out – 1.83 s first token – – stop 1 100, length 70, error 20, …")
	require.Contains(t, seen, "no model &lt; €0.01 1 200 calls – – 0 leads – 0 booked")
	require.Contains(t, body, `href="/calls?model=anthropic%2Fclaude"`)
	require.NotContains(t, body, "<option></option>", "calls without a model cannot be compared")
}

func TestTwoModelsAreComparedOnThePage(t *testing.T) {
	f := &fakeEconomics{models: []accounting.ModelSums{modelSums("cheap", "10", "40"), modelSums("dear", "100", "40.5")}}
	h := newEconomicsHandler(t, f, nil)
	body := browse(t, h, "/models?a=cheap&b=dear", http.StatusOK)
	require.Contains(t, spaced(body), "cheap is cheaper per meeting. With a probability of over 99 %, cheap pays less")
	require.Contains(t, spaced(browse(t, h, "/models?a=dear&b=cheap", http.StatusOK)), "With a probability of over 99 %, cheap pays less", "whichever stands first")
	require.Contains(t, spaced(body), "dear €100.00 40.5")
	require.Contains(t, body, `<option selected>dear</option>`)
	require.Contains(t, body, `href="?a=cheap&amp;b=dear&amp;from=2026-10&amp;to=2026-10"`, "other months keep what is compared")
	require.Contains(t, spaced(browse(t, h, "/models?a=cheap&b=none", http.StatusOK)), "No call was served by none")
	require.NotContains(t, spaced(browse(t, h, "/models?a=cheap", http.StatusOK)), "With a probability", "one alone is not compared")
}

func TestAModelMayHaveAnyName(t *testing.T) {
	for _, name := range hostileNames {
		f := &fakeEconomics{models: []accounting.ModelSums{modelSums(name, "10", "40"), modelSums("b", "1", "1")}}
		body := browse(t, newEconomicsHandler(t, f, nil), "/models?b=b&a="+url.QueryEscape(name), http.StatusOK)
		require.NotContains(t, body, "<script>alert", name)
		require.NotRegexp(t, `href="(javascript|//|https?:)`, body, name)
		require.Contains(t, body, "cheaper per meeting", name)
	}
}

func TestPlatformsStandBesideEachOther(t *testing.T) {
	f := &fakeEconomics{
		emails: accounting.EmailsByCampaign{"q4": {"instantly": 10}},
		platforms: []accounting.PlatformSums{
			{Platform: "heyreach", AICostEUR: eur("5"), Emails: 20, Meetings: 1, ProcessedLeads: 40, SentLeads: 20},
			{Platform: "instantly", AICostEUR: eur("2"), Emails: 10},
			{Platform: "", AICostEUR: eur("1")},
		},
	}
	seen := spaced(browse(t, newEconomicsHandler(t, f, nil), "/platforms", http.StatusOK))
	require.Contains(t, seen, "Figure instantly heyreach Cost per email €12.50 €0.25", "the dearest first: instantly carries all fixed costs")
	require.Contains(t, seen, "Send rate – 50.0 % likely 35.2 to 64.8 %")
	require.Contains(t, seen, "Conversion 0.0 % likely 0.0 to 27.8 % 5.0 % likely 0.9 to 23.6 %")
	require.Contains(t, seen, "no platform 0 €1.00 €0.00 €1.00")
	require.Contains(t, seen, "Together 30 €8.00 €123.00 €131.00")

	for _, name := range hostileNames {
		f.platforms[0].Platform = name
		body := browse(t, newEconomicsHandler(t, f, nil), "/platforms", http.StatusOK)
		require.NotContains(t, body, "<script>alert", name)
	}
	f.platforms = []accounting.PlatformSums{}
	require.Contains(t, spaced(browse(t, newEconomicsHandler(t, f, nil), "/platforms", http.StatusOK)), "named a platform")
}
