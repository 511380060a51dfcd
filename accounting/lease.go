package accounting

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"
)

// LeaseKey names what money is leased of: a budget's period, for one value of
// its tag.
type LeaseKey struct {
	BudgetID    string
	EachValue   string
	PeriodStart time.Time // UTC
}

// LeaseRequest asks for money of a budget, or gives some back. Amounts are in
// the budget's currency.
type LeaseRequest struct {
	LeaseKey
	Need   decimal.Decimal // a call waits for this much; less is of no use to it
	Want   decimal.Decimal // this much would be welcome, at least Need
	Return decimal.Decimal // unspent, no longer the replica's once the answer is there
	// Cap is what granted may not rise above for this request: the limit for
	// calls that are not essential. 0: the ceiling is the only bound.
	Cap decimal.Decimal
}

// Lease is the answer to a [LeaseRequest], and how the period stands after it.
// Amounts are in the budget's currency.
//
// At any moment, for each period:
//
//	granted = settled + reserved + Σ held of all leases − overshoot ≤ ceiling
//
// where granted is what was handed out less what came back, and ceiling the
// limit, or granted where the limit was lowered below it.
type Lease struct {
	LeaseKey
	Granted decimal.Decimal // new money, now the replica's; 0: there was none
	Held    decimal.Decimal // all that the replica holds now, as the database knows it
	PeriodFigures
}

// PeriodFigures are what Postgres knows of a budget's period. Amounts are in
// the budget's currency.
type PeriodFigures struct {
	Ceiling   decimal.Decimal
	Total     decimal.Decimal // granted, over all replicas
	Settled   decimal.Decimal
	Reserved  decimal.Decimal // for shipped calls whose cost is not known
	Estimated decimal.Decimal // of shipped calls unsettled for an hour
	Overshoot decimal.Decimal // beyond the ceiling
	// Short: somebody asked for money lately and there was none left to grant.
	// Whoever holds more than it uses should give it back.
	Short bool
}

// PeriodState is a period's figures with their name.
type PeriodState struct {
	LeaseKey
	PeriodFigures
	UpdatedAt time.Time
}

// LeaseRow is one lease as the API shows it: money in the hands of a replica.
type LeaseRow struct {
	Replica     string     `json:"replica"`
	BudgetID    string     `json:"budget_id"`
	EachValue   string     `json:"each_value"` // empty: the budget is not divided
	PeriodStart time.Time  `json:"period_start"`
	Currency    Currency   `json:"currency"`
	Held        Amount     `json:"held"` // unspent, or reserved for calls that are not recorded yet
	UpdatedAt   time.Time  `json:"updated_at"`
	SeenAt      *time.Time `json:"seen_at"`  // when the replica was last heard of; null: never
	EndedAt     *time.Time `json:"ended_at"` // it stopped, or its journal was settled
	Alive       bool       `json:"alive"`    // heard of lately
}

// ErrNoLease is the answer to a release of what nobody holds.
var ErrNoLease = errors.New("no replica of that name holds money of a budget")

// ErrReplicaAlive is the answer to a release of what a living replica holds: it
// would go on spending what somebody else is then given.
var ErrReplicaAlive = errors.New("the replica is alive: stop it first, it then returns what it holds")

// Replica is one life of a Bursar process, as the guard's heartbeat tells it.
type Replica struct {
	ID        string     `json:"replica"`
	StartedAt time.Time  `json:"started_at"`
	SeenAt    time.Time  `json:"seen_at"`
	EndedAt   *time.Time `json:"ended_at"` // it stopped, or its journal was settled
	Alive     bool       `json:"alive"`    // heard of lately
}
