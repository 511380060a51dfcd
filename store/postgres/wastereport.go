package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Waste sums what was spent in vain on the UTC days from from to to, both
// included, by kind in the order of [accounting.WasteKinds], of one campaign or
// (nil) all. Calls count on their own day, leads on the day of their first
// call. Leads to which nothing was sent count from days before wasteBefore.
func (s *Store) Waste(ctx context.Context, from, to, wasteBefore accounting.Day, campaign *string) ([]accounting.WasteSum, error) {
	rows, err := s.pool.Query(ctx, `-- name: waste_report
		WITH `+ratesSQL+`, kinds AS (
			SELECT w.kind, w.calls AS n, w.cost_usd AS usd, w.cost_usd * r.rate AS eur
			FROM waste_daily w JOIN rates r USING (day)
			WHERE w.day BETWEEN $1 AND $2 AND ($5::text IS NULL OR w.campaign_id = $5)
			UNION ALL
			SELECT f.kind, f.n, f.usd, f.usd * r.rate
			FROM lead_daily l JOIN rates r USING (day)
			CROSS JOIN LATERAL (VALUES ('bounced', l.bounced_leads, l.bounced_usd), ('unsubscribed', l.unsubscribed_leads, l.unsubscribed_usd),
				('unsent', CASE WHEN l.day < $4::date THEN l.unsent_leads END, CASE WHEN l.day < $4::date THEN l.unsent_usd END)) AS f (kind, n, usd)
			WHERE l.day BETWEEN $1 AND $2 AND ($5::text IS NULL OR l.campaign_id = $5)
		)
		SELECT kind, coalesce(sum(n), 0)::bigint, coalesce(sum(usd), 0), coalesce(sum(eur), 0) FROM kinds GROUP BY kind`,
		from.Start(), to.Start(), s.opts.USDToEURRate, wasteBefore.Start(), campaign)
	if err != nil {
		return nil, fmt.Errorf("report waste of %s to %s: %w", from, to, err)
	}
	found := make(map[accounting.WasteKind]accounting.WasteSum)
	var w accounting.WasteSum
	var kind string
	if _, err = pgx.ForEachRow(rows, []any{&kind, &w.Count, &w.CostUSD, &w.CostEUR}, func() error {
		w.Kind = accounting.WasteKind(kind)
		found[w.Kind] = w
		return nil
	}); err != nil {
		return nil, fmt.Errorf("report waste of %s to %s: %w", from, to, err)
	}
	var list []accounting.WasteSum
	for _, kind := range accounting.WasteKinds() {
		w := found[kind]
		w.Kind = kind
		list = append(list, w)
	}
	return list, nil
}

// Platforms sums what was spent and done on each sending platform, as
// [Store.Campaigns] does for campaigns; the empty one is that of calls and
// activities that named none. A meeting that did not tell its value has that of
// its campaign, as [accounting.MeetingValue.Of] has it.
func (s *Store) Platforms(ctx context.Context, from, to, wasteBefore accounting.Day) ([]accounting.PlatformSums, error) {
	rows, err := s.pool.Query(ctx, `-- name: platforms_report
		WITH `+ratesSQL+`, costs AS (
			SELECT u.value AS platform, sum(u.cost_usd) AS usd, sum(u.cost_usd * r.rate) AS eur, sum(u.calls) AS calls
			FROM usage_daily u JOIN rates r USING (day)
			WHERE u.dimension = 'platform' AND u.campaign_id = '' AND u.day BETWEEN $1 AND $2 GROUP BY u.value
		), leads AS (
			SELECT l.platform, sum(l.leads) AS processed, sum(l.sent_leads) AS sent, sum(l.unsent_usd * r.rate) FILTER (WHERE l.day < $4::date) AS unsent_eur
			FROM lead_daily l JOIN rates r USING (day) WHERE l.day BETWEEN $1 AND $2 GROUP BY l.platform
		), done AS (
			-- In two steps: few rows are then looked at in nine ways.
			SELECT a.platform, sum(n) FILTER (WHERE type = 'email_sent') AS emails, sum(n) FILTER (WHERE type = 'meeting_booked') AS meetings,
				sum(n) FILTER (WHERE type = 'reply_received') AS replies, sum(n) FILTER (WHERE type = 'bounced') AS bounces,
				sum(n) FILTER (WHERE type = 'unsubscribed') AS unsubscribes, sum(n) FILTER (WHERE type = 'deal_won') AS deals,
				sum(a.value + CASE WHEN type = 'meeting_booked' AND k.meeting_value IS NOT NULL
					THEN k.meeting_value * CASE WHEN k.currency = 'USD' THEN a.untold_rates ELSE n - valued END ELSE 0 END) AS value,
				sum(CASE WHEN k.meeting_value IS NULL THEN valued ELSE n END) FILTER (WHERE type = 'meeting_booked') AS valued
			FROM (
				SELECT platform, type, campaign_id, sum(count) AS n, sum(valued) AS valued, sum(value_eur) AS value,
					sum((count - valued) * rate) FILTER (WHERE type = 'meeting_booked') AS untold_rates
				FROM activity_daily JOIN rates USING (day)
				WHERE day BETWEEN $1 AND $2 GROUP BY platform, type, campaign_id
			) a LEFT JOIN campaigns k ON k.id = a.campaign_id
			GROUP BY a.platform
		)
		SELECT platform, coalesce(usd, 0), coalesce(eur, 0), coalesce(calls, 0)::bigint, coalesce(processed, 0)::bigint, coalesce(sent, 0)::bigint,
			coalesce(unsent_eur, 0), coalesce(emails, 0)::bigint, coalesce(meetings, 0)::bigint, coalesce(replies, 0)::bigint,
			coalesce(bounces, 0)::bigint, coalesce(unsubscribes, 0)::bigint, coalesce(deals, 0)::bigint, coalesce(value, 0), coalesce(valued, 0)::bigint
		FROM costs FULL JOIN leads USING (platform) FULL JOIN done USING (platform)
		ORDER BY coalesce(eur, 0) DESC, platform LIMIT $5`,
		from.Start(), to.Start(), s.opts.USDToEURRate, wasteBefore.Start(), accounting.MaxUsageRows)
	if err == nil {
		var list []accounting.PlatformSums
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.PlatformSums]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("report platforms of %s to %s: %w", from, to, err)
}

// Models sums what each model was used for, the dearest first. A meeting is
// shared by what the models have cost its lead in all, whenever that was.
func (s *Store) Models(ctx context.Context, from, to accounting.Day) ([]accounting.ModelSums, error) {
	rows, err := s.pool.Query(ctx, `-- name: models_report
		WITH `+ratesSQL+`, finishes AS (
			SELECT model, jsonb_object_agg(finish_reason, calls) AS reasons
			FROM (SELECT model, finish_reason, sum(calls) AS calls FROM finish_daily WHERE day BETWEEN $1 AND $2 GROUP BY 1, 2 HAVING sum(calls) > 0) f
			GROUP BY model
		), served AS MATERIALIZED (
			SELECT model, sum(leads) AS leads FROM model_lead_daily WHERE day BETWEEN $1 AND $2 GROUP BY model
		), met AS MATERIALIZED (
			SELECT model, sum(meetings) AS meetings FROM model_meeting_daily WHERE day BETWEEN $1 AND $2 GROUP BY model
		)
		SELECT u.value, `+totalsSQL+`,
			sum(u.timed_calls)::bigint, sum(u.duration_ms), sum(u.first_token_calls)::bigint, sum(u.first_token_ms), f.reasons,
			coalesce(served.leads, 0)::bigint, round(coalesce(met.meetings, 0), 10)
		FROM usage_daily u JOIN rates r USING (day) LEFT JOIN finishes f ON f.model = u.value
			LEFT JOIN served ON served.model = u.value LEFT JOIN met ON met.model = u.value
		WHERE u.dimension = 'model' AND u.campaign_id = '' AND u.day BETWEEN $1 AND $2
		GROUP BY u.value, f.reasons, served.leads, met.meetings ORDER BY sum(u.cost_usd * r.rate) DESC, u.value LIMIT $4`,
		from.Start(), to.Start(), s.opts.USDToEURRate, accounting.MaxUsageRows)
	if err == nil {
		var list []accounting.ModelSums
		if list, err = pgx.CollectRows(rows, scanModel); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("report models of %s to %s: %w", from, to, err)
}

func scanModel(cr pgx.CollectableRow) (accounting.ModelSums, error) {
	var m accounting.ModelSums
	var timed, first int64
	var duration, firstToken decimal.Decimal
	err := cr.Scan(append(append([]any{&m.Name}, totalsFields(&m.UsageTotals)...), &timed, &duration, &first, &firstToken, &m.Finish, &m.Leads, &m.Meetings)...)
	m.Derive()
	m.CostPerLead = accounting.AmountOf(accounting.Per(m.CostEUR.Decimal, m.Leads))
	m.CostPerMeeting = accounting.AmountOf(accounting.Quotient(m.CostEUR.Decimal, m.Meetings.Decimal))
	m.DurationMS = accounting.AmountOf(accounting.Per(duration, timed))
	m.FirstTokenMS = accounting.AmountOf(accounting.Per(firstToken, first))
	return m, err
}
