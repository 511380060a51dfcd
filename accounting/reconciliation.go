package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// Spend is what Bursar has recorded of some calls. Amounts are USD.
type Spend struct {
	Cost            decimal.Decimal // of the calls whose cost is known
	Calls           int64           // without those that failed, which are not billed
	OpenCalls       int64           // of these, whose cost is not known
	UnverifiedCalls int64           // of these, whose cost OpenRouter's own record has not confirmed
	UnverifiedCost  decimal.Decimal // of those
}

// Plus is the sum of both.
func (s Spend) Plus(o Spend) Spend {
	return Spend{
		Cost:            s.Cost.Add(o.Cost),
		Calls:           s.Calls + o.Calls,
		OpenCalls:       s.OpenCalls + o.OpenCalls,
		UnverifiedCalls: s.UnverifiedCalls + o.UnverifiedCalls,
		UnverifiedCost:  s.UnverifiedCost.Add(o.UnverifiedCost),
	}
}

// Minus is what is left of s without o, which is part of it.
func (s Spend) Minus(o Spend) Spend {
	return Spend{
		Cost:            s.Cost.Sub(o.Cost),
		Calls:           s.Calls - o.Calls,
		OpenCalls:       s.OpenCalls - o.OpenCalls,
		UnverifiedCalls: s.UnverifiedCalls - o.UnverifiedCalls,
		UnverifiedCost:  s.UnverifiedCost.Sub(o.UnverifiedCost),
	}
}

// ModelSpend is the recorded spend of one key on one model.
type ModelSpend struct {
	KeyFingerprint string
	Model          string // that served
	RequestedModel string
	Spend
}

// WindowSpend is what was recorded of the calls that ended between two
// moments at which OpenRouter's running figure was sampled.
type WindowSpend struct {
	Spend
	// Calls that were under way at one of the moments, or had ended less than
	// a minute before it: the sample may or may not hold them.
	InFlight     int64
	InFlightCost decimal.Decimal // USD, as far as known
}

// Activity is one line of GET /activity: a day of one model at one provider.
type Activity struct {
	Model     string // as it is asked for, e.g. openai/gpt-5-mini
	Permaslug string // as it answers, with its date
	Provider  string
	Usage     decimal.Decimal // USD, what OpenRouter charged
	Requests  int64
}

// Verdict is the outcome of a reconciliation.
type Verdict string

// The verdicts.
const (
	VerdictAgrees          Verdict = "agrees"           // to the last digit
	VerdictWithinTolerance Verdict = "within_tolerance" // a difference, of less than the tolerance or than what was in flight
	VerdictDiffers         Verdict = "differs"          // a difference that somebody should look at
	VerdictUnavailable     Verdict = "unavailable"      // nothing to compare with; the reason says why
)

// Reconciliation compares one UTC day, as recorded by Bursar, with one source
// of OpenRouter's. It is a row of the table reconciliations. A nil pointer is
// not known, or does not apply.
type Reconciliation struct {
	Day            Day    `json:"day"`
	Source         Source `json:"source"`
	KeyFingerprint string `json:"key_fingerprint"` // empty: the whole account

	OursUSD       Amount  `json:"ours_usd"`
	TheirsUSD     *Amount `json:"theirs_usd"`
	DifferenceUSD *Amount `json:"difference_usd"` // theirs less ours
	OtherKeysUSD  *Amount `json:"other_keys_usd"` // of theirs: spent by keys that Bursar has not seen that day; of the account only
	DarkSpendUSD  *Amount `json:"dark_spend_usd"` // spent by calls on our keys that never came through Bursar
	DarkCalls     *int64  `json:"dark_calls"`

	OurCalls        int64  `json:"our_calls"`
	TheirCalls      *int64 `json:"their_calls"`
	OpenCalls       int64  `json:"open_calls"` // of ours, whose cost was not known yet
	UnverifiedCalls int64  `json:"unverified_calls"`
	UnverifiedUSD   Amount `json:"unverified_usd"` // of ours, not confirmed by OpenRouter's own record

	SampledFrom   *time.Time `json:"sampled_from"` // the moments that stand for the day's midnights
	SampledTo     *time.Time `json:"sampled_to"`
	CallsInFlight *int64     `json:"calls_in_flight"` // at these moments
	InFlightUSD   *Amount    `json:"in_flight_usd"`

	Tolerance Amount            `json:"tolerance"` // a share: 0.1 is 10 %
	Verdict   Verdict           `json:"verdict"`
	Reason    string            `json:"reason"` // of an unavailable verdict; else empty
	Models    []ModelDifference `json:"models"`
	Suspects  []Suspect         `json:"suspects"`
	CheckedAt time.Time         `json:"checked_at"`
}

// ModelDifference is one model's part of a reconciliation with the activity.
type ModelDifference struct {
	Model         string `json:"model"`
	OursUSD       Amount `json:"ours_usd"`
	TheirsUSD     Amount `json:"theirs_usd"`
	DifferenceUSD Amount `json:"difference_usd"` // theirs less ours
	OurCalls      int64  `json:"our_calls"`
	TheirCalls    int64  `json:"their_calls"`
	OpenCalls     int64  `json:"open_calls"`
}

// Suspect is a call that may explain a difference.
type Suspect struct {
	ID           RequestID `json:"id"`
	GenerationID *string   `json:"generation_id"`
	Model        string    `json:"model"`
	Status       Status    `json:"status"`
	CostUSD      *Amount   `json:"cost_usd"`
	// Why: open, mismatch (OpenRouter's record differed from the response),
	// unverified, midnight (it ran across one).
	Why string `json:"why"`
}

// MaxSuspects is the most that one reconciliation lists.
const MaxSuspects = 100

// SuspectFilter says where a difference arose.
type SuspectFilter struct {
	From, To       time.Time
	KeyFingerprint string // empty: any key
	Limit          int
}

// ReconciliationFilter says which rows are wanted, the newest day first. An
// empty field matches every row.
type ReconciliationFilter struct {
	From, To       *Day // both included
	Source         Source
	KeyFingerprint string
	Verdict        Verdict
	Limit          int
}

// MaxReconciliations is the most rows one listing returns.
const MaxReconciliations = 1000

// Settled reports whether another look at the day can change nothing on our
// side.
func (r *Reconciliation) Settled() bool { return r.OpenCalls == 0 && r.UnverifiedCalls == 0 }

func (r *Reconciliation) setOurs(s Spend) {
	r.OursUSD, r.OurCalls, r.OpenCalls = Amount{s.Cost}, s.Calls, s.OpenCalls
	r.UnverifiedCalls, r.UnverifiedUSD = s.UnverifiedCalls, Amount{s.UnverifiedCost}
}

// setTheirs also sets the difference.
func (r *Reconciliation) setTheirs(theirs decimal.Decimal) {
	r.TheirsUSD = &Amount{theirs}
	r.DifferenceUSD = &Amount{theirs.Sub(r.OursUSD.Decimal)}
}
