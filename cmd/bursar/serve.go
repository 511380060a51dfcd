package main

import (
	"context"

	"bursar/config"
)

// serve runs Bursar until ctx ends.
func serve(ctx context.Context, e *env, cfg config.Config) error {
	followLiveHeap()
	p, err := newProgram(ctx, cfg, newLogger(e.stderr, cfg))
	if err != nil {
		return err
	}
	return p.run(ctx)
}
