package accounting

import (
	"errors"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Budget limits what calls of a scope may cost in a period. It counts what
// OpenRouter charges (cost_usd); a provider's own bill under BYOK is not part
// of it.
type Budget struct {
	ID    string `json:"id"` // made from the name when the budget is: monthly-ai
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
	Each  Each   `json:"each"` // every value of this tag has the limit to itself; empty: all share it

	Period   Period     `json:"period"`
	Timezone string     `json:"timezone"`  // IANA name, in which days, weeks and months begin
	StartsAt *time.Time `json:"starts_at"` // calls before it are outside; nil: none are
	EndsAt   *time.Time `json:"ends_at"`   // calls from it on are outside; nil: none are

	Limit      Amount   `json:"limit"` // in Currency
	Currency   Currency `json:"currency"`
	Mode       Mode     `json:"mode"`
	Thresholds []int    `json:"thresholds"` // percent of the limit, ascending; each is an alert
	Enabled    bool     `json:"enabled"`

	OnExceed    OnExceed `json:"on_exceed"`    // of soft and hard budgets: what happens at the limit
	DowngradeTo string   `json:"downgrade_to"` // model, where OnExceed is downgrade
	// EssentialPurposes are those that a soft budget never refuses and for
	// which a hard one keeps EssentialShare. A call without a purpose is
	// essential. NonessentialPurposes says the same from the other side and
	// holds where EssentialPurposes is empty; both empty: no purpose is
	// essential.
	EssentialPurposes    []string `json:"essential_purposes"`
	NonessentialPurposes []string `json:"nonessential_purposes"`
	EssentialShare       Amount   `json:"essential_share"` // of the limit, 0 to 1
	Bound                BoundBy  `json:"bound"`           // of a hard budget

	CountsFrom time.Time  `json:"counts_from"` // calls that started before it are not counted
	Origin     string     `json:"origin"`      // api, config, plan
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	DeletedAt  *time.Time `json:"-"`
}

// BudgetMonthlyAI is the id of the budget that exists from the first start.
const BudgetMonthlyAI = "monthly-ai"

// ErrUnknownBudget is the answer to an id of which there is no budget.
var ErrUnknownBudget = errors.New("there is no budget with that id")

// Scope says which calls a budget, or an emergency stop, is about: those that
// have all of these. An empty field matches every call.
type Scope struct {
	CampaignID string `json:"campaign_id,omitempty"`
	Purpose    string `json:"purpose,omitempty"`
	Platform   string `json:"platform,omitempty"`
	// Model is one that the call asks for, among its fallbacks too, or is
	// answered by.
	Model string `json:"model,omitempty"`
	// Key is the [Fingerprint] of an OpenRouter key.
	Key string `json:"key,omitempty"`
}

// IsZero reports whether the scope is everything.
func (s *Scope) IsZero() bool { return *s == Scope{} }

// Covers reports whether a call is in the scope. anyModel: the call may be
// answered by a model that nobody can name beforehand.
func (s *Scope) Covers(t *Tags, keyFingerprint string, models []string, anyModel bool) bool {
	return (s.CampaignID == "" || s.CampaignID == t.CampaignID) &&
		(s.Purpose == "" || s.Purpose == t.Purpose) &&
		(s.Platform == "" || s.Platform == t.Platform) &&
		(s.Key == "" || s.Key == keyFingerprint) &&
		(s.Model == "" || anyModel || slices.Contains(models, s.Model))
}

// Each is the tag of which every value has a budget's limit to itself.
type Each string

// The tags that a budget can be divided by. A call without the tag is outside.
const (
	EachNone     Each = ""
	EachLead     Each = "lead_id"
	EachEmail    Each = "email_id"
	EachCampaign Each = "campaign_id"
)

// Value is a call's value of the tag; empty for EachNone, and for a call
// without it.
func (e Each) Value(t *Tags) string {
	switch e {
	case EachLead:
		return t.LeadID
	case EachEmail:
		return t.EmailID
	case EachCampaign:
		return t.CampaignID
	}
	return ""
}

// Currency is what a budget's amounts are in.
type Currency string

// The currencies. USD is what OpenRouter charges. A charge to a budget in EUR
// is converted at the rate that was stored with the call; rates that come later
// change reports, never budgets.
const (
	USD Currency = "USD"
	EUR Currency = "EUR"
)

// Mode is how firmly a budget holds.
type Mode string

// The modes.
const (
	ModeAlert Mode = "alert" // never refuses
	ModeSoft  Mode = "soft"  // acts once settled spend has reached the limit; essential calls pass
	ModeHard  Mode = "hard"  // binds every call by a reservation: settled spend never passes the limit
)

// OnExceed is what a soft or hard budget does with a call that does not fit.
type OnExceed string

// What happens at the limit.
const (
	ExceedBlock     OnExceed = "block"
	ExceedDowngrade OnExceed = "downgrade" // to a cheaper model, if that one fits; else block
	ExceedWarn      OnExceed = "warn"      // let it pass, marked; not for hard budgets
)

// BoundBy is who sees to it that a call costs no more than was reserved for it.
type BoundBy string

const (
	// BoundComputed: the worst case is computed from prices and request; a
	// call that has none is refused.
	BoundComputed BoundBy = "computed"
	// BoundProvider: Bursar adds provider.max_price (and max_tokens where
	// absent) to the request, so that OpenRouter enforces the prices.
	BoundProvider BoundBy = "provider"
)

// Covers reports whether a call that started at at counts towards the budget
// (whether or not it is enabled), and for which value of its tag.
func (b *Budget) Covers(at time.Time, t *Tags, keyFingerprint string, models []string, anyModel bool) (each string, ok bool) {
	if at.Before(b.CountsFrom) ||
		b.StartsAt != nil && at.Before(*b.StartsAt) || b.EndsAt != nil && !at.Before(*b.EndsAt) ||
		!b.Scope.Covers(t, keyFingerprint, models, anyModel) {
		return "", false
	}
	each = b.Each.Value(t)
	return each, b.Each == EachNone || each != ""
}

// Essential reports whether calls of the purpose are protected. No purpose is.
func (b *Budget) Essential(purpose string) bool {
	switch {
	case purpose == "" || slices.Contains(b.EssentialPurposes, purpose):
		return true
	case len(b.EssentialPurposes) > 0 || len(b.NonessentialPurposes) == 0:
		return false
	}
	return !slices.Contains(b.NonessentialPurposes, purpose)
}

// NonessentialLimit is what a hard budget has for calls that are not
// essential: limit × (1 − essential share).
func (b *Budget) NonessentialLimit() decimal.Decimal {
	return b.Limit.Mul(decimal.NewFromInt(1).Sub(b.EssentialShare.Decimal))
}

// BudgetChange is what PATCH may change; nil leaves it. What decides which
// calls count, and when (scope, each, period, time zone, currency), cannot be
// changed, since the figures counted so far would no longer be what they say.
type BudgetChange struct {
	Name                 *string
	Limit                *decimal.Decimal
	Mode                 *Mode
	Thresholds           *[]int
	OnExceed             *OnExceed
	DowngradeTo          *string
	EssentialPurposes    *[]string
	NonessentialPurposes *[]string
	EssentialShare       *decimal.Decimal
	Bound                *BoundBy
	EndsAt               **time.Time // pointer to nil: no end
	Enabled              *bool
}

// Apply returns the budget as the change leaves it. [Budget.Validate] says
// whether it can be.
func (c *BudgetChange) Apply(b Budget) Budget {
	set(&b.Name, c.Name)
	if c.Limit != nil {
		b.Limit = Amount{*c.Limit}
	}
	set(&b.Mode, c.Mode)
	set(&b.Thresholds, c.Thresholds)
	set(&b.OnExceed, c.OnExceed)
	set(&b.DowngradeTo, c.DowngradeTo)
	set(&b.EssentialPurposes, c.EssentialPurposes)
	set(&b.NonessentialPurposes, c.NonessentialPurposes)
	if c.EssentialShare != nil {
		b.EssentialShare = Amount{*c.EssentialShare}
	}
	set(&b.Bound, c.Bound)
	set(&b.EndsAt, c.EndsAt)
	set(&b.Enabled, c.Enabled)
	return b
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

// BudgetStatus is how a budget stands in a period, for one value of its tag.
// Amounts are in the budget's currency.
type BudgetStatus struct {
	Budget      Budget     `json:"budget"`
	EachValue   string     `json:"each_value"`   // empty: the budget is not divided
	PeriodStart time.Time  `json:"period_start"` // the window the figures are of
	ResetsAt    *time.Time `json:"resets_at"`    // null: never

	Limit     Amount `json:"limit"`
	Settled   Amount `json:"settled"`   // exact costs that are recorded
	Reserved  Amount `json:"reserved"`  // held for calls whose cost is not known yet
	Estimated Amount `json:"estimated"` // price-list estimates of calls unsettled for an hour; no part of settled
	Leased    Amount `json:"leased"`    // in the hands of replicas, unspent or reserved there
	Overshoot Amount `json:"overshoot"` // beyond the limit: billed above what was reserved, or not hard; spent before the limit was lowered does not count
	Remaining Amount `json:"remaining"` // limit less settled and reserved, at least 0

	Percent   *Amount    `json:"percent"`     // settled and estimated, of the limit; null: the limit is 0
	BurnRate  *Amount    `json:"burn_rate"`   // settled an hour, over the last 24 hours of the period; null: too short
	RunsOutAt *time.Time `json:"runs_out_at"` // at that rate; null: not within the period
	State     string     `json:"state"`       // ok, warning (a threshold is passed), exceeded, disabled, ended
}

// MonthlyAILimit is the limit of the budget [BudgetMonthlyAI] among statuses,
// EUR, converted at usdToEUR where the budget is in USD. Unknown: it is not
// among them.
func MonthlyAILimit(statuses []BudgetStatus, usdToEUR decimal.Decimal) Optional[decimal.Decimal] {
	for i := range statuses {
		s := &statuses[i]
		switch {
		case s.Budget.ID != BudgetMonthlyAI:
		case s.Budget.Currency == USD:
			return Some(s.Limit.Mul(usdToEUR))
		default:
			return Some(s.Limit.Decimal)
		}
	}
	return Optional[decimal.Decimal]{}
}
