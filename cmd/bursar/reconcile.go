package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"bursar/accounting"
	"bursar/config"
)

// reconcileCommand defines the days of "bursar reconcile" as flags, and
// returns what runs it. Without them it is yesterday.
func reconcileCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	yesterday := dayFlag{accounting.DayOf(time.Now()).Add(-1)}
	from, to := yesterday, yesterday
	flags.Var(&from, "from", "the first day, UTC")
	flags.Var(&to, "to", "the last day, UTC, included")
	return func(ctx context.Context, e *env, cfg config.Config) error {
		if to.Before(from.Day) {
			return wrongSetting("--to=%s is before --from=%s", to, from)
		}
		return reconcile(ctx, e, cfg, from.Day, to.Day)
	}
}

// dayFlag is a pflag.Value.
type dayFlag struct{ accounting.Day }

// Set implements pflag.Value.
func (f *dayFlag) Set(s string) (err error) {
	f.Day, err = accounting.ParseDay(s)
	return err
}

// Type implements pflag.Value.
func (f *dayFlag) Type() string { return "YYYY-MM-DD" }

// reconcile compares days with OpenRouter's own figures, keeps the result and
// prints it. It may run beside a Bursar that serves.
func reconcile(ctx context.Context, e *env, cfg config.Config, from, to accounting.Day) (err error) {
	if err := needDatabase(cfg); err != nil {
		return err
	}
	p := makeProgram(cfg, newLogger(e.stderr, cfg))
	defer func() { err = errors.Join(err, p.close()) }()
	for _, step := range []func(context.Context) error{p.openTransport, p.openChannels, p.makeDataDir, p.openStore} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	reconciler, err := newReconciler(cfg, p.store, p.transport, p.registry, p.log)
	if err != nil {
		return err
	}
	list, err := reconciler.Reconcile(ctx, from, to)
	return errors.Join(printReconciliations(e.stdout, list), err)
}

func printReconciliations(out io.Writer, list []accounting.Reconciliation) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DAY\tSOURCE\tKEY\tOURS USD\tTHEIRS USD\tDIFFERENCE\tDARK SPEND\tOPEN\tUNVERIFIED\tVERDICT")
	for i := range list {
		r := &list[i]
		key := "account"
		if r.KeyFingerprint != "" {
			key = fmt.Sprintf("%.8s…", r.KeyFingerprint)
		}
		verdict := string(r.Verdict)
		if r.Reason != "" {
			verdict += ": " + r.Reason
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Day, r.Source, key, r.OursUSD,
			orUnknown(r.TheirsUSD), orUnknown(r.DifferenceUSD), orUnknown(r.DarkSpendUSD), r.OpenCalls, r.UnverifiedCalls, verdict)
	}
	return table.Flush()
}

func orUnknown(amount *accounting.Amount) string {
	if amount == nil {
		return "-"
	}
	return amount.String()
}
