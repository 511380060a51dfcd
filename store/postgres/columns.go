package postgres

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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
	array func(*arrays, []*row) // adds the field of each row as a parameter
	field func(*row) any        // pointer to the field: destination of a scan
	merge func(dst, src *row, override bool)
	same  func(a, b *row) bool
}

var columns = []column{
	col("id", wireID, derived, func(r *row) *requestID { return &r.id }),
	col("created_at", wireTime, derived, func(r *row) *time.Time { return &r.createdAt }),
	col("generation_id", wireText, first, func(r *row) *text { return &r.generationID }),
	col("job_id", wireText, first, func(r *row) *text { return &r.jobID }),
	col("campaign_id", wireText, latest, func(r *row) *text { return &r.campaignID }),
	col("email_id", wireText, latest, func(r *row) *text { return &r.emailID }),
	col("lead_id", wireText, latest, func(r *row) *text { return &r.leadID }),
	col("sequence_id", wireText, latest, func(r *row) *text { return &r.sequenceID }),
	col("purpose", wireText, latest, func(r *row) *text { return &r.purpose }),
	col("platform", wireText, latest, func(r *row) *text { return &r.platform }),
	col("lead_value", wireText, latest, func(r *row) *text { return &r.leadValue }),
	col("metadata", wireMetadata, latest, func(r *row) *metadata { return &r.metadata }),
	col("key_fingerprint", wireText, first, func(r *row) *text { return &r.keyFingerprint }),
	col("endpoint", wireText, first, func(r *row) *text { return &r.endpoint }),
	col("requested_model", wireText, first, func(r *row) *text { return &r.requestedModel }),
	col("model", wireText, derived, func(r *row) *text { return &r.model }),
	col("provider", wireText, latest, func(r *row) *text { return &r.provider }),
	col("status", wireText, derived, func(r *row) *text { return &r.status }),
	col("http_status", wireInteger, first, func(r *row) **int32 { return &r.httpStatus }),
	col("finish_reason", wireText, latest, func(r *row) *text { return &r.finishReason }),
	col("error", wireText, latest, func(r *row) *text { return &r.error }),
	col("prompt_tokens", wireBigint, latest, func(r *row) **int64 { return &r.promptTokens }),
	col("completion_tokens", wireBigint, latest, func(r *row) **int64 { return &r.completionTokens }),
	col("total_tokens", wireBigint, latest, func(r *row) **int64 { return &r.totalTokens }),
	col("cached_tokens", wireBigint, latest, func(r *row) **int64 { return &r.cachedTokens }),
	col("cache_write_tokens", wireBigint, latest, func(r *row) **int64 { return &r.cacheWriteTokens }),
	col("reasoning_tokens", wireBigint, latest, func(r *row) **int64 { return &r.reasoningTokens }),
	col("is_byok", wireOptionalBool, latest, func(r *row) **bool { return &r.isBYOK }),
	col("cost_usd", wireAmount, derived, func(r *row) **decimal.Decimal { return &r.cost }),
	col("cost_source", wireText, derived, func(r *row) *text { return &r.costSource }),
	col("inline_cost_usd", wireAmount, latest, func(r *row) **decimal.Decimal { return &r.inlineCost }),
	col("generation_cost_usd", wireAmount, derived, func(r *row) **decimal.Decimal { return &r.generationCost }),
	col("upstream_inference_cost_usd", wireAmount, latest, func(r *row) **decimal.Decimal { return &r.upstreamCost }),
	col("verified_at", wireOptionalTime, derived, func(r *row) **time.Time { return &r.verifiedAt }),
	col("duration_ms", wireBigint, own, func(r *row) **int64 { return &r.durationMS }),
	col("time_to_first_token_ms", wireBigint, own, func(r *row) **int64 { return &r.timeToFirstTokenMS }),
	col("streamed", wireBool, own, func(r *row) *bool { return &r.streamed }),
	col("cancelled", wireBool, own, func(r *row) *bool { return &r.cancelled }),
	col("repeated_by", wireOptionalID, derived, func(r *row) **requestID { return &r.repeatedBy }),
	col("estimated_cost_usd", wireAmount, derived, func(r *row) **decimal.Decimal { return &r.estimatedCost }),
	col("reservation", wireReservation, own, func(r *row) **reservation { return &r.reservation }),
	col("usd_to_eur", wireAmount, derived, func(r *row) **decimal.Decimal { return &r.usdToEUR }),
	col("settle_next_at", wireOptionalTime, derived, func(r *row) **time.Time { return &r.settleNextAt }),
	col("settle_error", wireText, derived, func(r *row) *text { return &r.settleError }),
}

func col[T any](name string, wire wireType[T], rule rule, field func(*row) *T) column {
	known := func(r *row) bool { return !reflect.ValueOf(field(r)).Elem().IsZero() }
	return column{
		name: name, pg: wire.name, rule: rule,
		array: func(a *arrays, rows []*row) {
			add(a, wire, len(rows), func(i int) *T { return field(rows[i]) })
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
	case *reservation:
		return sameReservation(a, b.(*reservation))
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

// writeRows runs a statement over all columns, whose parameters are rows.
func writeRows(ctx context.Context, tx pgx.Tx, sql string, rows []*row, visit func(values [][]byte)) error {
	a := newArrays()
	defer a.release()
	for _, c := range columns {
		c.array(a, rows)
	}
	_, err := a.query(ctx, tx, sql, visit)
	return err
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
