package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// saturate sends request over and over on n connections for the given time,
// each as soon as the last one is answered.
func saturate(ctx context.Context, connections []*connection, request []byte, window time.Duration, t *tally) error {
	var group errgroup.Group
	end := time.Now().Add(window)
	for _, c := range connections {
		group.Go(func() error {
			for time.Now().Before(end) && ctx.Err() == nil {
				if err := c.try(ctx, request, nil, t); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// pace sends a request every interval, whether or not the ones before were
// answered, and returns how long each took. All connections being busy is not
// waited for: it adds one.
func pace(ctx context.Context, addr string, request []byte, interval, window time.Duration, t *tally) ([]time.Duration, error) {
	idle, err := dialAll(ctx, addr, 8)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards idle and took
	defer func() { closeAll(idle) }()
	var took []time.Duration
	take := func() *connection {
		mu.Lock()
		defer mu.Unlock()
		if len(idle) == 0 {
			return nil
		}
		c := idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		return c
	}
	var group errgroup.Group
	start := time.Now()
	for i := range int(window / interval) {
		time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			c := take()
			if c == nil {
				var err error
				if c, err = dial(ctx, addr); err != nil {
					return err
				}
			}
			sent := time.Now()
			err := c.try(ctx, request, nil, t)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(sent))
			idle = append(idle, c)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return took, ctx.Err()
}

// streams keeps n streams open. It calls look when all of them are, and ends
// when look has returned and every stream has come to its end: none is cut off.
func streams(ctx context.Context, addr string, n int, interval time.Duration, t *tally, look func(events *atomic.Int64) error) error {
	request := requestBytes(60, interval)
	connections, err := dialAll(ctx, addr, n)
	if err != nil {
		return err
	}
	defer closeAll(connections)
	var events atomic.Int64
	var over atomic.Bool
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range connections {
		group.Go(func() error {
			// The streams begin one after the other, or their events would
			// come in bursts.
			time.Sleep(time.Duration(i) * streamRamp / time.Duration(n))
			for !over.Load() && ctx.Err() == nil {
				if err := c.try(ctx, request, &events, t); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	group.Go(func() error {
		defer over.Store(true)
		select {
		case <-time.After(streamRamp + 2*interval):
			return look(&events)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return group.Wait()
}

// streamRamp is the time in which all streams are opened.
const streamRamp = 800 * time.Millisecond
