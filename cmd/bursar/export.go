package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"bursar/accounting"
	"bursar/admin"
	"bursar/config"
)

// exportOrder is what "bursar export" was asked for.
type exportOrder struct {
	from, to, format, out, status string
	filter                        accounting.UsageFilter
}

var exportStatuses = []accounting.Status{
	accounting.StatusSettled, accounting.StatusPending, accounting.StatusAwaitingKey, accounting.StatusUnresolved,
	accounting.StatusInterrupted, accounting.StatusFailed, accounting.StatusDismissed,
}

// exportCommand defines the flags of "bursar export", and returns what runs it.
func exportCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	var o exportOrder
	flags.StringVar(&o.from, "from", "", "the first day `YYYY-MM-DD`, UTC; default: the first of --to's month")
	flags.StringVar(&o.to, "to", "", "the last day `YYYY-MM-DD`, UTC, included; default: today")
	flags.StringVar(&o.format, "format", string(accounting.ExportCSV), "csv, jsonl, parquet or focus")
	flags.StringVar(&o.out, "out", "", "the `FILE` to write")
	flags.StringVar(&o.filter.CampaignID, "campaign-id", "", "only calls for this campaign")
	flags.StringVar(&o.filter.EmailID, "email-id", "", "only calls for this email")
	flags.StringVar(&o.filter.LeadID, "lead-id", "", "only calls for this lead")
	flags.StringVar(&o.filter.SequenceID, "sequence-id", "", "only calls for this sequence")
	flags.StringVar(&o.filter.Purpose, "purpose", "", "only calls for this purpose")
	flags.StringVar(&o.filter.Platform, "platform", "", "only calls of this platform")
	flags.StringVar(&o.filter.Model, "model", "", "only calls served by this model")
	flags.StringVar(&o.status, "status", "", "only calls whose accounting stands here, e.g. settled")
	flags.StringVar(&o.filter.GenerationID, "generation-id", "", "only the call of this generation")
	return o.run
}

// run checks the order before anything is opened.
func (o *exportOrder) run(ctx context.Context, e *env, cfg config.Config) error {
	format, err := accounting.ParseExportFormat(o.format)
	if err != nil {
		return wrongSetting("--format: %w", err)
	}
	from, to, err := admin.ExportDays(o.from, o.to, time.Now())
	if err != nil {
		return wrongSetting("--from and --to: %w", err)
	}
	if o.out == "" {
		return wrongSetting("--out: name the file to write, e.g. --out bursar-usage-%s-%s%s", from, to, format.Extension())
	}
	if o.status != "" && !slices.Contains(exportStatuses, accounting.Status(o.status)) {
		return wrongSetting("--status: %q is none of %q", o.status, exportStatuses)
	}
	if !filepath.IsAbs(o.out) {
		o.out = filepath.Join(e.workdir, o.out)
	}
	o.filter.Status = accounting.Status(o.status)
	o.filter.Since, o.filter.Until = from.Start(), to.End()
	return o.export(ctx, e, cfg, format)
}

// export writes the calls to the file. It only reads the database, which may be
// a replica.
func (o *exportOrder) export(ctx context.Context, e *env, cfg config.Config, format accounting.ExportFormat) (err error) {
	if err := needDatabase(cfg); err != nil {
		return err
	}
	cluster, store, err := openStore(ctx, cfg, newLogger(e.stderr, cfg), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() {
		store.Close()
		if cluster != nil {
			err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)))
		}
	}()
	export, err := admin.OpenExport(ctx, store, format, o.filter)
	if err != nil {
		return unreadable(err)
	}
	var done admin.ExportProgress
	err = writeWhole(o.out, func(w io.Writer) error {
		progress := newProgressLine(e.stderr, o.filter.Since, o.filter.Until)
		defer progress.end()
		done, err = export.Write(ctx, w, progress.show)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %d calls", o.out, done.Rows)
	if done.LeftOut > 0 {
		fmt.Fprintf(e.stdout, "; %d without a cost are left out: those that failed, and those whose cost is not known yet", done.LeftOut)
	}
	fmt.Fprintln(e.stdout)
	return nil
}

// unreadable says in a sentence why nothing can be read from a database that
// nobody has brought up to date.
func unreadable(err error) error {
	if permanent := refusedForGood(err); permanent != nil {
		return permanent
	}
	if missing := (*pgconn.PgError)(nil); errors.As(err, &missing) && missing.Code == "42P01" {
		return fmt.Errorf("the database has no tables of Bursar's (%s): is DATABASE_URL the right one? bursar migrate makes them", missing.Message)
	}
	return err
}

// writeWhole writes a file that is there whole or not at all: under another name
// until all of it is on the disk.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make the file of the export: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	buffered := bufio.NewWriterSize(file, 256<<10)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", part, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("give the export its name: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in a directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// progressLine shows on a terminal how far an export is, on one line. On
// anything else it shows nothing.
type progressLine struct {
	w     io.Writer // nil: no terminal
	since time.Time
	span  time.Duration
	shown bool
}

func newProgressLine(w io.Writer, since, until time.Time) *progressLine {
	file, ok := w.(*os.File)
	if !ok {
		return &progressLine{}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progressLine{}
	}
	return progressOn(w, since, until)
}

func progressOn(w io.Writer, since, until time.Time) *progressLine {
	if now := time.Now(); now.Before(until) {
		until = now // there are no calls yet of the days to come
	}
	return &progressLine{w: w, since: since, span: max(until.Sub(since), 1)}
}

// show replaces the line. The share is that of the days, since how many calls
// there are is not known before they are read.
func (l *progressLine) show(p admin.ExportProgress) {
	if l.w == nil || p.At.IsZero() {
		return
	}
	l.shown = true
	share := min(100, max(0, int64(100*(p.At.Sub(l.since).Seconds()/l.span.Seconds()))))
	const width = 30
	bar := make([]byte, width)
	for i := range bar {
		bar[i] = '.'
		if i < int(share)*width/100 {
			bar[i] = '#'
		}
	}
	fmt.Fprintf(l.w, "\r[%s] %3d %%  %s  %d calls ", bar, share, p.At.UTC().Format(time.DateOnly), p.Rows)
}

func (l *progressLine) end() {
	if l.shown {
		fmt.Fprintln(l.w)
	}
}
