package admin

import (
	"context"
	"html"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// hostile is what somebody may put into a tag.
const hostile = `"><script>alert(1)</script>` + "\u202e" + `😀😀/%2F ..`

// pageOf is what a browser is shown.
func pageOf(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	res := get(h, target, "Accept", "text/html")
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, text(body))
	require.NotContains(t, body, "<script>alert")
	require.NotContains(t, body, " style=")
	return body
}

// spaced is what a reader sees of a page, cell for cell.
func spaced(page string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(page, " ")), " ")
}

func TestThePageOfLeadsShowsWasteWithItsAdviceAndEachLead(t *testing.T) {
	store := &fakeEconomics{
		waste: []accounting.WasteSum{{Kind: accounting.WasteUnsent, Count: 12, CostUSD: *usd("1"), CostEUR: *usd("0.92")}},
		leads: []accounting.LeadRow{{LeadID: hostile, CampaignID: hostile, LeadValue: ptr("high"), CostUSD: *usd("0.0123456789"), Calls: 3, ProcessedAt: ptr(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC))}},
	}
	h := newEconomicsHandler(t, store, nil)
	body := pageOf(t, h, "/leads?state=unsent")
	seen := spaced(body)
	require.Contains(t, seen, "unsent €0.92")
	require.Contains(t, html.UnescapeString(seen), accounting.WasteUnsent.Advice())
	require.Contains(t, body, `href="/leads?state=unsent"`)
	require.Contains(t, body, ">0.0123456789</td>", "to the last digit")
	require.Contains(t, seen, "nothing sent")
	require.Contains(t, body, "/leads/%22%3E%3Cscript%3E", "a link to the lead, whatever it is called")

	p := problemIn(t, get(h, "/leads?state=lazy"), http.StatusUnprocessableEntity)
	require.Equal(t, "state", p.Errors[0].Field)
	p = problemIn(t, get(h, "/leads?from=2099-01"), http.StatusUnprocessableEntity)
	require.Equal(t, "from", p.Errors[0].Field)
}

func TestALeadThatNoPathCanNameHasAPage(t *testing.T) {
	for _, id := range []string{".", "..", "-", "..."} {
		store := &fakeEconomics{leads: []accounting.LeadRow{{LeadID: id, CampaignID: "..", CostUSD: *usd("0.5"), Calls: 3, ProcessedAt: ptr(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC))}}}
		h := newEconomicsHandler(t, store, nil)
		body := pageOf(t, h, "/leads")
		require.Contains(t, body, `href="/calls?campaign_id=.."`)
		address := "/leads/" + id
		if id == "." || id == ".." {
			address = "/leads/-?id=" + id
		}
		require.Contains(t, body, `href="`+address+`"`)
		require.Contains(t, spaced(pageOf(t, h, address)), "Lead "+id)
	}
	p := problemIn(t, get(newEconomicsHandler(t, &fakeEconomics{}, nil), "/emails/-?id=.."), http.StatusNotFound)
	require.Contains(t, p.Detail, "email ..")
	p = problemIn(t, get(newEconomicsHandler(t, &fakeEconomics{}, nil), "/leads/-?id=ada"), http.StatusNotFound)
	require.Contains(t, p.Detail, "lead -", "another name does not stand there")
}

func TestThePageOfLeadsSaysHowToGetOne(t *testing.T) {
	require.Contains(t, spaced(pageOf(t, newEconomicsHandler(t, &fakeEconomics{}, nil), "/leads")), "No lead yet. A call with the header X-Lead-ID makes one.")
}

func TestThePageOfALeadTellsWhatItDeserves(t *testing.T) {
	store := &fakeEconomics{leads: []accounting.LeadRow{{LeadID: "l-1", CampaignID: "q4", CostUSD: *usd("0.5"), Calls: 3, Meetings: 1}}}
	seen := spaced(pageOf(t, newEconomicsHandler(t, store, nil), "/leads/l-1"))
	require.Contains(t, seen, "Personalisation it deserves")
	require.Contains(t, seen, "1 meeting")
	require.Equal(t, http.StatusNotFound, get(newEconomicsHandler(t, &fakeEconomics{}, nil), "/leads/nobody", "Accept", "text/html").StatusCode)
}

func TestTheStoryOfACallIsInOrderAndSaysWhatComesNext(t *testing.T) {
	row := call(1, "q4", "0.1")
	row.TimeToFirstTokenMS = ptr(int64(300))
	steps := storyOf(&row)
	require.Len(t, steps, 3)
	for i := 1; i < len(steps); i++ {
		require.False(t, steps[i].At.Before(steps[i-1].At))
	}
	require.Contains(t, steps[2].What, "HTTP status 200")
	require.Contains(t, whatComesNext(&row), "asked to confirm")
	row.VerifiedAt = ptr(row.CreatedAt.Add(time.Minute))
	require.Empty(t, whatComesNext(&row))
	row.Cancelled = ptr(true)
	require.Contains(t, storyOf(&row)[2].What, "client left")
	row.Status = accounting.StatusAwaitingKey
	require.Contains(t, whatComesNext(&row), "that key's next call")

	require.Nil(t, difference(&row), "the record's cost is not known")
	row.GenerationCostUSD = usd("0.15")
	require.Equal(t, "0.05", difference(&row).String())
}

func TestThePageOfHealthReadsTheMetricsAndPointsAtWhatIsWrong(t *testing.T) {
	registry := prometheus.NewRegistry()
	lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_events_lost_total", Help: "Lost."})
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bursar_unsettled_calls", Help: "Open."}, []string{"status"})
	prices := prometheus.NewGauge(prometheus.GaugeOpts{Name: "bursar_prices_age_seconds", Help: "Age."})
	registry.MustRegister(lost, open, prices)
	prices.Set(math.Inf(1))
	open.WithLabelValues("pending").Set(1200)
	open.WithLabelValues("unresolved").Set(34)
	open.WithLabelValues("unverified").Set(7)
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Gatherer = registry })
	seen := spaced(pageOf(t, h, "/health"))
	require.Contains(t, seen, "Costs being asked for 1 200")
	require.Contains(t, seen, "Costs that OpenRouter did not tell 34 look here")
	require.Contains(t, seen, "Costs not confirmed yet 7 Known")
	require.Contains(t, seen, "Events lost 0 Since")
	require.Contains(t, seen, "Age of the price list none yet look here")
	prices.Set(60)
	require.Contains(t, spaced(pageOf(t, h, "/health")), "Age of the price list 1m0s By which")
	lost.Inc()
	require.Contains(t, spaced(pageOf(t, h, "/health")), "Events lost 1 look here")
}

func TestThePageOfHealthIsThereWhileTheDatabaseIsNot(t *testing.T) {
	h := newHandler(t, &fakeUsage{err: http.ErrHandlerTimeout}, nil)
	require.Contains(t, spaced(pageOf(t, h, "/health")), "This process")
}

func TestAmountsAreRoundedToBeReadAndExactOnHover(t *testing.T) {
	for amount, want := range map[string]string{
		"0": "€0.00", "1234567.891": "€1 234 567.89", "25.612": "€25.61", "1.005": "€1.01", "0.5": "€0.50",
		"0.0012345678": "€0.00123", "0.1": "€0.10", "0.99999": "€1.00", "0.000000000000000001": "€0.000000000000000001", "-3.456": "−€3.46",
	} {
		require.Equal(t, want, strings.ReplaceAll(moneyFormat{Currency: accounting.EUR}.Text(*usd(amount)), "\u202f", " "), amount)
	}
	require.Equal(t, "–", moneyFormat{}.Text((*accounting.Amount)(nil)), "unknown is not zero")
	dollars := moneyFormat{Currency: accounting.USD, Rate: usd("0.92").Decimal}
	require.Equal(t, "$100.00", dollars.Text(*usd("92")))
	require.Contains(t, string(dollars.Show(*usd("92.001"))), `title="92.001 EUR, shown at 0.92 EUR for one USD"`)
}

func TestTheCurrencyIsRememberedAndLeadsNowhereElse(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	choose := func(body string) *http.Response {
		return request(h, http.MethodPost, "/currency", body, "Authorization", "Bearer "+token, "Content-Type", formType)
	}
	res := choose("currency=USD&back=/leads")
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "/leads", res.Header.Get("Location"))
	require.Equal(t, "USD", res.Cookies()[0].Value)
	body := bodyOf(t, get(h, "/", "Accept", "text/html", "Cookie", currencyCookie+"=USD"))
	require.Contains(t, body, "$133.70", "123 EUR at 0.92")
	for _, back := range []string{"//evil.example", `/\evil.example`, "/\t/evil.example", "/\n/evil.example", "https://evil.example", ""} {
		require.Equal(t, "/", choose(form("currency", "EUR")+"&"+form("back", back)).Header.Get("Location"), back)
	}
	require.Equal(t, http.StatusUnprocessableEntity, choose("currency=GBP").StatusCode)
}

func TestTheForecastOfThePageIsMadeOnceAMinute(t *testing.T) {
	store := &fakeEconomics{}
	now := economicsNow
	h := newEconomicsHandler(t, store, func(o *EconomicsOptions) { o.Now = func() time.Time { return now } })
	forecasts := func() (n int) {
		for _, asked := range store.asked {
			if strings.HasPrefix(asked, "histories") {
				n++
			}
		}
		return n
	}
	pageOf(t, h, "/")
	made := forecasts()
	require.Positive(t, made)
	pageOf(t, h, "/")
	require.Equal(t, made, forecasts())
	now = now.Add(forecastLife)
	pageOf(t, h, "/")
	require.Equal(t, 2*made, forecasts())
	h.CostsChanged()
	pageOf(t, h, "/")
	require.Equal(t, 3*made, forecasts(), "what changes costs changes what is expected of them")
}

func TestTheOverviewTellsTheBoundsThatAreInForce(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) {
		o.Targets.Bands.Excellent, o.Targets.InvestSendRate, o.Targets.MinLeads = usd("97").Decimal, usd("0.66").Decimal, 12
	})
	seen := spaced(pageOf(t, h, "/"))
	require.Contains(t, seen, "From 97 on excellent, from 70 good")
	require.Contains(t, seen, "sends to more than 66 % of its leads")
	require.Contains(t, seen, "judged from 12 leads on")
}

func TestNoPageWaitsForWhatOpenRoutersAccountHasLeft(t *testing.T) {
	answer, asked := make(chan struct{}), make(chan struct{})
	h := newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) {
		o.RemainingCredits = func(context.Context) accounting.Optional[decimal.Decimal] {
			close(asked)
			<-answer
			return accounting.Some(usd("94.5").Decimal)
		}
	})
	require.Contains(t, spaced(pageOf(t, h, "/")), "credits left: unknown")
	<-asked
	require.Contains(t, spaced(pageOf(t, h, "/")), "credits left: unknown", "it is asked once at a time")
	close(answer)
	h.Close() // waits for the question
	require.Contains(t, spaced(pageOf(t, h, "/")), "OpenRouter's account has 94.5 USD left")
}

func TestDollarsAreShownAtTheRateOfTheMonthsThatAPageIsOf(t *testing.T) {
	billed := func(month accounting.Month, dollars, euros string) accounting.MonthReport {
		return accounting.MonthReport{MonthFigures: accounting.MonthFigures{Month: month, OpenRouterUSD: usd(dollars).Decimal,
			USDToEUR: usd(euros).Div(usd(dollars).Decimal), OpenRouterEUR: accounting.Some(usd(euros).Decimal)}}
	}
	present := accounting.MonthOf(economicsNow)
	campaign := accounting.CampaignSums{ID: "q4", AICostEUR: *usd("45"), AICostUSD: *usd("50")}
	h := newEconomicsHandler(t, &fakeEconomics{campaigns: []accounting.CampaignSums{campaign}, months: []accounting.MonthReport{
		billed(present, "100", "80"), billed(accounting.Month{Year: 2026, Month: time.October}, "50", "45"), billed(accounting.Month{Year: 2026, Month: time.September}, "150", "105")}}, nil)
	inDollars := func(address string) string {
		return bodyOf(t, get(h, address, "Accept", "text/html", "Cookie", currencyCookie+"=USD"))
	}
	require.Contains(t, inDollars("/"), `data-live="month-total">$100.00<`, "what OpenRouter charged, to the cent")
	require.Contains(t, inDollars("/campaigns"), "45 EUR, shown at 0.8 EUR for one USD")
	require.Contains(t, inDollars("/campaigns?from=2026-10"), "45 EUR, shown at 0.9 EUR for one USD", "50 USD, as they were billed")
	require.Contains(t, inDollars("/campaigns?from=2026-09&to=2026-10"), "45 EUR, shown at 0.75 EUR for one USD")
	require.Contains(t, inDollars("/campaigns?from=2026-08"), "45 EUR, shown at 0.8 EUR for one USD", "nothing was billed in August")
}
