package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"bursar/accounting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-some-length"

// fakeUsage is a store that answers with what it was given and remembers what
// it was asked.
type fakeUsage struct {
	page accounting.UsagePage
	err  error
	hook func(ctx context.Context) // before answering; may be nil

	mu    sync.Mutex
	asked []accounting.UsageFilter
}

func (f *fakeUsage) ListUsage(ctx context.Context, filter accounting.UsageFilter) (accounting.UsagePage, error) {
	f.mu.Lock()
	f.asked = append(f.asked, filter)
	f.mu.Unlock()
	if f.hook != nil {
		f.hook(ctx)
	}
	page := f.page
	if filter.Status != "" {
		page = accounting.UsagePage{}
		for _, row := range f.page.Rows {
			if row.Status == filter.Status {
				page.Rows = append(page.Rows, row)
			}
		}
	}
	return page, f.err
}

func (f *fakeUsage) FindUsage(_ context.Context, id accounting.RequestID) (accounting.UsageRow, error) {
	for _, row := range f.page.Rows {
		if row.ID == id {
			return row, f.err
		}
	}
	return accounting.UsageRow{}, cmp.Or(f.err, accounting.ErrUnknownCall)
}

func (f *fakeUsage) last(t *testing.T) accounting.UsageFilter {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.asked, "the store was not asked")
	return f.asked[len(f.asked)-1]
}

// newHandler returns a handler over usage; change edits its options first.
func newHandler(t *testing.T, usage Usage, change func(*Options)) *Handler {
	t.Helper()
	o := Options{
		Token:     token,
		Usage:     usage,
		Decisions: &fakeDecisions{},
		Audit:     &fakeAudit{},
		Gatherer:  prometheus.NewRegistry(),
		Logger:    zerolog.New(zerolog.NewTestWriter(t)),
		Version:   "1.2.3",
	}
	if change != nil {
		change(&o)
	}
	h, err := New(o)
	require.NoError(t, err)
	return h
}

// request asks h for something, addressed to loopback, with pairs of header
// names and values.
func request(h http.Handler, method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// get asks with the token.
func get(h http.Handler, target string, headers ...string) *http.Response {
	return request(h, http.MethodGet, target, "", append([]string{"Authorization", "Bearer " + token}, headers...)...)
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// problemIn reads a problem document and checks its form.
func problemIn(t *testing.T, res *http.Response, status int) problem {
	t.Helper()
	body := bodyOf(t, res)
	require.Equal(t, status, res.StatusCode, body)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"), body)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &members), body)
	require.Equal(t, "false", string(members["success"]), body)
	var p problem
	require.NoError(t, json.Unmarshal([]byte(body), &p), body)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.Equal(t, "about:blank", p.Type)
	require.NotEmpty(t, p.Detail)
	return p
}

// ptr is the address of a copy of v.
func ptr[T any](v T) *T { return &v }

// usd is an amount from its literal.
func usd(literal string) *accounting.Amount {
	return &accounting.Amount{Decimal: decimal.RequireFromString(literal)}
}

// call is a row of a settled call.
func call(n uint64, campaign, cost string) accounting.UsageRow {
	start := time.Date(2026, 11, 22, 10, 0, int(n), 0, time.UTC)
	return accounting.UsageRow{
		ID:               accounting.NewRequestID(start, n, n),
		GenerationID:     ptr("gen-1"),
		CampaignID:       ptr(campaign),
		Purpose:          ptr(accounting.PurposeFollowUp),
		Model:            ptr("anthropic/claude-sonnet-4.5"),
		Status:           accounting.StatusSettled,
		HTTPStatus:       ptr(200),
		PromptTokens:     ptr(int64(1200)),
		CompletionTokens: ptr(int64(345)),
		CostUSD:          usd(cost),
		InlineCostUSD:    usd(cost),
		CostSource:       ptr(accounting.CostInline),
		DurationMS:       ptr(int64(1234)),
		CreatedAt:        start,
		UpdatedAt:        start,
	}
}

func TestNewNamesEveryOptionThatCannotBe(t *testing.T) {
	_, err := New(Options{AppURL: "app.example.com", Readiness: []Check{{Name: "database"}}})
	require.ErrorContains(t, err, `APP_URL "app.example.com"`)
	require.ErrorContains(t, err, `check 0 "database"`)
	require.ErrorContains(t, err, "Usage is nil")
	require.ErrorContains(t, err, "Decisions is nil")
	require.ErrorContains(t, err, "Audit is nil")
	require.ErrorContains(t, err, "Gatherer is nil")

	ok := func(context.Context) error { return nil }
	_, err = New(Options{Usage: &fakeUsage{}, Gatherer: prometheus.NewRegistry(), Readiness: []Check{{"a", ok}, {"a", ok}}})
	require.ErrorContains(t, err, `check 1 "a"`)
}

func TestUnknownPathsAndMethodsAreProblemDocumentsToo(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	p := problemIn(t, get(h, "/api/nothing"), http.StatusNotFound)
	require.Contains(t, p.Detail, "/api/nothing")

	res := request(h, http.MethodDelete, "/api/usage", "", "Authorization", "Bearer "+token)
	require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
	problemIn(t, res, http.StatusMethodNotAllowed)

	res = get(h, "/nothing", "Accept", "text/html")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Type"), "text/html", "a browser is shown a page")
	require.Contains(t, bodyOf(t, res), "There is nothing at /nothing")
}

func TestAPathThatIsNoTextNamesNothing(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	for _, path := range []string{"/api/leads/%00", "/api/leads/%ff", "/api/campaigns/a%00b", "/api/emails/%c3", "/leads/%00"} {
		p := problemIn(t, get(h, path), http.StatusNotFound)
		require.Contains(t, p.Detail, "UTF-8 text without NUL", path)
	}
}

func TestABodyThatIsNotJSONIsSaidToBeNone(t *testing.T) {
	h := newPlanHandler(t, &fakePlans{})
	for body, why := range map[string]string{`{`: "unexpected end of JSON input", `{"amount":1e309}`: "1e309", `{"amount":NaN}`: "invalid character 'N'"} {
		p := ask(t, h, "POST", "/api/budget-plan/apply", body, http.StatusBadRequest)
		require.Contains(t, p["detail"], "not JSON that can be read", body)
		require.Contains(t, p["detail"], why, body)
	}
	p := ask(t, h, "POST", "/api/budget-plan/apply", `{"reason":"it is sk-or-v1-0123456789abcdef`, http.StatusBadRequest)
	require.NotContains(t, p["detail"], "sk-or", "the body is not repeated")

	res := request(h, "POST", "/api/budget-plan/apply", `{"amount":5}`, "Content-Type", "text/plain", "Authorization", "Bearer "+token)
	require.Contains(t, problemIn(t, res, http.StatusUnsupportedMediaType).Detail, "send it as application/json")
}

func TestAPanicIsAProblemAndNotTheEndOfTheConnection(t *testing.T) {
	var log strings.Builder
	usage := &fakeUsage{hook: func(context.Context) { panic("the store broke: dsn=secret") }}
	h := newHandler(t, usage, func(o *Options) { o.Logger = zerolog.New(&log) })
	p := problemIn(t, get(h, "/api/usage"), http.StatusInternalServerError)
	require.NotContains(t, p.Detail, "secret")
	require.Contains(t, log.String(), "the store broke")
	require.Contains(t, log.String(), `"stack"`)
}

func TestAPanicHalfWayThroughAnAnswerBreaksItOff(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	broken := h.observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("then this")
	}))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { request(broken, "GET", "/", "") })
}

func TestErrorsOfTheStoreStayInTheLog(t *testing.T) {
	var log strings.Builder
	usage := &fakeUsage{err: errors.New("dial 10.1.2.3:5432: SELECT secret")}
	h := newHandler(t, usage, func(o *Options) { o.Logger = zerolog.New(&log) })
	for _, target := range []string{"/api/usage", "/calls"} {
		log.Reset()
		p := problemIn(t, get(h, target), http.StatusInternalServerError)
		require.NotContains(t, p.Detail, "10.1.2.3")
		require.Empty(t, p.Errors)
		require.Equal(t, 1, strings.Count(log.String(), "10.1.2.3:5432"), "logged once: %s", log.String())
	}
}

func TestTheLogHoldsNoQueryValuesAndNoToken(t *testing.T) {
	var log strings.Builder
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Logger = zerolog.New(&log) })
	get(h, "/api/usage?campaign_id=q4-secret-name&limit=7", "Cookie", cookieName+"=cookie-secret")
	get(h, "/api/usage?sk-or-v1-pasted-secret")
	request(h, "POST", "/login", "token=wrong-secret", "Content-Type", "application/x-www-form-urlencoded")
	require.Contains(t, log.String(), `"query":["campaign_id","limit"]`)
	require.Contains(t, log.String(), `"status":200`)
	for _, secret := range []string{"q4-secret-name", token, "cookie-secret", "wrong-secret", "pasted-secret"} {
		require.NotContains(t, log.String(), secret)
	}
}

func TestMetricsShowWhatWasGathered(t *testing.T) {
	registry := prometheus.NewRegistry()
	spend := prometheus.NewCounter(prometheus.CounterOpts{Name: "bursar_cost_usd_total", Help: "Spend."})
	spend.Add(0.5)
	registry.MustRegister(spend)
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Gatherer = registry })
	res := get(h, "/metrics")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, bodyOf(t, res), "bursar_cost_usd_total 0.5")
}

func TestABrokenCollectorDoesNotHideTheOthers(t *testing.T) {
	var log strings.Builder
	good := prometheus.NewRegistry()
	good.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bursar_up", Help: "Up."}, func() float64 { return 1 }))
	desc := prometheus.NewDesc("bursar_broken", "Broken.", nil, nil)
	good.MustRegister(collectorFunc(func(ch chan<- prometheus.Metric) {
		ch <- prometheus.NewInvalidMetric(desc, errors.New("collector broke"))
	}))
	h := newHandler(t, &fakeUsage{}, func(o *Options) {
		o.Gatherer = good
		o.Logger = zerolog.New(&log)
	})
	res := get(h, "/metrics")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, bodyOf(t, res), "bursar_up 1")
	require.Contains(t, log.String(), "collector broke")
}

// collectorFunc is a collector that describes nothing beforehand.
type collectorFunc func(chan<- prometheus.Metric)

func (f collectorFunc) Describe(chan<- *prometheus.Desc)    {}
func (f collectorFunc) Collect(ch chan<- prometheus.Metric) { f(ch) }

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	for _, target := range []string{"/calls", "/login", "/healthz", "/readyz", "/metrics", "/openapi.json", "/api/usage", "/api/usage?limit=0", "/nothing"} {
		res := get(h, target)
		if target == "/login" {
			res = request(h, "GET", target, "") // who is signed in is not asked
		}
		referrer := "no-referrer"
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			referrer = "same-origin" // or plain HTTP could not tell our own forms from others'
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        referrer,
			"Cache-Control":          "no-store",
			"X-Frame-Options":        "DENY",
		} {
			require.Equal(t, want, res.Header.Get(name), "%s of %s", name, target)
		}
		policy := res.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'", target)
		require.Contains(t, policy, "frame-ancestors 'none'", target)
		require.NotContains(t, policy, "unsafe", target)
	}
}

func TestTheServerStartsOnPortZeroAndAnswers(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	server := Server("127.0.0.1:0", h)
	require.NotZero(t, server.ReadHeaderTimeout)
	require.Greater(t, server.WriteTimeout, queryTimeout, "a slow query can still be answered")
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = server
	ts.Start()
	defer ts.Close()
	res, err := ts.Client().Get(ts.URL + "/healthz")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// form encodes one field.
func form(name, v string) string { return url.Values{name: {v}}.Encode() }

func TestADatabaseThatIsAwayIsNamed(t *testing.T) {
	_, refused := (&net.Dialer{}).Dial("tcp", "127.0.0.1:1")
	require.Error(t, refused)
	h := newHandler(t, &fakeUsage{err: fmt.Errorf("list usage: %w", refused)}, nil)
	res := get(h, "/api/usage")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Contains(t, bodyOf(t, res), "The database does not answer")

	h = newHandler(t, &fakeUsage{err: errors.New("a fault of our own")}, nil)
	require.Equal(t, http.StatusInternalServerError, get(h, "/api/usage").StatusCode)
}
