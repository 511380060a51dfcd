// Command proxybench measures what Bursar costs beside the proxies that one
// would otherwise take: a bare httputil.ReverseProxy with default settings, the
// same with a BufferPool and, where they are installed, nginx and HAProxy.
//
//	           ┌── bare ──────┐
//	           ├── pool ──────┤
//	load ──────┼── nginx ─────┼────► fake OpenRouter (openroutertest, lean)
//	(HTTP/1.1) ├── haproxy ───┤      plain HTTP/1.1, then TLS with HTTP/2
//	           ├── bursar ────┤
//	           ├── bursar+settler
//	           └── (direct) ──┘
//
// Every contender is a process of its own, so its CPU is what the system
// charged to that process, and its memory what is resident of it. Bursar is the
// real program, built with the release's flags, with everything on: tags,
// journal, meter, metrics, and the shipper into a private Postgres, whose CPU
// is not Bursar's but does compete for the same cores.
//
// The contenders take turns within a round, and a ratio is taken within its
// round, so that what else happens on the machine falls on all alike; the table
// shows the medians over the rounds. After each load a contender's CPU is read
// only when it has become quiet: what Bursar still ships is charged to the
// calls that caused it. A call that fails ends the run: a proxy that refuses is
// cheap.
//
// It needs Linux (/proc), the go command, and the programs of Postgres.
package main
