package private

import (
	"context"
	"time"
)

// How often Supervise looks, and how long it waits before it tries again a
// restart that went wrong.
const (
	superviseInterval = 200 * time.Millisecond
	firstRetry        = time.Second
	lastRetry         = 30 * time.Second
)

// Supervise keeps the server up: when it dies while we use it, it is started
// again on the same data and the same URL. Each death and each recovery is
// logged once. It returns nil when ctx ends or after Stop.
//
// Several Bursars may supervise one server: the first to notice restarts it and
// the others adopt what they find.
func (c *Cluster) Supervise(ctx context.Context) error {
	for pause(ctx, superviseInterval) == nil && !c.isStopped() {
		if !c.alive() {
			c.revive(ctx)
		}
	}
	return nil
}

// revive restarts the server, as often as it takes.
func (c *Cluster) revive(ctx context.Context) {
	died := time.Now()
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		stopped, err := c.restart(ctx)
		switch {
		case stopped || ctx.Err() != nil:
			return
		case err == nil:
			c.log.Warn().Str("dir", c.dir).Dur("down_ms", time.Since(died)).Msg("private Postgres had died and is up again")
			return
		case retry == firstRetry:
			c.log.Error().Err(err).Str("dir", c.dir).Msg("private Postgres has died and does not start; trying on")
		}
		if pause(ctx, retry) != nil {
			return
		}
	}
}

// restart brings the server up unless it was stopped meanwhile.
func (c *Cluster) restart(ctx context.Context) (stopped bool, err error) {
	start, err := c.lockStart(ctx)
	if err != nil {
		return false, err
	}
	defer unlock(start)
	if c.isStopped() {
		return true, nil
	}
	_, err = c.ensureRunning(ctx)
	return false, err
}

func (c *Cluster) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}
