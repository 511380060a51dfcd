package admin

import (
	"context"
	"fmt"
	"io"
	"time"

	"bursar/accounting"
)

// Exports reads recorded calls in order.
type Exports interface {
	// ExportUsage returns the calls that match, the oldest first, at most
	// filter.Limit of them. It is called concurrently and must return when ctx
	// ends.
	ExportUsage(ctx context.Context, filter accounting.UsageFilter) (accounting.ExportPage, error)
}

// ExportProgress is how far an export is.
type ExportProgress struct {
	Rows    int64     // written
	LeftOut int64     // calls that the format has no row for
	At      time.Time // start of the newest call that was read; zero: there was none
}

// Export is the calls of some days on their way into a format. Its memory does
// not grow with their number. Open it with [OpenExport].
type Export struct {
	source Exports
	format accounting.ExportFormat
	filter accounting.UsageFilter
	page   accounting.ExportPage // read, not written
}

// OpenExport reads the first page, so that what is wrong with the database is
// known before anything is written. The filter's Limit and Cursor are not used.
func OpenExport(ctx context.Context, source Exports, format accounting.ExportFormat, filter accounting.UsageFilter) (*Export, error) {
	filter.Limit, filter.Cursor = accounting.MaxUsageRows, ""
	x := &Export{source: source, format: format, filter: filter}
	return x, x.read(ctx)
}

// read reads the next page, within queryTimeout.
func (x *Export) read(ctx context.Context) (err error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	x.page, err = x.source.ExportUsage(limited, x.filter)
	return lateOr(ctx, limited, err)
}

// Write writes all of it to w, once, and tells progress, which may be nil, of
// each page. After an error what was written is a part and must not pass for
// the whole.
func (x *Export) Write(ctx context.Context, w io.Writer, progress func(ExportProgress)) (ExportProgress, error) {
	var done ExportProgress
	encoder := newExportEncoder(x.format, w)
	for {
		for i := range x.page.Rows {
			row := &x.page.Rows[i]
			done.At = row.CreatedAt
			if !x.format.Holds(row) {
				done.LeftOut++
				continue
			}
			if err := encoder.Encode(row); err != nil {
				return done, fmt.Errorf("write call %s: %w", row.ID, err)
			}
			done.Rows++
		}
		if progress != nil {
			progress(done)
		}
		if x.filter.Cursor = x.page.NextCursor; x.filter.Cursor == "" {
			break
		}
		if err := x.read(ctx); err != nil {
			return done, fmt.Errorf("read the calls after %s: %w", done.At.Format(time.RFC3339Nano), err)
		}
	}
	if err := encoder.Close(); err != nil {
		return done, fmt.Errorf("write the end of the export: %w", err)
	}
	return done, nil
}

func newExportEncoder(format accounting.ExportFormat, w io.Writer) accounting.ExportEncoder {
	switch format {
	case accounting.ExportJSONLines:
		return accounting.NewJSONLinesEncoder(w, accounting.ExportColumns())
	case accounting.ExportParquet:
		return newParquetEncoder(w, accounting.ExportColumns())
	case accounting.ExportFOCUS:
		return accounting.NewCSVEncoder(w, accounting.FOCUSColumns())
	default:
		return accounting.NewCSVEncoder(w, accounting.ExportColumns())
	}
}

// ExportDays are the days of an export whose bounds may be empty: the present
// month up to today, UTC. The error names the bound that is wrong.
func ExportDays(from, to string, now time.Time) (first, last accounting.Day, err error) {
	today := accounting.DayOf(now)
	last = today
	var wrong []fieldError
	if to != "" {
		day, bad := dayIn("to", to)
		last, wrong = day, append(wrong, bad...)
	}
	first = accounting.DayOf(accounting.MonthOf(last.Start()).Start())
	if from != "" {
		day, bad := dayIn("from", from)
		first, wrong = day, append(wrong, bad...)
	}
	switch {
	case len(wrong) > 0:
	case today.Before(first):
		wrong = append(wrong, fieldError{Field: "from", Value: first.String(), Message: "expected a day that has begun", Allowed: "a day up to " + today.String()})
	case last.Before(first):
		wrong = append(wrong, fieldError{Field: "to", Value: last.String(), Message: "expected a day not before from"})
	}
	if len(wrong) > 0 {
		return first, last, invalid(wrong...)
	}
	return first, last, nil
}
