package accounting

import (
	"encoding/json"
	"strconv"
	"time"
)

// ExportKind is the type of a column, from which each format makes its own.
type ExportKind uint8

// The kinds.
const (
	ExportText    ExportKind = iota // text that a client or a provider may have sent
	ExportInteger                   // int64
	ExportAmount                    // a decimal number with every digit
	ExportBool
	ExportTime   // RFC 3339, UTC
	ExportObject // a JSON object of text
)

// ExportValue is one cell. The zero ExportValue is null.
type ExportValue struct {
	Known   bool
	Text    string    // of an ExportText; the literal of an ExportAmount; the JSON of an ExportObject
	Integer int64     // of an ExportInteger; 1 for the ExportBool true
	Time    time.Time // of an ExportTime
}

// ExportColumn is one column of an export.
type ExportColumn struct {
	Name string
	Kind ExportKind
	Read func(*ExportRow) ExportValue
}

// literal is a known cell as text, without quotes.
func (c *ExportColumn) literal(v ExportValue) string {
	switch c.Kind {
	case ExportInteger:
		return strconv.FormatInt(v.Integer, 10)
	case ExportBool:
		return strconv.FormatBool(v.Integer != 0)
	case ExportTime:
		return v.Time.UTC().Format(time.RFC3339Nano)
	default:
		return v.Text
	}
}

// ExportColumns are the columns of an export: those of openrouter_usage under
// their own names, and what reports add to them. Their order is a promise; new
// ones come last.
func ExportColumns() []ExportColumn {
	return []ExportColumn{
		textColumn("id", func(r *ExportRow) *string { id := r.ID.String(); return &id }),
		timeColumn("created_at", func(r *ExportRow) *time.Time { return &r.CreatedAt }),
		textColumn("status", func(r *ExportRow) *string { return (*string)(&r.Status) }),
		amountColumn("cost_usd", func(r *ExportRow) *Amount { return r.CostUSD }),
		textColumn("cost_source", func(r *ExportRow) *string { return (*string)(r.CostSource) }),
		boolColumn("verified", func(r *ExportRow) *bool { v := r.VerifiedAt != nil; return &v }),
		timeColumn("verified_at", func(r *ExportRow) *time.Time { return r.VerifiedAt }),
		amountColumn("usd_to_eur", func(r *ExportRow) *Amount { return &r.USDToEUR }),
		amountColumn("cost_eur", (*ExportRow).CostEUR),
		amountColumn("inline_cost_usd", func(r *ExportRow) *Amount { return r.InlineCostUSD }),
		amountColumn("generation_cost_usd", func(r *ExportRow) *Amount { return r.GenerationCostUSD }),
		boolColumn("is_byok", func(r *ExportRow) *bool { return r.IsBYOK }),
		amountColumn("upstream_inference_cost_usd", func(r *ExportRow) *Amount { return r.UpstreamInferenceCostUSD }),
		amountColumn("estimated_cost_usd", func(r *ExportRow) *Amount { return r.EstimatedCostUSD }),

		textColumn("campaign_id", func(r *ExportRow) *string { return r.CampaignID }),
		textColumn("email_id", func(r *ExportRow) *string { return r.EmailID }),
		textColumn("lead_id", func(r *ExportRow) *string { return r.LeadID }),
		textColumn("sequence_id", func(r *ExportRow) *string { return r.SequenceID }),
		textColumn("purpose", func(r *ExportRow) *string { return r.Purpose }),
		textColumn("platform", func(r *ExportRow) *string { return r.Platform }),
		textColumn("lead_value", func(r *ExportRow) *string { return r.LeadValue }),
		objectColumn("metadata", func(r *ExportRow) map[string]string { return r.Metadata }),

		textColumn("model", func(r *ExportRow) *string { return r.Model }),
		textColumn("requested_model", func(r *ExportRow) *string { return r.RequestedModel }),
		textColumn("provider", func(r *ExportRow) *string { return r.Provider }),
		textColumn("endpoint", func(r *ExportRow) *string { return r.Endpoint }),
		integerColumn("http_status", func(r *ExportRow) *int { return r.HTTPStatus }),
		textColumn("finish_reason", func(r *ExportRow) *string { return r.FinishReason }),
		textColumn("error", func(r *ExportRow) *string { return r.Error }),
		integerColumn("prompt_tokens", func(r *ExportRow) *int64 { return r.PromptTokens }),
		integerColumn("completion_tokens", func(r *ExportRow) *int64 { return r.CompletionTokens }),
		integerColumn("total_tokens", func(r *ExportRow) *int64 { return r.TotalTokens }),
		integerColumn("cached_tokens", func(r *ExportRow) *int64 { return r.CachedTokens }),
		integerColumn("cache_write_tokens", func(r *ExportRow) *int64 { return r.CacheWriteTokens }),
		integerColumn("reasoning_tokens", func(r *ExportRow) *int64 { return r.ReasoningTokens }),
		integerColumn("duration_ms", func(r *ExportRow) *int64 { return r.DurationMS }),
		integerColumn("time_to_first_token_ms", func(r *ExportRow) *int64 { return r.TimeToFirstTokenMS }),
		boolColumn("streamed", func(r *ExportRow) *bool { return r.Streamed }),
		boolColumn("cancelled", func(r *ExportRow) *bool { return r.Cancelled }),
		textColumn("generation_id", func(r *ExportRow) *string { return r.GenerationID }),
		textColumn("job_id", func(r *ExportRow) *string { return r.JobID }),
		textColumn("key_fingerprint", func(r *ExportRow) *string { return r.KeyFingerprint }),
		textColumn("settle_error", func(r *ExportRow) *string { return r.SettleError }),
		timeColumn("updated_at", func(r *ExportRow) *time.Time { return &r.UpdatedAt }),
	}
}

func textColumn(name string, read func(*ExportRow) *string) ExportColumn {
	return ExportColumn{name, ExportText, func(r *ExportRow) ExportValue {
		if v := read(r); v != nil {
			return ExportValue{Known: true, Text: *v}
		}
		return ExportValue{}
	}}
}

func integerColumn[T int | int64](name string, read func(*ExportRow) *T) ExportColumn {
	return ExportColumn{name, ExportInteger, func(r *ExportRow) ExportValue {
		if v := read(r); v != nil {
			return ExportValue{Known: true, Integer: int64(*v)}
		}
		return ExportValue{}
	}}
}

func amountColumn(name string, read func(*ExportRow) *Amount) ExportColumn {
	return ExportColumn{name, ExportAmount, func(r *ExportRow) ExportValue {
		if v := read(r); v != nil {
			return ExportValue{Known: true, Text: v.String()}
		}
		return ExportValue{}
	}}
}

func boolColumn(name string, read func(*ExportRow) *bool) ExportColumn {
	return ExportColumn{name, ExportBool, func(r *ExportRow) ExportValue {
		v := read(r)
		if v == nil {
			return ExportValue{}
		}
		cell := ExportValue{Known: true}
		if *v {
			cell.Integer = 1
		}
		return cell
	}}
}

func timeColumn(name string, read func(*ExportRow) *time.Time) ExportColumn {
	return ExportColumn{name, ExportTime, func(r *ExportRow) ExportValue {
		if v := read(r); v != nil {
			return ExportValue{Known: true, Time: *v}
		}
		return ExportValue{}
	}}
}

func objectColumn(name string, read func(*ExportRow) map[string]string) ExportColumn {
	return ExportColumn{name, ExportObject, func(r *ExportRow) ExportValue {
		v := read(r)
		if len(v) == 0 {
			return ExportValue{}
		}
		text, _ := json.Marshal(v) // a map of text always has a JSON form
		return ExportValue{Known: true, Text: string(text)}
	}}
}
