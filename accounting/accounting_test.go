package accounting

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestIDCarriesItsTimeAndSurvivesItsText(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 4, 5, 678e6, time.UTC)
	id := NewRequestID(now, ^uint64(0), ^uint64(0))
	assert.Equal(t, now, id.Time())
	assert.Equal(t, byte('7'), id.String()[14], "version")
	assert.Contains(t, "89ab", string(id.String()[19]), "variant")

	back, err := ParseRequestID(id.String())
	require.NoError(t, err)
	assert.Equal(t, id, back)
	for _, bad := range []string{"", "x", strings.Repeat("z", 36), id.String() + "0"} {
		_, err := ParseRequestID(bad)
		assert.Error(t, err, bad)
	}
}

func TestParseCostKeepsEveryDigitOfTheLiteral(t *testing.T) {
	for literal, want := range map[string]string{
		"0.0004970133333333333": "0.0004970133333333333",
		"1.2e-7":                "0.00000012",
		"1E2":                   "100",
		"0":                     "0",
		"-0":                    "0",
		"0.10":                  "0.1",
		"2e-61":                 "0." + strings.Repeat("0", 60) + "2",
	} {
		got := ParseCost(literal)
		require.True(t, got.Known, literal)
		assert.Equal(t, want, got.Value.String(), literal)
	}
	for _, literal := range []string{"", "null", "NaN", "+1", ".5", "1.", "01", "1_000", "0x10", "1e", "1e999999999", "-1", "1 ", strings.Repeat("9", 500)} {
		assert.False(t, ParseCost(literal).Known, literal)
	}
}

func FuzzParseCostAgreesWithJSON(f *testing.F) {
	for _, seed := range []string{"0.1", "1e-7", "-3", "1.", "007", "1e999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		got := ParseCost(literal)
		var number json.Number
		err := json.Unmarshal([]byte(literal), &number)
		if got.Known && (err != nil || strings.TrimSpace(literal) != literal) {
			t.Fatalf("%q became %s, which JSON calls invalid: %v", literal, got.Value, err)
		}
	})
}

func TestEconomicCostAddsTheProvidersChargeOnlyUnderBYOK(t *testing.T) {
	amount := func(s string) Optional[decimal.Decimal] { return Some(decimal.RequireFromString(s)) }
	plain := Usage{Cost: amount("0.5"), UpstreamCost: amount("0.5")}
	assert.Equal(t, "0.5", plain.EconomicCost().Value.String(), "is_byok unknown")
	plain.IsBYOK = Some(false)
	assert.Equal(t, "0.5", plain.EconomicCost().Value.String())
	plain.IsBYOK = Some(true)
	assert.Equal(t, "1", plain.EconomicCost().Value.String())
	assert.False(t, Usage{UpstreamCost: amount("1"), IsBYOK: Some(true)}.EconomicCost().Known, "unknown is not zero")
}

func TestMergeLetsTheLastWordWinFieldByField(t *testing.T) {
	start := Usage{PromptTokens: Some(int64(10)), CompletionTokens: Some(int64(1))}
	delta := Usage{CompletionTokens: Some(int64(34)), Cost: ParseCost("0.00123")}
	got := start.Merge(delta)
	assert.Equal(t, int64(10), got.PromptTokens.Value)
	assert.Equal(t, int64(34), got.CompletionTokens.Value)
	assert.Equal(t, "0.00123", got.Cost.Value.String())
	assert.True(t, got.Merge(Usage{}).Cost.Known, "a usage that knows nothing takes nothing away")
}

func TestStatusSaysWhatIsStillToDo(t *testing.T) {
	cost := Usage{Cost: ParseCost("0.1")}
	for name, c := range map[string]struct {
		event Event
		want  Status
	}{
		"cost in the answer":               {Event{Kind: Closed, HTTPStatus: 200, GenerationID: "gen-1", Usage: cost}, StatusSettled},
		"cost zero":                        {Event{Kind: Closed, HTTPStatus: 200, Usage: Usage{Cost: ParseCost("0")}}, StatusSettled},
		"cut off after a usage":            {Event{Kind: Closed, HTTPStatus: 200, GenerationID: "gen-1", Usage: cost, Truncated: true}, StatusPending},
		"cut off after a usage, no id":     {Event{Kind: Closed, HTTPStatus: 200, Usage: cost, Truncated: true}, StatusSettled},
		"id only":                          {Event{Kind: Closed, HTTPStatus: 200, GenerationID: "gen-1"}, StatusPending},
		"job accepted":                     {Event{Kind: Closed, HTTPStatus: 202, JobID: "job"}, StatusPending},
		"died with an id":                  {Event{Kind: Interrupted, GenerationID: "gen-1"}, StatusPending},
		"died without one":                 {Event{Kind: Interrupted}, StatusInterrupted},
		"client left before the answer":    {Event{Kind: Closed, Cancelled: true}, StatusInterrupted},
		"connection broke after sending":   {Event{Kind: Closed, Truncated: true, Error: "upstream_broken"}, StatusInterrupted},
		"upstream not reached":             {Event{Kind: Closed, Error: "upstream_unreachable"}, StatusFailed},
		"refused":                          {Event{Kind: Closed, HTTPStatus: 429}, StatusFailed},
		"error under 200 before a routing": {Event{Kind: Closed, HTTPStatus: 200, Error: "400"}, StatusFailed},
		"answered without cost or id":      {Event{Kind: Closed, HTTPStatus: 200}, StatusUnresolved},
	} {
		assert.Equal(t, c.want, c.event.Status(), name)
	}
}

func TestCleanTagCutsAtARuneAndDropsWhatCannotBePrinted(t *testing.T) {
	for _, c := range []struct {
		in, want string
		changed  bool
	}{
		{" q4-launch ", "q4-launch", false},
		{"Grüße", "Grüße", false},
		{"a\x00b\nc", "abc", true},
		{"bad\xffutf8", "badutf8", true},
		{strings.Repeat("x", 300), strings.Repeat("x", 200), true},
		{strings.Repeat("é", 150), strings.Repeat("é", 100), true},
		{"x" + strings.Repeat("é", 150), "x" + strings.Repeat("é", 99), true},
	} {
		got, changed := CleanTag(c.in)
		assert.Equal(t, c.want, got)
		assert.Equal(t, c.changed, changed, c.in)
		assert.True(t, utf8.ValidString(got))
	}
}

func TestFingerprintIsTheHashOpenRouterLists(t *testing.T) {
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Fingerprint("abc"))
}
