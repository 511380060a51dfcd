package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"bursar/accounting/settle"
	"bursar/proxy"
)

// run serves until ctx ends or something fails for good, and then stops in
// the order that loses nothing.
func (p *program) run(ctx context.Context) error {
	if err := p.awaitTurn(ctx); err != nil {
		return errors.Join(err, p.stop())
	}
	if err := p.start(); err != nil {
		return errors.Join(err, p.stop())
	}
	return errors.Join(p.attend(ctx), p.stop())
}

func (p *program) start() error {
	partitions, err := settle.NewPartitions(settle.PartitionsOptions{Calendar: p.store, Registerer: p.registry, Logger: p.log})
	if err != nil {
		return err
	}
	backlog := newBacklogCollector(p.store, p.log)
	p.registry.MustRegister(backlog)
	if p.cluster != nil {
		p.loop("private Postgres", p.cluster.Supervise)
	}
	p.loop("migration", p.migrateEventually)
	p.loop("partitions", partitions.Run)
	p.loop("keyring", p.keyring.Run)
	p.loop("settler", p.settler.Run)
	p.loop("backlog", backlog.Run)
	p.startReconciliation()
	p.startAlerting()
	p.startReporting()
	if err := p.startRates(); err != nil {
		return err
	}
	if err := p.startWebhooks(); err != nil {
		return err
	}
	if err := p.startForecasts(); err != nil {
		return err
	}
	if err := p.startExperiments(); err != nil {
		return err
	}
	if err := p.startBudgetPlans(); err != nil {
		return err
	}
	p.loop("journal adoption", p.adopt)
	p.loop("prices", p.budgeting.prices.Run)
	p.loop("rate of budgets", func(ctx context.Context) error { return p.budgeting.rate.follow(ctx, p.store, p.log) })
	p.loop("leases of dead processes", p.closeDeadLeases)
	p.loop("shipper", p.shipper.Run)
	p.loop("guard", p.budgeting.guard.Run) // before the shipper in stopping: it has refusals to record
	p.serve("admin port", func() error { return p.adminServer.Serve(p.adminListener) })
	p.serve("data port", func() error {
		if p.cfg.Proxy.TLSCertFile != "" {
			return p.proxyServer.ServeTLS(p.proxyListener, "", "")
		}
		return p.proxyServer.Serve(proxy.Listen(p.proxyListener))
	})
	p.announce()
	p.succeed()
	return nil
}

func (p *program) loop(name string, fn func(context.Context) error) {
	p.loops = append(p.loops, startLoop(name, fn, p.fail))
}

// serve starts the accept loop of a port, which ends when its listener is
// closed.
func (p *program) serve(name string, fn func() error) {
	p.handover.serving.Go(func() {
		err := fn()
		if errors.Is(err, http.ErrServerClosed) || p.handover.leaving.Load() && errors.Is(err, net.ErrClosed) {
			return
		}
		p.fail(fmt.Errorf("serve the %s: %w", name, err))
	})
}

// fail ends the program. Only the first reasons are of interest.
func (p *program) fail(err error) {
	select {
	case p.fatal <- err:
	default:
	}
}

func (p *program) proxyURL() string {
	scheme := "http"
	if p.cfg.Proxy.TLSCertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + p.proxyListener.Addr().String()
}

func (p *program) adminURL() string { return "http://" + p.adminListener.Addr().String() }

func (p *program) announce() {
	keys := "each client's own key passes through"
	if p.cfg.Upstream.APIKey.IsSet() {
		keys = "OPENROUTER_API_KEY is set on every call"
	}
	p.log.Info().Str("version", buildVersion()).Str("upstream", p.cfg.Upstream.URL).Str("keys", keys).Msg("bursar runs")
	p.log.Info().Msgf("data port:  %s   (set OPENROUTER_BASE_URL=%s/api/v1 in the application)", p.proxyURL(), p.proxyURL())
	p.log.Info().Msgf("admin port: %s", p.adminURL())
}

// migrateEventually brings the schema up to date when the database did not
// answer at the start.
func (p *program) migrateEventually(ctx context.Context) error {
	for !p.migrated.Load() {
		err := p.migrate(ctx)
		if err == nil {
			p.log.Info().Msg("the database answers; its schema is up to date")
			return nil
		}
		if permanent := refusedForGood(err); permanent != nil {
			p.log.Error().Err(permanent).Msg("the database refuses us; calls are journaled until that is mended")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	<-ctx.Done()
	return nil
}

// stop ends the program in the order that loses nothing: readiness off, the
// proxy drains, the last flush, leases returned, the loops, the journal, the
// admin port, the pool, the private Postgres.
func (p *program) stop() error {
	p.draining.Store(true)
	if p.handover.after == nil {
		p.notifySystemd("STOPPING=1")
	}
	var errs []error
	errs = append(errs, p.drainProxy())
	p.bequeath()
	for i := len(p.loops) - 1; i >= 0; i-- {
		l := p.loops[i]
		if l.name == "private Postgres" {
			continue // it is needed for the flush
		}
		errs = append(errs, l.stop())
		if l.name == "shipper" {
			errs = append(errs, p.flush())
			p.returnLeases()
		}
	}
	return errors.Join(append(errs, p.close())...)
}

// drainProxy lets calls in flight finish. What has not finished by the
// deadline is cut, and recorded as cut.
func (p *program) drainProxy() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Proxy.ShutdownTimeout)
	defer cancel()
	if err := p.proxyServer.Shutdown(ctx); err != nil {
		p.log.Warn().Msg("calls still in flight at the end of BURSAR_PROXY_SHUTDOWN_TIMEOUT are cut; their costs are settled later")
		_ = p.proxyServer.Close()
	}
	done := make(chan struct{})
	go func() { p.inFlight.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(p.cfg.Proxy.DisconnectGrace + closeTimeout):
		p.log.Warn().Msg("some calls did not end; the next start settles them from the journal")
	}
	return nil
}

// flush ships what is left. Failing loses nothing: it stays in the journal.
func (p *program) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.shipper.Flush(ctx); err != nil {
		p.log.Warn().Err(err).Msg("not everything was shipped; the next start goes on from the journal")
	}
	return nil
}

// close frees what newProgram opened. It is safe on a program that is only
// partly open.
func (p *program) close() error {
	var errs []error
	if p.journal != nil {
		if len(p.loops) == 0 { // it never served, so it has spent nothing
			errs = append(errs, p.journal.Disown(p.budgeting.replica))
		}
		errs = append(errs, p.journal.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if p.adminServer != nil {
		if p.adminServer.Shutdown(ctx) != nil {
			_ = p.adminServer.Close()
		}
	}
	for _, listener := range []interface{ Close() error }{p.proxyListener, p.adminListener} {
		if listener != nil {
			_ = listener.Close() // the servers have closed theirs already
		}
	}
	p.handover.inherited.close()
	if p.transport != nil {
		p.transport.CloseIdleConnections()
	}
	if p.store != nil {
		p.store.Close()
	}
	if len(p.loops) > 0 && p.loops[0].name == "private Postgres" {
		errs = append(errs, p.loops[0].stop())
	}
	if p.cluster != nil {
		stopping, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		errs = append(errs, p.cluster.Stop(stopping))
	}
	return errors.Join(errs...)
}

// refusedForGood returns a sentence for errors of the database that waiting
// does not mend, nil for all others.
func refusedForGood(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return nil
	}
	switch {
	case strings.HasPrefix(refused.Code, "28"):
		return fmt.Errorf("DATABASE_URL: the database refuses the user or the password: %s", refused.Message)
	case strings.HasPrefix(refused.Code, "3D"):
		return fmt.Errorf("DATABASE_URL: %s; create it with createdb", refused.Message)
	}
	return nil
}
