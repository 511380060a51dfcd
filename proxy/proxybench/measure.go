package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	concurrency     = 16 // calls at a time at saturation
	modestInterval  = 4 * time.Millisecond
	smallPrompt     = 400     // bytes
	longPrompt      = 100_000 // bytes
	fewStreams      = 200
	fewInterval     = 20 * time.Millisecond
	manyStreams     = 1000
	manyInterval    = 80 * time.Millisecond
	manyStreamsLook = 2 * time.Second
)

// metric names a figure. Smaller is better in all of them.
type metric string

const (
	jsonCPU     metric = "json_cpu"     // µs a call
	jsonObjects metric = "json_objects" // allocated, a call
	jsonBytes   metric = "json_bytes"   // allocated, kB a call
	jsonPeriod  metric = "json_period"  // µs between answers at saturation
	promptCPU   metric = "prompt_cpu"   // µs a call
	chunkCPU    metric = "chunk_cpu"    // µs a chunk, 200 open streams
	chunkCPU1k  metric = "chunk_cpu_1k" // µs a chunk, 1,000 open streams
	resident1k  metric = "resident_1k"  // MB, 1,000 open streams
	addedP50    metric = "added_p50"    // µs
	addedP99    metric = "added_p99"    // µs
	failedCalls metric = "failed_calls" // of all loads
)

// figures are the measurements of one contender in one round.
type figures map[metric]float64

// measure puts one contender under one load.
func (b *bench) measure(ctx context.Context, c *contender, load string, direct latency, f figures) error {
	var err error
	var t tally
	switch load {
	case loadJSON:
		err = b.measureCalls(ctx, c, smallPrompt, &t, f)
	case loadPrompt:
		err = b.measureCalls(ctx, c, longPrompt, &t, f)
	case loadLatency:
		var l latency
		if l, err = b.measureLatency(ctx, c.addr, &t); err == nil {
			f[addedP50], f[addedP99] = micros(l.p50-direct.p50), micros(l.p99-direct.p99)
		}
	case loadStreams:
		err = b.measureStreams(ctx, c, fewStreams, fewInterval, &t, f)
	case loadThousand:
		err = b.measureStreams(ctx, c, manyStreams, manyInterval, &t, f)
	}
	if err == nil {
		err = t.verdict()
	}
	f[failedCalls] += float64(t.failed.Load())
	if err != nil {
		return fmt.Errorf("%s under load %s: %w: %s", c.name, load, err, c.lastWords())
	}
	return nil
}

// measureCalls measures whole calls at saturation.
func (b *bench) measureCalls(ctx context.Context, c *contender, promptBytes int, t *tally, f figures) error {
	connections, err := dialAll(ctx, c.addr, concurrency)
	if err != nil {
		return err
	}
	defer closeAll(connections)
	before, err := c.spent(ctx)
	if err != nil {
		return err
	}
	if err := saturate(ctx, connections, requestBytes(promptBytes, 0), b.opts.window, t); err != nil {
		return err
	}
	after, err := c.spent(ctx)
	if err != nil {
		return err
	}
	n := float64(t.answered.Load())
	if promptBytes == longPrompt {
		f[promptCPU] = micros(after.cpu-before.cpu) / n
		return nil
	}
	f[jsonCPU] = micros(after.cpu-before.cpu) / n
	f[jsonPeriod] = micros(b.opts.window) / n
	if c.metrics != "" {
		f[jsonObjects] = (after.objects - before.objects) / n
		f[jsonBytes] = (after.bytes - before.bytes) / n / 1000
	}
	return nil
}

// spending is what a process has used since its start.
type spending struct {
	cpu time.Duration
	allocations
}

// spent reads what the contender has used, once it is quiet.
func (c *contender) spent(ctx context.Context) (spending, error) {
	var s spending
	var err error
	if s.cpu, err = awaitQuiet(ctx, c.pid()); err != nil {
		return s, err
	}
	if c.metrics != "" {
		s.allocations, err = readAllocations(ctx, c.metrics)
	}
	return s, err
}

// measureStreams measures open streams in mid-flow.
func (b *bench) measureStreams(ctx context.Context, c *contender, n int, interval time.Duration, t *tally, f figures) error {
	window, cpu := 2*b.opts.window, chunkCPU
	if n == manyStreams {
		window, cpu = manyStreamsLook, chunkCPU1k
	}
	return streams(ctx, c.addr, n, interval, t, func(events *atomic.Int64) error {
		start, err := cpuTime(c.pid())
		if err != nil {
			return err
		}
		begun, resident := events.Load(), int64(0)
		for end := time.Now().Add(window); time.Now().Before(end) && ctx.Err() == nil; {
			time.Sleep(min(100*time.Millisecond, time.Until(end)))
			now, err := residentBytes(c.pid())
			if err != nil {
				return err
			}
			resident = max(resident, now)
		}
		end, err := cpuTime(c.pid())
		if err != nil {
			return err
		}
		f[cpu] = micros(end-start) / float64(events.Load()-begun)
		if n == manyStreams {
			f[resident1k] = float64(resident) / 1e6
		}
		return ctx.Err()
	})
}

// latency is how long calls took at a modest rate.
type latency struct{ p50, p99 time.Duration }

func (b *bench) measureLatency(ctx context.Context, addr string, t *tally) (latency, error) {
	window := 2 * b.opts.window
	took, err := pace(ctx, addr, requestBytes(smallPrompt, 0), modestInterval, window, t)
	if err != nil {
		return latency{}, err
	}
	took = took[len(took)/10:] // the first ones wake everything up
	slices.Sort(took)
	return latency{took[len(took)/2], took[len(took)*99/100]}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
