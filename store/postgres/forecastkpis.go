package postgres

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// KPISums sums what the UTC days from from to to, both included, have cost and
// brought over all campaigns, as [Store.Campaigns] does for each. Leads of days
// before wasteBefore to which nothing was sent count as waste. A campaign's
// value is as [accounting.MeetingValue.Of] has it.
func (s *Store) KPISums(ctx context.Context, from, to, wasteBefore accounting.Day, value accounting.MeetingValue) (accounting.KPISums, error) {
	var k accounting.KPISums
	var worth *decimal.Decimal
	err := s.pool.QueryRow(ctx, `-- name: kpi_sums
		WITH `+ratesSQL+`, costs AS (
			SELECT u.value AS id, sum(u.cost_usd * r.rate) AS eur FROM usage_daily u JOIN rates r USING (day)
			WHERE u.dimension = 'campaign' AND u.campaign_id = '' AND u.day BETWEEN $1 AND $2 GROUP BY 1
		), leads AS (
			SELECT coalesce(sum(l.leads), 0)::bigint AS processed, coalesce(sum(l.sent_leads), 0)::bigint AS sent,
				coalesce(sum(l.unsent_usd * r.rate) FILTER (WHERE l.day < $4::date), 0) AS unsent
			FROM lead_daily l JOIN rates r USING (day) WHERE l.day BETWEEN $1 AND $2
		), done AS (
			SELECT campaign_id AS id, coalesce(sum(count) FILTER (WHERE type = 'email_sent'), 0) AS emails,
				coalesce(sum(count) FILTER (WHERE type = 'meeting_booked'), 0) AS meetings,
				coalesce(sum(valued) FILTER (WHERE type = 'meeting_booked'), 0) AS valued, sum(value_eur) AS told,
				coalesce(sum((count - valued) * rate) FILTER (WHERE type = 'meeting_booked'), 0) AS rates
			FROM activity_daily JOIN rates USING (day) WHERE day BETWEEN $1 AND $2 GROUP BY 1
		), each AS (
			SELECT coalesce(c.eur, 0) AS eur, coalesce(d.emails, 0) AS emails, coalesce(d.meetings, 0) AS meetings,
				CASE WHEN w.untold IS NOT NULL THEN coalesce(d.told, 0) + w.untold
					WHEN d.told > 0 OR d.valued > 0 THEN d.told END AS value
			FROM costs c FULL JOIN done d USING (id) LEFT JOIN campaigns k USING (id)
			CROSS JOIN LATERAL (SELECT CASE WHEN k.currency = 'USD' AND k.meeting_value IS NOT NULL THEN k.meeting_value * coalesce(d.rates, 0)
				ELSE coalesce(k.meeting_value, $5::numeric) * (coalesce(d.meetings, 0) - coalesce(d.valued, 0)) END AS untold) w
		), firsts AS (
			-- Campaigns whose first return fell on these days. Grouped first, so that
			-- what was before is asked once for each.
			SELECT id, day FROM (
				SELECT a.campaign_id AS id, min(a.day) AS day FROM activity_daily a
				WHERE a.type IN ('meeting_booked', 'deal_won') AND a.day BETWEEN $1 AND $2 AND a.count > 0 AND a.campaign_id <> ''
				GROUP BY 1
			) f
			WHERE NOT EXISTS (SELECT FROM activity_daily b WHERE b.campaign_id = f.id
				AND b.type IN ('meeting_booked', 'deal_won') AND b.day < $1 AND b.count > 0 OFFSET 0)
		), returns AS (
			SELECT count(*) AS campaigns, coalesce(sum(greatest(f.day - c.day, 0)), 0)::bigint AS days
			FROM firsts f CROSS JOIN LATERAL (SELECT min(u.day) AS day FROM usage_daily u
				WHERE u.dimension = 'campaign' AND u.campaign_id = '' AND u.value = f.id) c
			WHERE c.day IS NOT NULL
		), told AS (
			SELECT count(*) AS raised, count(*) FILTER (WHERE acknowledged_at <= created_at + interval '24 hours') AS handled FROM alerts
			WHERE severity <> 'info' AND created_at >= $1::date::timestamp AT TIME ZONE 'UTC' AND created_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
		)
		SELECT coalesce(sum(e.eur), 0), (SELECT unsent FROM leads), coalesce(sum(e.eur) FILTER (WHERE e.value IS NOT NULL), 0),
			(SELECT processed FROM leads), (SELECT sent FROM leads), coalesce(sum(e.emails), 0)::bigint, coalesce(sum(e.meetings), 0)::bigint, sum(e.value),
			(SELECT raised FROM told), (SELECT handled FROM told), (SELECT campaigns FROM returns), (SELECT days FROM returns)
		FROM each e`,
		from.Start(), to.Start(), s.opts.USDToEURRate, wasteBefore.Start(), value.Default.Pointer()).
		Scan(&k.AICost, &k.UnsentCost, &k.ValuedCost, &k.ProcessedLeads, &k.SentLeads, &k.Emails, &k.Meetings, &worth,
			&k.Alerts, &k.AlertsHandled, &k.Returned, &k.ReturnDays)
	if err != nil {
		return accounting.KPISums{}, fmt.Errorf("sum %s to %s for key figures: %w", from, to, err)
	}
	k.Value = accounting.FromPointer(worth)
	return k, nil
}
