package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"bursar/config"
)

// serve runs Bursar until ctx ends, or until an upgrade has replaced it. It may
// itself be what an upgrade has started.
func serve(ctx context.Context, e *env, cfg config.Config) error {
	followLiveHeap()
	// From here to the end of the process: unhandled, the signal would kill it.
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	inherited, err := inherit(e.environ)
	if err != nil {
		return err
	}
	p := makeProgram(cfg, newLogger(e.stderr, cfg))
	p.handover.self, p.handover.asked, p.handover.inherited = newInvocation(e), upgrade, inherited
	if err := p.open(ctx); err != nil {
		return err
	}
	return p.run(ctx)
}
