package accounting

import (
	"errors"
	"time"
)

// ErrUnknownLead is the answer to a lead without calls and activities.
var ErrUnknownLead = errors.New("there is no lead with that id")

// ErrUnknownEmail is the answer to an email without calls and activities.
var ErrUnknownEmail = errors.New("there is no email with that id")

// LeadRow is one lead in one campaign, as lead_processing_costs holds it. Amounts
// are USD unless they say EUR; null is not known, or has not happened.
type LeadRow struct {
	LeadID         string     `json:"lead_id"`
	CampaignID     string     `json:"campaign_id"` // empty: calls without one
	Platform       *string    `json:"platform"`
	LeadValue      *string    `json:"lead_value"`
	CostUSD        Amount     `json:"cost_usd"`
	WastedUSD      Amount     `json:"wasted_usd"` // of cost_usd: failed, cut off and redrafted calls
	TotalTokens    int64      `json:"total_tokens"`
	Calls          int64      `json:"calls"`
	EmailsSent     int64      `json:"emails_sent"`
	Replies        int64      `json:"replies"`
	Meetings       int64      `json:"meetings"`
	ValueEUR       Amount     `json:"value_eur"`
	ProcessedAt    *time.Time `json:"processed_at"` // its first call
	SentAt         *time.Time `json:"sent_at"`
	RepliedAt      *time.Time `json:"replied_at"`
	ConvertedAt    *time.Time `json:"converted_at"`
	BouncedAt      *time.Time `json:"bounced_at"`
	UnsubscribedAt *time.Time `json:"unsubscribed_at"`
}

// LeadState is what has become of a lead.
type LeadState string

// The states by which leads can be listed.
const (
	LeadUnsent    LeadState = "unsent"
	LeadSent      LeadState = "sent"
	LeadReplied   LeadState = "replied"
	LeadConverted LeadState = "converted"
	LeadLost      LeadState = "lost" // bounced or unsubscribed
)

// LeadFilter says which leads are wanted, those processed last first. An empty
// field matches every lead.
type LeadFilter struct {
	CampaignID   *string
	State        LeadState
	Since, Until time.Time // of processed_at
	Limit        int
	Cursor       string
}

// LeadPage is one page of leads.
type LeadPage struct {
	Rows       []LeadRow
	NextCursor string
}

// EmailRow is what one email has cost, for one purpose.
type EmailRow struct {
	EmailID     string    `json:"email_id"`
	Purpose     string    `json:"purpose"` // empty: none was told
	CampaignID  string    `json:"campaign_id"`
	LeadID      *string   `json:"lead_id"`
	CostUSD     Amount    `json:"cost_usd"`
	TotalTokens int64     `json:"total_tokens"`
	Calls       int64     `json:"calls"`
	Drafts      int64     `json:"drafts"`      // calls that brought a whole answer
	RedraftUSD  Amount    `json:"redraft_usd"` // of all drafts but the last
	CreatedAt   time.Time `json:"created_at"`
}

// ActivityRow is one activity as it was recorded.
type ActivityRow struct {
	ID         string            `json:"id"`
	Type       ActivityType      `json:"type"`
	CampaignID *string           `json:"campaignId"`
	LeadID     *string           `json:"leadId"`
	EmailID    *string           `json:"emailId"`
	Platform   *string           `json:"platform"`
	Value      *Amount           `json:"value"`
	Currency   *string           `json:"currency"`
	Metadata   map[string]string `json:"metadata"`
	Source     string            `json:"source"`
	OccurredAt time.Time         `json:"occurredAt"`
	ReversedAt *time.Time        `json:"reversedAt"`
}

// WasteKind is why money was spent in vain. A call is of one kind only, the
// first that fits in the order of [WasteKinds].
type WasteKind string

// The kinds of waste.
const (
	WasteFailed       WasteKind = "failed"       // billed, but ended in an error
	WasteCancelled    WasteKind = "cancelled"    // the client left before the answer was complete
	WasteTruncated    WasteKind = "truncated"    // cut by a limit of tokens
	WasteRedrafted    WasteKind = "redrafted"    // a later draft of the same email took its place
	WasteBounced      WasteKind = "bounced"      // on leads whose email bounced
	WasteUnsubscribed WasteKind = "unsubscribed" // on leads that unsubscribed
	WasteUnsent       WasteKind = "unsent"       // on leads to which nothing was sent in time
)

// WasteKinds lists them in the order in which they take precedence.
func WasteKinds() []WasteKind {
	return []WasteKind{WasteFailed, WasteCancelled, WasteTruncated, WasteRedrafted, WasteBounced, WasteUnsubscribed, WasteUnsent}
}

// WasteSum is what one kind of waste has cost.
type WasteSum struct {
	Kind    WasteKind `json:"kind"`
	Count   int64     `json:"count"` // calls; of the last three kinds leads
	CostUSD Amount    `json:"cost_usd"`
	CostEUR Amount    `json:"cost_eur"`
}

// PlatformSums are what was spent and done on one sending platform.
type PlatformSums struct {
	Platform       string
	AICostUSD      Amount
	AICostEUR      Amount
	Calls          int64
	ProcessedLeads int64
	SentLeads      int64
	UnsentCostEUR  Amount
	Emails         int64
	Meetings       int64
	Replies        int64
	Bounces        int64
	Unsubscribes   int64
	Deals          int64
	ValueEUR       Amount // of meetings and deals that told theirs, or whose campaign did
	MeetingsValued int64  // meetings whose value is in it
}

// ModelSums are what one model was used for. A meeting is shared over the models
// that worked for its lead, by what each of them cost.
type ModelSums struct {
	UsageGroup
	DurationMS   *Amount          `json:"duration_ms"`    // mean of a call; null: unknown
	FirstTokenMS *Amount          `json:"first_token_ms"` // mean; null: unknown
	Finish       map[string]int64 `json:"finish_reasons"`

	Leads          int64   `json:"leads"`            // for which the model first worked on these days
	Meetings       Amount  `json:"meetings"`         // its share of the meetings booked on these days
	CostPerLead    *Amount `json:"cost_per_lead"`    // EUR
	CostPerMeeting *Amount `json:"cost_per_meeting"` // EUR of AI cost
}

// SequenceRow is what one sequence of emails has cost.
type SequenceRow struct {
	SequenceID  string    `json:"sequence_id"`
	CampaignID  string    `json:"campaign_id"`
	CostUSD     Amount    `json:"cost_usd"`
	TotalTokens int64     `json:"total_tokens"`
	Calls       int64     `json:"calls"`
	FirstAt     time.Time `json:"first_at"`
}
