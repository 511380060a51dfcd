package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting/settle"
	"bursar/config"
	"bursar/proxy/openrouter"
	"bursar/store/postgres"
)

// reconciliation is what compares the ledger with OpenRouter's own figures, and
// closes its months.
type reconciliation struct {
	reconciler *settle.Reconciler
	sampler    *settle.Sampler
	months     *settle.Months
}

// reconciliations is what the admin port needs of it.
type reconciliations struct {
	*settle.Reconciler
	*postgres.Store
}

func (p *program) openReconciliation(context.Context) (err error) {
	r := &p.reconciliation
	if r.reconciler, err = newReconciler(p.cfg, p.store, p.transport, p.registry, p.log); err != nil {
		return err
	}
	client, err := newOpenRouterClient(p.cfg, p.transport)
	if err != nil {
		return err
	}
	if r.sampler, err = settle.NewSampler(settle.SamplerOptions{
		Enabled: p.cfg.Reconcile.Enabled, Usages: client, Book: p.store, Keys: p.keyring,
		ManagementKey: p.cfg.Upstream.ManagementKey.Reveal(), InjectedKey: p.cfg.Upstream.APIKey.Reveal(),
		MaxKeys: p.cfg.Reconcile.MaxKeys, Interval: p.cfg.Reconcile.SampleInterval,
		Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	r.months, err = settle.NewMonths(settle.MonthsOptions{
		Book: p.store, CloseDay: p.cfg.Reconcile.CloseDay, Registerer: p.registry, Logger: p.log})
	return err
}

func (p *program) startReconciliation() {
	p.loop("samples", p.reconciliation.sampler.Run)
	p.loop("reconciliation", p.reconciliation.reconciler.Run)
	p.loop("months", p.reconciliation.months.Run)
}

// newReconciler is also for a command that reconciles without serving.
func newReconciler(cfg config.Config, store *postgres.Store, transport http.RoundTripper, registry prometheus.Registerer, log zerolog.Logger) (*settle.Reconciler, error) {
	client, err := newOpenRouterClient(cfg, transport)
	if err != nil {
		return nil, err
	}
	return settle.NewReconciler(settle.ReconcilerOptions{
		Enabled: cfg.Reconcile.Enabled, Books: store, Findings: store, Days: store, Activity: client,
		ManagementKey: cfg.Upstream.ManagementKey.Reveal(), InjectedKey: cfg.Upstream.APIKey.Reveal(),
		Tolerance: cfg.Reconcile.Tolerance, MaxKeys: cfg.Reconcile.MaxKeys, After: cfg.Reconcile.After,
		Registerer: registry, Logger: log})
}

func newOpenRouterClient(cfg config.Config, transport http.RoundTripper) (*openrouter.Client, error) {
	upstream, err := url.Parse(cfg.Upstream.URL)
	if err != nil {
		return nil, fmt.Errorf("read BURSAR_UPSTREAM_URL: %w", err)
	}
	return openrouter.NewClient(upstream, transport), nil
}
