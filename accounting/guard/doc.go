// Package guard decides, before a call is sent, whether budgets and stops let
// it pass.
//
//	 Reserve ──► rules (atomic pointer) ──► accounts (atomic counters) ──► decision
//	                                            │ no money in hand
//	                                            ▼
//	heartbeat: rules, stops ◄─┐     leaser: one batch after the other
//	refresh: figures        ◄─┤         │ need, want, return
//	                          └──────── Postgres ────────┘
//
// A soft budget acts on what the database last said was settled, less calls
// that ended here since. A hard budget binds each call by a reservation: its
// worst case is taken from money that the database has granted to this replica
// (a lease), and what the call did not use comes back when its cost is known.
// docs/decisions/0008 says why settled spend then never passes the limit.
//
// # Which decisions there are
//
// A stop that holds the call blocks it. Else each budget that holds it has a
// verdict, and the strictest is the call's. Charges to hard budgets are made
// for all or for none. A call is downgraded at most once, to the model of the
// first budget that asks for it, and is then decided anew with that model.
//
// The arm of an enforced experiment comes before budgets: they decide about the
// call with the model that the arm puts in place of the one asked for. A stop
// holds whatever an arm says.
//
// # Limits
//
// Amounts are held in units of 10⁻¹² of the currency, up to 4.6 million: a
// limit may be larger, a single call may not.
package guard
