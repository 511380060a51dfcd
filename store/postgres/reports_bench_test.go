package postgres

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/store/postgres/postgrestest"
)

var (
	benchRows      = flag.Int("report-rows", 20_000, "calls that BenchmarkReports loads; make bench-reports loads 20 million")
	benchLeads     = flag.Int("report-leads", 1_000, "leads that the calls are for")
	benchCampaigns = flag.Int("report-campaigns", 50, "campaigns that the leads are in")
	benchDatabase  = flag.String("report-database", "", "database to measure on, which is kept; the calls are loaded if it has none. Empty: one that is made and dropped")
	benchRaw       = flag.Duration("report-raw", 15*time.Second, "for how long each question is put to the calls themselves, but twice at least; 0: not at all")
)

// BenchmarkReports measures every report on generated calls of the last twelve
// months, beside the same question to the calls themselves. p50 and p99 are of
// its own iterations, from the question to the last row; cpu is what the
// server's process took for one, which other work on the machine moves far
// less: go test -bench Reports -benchtime 200x.
func BenchmarkReports(b *testing.B) {
	url := *benchDatabase
	if url == "" {
		url = postgrestest.New(b)
	}
	opts := testOptions(url)
	opts.MaxConns = 1 // so that there is one server process to ask for its CPU time
	s, err := Open(b.Context(), opts)
	require.NoError(b, err)
	b.Cleanup(s.Close)
	q := &reportQuestions{s: s, ctx: b.Context(), now: time.Now().UTC()}
	require.NoError(b, s.Migrate(b.Context()))
	require.NoError(b, s.EnsureDefaults(b.Context()))
	for m := range 13 {
		require.NoError(b, s.EnsurePartitions(b.Context(), q.now.AddDate(0, -m, 1-q.now.Day())))
	}
	var loaded bool
	require.NoError(b, s.pool.QueryRow(b.Context(), `SELECT EXISTS (SELECT FROM openrouter_usage)`).Scan(&loaded))
	if !loaded {
		loadCalls(b, s, &generated{now: q.now, calls: *benchRows, leads: *benchLeads, campaign: *benchCampaigns})
	}
	require.NoError(b, s.EnsureBudget(b.Context(), accounting.Budget{
		ID: accounting.BudgetMonthlyAI, Name: "AI budget", Period: accounting.PeriodMonth, Limit: accounting.Amount{Decimal: decimal.NewFromInt(77)},
		Currency: accounting.USD, Mode: accounting.ModeSoft, OnExceed: accounting.ExceedBlock, CountsFrom: q.now}))
	for _, question := range slices.Concat(q.sums(), q.lists()) {
		b.Run(question.name, func(b *testing.B) { q.measure(b, question.ask, 0) })
		if question.raw != "" && *benchRaw > 0 {
			b.Run(question.name+"/calls", func(b *testing.B) {
				q.measure(b, func() error { return q.raw(question.raw, question.args...) }, *benchRaw)
			})
		}
	}
}

// measure asks again and again, at least twice, and for no longer than within
// if that is not 0.
func (q *reportQuestions) measure(b *testing.B, ask func() error, within time.Duration) {
	require.NoError(b, ask()) // once, so that nothing is read from the disk
	before := q.serverCPU(b)
	var took []time.Duration
	deadline := time.Now().Add(within)
	for b.Loop() {
		if within > 0 && len(took) > 1 && time.Now().After(deadline) {
			continue
		}
		began := time.Now()
		if err := ask(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	if after := q.serverCPU(b); after > before {
		b.ReportMetric(float64((after-before).Microseconds())/1000/float64(len(took)), "cpu-ms")
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(len(took)), "times")
	b.ReportMetric(0, "ns/op")
}

// serverCPU is for how long the server's process of the one connection has run,
// without the helpers of a parallel query; 0 where it cannot be seen.
func (q *reportQuestions) serverCPU(b *testing.B) time.Duration {
	var pid int
	require.NoError(b, q.s.pool.QueryRow(q.ctx, `SELECT pg_backend_pid()`).Scan(&pid))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid)) // Linux: nanoseconds first
	if err != nil {
		return 0
	}
	var nanoseconds int64
	if _, err := fmt.Sscan(string(stat), &nanoseconds); err != nil {
		return 0
	}
	return time.Duration(nanoseconds)
}

// reportQuestion is a report, and what asks the calls themselves for it.
type reportQuestion struct {
	name string
	ask  func() error
	raw  string // empty: nothing but calls is asked for anyway
	args []any
}

type reportQuestions struct {
	s   *Store
	ctx context.Context
	now time.Time
}

// raw reads an answer to its end.
func (q *reportQuestions) raw(sql string, args ...any) error {
	rows, err := q.s.pool.Query(q.ctx, sql, args...)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// window is the last days up to today.
func (q *reportQuestions) window(days int) (from, to accounting.Day) {
	to = accounting.DayOf(q.now)
	return to.Add(1 - days), to
}

const benchCampaign = "campaign-7"

// sums are the reports that read sums. The windows are those of the pages: the
// last 30 days, and a year where more can be asked for.
func (q *reportQuestions) sums() []reportQuestion {
	s, ctx := q.s, q.ctx
	from, to := q.window(30)
	year, _ := q.window(365)
	month := accounting.MonthOf(q.now)
	old := to.Add(-14)
	value := accounting.MeetingValue{Default: accounting.Some(decimal.NewFromInt(500))}
	campaign := benchCampaign
	days := []any{from.Start(), to.End()}
	return []reportQuestion{
		{name: "month", ask: func() error { _, err := s.Months(ctx, month, month); return err },
			raw: `SELECT sum(cost_usd) FROM openrouter_usage WHERE created_at >= $1`, args: []any{month.Start()}},
		{name: "trends-24-months", ask: func() error { _, err := s.Months(ctx, accounting.MonthOf(q.now.AddDate(0, -23, 0)), month); return err },
			raw: `SELECT date_trunc('month', created_at), sum(cost_usd) FROM openrouter_usage GROUP BY 1`},
		{name: "usage-30-days", ask: func() error { _, err := s.UsageReport(ctx, from, to); return err },
			raw: `SELECT campaign_id, purpose, platform, model, key_fingerprint, sum(cost_usd), count(*), sum(total_tokens) FROM openrouter_usage
				WHERE created_at >= $1 AND created_at < $2 GROUP BY GROUPING SETS ((campaign_id), (purpose), (platform), (model), (key_fingerprint))`, args: days},
		{name: "usage-year", ask: func() error { _, err := s.UsageReport(ctx, year, to); return err }},
		{name: "campaigns", ask: func() error { _, err := s.Campaigns(ctx, from, to, old, nil, 100); return err },
			raw: `SELECT campaign_id, sum(cost_usd), count(DISTINCT lead_id) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 GROUP BY 1`, args: days},
		{name: "campaigns-year", ask: func() error { _, err := s.Campaigns(ctx, year, to, old, nil, 100); return err }},
		{name: "campaign-one", ask: func() error { _, err := s.Campaigns(ctx, from, to, old, &campaign, 1); return err },
			raw: `SELECT sum(cost_usd), count(DISTINCT lead_id) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 AND campaign_id = $3`, args: append(days, campaign)},
		{name: "campaign-usage", ask: func() error { _, _, err := s.CampaignUsage(ctx, campaign, from, to); return err }},
		{name: "campaign-waste", ask: func() error { _, err := s.Waste(ctx, from, to, old, &campaign); return err }},
		{name: "campaign-sequences", ask: func() error { _, err := s.ListSequences(ctx, campaign, 100); return err },
			raw: `SELECT sequence_id, sum(cost_usd) AS cost FROM openrouter_usage WHERE campaign_id = $1 AND sequence_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 100`, args: []any{campaign}},
		{name: "emails-by-campaign", ask: func() error { _, err := s.EmailsByCampaign(ctx, from, to); return err }},
		{name: "platforms", ask: func() error { _, err := s.Platforms(ctx, from, to, old); return err },
			raw: `SELECT platform, sum(cost_usd), count(DISTINCT lead_id) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 GROUP BY 1`, args: days},
		{name: "models", ask: func() error { _, err := s.Models(ctx, from, to); return err },
			raw: `SELECT model, sum(cost_usd), count(DISTINCT lead_id), avg(duration_ms) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 GROUP BY 1`, args: days},
		{name: "waste", ask: func() error { _, err := s.Waste(ctx, from, to, old, nil); return err },
			raw: `SELECT sum(cost_usd) FROM openrouter_usage u WHERE created_at >= $1 AND created_at < $2
				AND NOT EXISTS (SELECT FROM activities a WHERE a.lead_id = u.lead_id AND a.type = 'email_sent')`, args: days},
		{name: "kpi-sums", ask: func() error { _, err := s.KPISums(ctx, from, to, old, value); return err }},
		{name: "kpis-all", ask: func() error { return q.kpis(value) }},
		{name: "forecast-history", ask: func() error {
			_, err := s.CostHistories(ctx, to.Add(-accounting.MaxForecastDays), to, accounting.EUR, []accounting.Scope{{}, {CampaignID: campaign}, {Model: generatedModels[0]}})
			return err
		}, raw: `SELECT created_at::date, sum(cost_usd) FROM openrouter_usage WHERE created_at >= $1 GROUP BY 1`, args: []any{to.Add(-accounting.MaxForecastDays).Start()}},
		{name: "forecast-outcomes", ask: func() error { _, err := s.ForecastOutcomes(ctx, to.Add(-100), to, to); return err }},
		{name: "budgets", ask: func() error {
			_, err := s.BudgetStatuses(ctx, "", q.now, accounting.BudgetForecastValues)
			return err
		}},
	}
}

// kpis asks what GET /api/kpis asks, one after the other.
func (q *reportQuestions) kpis(value accounting.MeetingValue) error {
	month := accounting.MonthOf(q.now)
	from, to := accounting.DayOf(month.Start()), accounting.DayOf(month.End()).Add(-1)
	today := accounting.DayOf(q.now)
	for _, ask := range []func() error{
		func() error { _, err := q.s.Months(q.ctx, month, month); return err },
		func() error { _, err := q.s.KPISums(q.ctx, from, to, today.Add(-14), value); return err },
		func() error { _, err := q.s.ForecastOutcomes(q.ctx, from.Add(-92), to, today); return err },
		func() error {
			_, err := q.s.CostHistories(q.ctx, today.Add(-accounting.MaxForecastDays), today, accounting.EUR, []accounting.Scope{{}})
			return err
		},
		func() error { _, err := q.s.BudgetStatuses(q.ctx, accounting.BudgetMonthlyAI, q.now, 1); return err },
		func() error { _, err := q.s.Platforms(q.ctx, from, to, today.Add(-14)); return err },
		func() error { _, err := q.s.Models(q.ctx, from, to); return err },
	} {
		if err := ask(); err != nil {
			return err
		}
	}
	return nil
}

// lists are the pages of rows, with the filters that find much, little and
// nothing.
func (q *reportQuestions) lists() []reportQuestion {
	s, ctx := q.s, q.ctx
	var list []reportQuestion
	usage := func(name string, f accounting.UsageFilter) {
		f.Limit = 50
		list = append(list, reportQuestion{name: "calls-" + name, ask: func() error { _, err := s.ListUsage(ctx, f); return err }})
	}
	usage("newest", accounting.UsageFilter{})
	usage("campaign", accounting.UsageFilter{CampaignID: benchCampaign})
	usage("settled", accounting.UsageFilter{Status: accounting.StatusSettled})
	usage("failed", accounting.UsageFilter{Status: accounting.StatusFailed})
	usage("pending", accounting.UsageFilter{Status: accounting.StatusPending})
	usage("dismissed", accounting.UsageFilter{Status: accounting.StatusDismissed})
	usage("model", accounting.UsageFilter{Model: generatedModels[1]})
	usage("model-none", accounting.UsageFilter{Model: "no/such-model"})
	usage("purpose", accounting.UsageFilter{Purpose: generatedPurposes[0]})
	usage("platform", accounting.UsageFilter{Platform: generatedPlatform[0]})
	usage("platform-none", accounting.UsageFilter{Platform: "none"})
	usage("lead", accounting.UsageFilter{LeadID: "lead-17"})
	usage("email", accounting.UsageFilter{EmailID: "mail-17"})
	usage("sequence", accounting.UsageFilter{SequenceID: "sequence-17"})
	usage("campaign-failed", accounting.UsageFilter{CampaignID: benchCampaign, Status: accounting.StatusFailed})
	usage("campaign-model", accounting.UsageFilter{CampaignID: benchCampaign, Model: generatedModels[1]})
	usage("campaign-model-none", accounting.UsageFilter{CampaignID: benchCampaign, Model: "no/such-model"})
	usage("campaign-platform-none", accounting.UsageFilter{CampaignID: benchCampaign, Platform: generatedPlatform[0]})

	campaign := benchCampaign
	leads := func(name string, f accounting.LeadFilter) {
		f.Limit = 50
		list = append(list, reportQuestion{name: "leads-" + name, ask: func() error { _, err := s.ListLeads(ctx, f); return err }})
	}
	leads("newest", accounting.LeadFilter{})
	for _, state := range []accounting.LeadState{accounting.LeadUnsent, accounting.LeadSent, accounting.LeadReplied, accounting.LeadConverted, accounting.LeadLost} {
		leads(string(state), accounting.LeadFilter{State: state})
	}
	leads("campaign", accounting.LeadFilter{CampaignID: &campaign})
	leads("campaign-lost", accounting.LeadFilter{CampaignID: &campaign, State: accounting.LeadLost})

	decisions := func(name string, f accounting.DecisionFilter) {
		f.Limit = 50
		list = append(list, reportQuestion{name: "decisions-" + name, ask: func() error { _, err := s.ListDecisions(ctx, f); return err }})
	}
	decisions("newest", accounting.DecisionFilter{})
	decisions("blocked", accounting.DecisionFilter{Verdict: accounting.VerdictBlocked})
	decisions("budget", accounting.DecisionFilter{BudgetID: accounting.BudgetMonthlyAI})
	decisions("campaign", accounting.DecisionFilter{CampaignID: campaign})
	decisions("lead", accounting.DecisionFilter{LeadID: "lead-17"})

	return append(list,
		reportQuestion{name: "lead-one", ask: func() error { _, err := s.FindLead(ctx, "lead-17"); return err },
			raw: `SELECT sum(cost_usd), count(*) FROM openrouter_usage WHERE lead_id = 'lead-17'`},
		reportQuestion{name: "lead-activities", ask: func() error { _, err := s.ListActivities(ctx, "lead-17", "", 100); return err }},
		reportQuestion{name: "email-one", ask: func() error { _, err := s.FindEmail(ctx, "mail-17"); return err }},
		reportQuestion{name: "reconciliations", ask: func() error {
			_, err := s.ListReconciliations(ctx, accounting.ReconciliationFilter{Limit: 100})
			return err
		}},
		reportQuestion{name: "reconciliations-latest", ask: func() error { _, err := s.LatestReconciliations(ctx); return err }},
		reportQuestion{name: "alerts", ask: func() error { _, err := s.ListAlerts(ctx, accounting.AlertFilter{Limit: 50}); return err }},
		reportQuestion{name: "audit", ask: func() error { _, err := s.ListAudit(ctx, accounting.AuditFilter{Limit: 50}); return err }},
	)
}
