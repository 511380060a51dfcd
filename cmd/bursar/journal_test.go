package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/store/journal"
)

// bursar runs a command line and returns its exit code and what it printed.
func bursar(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), &env{stdout: &out, stderr: &errs, workdir: t.TempDir()}, args)
	return code, out.String(), errs.String()
}

// journaled is a call whose closed event is in a journal.
func journaled() *accounting.Event {
	return &accounting.Event{
		Kind: accounting.Closed, ID: accounting.NewRequestID(time.Now(), rand.Uint64(), rand.Uint64()),
		Tags:         accounting.Tags{CampaignID: "q4 <launch>"},
		GenerationID: "gen-1", HTTPStatus: 200,
		Usage: accounting.Usage{Cost: accounting.ParseCost("0.0004970133333333333000"), PromptTokens: accounting.Some[int64](0)},
	}
}

// openTestJournal is the journal of a process that lives until the test ends.
func openTestJournal(t testing.TB, data string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Options{Dir: filepath.Join(data, "journal"), Shards: 1, Logger: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// deadJournal is the data directory of a process that has ended before it
// shipped these events, and the segment that holds them.
func deadJournal(t testing.TB, events ...*accounting.Event) (data, segment string) {
	t.Helper()
	data = t.TempDir()
	j := openTestJournal(t, data)
	for _, e := range events {
		require.NoError(t, j.Append(e))
	}
	require.NoError(t, j.Close())
	return data, onlySegment(t, data)
}

func onlySegment(t testing.TB, data string) string {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(data, "journal", "*", "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	return segments[0]
}

// edit changes a file's content in place.
func edit(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(content), 0o600))
}

func flipBit(at int) func([]byte) []byte {
	return func(content []byte) []byte { content[at] ^= 4; return content }
}

func TestInspectShowsWhoHoldsWhatInAJournalThatIsInUse(t *testing.T) {
	data, _ := deadJournal(t, journaled())
	code, out, errs := bursar(t, "journal", "inspect", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "nobody: the next start takes it over")
	require.Regexp(t, `000-000000000001-[0-9a-f]{8}\.seg +\d+ +0 +0 +1 +0 +0 +-`, out)

	j := openTestJournal(t, data)
	require.NoError(t, j.Append(journaled()))
	code, out, errs = bursar(t, "journal", "inspect", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, j.Instance()+` +(process `+fmt.Sprint(os.Getpid())+`|another process) +1 +\d+`, out)
	require.NotContains(t, out, "nobody", "the dead instance was adopted")
}

func TestVerifyFindsATornFileAndAFlippedBitAndNothingElse(t *testing.T) {
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		code   int
		says   string
	}{
		"as written":            {func(b []byte) []byte { return b }, exitOK, "1 segment with 2 events checked, 0 damaged"},
		"a bit in an event":     {flipBit(60), exitFailed, "1 place damaged"},
		"a bit in the header":   {flipBit(3), exitFailed, "1 place damaged (32 bytes)"},
		"torn as by a crash":    {func(b []byte) []byte { return b[:len(b)-7] }, exitOK, "1 segment with 1 event checked, 0 damaged"},
		"shorter than a header": {func(b []byte) []byte { return b[:20] }, exitOK, "1 segment with 0 events checked, 0 damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			data, segment := deadJournal(t, journaled(), journaled())
			edit(t, segment, tt.change)
			code, out, errs := bursar(t, "journal", "verify", "--data-dir", data)
			require.Equal(t, tt.code, code, "%s%s", out, errs)
			require.Contains(t, out, tt.says)
			if code != exitOK {
				require.Contains(t, errs, "bursar journal repair")
			}
		})
	}
}

func TestVerifyReadsAJournalThatIsInUse(t *testing.T) {
	data := t.TempDir()
	j := openTestJournal(t, data)
	require.NoError(t, j.Append(journaled()))
	code, out, errs := bursar(t, "journal", "verify", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "1 segment with 1 event checked")
}

func TestRepairSetsADamagedSegmentAsideAndTheNextStartShipsTheRest(t *testing.T) {
	lost, kept := journaled(), journaled()
	data, segment := deadJournal(t, lost, kept)
	edit(t, segment, flipBit(60))
	damaged, err := os.ReadFile(segment)
	require.NoError(t, err)

	code, out, errs := bursar(t, "journal", "repair", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	aside := filepath.Join(data, "journal", "quarantine", filepath.Base(filepath.Dir(segment))+"-"+filepath.Base(segment)+".damaged")
	require.Contains(t, out, aside)
	content, err := os.ReadFile(aside)
	require.NoError(t, err)
	require.Equal(t, damaged, content)

	code, out, errs = bursar(t, "journal", "verify", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "1 segment with 1 event checked, 0 damaged, 0 of a newer version; 1 in quarantine since earlier")
	code, out, _ = bursar(t, "journal", "repair", "--data-dir", data)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "There is nothing to repair.")

	events, err := openTestJournal(t, data).Next(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, kept.ID, events[0].ID)
}

func TestRepairRefusesWhatARunningBursarHolds(t *testing.T) {
	data := t.TempDir()
	j := openTestJournal(t, data)
	require.NoError(t, j.Append(journaled()))
	segment := onlySegment(t, data)
	edit(t, segment, flipBit(60))
	before, err := os.ReadFile(segment)
	require.NoError(t, err)
	code, _, errs := bursar(t, "journal", "repair", "--data-dir", data)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "journal instance "+j.Instance()+" is in use by")
	if _, err := os.Stat("/proc/locks"); err == nil {
		require.Contains(t, errs, fmt.Sprintf("process %d", os.Getpid()))
	}
	after, err := os.ReadFile(segment)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestExportWritesOneObjectALineWithEveryDigit(t *testing.T) {
	first, second := journaled(), journaled()
	opened := &accounting.Event{Kind: accounting.Opened, ID: second.ID, Endpoint: "/api/v1/chat/completions"}
	data, segment := deadJournal(t, first, opened, second)
	code, out, errs := bursar(t, "journal", "export", "--data-dir", data)
	require.Equal(t, exitOK, code, errs)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, 3)
	var line map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	require.Equal(t, `0.0004970133333333333000`, string(line["inline_cost_usd"]))
	require.Equal(t, `"closed"`, string(line["kind"]))
	require.Equal(t, `"`+first.ID.String()+`"`, string(line["id"]))
	require.Equal(t, `"q4 <launch>"`, string(line["campaign_id"]))
	require.Equal(t, `0`, string(line["prompt_tokens"]), "a known zero")
	require.NotContains(t, line, "completion_tokens", "which is not known")
	require.Equal(t, `"`+filepath.Join(filepath.Base(filepath.Dir(segment)), filepath.Base(segment))+`"`, string(line["segment"]))
	require.Contains(t, lines[1], `"kind":"opened"`)
	require.NotContains(t, lines[1], "cost")
}

// fillAll sets every field below v to something that is not its zero value.
func fillAll(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch p := v.Addr().Interface().(type) {
	case *decimal.Decimal:
		*p = decimal.New(int64(*n), -3)
		return
	case *accounting.Kind:
		*p = accounting.Closed
		return
	case *time.Time:
		*p = time.Unix(int64(*n), 0).UTC()
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000 + *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n + i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(t, v.Index(0), n)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"name": fmt.Sprintf("text-%d", *n)}))
	case reflect.Struct:
		for i := range v.NumField() {
			fillAll(t, v.Field(i), n)
		}
	default:
		t.Fatalf("an event has a field of kind %s: teach this test and the export", v.Kind())
	}
}

// leaves counts the fields of an event that hold a value of their own.
func leaves(typ reflect.Type) int {
	optional := strings.HasPrefix(typ.Name(), "Optional[")
	if optional || typ == reflect.TypeFor[decimal.Decimal]() || typ.Kind() != reflect.Struct {
		return 1
	}
	n := 0
	for field := range typ.Fields() {
		n += leaves(field.Type)
	}
	return n
}

func TestExportLeavesNoFieldOfAnEventOut(t *testing.T) {
	var e accounting.Event
	n := 0
	fillAll(t, reflect.ValueOf(&e).Elem(), &n)
	line, err := json.Marshal(exportedOf("a/b.seg", &e))
	require.NoError(t, err)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(line, &members))
	var decision, share map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(members["decision"], &decision))
	assert.Len(t, decision, reflect.TypeFor[accounting.BudgetDecision]().NumField(), string(line))
	require.NoError(t, json.Unmarshal(bytes.Trim(decision["budgets"], "[]"), &share))
	assert.Len(t, share, reflect.TypeFor[accounting.BudgetShare]().NumField(), string(line))
	// Beside the event's own fields stand the segment and the start of the call.
	assert.Len(t, members, leaves(reflect.TypeFor[accounting.Event]())+2, string(line))
	values := make(map[string]string)
	for name, value := range members {
		if v := string(value); v != "true" {
			require.NotContains(t, values, v, "%s says what another member says", name)
			values[v] = name
		}
	}
}

func TestTheJournalCommandsExplainThemselves(t *testing.T) {
	code, out, _ := bursar(t, "journal", "help")
	require.Equal(t, exitOK, code)
	for _, c := range journalCommands() {
		require.Contains(t, out, c.name)
		code, help, _ := bursar(t, "journal", c.name, "--help")
		require.Equal(t, exitOK, code)
		require.Contains(t, help, "bursar journal "+c.name)
	}
	code, _, errs := bursar(t, "journal", "mend")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `there is no command "mend"`)
	code, _, errs = bursar(t, "journal")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Usage")
	code, _, errs = bursar(t, "journal", "verify", "--data-dir", filepath.Join(t.TempDir(), "nowhere"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "there is no journal at")
}

// closedPipe is a reader that has gone, as of "bursar journal export | head".
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnExportThatNobodyReadsEndsWithAnError(t *testing.T) {
	data, _ := deadJournal(t, journaled())
	var errs bytes.Buffer
	code := run(t.Context(), &env{stdout: closedPipe{}, stderr: &errs, workdir: t.TempDir()}, []string{"journal", "export", "--data-dir", data})
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs.String(), io.ErrClosedPipe.Error())
}
