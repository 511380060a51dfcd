package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// bench is one run.
type bench struct {
	opts     options
	out      io.Writer // the tables
	progress io.Writer
	dir      string // temporary, removed at the end
	bursar   string // the binary
}

func newBench(opts options, out, progress io.Writer) *bench {
	return &bench{opts: opts, out: out, progress: progress}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "proxybench-"); err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil { // others' processes run in it
		return fmt.Errorf("open the temporary directory: %w", err)
	}
	if b.wantsBursar() {
		fmt.Fprintln(b.progress, "building bursar")
		if err := b.buildBursar(ctx); err != nil {
			return err
		}
	}
	for _, protocol := range protocolNames {
		if !b.opts.only.protocol(protocol) {
			continue
		}
		results, err := b.runProtocol(ctx, protocol)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", protocol, err)
		}
		if err := report(b.out, protocol, results); err != nil {
			return fmt.Errorf("print the table: %w", err)
		}
	}
	return nil
}

func (b *bench) wantsBursar() bool {
	return b.opts.only.contender(nameBursar) || b.opts.only.contender(nameSettler)
}

// results are the figures of each contender, round by round. All contenders
// have the same rounds.
type results struct {
	names  []string // in the order of the table
	rounds map[string][]figures
}

// runProtocol starts everything in front of one kind of upstream, measures and
// stops it again.
func (b *bench) runProtocol(ctx context.Context, protocol string) (r results, err error) {
	u, err := startUpstream(b.dir, protocol)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, u.stop()) }()
	target := u.host()
	if u.caFile != "" {
		// The generator speaks plain HTTP/1.1, to everybody: what is added is
		// told from a plain upstream's answer.
		plain, err := startUpstream(b.dir, protocolHTTP1)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, plain.stop()) }()
		target = plain.host()
	}
	contenders, err := b.startContenders(ctx, u)
	defer func() { err = errors.Join(err, stopContenders(contenders)) }()
	if err != nil {
		return r, err
	}
	r.rounds = make(map[string][]figures)
	for _, c := range contenders {
		r.names = append(r.names, c.name)
		if err := warmUp(ctx, c.addr, 200); err != nil {
			return r, fmt.Errorf("warm up %s: %w", c.name, err)
		}
	}
	for round := range b.opts.rounds {
		begun := time.Now()
		if err := b.round(ctx, target, contenders, round, &r); err != nil {
			return r, err
		}
		fmt.Fprintf(b.progress, "%s: round %d of %d took %s\n", protocol, round+1, b.opts.rounds, time.Since(begun).Round(100*time.Millisecond))
	}
	return r, nil
}

// round puts all contenders under all loads, load by load, so that the figures
// that are compared are taken within seconds of each other. Who begins changes
// from round to round. A thousand streams take long and vary little: they are
// opened once, at the end.
func (b *bench) round(ctx context.Context, direct string, contenders []*contender, round int, r *results) error {
	all := make(map[string]figures)
	for _, c := range contenders {
		all[c.name] = figures{}
	}
	order := slices.Concat(contenders[round%len(contenders):], contenders[:round%len(contenders)])
	for _, load := range loadNames {
		if !b.opts.only.load(load) || load == loadThousand && round < b.opts.rounds-1 {
			continue
		}
		var base latency
		if load == loadLatency {
			var err error
			if base, err = b.measureLatency(ctx, direct, new(tally)); err != nil {
				return fmt.Errorf("the upstream itself under load %s: %w", load, err)
			}
		}
		for _, c := range order {
			if err := b.measure(ctx, c, load, base, all[c.name]); err != nil {
				return err
			}
		}
	}
	for name, f := range all {
		r.rounds[name] = append(r.rounds[name], f)
	}
	return nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// describe is the name of an upstream in words.
func describe(protocol string) string {
	if protocol == protocolTLS {
		return "TLS with HTTP/2 (nginx: HTTP/1.1)"
	}
	return "HTTP/1.1 in clear text"
}
