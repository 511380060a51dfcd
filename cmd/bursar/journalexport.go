package main

import (
	"bufio"
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/config"
	"bursar/store/journal"
)

// exportJournal writes the events in the order of the files. A call whose
// frames were carried into a younger segment, or written again after a failed
// sync, has lines that repeat each other.
func exportJournal(ctx context.Context, e *env, cfg config.Config) error {
	dir, err := journalDir(cfg)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	_, err = journal.Inspect(dir, func(path string, event *accounting.Event) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return lines.Encode(exportedOf(relative, event))
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// exported is one event as a line of the export. The names are those of the
// columns of openrouter_usage; what the event does not know is left out, and a
// known zero is not. Amounts are numbers with every digit of the journal.
type exported struct {
	Segment   string    `json:"segment"` // file, below the journal
	Kind      string    `json:"kind"`
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`

	CampaignID string            `json:"campaign_id,omitempty"`
	EmailID    string            `json:"email_id,omitempty"`
	LeadID     string            `json:"lead_id,omitempty"`
	SequenceID string            `json:"sequence_id,omitempty"`
	Purpose    string            `json:"purpose,omitempty"`
	Platform   string            `json:"platform,omitempty"`
	LeadValue  string            `json:"lead_value,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`

	KeyFingerprint string `json:"key_fingerprint,omitempty"`
	Endpoint       string `json:"endpoint,omitempty"`
	RequestedModel string `json:"requested_model,omitempty"`
	GenerationID   string `json:"generation_id,omitempty"`
	JobID          string `json:"job_id,omitempty"`
	Model          string `json:"model,omitempty"`
	Provider       string `json:"provider,omitempty"`
	HTTPStatus     int    `json:"http_status,omitempty"`
	FinishReason   string `json:"finish_reason,omitempty"`
	Error          string `json:"error,omitempty"`

	Cost             json.Number `json:"inline_cost_usd,omitempty"`
	UpstreamCost     json.Number `json:"upstream_inference_cost_usd,omitempty"`
	IsBYOK           *bool       `json:"is_byok,omitempty"`
	PromptTokens     *int64      `json:"prompt_tokens,omitempty"`
	CompletionTokens *int64      `json:"completion_tokens,omitempty"`
	TotalTokens      *int64      `json:"total_tokens,omitempty"`
	CachedTokens     *int64      `json:"cached_tokens,omitempty"`
	CacheWriteTokens *int64      `json:"cache_write_tokens,omitempty"`
	ReasoningTokens  *int64      `json:"reasoning_tokens,omitempty"`

	DurationNS         int64  `json:"duration_ns,omitempty"`
	TimeToFirstTokenNS *int64 `json:"time_to_first_token_ns,omitempty"`
	Streamed           bool   `json:"streamed,omitempty"`
	Cancelled          bool   `json:"cancelled,omitempty"`
	Truncated          bool   `json:"truncated,omitempty"`

	Decision *exportedDecision `json:"decision,omitempty"`
}

func exportedOf(segment string, e *accounting.Event) exported {
	line := exported{
		Segment: segment, Kind: kindNames[e.Kind], ID: e.ID.String(), CreatedAt: e.CreatedAt(),
		CampaignID: e.Tags.CampaignID, EmailID: e.Tags.EmailID, LeadID: e.Tags.LeadID, SequenceID: e.Tags.SequenceID,
		Purpose: e.Tags.Purpose, Platform: e.Tags.Platform, LeadValue: e.Tags.LeadValue, Metadata: e.Tags.Metadata,
		KeyFingerprint: e.KeyFingerprint, Endpoint: e.Endpoint, RequestedModel: e.RequestedModel,
		GenerationID: e.GenerationID, JobID: e.JobID, Model: e.Model, Provider: e.Provider,
		HTTPStatus: e.HTTPStatus, FinishReason: e.FinishReason, Error: e.Error,
		Cost: literal(e.Usage.Cost), UpstreamCost: literal(e.Usage.UpstreamCost), IsBYOK: e.Usage.IsBYOK.Pointer(),
		PromptTokens: e.Usage.PromptTokens.Pointer(), CompletionTokens: e.Usage.CompletionTokens.Pointer(),
		TotalTokens: e.Usage.TotalTokens.Pointer(), CachedTokens: e.Usage.CachedTokens.Pointer(),
		CacheWriteTokens: e.Usage.CacheWriteTokens.Pointer(), ReasoningTokens: e.Usage.ReasoningTokens.Pointer(),
		DurationNS: e.Duration.Nanoseconds(), Streamed: e.Streamed, Cancelled: e.Cancelled, Truncated: e.Truncated,
		Decision: exportedDecisionOf(e.Decision),
	}
	if e.TimeToFirstToken.Known {
		ns := e.TimeToFirstToken.Value.Nanoseconds()
		line.TimeToFirstTokenNS = &ns
	}
	return line
}

// kindNames are the kinds of events that a journal holds.
var kindNames = map[accounting.Kind]string{
	accounting.Opened: "opened", accounting.Identified: "identified",
	accounting.Closed: "closed", accounting.Polled: "polled", accounting.Refused: "refused",
}

// literal writes an amount with every digit, trailing zeros included; an
// unknown one is empty.
func literal(amount accounting.Optional[decimal.Decimal]) json.Number {
	if !amount.Known {
		return ""
	}
	return json.Number(amount.Value.StringFixed(max(0, -amount.Value.Exponent())))
}
