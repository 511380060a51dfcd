package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func weekOf(t *testing.T, of string) accounting.ReportSpan {
	t.Helper()
	span, err := accounting.ParseReportSpan(accounting.ReportWeekly, of)
	require.NoError(t, err)
	return span
}

func reportOf(span accounting.ReportSpan) *accounting.PeriodReport {
	return &accounting.PeriodReport{Period: span.Period, Of: span.String(), From: span.From, To: span.To, MadeAt: noon,
		Spend: accounting.NewReportSpend(nil, dec("0.123456789012"), 3, 0)}
}

func TestAReportIsSentOnceForItsWeekByHoweverManyReplicas(t *testing.T) {
	s := newStore(t)
	s.opts.Channels, s.opts.MinSeverity = []string{"email-1", "slack-1"}, accounting.SeverityCritical
	span := weekOf(t, "2026-W46")
	alert := accounting.Alert{Key: "report/weekly/2026-W46", Kind: accounting.AlertReport, Severity: accounting.SeverityInfo, DeliverAs: accounting.SeverityCritical,
		Subject: "reports/weekly/2026-W46", Title: "Week", Text: "text", HTML: "<p>document</p>"}
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			ok, err := s.SendReport(t.Context(), reportOf(span), alert)
			if err != nil {
				t.Error(err)
			}
			if ok {
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, sent.Load())
	known, err := s.ReportSent(t.Context(), span)
	require.NoError(t, err)
	require.True(t, known)
	known, err = s.ReportSent(t.Context(), span.Next())
	require.NoError(t, err)
	require.False(t, known)

	claimed, err := s.ClaimDeliveries(t.Context(), []string{"email-1"}, time.Now().Add(time.Minute), time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, claimed, 1, "whatever the least severity of alerts")
	require.Equal(t, "<p>document</p>", claimed[0].HTML)
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM reports r JOIN alerts a ON a.id = r.alert_id WHERE r.figures->'spend'->>'ai' = '0.123456789012'`))

	raised, err := s.SendReportNow(t.Context(), reportOf(span), accounting.Alert{Key: "report/weekly/2026-W46/1", Kind: accounting.AlertReport, Severity: accounting.SeverityInfo,
		Subject: "reports/weekly/2026-W46", Title: "Week", Text: "text", DeliverAs: accounting.SeverityCritical}, "ada")
	require.NoError(t, err)
	require.Len(t, raised.Deliveries, 2)
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Limit: 10, Subject: "reports/weekly/2026-W46"})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	require.Equal(t, "ada", page.Entries[0].Actor)
}

func TestReportsAreKnownSinceTheMigration(t *testing.T) {
	s := newStore(t)
	since, err := s.ReportsSince(t.Context())
	require.NoError(t, err)
	require.Less(t, time.Since(since).Abs(), time.Hour)
}

func TestTheAlertsOfAPeriodAreCountedWithoutReports(t *testing.T) {
	s := newStore(t)
	span := weekOf(t, "2026-W46")
	for i, a := range []accounting.Alert{
		{Kind: "spike", Severity: accounting.SeverityWarning}, {Kind: "budget_blocked", Severity: accounting.SeverityCritical}, {Kind: "x", Severity: accounting.SeverityInfo},
		{Kind: accounting.AlertReport, Severity: accounting.SeverityInfo}, {Kind: "late", Severity: accounting.SeverityCritical},
	} {
		a.Key, a.Title, a.Subject = a.Kind, "about "+a.Kind, "s"
		_, _, err := s.RaiseAlert(t.Context(), a)
		require.NoError(t, err)
		at := span.From.Start().Add(time.Duration(i) * time.Hour)
		if a.Kind == "late" {
			at = span.To.End()
		}
		_, err = s.pool.Exec(t.Context(), `UPDATE alerts SET created_at = $2 WHERE key = $1`, a.Key, at)
		require.NoError(t, err)
	}
	got, err := s.AlertsOf(t.Context(), span.From, span.To)
	require.NoError(t, err)
	require.Equal(t, [3]int64{1, 1, 1}, [3]int64{got.Critical, got.Warning, got.Info})
	require.Len(t, got.Latest, 2)
	require.Equal(t, "about budget_blocked", got.Latest[0].Title)
	got, err = s.AlertsOf(t.Context(), span.Next().Next().From, span.Next().Next().To)
	require.NoError(t, err)
	require.NotNil(t, got.Latest)
}

func TestWhatOfAPeriodMayStillMoveIsCounted(t *testing.T) {
	s := newStore(t)
	open := closed(noon, "gen-3", "1")
	open.Usage = accounting.Usage{}
	ship(t, s, closed(noon, "gen-1", "1"), closed(noon.AddDate(0, 0, 1), "gen-2", "1"), open)
	today := accounting.DayOf(noon)
	got, err := s.OpenOf(t.Context(), today, today)
	require.NoError(t, err)
	require.EqualValues(t, 1, got.OpenCalls)
	require.NotNil(t, got.UnverifiedCalls)
	require.EqualValues(t, 1, *got.UnverifiedCalls)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.OpenOf(ended, today, today)
	require.Error(t, err, "who asks no more is not told that it is unknown")
}
