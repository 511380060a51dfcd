package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeReports says which span it was asked for.
type fakeReports struct {
	sent []string
	mute bool // no channels
	err  error
}

func (f *fakeReports) Build(_ context.Context, span accounting.ReportSpan, now time.Time) (accounting.PeriodReport, error) {
	return accounting.PeriodReport{Period: span.Period, Of: span.String(), From: span.From, To: span.To, MadeAt: now,
		Spend: accounting.NewReportSpend(nil, decimal.RequireFromString("0.1234567890123"), 0, 0)}, f.err
}

func (f *fakeReports) Render(r *accounting.PeriodReport) (title, text string, document []byte, err error) {
	return "Title of " + r.Of, "text", []byte("<!DOCTYPE html><p style=\"margin:0\">" + r.Of), f.err
}

func (f *fakeReports) SendNow(_ context.Context, span accounting.ReportSpan, by string, _ time.Time) (accounting.Alert, error) {
	f.sent = append(f.sent, span.String()+" by "+by)
	return accounting.Alert{ID: 9, Kind: accounting.AlertReport, Title: "Title of " + span.String()}, f.err
}

func (f *fakeReports) HasChannels() bool { return !f.mute }

func reportsHandler(t *testing.T, f *fakeReports) *Handler {
	return newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) { o.Reports = f })
}

func TestAReportIsShownAsItWouldBeSent(t *testing.T) {
	h := reportsHandler(t, &fakeReports{})
	spend := ask(t, h, "GET", "/api/reports/preview", "", 200)
	require.Equal(t, "2026-W46", spend["of"], "the latest week that is over")
	require.Equal(t, json.Number("0.1234567890123"), spend["spend"].(map[string]any)["ai"], "every digit")
	require.Nil(t, spend["spend"].(map[string]any)["cost_per_email"])
	require.Equal(t, "2026-10", ask(t, h, "GET", "/api/reports/preview?period=monthly", "", 200)["of"])

	res := request(h, "GET", "/api/reports/preview?of=2026-W45&format=text", "")
	require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, "Title of 2026-W45\n\ntext\n", bodyOf(t, res))
	res = request(h, "GET", "/api/reports/preview?of=2026-W45&format=html", "")
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	require.Contains(t, bodyOf(t, res), "<!DOCTYPE html>")
	policy := res.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; style-src 'unsafe-inline'")
	require.Contains(t, policy, "sandbox")
}

func TestOnlyPeriodsThatAreOverHaveAReport(t *testing.T) {
	f := &fakeReports{}
	h := reportsHandler(t, f)
	for query, allowed := range map[string]string{
		"of=2026-W47":                "a week up to 2026-W46",
		"of=2026-10":                 "a week up to 2026-W46",
		"of=1998-W01":                "a week up to 2026-W46",
		"period=monthly&of=2026-11":  "a month up to 2026-10",
		"period=monthly&of=2026-W46": "a month up to 2026-10",
	} {
		problem := ask(t, h, "GET", "/api/reports/preview?"+query, "", 422)
		first := problem["errors"].([]any)[0].(map[string]any)
		require.Equal(t, "of", first["field"])
		require.Equal(t, allowed, first["allowed"], query)
	}
	for _, query := range []string{"period=daily", "format=pdf", "off=2026-W46"} {
		ask(t, h, "GET", "/api/reports/preview?"+query, "", 422)
	}
	ask(t, h, "POST", "/api/reports/send", `{"period":"weekly","of":"2026-W47"}`, 422)
	ask(t, h, "POST", "/api/reports/send", `{}`, 422)
	require.Empty(t, f.sent)
}

func TestAReportIsSentByHandWhereThereIsAChannel(t *testing.T) {
	f := &fakeReports{}
	h := reportsHandler(t, f)
	require.Equal(t, "report", ask(t, h, "POST", "/api/reports/send", `{"period":"monthly"}`, 200)["kind"])
	ask(t, h, "POST", "/api/reports/send", `{"period":"weekly","of":"2026-W40"}`, 200)
	require.Equal(t, []string{"2026-10 by loopback", "2026-W40 by loopback"}, f.sent)
	f.mute = true
	require.Contains(t, ask(t, h, "POST", "/api/reports/send", `{"period":"weekly"}`, http.StatusConflict)["detail"], "docs/notifications.md")
	require.Len(t, f.sent, 2)
}

func TestAReportThatCannotBeMadeIsAProblem(t *testing.T) {
	h := reportsHandler(t, &fakeReports{err: errors.New("connection refused by 10.1.2.3")})
	for _, format := range []string{"json", "text", "html"} {
		problem := ask(t, h, "GET", "/api/reports/preview?format="+format, "", 500)
		require.NotContains(t, problem["detail"], "10.1.2.3")
	}
	ask(t, h, "POST", "/api/reports/send", `{"period":"weekly"}`, 500)
}
