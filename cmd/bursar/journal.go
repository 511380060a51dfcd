package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"bursar/accounting"
	"bursar/config"
	"bursar/store/journal"
)

// journalCommands are what "bursar journal" can do. All of them but repair only
// read, and may run beside a Bursar that writes.
func journalCommands() []command {
	return []command{
		{name: "inspect", summary: "list the instances and segments of the journal and what they hold", run: inspectJournal},
		{name: "verify", summary: "check every segment of the journal; exit 1 if one is damaged", run: verifyJournal},
		{name: "export", summary: "write every event in the journal, and in its quarantine, as one JSON object a line", run: exportJournal},
		{name: "repair", summary: "replace damaged segments of dead processes by what can be read of them; the damaged ones go into quarantine", run: repairJournal},
	}
}

// journalCommand runs one of them.
func journalCommand(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 {
		journalUsage(e.stderr)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		journalUsage(e.stdout)
		return exitOK
	}
	for _, c := range journalCommands() {
		if c.name == args[0] {
			c.name = "journal " + c.name
			return c.execute(ctx, e, args[1:])
		}
	}
	fmt.Fprintf(e.stderr, "bursar journal: there is no command %q\n\n", args[0])
	journalUsage(e.stderr)
	return exitUsage
}

func journalUsage(w io.Writer) {
	fmt.Fprint(w, `The journal is what Postgres does not have yet: files under BURSAR_DATA_DIR.

Usage: bursar journal <command> [--data-dir DIR]

Commands:
`)
	for _, c := range journalCommands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, `
All but repair only read, and may be used while a Bursar runs. repair leaves
alone what a living process holds. Nothing is ever deleted from the quarantine.
`)
}

// journalDir is the directory of the journal, which must be there.
func journalDir(cfg config.Config) (string, error) {
	dir := filepath.Join(cfg.Data.Dir, "journal")
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return "", fmt.Errorf("there is no journal at %s: name the data directory with --data-dir or BURSAR_DATA_DIR", dir)
	}
	return dir, err
}

func inspectJournal(_ context.Context, e *env, cfg config.Config) error {
	dir, err := journalDir(cfg)
	if err != nil {
		return err
	}
	reports, err := journal.Inspect(dir, nil)
	if err != nil {
		return err
	}
	// Whoever may only read the files sees what is in them all the same.
	instances, holdersErr := journal.Instances(dir)
	if holdersErr != nil {
		fmt.Fprintf(e.stderr, "bursar: who holds the instances cannot be told: %v\n", holdersErr)
	}
	fmt.Fprintf(e.stdout, "Journal %s\n\n", dir)
	table := newTable(e.stdout)
	fmt.Fprintln(table, "INSTANCE\tHELD BY\tSEGMENTS\tBYTES")
	for _, row := range instanceRows(instances, reports) {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", row.name, row.holder, row.segments, row.bytes)
	}
	if err := table.Flush(); err != nil || len(reports) == 0 {
		return err
	}
	fmt.Fprintln(e.stdout)
	table = newTable(e.stdout)
	fmt.Fprintln(table, "SEGMENT\tBYTES\tOPENED\tIDENTIFIED\tCLOSED\tPOLLED\tREFUSED\tREMARK")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", segmentName(r), r.Bytes, r.Events[accounting.Opened],
			r.Events[accounting.Identified], r.Events[accounting.Closed], r.Events[accounting.Polled], r.Events[accounting.Refused], orDash(remark(r)))
	}
	return table.Flush()
}

// newTable aligns columns; an error of the writer comes with Flush.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// instanceRow is a line of the upper table of inspect.
type instanceRow struct {
	name, holder string
	segments     int
	bytes        int64
}

// instanceRows are the instances, then directories that are known by their
// segments only: the quarantine, and all of them where nobody could ask who
// holds them.
func instanceRows(instances []journal.Instance, reports []journal.FileReport) []*instanceRow {
	var rows []*instanceRow
	byName := make(map[string]*instanceRow)
	add := func(name, holder string) *instanceRow {
		row := &instanceRow{name: name, holder: holder}
		rows, byName[name] = append(rows, row), row
		return row
	}
	for _, instance := range instances {
		add(instance.Name, holderOf(instance))
	}
	for i := range reports {
		r := &reports[i]
		row := byName[r.Instance()]
		switch {
		case row != nil:
		case r.Aside:
			row = add(r.Instance(), "nobody: set aside")
		default:
			row = add(r.Instance(), "?")
		}
		row.segments++
		row.bytes += r.Bytes
	}
	return rows
}

func holderOf(i journal.Instance) string {
	switch {
	case !i.InUse:
		return "nobody: the next start takes it over"
	case i.PID == 0:
		return "another process"
	default:
		return fmt.Sprintf("process %d", i.PID)
	}
}

// segmentName is a segment's path below the journal.
func segmentName(r *journal.FileReport) string {
	return filepath.Join(r.Instance(), filepath.Base(r.Path))
}

// remark says what is not as it should be in a segment, or only seems so.
func remark(r *journal.FileReport) string {
	var parts []string
	if r.Newer {
		parts = append(parts, "written by a newer version, not read")
	}
	if r.Damages > 0 {
		parts = append(parts, fmt.Sprintf("%s damaged (%d bytes)", counted(r.Damages, "place"), r.DamagedBytes))
	}
	if r.UnreadablePages > 0 {
		parts = append(parts, fmt.Sprintf("the disk refuses %s of 4 KiB", counted(r.UnreadablePages, "page")))
	}
	switch {
	case r.TornBytes > 0 && r.Damaged():
		parts = append(parts, fmt.Sprintf("breaks off (%d bytes)", r.TornBytes))
	case r.TornBytes > 0:
		parts = append(parts, fmt.Sprintf("ends in an unfinished write of %d bytes, which is normal", r.TornBytes))
	}
	if r.Unknown > 0 {
		parts = append(parts, counted(r.Unknown, "event")+" of a newer version")
	}
	return strings.Join(parts, "; ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// verifyJournal returns an error if a segment cannot be vouched for. What was
// set aside earlier is known to be damaged and is only counted.
func verifyJournal(_ context.Context, e *env, cfg config.Config) error {
	dir, err := journalDir(cfg)
	if err != nil {
		return err
	}
	reports, err := journal.Inspect(dir, nil)
	if err != nil {
		return err
	}
	table := newTable(e.stdout)
	checked, aside, events, damaged, newer := 0, 0, 0, 0, 0
	for i := range reports {
		r := &reports[i]
		if r.Aside {
			aside++
			continue
		}
		checked++
		for _, n := range r.Events {
			events += n
		}
		switch {
		case r.Damaged():
			damaged++
		case r.Newer || r.Unknown > 0:
			newer++
		default:
			continue
		}
		fmt.Fprintf(table, "%s\t%s\n", segmentName(r), remark(r))
	}
	fmt.Fprintf(table, "%s with %s checked, %d damaged, %d of a newer version", counted(checked, "segment"), counted(events, "event"), damaged, newer)
	if aside > 0 {
		fmt.Fprintf(table, "; %d in quarantine since earlier", aside)
	}
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case damaged > 0:
		return fmt.Errorf("%s of the journal %s damaged: what can be read of them is shipped by the next start, or see \"bursar journal repair\"", counted(damaged, "segment"), isOrAre(damaged))
	case newer > 0:
		return fmt.Errorf("%s of the journal cannot be read by this version, %s: start the newer one on this data directory", counted(newer, "segment"), buildVersion())
	}
	return nil
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func repairJournal(_ context.Context, e *env, cfg config.Config) error {
	dir, err := journalDir(cfg)
	if err != nil {
		return err
	}
	done, err := journal.Repair(dir)
	table := newTable(e.stdout)
	if len(done) > 0 {
		fmt.Fprintln(table, "REPAIRED\tEVENTS KEPT\tBYTES LOST\tDAMAGED FILE KEPT AS")
	}
	for _, r := range done {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", filepath.Join(filepath.Base(filepath.Dir(r.Path)), filepath.Base(r.Path)), r.Frames, r.LostBytes, r.Quarantined)
	}
	switch {
	case len(done) > 0:
		fmt.Fprintln(table, "The next start of Bursar on this data directory ships them.")
	case err == nil:
		fmt.Fprintln(table, "There is nothing to repair.")
	}
	if flushErr := table.Flush(); err == nil {
		err = flushErr
	}
	if errors.Is(err, journal.ErrInUse) {
		return fmt.Errorf("%w\nA running Bursar sets damaged segments aside by itself; to repair them by hand, stop it first", err)
	}
	return err
}
