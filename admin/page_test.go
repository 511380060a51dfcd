package admin

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// show returns the page over those rows.
func show(t *testing.T, rows ...accounting.UsageRow) string {
	t.Helper()
	h := newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: rows}}, nil)
	res := get(h, "/calls", "Accept", "text/html")
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	return body
}

var tags = regexp.MustCompile(`<[^>]*>`)

// text is what a reader sees of a page, in single spaces.
func text(page string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(page, "")), " ")
}

func TestThePageShowsWhatCallsCost(t *testing.T) {
	verified := call(1, "q4-outreach", "0.00012345")
	verified.VerifiedAt = ptr(verified.CreatedAt.Add(time.Second))
	pending := call(2, "spring", "1")
	pending.CostUSD, pending.Status = nil, accounting.StatusPending
	pending.EstimatedCostUSD = usd("0.002")
	body := show(t, verified, call(3, "q4-outreach", "0.1"), pending)
	seen := text(body)

	require.Contains(t, seen, "OpenRouter charged for these 3 calls 0.10012345 USD without 1 whose cost is not known yet")
	require.Contains(t, seen, "1 of 2 known costs")
	require.Contains(t, seen, "3 600 in 1 035 out")
	require.Contains(t, seen, "10:00:01 UTC 0.00012345 ✓ confirmed q4-outreach follow_up anthropic/claude-sonnet-4.5 settled 1 200 345 1.23 s")
	require.Contains(t, seen, "10:00:02 UTC ≈ 0.002 spring")
	require.Contains(t, body, `href="/calls?campaign_id=q4-outreach"`)
	for _, s := range statuses {
		require.Contains(t, body, strings.ReplaceAll(s.Meaning, "'", "&#39;"))
	}
	for _, link := range []string{"/metrics", "/docs", "/calls"} {
		require.Contains(t, body, `href="`+link+`"`)
	}
	require.NotRegexp(t, `(src|href|action)="?(https?:)?//`, body, "nothing comes from elsewhere")
}

func TestThePageOfAFreshInstallationSaysWhatToDo(t *testing.T) {
	require.Contains(t, show(t), "No calls yet")
}

func TestWhatTheNetworkSentIsNeverMarkup(t *testing.T) {
	const attack = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	row := call(1, attack, "0.1")
	row.Purpose, row.Model, row.Provider, row.Error = ptr(attack), ptr(attack), ptr(attack), ptr(attack)
	row.Status = accounting.Status(attack)
	h := newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{row}, NextCursor: attack}}, nil)
	for _, target := range []string{"/calls", "/calls?" + form("campaign_id", attack), "/calls/" + form("x", attack), "/calls?" + form("cursor", attack)} {
		body := bodyOf(t, get(h, target, "Accept", "text/html"))
		require.NotContains(t, body, "<script>alert", target)
		require.NotContains(t, body, "<img src=x", target)
	}
}

func TestTheScriptOfACampaignNameIsNotALink(t *testing.T) {
	body := show(t, call(1, "javascript:alert(1)", "0.1"))
	require.Contains(t, body, `href="/calls?campaign_id=javascript%3Aalert%281%29"`)
	require.NotContains(t, body, `href="javascript:`)
}

func TestOnlyTheProgramsOwnScriptAndStyleMayRun(t *testing.T) {
	h := newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{call(1, "q4", "0.1")}}}, nil)
	for _, target := range []string{"/calls", "/health", "/login", "/nothing"} {
		res := get(h, target, "Accept", "text/html")
		if target == "/login" {
			res = request(h, "GET", target, "", "Accept", "text/html") // who is signed in is not asked
		}
		body := bodyOf(t, res)
		policy := res.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "script-src 'self'; style-src 'self';", target)
		require.NotContains(t, policy, "unsafe", target)
		require.Equal(t, strings.Count(body, "<script"), strings.Count(body, "<script src=\"/assets/"), target)
		require.NotContains(t, body, "<style", target)
		require.NotContains(t, body, " style=", target)
		require.NotRegexp(t, ` on[a-z]+=`, body, target)
	}
}

func TestFilesOfPagesAreKeptUntilTheyChange(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	for _, a := range []asset{styles, scripts} {
		res := request(h, http.MethodGet, a.path, "") // the page that asks for the token needs them too
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, a.mediaType, res.Header.Get("Content-Type"))
		require.Contains(t, res.Header.Get("Cache-Control"), "immutable")
		require.Equal(t, string(a.content), bodyOf(t, res))
	}
	require.Equal(t, http.StatusNotFound, request(h, http.MethodGet, "/assets/bursar-000000000000.css", "").StatusCode)
	require.Less(t, len(styles.content)+len(scripts.content), 60<<10, "a page has 150 kB in all")
}

func TestOlderCallsAreAPageAwayAndStandStill(t *testing.T) {
	usage := &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{call(1, "q4", "0.1")}, NextCursor: "a+b="}}
	h := newHandler(t, usage, nil)
	body := bodyOf(t, get(h, "/calls?campaign_id=q4", "Accept", "text/html"))
	require.Contains(t, body, `href="/calls?campaign_id=q4&amp;cursor=a%2Bb%3D"`)
	require.Contains(t, body, "data-calls")
	require.Equal(t, accounting.UsageFilter{CampaignID: "q4", Limit: pageRows}, usage.last(t))

	body = bodyOf(t, get(h, "/calls?campaign_id=q4&cursor=a%2Bb%3D", "Accept", "text/html"))
	require.Equal(t, "a+b=", usage.last(t).Cursor)
	require.NotContains(t, body, "data-calls", "new calls are added to the newest only")
}

func TestABrowserIsShownErrorsAsAPage(t *testing.T) {
	h := newHandler(t, &fakeUsage{err: errors.New("SELECT secret")}, nil)
	res := get(h, "/calls", "Accept", "text/html")
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	body := bodyOf(t, res)
	require.Contains(t, body, "500 Internal Server Error")
	require.NotContains(t, body, "SELECT")

	h = newHandler(t, &fakeUsage{err: context.DeadlineExceeded}, nil)
	body = bodyOf(t, get(h, "/calls", "Accept", "text/html"))
	require.Contains(t, body, `href="/budgets#stops"`, "what can be done without the database")

	h = newHandler(t, &fakeUsage{err: accounting.ErrBadCursor}, nil)
	body = bodyOf(t, get(h, "/calls?cursor=x", "Accept", "text/html"))
	require.Contains(t, body, "next_cursor of the page before")
}

func TestASummaryCountsWhatIsUnknownInsteadOfAddingIt(t *testing.T) {
	open := call(1, "a", "9")
	open.CostUSD, open.Status = nil, accounting.StatusAwaitingKey
	failed := call(2, "a", "9")
	failed.CostUSD, failed.Status, failed.PromptTokens = nil, accounting.StatusFailed, nil
	byok := call(3, "b", "0.05")
	byok.IsBYOK, byok.UpstreamInferenceCostUSD = ptr(true), usd("1.25")
	notByok := call(4, "b", "0.000000000000000001")
	notByok.IsBYOK, notByok.UpstreamInferenceCostUSD = ptr(false), usd("7")
	free := call(5, "", "0")
	free.CampaignID = nil

	s := summarise([]accounting.UsageRow{open, failed, byok, notByok, free})
	require.Equal(t, 5, s.Calls)
	require.Equal(t, 3, s.Known)
	require.Equal(t, 1, s.Open, "a failed call has no cost to be known")
	require.Equal(t, "0.050000000000000001", s.Charged.String())
	require.Equal(t, "1.25", s.Providers.String())
	require.EqualValues(t, 4800, s.Prompt)

	require.Len(t, s.Campaigns, 3)
	require.Equal(t, "b", *s.Campaigns[0].Campaign)
	require.Equal(t, 100, s.Campaigns[0].Share)
	require.Equal(t, "a", *s.Campaigns[1].Campaign)
	require.Equal(t, 2, s.Campaigns[1].Calls)
	require.Nil(t, s.Campaigns[2].Campaign)
}

func TestAPageWithNoKnownCostShowsNoZero(t *testing.T) {
	open := call(1, "a", "9")
	open.CostUSD, open.Status = nil, accounting.StatusPending
	require.Contains(t, text(show(t, open)), "charged for this 1 call – USD without 1 whose")
}
