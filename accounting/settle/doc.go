// Package settle is what happens to a call after its reply: its events are
// shipped from the journal to Postgres, and its cost is completed and confirmed
// from OpenRouter's own record.
//
// Everything here is a loop, Run(ctx) error, that the program starts and stops;
// it returns nil when ctx ends. Journal, database and OpenRouter are small
// interfaces, so this package knows no file format, no SQL and no HTTP.
//
// # The states of a call
//
//		               proxy                        shipper             settler
//		                 │                             │                   │
//		opened ─► identified ─► closed ─────────────► shipped ──────────► verified
//		   │           │                               ▲  │
//		   │           │    the journal, on recovery   │  │ cost in the reply:  settled, then confirmed
//		   └───────────┴─────► interrupted ────────────┘  │ id, but no cost:    pending ─► settled
//		                                                  │   key not held:     awaiting_key ─► settled
//		                                                  │   7 days of 404:    unresolved
//		                                                  │ neither:            interrupted, unresolved
//		                                                  └ an error, no bill:  failed
//
//	  - opened: the proxy, through [Recorder.Record], before anything goes
//	    upstream. If it cannot be recorded the proxy may still refuse the call.
//	  - identified: the proxy, before the bytes with the generation's id reach
//	    the client.
//	  - closed: the proxy, once, with all that is known.
//	  - interrupted: the journal, for a call that a dead process left open.
//	  - shipped: the [Shipper]; the row is committed, the journal may forget.
//	  - verified: the [Settler]; GET /generation named the cost that is billed.
//
// # What survives what
//
//	what dies                what happens
//	Bursar (kill -9)         the journal is on the disk; the next process (or a
//	                         neighbour) ships it, interrupted calls included. A
//	                         batch of unknown fate is shipped again, which
//	                         changes nothing.
//	Postgres                 events wait in the journal; the shipper tries the
//	                         same batch again. Leased rows of the settler come
//	                         due again.
//	the journal's disk       a new call waits for its row in Postgres, or as
//	                         [WhenFull] says; the events of calls under way wait
//	                         in memory and go straight to Postgres. [Mode] tells
//	                         which.
//	one bad event            the shipper halves its batch until the event is
//	                         alone, and sets it aside; the others are shipped.
//	GET /generation          lookups rest and probe; rows wait. Trouble of the
//	                         endpoint never makes a call unresolved.
//	the key's holder         the key is sealed in Postgres ([Keyring]), or the
//	                         call waits until the key is seen again.
//
// # Hand-offs
//
//	proxy ──► Recorder ──► journal ──► Shipper ──► Postgres ──► Settler ──► Postgres
//	             │                        ▲   │                    ▲  ▲
//	             └── overflow, in memory ─┘   └── Pending: Wake ───┘  │
//	proxy ──► Keyring.Hold ──────────────── Key, Fingerprints ────────┘
//
// # Days and months
//
// A settled call may still be wrong in company: a call that nobody recorded has
// no row to settle. So the [Sampler] notes what keys and the account have used
// so far, and the [Reconciler] compares each day that is over with these
// figures and with GET /activity. [Months] closes a month of which all is
// confirmed; what changes later is a correction.
//
// # Alerts
//
// What a person should know is a row that Postgres makes with what caused it.
// [Deliveries] takes such rows to the channels, each by one replica and at
// least once. [SpikeBrake] and [Undecided] have the database look for causes
// that no single call shows, and [Estimates] keeps calls of unknown cost from
// counting as free.
//
// Stop order: the proxy drains, [Shipper.Run] ends, [Shipper.Flush] has the
// last word with a deadline of its own, then the settler, the keyring and the
// partitions; last the journal closes.
package settle
