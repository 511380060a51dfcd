package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "proxybench:", err)
		stop()
		os.Exit(1)
	}
}

// run executes one command line. The harness starts itself again, with a
// subcommand, for the processes that are its own.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "upstream":
			return serveUpstream(args[1:], stdin, stdout)
		case "bare":
			return serveBare(args[1:], stdin, stdout)
		}
	}
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("CPU and memory are read from /proc, which %s has not: run it on Linux", runtime.GOOS)
	}
	return newBench(opts, stdout, stderr).run(ctx)
}

// options are what the command line asks for.
type options struct {
	rounds int
	quick  bool
	only   selection
	bursar string            // binary to measure; empty: build it
	also   map[string]string // further binaries of Bursar by name
	window time.Duration     // of one load
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{also: map[string]string{}}
	flags := flag.NewFlagSet("proxybench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of which the medians are taken (default 3, with -quick 2)")
	flags.BoolVar(&o.quick, "quick", false, "a run of a minute or two, too short for figures to be quoted")
	only := flags.String("only", "", "comma list of contenders ("+strings.Join(contenderNames, ", ")+"), upstreams ("+
		strings.Join(protocolNames, ", ")+") and loads ("+strings.Join(loadNames, ", ")+") to keep; of a kind that is not named all are")
	flags.StringVar(&o.bursar, "bursar", "", "measure this binary instead of building one")
	flags.Func("also", "name=path of one more binary of Bursar to measure beside the first; may be repeated", func(v string) error {
		name, path, ok := strings.Cut(v, "=")
		if !ok || name == "" || path == "" {
			return errors.New("want name=path")
		}
		o.also[name] = path
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	var err error
	if o.only, err = parseSelection(*only); err != nil {
		return o, err
	}
	if o.rounds < 0 {
		return o, fmt.Errorf("-rounds %d: want 1 or more", o.rounds)
	}
	standard := 3
	o.window = time.Second
	if o.quick {
		standard, o.window = 2, 400*time.Millisecond
	}
	if o.rounds == 0 {
		o.rounds = standard
	}
	return o, nil
}
