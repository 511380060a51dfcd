package accounting

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"
)

// MaxUsageRows is the most rows one [UsagePage] may hold.
const MaxUsageRows = 1000

// ErrBadCursor is the answer to a [UsageFilter] whose Cursor no listing has
// handed out.
var ErrBadCursor = errors.New("the cursor is not one that a listing returned")

// Amount is money, or anything else that must keep its digits, as rows carry
// it out of the store and into JSON: there it is a bare number, written out in
// full. Promoted from the decimal, it scans from and binds to NUMERIC.
type Amount struct{ decimal.Decimal }

// MarshalJSON writes the amount as a JSON number with every digit it has,
// never in exponent form. (The decimal's own form is a JSON string.)
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UsageFilter says which rows of openrouter_usage are wanted. An empty field
// matches every row; the others must all match.
type UsageFilter struct {
	CampaignID   string
	EmailID      string
	LeadID       string
	SequenceID   string
	Purpose      string
	Platform     string
	Model        string // the model that served
	Status       Status
	GenerationID string
	Since        time.Time // created_at at or after
	Until        time.Time // created_at before

	Limit  int    // rows of the page, 1 to MaxUsageRows
	Cursor string // NextCursor of the page before; empty: the newest rows
}

// UsagePage is one page of a listing, the newest call first.
type UsagePage struct {
	Rows       []UsageRow
	NextCursor string // of the next, older page; empty: this is the last one
}

// UsageRow is one call as openrouter_usage holds it. A nil pointer is SQL NULL
// and JSON null: not known, or not sent. Amounts are USD.
type UsageRow struct {
	ID           RequestID         `json:"id"`
	GenerationID *string           `json:"generation_id"`
	CampaignID   *string           `json:"campaign_id"`
	EmailID      *string           `json:"email_id"`
	LeadID       *string           `json:"lead_id"`
	SequenceID   *string           `json:"sequence_id"`
	Platform     *string           `json:"platform"`
	LeadValue    *string           `json:"lead_value"`
	Purpose      *string           `json:"purpose"`
	Metadata     map[string]string `json:"metadata"`

	Model          *string `json:"model"`           // that served
	RequestedModel *string `json:"requested_model"` // the body's "model"
	Provider       *string `json:"provider"`
	Endpoint       *string `json:"endpoint"` // request path without query
	Status         Status  `json:"status"`
	HTTPStatus     *int    `json:"http_status"` // null: no response came
	FinishReason   *string `json:"finish_reason"`

	PromptTokens     *int64 `json:"prompt_tokens"`
	CompletionTokens *int64 `json:"completion_tokens"`
	TotalTokens      *int64 `json:"total_tokens"`
	CachedTokens     *int64 `json:"cached_tokens"`
	CacheWriteTokens *int64 `json:"cache_write_tokens"`
	ReasoningTokens  *int64 `json:"reasoning_tokens"`

	IsBYOK                   *bool       `json:"is_byok"`
	CostUSD                  *Amount     `json:"cost_usd"`                    // the best exact figure
	InlineCostUSD            *Amount     `json:"inline_cost_usd"`             // as the response said
	GenerationCostUSD        *Amount     `json:"generation_cost_usd"`         // as OpenRouter's own record says
	UpstreamInferenceCostUSD *Amount     `json:"upstream_inference_cost_usd"` // additive only where is_byok
	EstimatedCostUSD         *Amount     `json:"estimated_cost_usd"`          // by the price list; never part of cost_usd
	CostSource               *CostSource `json:"cost_source"`
	VerifiedAt               *time.Time  `json:"verified_at"` // OpenRouter's own record confirmed cost_usd

	SettleError        *string   `json:"settle_error"` // why the last lookup of the cost brought none
	JobID              *string   `json:"job_id"`
	KeyFingerprint     *string   `json:"key_fingerprint"` // see [Fingerprint]
	DurationMS         *int64    `json:"duration_ms"`
	TimeToFirstTokenMS *int64    `json:"time_to_first_token_ms"`
	Streamed           *bool     `json:"streamed"`
	Cancelled          *bool     `json:"cancelled"`
	Error              *string   `json:"error"` // a code or type, never a message
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
}
