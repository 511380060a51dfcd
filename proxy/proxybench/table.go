package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// column is a figure in the table.
type column struct {
	metric metric
	title  string
	format string
	ratio  bool // to the bare proxy, beside the figure
}

var columns = []column{
	{jsonCPU, "CPU µs/JSON call", "%.0f", true},
	{promptCPU, "CPU µs/100 kB prompt", "%.0f", true},
	{chunkCPU, "CPU µs/chunk, 200 streams", "%.1f", true},
	{chunkCPU1k, "CPU µs/chunk, 1,000 streams", "%.1f", true},
	{jsonObjects, "objects/call", "%.0f", true},
	{jsonBytes, "kB/call", "%.1f", true},
	{addedP50, "added p50 µs", "%.0f", true},
	{addedP99, "added p99 µs", "%.0f", true},
	{resident1k, "resident MB, 1,000 streams", "%.0f", false},
	{jsonPeriod, "µs between answers at saturation", "%.0f", true},
	{failedCalls, "failed calls a round", "%.0f", false},
}

// aim is what Bursar is held to: a ratio to the bare proxy, or an amount.
type aim struct {
	metric   metric
	title    string
	most     float64
	stretch  float64 // 0: none
	absolute bool
}

var aims = []aim{
	{jsonCPU, "CPU per JSON call", 0.8, 0.6, false},
	{chunkCPU, "CPU per SSE chunk", 1.05, 0.9, false},
	{promptCPU, "CPU per call with a 100 kB prompt", 0.9, 0, false},
	{addedP50, "added p50", 1, 0, false},
	{addedP99, "added p99", 1, 0, false},
	{resident1k, "MB resident with 1,000 open streams", 100, 0, true},
}

// median of what is known in a contender's rounds.
func (r *results) median(name string, m metric) (float64, bool) {
	var values []float64
	for _, f := range r.rounds[name] {
		if v, ok := f[m]; ok {
			values = append(values, v)
		}
	}
	return medianOf(values)
}

// ratio is the median, over the rounds, of the figure by the bare proxy's in
// the same round.
func (r *results) ratio(name string, m metric) (float64, bool) {
	var values []float64
	for i, f := range r.rounds[name] {
		v, ok := f[m]
		base, known := r.rounds[nameBare][i][m]
		if ok && known && base > 0 {
			values = append(values, v/base)
		}
	}
	return medianOf(values)
}

func medianOf(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

// report prints a table in Markdown, one row a contender, and the aims.
func report(w io.Writer, protocol string, r results) error {
	header, rows := []string{"proxy"}, make([][]string, len(r.names))
	for i, name := range r.names {
		rows[i] = []string{name}
	}
	for _, c := range columns {
		if _, ok := r.median(nameBare, c.metric); !ok {
			continue // that load was not run
		}
		header = append(header, c.title)
		for i, name := range r.names {
			rows[i] = append(rows[i], r.cell(name, c))
		}
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "\nUpstream: %s. %s, %d cores, medians of %d rounds; (×) is the median of the ratios to bare.\n\n",
		describe(protocol), runtime.Version(), runtime.NumCPU(), len(r.rounds[nameBare]))
	writeTable(out, append([][]string{header}, rows...))
	if lines := r.aims(); len(lines) > 0 {
		fmt.Fprintln(out)
		writeTable(out, append([][]string{{"aim", "at most", "measured", ""}}, lines...))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *results) cell(name string, c column) string {
	value, ok := r.median(name, c.metric)
	if !ok {
		return "-"
	}
	text := fmt.Sprintf(c.format, value)
	if ratio, ok := r.ratio(name, c.metric); ok && c.ratio {
		text += fmt.Sprintf(" (%.2f)", ratio)
	}
	return text
}

// aims compares Bursar with what it is held to.
func (r *results) aims() [][]string {
	var lines [][]string
	for _, a := range aims {
		value, ok := r.ratio(nameBursar, a.metric)
		if a.absolute {
			value, ok = r.median(nameBursar, a.metric)
		}
		if !ok {
			continue
		}
		verdict := "missed"
		switch {
		case a.stretch > 0 && value <= a.stretch:
			verdict = fmt.Sprintf("met, and the stretch of %g", a.stretch)
		case value <= a.most:
			verdict = "met"
		}
		lines = append(lines, []string{a.title, fmt.Sprintf("%g", a.most), fmt.Sprintf("%.2f", value), verdict})
	}
	return lines
}

// writeTable writes a Markdown table with aligned columns; the first row is
// the header.
func writeTable(out *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(out, "| %-*s ", widths[i], cell)
		}
		out.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				out.WriteString("|" + strings.Repeat("-", width+2))
			}
			out.WriteString("|\n")
		}
	}
}
