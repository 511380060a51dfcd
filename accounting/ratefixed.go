package accounting

import (
	"errors"
	"time"
)

// The actions of fixed costs in the audit log.
const (
	ActionFixedCostPut    = "fixed_cost.put"
	ActionFixedCostDelete = "fixed_cost.delete"
)

// Bounds of fixed costs.
const (
	MaxFixedCostName = 100       // bytes of a name
	MaxFixedCostEUR  = 9_000_000 // a month
	MaxFixedCosts    = 1000      // entries, of all names together
)

// DatedFixedCost is what a named thing costs a month, from a month on until the
// next entry of that name. An amount of 0 ends it.
type DatedFixedCost struct {
	Name       string    `json:"name"`
	From       Month     `json:"from"`
	EUR        Amount    `json:"eur"`
	Platform   *string   `json:"platform"` // whose subscription it is, and over whose emails it is split; null: over all
	RecordedAt time.Time `json:"recorded_at"`
}

// FixedCostBook is all that is known of fixed costs.
type FixedCostBook struct {
	Defaults []NamedCost      `json:"defaults"` // from the configuration: hold before the first entry of their name
	Entries  []DatedFixedCost `json:"entries"`  // by name, the newest first
	Present  []NamedCost      `json:"present"`  // of the present month
}

// NamedCost is a fixed cost as JSON shows it.
type NamedCost struct {
	Name     string  `json:"name"`
	EUR      Amount  `json:"eur"`
	Platform *string `json:"platform"`
}

// ErrUnknownFixedCost is the answer to the deletion of an entry that is not
// there.
var ErrUnknownFixedCost = errors.New("there is no such entry of a fixed cost")

// ErrTooManyFixedCosts is the answer to an entry beyond [MaxFixedCosts].
var ErrTooManyFixedCosts = errors.New("there are too many entries of fixed costs")
