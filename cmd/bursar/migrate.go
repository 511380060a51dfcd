package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"bursar/config"
)

// migrateCommand defines the flags of "bursar migrate", and returns what runs
// it.
func migrateCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	recount := flags.Bool("recount", false, "count the sums of leads, emails and days anew, after an older Bursar has run beside this one")
	return func(ctx context.Context, e *env, cfg config.Config) error { return migrate(ctx, e, cfg, *recount) }
}

// migrate brings the schema up to date and makes the partitions ahead.
func migrate(ctx context.Context, e *env, cfg config.Config, recount bool) (err error) {
	cluster, store, err := openStore(ctx, cfg, newLogger(e.stderr, cfg), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() {
		store.Close()
		if cluster != nil {
			err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := store.Migrate(ctx); err != nil {
		if permanent := refusedForGood(err); permanent != nil {
			return permanent
		}
		return err
	}
	if err := store.EnsurePartitions(ctx, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "the schema is up to date")
	if !recount {
		return nil
	}
	if err := store.RecountEconomics(ctx); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "leads, emails and days are counted anew")
	return nil
}
