package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// combinesTags reports whether a page is of calls that have several tags which
// may never meet, such as a campaign and a platform that is not its own. Each
// has an index, but a page of both would walk through all calls of one of them.
// What names a lead, an email or a call finds few anyway.
func combinesTags(f *accounting.UsageFilter) bool {
	if f.EmailID != "" || f.LeadID != "" || f.SequenceID != "" || f.GenerationID != "" {
		return false
	}
	n := 0
	for _, tag := range []string{f.CampaignID, f.Purpose, f.Platform, f.Model} {
		if tag != "" {
			n++
		}
	}
	return n > 1
}

// usageHours are the hours in which the calls of a page are, as usage_hourly
// knows them: few rows an hour, however many calls. Empty: there are none.
func (s *Store) usageHours(ctx context.Context, f *accounting.UsageFilter, after cursor) ([]time.Time, error) {
	until := timeOrNil(f.Until)
	if until == nil || after.createdAt != nil && after.createdAt.Before(*until) {
		until = after.createdAt
	}
	wanted := f.Limit + 1
	// The hours at both ends may have their calls beyond the page's.
	rows, err := s.pool.Query(ctx, `-- name: usage_hours
		SELECT hour, sum(calls)::bigint FROM usage_hourly
		WHERE ($1::text IS NULL OR campaign_id = $1) AND ($2::text IS NULL OR purpose = $2)
		  AND ($3::text IS NULL OR platform = $3) AND ($4::text IS NULL OR model = $4)
		  AND ($5::timestamptz IS NULL OR hour > $5::timestamptz - interval '1 hour') AND ($6::timestamptz IS NULL OR hour <= $6)
		GROUP BY hour HAVING sum(calls) > 0 ORDER BY hour DESC LIMIT $7`,
		clean(f.CampaignID), clean(f.Purpose), clean(f.Platform), clean(f.Model), timeOrNil(f.Since), until, wanted+2)
	if err != nil {
		return nil, err
	}
	var hours []time.Time
	var hour time.Time
	var calls, certain int64
	_, err = pgx.ForEachRow(rows, []any{&hour, &calls}, func() error {
		if certain >= int64(wanted) {
			return nil
		}
		hours = append(hours, hour)
		if !hour.Before(f.Since) && (until == nil || !hour.Add(time.Hour).After(*until)) {
			certain += calls
		}
		return nil
	})
	return hours, err
}

// listUsageHoursSQL is listUsageSQL within the hours $15.
const listUsageHoursSQL = `-- name: usage_list_hours
	SELECT u.* FROM unnest($15::timestamptz[]) AS h (hour)
	CROSS JOIN LATERAL (
		SELECT ` + usageColumns + ` FROM openrouter_usage
		WHERE ` + usageFilterSQL + `
		  AND ($12::timestamptz IS NULL OR created_at <= $12 AND (created_at, id) < ($12, $13::uuid))
		  AND created_at >= h.hour AND created_at < h.hour + interval '1 hour'
		ORDER BY created_at DESC, id DESC
		LIMIT $14
	) AS u
	ORDER BY u.created_at DESC, u.id DESC
	LIMIT $14`
