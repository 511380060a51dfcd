package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/config"
	"bursar/store/postgres"
	"bursar/store/postgres/private"
)

// openStore starts the private Postgres where no other is given, and brings
// the schema up to date. A database that does not answer is waited for in the
// background: calls go on, and their events wait in the journal.
func (p *program) openStore(ctx context.Context) (err error) {
	atRate := func(o *postgres.Options) { o.BudgetRate = p.budgeting.rate.present }
	if p.cluster, p.store, err = openStore(ctx, p.cfg, p.log, p.registry, p.storeAlerts, atRate); err != nil {
		return err
	}
	if err := p.openDeliveries(); err != nil {
		return err
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := p.store.Ping(connecting); err != nil {
		if permanent := refusedForGood(err); permanent != nil {
			return permanent
		}
		p.log.Warn().Err(err).Msg("the database does not answer yet; calls are journaled until it does")
		return nil
	}
	return p.migrate(ctx)
}

func (p *program) migrate(ctx context.Context) error {
	if err := p.store.Migrate(ctx); err != nil {
		return err
	}
	if err := p.store.EnsurePartitions(ctx, time.Now()); err != nil {
		return err
	}
	if err := p.store.EnsureBudget(ctx, p.monthlyAI()); err != nil {
		return err
	}
	if err := p.budgeting.rate.refresh(ctx, p.store, time.Now()); err != nil {
		return err
	}
	p.migrated.Store(true)
	return nil
}

// checkDatabase comes before the ports: a URL that cannot be read is a setting
// to mend, not a database to wait for.
func (p *program) checkDatabase(context.Context) error { return checkDatabaseURL(p.cfg) }

func checkDatabaseURL(cfg config.Config) error {
	if err := postgres.CheckURL(cfg.Database.URL.Reveal()); err != nil {
		return wrongSetting("DATABASE_URL: %w", err)
	}
	return nil
}

// needDatabase stops a command that works on what others have recorded where
// there is nothing: else it would make an empty private Postgres in whatever
// folder it was started in.
func needDatabase(cfg config.Config) error {
	if cfg.Database.URL.Reveal() != "" || private.Exists(filepath.Join(cfg.Data.Dir, "postgres")) {
		return nil
	}
	return wrongSetting("there is no private Postgres under %s: name the data directory of a Bursar with --data-dir or BURSAR_DATA_DIR, or its database with DATABASE_URL", cfg.Data.Dir)
}

// openStore opens the database that the configuration names, or the private
// one. The cluster is nil where the database is somebody else's.
func openStore(ctx context.Context, cfg config.Config, log zerolog.Logger, registry prometheus.Registerer, adjust ...func(*postgres.Options)) (*private.Cluster, *postgres.Store, error) {
	if err := checkDatabaseURL(cfg); err != nil {
		return nil, nil, err
	}
	address := cfg.Database.URL.Reveal()
	var cluster *private.Cluster
	if address == "" {
		dir, err := filepath.Abs(filepath.Join(cfg.Data.Dir, "postgres"))
		if err != nil {
			return nil, nil, fmt.Errorf("find the data directory: %w", err)
		}
		if cluster, err = private.Start(ctx, private.Options{Dir: dir, Logger: log}); err != nil {
			return nil, nil, fmt.Errorf("start the private Postgres (or set DATABASE_URL to use another): %w", err)
		}
		address = cluster.URL()
	}
	opts := postgres.Options{
		URL:           address,
		MaxConns:      cfg.Database.MaxConns,
		Registerer:    registry,
		InstantlyCost: cfg.Economics.InstantlyCost,
		WorkspaceCost: cfg.Economics.WorkspaceCost,
		USDToEURRate:  cfg.Economics.USDToEURRate,
		FirstLookup:   cfg.Settle.FirstLookup,
		VerifyDelay:   cfg.Settle.VerifyDelay,

		CostAlertThreshold: cfg.Economics.CostAlertThreshold,
	}
	for _, f := range adjust {
		f(&opts)
	}
	store, err := postgres.Open(ctx, opts)
	if err != nil && cluster != nil {
		err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)))
	}
	return cluster, store, err
}
