package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bursar/config"
)

// migrate brings the schema up to date and makes the partitions ahead.
func migrate(ctx context.Context, e *env, cfg config.Config) (err error) {
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
	return nil
}
