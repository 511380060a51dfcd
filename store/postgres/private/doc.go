// Package private runs the Postgres that Bursar keeps for itself where no
// DATABASE_URL is set: an ordinary server, started from installed binaries, in
// a folder of its own, reachable by nobody else.
//
//	<Dir>/                 0700, owned by the account that runs the server
//	    data/              PGDATA; data.new while initdb is at work
//	    .s.PGSQL.5432      the only way in: no TCP port is opened
//	    server.log         what the server said; server.log.1 before that
//	    start.lock         exclusive: who decides about start and stop just now
//	    members.lock       shared: every Bursar that uses the server
//	    server.lock        exclusive: the server's processes themselves
//
// # Who starts it and who stops it
//
// The server outlives the Bursar that started it. It is adopted when it runs
// already and stopped by the last Bursar that leaves:
//
//	Start ── start.lock ── server.lock free? ── yes ── initdb if new ── postgres
//	                            └── no: adopt ──────────────────────────────┐
//	        members.lock (shared, until Stop or death) ◄── answers? ◄───────┘
//	Stop ─── start.lock ── members.lock exclusive? ── yes ── fast shutdown
//	                            └── no: another Bursar still needs it
//
// The locks are flock(2) locks, which the kernel drops when their holder dies,
// however it dies. The server inherits the descriptor of server.lock, and so do
// all of its processes; the lock is free when the last of them is gone. That is
// a better witness than a process id, which may have been reused since.
//
// The server runs in a session of its own, so that a Ctrl-C meant for Bursar
// does not reach it, and with a bare environment, so that it never sees a key.
//
// # Root
//
// Postgres refuses to run as root. Under root it runs as the owner of the
// existing data directory, else as postgres if there is such a user, else as
// nobody (65534). Where the
// parents of Dir are closed to that account, as /root is, the server keeps the
// one capability of root's that lets it pass through them (Linux only).
//
// A data directory that exists is never deleted and never initialised again.
package private
