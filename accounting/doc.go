// Package accounting is the domain of Bursar: what a call is, whom it was for
// and what it cost.
//
// It is pure: no I/O, no goroutines, and the present time is a parameter. The
// packages around it (proxy, store, admin) import it and never each other, so
// a word that two of them share is defined here and nowhere else.
//
// # The life of a call
//
//	opened ──► identified ──► closed ──► shipped ──► verified
//	   │            │
//	   └────────────┴── the process died: interrupted
//
// Each step is an [Event]. The proxy makes them, the journal keeps them, the
// shipper carries them to Postgres, the settler completes what they could not
// know.
//
// # Money
//
// An amount is a [github.com/shopspring/decimal.Decimal], parsed from the
// literal that came over the wire and never rounded here. An amount nobody
// knows is an [Optional] that is not Known; it is neither zero nor missing
// from sums by accident.
package accounting
