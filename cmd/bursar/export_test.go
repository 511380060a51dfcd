package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/admin"
	"bursar/store/postgres/postgrestest"
)

func TestAFileHoldsWhatTheAdminPortExports(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake)
	for _, cost := range []string{"0.00012345678901234567", "0.5", "5e-11"} {
		status, answer := r.call("/api/v1/chat/completions", fmt.Sprintf(`{"model":"fake/cost=%s","messages":[{"role":"user","content":"x"}]}`, cost),
			"X-Campaign-ID", "=q4", "X-Meta-Note", "a,b")
		require.Equal(t, http.StatusOK, status, answer)
	}
	r.requireLedgersAgree(30 * time.Second)
	require.Eventually(t, func() bool { // rows that are being verified would differ between two readings
		backlog, err := r.store.Backlog(context.Background())
		return err == nil && backlog.Unverified == 0
	}, 30*time.Second, 20*time.Millisecond)

	day := accounting.DayOf(time.Now())
	days := []string{"--from", day.Add(-1).String(), "--to", day.Add(1).String()}
	dir := t.TempDir()
	for _, format := range accounting.ExportFormats() {
		var out bytes.Buffer
		file := filepath.Join(dir, "usage"+format.Extension())
		args := append([]string{"export", "--database-url", r.cfg.Database.URL.Reveal(), "--format", string(format), "--out", file}, days...)
		require.Equal(t, exitOK, run(t.Context(), &env{&out, &out, nil, t.TempDir()}, args), out.String())
		require.Equal(t, file+": 3 calls\n", out.String(), "no progress where nobody looks")
		require.NoFileExists(t, file+".part")
		written, err := os.ReadFile(file)
		require.NoError(t, err)
		if format == accounting.ExportParquet {
			_, err := parquet.OpenFile(bytes.NewReader(written), int64(len(written)))
			require.NoError(t, err)
			continue // its pages may be compressed in another way each time
		}
		response, err := http.Get(fmt.Sprintf("%s/api/export/usage?format=%s&from=%s&to=%s", r.adminURL(), format, days[1], days[3]))
		require.NoError(t, err)
		served, err := io.ReadAll(response.Body)
		require.NoError(t, response.Body.Close())
		require.NoError(t, err)
		require.Equal(t, string(served), string(written), format)
		require.Equal(t, "3", response.Trailer.Get("X-Bursar-Export-Rows"))
		require.Contains(t, string(written), "0.00012345678901234567")
		require.Contains(t, string(written), "0.00000000005")
	}
}

func TestAWrongOrderForAnExportIsToldBeforeAnythingIsOpened(t *testing.T) {
	for line, want := range map[string]string{
		"--out x --format xlsx":                     "--format",
		"--out x --from 2026-11-02 --to 2026-11-01": "expected a day not before from",
		"--out x --from yesterday":                  "expected a day",
		"--from 2026-11-01 --to 2026-11-02":         "--out bursar-usage-2026-11-01-2026-11-02.csv",
		"--out x --status fine":                     "--status",
		"--out x --nonsense":                        "nonsense",
		"--out x surplus":                           "surplus",
	} {
		var out bytes.Buffer
		code := run(t.Context(), &env{&out, &out, []string{"DATABASE_URL=postgres://127.0.0.1:1/none"}, t.TempDir()}, append([]string{"export"}, strings.Fields(line)...))
		require.Equal(t, exitUsage, code, line)
		require.Contains(t, out.String(), want, line)
	}
}

func TestAnExportThatFailsLeavesWhatWasThereBefore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "usage.csv")
	require.NoError(t, os.WriteFile(file, []byte("the month before"), 0o600))
	var out bytes.Buffer
	code := run(t.Context(), &env{&out, &out, nil, dir}, []string{"export", "--database-url", "postgres://127.0.0.1:1/none?connect_timeout=1", "--out", "usage.csv"})
	require.Equal(t, exitFailed, code, out.String())

	broke := errors.New("the database went away")
	err := writeWhole(file, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		require.FileExists(t, file+".part")
		return broke
	})
	require.ErrorIs(t, err, broke)
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "the month before", string(kept))
	require.NoFileExists(t, file+".part")

	require.NoError(t, writeWhole(file, func(w io.Writer) error {
		_, err := io.WriteString(w, "this month")
		return err
	}))
	kept, err = os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "this month", string(kept))
}

func TestWhatHasNotBeenRecordedAnywhereIsSaidAndNothingIsMade(t *testing.T) {
	for _, line := range []string{"export --out x.csv", "reconcile"} {
		dir := filepath.Join(t.TempDir(), "elsewhere")
		var out bytes.Buffer
		code := run(t.Context(), &env{&out, &out, []string{"BURSAR_DATA_DIR=" + dir}, t.TempDir()}, strings.Fields(line))
		require.Equal(t, exitUsage, code, out.String())
		require.Contains(t, out.String(), "there is no private Postgres under "+dir+": name the data directory")
		require.NoDirExists(t, dir, line)
	}
	var out bytes.Buffer
	code := run(t.Context(), &env{&out, &out, nil, t.TempDir()}, []string{"export", "--database-url", postgrestest.New(t), "--out", "x.csv"})
	require.Equal(t, exitFailed, code)
	require.Contains(t, out.String(), "has no tables of Bursar's")
	require.Contains(t, out.String(), "bursar migrate makes them")
}

func TestTheProgressOfAnExportIsTheShareOfItsDays(t *testing.T) {
	var out bytes.Buffer
	since := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	line := progressOn(&out, since, since.AddDate(0, 0, 10))
	line.show(admin.ExportProgress{})
	require.Empty(t, out.String(), "nothing was read")
	line.show(admin.ExportProgress{Rows: 1000, At: since.AddDate(0, 0, 5)})
	require.Equal(t, "\r[###############...............]  50 %  2026-10-06  1000 calls ", out.String())
	line.end()
	require.True(t, strings.HasSuffix(out.String(), "\n"))
}
