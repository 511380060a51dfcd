// Command bursar is a transparent reverse proxy in front of OpenRouter that
// knows, to the last digit, what every call cost.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"bursar/config"
)

// Exit codes, as promised to scripts.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// command is one of bursar's subcommands.
type command struct {
	name    string
	summary string
	run     func(context.Context, *env, config.Config) error

	// define is of a command with flags of its own: it defines them and
	// returns what runs the command once they are parsed.
	define func(*pflag.FlagSet) func(context.Context, *env, config.Config) error
	args   int // arguments that it takes beside flags, at most
}

// env is what a command has of the world; tests bring their own.
type env struct {
	stdout, stderr io.Writer
	environ        []string
	workdir        string
}

func commands() []command {
	return []command{
		{name: "serve", summary: "run the proxy and the admin port (the default)", run: serve},
		{name: "demo", summary: "serve with a built-in fake OpenRouter, a sample campaign and three months of history (--history=false: without); nothing leaves the machine", define: demoCommand},
		{name: "stop", summary: "stop calls at once, on every replica: --reason TEXT [--scope campaign=ID] [--cut-streams] [--drill]", define: stopCommand},
		{name: "resume", summary: "lift emergency stops: all of them, or the one that is named: bursar resume [id]", define: resumeCommand, args: 1},
		{name: "migrate", summary: "bring the database's schema up to date, and exit; --recount counts the sums of leads, emails and days anew", define: migrateCommand},
		{name: "reconcile", summary: "compare days with OpenRouter's own figures: --from YYYY-MM-DD --to YYYY-MM-DD, else yesterday", define: reconcileCommand},
		{name: "export", summary: "write the calls of some days to a file: --from YYYY-MM-DD --to YYYY-MM-DD --format csv|jsonl|parquet|focus --out FILE", define: exportCommand},
		{name: "journal", summary: "inspect, verify, export or repair the journal; \"bursar journal help\" says more"},
		{name: "healthcheck", summary: "ask a running Bursar whether it is alive; exit 0 if it is", run: healthcheck},
		{name: "version", summary: "print the version"},
	}
}

// sameSignal is how close together two signals are one.
const sameSignal = 250 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		// The first signal ends the work in order. A second one ends it at
		// once: what was not shipped is in the journal.
		<-ctx.Done()
		// What comes at the same moment is the first one once more: a Ctrl-C
		// reaches us from the terminal and again from what started us.
		time.Sleep(sameSignal)
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		<-again
		os.Exit(exitFailed)
	}()
	workdir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bursar: find the working directory:", err)
		os.Exit(exitFailed)
	}
	os.Exit(run(ctx, &env{os.Stdout, os.Stderr, os.Environ(), workdir}, os.Args[1:]))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, e *env, args []string) int {
	name := "serve"
	switch {
	case len(args) == 0:
	case args[0] == "help" || args[0] == "--help" || args[0] == "-h":
		usage(e.stdout)
		return exitOK
	case args[0] == "--version":
		name, args = "version", nil
	case !strings.HasPrefix(args[0], "-"):
		name, args = args[0], args[1:]
	}
	for _, c := range commands() {
		if c.name == name {
			return c.execute(ctx, e, args)
		}
	}
	fmt.Fprintf(e.stderr, "bursar: there is no command %q\n\n", name)
	usage(e.stderr)
	return exitUsage
}

func (c command) execute(ctx context.Context, e *env, args []string) int {
	if c.name == "version" {
		fmt.Fprintln(e.stdout, "bursar", buildVersion())
		return exitOK
	}
	if c.name == "journal" {
		return journalCommand(ctx, e, args)
	}
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	config.Flags(flags)
	if c.define != nil {
		c.run = c.define(flags)
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		c.help(e.stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(e.stderr, "bursar %s: %v\nSee \"bursar %s --help\" for every setting.\n", c.name, err, c.name)
		return exitUsage
	case flags.NArg() > c.args:
		fmt.Fprintf(e.stderr, "bursar %s: %q is not a flag; settings are given as --name value\n", c.name, flags.Arg(c.args))
		return exitUsage
	}
	cfg, err := config.Load(flags, e.environ, e.workdir)
	if err == nil {
		err = c.run(ctx, e, cfg)
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(e.stderr, "bursar:", err)
	var wrong *config.Error
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

func usage(w io.Writer) {
	fmt.Fprint(w, `Bursar is a transparent reverse proxy in front of OpenRouter that records
what every call cost, exactly, and whom it was for.

Usage: bursar [command] [flags]

Commands:
`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
"bursar serve --help" lists every setting, with its flag, environment variable
and default. Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration.
`)
}

func (c command) help(w io.Writer) {
	fmt.Fprintf(w, "bursar %s: %s\n\n", c.name, c.summary)
	if c.define != nil {
		own := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		own.SortFlags = false
		c.define(own)
		if own.HasFlags() {
			fmt.Fprintln(w, own.FlagUsages())
		}
	}
	fmt.Fprint(w, "Settings come from flags, the environment, .env, bursar.yaml and defaults, in\nthis order. Each is shown as flag, environment variable, default and meaning.\n\n")
	fmt.Fprintf(w, "  --config FILE\n      YAML file in place of ./bursar.yaml\n")
	for _, key := range config.Keys() {
		variable := key.Env
		if key.Alias != "" {
			variable += " or " + key.Alias
		}
		standard := key.Default
		if standard == "" {
			standard = "not set"
		}
		fmt.Fprintf(w, "  --%s %s\n      %s, default %s\n      %s\n", key.Flag, key.Type, variable, standard, key.Help)
	}
}
