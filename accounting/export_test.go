package accounting

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

var exportStart = time.Date(2026, 11, 22, 10, 0, 0, 250e6, time.UTC)

func exportAmount(literal string) *Amount { return &Amount{decimal.RequireFromString(literal)} }

func pointer[T any](v T) *T { return &v }

// exportedCall is a call of which all that matters is known.
func exportedCall() *ExportRow {
	return &ExportRow{USDToEUR: *exportAmount("0.925"), UsageRow: UsageRow{
		ID: NewRequestID(exportStart, 1, 2), GenerationID: pointer("gen-1"), CampaignID: pointer("q4, \"big\""), Purpose: pointer("follow_up"),
		Metadata: map[string]string{"b": "2", "a": "=1+1"}, Model: pointer("anthropic/claude-sonnet-4.5"), Provider: pointer("Anthropic"),
		Status: StatusSettled, PromptTokens: pointer(int64(1200)), CompletionTokens: pointer(int64(34)), TotalTokens: pointer(int64(1234)),
		CostUSD: exportAmount("0.00000000000000000012345"), InlineCostUSD: exportAmount("0.00000000000000000012345"), CostSource: pointer(CostInline),
		VerifiedAt: pointer(exportStart.Add(time.Minute)), DurationMS: pointer(int64(1500)), Streamed: pointer(true), Cancelled: pointer(false),
		CreatedAt: exportStart, UpdatedAt: exportStart,
	}}
}

func encoded(t *testing.T, open func(*bytes.Buffer) ExportEncoder, rows ...*ExportRow) string {
	t.Helper()
	var out bytes.Buffer
	e := open(&out)
	for _, r := range rows {
		require.NoError(t, e.Encode(r))
	}
	require.NoError(t, e.Close())
	return out.String()
}

func csvOf(columns []ExportColumn) func(*bytes.Buffer) ExportEncoder {
	return func(w *bytes.Buffer) ExportEncoder { return NewCSVEncoder(w, columns) }
}

// records reads CSV as another program would, into one map a row.
func records(t *testing.T, text string) []map[string]string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	var list []map[string]string
	for _, record := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = record[i]
		}
		list = append(list, row)
	}
	return list
}

func TestCSVKeepsEveryDigitTagAndFlag(t *testing.T) {
	text := encoded(t, csvOf(ExportColumns()), exportedCall())
	require.Equal(t, 2, strings.Count(text, "\r\n"))
	row := records(t, text)[0]
	for name, want := range map[string]string{
		"cost_usd": "0.00000000000000000012345", "usd_to_eur": "0.925", "cost_eur": "0.00000000000000000011419125", "cost_source": "inline",
		"verified": "true", "verified_at": "2026-11-22T10:01:00.25Z", "created_at": "2026-11-22T10:00:00.25Z", "campaign_id": `q4, "big"`,
		"metadata": `{"a":"'=1+1","b":"2"}`, "total_tokens": "1234", "streamed": "true", "cancelled": "false", "lead_id": "", "is_byok": "",
	} {
		require.Equal(t, want, row[name], name)
	}
	require.JSONEq(t, `{"a":"=1+1","b":"2"}`, UnescapeFormula(row["metadata"]))
}

func TestNullZeroAndEmptyAreThreeThingsInEveryFormat(t *testing.T) {
	r := exportedCall()
	r.CampaignID, r.LeadID, r.CostUSD, r.CostSource, r.PromptTokens, r.VerifiedAt = pointer(""), nil, nil, nil, pointer(int64(0)), nil
	free := exportedCall()
	free.CostUSD = exportAmount("0")

	lines := strings.Split(encoded(t, csvOf(ExportColumns()), r, free), "\r\n")
	require.Contains(t, lines[1], `settled,,,false,,0.925,,`, "an unknown cost is an empty field")
	require.Contains(t, lines[1], `,"",,`, "an empty text is a quoted one")
	require.Contains(t, lines[2], `settled,0,inline,true,`)

	lines = strings.Split(encoded(t, func(w *bytes.Buffer) ExportEncoder { return NewJSONLinesEncoder(w, ExportColumns()) }, r, free), "\n")
	require.Contains(t, lines[0], `"cost_usd":null,"cost_source":null,"verified":false,"verified_at":null,"usd_to_eur":0.925,"cost_eur":null`)
	require.Contains(t, lines[0], `"campaign_id":"","email_id":null`)
	require.Contains(t, lines[0], `"prompt_tokens":0,`)
	require.Contains(t, lines[1], `"cost_usd":0,`)
}

func TestJSONLinesAreObjectsWithEveryColumnInItsType(t *testing.T) {
	text := encoded(t, func(w *bytes.Buffer) ExportEncoder { return NewJSONLinesEncoder(w, ExportColumns()) }, exportedCall(), exportedCall())
	require.Equal(t, 2, strings.Count(text, "\n"))
	line, _, _ := strings.Cut(text, "\n")
	var row map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(line), &row))
	require.Len(t, row, len(ExportColumns()))
	for name, want := range map[string]string{
		"cost_usd": "0.00000000000000000012345", "verified": "true", "metadata": `{"a":"=1+1","b":"2"}`, "campaign_id": `"q4, \"big\""`,
		"created_at": `"2026-11-22T10:00:00.25Z"`, "prompt_tokens": "1200", "job_id": "null",
	} {
		require.Equal(t, want, string(row[name]), name)
	}
}

func TestAnExportHoldsEveryColumnOfTheTableThatCallersSee(t *testing.T) {
	var row map[string]json.RawMessage
	text, err := json.Marshal(UsageRow{})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &row))
	names := map[string]bool{}
	for _, c := range ExportColumns() {
		require.False(t, names[c.Name], "twice: %s", c.Name)
		names[c.Name] = true
	}
	for name := range row {
		require.True(t, names[name], "%s is not exported", name)
	}
}

func TestFOCUSMapsACallToOneCharge(t *testing.T) {
	row := records(t, encoded(t, csvOf(FOCUSColumns()), exportedCall()))[0]
	for name, want := range map[string]string{
		"BilledCost": "0.00000000000000000012345", "EffectiveCost": "0.00000000000000000012345", "ListUnitPrice": "0.00000000000000000012345",
		"PricingQuantity": "1", "PricingUnit": "Calls", "ConsumedQuantity": "1234", "ConsumedUnit": "Tokens",
		"BillingPeriodStart": "2026-11-01T00:00:00Z", "BillingPeriodEnd": "2026-12-01T00:00:00Z",
		"ChargePeriodStart": "2026-11-22T10:00:00Z", "ChargePeriodEnd": "2026-11-22T10:00:02Z",
		"ProviderName": "OpenRouter", "PublisherName": "anthropic", "SkuId": "anthropic/claude-sonnet-4.5", "SkuPriceId": "anthropic/claude-sonnet-4.5@Anthropic",
		"ChargeDescription": "AI call to anthropic/claude-sonnet-4.5: 1200 prompt and 34 completion tokens", "ChargeClass": "", "x_Verified": "true",
	} {
		require.Equal(t, want, row[name], name)
	}
	var tags map[string]string
	require.NoError(t, json.Unmarshal([]byte(UnescapeFormula(row["Tags"])), &tags))
	require.Equal(t, map[string]string{"campaign_id": `q4, "big"`, "purpose": "follow_up", "metadata/a": "=1+1", "metadata/b": "2"}, tags)
}

func TestFOCUSHasNoChargeWithoutAnAmountAndOneForAFreeCall(t *testing.T) {
	r := exportedCall()
	r.CostUSD, r.TotalTokens, r.Model, r.Provider, r.DurationMS = exportAmount("0"), nil, nil, nil, nil
	require.True(t, ExportFOCUS.Holds(r))
	row := records(t, encoded(t, csvOf(FOCUSColumns()), r))[0]
	require.Equal(t, "0", row["BilledCost"])
	require.Equal(t, []string{"", "", "OpenRouter", "2026-11-22T10:00:01Z"}, []string{row["ConsumedQuantity"], row["ConsumedUnit"], row["PublisherName"], row["ChargePeriodEnd"]})
	r.CostUSD = nil
	require.False(t, ExportFOCUS.Holds(r))
	for _, f := range []ExportFormat{ExportCSV, ExportJSONLines, ExportParquet} {
		require.True(t, f.Holds(r), f)
	}
}

func TestTheManualExplainsEveryColumn(t *testing.T) {
	manual, err := os.ReadFile("../docs/exports.md")
	require.NoError(t, err)
	for _, c := range append(ExportColumns(), FOCUSColumns()...) {
		require.Contains(t, string(manual), "`"+c.Name+"`")
	}
}

func TestAFormatIsReadByItsName(t *testing.T) {
	for _, f := range ExportFormats() {
		got, err := ParseExportFormat(string(f))
		require.NoError(t, err)
		require.Equal(t, f, got)
		require.NotEmpty(t, f.MediaType())
		require.True(t, strings.HasPrefix(f.Extension(), "."))
	}
	_, err := ParseExportFormat("xlsx")
	require.EqualError(t, err, `"xlsx" is not a format of exports: want one of csv, jsonl, parquet, focus`)
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestAnEncoderReportsWhatItsWriterReports(t *testing.T) {
	gone := errors.New("gone")
	e := NewCSVEncoder(brokenWriter{gone}, ExportColumns())
	var err error
	for range 1000 { // more than is held back
		if err = e.Encode(exportedCall()); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, NewJSONLinesEncoder(brokenWriter{gone}, ExportColumns()).Close(), gone)
}

func TestFormulasAreDisarmedWhereverASpreadsheetMightStartACell(t *testing.T) {
	for text, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\r=1": "'\r'=1",
		"'x": "''x", "''x": "'''x", "a=1": "a=1", "it's": "it's", "": "", "a;=1": "a;'=1", "a,+1": "a,'+1", "a\n@x": "a\n'@x",
		"a\"=1": "a\"'=1", "＝1": "'＝1", "q4-launch": "q4-launch", "a, -5 %": "a, -5 %",
	} {
		require.Equal(t, want, EscapeFormula(text), "%q", text)
		require.Equal(t, text, UnescapeFormula(want), "%q", text)
	}
}

// parseCSV reads RFC 4180 to the letter: unlike encoding/csv it keeps a CRLF
// within quotes.
func parseCSV(t *testing.T, text string) (rows [][]string) {
	t.Helper()
	var row []string
	for i := 0; i < len(text); {
		var field strings.Builder
		if text[i] == '"' {
			for i++; ; i++ {
				if text[i] == '"' {
					if i++; i == len(text) || text[i] != '"' {
						break
					}
				}
				field.WriteByte(text[i])
			}
		} else {
			for ; text[i] != ',' && text[i] != '\r'; i++ {
				require.NotContains(t, "\"\n", string(text[i]), "an unquoted field holds what it may not")
				field.WriteByte(text[i])
			}
		}
		row = append(row, field.String())
		if text[i] == ',' {
			i++
			continue
		}
		require.Equal(t, "\r\n", text[i:i+2])
		rows, row, i = append(rows, row), nil, i+2
	}
	return rows
}

func FuzzCSVGivesBackEveryTextAndArmsNoFormula(f *testing.F) {
	for _, seed := range []string{"", "=1+1", `a"b`, "a,b", "a\r\nb", "'", " x ", "\xff=", "a;=1", "\"=cmd|' /C calc'!A0\"", "＠x", "\t\t-"} {
		f.Add(seed)
	}
	columns := []ExportColumn{
		constantColumn("before", "x"),
		textColumn("text", func(r *ExportRow) *string { return r.CampaignID }),
		constantColumn("after", "y"),
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := UnescapeFormula(EscapeFormula(text)); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		row := &ExportRow{UsageRow: UsageRow{CampaignID: &text}}
		rows := parseCSV(t, encoded(t, csvOf(columns), row, row))
		require.Len(t, rows, 3)
		for _, fields := range rows[1:] {
			require.Len(t, fields, 3)
			require.Equal(t, text, UnescapeFormula(fields[1]))
			for _, cell := range strings.FieldsFunc(fields[1], func(r rune) bool { return strings.ContainsRune(",;|\t\r\n\"", r) }) {
				require.False(t, strings.ContainsAny(cell[:1], "=+-@"), "%q of %q could be run", cell, text)
			}
		}
	})
}
