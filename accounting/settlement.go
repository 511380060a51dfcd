package accounting

import "github.com/shopspring/decimal"

// Unsettled is a row whose cost OpenRouter's own record has still to provide
// or to confirm.
type Unsettled struct {
	ID             RequestID
	GenerationID   string // empty: ask by JobID
	JobID          string
	KeyFingerprint string
	Endpoint       string
	Status         Status
	Cost           Optional[decimal.Decimal] // what is known so far
	Attempts       int                       // lookups made before this one
}

// Missing reports whether the exact cost is not known at all, as against not
// yet verified.
func (u *Unsettled) Missing() bool { return u.Status != StatusSettled }

// Posting is a change of recorded spend: what a shipped or settled call added
// to the ledger, or, if negative, a correction took away.
type Posting struct {
	ID       RequestID
	Tags     Tags
	Model    string
	Amount   decimal.Decimal // USD, the difference of cost_usd
	Verified bool            // it comes from OpenRouter's own record
	Mismatch bool            // that record differs from the inline cost
}

// Shipment is what one batch of events changed in the ledger.
type Shipment struct {
	Inserted int // rows that are new
	Updated  int // rows that an event completed
	Replayed int // events that changed nothing, having been shipped before
	// Orphans are Polled events whose job no row knows (yet). They are not
	// recorded; the caller offers them again or gives them up.
	Orphans  []Event
	Postings []Posting
}
