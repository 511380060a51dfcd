package journal

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// fill sets every field below v to something that is not its zero value. A field
// that somebody adds to the event and forgets in the codec is lost in the round
// trip, and the test below fails.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case decimal.Decimal:
		v.Set(reflect.ValueOf(decimal.New(int64(*n), -19)))
		return
	case accounting.RequestID:
		v.Set(reflect.ValueOf(newID()))
		return
	case accounting.Kind:
		v.Set(reflect.ValueOf(accounting.Closed))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, *n%28, 1, 2, 3, 4_000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.String:
		v.SetString("text" + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * 1_000_003)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"name": "value", "": "no name", "empty": ""}))
	default:
		t.Fatalf("the event has a field of type %s: teach the codec and this test about it", v.Type())
	}
}

func TestEveryFieldOfAnEventSurvivesTheRoundTrip(t *testing.T) {
	var e accounting.Event
	n := 0
	fill(t, reflect.ValueOf(&e).Elem(), &n)
	payload, err := appendEvent(nil, &e)
	require.NoError(t, err)
	got, err := decodeEvent(payload)
	require.NoError(t, err)
	if diff := cmp.Diff(e, got); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(e, merge(accounting.Event{Kind: e.Kind, ID: e.ID}, e)); diff != "" {
		t.Fatalf("an Interrupted would lack: %s", diff)
	}
}

func TestUnknownCostNullCostAndCostZeroStayThreeThings(t *testing.T) {
	zero := accounting.Event{Kind: accounting.Closed, ID: newID(), Usage: accounting.Usage{Cost: accounting.ParseCost("0"), IsBYOK: accounting.Some(false)}}
	payload, err := appendEvent(nil, &zero)
	require.NoError(t, err)
	got, err := decodeEvent(payload)
	require.NoError(t, err)
	assert.True(t, got.Usage.Cost.Known)
	assert.True(t, got.Usage.IsBYOK.Known)
	assert.False(t, got.Usage.UpstreamCost.Known)
	assert.False(t, got.Usage.PromptTokens.Known)
	assert.False(t, got.TimeToFirstToken.Known)
}

func TestAnAmountKeepsEveryDigit(t *testing.T) {
	for _, literal := range []string{
		"0", "0.10", "100", "1e2", "0.0004970133333333333", "123456789012345678901234567890.123456789012345678901234567890",
		"-0.5", "9223372036854775807", "9223372036854775808", "1e-60", "1e60",
	} {
		d := decimal.RequireFromString(literal)
		b, err := appendAmount(nil, fieldCost, d)
		require.NoError(t, err)
		_, keySize := binary.Uvarint(b)
		size, sizeSize := binary.Uvarint(b[keySize:])
		text := b[keySize+sizeSize:]
		require.Len(t, text, int(size))
		got, err := parseAmount(string(text))
		require.NoError(t, err)
		assert.True(t, d.Equal(got), literal)
		assert.Equal(t, d.Exponent(), got.Exponent(), literal)
	}
	_, err := appendAmount(nil, fieldCost, decimal.New(1, 2_000_000_000))
	assert.Error(t, err, "an amount that no reader would accept is not written")
}

func TestFieldsOfANewerBinaryAreSkipped(t *testing.T) {
	e := closed(newID())
	payload, err := appendEvent(nil, e)
	require.NoError(t, err)
	newer := append([]byte(nil), payload[:prefixSize]...)
	newer = appendText(newer, 999, "what is this")
	newer = appendNumber(newer, 1000, -7)
	newer = binary.AppendUvarint(newer, 1001<<3|wireFixed64)
	newer = append(newer, 1, 2, 3, 4, 5, 6, 7, 8)
	newer = binary.AppendUvarint(newer, 1002<<3|wireFixed32)
	newer = append(newer, 1, 2, 3, 4)
	newer = append(newer, payload[prefixSize:]...)
	got, err := decodeEvent(newer)
	require.NoError(t, err)
	requireEvents(t, []accounting.Event{got}, e)
}

func TestTheFormatDoesNotChangeUnnoticed(t *testing.T) {
	e := accounting.Event{
		Kind: accounting.Closed, ID: accounting.RequestID{1, 2, 3, 15: 16},
		Tags:         accounting.Tags{CampaignID: "q4", Metadata: map[string]string{"a": "b"}},
		GenerationID: "gen-1", HTTPStatus: 200, Duration: time.Second, Streamed: true,
		Usage: accounting.Usage{Cost: accounting.ParseCost("0.0010"), PromptTokens: accounting.Some(int64(7))},
	}
	frame, err := appendFrame(nil, &e)
	require.NoError(t, err)
	want := "\x3a\x00\x00\x00" + "\xe6\x75\x06\x5d" + // length, checksum
		"\x03" + "\x01\x02\x03" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x10" + // kind, id
		"\x0a\x02q4" + "\x62\x05gen-1" + "\x42\x03\x01ab" + // texts, metadata
		"\xb0\x01\x0e" + "\x9a\x01\x0510e-4" + "\xf0\x01\x02" + // counts, amounts, flags
		"\x80\x01\x90\x03" + "\xe0\x01\x80\xa8\xd6\xb9\x07"
	assert.Equal(t, []byte(want), frame, "%q", frame)
}

// drawEvent makes any event that the proxy could make, and some it could not.
func drawEvent(t *rapid.T, kind accounting.Kind, id accounting.RequestID) *accounting.Event {
	e := &accounting.Event{Kind: kind, ID: id}
	for _, n := range textFields {
		if rapid.Bool().Draw(t, "set") {
			*textOf(e, n) = rapid.StringN(0, 20, 200).Draw(t, "text")
		}
	}
	for _, n := range countFields {
		if rapid.Bool().Draw(t, "known") {
			*countOf(e, n) = accounting.Some(rapid.Int64().Draw(t, "count"))
		}
	}
	for _, n := range amountFields {
		if rapid.Bool().Draw(t, "known") {
			*amountOf(e, n) = accounting.Some(decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-60, 60).Draw(t, "exponent")))
		}
	}
	for _, n := range flagFields {
		*flagOf(e, n) = rapid.Bool().Draw(t, "flag")
	}
	if rapid.Bool().Draw(t, "metadata") {
		e.Tags.Metadata = rapid.MapOfN(rapid.StringN(0, 10, 40), rapid.StringN(0, 10, 40), 1, 5).Draw(t, "metadata")
	}
	if rapid.Bool().Draw(t, "decided") {
		e.Decision = drawDecision(t)
	}
	e.HTTPStatus = rapid.IntRange(0, 599).Draw(t, "status")
	e.Duration = time.Duration(rapid.Int64().Draw(t, "duration"))
	return e
}

func TestWhatIsEncodedDecodesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t, accounting.Kind(rapid.Byte().Draw(t, "kind")), newID())
		payload, err := appendEvent(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeEvent(payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*e, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecodeEventNeverPanicsAndIsStable(f *testing.F) {
	for _, e := range []*accounting.Event{opened(newID()), identified(newID()), closed(newID())} {
		payload, err := appendEvent(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
		f.Add(payload[:len(payload)-1])
	}
	e := closed(newID())
	e.Decision = &accounting.BudgetDecision{
		Verdict: accounting.VerdictWarned, Bound: accounting.Some(decimal.New(1, -3)), Rate: decimal.New(92, -2), Count: 2,
		Calls:   []accounting.RequestID{newID()},
		Budgets: []accounting.BudgetShare{{BudgetID: "b", PeriodStart: accounting.TotalStart, Charge: decimal.New(12, -4)}},
	}
	payload, err := appendEvent(nil, e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := decodeEvent(payload)
		if err != nil {
			return
		}
		again, err := appendEvent(nil, &e)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		got, err := decodeEvent(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
