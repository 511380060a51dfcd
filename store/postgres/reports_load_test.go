package postgres

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// generated is a year of calls as a busy sender makes them. A lead is written
// to over some weeks and belongs to one campaign, whose platform is one; the
// n-th call is the same in each run.
type generated struct {
	now                    time.Time
	calls, leads, campaign int
}

const (
	generatedDays = 364
	leadDays      = 14       // over which the calls of a lead are spread
	copiedAtOnce  = 500_000  // rows of one COPY, which is one transaction
	decisionEvery = 10       // calls to one row of budget_decisions
	mailCalls     = 2        // calls to one email
	pending       = 50       // of the newest calls, those without a cost yet
	costUnit      = -10      // decimal places
	costRange     = 50_000_0 // units
)

var (
	generatedPurposes = []string{"email_generation", "lead_personalization", "subject_line", "follow_up"}
	generatedModels   = []string{"openai/gpt-5-mini", "anthropic/claude-sonnet-4.5", "google/gemini-2.5-flash", "anthropic/claude-haiku-4.5"}
	generatedPlatform = []string{"instantly", "heyreach"}
)

// draw is the random numbers of the n-th thing of a kind.
func draw(kind, n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(kind), uint64(n))) }

// at is the moment at which a share of the year is over.
func (g *generated) at(share float64) time.Time {
	return g.now.Add(time.Duration((share - 1) * generatedDays * 24 * float64(time.Hour))).Truncate(time.Millisecond)
}

func campaignOfLead(g *generated, lead int) int { return draw(1, lead).IntN(g.campaign) }

// leadOf is a lead that was worked for at that time.
func (g *generated) leadOf(n int, r *rand.Rand) int {
	middle := float64(n) / float64(g.calls) * float64(g.leads)
	spread := float64(g.leads) * leadDays / generatedDays
	return min(max(int(middle+(r.Float64()-0.5)*spread), 0), g.leads-1)
}

// callColumns are those of openrouter_usage that a generated call fills.
var callColumns = []string{"id", "created_at", "generation_id", "campaign_id", "lead_id", "email_id", "sequence_id", "purpose", "platform", "key_fingerprint",
	"endpoint", "requested_model", "model", "provider", "status", "http_status", "finish_reason", "error", "inline_cost_usd", "cost_usd", "cost_source", "verified_at",
	"prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "duration_ms", "time_to_first_token_ms", "streamed", "cancelled"}

func (g *generated) call(n int) []any {
	r := draw(0, n)
	created := g.at(float64(n) / float64(g.calls))
	id := accounting.NewRequestID(created, r.Uint64(), r.Uint64())
	lead := g.leadOf(n, r)
	campaign := campaignOfLead(g, lead)
	model := generatedModels[min(r.IntN(6), len(generatedModels)-1)]
	cost := decimal.New(int64(1+r.IntN(costRange)), costUnit)
	prompt, completion := int64(200+r.IntN(2000)), int64(50+r.IntN(400))
	status, http, finish, failure := "settled", int32(200), text("stop"), text("")
	paid, source, verified := &cost, text("inline"), new(created.Add(time.Minute))
	var sequence text
	switch draw := r.IntN(10_000); {
	case n >= g.calls-pending:
		status, paid, source, verified = "pending", nil, "", nil
	case draw < 150:
		status, http, finish, failure, paid, source, verified = "failed", 429, "", "rate_limit", nil, "", nil
	case draw < 400:
		finish = "length"
	case draw == 400:
		status, paid, source, verified = "unresolved", nil, "", nil
	}
	if lead%4 == 0 {
		sequence = text("sequence-" + strconv.Itoa(lead/4))
	}
	return []any{requestID(id), created, "gen-" + strconv.Itoa(n), "campaign-" + strconv.Itoa(campaign), "lead-" + strconv.Itoa(lead),
		"mail-" + strconv.Itoa(n/mailCalls), sequence, generatedPurposes[r.IntN(len(generatedPurposes))], generatedPlatform[campaign%2], "key-" + strconv.Itoa(r.IntN(3)),
		"/api/v1/chat/completions", model, model, "provider", status, http, finish, failure, paid, paid, source, verified,
		prompt, completion, prompt + completion, prompt / 4, int64(400 + r.IntN(4000)), int64(100 + r.IntN(800)), n%2 == 0, r.IntN(200) == 0}
}

var activityColumns = []string{"id", "type", "campaign_id", "lead_id", "platform", "occurred_at", "booked_year", "booked_month"}

// activities is what came of a lead: 80 of a hundred were written to.
func (g *generated) activities(lead int) [][]any {
	r := draw(2, lead)
	campaign := campaignOfLead(g, lead)
	at := g.at(float64(lead) / float64(g.leads))
	var list [][]any
	add := func(t accounting.ActivityType, share float64) {
		if r.Float64() < share {
			list = append(list, []any{fmt.Sprintf("%s-%d", t, lead), string(t), "campaign-" + strconv.Itoa(campaign), "lead-" + strconv.Itoa(lead),
				generatedPlatform[campaign%2], at, at.Year(), int(at.Month())})
		}
	}
	if add(accounting.EmailSent, 0.8); len(list) > 0 {
		add(accounting.ReplyReceived, 0.08)
		add(accounting.MeetingBooked, 0.04)
		add(accounting.Bounced, 0.02)
	}
	return list
}

var decisionColumnsLoaded = []string{"id", "created_at", "verdict", "reason", "campaign_id", "lead_id", "purpose", "model", "budgets"}

// decision is one in decisionEvery calls', one in 500 of them a refusal.
func (g *generated) decision(n int) []any {
	c := g.call(n * decisionEvery)
	verdict, reason := "allowed", text("")
	if n%500 == 0 {
		verdict, reason = "blocked", "limit_reached"
	}
	return []any{c[0], c[1], verdict, reason, c[3], c[4], c[7], c[12], `[{"budget_id": "monthly-ai", "mode": "soft"}]`}
}

// loadCalls makes calls, activities of their leads, decisions and reconciled
// days, and counts them.
func loadCalls(b *testing.B, s *Store, g *generated) {
	b.Helper()
	ctx := b.Context()
	step := func(what string, do func() error) {
		b.Helper()
		began := time.Now()
		require.NoError(b, do(), what)
		b.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
	}
	run := func(sql string) func() error {
		return func() error {
			_, err := s.pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
			return err
		}
	}
	copied := func(table string, columns []string, n int, row func(int) []any) func() error {
		return func() error { return copyRows(b, s, table, columns, n, row) }
	}
	// Indexes are made when the rows are there: that takes half the time.
	step("calls", s.withoutIndexes(b, "openrouter_usage", copied("openrouter_usage", callColumns, g.calls, g.call)))
	step("decisions", s.withoutIndexes(b, "budget_decisions", copied("budget_decisions", decisionColumnsLoaded, g.calls/decisionEvery, g.decision)))
	var activities [][]any
	for lead := range g.leads {
		activities = append(activities, g.activities(lead)...)
	}
	step("activities", copied("activities", activityColumns, len(activities), func(n int) []any { return activities[n] }))
	step("hours", run(`INSERT INTO usage_hourly (hour, campaign_id, purpose, model, platform, calls, cost_usd)
		SELECT date_trunc('hour', created_at), coalesce(campaign_id, ''), coalesce(purpose, ''), model, coalesce(platform, ''), count(*), coalesce(sum(cost_usd), 0)
		FROM openrouter_usage WHERE created_at > '`+g.now.AddDate(0, 0, -14).Format(time.RFC3339)+`' GROUP BY 1, 2, 3, 4, 5`))
	step("sums", func() error { return s.RecountEconomics(ctx) })
	step("months", run(`INSERT INTO monthly_costs (year, month, openrouter_cost, emails_sent)
		SELECT extract(year FROM day), extract(month FROM day), sum(cost_usd), 1 FROM usage_daily WHERE dimension = 'all' GROUP BY 1, 2`))
	step("rates", run(`INSERT INTO exchange_rates (day, usd_to_eur, source)
		SELECT d::date, 0.9 + extract(doy FROM d) / 10000, 'ecb' FROM generate_series(now() - interval '2 years', now(), '1 day') d WHERE extract(isodow FROM d) < 6`))
	step("reconciliations", run(`INSERT INTO reconciliations (day, source, ours_usd, theirs_usd, our_calls, open_calls, unverified_calls, unverified_usd, tolerance, verdict, checked_at)
		SELECT day, source, cost_usd, cost_usd, calls, 0, 0, 0, 0.001, 'agrees', now() FROM usage_daily CROSS JOIN (VALUES ('activity'), ('credits')) v (source) WHERE dimension = 'all'`))
	step("statistics", run(`VACUUM ANALYZE`))
}

// withoutIndexes does something while a table is without its indexes, but for
// the primary key.
func (s *Store) withoutIndexes(b *testing.B, table string, do func() error) func() error {
	return func() error {
		rows, err := s.pool.Query(b.Context(), `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
			WHERE indrelid = $1::text::regclass AND NOT indisprimary`, table)
		if err != nil {
			return err
		}
		var name, definition string
		var drop, create []string
		if _, err := pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
			drop, create = append(drop, "DROP INDEX "+name), append(create, strings.Replace(definition, " ON ONLY ", " ON ", 1))
			return nil
		}); err != nil {
			return err
		}
		each := func(statements []string) error {
			for _, sql := range statements {
				if _, err := s.pool.Exec(b.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
			return nil
		}
		if err := each(drop); err != nil {
			return err
		}
		return errors.Join(do(), each(create))
	}
}

// copyRows writes n rows by COPY, some at a time.
func copyRows(b *testing.B, s *Store, table string, columns []string, n int, row func(int) []any) error {
	for from := 0; from < n; from += copiedAtOnce {
		i, to := from, min(from+copiedAtOnce, n)
		if _, err := s.pool.CopyFrom(b.Context(), pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
			if i == to {
				return nil, nil
			}
			i++
			return row(i - 1), nil
		})); err != nil {
			return fmt.Errorf("copy %s from row %d: %w", table, from, err)
		}
	}
	return nil
}
