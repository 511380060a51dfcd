package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// meetingShares are the parts of models in the meetings of leads, by day. The
// view model_meetings has the formula.
type meetingShares map[modelDayKey]decimal.Decimal

var modelMeetingDaily = newSums("model_meeting_daily",
	byModelDay, decimal.Decimal.IsZero, modelDayColumns,
	[]sumColumn[decimal.Decimal]{amountOf("meetings", func(n *decimal.Decimal) *decimal.Decimal { return n })})

// meetingMove moves model_meeting_daily by what a transaction does to leads that
// have meetings, or had some: few of those that it touches.
type meetingMove struct {
	leads, campaigns []string
	before           meetingShares
}

// beginMeetingMove reads what the leads' meetings come to before the leads are
// written. They are locked; their activities are written already, and changed
// are those that count from now on (sign 1) or no longer (-1).
func beginMeetingMove(ctx context.Context, tx pgx.Tx, all *leads, sign int64, changed []*activity) (*meetingMove, error) {
	var m meetingMove
	for k, now := range all.now {
		if now.meetings > 0 || all.was[k].meetings > 0 {
			m.leads, m.campaigns = append(m.leads, k.lead), append(m.campaigns, k.campaign)
		}
	}
	ids := make([]string, 0, len(changed))
	for _, a := range changed {
		if a.kind == accounting.MeetingBooked {
			ids = append(ids, string(a.id))
		}
	}
	counted := `reversed_at IS NULL AND activity_id <> ALL ($3)`
	if sign < 0 {
		counted = `(reversed_at IS NULL OR activity_id = ANY ($3))`
	}
	var err error
	m.before, err = m.shares(ctx, tx, counted, ids)
	return &m, err
}

// end posts the difference, once leads and lead_models are written.
func (m *meetingMove) end(ctx context.Context, tx pgx.Tx) error {
	after, err := m.shares(ctx, tx, `reversed_at IS NULL`)
	if err != nil {
		return err
	}
	for k, meetings := range m.before {
		after[k] = plus(after[k], -1, meetings)
	}
	return modelMeetingDaily.post(ctx, tx, after)
}

// shares are those of the meetings that are counted, which is a condition.
func (m *meetingMove) shares(ctx context.Context, tx pgx.Tx, counted string, args ...any) (meetingShares, error) {
	shares := make(meetingShares)
	if len(m.leads) == 0 {
		return shares, nil
	}
	rows, err := tx.Query(ctx, `-- name: model_meetings_share
		SELECT day, model, sum(meetings) FROM model_meetings
		JOIN unnest($1::text[], $2::text[]) AS moved (lead_id, campaign_id) USING (lead_id, campaign_id)
		WHERE `+counted+` GROUP BY day, model`, append([]any{m.leads, m.campaigns}, args...)...)
	if err == nil {
		var k modelDayKey
		var meetings decimal.Decimal
		_, err = pgx.ForEachRow(rows, []any{&k.day, &k.model, &meetings}, func() error {
			shares[k] = meetings
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("share meetings over models: %w", err)
	}
	return shares, nil
}
