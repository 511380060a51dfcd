package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/admin"
	"bursar/config"
	"bursar/proxy"
	"bursar/proxy/openrouter"
	"bursar/store/journal"
	"bursar/store/postgres"
	"bursar/store/postgres/private"
)

// Time limits of the steps of starting and stopping.
const (
	connectTimeout = 10 * time.Second // for the database to answer before calls are taken without it
	flushTimeout   = 15 * time.Second
	closeTimeout   = 5 * time.Second
	shipBackoff    = 2 * time.Second // at most between two tries to reach Postgres: what it is away is in the journal's size
)

// journalFS is the journal's file system; nil is the operating system's. The
// build of the fault suite has one that fails (chaos_fs.go).
var journalFS journal.FS

// program is a whole Bursar. main makes one; a test starts the same program on
// port 0.
type program struct {
	cfg config.Config
	log zerolog.Logger

	listeners []func([]accounting.Posting) // of each change of the ledger, after its commit

	registry  *prometheus.Registry
	cluster   *private.Cluster // nil: DATABASE_URL is set
	store     *postgres.Store
	journal   *journal.Journal
	recorder  *settle.Recorder
	keyring   *settle.Keyring
	shipper   *settle.Shipper
	settler   *settle.Settler
	transport *http.Transport

	reconciliation reconciliation
	budgeting      budgeting
	alerting       alerting
	reporting      reporting

	proxyListener, adminListener net.Listener
	proxyServer, adminServer     *http.Server
	costsChanged                 func()         // tells the admin port that its dashboard is out of date
	inFlight                     sync.WaitGroup // requests on the data port
	handover                     handover       // from the process before, to the one after
	dead                         deadProcesses  // whose journals we have adopted

	migrated atomic.Bool // the schema is there
	draining atomic.Bool
	fatal    chan error // a loop or a server that must not end has ended
	loops    []*loop    // in the order of their start
}

// newProgram is a Bursar that has opened everything it holds. posted are told
// of each change of the ledger after its commit.
func newProgram(ctx context.Context, cfg config.Config, log zerolog.Logger, posted ...func([]accounting.Posting)) (*program, error) {
	p := makeProgram(cfg, log, posted...)
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func makeProgram(cfg config.Config, log zerolog.Logger, posted ...func([]accounting.Posting)) *program {
	p := &program{cfg: cfg, log: log, listeners: posted, registry: prometheus.NewRegistry(), fatal: make(chan error, 8)}
	p.budgeting.rate.configured = cfg.Economics.USDToEURRate
	p.budgeting.replica = accounting.NewRequestID(time.Now(), rand.Uint64(), rand.Uint64()).String() // a UUID as good as any
	return p
}

// open opens everything that a Bursar holds, in the order in which a failure is
// cheapest. What was opened is closed again if a later step fails.
func (p *program) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{
		p.openTransport, p.openChannels, p.checkDatabase, p.listen, p.makeDataDir, p.openJournal, p.openStore, p.openAccounting, p.openBudgets, p.openAlerting, p.openReporting, p.openReconciliation, p.openProxy, p.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// listen takes the ports first: another Bursar on them is the commonest reason
// for a start to fail.
func (p *program) listen(ctx context.Context) (err error) {
	before := p.handover.inherited
	if p.proxyListener, err = before.listen(ctx, proxySocketFD, p.cfg.Proxy.Addr); err != nil {
		return portProblem("data", "BURSAR_PROXY_ADDR", err)
	}
	if p.adminListener, err = before.listen(ctx, adminSocketFD, p.cfg.Admin.Addr); err != nil {
		return portProblem("admin", "BURSAR_ADMIN_ADDR", err)
	}
	return nil
}

// portProblem says why a port cannot be opened and, where that is plain, the
// way out.
func portProblem(port, setting string, err error) error {
	wayOut := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		wayOut = "; another program has it, perhaps another Bursar: end that one, or set " + setting + " to another port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		wayOut = "; no interface of this machine has that address: set " + setting + " to one that it has"
	case errors.Is(err, syscall.EACCES):
		wayOut = "; this user may not open it: set " + setting + " to a port from 1024 on"
	}
	return fmt.Errorf("open the %s port (%s): %w%s", port, setting, err, wayOut)
}

// makeDataDir lets others pass through the data directory, since under root
// the private Postgres runs as another user. What is in it is closed to them.
func (p *program) makeDataDir(context.Context) error {
	if err := os.MkdirAll(p.cfg.Data.Dir, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("make the data directory (BURSAR_DATA_DIR): %w", err)
	}
	return nil
}

func (p *program) openJournal(context.Context) (err error) {
	p.journal, err = journal.Open(journal.Options{
		Dir:          filepath.Join(p.cfg.Data.Dir, "journal"),
		Owner:        p.budgeting.replica,
		SegmentBytes: int64(p.cfg.Journal.SegmentBytes),
		MaxBytes:     int64(p.cfg.Journal.MaxBytes),
		Sync:         journal.SyncMode(p.cfg.Journal.Sync),
		SyncInterval: p.cfg.Journal.SyncInterval,
		OnAdopt:      p.dead.add,
		FS:           journalFS,
		Logger:       p.log,
	})
	if err != nil {
		return fmt.Errorf("open the journal under BURSAR_DATA_DIR: %w", err)
	}
	p.registry.MustRegister(newJournalCollector(p.journal.Stats))
	return nil
}

func (p *program) openAccounting(context.Context) error {
	secret, err := p.cfg.Secrets.SealingKey()
	if err != nil {
		return err
	}
	spend, err := settle.NewSpend(p.registry, p.cfg.Metrics.MaxLabelValues)
	if err != nil {
		return err
	}
	p.listeners = append(p.listeners, spend.Add)
	if p.cfg.Debug.CostTracking {
		p.listeners = append(p.listeners, p.logPostings)
	}
	if p.keyring, err = settle.NewKeyring(settle.KeyringOptions{
		Secret: secret, Vault: p.store, Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	p.keyring.Hold(p.cfg.Upstream.APIKey.Reveal())
	if p.recorder, err = settle.NewRecorder(settle.RecorderOptions{
		Journal: p.journal, Full: p.journal.Full,
		WhenFull: settle.WhenFull(p.cfg.Journal.WhenFull), Ledger: p.store, OpenTimeout: p.cfg.Journal.WhenFullWait,
		Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	upstream, err := url.Parse(p.cfg.Upstream.URL)
	if err != nil {
		return fmt.Errorf("read BURSAR_UPSTREAM_URL: %w", err)
	}
	if p.settler, err = settle.NewSettler(settle.SettlerOptions{
		Enabled: p.cfg.Settle.Enabled, Verify: p.cfg.Settle.Verify,
		Queue: p.store, Leftovers: p.store, Keys: p.keyring,
		Generations: openrouter.NewClient(upstream, p.transport),
		Claimer:     p.journal.Instance(),
		Workers:     p.cfg.Settle.Workers, LookupTimeout: p.cfg.Settle.LookupTimeout,
		RefusedBackoff: 30 * time.Second, // one refusal may be a passing fault
		VerifyRate:     p.cfg.Settle.VerifyRate, VerifyMaxAge: p.cfg.Settle.VerifyMaxAge,
		MaxBackoff: p.cfg.Settle.MaxBackoff, GiveUpAfter: p.cfg.Settle.GiveUpAfter,
		Posted: p.posted, Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	rejects, err := settle.NewRejects(filepath.Join(p.cfg.Data.Dir, "rejected", p.journal.Instance()+".jsonl"))
	if err != nil {
		return err
	}
	p.shipper, err = settle.NewShipper(settle.ShipperOptions{
		Journal: p.journal, Recorder: p.recorder, Ledger: p.store,
		BatchSize: p.cfg.Shipper.BatchSize, FlushInterval: p.cfg.Shipper.FlushInterval, MaxBackoff: shipBackoff,
		Posted: p.posted, Pending: p.settler.Wake, Reject: rejects.Add,
		Registerer: p.registry, Logger: p.log})
	return err
}

// posted tells everybody who wants to know of a change of the ledger.
func (p *program) posted(postings []accounting.Posting) {
	for _, listen := range p.listeners {
		listen(postings)
	}
}

// logPostings is DEBUG_COST_TRACKING: what each transaction did, by call.
func (p *program) logPostings(postings []accounting.Posting) {
	for _, posting := range postings {
		p.log.Info().Stringer("request_id", posting.ID).Str("campaign_id", posting.Tags.CampaignID).
			Str("purpose", posting.Tags.Purpose).Str("model", posting.Model).Stringer("usd", posting.Amount).
			Bool("verified", posting.Verified).Bool("mismatch", posting.Mismatch).Msg("posted")
	}
}

// wrongSetting is an error of the configuration that only the files it names
// can show.
func wrongSetting(format string, args ...any) error {
	return &config.Error{Problems: []error{fmt.Errorf(format, args...)}}
}

func (p *program) openTransport(context.Context) error {
	opts := proxy.TransportOptions{
		DialTimeout:           p.cfg.Upstream.DialTimeout,
		ResponseHeaderTimeout: p.cfg.Upstream.ResponseHeaderTimeout,
	}
	if file := p.cfg.Upstream.CAFile; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return wrongSetting("read BURSAR_UPSTREAM_CA_FILE: %w", err)
		}
		if opts.RootCAs, err = x509.SystemCertPool(); err != nil {
			return fmt.Errorf("read the system's certificates: %w", err)
		}
		if !opts.RootCAs.AppendCertsFromPEM(pem) {
			return wrongSetting("BURSAR_UPSTREAM_CA_FILE %s holds no PEM certificate", file)
		}
	}
	p.transport = proxy.NewTransport(opts)
	return nil
}

func (p *program) openProxy(context.Context) error {
	upstream, err := url.Parse(p.cfg.Upstream.URL)
	if err != nil {
		return fmt.Errorf("read BURSAR_UPSTREAM_URL: %w", err)
	}
	var tokens []string
	for _, token := range p.cfg.Proxy.ClientTokens {
		tokens = append(tokens, token.Reveal())
	}
	handler, err := proxy.New(proxy.Options{
		Upstream: upstream, Transport: p.transport, Recorder: p.recorder, Keyring: p.keyring,
		Guard: p.budgeting.guard, Bodies: bodies{p.budgeting.prices}, FindBudget: p.budgeting.rules.find,
		InspectBytes:     int64(p.cfg.Budgets.InspectBytes),
		RefuseUnrecorded: settle.WhenFull(p.cfg.Journal.WhenFull) == settle.WhenFullRefuse,
		APIKey:           p.cfg.Upstream.APIKey.Reveal(), ClientTokens: tokens,
		Purposes: append(accounting.DefaultPurposes(), p.cfg.Tags.Purposes...), StrictTags: p.cfg.Tags.Strict,
		Disconnect: proxy.Disconnect(p.cfg.Proxy.Disconnect), DisconnectGrace: p.cfg.Proxy.DisconnectGrace,
		IdentifyTimeout: p.cfg.Proxy.IdentifyTimeout, DrainTimeout: p.cfg.Proxy.DrainTimeout, ClientStallTimeout: p.cfg.Proxy.ClientStallTimeout,
		Registerer: p.registry, Logger: p.log,
	})
	if err != nil {
		return err
	}
	p.budgeting.guard.OnCut(func(match func(*accounting.Tags, string, []string) bool) {
		p.log.Warn().Int("calls", handler.Cut(match)).Msg("a stop has cut calls in flight")
	})
	opts := proxy.ServerOptions{ReadHeaderTimeout: p.cfg.Proxy.ReadHeaderTimeout, IdleTimeout: p.cfg.Proxy.IdleTimeout, Logger: p.log}
	if p.cfg.Proxy.TLSCertFile != "" {
		certificate, err := tls.LoadX509KeyPair(p.cfg.Proxy.TLSCertFile, p.cfg.Proxy.TLSKeyFile)
		if err != nil {
			return wrongSetting("read BURSAR_PROXY_TLS_CERT_FILE and BURSAR_PROXY_TLS_KEY_FILE: %w", err)
		}
		opts.Certificate = &certificate
	}
	p.proxyServer = proxy.NewServer(p.lastAnswers(&p.handover.proxyConns, p.counted(handler)), opts)
	p.proxyServer.ConnState = p.handover.proxyConns.track
	return nil
}

// counted lets the stop wait for handlers: after its deadline the server closes
// connections, but does not wait for what their calls have still to record.
func (p *program) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.inFlight.Add(1)
		defer p.inFlight.Done()
		next.ServeHTTP(w, r)
	})
}

func (p *program) openAdmin(context.Context) error {
	economics, err := p.economicsOptions()
	if err != nil {
		return err
	}
	p.offerExperiments(economics)
	handler, err := admin.New(admin.Options{
		Economics: economics, ProxyURL: p.proxyURL(),
		Token: p.cfg.Admin.Token.Reveal(), AppURL: p.cfg.App.URL,
		Usage: p.store, Exports: p.store, Decisions: p.store, Audit: p.store, Gatherer: p.registry, Version: buildVersion(), Logger: p.log,
		Draining:        p.draining.Load,
		Reconciliations: reconciliations{p.reconciliation.reconciler, p.store},
		Budgets: &admin.BudgetOptions{Store: p.store, Guard: p.budgeting.guard, Tester: p.alerting.deliveries,
			Purposes: append(accounting.DefaultPurposes(), p.cfg.Tags.Purposes...), KeyLabels: p.cfg.Budgets.KeyFingerprints()},
		Readiness: []admin.Check{
			{Name: "database", Probe: p.probeDatabase},
			{Name: "journal", Probe: p.probeJournal},
		},
	})
	if err != nil {
		return err
	}
	p.costsChanged = handler.CostsChanged
	p.adminServer = admin.Server(p.cfg.Admin.Addr, p.lastAnswers(&p.handover.adminConns, handler))
	p.adminServer.RegisterOnShutdown(handler.Close)
	p.adminServer.ConnState = p.handover.adminConns.track
	return nil
}

func (p *program) probeDatabase(ctx context.Context) error {
	if err := p.store.Ping(ctx); err != nil {
		return errors.New("the database does not answer; calls go on and wait in the journal")
	}
	if !p.migrated.Load() {
		return errors.New("the schema is not up to date yet")
	}
	return nil
}

func (p *program) probeJournal(context.Context) error { return p.recorder.Trouble() }
