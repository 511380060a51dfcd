package openrouter

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzScannerAgreesWithJSON holds the scanner against a parser that builds the
// whole document: where the document is valid they must see the same cost.
func FuzzScannerAgreesWithJSON(f *testing.F) {
	for _, c := range answers {
		if !c.sse {
			f.Add(c.body, 3)
		}
	}
	f.Fuzz(func(t *testing.T, body string, n int) {
		if n < 1 {
			n = 1
		}
		whole, pieces := read(jsonHeader(), body, len(body)+1), read(jsonHeader(), body, n)
		if whole.Usage.Cost.Known != pieces.Usage.Cost.Known || !whole.Usage.Cost.Value.Equal(pieces.Usage.Cost.Value) || whole.ID != pieces.ID || whole.Model != pieces.Model {
			t.Fatalf("cut differently, read differently: %+v and %+v", whole, pieces)
		}
		want, ok := oracle(body)
		if !ok {
			return
		}
		got := ""
		if whole.Usage.Cost.Known {
			got = whole.Usage.Cost.Value.String()
		}
		if want != got {
			t.Fatalf("cost %q, a full parser reads %q", got, want)
		}
	})
}

// oracle reads usage.cost by exact keys, the last one winning, from a document
// in which that is unambiguous.
func oracle(body string) (string, bool) {
	var document map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &document) != nil || strings.Count(body, "usage") > 1 || strings.Contains(body, `\u`) ||
		strings.Count(body, "cost") > 1 || document["response"] != nil || document["message"] != nil {
		return "", false
	}
	var usage map[string]json.RawMessage
	if json.Unmarshal(document["usage"], &usage) != nil {
		return "", true
	}
	literal := string(usage["cost"])
	var text string
	if json.Unmarshal(usage["cost"], &text) == nil {
		literal = text
	}
	var r Reading
	r.setUsage(fieldCost, []byte(literal))
	if !r.staged.Cost.Known {
		return "", true
	}
	return r.staged.Cost.Value.String(), true
}

func FuzzEventsReadTheSameHoweverTheyAreCut(f *testing.F) {
	for _, c := range answers {
		if c.sse {
			f.Add(c.body, 5)
		}
	}
	f.Fuzz(func(t *testing.T, body string, n int) {
		if n < 1 {
			n = 1
		}
		whole, pieces := read(sseHeader(), body, len(body)+1), read(sseHeader(), body, n)
		if whole.Usage.Cost.Known != pieces.Usage.Cost.Known || !whole.Usage.Cost.Value.Equal(pieces.Usage.Cost.Value) || whole.ID != pieces.ID || whole.Done != pieces.Done {
			t.Fatalf("cut differently, read differently: %+v and %+v", whole, pieces)
		}
	})
}

func FuzzDecoderTakesAnything(f *testing.F) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate"} {
		f.Add(encoding, []byte(compress(f, encoding, answers[0].body)))
	}
	f.Fuzz(func(_ *testing.T, encoding string, body []byte) {
		header := jsonHeader()
		header.Set("Content-Encoding", encoding)
		read(header, string(body), 11)
	})
}

func BenchmarkMeterChunk(b *testing.B) {
	chunk := []byte(`data: {"id":"gen-1790000000-AbCdEfGhIjKlMnOpQrSt","object":"chat.completion.chunk","created":1790000000,"model":"anthropic/claude-4.6-sonnet","provider":"Anthropic","choices":[{"index":0,"delta":{"role":"assistant","content":" some words of an email"},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}` + "\n\n")
	m := NewMeter(sseHeader())
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		m.Write(chunk)
	}
}

func BenchmarkMeterAnswer(b *testing.B) {
	body := []byte(answers[0].body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		m := NewMeter(jsonHeader())
		m.Write(body)
		m.Release()
	}
}
