package accounting

import (
	"fmt"
	"io"
	"strings"
)

// ExportRow is one call as an export carries it: its row, and the exchange rate
// at which reports convert it.
type ExportRow struct {
	UsageRow
	// USDToEUR is EUR for one USD: the latest rate dated on or before the
	// call's UTC day, else the configured one.
	USDToEUR Amount
}

// CostEUR is the cost converted at the day's rate, unrounded, so that the rows
// of an export add up to the reports. It is unknown where the cost is.
func (r *ExportRow) CostEUR() *Amount {
	if r.CostUSD == nil {
		return nil
	}
	return &Amount{r.CostUSD.Mul(r.USDToEUR.Decimal)}
}

// ExportPage is one page of an export, the oldest call first: the order in which
// new calls arrive behind what was read.
type ExportPage struct {
	Rows       []ExportRow
	NextCursor string // of the next, newer page; empty: this is the last one
}

// ExportFormat is how an export is written.
type ExportFormat string

// The formats. The first three have the same columns, those of [ExportColumns].
const (
	ExportCSV       ExportFormat = "csv"     // RFC 4180, with a header
	ExportJSONLines ExportFormat = "jsonl"   // one JSON object a line
	ExportParquet   ExportFormat = "parquet" // Apache Parquet
	ExportFOCUS     ExportFormat = "focus"   // CSV with the columns of [FOCUSColumns]
)

// ExportFormats lists them in the order in which help and docs show them.
func ExportFormats() []ExportFormat {
	return []ExportFormat{ExportCSV, ExportJSONLines, ExportParquet, ExportFOCUS}
}

// ParseExportFormat reads the name of a format.
func ParseExportFormat(s string) (ExportFormat, error) {
	var names []string
	for _, f := range ExportFormats() {
		if string(f) == s {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("%q is not a format of exports: want one of %s", s, strings.Join(names, ", "))
}

// MediaType is the format's Content-Type.
func (f ExportFormat) MediaType() string {
	switch f {
	case ExportJSONLines:
		return "application/jsonl"
	case ExportParquet:
		return "application/vnd.apache.parquet"
	default:
		return "text/csv; charset=utf-8; header=present"
	}
}

// Extension is what the name of a file in the format ends in.
func (f ExportFormat) Extension() string {
	if f == ExportFOCUS {
		return ".focus.csv"
	}
	return "." + string(f)
}

// Holds reports whether the format has a row for the call. FOCUS has none for a
// call whose cost is not known: it knows no charge without an amount.
func (f ExportFormat) Holds(r *ExportRow) bool {
	return f != ExportFOCUS || r.CostUSD != nil
}

// ExportEncoder writes rows in some format. Close writes what is still held
// back and whatever ends the format; it does not close what is written to.
type ExportEncoder interface {
	Encode(row *ExportRow) error
	Close() error
}

// exportBuffer is how many bytes an encoder holds back: enough for few, large
// writes.
const exportBuffer = 32 << 10

// lineEncoder writes rows as lines of text.
type lineEncoder struct {
	w    io.Writer
	buf  []byte
	line func(dst []byte, row *ExportRow) []byte
}

// Encode implements [ExportEncoder].
func (e *lineEncoder) Encode(row *ExportRow) error {
	e.buf = e.line(e.buf, row)
	if len(e.buf) < exportBuffer {
		return nil
	}
	return e.Close()
}

// Close implements [ExportEncoder].
func (e *lineEncoder) Close() error {
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	return err
}
