package accounting

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"
)

// ActivityType is what happened in a campaign.
type ActivityType string

// The types of activities.
const (
	EmailSent     ActivityType = "email_sent"
	MeetingBooked ActivityType = "meeting_booked"
	ReplyReceived ActivityType = "reply_received"
	Bounced       ActivityType = "bounced"
	Unsubscribed  ActivityType = "unsubscribed"
	EmailOpened   ActivityType = "opened"
	DealWon       ActivityType = "deal_won"
)

// ActivityTypes lists them in the order in which help and docs show them.
func ActivityTypes() []ActivityType {
	return []ActivityType{EmailSent, MeetingBooked, ReplyReceived, Bounced, Unsubscribed, EmailOpened, DealWon}
}

// CampaignActivity is something that happened in a campaign. It is a row of
// activities. Empty strings were not told.
type CampaignActivity struct {
	ID         string // the sender's own, which makes it idempotent; else one is made
	Type       ActivityType
	CampaignID string
	LeadID     string
	EmailID    string
	Platform   string
	Value      Optional[decimal.Decimal] // of a meeting or a deal, in Currency
	Currency   Currency                  // empty if there is no value
	Metadata   map[string]string
	Source     string // api, lead, webhook/instantly, …
	OccurredAt time.Time
}

// RecordedActivity is what became of one activity that was to be recorded.
type RecordedActivity struct {
	ID     string
	New    bool  // false: it had been recorded before, and changes nothing
	Booked Month // whose figures it moved; of one that is not new, moved then
}

// MaxActivities is the most that one batch may hold.
const MaxActivities = 10_000

// Bounds of what a person tells of money: what a meeting or a deal is worth, what
// one may cost.
const (
	MaxToldAmount   = 999_999_999_999 // in its currency
	MaxToldDecimals = 20              // as many as other people's floats have
)

// IsTellable reports whether an amount that a person tells can be one: from 0 to
// MaxToldAmount, with at most MaxToldDecimals.
func IsTellable(amount decimal.Decimal) bool {
	return !amount.IsNegative() && amount.Exponent() >= -MaxToldDecimals && !amount.GreaterThan(decimal.NewFromInt(MaxToldAmount))
}

// MaxActivityID bounds the id that a sender may give, bytes.
const MaxActivityID = 200

// ErrUnknownActivity is the answer to an id of which there is no activity, or
// one that was reversed before.
var ErrUnknownActivity = errors.New("there is no activity with that id")

// ActionCampaignPut is the storing of a campaign's settings in the audit log.
const ActionCampaignPut = "campaign.put"

// ActionReverseActivity is the reversal of an activity in the audit log.
const ActionReverseActivity = "activity.reverse"
