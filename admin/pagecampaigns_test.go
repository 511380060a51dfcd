package admin

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// browse asks for a page as a browser does.
func browse(t *testing.T, h http.Handler, target string, status int) string {
	t.Helper()
	res := request(h, http.MethodGet, target, "", "Accept", "text/html")
	body := bodyOf(t, res)
	require.Equal(t, status, res.StatusCode, body)
	return body
}

func eur(s string) accounting.Amount { return accounting.Amount{Decimal: decimal.RequireFromString(s)} }

// twoCampaigns are one with a verdict, and calls without a campaign.
func twoCampaigns() *fakeEconomics {
	return &fakeEconomics{
		campaigns: []accounting.CampaignSums{
			{ID: "q4", AICostEUR: eur("10"), Calls: 300, ProcessedLeads: 100, SentLeads: 95, Emails: 100, Meetings: 10, MeetingsValued: 10, ValueEUR: eur("2000"), UnsentCostEUR: eur("1")},
			{ID: "", AICostEUR: eur("3.5"), Calls: 7},
		},
		emails: accounting.EmailsByCampaign{"q4": {"": 100}},
		daily: []accounting.DailySeries{{Name: "q4", Total: eur("2"), Days: []accounting.DailyCost{
			{Day: accounting.DayOf(economicsNow).Add(-1), CostEUR: eur("0.5")}, {Day: accounting.DayOf(economicsNow), CostEUR: eur("1.5")}}}},
	}
}

func TestCampaignsStandBesideWhatNoneOfThemCarries(t *testing.T) {
	f := twoCampaigns()
	body := browse(t, newEconomicsHandler(t, f, nil), "/campaigns", http.StatusOK)
	seen := spaced(body)
	require.Contains(t, seen, "November 2026")
	require.Contains(t, seen, "q4 98 excellent invest more premium \u2068AI cost per day\u2069: latest €1.50")
	require.Contains(t, seen, "€58.00 €0.58 100 sent €5.80 10 booked 95.0 % 10.0 % 20 000 % 10.0 %")
	require.Contains(t, seen, "no campaign – send X-Campaign-ID with these calls")
	require.Contains(t, seen, "€136.50 together: AI €13.50 , fixed costs €123.00 , of which €75.00 is in no campaign")
	require.Contains(t, seen, "Fixed costs that no email can carry €75.00")
	require.Contains(t, seen, "Together €136.50 100 sent 10 booked", "10 and 3.50 of AI, and 123 of fixed costs")
	require.Contains(t, body, `href="/campaigns/q4?from=2026-11&amp;to=2026-11"`)
	require.Contains(t, seen, "Target 5 %")
	require.Contains(t, f.asked, "daily 2026-10-24 2026-11-22 by campaign of [q4 ] limit 2")
}

func TestThePageOfCampaignsAsksForTheMonthsThatWereChosen(t *testing.T) {
	f := twoCampaigns()
	body := browse(t, newEconomicsHandler(t, f, nil), "/campaigns?from=2026-09&to=2026-10", http.StatusOK)
	require.Contains(t, f.asked, "campaigns 2026-09-01 2026-10-31 waste 2026-11-08 limit 1000")
	require.Contains(t, f.asked, "daily 2026-10-02 2026-10-31 by campaign of [q4 ] limit 2")
	require.Contains(t, body, "<option selected>2026-09</option>")
	require.Contains(t, spaced(body), "September 2026 to October 2026")
	require.Contains(t, body, `href="?from=2026-09&amp;to=2026-11"`, "three months are one click away")

	for target, message := range map[string]string{
		"/campaigns?from=2026-12":            "a month up to 2026-11",
		"/campaigns?from=november":           "expected a month",
		"/campaigns?from=2026-11&to=2026-10": "expected a month not before from",
		"/campaigns?from=2020-01&to=2026-10": "expected at most 24 months at once",
		"/campaigns?page=2":                  "a whole number from 1 to 1",
		"/campaigns?page=-1":                 "a whole number from 1 to 1",
		"/campaigns?from=2026-11&from=x":     "Start again at /campaigns",
		"/models?from=2026-12":               "a month up to 2026-11",
		"/platforms?to=2027-01":              "a month up to 2026-11",
	} {
		require.Contains(t, spaced(browse(t, newEconomicsHandler(t, f, nil), target, http.StatusUnprocessableEntity)), message, target)
	}
}

func TestManyCampaignsAreSeveralPagesAndOneSum(t *testing.T) {
	f := &fakeEconomics{}
	for i := range 2*campaignsShown + 1 {
		f.campaigns = append(f.campaigns, accounting.CampaignSums{ID: fmt.Sprintf("c-%03d", i), AICostEUR: eur("1")})
	}
	h := newEconomicsHandler(t, f, nil)
	body := browse(t, h, "/campaigns", http.StatusOK)
	require.Equal(t, campaignsShown, strings.Count(body, `href="/campaigns/c-`))
	require.Contains(t, spaced(body), "Together, all pages €204.00", "81 of AI, 123 fixed")
	require.Contains(t, body, `href="?from=2026-11&amp;page=2&amp;to=2026-11"`)
	require.Less(t, len(body), 90<<10, "with its files a page has 150 kB")

	body = browse(t, h, "/campaigns?page=3", http.StatusOK)
	require.Contains(t, body, `href="/campaigns/c-080`)
	require.NotContains(t, body, "Cheaper campaigns")
}

func TestEveryOfThousandsOfCampaignsIsOnAPage(t *testing.T) {
	f := &fakeEconomics{}
	for i := range campaignsListed + 3 {
		f.campaigns = append(f.campaigns, accounting.CampaignSums{ID: fmt.Sprintf("c-%04d", i), AICostEUR: eur("1"), Emails: 2})
	}
	h := newEconomicsHandler(t, f, nil)
	page := ask(t, h, "GET", "/api/campaigns?limit=1000", "", 200)
	require.Equal(t, []any{json.Number("1003"), json.Number("1003"), json.Number("2006")},
		[]any{page["all"].(map[string]any)["campaigns"], page["all"].(map[string]any)["ai_cost"], page["all"].(map[string]any)["emails_sent"]})
	page = ask(t, h, "GET", "/api/campaigns?limit=1000&cursor="+page["next_cursor"].(string), "", 200)
	require.Len(t, page["rows"], 3)
	require.Nil(t, page["next_cursor"])
	require.Equal(t, "cursor", ask(t, h, "GET", "/api/campaigns?cursor=bad", "", 422)["errors"].([]any)[0].(map[string]any)["field"])

	body := browse(t, h, "/campaigns", http.StatusOK)
	require.Contains(t, spaced(body), "Page 1 of 25 of these, of 1 003 campaigns in all, the dearest first")
	require.Contains(t, spaced(body), "Together, all pages €1 126.00 2 006 sent", "1003 of AI, 123 fixed")
	body = browse(t, h, "/campaigns?page=25", http.StatusOK)
	require.Contains(t, body, `href="?cursor=1000&amp;from=2026-11&amp;to=2026-11"`)
	body = browse(t, h, "/campaigns?cursor=1000", http.StatusOK)
	require.Contains(t, body, `href="/campaigns/c-1002`)
	require.Contains(t, spaced(body), "To the dearest Page 1 of 1 of these, of 1 003 campaigns in all")
	require.Contains(t, spaced(body), "Together, all pages €1 126.00")
	browse(t, h, "/campaigns?cursor=bad", http.StatusUnprocessableEntity)
}

func TestAMonthWithoutCampaignsSaysWhatToDo(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	require.Contains(t, spaced(browse(t, h, "/campaigns", http.StatusOK)), "Send X-Campaign-ID with each call")
	require.Contains(t, spaced(browse(t, h, "/models", http.StatusOK)), "No call was made in these months.")
	for _, target := range []string{"/campaigns", "/campaigns/q4", "/models", "/platforms"} {
		without := newHandler(t, &fakeUsage{}, nil)
		body := bodyOf(t, get(without, target, "Accept", "text/html"))
		require.Contains(t, spaced(body), "keeps no unit economics", target)
	}
}

// hostileNames are what the network may send.
var hostileNames = []string{
	`"><script>alert(1)</script>`,
	"javascript:alert(1)",
	"../../admin?x=1&y=2#z",
	"a/b c%2Fd",
	"{id}",
	"\u202egpj.exe",
	strings.Repeat("🦊", 50),
}

func TestACampaignMayHaveAnyName(t *testing.T) {
	for _, id := range hostileNames {
		f := twoCampaigns()
		f.campaigns[0].ID, f.daily[0].Name = id, id
		f.campaigns[0].Settings = &accounting.CampaignSettings{ID: id, Platform: &id, Currency: accounting.EUR}
		h := newEconomicsHandler(t, f, nil)
		list := browse(t, h, "/campaigns", http.StatusOK)
		require.NotContains(t, list, "<script>alert", id)
		path := "/campaigns/" + url.PathEscape(id)
		require.Contains(t, html.UnescapeString(list), `href="`+path+`?from=`, id)

		page := browse(t, h, path, http.StatusOK)
		require.NotContains(t, page, "<script>alert", id)
		require.Contains(t, page, "Invest more", id)
		require.Contains(t, html.UnescapeString(page), `data-api="PUT /api`+path+`"`, "the form speaks of this campaign")
		if clean, changed := accounting.CleanTag(id); !changed && clean == id { // no tag is kept otherwise
			ask(t, h, http.MethodPut, "/api"+path, `{"name":"x"}`, http.StatusOK)
			require.Equal(t, id, f.put.ID)
		}
		require.NotRegexp(t, `href="(javascript|//|https?:)`, list+page, id)
	}
}

func TestACampaignThatNoPathCanNameLinksToItsCalls(t *testing.T) {
	f := twoCampaigns()
	f.campaigns[0].ID = ".."
	require.Contains(t, browse(t, newEconomicsHandler(t, f, nil), "/campaigns", http.StatusOK), `href="/calls?campaign_id=.."`)
	require.Contains(t, browse(t, newEconomicsHandler(t, f, nil), "/", http.StatusOK), `href="/calls?campaign_id=.."`, "everywhere")
}
