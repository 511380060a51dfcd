// Package journal is the durable local journal of [accounting.Event]: what a
// call cost is on this machine's disk before anybody else has to know it.
//
//	proxy ── Append ──► shard 0  [seg][seg][seg…]  ─┐
//	                    shard 1  [seg][seg…]       ─┤
//	                    …                           ├── Next ──► shipper ──► Postgres
//	 dead processes:    adopted  [seg][seg]        ─┘              │
//	                       ▲                                       │
//	                       └──────────── Ack ◄─────────────────────┘
//
// [Journal.Append] returns when the event is with the operating system, so it
// survives the death of this process; a sync in the background makes it survive
// the death of the machine too ([SyncWait] waits for it). [Journal.Next] hands
// out the events that are ready to ship, [Journal.Ack] says that they have
// arrived, and segment files of which nothing is needed any more are removed.
// What was not acknowledged is handed out again after a restart: delivery is at
// least once, and the store must not mind a replay.
//
// Each process writes in a directory of its own, which it holds by a lock. The
// directory of a dead process is adopted by a living one, which delivers what
// is left in it; a call that was opened there and never closed comes out as an
// event of kind [accounting.Interrupted].
//
// FORMAT.md holds the layout of the files, what is assumed of a disk, and what
// a reader does with each kind of damage.
//
// # Locks
//
// Journal.readMu guards the reader's cursors and the list of deliveries; each
// shard's mu guards its segments and its write position; shard.syncMu lets one
// sync pass run at a time. They are taken in the order syncMu, readMu, mu.
// Append takes only the mu of its own shard.
package journal
