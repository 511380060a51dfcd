package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeExports is a store of so many calls, made when they are asked for. err is
// the answer to the page after the first failAfter pages.
type fakeExports struct {
	calls     int
	err       error
	failAfter int
	unknown   bool   // every second call has no cost
	between   func() // before each page; may be nil

	mu    sync.Mutex
	asked []accounting.UsageFilter
}

func (f *fakeExports) ExportUsage(ctx context.Context, filter accounting.UsageFilter) (accounting.ExportPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, filter)
	if f.between != nil {
		f.between()
	}
	if f.err != nil && len(f.asked) > f.failAfter {
		return accounting.ExportPage{}, f.err
	}
	if _, ok := ctx.Deadline(); !ok {
		return accounting.ExportPage{}, errors.New("asked without a time limit")
	}
	first, _ := strconv.Atoi(filter.Cursor)
	var page accounting.ExportPage
	for i := first; i < f.calls && len(page.Rows) < filter.Limit; i++ {
		row := accounting.ExportRow{UsageRow: call(uint64(i), "=q4", "0.000000000000000000012345"), USDToEUR: *usd("0.925")}
		row.Metadata = map[string]string{"n": strconv.Itoa(i)}
		if f.unknown && i%2 == 1 {
			row.CostUSD, row.CostSource, row.InlineCostUSD = nil, nil, nil
		}
		page.Rows = append(page.Rows, row)
	}
	if next := first + len(page.Rows); next < f.calls {
		page.NextCursor = strconv.Itoa(next)
	}
	return page, nil
}

func withExports(t *testing.T, f *fakeExports) *Handler {
	t.Helper()
	return newHandler(t, &fakeUsage{}, func(o *Options) { o.Exports = f })
}

// serveExports is a real server, since only one has chunks and trailers.
func serveExports(t *testing.T, f *fakeExports) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = Server("", withExports(t, f))
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func download(t *testing.T, server *httptest.Server, query string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, server.URL+"/api/export/usage"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestAnExportIsStreamedWholeAndSaysSoInItsTrailers(t *testing.T) {
	f := &fakeExports{calls: 2500, unknown: true}
	server := serveExports(t, f)
	for format, want := range map[string]struct {
		mediaType, name, rows, leftOut string
		lines                          int
	}{
		"csv":   {"text/csv; charset=utf-8; header=present", "bursar-usage-2026-11-01-2026-11-22.csv", "2500", "0", 2501},
		"jsonl": {"application/jsonl", "bursar-usage-2026-11-01-2026-11-22.jsonl", "2500", "0", 2500},
		"focus": {"text/csv; charset=utf-8; header=present", "bursar-usage-2026-11-01-2026-11-22.focus.csv", "1250", "1250", 1251},
	} {
		res, body, err := download(t, server, "?format="+format+"&from=2026-11-01&to=2026-11-22")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, body)
		require.Equal(t, want.mediaType, res.Header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="`+want.name+`"`, res.Header.Get("Content-Disposition"))
		require.Equal(t, want.rows, res.Trailer.Get(exportRowsTrailer), format)
		require.Equal(t, want.leftOut, res.Trailer.Get(exportLeftOutTrailer), format)
		require.Equal(t, want.lines, strings.Count(body, "\n"), format)
		require.Contains(t, body, "0.000000000000000000012345")
	}
	require.Len(t, f.asked, 9, "three pages each")
}

func TestABrokenExportDoesNotEndProperly(t *testing.T) {
	for _, format := range []string{"csv", "jsonl", "parquet", "focus"} {
		f := &fakeExports{calls: 5000, err: errors.New("dial 10.1.2.3: refused"), failAfter: 2}
		res, body, err := download(t, serveExports(t, f), "?format="+format)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, format)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Empty(t, res.Trailer.Get(exportRowsTrailer), format)
		require.NotContains(t, body, "10.1.2.3")
		if format == "parquet" {
			_, err := parquet.OpenFile(strings.NewReader(body), int64(len(body)))
			require.Error(t, err, "a part of a file cannot be opened")
		}
	}
}

func TestTroubleBeforeTheFirstRowIsAProblem(t *testing.T) {
	h := withExports(t, &fakeExports{err: errors.New("dial 10.1.2.3: refused")})
	p := problemIn(t, get(h, "/api/export/usage"), http.StatusInternalServerError)
	require.NotContains(t, p.Detail, "10.1.2.3")
}

func TestAnExportIsRefusedWhereAPartCouldPassForTheWhole(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/api/export/usage", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host = "HTTP/1.0", 1, 0, "127.0.0.1:8081"
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	withExports(t, &fakeExports{calls: 1}).ServeHTTP(w, r)
	p := problemIn(t, w.Result(), http.StatusUpgradeRequired)
	require.Contains(t, p.Detail, "HTTP/1.1")
}

func TestTheDaysAndFiltersOfAnExportReachTheStore(t *testing.T) {
	f := &fakeExports{}
	h := withExports(t, f)
	res := get(h, "/api/export/usage?from=2026-11-20&to=2026-11-22&campaign_id=c&email_id=e&lead_id=l&sequence_id=s&purpose=p&platform=pl&model=m&status=settled&generation_id=g")
	require.Equal(t, http.StatusOK, res.StatusCode, bodyOf(t, res))
	require.Equal(t, accounting.UsageFilter{
		CampaignID: "c", EmailID: "e", LeadID: "l", SequenceID: "s", Purpose: "p", Platform: "pl", Model: "m",
		Status: accounting.StatusSettled, GenerationID: "g", Limit: accounting.MaxUsageRows,
		Since: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	}, f.asked[0])
}

func TestTheDaysOfAnExportDefaultToTheMonthSoFar(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	for bounds, want := range map[[2]string]string{
		{"", ""}:                     "2026-11-01 2026-11-22",
		{"2026-10-05", ""}:           "2026-10-05 2026-11-22",
		{"", "2026-10-05"}:           "2026-10-01 2026-10-05",
		{"2026-11-22", "2026-11-30"}: "2026-11-22 2026-11-30",
	} {
		from, to, err := ExportDays(bounds[0], bounds[1], now)
		require.NoError(t, err)
		require.Equal(t, want, from.String()+" "+to.String())
	}
	for bounds, field := range map[[2]string]string{
		{"2026-11-23", ""}: "from: expected a day that has begun", {"2026-11-03", "2026-11-02"}: "to: expected a day not before from",
		{"soon", ""}: "from: expected a day", {"2026-11-01", "2026-02-30"}: "to: expected a day",
	} {
		_, _, err := ExportDays(bounds[0], bounds[1], now)
		require.ErrorContains(t, err, field)
	}
}

func TestAWrongParameterOfAnExportIsNamed(t *testing.T) {
	h := withExports(t, &fakeExports{})
	for query, field := range map[string]string{
		"format=xlsx": "format", "form=csv": "form", "from=yesterday": "from", "from=2026-11-02&to=2026-11-01": "to",
		"status=fine": "status", "limit=5": "limit", "from=2026-11-01&from=2026-11-02": "from",
	} {
		p := problemIn(t, get(h, "/api/export/usage?"+query), http.StatusUnprocessableEntity)
		require.Equal(t, field, p.Errors[0].Field, query)
	}
	require.Equal(t, http.StatusNotFound, get(newHandler(t, &fakeUsage{}, nil), "/api/export/usage").StatusCode)
	problemIn(t, request(h, "GET", "/api/export/usage", ""), http.StatusUnauthorized)
}

func TestParquetHoldsEveryDigitTypeAndNull(t *testing.T) {
	f := &fakeExports{calls: 12_000, unknown: true}
	export, err := OpenExport(t.Context(), f, accounting.ExportParquet, accounting.UsageFilter{})
	require.NoError(t, err)
	var out bytes.Buffer
	done, err := export.Write(t.Context(), &out, nil)
	require.NoError(t, err)
	require.EqualValues(t, 12_000, done.Rows)

	file, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	require.EqualValues(t, 12_000, file.NumRows())
	require.Len(t, file.RowGroups(), 2, "memory is bounded by the row group")
	var names []string
	for _, field := range file.Schema().Fields() {
		names = append(names, field.Name())
	}
	for i, c := range accounting.ExportColumns() {
		require.Equal(t, c.Name, names[i], "in the order of the columns")
	}
	type row struct {
		ID        *string    `parquet:"id,optional"`
		CreatedAt *time.Time `parquet:"created_at,optional,timestamp(microsecond)"`
		CostUSD   *string    `parquet:"cost_usd,optional"`
		CostEUR   *string    `parquet:"cost_eur,optional"`
		Verified  *bool      `parquet:"verified,optional"`
		Prompt    *int64     `parquet:"prompt_tokens,optional"`
		Cached    *int64     `parquet:"cached_tokens,optional"`
		Campaign  *string    `parquet:"campaign_id,optional"`
		Metadata  *string    `parquet:"metadata,optional"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	require.Equal(t, "0.000000000000000000012345", *rows[0].CostUSD)
	require.True(t, decimal.RequireFromString(*rows[0].CostEUR).Equal(decimal.RequireFromString("0.000000000000000000011419125")))
	require.Equal(t, "=q4", *rows[0].Campaign, "no spreadsheet reads this")
	require.Nil(t, rows[1].CostUSD)
	require.Nil(t, rows[1].Cached)
	require.EqualValues(t, 1200, *rows[1].Prompt)
	require.False(t, *rows[1].Verified)
	require.JSONEq(t, `{"n":"11999"}`, *rows[11_999].Metadata)
	require.True(t, rows[3].CreatedAt.Equal(call(3, "", "1").CreatedAt))
}

func TestTheMemoryOfAnExportDoesNotGrowWithItsRows(t *testing.T) {
	for _, format := range []accounting.ExportFormat{accounting.ExportCSV, accounting.ExportParquet} {
		var most uint64
		pages := 0
		f := &fakeExports{calls: 20_000, between: func() {
			if pages++; pages%10 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		export, err := OpenExport(t.Context(), f, format, accounting.UsageFilter{})
		require.NoError(t, err)
		var written atomic.Int64
		_, err = export.Write(t.Context(), countingWriter{&written}, nil)
		require.NoError(t, err)
		require.Equal(t, 20, pages)
		held := int64(most) - int64(before.HeapAlloc)
		t.Logf("%s: %d bytes written, %d held", format, written.Load(), held)
		require.Less(t, held, int64(16<<20), "%s", format)
	}
}

type countingWriter struct{ n *atomic.Int64 }

func (w countingWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}

func TestALongExportOutlivesTheServersTimeLimit(t *testing.T) {
	f := &fakeExports{calls: 3000}
	server := httptest.NewUnstartedServer(nil)
	server.Config = Server("", withExports(t, f))
	server.Config.WriteTimeout = 50 * time.Millisecond
	f.between = func() { time.Sleep(60 * time.Millisecond) } // each page takes longer than all of it may
	server.Start()
	defer server.Close()
	res, body, err := download(t, server, "?format=jsonl")
	require.NoError(t, err)
	require.Equal(t, 3000, strings.Count(body, "\n"))
	require.Equal(t, "3000", res.Trailer.Get(exportRowsTrailer))
}

func TestAReaderWhoLeavesEndsTheExport(t *testing.T) {
	var log syncedLog
	f := &fakeExports{calls: 100_000_000}
	server := httptest.NewUnstartedServer(newHandler(t, &fakeUsage{}, func(o *Options) { o.Exports, o.Logger = f, zerolog.New(&log) }))
	server.Start()
	r, err := http.NewRequest(http.MethodGet, server.URL+"/api/export/usage", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	_, err = io.ReadFull(res.Body, make([]byte, 1<<16))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	server.CloseClientConnections()
	server.Close() // waits for the handler
	require.Contains(t, log.String(), "an export broke off")
}

// syncedLog is a log that many goroutines write.
type syncedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestACellOfAnExportIsReadBackByOtherPrograms(t *testing.T) {
	_, body, err := download(t, serveExports(t, &fakeExports{calls: 1}), "?format=csv")
	require.NoError(t, err)
	records, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	require.NoError(t, err)
	for i, name := range records[0] {
		if name == "campaign_id" {
			require.Equal(t, "'=q4", records[1][i], "a spreadsheet would run it")
			require.Equal(t, "=q4", accounting.UnescapeFormula(records[1][i]))
		}
	}
}
