package postgres

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/store/postgres/postgrestest"
)

var (
	benchRows  = flag.Int("report-rows", 20_000, "calls that BenchmarkReports loads; make bench-reports loads 20 million")
	benchLeads = flag.Int("report-leads", 1_000, "leads that the calls are for")
)

// BenchmarkReports measures every report on generated calls of the last twelve
// months, beside the same question to the calls themselves. p50 and p99 are of
// its own iterations: go test -bench Reports -benchtime 200x.
func BenchmarkReports(b *testing.B) {
	s := openStore(b, postgrestest.New(b))
	ctx := b.Context()
	now := time.Now().UTC()
	require.NoError(b, s.Migrate(ctx))
	for m := range 12 {
		require.NoError(b, s.EnsurePartitions(ctx, now.AddDate(0, -m, 1-now.Day())))
	}
	loadCalls(b, s, now, *benchRows, *benchLeads)
	month := accounting.MonthOf(now)
	from, to := accounting.DayOf(month.Start()), accounting.DayOf(month.End()).Add(-1)
	year := accounting.DayOf(now.AddDate(-1, 0, 1))
	old, campaign := accounting.DayOf(now).Add(-14), "campaign-7"
	raw := func(sql string, args ...any) func() error {
		return func() error {
			rows, err := s.pool.Query(ctx, sql, args...)
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		}
	}
	for _, report := range []struct {
		name string
		run  func() error
	}{
		{"months/sums", func() error { _, err := s.Months(ctx, accounting.MonthOf(year.Start()), month); return err }},
		{"months/calls", raw(`SELECT date_trunc('month', created_at), sum(cost_usd) FROM openrouter_usage WHERE created_at >= $1 GROUP BY 1`, year.Start())},
		{"usage-30-days/sums", func() error { _, err := s.UsageReport(ctx, to.Add(-29), to); return err }},
		{"usage-30-days/calls", raw(`SELECT campaign_id, sum(cost_usd), count(*), sum(total_tokens) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 GROUP BY 1`, to.Add(-29).Start(), to.End())},
		{"usage-year/sums", func() error { _, err := s.UsageReport(ctx, year, to); return err }},
		{"campaigns/sums", func() error { _, err := s.Campaigns(ctx, from, to, old, nil, 100); return err }},
		{"campaigns/calls", raw(`SELECT campaign_id, sum(cost_usd), count(DISTINCT lead_id) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 GROUP BY 1`, from.Start(), to.End())},
		{"campaign/sums", func() error { _, _, err := s.CampaignUsage(ctx, campaign, from, to); return err }},
		{"models/sums", func() error { _, err := s.Models(ctx, from, to); return err }},
		{"platforms/sums", func() error { _, err := s.Platforms(ctx, from, to, old); return err }},
		{"waste/sums", func() error { _, err := s.Waste(ctx, from, to, old, nil); return err }},
		{"leads/page", func() error {
			_, err := s.ListLeads(ctx, accounting.LeadFilter{CampaignID: &campaign, Limit: 50})
			return err
		}},
		{"lead/one", func() error { _, err := s.FindLead(ctx, "lead-17"); return err }},
		{"usage/page", func() error { _, err := s.ListUsage(ctx, accounting.UsageFilter{Limit: 50}); return err }},
	} {
		b.Run(report.name, func(b *testing.B) {
			require.NoError(b, report.run()) // once, so that nothing is read from the disk
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := report.run(); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// loadCalls makes calls, and activities for some of their leads, and counts them.
func loadCalls(b *testing.B, s *Store, now time.Time, rows, leads int) {
	b.Helper()
	ctx := context.WithoutCancel(b.Context())
	run := func(sql string) {
		_, err := s.pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(b, err)
	}
	const batch = 1_000_000
	for start := 0; start < rows; start += batch {
		run(fmt.Sprintf(`INSERT INTO openrouter_usage (id, created_at, generation_id, campaign_id, lead_id, email_id, purpose, platform, key_fingerprint,
			model, status, finish_reason, inline_cost_usd, cost_usd, cost_source, verified_at, prompt_tokens, completion_tokens, total_tokens, duration_ms, http_status)
			SELECT gen_random_uuid(), timestamptz '%[3]s' - (n::numeric / %[4]d) * interval '364 days', 'gen-' || n, 'campaign-' || lead %% 50, 'lead-' || lead, 'mail-' || n / 2,
				(ARRAY['email_generation', 'subject_line', 'follow_up', 'research'])[1 + n %% 4], (ARRAY['instantly', 'heyreach'])[1 + lead %% 2], 'key-' || n %% 3,
				(ARRAY['openai/gpt-5-mini', 'anthropic/claude-sonnet-4.5', 'google/gemini-2.5-flash'])[1 + n %% 3], 'settled', (ARRAY['stop', 'stop', 'stop', 'length'])[1 + n %% 4],
				cost, cost, 'inline', now(), 400, 100, 500, 900, 200
			FROM (SELECT n, (n::bigint * 7919 %% %[5]d) AS lead, (n %% 997 + 1) * 0.0000013 AS cost FROM generate_series(%[1]d, %[2]d) n) g`,
			start, min(start+batch, rows)-1, now.Format(time.RFC3339), rows, leads))
	}
	run(fmt.Sprintf(`INSERT INTO activities (id, type, campaign_id, lead_id, platform, occurred_at, booked_year, booked_month)
		SELECT 'sent-' || n, CASE WHEN n %% 20 = 0 THEN 'meeting_booked' ELSE 'email_sent' END, 'campaign-' || n %% 50, 'lead-' || n, (ARRAY['instantly', 'heyreach'])[1 + n %% 2],
			at, extract(year FROM at), extract(month FROM at)
		FROM (SELECT n, timestamptz '%s' - (n::numeric / %d) * interval '364 days' AS at FROM generate_series(0, %[2]d - 1) n WHERE n %% 10 < 8) g`, now.Format(time.RFC3339), leads))
	require.NoError(b, s.RecountEconomics(ctx))
	run(`INSERT INTO monthly_costs (year, month, openrouter_cost) SELECT extract(year FROM created_at AT TIME ZONE 'UTC'), extract(month FROM created_at AT TIME ZONE 'UTC'), sum(cost_usd) FROM openrouter_usage GROUP BY 1, 2`)
	run(`VACUUM ANALYZE`)
}
