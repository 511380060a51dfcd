package postgres

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// rule says how an event that meets an existing row may write a column.
type rule uint8

const (
	derived rule = iota // never: it follows from the others, or the settler writes it
	own                 // only by the call itself: how that call went
	first               // the call itself; another call's event only what is not known yet
	latest              // the newest that knows it
)

// column ties a column of openrouter_usage to its field in row. The table
// below is the only list of them: the SQL, the arrays it takes, the scan and
// the merge are made from it.
type column struct {
	name  string
	pg    string // type
	rule  rule
	array func([]*row) any // the field of each row, as an array parameter
	field func(*row) any   // pointer to the field: destination of a scan
	merge func(dst, src *row, override bool)
	same  func(a, b *row) bool
}

var columns = []column{
	col("id", "uuid", derived, func(r *row) *requestID { return &r.id }),
	col("created_at", "timestamptz", derived, func(r *row) *time.Time { return &r.createdAt }),
	col("generation_id", "text", first, func(r *row) *text { return &r.generationID }),
	col("job_id", "text", first, func(r *row) *text { return &r.jobID }),
	col("campaign_id", "text", latest, func(r *row) *text { return &r.campaignID }),
	col("email_id", "text", latest, func(r *row) *text { return &r.emailID }),
	col("lead_id", "text", latest, func(r *row) *text { return &r.leadID }),
	col("sequence_id", "text", latest, func(r *row) *text { return &r.sequenceID }),
	col("purpose", "text", latest, func(r *row) *text { return &r.purpose }),
	col("platform", "text", latest, func(r *row) *text { return &r.platform }),
	col("lead_value", "text", latest, func(r *row) *text { return &r.leadValue }),
	metadataColumn(),
	col("key_fingerprint", "text", first, func(r *row) *text { return &r.keyFingerprint }),
	col("endpoint", "text", first, func(r *row) *text { return &r.endpoint }),
	col("requested_model", "text", first, func(r *row) *text { return &r.requestedModel }),
	col("model", "text", derived, func(r *row) *text { return &r.model }),
	col("provider", "text", latest, func(r *row) *text { return &r.provider }),
	col("status", "text", derived, func(r *row) *text { return &r.status }),
	col("http_status", "integer", first, func(r *row) **int32 { return &r.httpStatus }),
	col("finish_reason", "text", latest, func(r *row) *text { return &r.finishReason }),
	col("error", "text", latest, func(r *row) *text { return &r.error }),
	col("prompt_tokens", "bigint", latest, func(r *row) **int64 { return &r.promptTokens }),
	col("completion_tokens", "bigint", latest, func(r *row) **int64 { return &r.completionTokens }),
	col("total_tokens", "bigint", latest, func(r *row) **int64 { return &r.totalTokens }),
	col("cached_tokens", "bigint", latest, func(r *row) **int64 { return &r.cachedTokens }),
	col("cache_write_tokens", "bigint", latest, func(r *row) **int64 { return &r.cacheWriteTokens }),
	col("reasoning_tokens", "bigint", latest, func(r *row) **int64 { return &r.reasoningTokens }),
	col("is_byok", "boolean", latest, func(r *row) **bool { return &r.isBYOK }),
	col("cost_usd", "numeric", derived, func(r *row) **decimal.Decimal { return &r.cost }),
	col("cost_source", "text", derived, func(r *row) *text { return &r.costSource }),
	col("inline_cost_usd", "numeric", latest, func(r *row) **decimal.Decimal { return &r.inlineCost }),
	col("generation_cost_usd", "numeric", derived, func(r *row) **decimal.Decimal { return &r.generationCost }),
	col("upstream_inference_cost_usd", "numeric", latest, func(r *row) **decimal.Decimal { return &r.upstreamCost }),
	col("verified_at", "timestamptz", derived, func(r *row) **time.Time { return &r.verifiedAt }),
	col("duration_ms", "bigint", own, func(r *row) **int64 { return &r.durationMS }),
	col("time_to_first_token_ms", "bigint", own, func(r *row) **int64 { return &r.timeToFirstTokenMS }),
	col("streamed", "boolean", own, func(r *row) *bool { return &r.streamed }),
	col("cancelled", "boolean", own, func(r *row) *bool { return &r.cancelled }),
	col("repeated_by", "uuid", derived, func(r *row) **requestID { return &r.repeatedBy }),
	col("settle_next_at", "timestamptz", derived, func(r *row) **time.Time { return &r.settleNextAt }),
	col("settle_error", "text", derived, func(r *row) *text { return &r.settleError }),
}

func col[T any](name, pg string, rule rule, field func(*row) *T) column {
	known := func(r *row) bool { return !reflect.ValueOf(field(r)).Elem().IsZero() }
	return column{
		name: name, pg: pg, rule: rule,
		array: func(rows []*row) any {
			values := make([]T, len(rows))
			for i, r := range rows {
				values[i] = *field(r)
			}
			return parameterArray(values)
		},
		field: func(r *row) any { return field(r) },
		merge: func(dst, src *row, override bool) {
			if known(src) && (override || !known(dst)) {
				*field(dst) = *field(src)
			}
		},
		same: func(a, b *row) bool { return same(*field(a), *field(b)) },
	}
}

// metadataColumn passes its arrays as JSON, which a map would not become by
// itself inside an array.
func metadataColumn() column {
	c := col("metadata", "jsonb", latest, func(r *row) *metadata { return &r.metadata })
	c.array = func(rows []*row) any {
		values := make([]json.RawMessage, len(rows)) // nil is NULL
		for i, r := range rows {
			if r.metadata != nil {
				values[i], _ = json.Marshal(r.metadata) // strings cannot fail
			}
		}
		return values
	}
	return c
}

// same compares by value: an amount regardless of trailing zeros, a time
// regardless of its location.
func same(a, b any) bool {
	switch a := a.(type) {
	case *decimal.Decimal:
		b := b.(*decimal.Decimal)
		return a == b || a != nil && b != nil && a.Equal(*b)
	case *time.Time:
		b := b.(*time.Time)
		return a == b || a != nil && b != nil && a.Equal(*b)
	case time.Time:
		return a.Equal(b.(time.Time))
	}
	return reflect.DeepEqual(a, b)
}

// sameRow reports whether writing b over a would change nothing.
func sameRow(a, b *row) bool {
	for _, c := range columns {
		if !c.same(a, b) {
			return false
		}
	}
	return true
}

// arrays are rows as parameters of a query that unnests them.
func arrays(rows []*row) []any {
	args := make([]any, len(columns))
	for i, c := range columns {
		args[i] = c.array(rows)
	}
	return args
}

// fields are the destinations of a scan of all columns into r.
func fields(r *row) []any {
	dest := make([]any, len(columns))
	for i, c := range columns {
		dest[i] = c.field(r)
	}
	return dest
}

// The statements over all columns. Arrays rather than COPY or a batch: as fast
// as COPY, and idempotent without a temporary table.
var (
	insertRowsSQL = fmt.Sprintf(`-- name: usage_insert
		INSERT INTO openrouter_usage (%s)
		SELECT * FROM unnest(%s)
		ON CONFLICT (id, created_at) DO NOTHING
		RETURNING id`, columnList("%s"), parameterList())

	lockRowsSQL = fmt.Sprintf(`-- name: usage_lock
		SELECT %s
		FROM openrouter_usage u
		JOIN unnest($1::uuid[], $2::timestamptz[]) AS wanted (id, created_at)
		  ON u.id = wanted.id AND u.created_at = wanted.created_at
		ORDER BY u.id
		FOR UPDATE OF u`, columnList("u.%s"))

	updateRowsSQL = fmt.Sprintf(`-- name: usage_update
		UPDATE openrouter_usage u
		SET %s, updated_at = now()
		FROM unnest(%s) AS changed (%s)
		WHERE u.id = changed.id AND u.created_at = changed.created_at`,
		assignments(), parameterList(), columnList("%s"))
)

func columnList(format string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = fmt.Sprintf(format, c.name)
	}
	return strings.Join(names, ", ")
}

func parameterList() string {
	params := make([]string, len(columns))
	for i, c := range columns {
		params[i] = fmt.Sprintf("$%d::%s[]", i+1, c.pg)
	}
	return strings.Join(params, ", ")
}

func assignments() string {
	var set []string
	for _, c := range columns {
		if c.name != "id" && c.name != "created_at" { // the key
			set = append(set, fmt.Sprintf("%s = changed.%[1]s", c.name))
		}
	}
	return strings.Join(set, ", ")
}
