package main

import (
	"context"
	"fmt"
)

// loop is a Run(ctx) that was started and can be stopped and waited for.
type loop struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // readable once done is closed
}

// startLoop runs fn in a goroutine until stop. A loop that ends by itself with
// an error tells failed.
func startLoop(name string, fn func(context.Context) error, failed func(error)) *loop {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loop{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			l.err = fmt.Errorf("%s: %w", name, err)
			failed(l.err)
		}
	}()
	return l
}

// stop ends the loop and waits for it.
func (l *loop) stop() error {
	l.cancel()
	<-l.done
	return l.err
}
