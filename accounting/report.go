package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// UsageTotals are sums of calls. Amounts in EUR are at the rate of each call's
// UTC day.
type UsageTotals struct {
	Calls          int64  `json:"calls"`
	FailedCalls    int64  `json:"failed_calls"`
	CancelledCalls int64  `json:"cancelled_calls"`
	TruncatedCalls int64  `json:"truncated_calls"` // cut by a limit of tokens
	UnsettledCalls int64  `json:"unsettled_calls"` // whose exact cost is not known yet
	CostUSD        Amount `json:"cost_usd"`
	CostEUR        Amount `json:"cost_eur"`

	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	CachedTokens     int64 `json:"cached_tokens"`
	ReasoningTokens  int64 `json:"reasoning_tokens"`

	CacheShare  *Amount `json:"cache_share"`   // cached ÷ prompt tokens; null: no prompt tokens
	ErrorShare  *Amount `json:"error_share"`   // failed ÷ calls; null: no calls
	CostPerCall *Amount `json:"cost_per_call"` // USD a call whose cost is known, failed ones left out; null: none
}

// Derive sets what follows from the sums.
func (t *UsageTotals) Derive() {
	t.CacheShare = AmountOf(Rate(t.CachedTokens, t.PromptTokens))
	t.ErrorShare = AmountOf(Rate(t.FailedCalls, t.Calls))
	t.CostPerCall = AmountOf(Per(t.CostUSD.Decimal, t.Calls-t.FailedCalls-t.UnsettledCalls)) // what is not known is not free
}

// UsageGroup is the sum of the calls that have one thing in common.
type UsageGroup struct {
	Name string `json:"name"` // a day, a tag's value, a model, a key's fingerprint; empty: calls without it
	// Rest: the sum of all groups that are not listed one by one.
	Rest bool `json:"rest,omitempty"`
	UsageTotals
}

// UsageReport is what the calls of some UTC days have used, in total and by
// each thing one may ask for. The groups of each kind add up to the total.
type UsageReport struct {
	From     Day          `json:"from"`
	To       Day          `json:"to"` // included
	Totals   UsageTotals  `json:"totals"`
	Days     []UsageGroup `json:"by_day"` // every day, in order
	Campaign []UsageGroup `json:"by_campaign"`
	Purpose  []UsageGroup `json:"by_purpose"`
	Platform []UsageGroup `json:"by_platform"`
	Model    []UsageGroup `json:"by_model"`
	Key      []UsageGroup `json:"by_key"`
}

// MaxUsageGroups is the most groups of one kind that a report lists one by one,
// those that cost most; the others are one group more.
const MaxUsageGroups = 200

// MonthReport is a month's figures with what was counted in it. It is of UTC.
type MonthReport struct {
	MonthFigures
	Closed    bool
	UpdatedAt time.Time // of the month's row; zero: it has none
}

// CampaignSettings are what is known about a campaign besides its calls and
// activities. A null was not told.
type CampaignSettings struct {
	ID                   string    `json:"id"`
	Name                 *string   `json:"name"`
	Platform             *string   `json:"platform"`
	MeetingValue         *Amount   `json:"meeting_value"` // of one meeting, in Currency
	Currency             Currency  `json:"currency"`
	TargetCostPerEmail   *Amount   `json:"target_cost_per_email"`   // EUR
	TargetCostPerMeeting *Amount   `json:"target_cost_per_meeting"` // EUR
	Testing              bool      `json:"testing"`
	UpdatedAt            time.Time `json:"updated_at"`
}

// CampaignPage is one page of campaigns, the dearest first.
type CampaignPage struct {
	Rows       []CampaignSums
	All        CampaignTotals // of every page; zero where this one has no rows
	NextCursor string         // of the next page; empty: this is the last one
}

// CampaignTotals are what all campaigns come to, with calls and activities
// without one.
type CampaignTotals struct {
	Campaigns int64
	AICost    Amount // EUR
	Emails    int64
	Meetings  int64
}

// CampaignSums are what the tables of sums hold of a campaign for some days.
type CampaignSums struct {
	ID             string // empty: calls and activities without a campaign
	Settings       *CampaignSettings
	AICostUSD      Amount
	AICostEUR      Amount
	Calls          int64
	ProcessedLeads int64
	SentLeads      int64
	RepliedLeads   int64
	ConvertedLeads int64
	UnsentCostEUR  Amount // of leads old enough to count as waste
	UnsentLeads    int64
	Emails         int64
	Meetings       int64
	Replies        int64
	Bounces        int64
	Unsubscribes   int64
	Opens          int64
	Deals          int64
	ValueEUR       Amount // of meetings and deals that told theirs
	MeetingsValued int64  // meetings that told their value
	// UntoldRates is the sum, over the meetings that did not, of EUR for one USD
	// on the day of each: what they come to at one dollar each.
	UntoldRates Amount
	FirstDay    *Day // with a call or an activity
	LastDay     *Day
}

// AmountOf is an optional amount as JSON shows it: nil is null.
func AmountOf(o Optional[decimal.Decimal]) *Amount {
	if !o.Known {
		return nil
	}
	return &Amount{o.Value}
}

// DailyDimension is what daily costs are told apart by.
type DailyDimension string

// The dimensions of daily costs.
const (
	ByCampaign DailyDimension = "campaign"
	ByPurpose  DailyDimension = "purpose"
	ByPlatform DailyDimension = "platform"
	ByModel    DailyDimension = "model"
	ByKey      DailyDimension = "key"
)

// DailySeries is what the calls with one thing in common have cost on each of
// some UTC days.
type DailySeries struct {
	Name  string      `json:"name"`           // as of [UsageGroup]; empty: calls without it
	Rest  bool        `json:"rest,omitempty"` // the sum of all that are not listed one by one
	Total Amount      `json:"total"`          // EUR
	Days  []DailyCost `json:"days"`           // every day, in order
}

// DailyCost is what one UTC day has cost.
type DailyCost struct {
	Day     Day    `json:"day"`
	Calls   int64  `json:"calls"`
	CostUSD Amount `json:"cost_usd"`
	CostEUR Amount `json:"cost_eur"` // at the rate of the day
}
