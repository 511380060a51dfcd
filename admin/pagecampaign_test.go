package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestTheHeadlineOfACampaignIsWhatToDoAboutIt(t *testing.T) {
	f := twoCampaigns()
	f.waste = []accounting.WasteSum{{Kind: accounting.WasteBounced, Count: 3, CostEUR: eur("0.75")}, {Kind: accounting.WasteFailed}}
	body := browse(t, newEconomicsHandler(t, f, nil), "/campaigns/q4", http.StatusOK)
	seen := spaced(body)
	require.Contains(t, seen, "Invest more Nearly all that is written is sent, and it brings meetings")
	require.Contains(t, seen, "€0.58 100 emails sent · target €0.15")
	require.Contains(t, seen, "€5.80 10 meetings · target €25.00")
	require.Contains(t, seen, "AI €10.00 · fixed €48.00")
	require.Contains(t, seen, "20 000 % worth €2 000.00")
	require.Contains(t, seen, "98 of 100 · excellent · tier premium")
	require.Contains(t, seen, "Send rate 95.0 % 100 % 40 % 95")
	require.Contains(t, seen, "Conversion 10.0 % 5.0 % 35 % 100")
	require.Contains(t, seen, "bounced Verify addresses before you write for them. 3 €0.75")
	require.NotContains(t, seen, "failed Calls that", "nothing was wasted so")
	require.Contains(t, body, `href="/calls?campaign_id=q4"`)
	require.Contains(t, body, `href="/leads?campaign_id=q4"`)
	require.Contains(t, f.asked, "daily 2026-11-01 2026-11-22 by campaign of [q4] limit 1")
}

func TestACampaignWithFewLeadsHasNoVerdict(t *testing.T) {
	f := &fakeEconomics{campaigns: []accounting.CampaignSums{{ID: "new", AICostEUR: eur("0.1"), ProcessedLeads: 3, SentLeads: 3}}}
	seen := spaced(browse(t, newEconomicsHandler(t, f, nil), "/campaigns/new", http.StatusOK))
	require.Contains(t, seen, "Not enough data: 3 of 30 leads Too few leads for a verdict")
	require.Contains(t, seen, "not enough data for a verdict")
	require.Contains(t, seen, "– 0 emails sent", "nothing was sent: no cost per email")
	require.Contains(t, seen, "unknown: say what a meeting is worth")
	require.Contains(t, seen, "No email was sent in these months.")
	require.Contains(t, seen, "Nothing was spent in vain")
	require.Contains(t, seen, "There is no other campaign")
	require.Contains(t, spaced(browse(t, newEconomicsHandler(t, f, nil), "/campaigns/nobody", http.StatusNotFound)), "There is no campaign nobody from 2026-11 to 2026-11")
}

func TestTheFormOfACampaignHoldsAllThatSavingReplaces(t *testing.T) {
	f := twoCampaigns()
	worth, perEmail, perMeeting := eur("1500.50"), eur("0.2"), eur("40")
	f.campaigns[0].Settings = &accounting.CampaignSettings{ID: "q4", Name: ptr("Fourth quarter"), Platform: ptr("instantly"), MeetingValue: &worth, Currency: accounting.USD,
		TargetCostPerEmail: &perEmail, TargetCostPerMeeting: &perMeeting, Testing: true}
	body := browse(t, newEconomicsHandler(t, f, nil), "/campaigns/q4", http.StatusOK)
	for _, field := range []string{
		`name="name" value="Fourth quarter"`, `name="platform" value="instantly"`, `value="1500.5"`, `<option selected>USD</option>`,
		`name="target_cost_per_email" data-json="number" inputmode="decimal" value="0.2"`,
		`name="target_cost_per_meeting" data-json="number" inputmode="decimal" value="40"`, `name="testing" checked`,
	} {
		require.Contains(t, body, field)
	}
	seen := spaced(body)
	require.Contains(t, seen, "Fourth quarter q4 · instantly · November 2026, UTC testing")
	require.Contains(t, seen, "target €0.20 (its own)")
	require.Contains(t, seen, "target €40.00 (its own)")
}

func TestTwoCampaignsAreComparedOnThePageAsInTheAPI(t *testing.T) {
	f := twoCampaigns()
	f.campaigns = append(f.campaigns, accounting.CampaignSums{ID: "old", AICostEUR: eur("900"), Meetings: 2})
	h := newEconomicsHandler(t, f, nil)
	seen := spaced(browse(t, h, "/campaigns/q4?with=old", http.StatusOK))
	require.Contains(t, seen, ask(t, h, "GET", "/api/compare?a=q4&b=old", "", 200)["verdict"])
	require.Contains(t, seen, "With a probability of over 99 %, q4 pays less")
	require.Contains(t, seen, "q4 €58.00 10 €5.80")
	require.Contains(t, seen, "old €900.00 2 €450.00")

	require.Contains(t, spaced(browse(t, h, "/campaigns/q4?with=gone", http.StatusOK)), "There is no campaign gone", "the rest of the page stands")
	require.Contains(t, spaced(browse(t, h, "/campaigns/q4?with=q4", http.StatusOK)), "expected another than a")
}
