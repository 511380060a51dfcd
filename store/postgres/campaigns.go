package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Campaigns sums what campaigns have cost and brought on the UTC days from from
// to to, both included: at most limit of them, the dearest first. id, if not
// nil, is the only one that is wanted; the empty one are calls and activities
// without a campaign. Calls and activities count on their own days, a lead on
// the day of its first call, whenever something was sent to it. Leads of days
// before wasteBefore to which nothing was sent count as waste.
func (s *Store) Campaigns(ctx context.Context, from, to, wasteBefore accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error) {
	list, _, err := s.campaigns(ctx, from, to, wasteBefore, id, campaignCursor{}, limit)
	return list, err
}

// ListCampaigns returns one page of what Campaigns sums, and what all pages come
// to. While costs move, a campaign may move from one page to another between
// two requests. Errors: [accounting.ErrBadCursor].
func (s *Store) ListCampaigns(ctx context.Context, from, to, wasteBefore accounting.Day, limit int, cursor string) (accounting.CampaignPage, error) {
	after, err := parseCampaignCursor(cursor)
	if err == nil && (limit < 1 || limit > accounting.MaxUsageRows) {
		err = fmt.Errorf("limit %d: want 1 to %d", limit, accounting.MaxUsageRows)
	}
	if err != nil {
		return accounting.CampaignPage{}, fmt.Errorf("list campaigns: %w", err)
	}
	// One row more than asked for tells whether there is a next page.
	var page accounting.CampaignPage
	if page.Rows, page.All, err = s.campaigns(ctx, from, to, wasteBefore, nil, after, limit+1); err != nil {
		return accounting.CampaignPage{}, err
	}
	if len(page.Rows) > limit {
		page.Rows = page.Rows[:limit]
		page.NextCursor = campaignCursorOf(&page.Rows[limit-1])
	}
	return page, nil
}

// campaignCursor is the last campaign of a page.
type campaignCursor struct {
	cost *decimal.Decimal // EUR; nil: the first page
	id   string
}

func campaignCursorOf(c *accounting.CampaignSums) string {
	return base64.RawURLEncoding.EncodeToString([]byte(c.AICostEUR.String() + "\x00" + c.ID))
}

func parseCampaignCursor(s string) (campaignCursor, error) {
	if s == "" {
		return campaignCursor{}, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	cost, id, found := strings.Cut(string(decoded), "\x00")
	amount := accounting.ParseCost(cost)
	if err != nil || !found || !amount.Known || !utf8.ValidString(id) || strings.Contains(id, "\x00") {
		return campaignCursor{}, accounting.ErrBadCursor
	}
	return campaignCursor{&amount.Value, id}, nil
}

func (s *Store) campaigns(ctx context.Context, from, to, wasteBefore accounting.Day, id *string, after campaignCursor, limit int) (list []accounting.CampaignSums, all accounting.CampaignTotals, err error) {
	rows, err := s.pool.Query(ctx, `-- name: campaigns_report
		WITH `+ratesSQL+`, costs AS (
			SELECT u.value AS id, sum(u.cost_usd) AS usd, sum(u.cost_usd * r.rate) AS eur, sum(u.calls) AS calls, min(u.day) AS first, max(u.day) AS last
			FROM usage_daily u JOIN rates r USING (day)
			WHERE u.dimension = 'campaign' AND u.campaign_id = '' AND u.day BETWEEN $1 AND $2 AND ($5::text IS NULL OR u.value = $5)
			GROUP BY u.value
		), leads AS (
			SELECT l.campaign_id AS id, sum(l.leads) AS processed, sum(l.sent_leads) AS sent, sum(l.replied_leads) AS replied, sum(l.converted_leads) AS converted,
				sum(l.unsent_leads) FILTER (WHERE l.day < $4::date) AS unsent, sum(l.unsent_usd * r.rate) FILTER (WHERE l.day < $4::date) AS unsent_eur
			FROM lead_daily l JOIN rates r USING (day)
			WHERE l.day BETWEEN $1 AND $2 AND ($5::text IS NULL OR l.campaign_id = $5)
			GROUP BY l.campaign_id
		), done AS (
			SELECT campaign_id AS id,
				sum(count) FILTER (WHERE type = 'email_sent') AS emails, sum(count) FILTER (WHERE type = 'meeting_booked') AS meetings,
				sum(count) FILTER (WHERE type = 'reply_received') AS replies, sum(count) FILTER (WHERE type = 'bounced') AS bounces,
				sum(count) FILTER (WHERE type = 'unsubscribed') AS unsubscribes, sum(count) FILTER (WHERE type = 'opened') AS opens,
				sum(count) FILTER (WHERE type = 'deal_won') AS deals, sum(value_eur) AS value, sum(valued) FILTER (WHERE type = 'meeting_booked') AS valued,
				sum((count - valued) * rate) FILTER (WHERE type = 'meeting_booked') AS untold, min(day) AS first, max(day) AS last
			FROM activity_daily JOIN rates USING (day)
			WHERE day BETWEEN $1 AND $2 AND ($5::text IS NULL OR campaign_id = $5)
			GROUP BY campaign_id
		), known AS (
			SELECT * FROM campaigns WHERE $5::text IS NULL OR id = $5
		), report AS (
		SELECT id, coalesce(usd, 0) AS usd, coalesce(eur, 0) AS eur, coalesce(calls, 0)::bigint,
			coalesce(processed, 0)::bigint, coalesce(sent, 0)::bigint, coalesce(replied, 0)::bigint, coalesce(converted, 0)::bigint,
			coalesce(unsent_eur, 0), coalesce(unsent, 0)::bigint,
			coalesce(emails, 0)::bigint AS emails, coalesce(meetings, 0)::bigint AS meetings, coalesce(replies, 0)::bigint, coalesce(bounces, 0)::bigint,
			coalesce(unsubscribes, 0)::bigint, coalesce(opens, 0)::bigint, coalesce(deals, 0)::bigint, coalesce(value, 0), coalesce(valued, 0)::bigint,
			coalesce(untold, 0), least(costs.first, done.first), greatest(costs.last, done.last),
			k.updated_at, k.name, k.platform, k.meeting_value, coalesce(k.currency, 'EUR'), k.target_cost_per_email, k.target_cost_per_meeting, coalesce(k.testing, false)
		FROM costs FULL JOIN leads USING (id) FULL JOIN done USING (id) FULL JOIN known k USING (id)
		)
		SELECT report.*, a.* FROM report,
			(SELECT count(*), coalesce(sum(eur), 0), coalesce(sum(emails), 0)::bigint, coalesce(sum(meetings), 0)::bigint FROM report) AS a
		WHERE $7::numeric IS NULL OR eur < $7 OR eur = $7 AND id > $8
		ORDER BY eur DESC, id LIMIT $6`,
		from.Start(), to.Start(), s.opts.USDToEURRate, wasteBefore.Start(), id, limit, after.cost, after.id)
	if err == nil {
		if list, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (accounting.CampaignSums, error) { return scanCampaign(cr, &all) }); err == nil {
			return list, all, nil
		}
	}
	return nil, all, fmt.Errorf("report campaigns of %s to %s: %w", from, to, err)
}

func scanCampaign(cr pgx.CollectableRow, all *accounting.CampaignTotals) (accounting.CampaignSums, error) {
	var (
		c           accounting.CampaignSums
		set         accounting.CampaignSettings
		first, last *time.Time
		updated     *time.Time
	)
	err := cr.Scan(&c.ID, &c.AICostUSD, &c.AICostEUR, &c.Calls, &c.ProcessedLeads, &c.SentLeads, &c.RepliedLeads, &c.ConvertedLeads,
		&c.UnsentCostEUR, &c.UnsentLeads, &c.Emails, &c.Meetings, &c.Replies, &c.Bounces, &c.Unsubscribes, &c.Opens, &c.Deals,
		&c.ValueEUR, &c.MeetingsValued, &c.UntoldRates, &first, &last,
		&updated, &set.Name, &set.Platform, &set.MeetingValue, &set.Currency, &set.TargetCostPerEmail, &set.TargetCostPerMeeting, &set.Testing,
		&all.Campaigns, &all.AICost, &all.Emails, &all.Meetings)
	if updated != nil {
		set.ID, set.UpdatedAt = c.ID, updated.UTC()
		c.Settings = &set
	}
	if first != nil {
		from, to := accounting.DayOf(*first), accounting.DayOf(*last)
		c.FirstDay, c.LastDay = &from, &to
	}
	return c, err
}

// EmailsByCampaign counts the emails that campaigns sent on the UTC days from
// from to to, both included.
func (s *Store) EmailsByCampaign(ctx context.Context, from, to accounting.Day) (accounting.EmailsByCampaign, error) {
	rows, err := s.pool.Query(ctx, `-- name: emails_by_campaign
		SELECT campaign_id, platform, sum(count)::bigint FROM activity_daily
		WHERE type = 'email_sent' AND day BETWEEN $1 AND $2 GROUP BY 1, 2 HAVING sum(count) > 0`, from.Start(), to.Start())
	if err != nil {
		return nil, fmt.Errorf("count emails of %s to %s: %w", from, to, err)
	}
	emails := make(accounting.EmailsByCampaign)
	var campaign, platform string
	var n int64
	if _, err = pgx.ForEachRow(rows, []any{&campaign, &platform, &n}, func() error {
		if emails[campaign] == nil {
			emails[campaign] = make(map[string]int64)
		}
		emails[campaign][platform] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count emails of %s to %s: %w", from, to, err)
	}
	return emails, nil
}

// CampaignUsage sums the calls of one campaign on the UTC days from from to to,
// both included, by purpose and by model, the dearest first.
func (s *Store) CampaignUsage(ctx context.Context, id string, from, to accounting.Day) (purposes, models []accounting.UsageGroup, err error) {
	rows, err := s.pool.Query(ctx, `-- name: campaign_usage
		WITH `+ratesSQL+`
		SELECT u.dimension, u.value, `+totalsSQL+`
		FROM usage_daily u JOIN rates r USING (day)
		WHERE u.dimension IN ('campaign_purpose', 'campaign_model') AND u.campaign_id = $4 AND u.day BETWEEN $1 AND $2
		GROUP BY u.dimension, u.value ORDER BY u.dimension, sum(u.cost_usd) DESC, u.value`,
		from.Start(), to.Start(), s.opts.USDToEURRate, id)
	if err != nil {
		return nil, nil, fmt.Errorf("report usage of campaign %s: %w", clean(id), err)
	}
	purposes, models = []accounting.UsageGroup{}, []accounting.UsageGroup{}
	var dimension string
	var g accounting.UsageGroup
	_, err = pgx.ForEachRow(rows, append([]any{&dimension, &g.Name}, totalsFields(&g.UsageTotals)...), func() error {
		g.Derive()
		if dimension == dimensionCampaignPurpose {
			purposes = appendGroup(purposes, g)
		} else {
			models = appendGroup(models, g)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("report usage of campaign %s: %w", clean(id), err)
	}
	return purposes, models, nil
}

// PutCampaign stores the settings of a campaign in place of those before, in
// the name of by; audited in the same transaction.
func (s *Store) PutCampaign(ctx context.Context, c accounting.CampaignSettings, by string) (accounting.CampaignSettings, error) {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		before, err := findCampaign(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `-- name: campaign_put
			INSERT INTO campaigns (id, name, platform, meeting_value, currency, target_cost_per_email, target_cost_per_meeting, testing)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, platform = excluded.platform, meeting_value = excluded.meeting_value,
				currency = excluded.currency, target_cost_per_email = excluded.target_cost_per_email,
				target_cost_per_meeting = excluded.target_cost_per_meeting, testing = excluded.testing, updated_at = now()
			RETURNING updated_at`,
			c.ID, c.Name, c.Platform, c.MeetingValue, string(c.Currency), c.TargetCostPerEmail, c.TargetCostPerMeeting, c.Testing).Scan(&c.UpdatedAt)
		if err != nil {
			return err
		}
		c.UpdatedAt = c.UpdatedAt.UTC()
		entry := auditEntry{actor: by, action: accounting.ActionCampaignPut, subject: "campaigns/" + c.ID, after: campaignColumns(&c)}
		if before != nil {
			entry.before = campaignColumns(before)
		}
		return audit(ctx, tx, entry)
	})
	if err != nil {
		return accounting.CampaignSettings{}, fmt.Errorf("store campaign %s: %w", clean(c.ID), err)
	}
	return c, nil
}

func findCampaign(ctx context.Context, tx pgx.Tx, id string) (*accounting.CampaignSettings, error) {
	c := &accounting.CampaignSettings{ID: id}
	err := tx.QueryRow(ctx, `-- name: campaign_find
		SELECT name, platform, meeting_value, currency, target_cost_per_email, target_cost_per_meeting, testing, updated_at
		FROM campaigns WHERE id = $1 FOR UPDATE`, id).
		Scan(&c.Name, &c.Platform, &c.MeetingValue, &c.Currency, &c.TargetCostPerEmail, &c.TargetCostPerMeeting, &c.Testing, &c.UpdatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return c, err
}

func campaignColumns(c *accounting.CampaignSettings) map[string]any {
	return map[string]any{"name": c.Name, "platform": c.Platform, "meeting_value": c.MeetingValue, "currency": c.Currency,
		"target_cost_per_email": c.TargetCostPerEmail, "target_cost_per_meeting": c.TargetCostPerMeeting, "testing": c.Testing}
}
