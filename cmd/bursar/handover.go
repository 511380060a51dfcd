package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An upgrade replaces a running Bursar by a new process that takes over its
// ports, its keys and, once it has gone, its journal. SIGUSR2 asks for it:
//
//	old                                       new
//	 │ SIGUSR2: start the binary again, with   │
//	 │ both listening sockets and two pipes ──►│ open journal, database, everything
//	 │◄─────────────────────────────── "ready" │
//	 │ the word to go ────────────────────────►│ serve
//	 │◄─────────────────────────────── "serving"
//	 │ stop accepting; keys ──────────────────►│ hold them
//	 │ answer with Connection: close until     │
//	 │ no connection is left                   │
//	 │ keys that came meanwhile ──────────────►│
//	 │ flush, exit 0                           │ adopt what is left of the journal
//
// Until "serving" the new process may fail, hang or be killed: the old one
// never stopped to accept and goes on. The new one accepts nothing before the
// word to go, so ending it cuts no call. docs/decisions/0007 says why the old
// one leaves idle connections open.

// handoverVariable tells a process that it replaces another. It is no BURSAR_
// name, since it is no setting. It holds what a [legacy] knows of its
// predecessor.
const handoverVariable = "_BURSAR_HANDOVER"

// Words of the new process to the old one, a line each.
const (
	wordReady   = "ready\n"   // everything is open
	wordServing = "serving\n" // the ports are accepted from
)

// Descriptors of the new process, after the three standard ones.
const (
	proxySocketFD = 3 + iota
	adminSocketFD
	fromOldFD // the word to go, one byte, and then keys
	toOldFD   // words
)

// handover is what a program knows of the processes before and after it.
type handover struct {
	self      *invocation      // nil: this program cannot be replaced
	asked     <-chan os.Signal // for an upgrade
	inherited *legacy          // nil: it was not started by an upgrade
	after     *successor       // not nil once it serves; belongs to run

	serving                sync.WaitGroup // the two accept loops
	leaving                atomic.Bool    // another process accepts now
	proxyConns, adminConns connections
	receiving              atomic.Bool // keys of a predecessor that has not gone
}

// invocation is how this process was started.
type invocation struct {
	args    []string
	environ []string // without handoverVariable
	workdir string
}

func newInvocation(e *env) *invocation {
	return &invocation{args: os.Args, workdir: e.workdir,
		environ: slices.DeleteFunc(slices.Clone(e.environ), func(v string) bool { return strings.HasPrefix(v, handoverVariable+"=") })}
}

// attend waits until ctx ends, something fails for good, or another process
// has taken over and the calls in flight here have finished. A successor that
// does not come to serve changes nothing.
func (p *program) attend(ctx context.Context) error {
	type outcome struct {
		after *successor
		err   error
	}
	var outcomes chan outcome // not nil while an upgrade is under way
	starting, abort := context.WithCancel(ctx)
	defer abort()
	for {
		var err error
		select {
		case <-ctx.Done():
			p.log.Info().Msg("stopping; calls in flight may finish")
		case err = <-p.fatal:
			p.log.Error().Err(err).Msg("stopping")
		case <-p.handover.asked:
			if outcomes != nil {
				p.log.Warn().Msg("an upgrade is under way already")
				continue
			}
			outcomes = make(chan outcome, 1)
			go func() {
				after, err := p.startSuccessor(starting)
				outcomes <- outcome{after, err}
			}()
			continue
		case o := <-outcomes:
			outcomes = nil
			if o.err != nil {
				p.log.Error().Err(o.err).Msg("the upgrade did not happen; this process goes on")
				continue
			}
			p.handover.after = o.after
			return p.leave(ctx)
		}
		abort()
		if outcomes != nil {
			p.handover.after = (<-outcomes).after
		}
		if p.handover.after != nil && ctx.Err() != nil {
			p.handover.after.terminate() // it came to serve before it heard of the end
		}
		return err
	}
}

// leave lets a serving successor have the ports, and waits until what is in
// flight here has finished, ctx ends or something fails for good.
func (p *program) leave(ctx context.Context) error {
	since := time.Now()
	p.handover.leaving.Store(true)
	// The sockets are open in the successor as well: their queues stay.
	_ = p.proxyListener.Close()
	_ = p.adminListener.Close()
	p.handover.serving.Wait() // what was accepted last is counted now
	pid := p.handover.after.pid()
	p.notifyMainPID(pid)
	p.log.Info().Int("pid", pid).Int64("connections", p.handover.proxyConns.open.Load()).
		Msg("upgraded: a new process serves; calls in flight finish here")
	p.bequeath()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !p.isIdle(since) {
		select {
		case <-ctx.Done():
			p.log.Info().Msg("stopping; calls in flight may finish")
			return nil
		case err := <-p.fatal:
			p.log.Error().Err(err).Msg("stopping")
			return err
		case <-p.handover.asked:
			p.log.Warn().Int("pid", pid).Msg("this process was replaced already; send the signal to the new one")
		case err := <-p.handover.after.exited:
			p.log.Error().Err(err).Msg("the new process ended; nobody serves until it is started again")
			p.handover.after.exited = nil
		case <-tick.C:
		}
	}
	return nil
}

// isIdle reports whether there is nothing left to wait for: no connection, and
// no predecessor that still hands over keys. A connection of the admin port is
// waited for only briefly: whoever polls has come by then, and a page that
// stays open has no end.
func (p *program) isIdle(since time.Time) bool {
	waited := time.Since(since)
	if waited > p.cfg.Proxy.UpgradeLinger {
		return true
	}
	return p.handover.proxyConns.open.Load() == 0 && !p.handover.receiving.Load() &&
		(p.handover.adminConns.open.Load() == 0 || waited > closeTimeout)
}

// bequeath gives the successor, if there is one, the keys that are held here.
func (p *program) bequeath() {
	if p.handover.after == nil {
		return
	}
	if err := p.handover.after.give(p.keyring); err != nil {
		p.log.Warn().Err(err).Msg("the new process has not got all keys; the calls they made wait until it sees them")
	}
}

// connections counts the connections of a server that have not been closed.
type connections struct{ open atomic.Int64 }

// track is a [http.Server.ConnState]. A hijacked connection is counted by its
// handler: see [program.lastAnswers].
func (c *connections) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// lastAnswers lets a server be left: once another process accepts, every
// answer is the last one on its connection. HTTP/1 says so by Connection:
// close; net/http sends a GOAWAY in its place on HTTP/2.
//
// Connections on which nothing is asked for are left alone. To close them is
// what http.Server.Shutdown does, and what fails the request that is on its way
// just then.
func (p *program) lastAnswers(open *connections, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			open.open.Add(1) // beyond its hijacking
			defer open.open.Add(-1)
		}
		if p.handover.leaving.Load() {
			w = &lastAnswer{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

// lastAnswer ends its connection. The header is set as late as can be, since a
// 1xx answer clears those that stand on the writer.
type lastAnswer struct {
	http.ResponseWriter
	wrote bool
}

// Unwrap is for http.ResponseController.
func (w *lastAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader marks the answer, unless it is a preliminary one or hands the
// connection over to another protocol.
func (w *lastAnswer) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.wrote = true
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *lastAnswer) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}
