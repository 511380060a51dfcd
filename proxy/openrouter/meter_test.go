package openrouter

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// read meters body in pieces of size n and returns what was read.
func read(header http.Header, body string, n int) Reading {
	m := NewMeter(header)
	defer m.Release()
	for len(body) > 0 {
		piece := body[:min(n, len(body))]
		body = body[len(piece):]
		m.Write([]byte(piece))
	}
	m.Close()
	return *m.Reading()
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }
func sseHeader() http.Header {
	return http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
}

// answers are bodies and what they say; each is read whole, byte by byte and
// cut everywhere.
var answers = []struct {
	name   string
	sse    bool
	body   string
	cost   string // "" is unknown
	id     string
	check  func(*testing.T, Reading)
	repeat bool
}{
	{name: "chat answer", body: `{"id":"gen-1","model":"anthropic/claude","provider":"Anthropic","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"cost":0.0004970133333333333,"is_byok":false,"cost_details":{"upstream_inference_cost":0.00009},"prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":7}}}`,
		cost: "0.0004970133333333333", id: "gen-1", check: func(t *testing.T, r Reading) {
			assert.Equal(t, "anthropic/claude", r.Model)
			assert.Equal(t, "Anthropic", r.Provider)
			assert.Equal(t, "stop", r.FinishReason)
			assert.Equal(t, accounting.Some(false), r.Usage.IsBYOK)
			assert.Equal(t, "0.00009", r.Usage.UpstreamCost.Value.String())
			for want, got := range map[int64]accounting.Optional[int64]{10: r.Usage.PromptTokens, 4: r.Usage.CompletionTokens, 14: r.Usage.TotalTokens, 3: r.Usage.CachedTokens, 2: r.Usage.CacheWriteTokens, 7: r.Usage.ReasoningTokens} {
				assert.Equal(t, accounting.Some(want), got)
			}
		}},
	{name: "white space trickles first", body: "\n   \n  \n" + `{"usage":{"cost":1.2e-7},"id":"gen-2"}`, cost: "0.00000012", id: "gen-2"},
	{name: "cost zero is known", body: `{"id":"gen-3","usage":{"cost":0}}`, cost: "0", id: "gen-3"},
	{name: "cost null is unknown", body: `{"id":"gen-4","usage":{"cost":null,"total_tokens":3}}`, id: "gen-4"},
	{name: "usage null", body: `{"id":"gen-5","usage":null}`, id: "gen-5"},
	{name: "usage in content is text", body: `{"id":"gen-6","choices":[{"message":{"content":"\"usage\":{\"cost\":99} }]} {\"usage\":{\"cost\":98}}","usage":{"cost":97}}}],"usage":{"cost":0.5}}`, cost: "0.5", id: "gen-6"},
	{name: "usage first, decoys after", body: `{"usage":{"cost":0.25},"choices":[{"usage":{"cost":9},"message":{"usage":{"cost":8}}}],"metadata":{"usage":{"cost":7}},"x":[{"usage":{"cost":6}}],"id":"gen-7"}`, cost: "0.25", id: "gen-7"},
	{name: "only exact keys count", body: `{"id":"gen-8","Usage":{"cost":5},"usage":{"Cost":4,"cost":0.1,"COST":3}}`, cost: "0.1", id: "gen-8"},
	{name: "escaped keys are keys", body: `{"\u0069d":"gen-9","\u0075sage":{"\u0063os\u0074":0.75}}`, cost: "0.75", id: "gen-9"},
	{name: "the last of two usages wins", body: `{"id":"gen-10","usage":{"cost":1},"usage":{"cost":2}}`, cost: "2", id: "gen-10"},
	{name: "cut inside the number", body: `{"id":"gen-11","usage":{"cost":0.00`, id: "gen-11"},
	{name: "cut inside the usage", body: `{"id":"gen-12","usage":{"cost":0.001,"total_tok`, id: "gen-12"},
	{name: "usage is an array", body: `{"id":"gen-13","usage":[{"cost":5}]}`, id: "gen-13"},
	{name: "not JSON", body: "   .   ", id: ""},
	{name: "HTML", body: `<html><body class="usage">{"usage":{"cost":` + "\n</html>", id: ""},
	{name: "error under 200", body: `{"error":{"code":429,"message":"You said: secret","metadata":{"error_type":"rate_limit_exceeded"}},"user_id":"u"}`,
		check: func(t *testing.T, r Reading) { assert.Equal(t, "rate_limit_exceeded", r.Error) }},
	{name: "error that is prose", body: `{"error":"your prompt was: secret stuff"}`, check: func(t *testing.T, r Reading) { assert.Equal(t, "error", r.Error) }},
	{name: "anthropic error", body: `{"type":"error","error":{"type":"overloaded_error","message":"x"},"request_id":"gen-14"}`,
		check: func(t *testing.T, r Reading) {
			assert.Equal(t, "overloaded_error", r.Error)
			assert.Equal(t, "gen-14", r.GenerationOf(Class{Billable: true, Known: true}, ""))
		}},
	{name: "byok", body: `{"id":"gen-15","usage":{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.3}}}`, cost: "0", id: "gen-15",
		check: func(t *testing.T, r Reading) { assert.Equal(t, "0.3", r.Usage.EconomicCost().Value.String()) }},
	{name: "messages answer", body: `{"id":"gen-16","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":5,"output_tokens":6,"cache_read_input_tokens":1,"cache_creation_input_tokens":2,"cost":0.01}}`, cost: "0.01", id: "gen-16",
		check: func(t *testing.T, r Reading) {
			assert.Equal(t, "end_turn", r.FinishReason)
			assert.Equal(t, accounting.Some(int64(5)), r.Usage.PromptTokens)
			assert.Equal(t, accounting.Some(int64(1)), r.Usage.CachedTokens)
			assert.Equal(t, accounting.Some(int64(2)), r.Usage.CacheWriteTokens)
		}},
	{name: "deep nesting", body: `{"deep":` + strings.Repeat(`[{"usage":`, 500) + "1" + strings.Repeat("}]", 500) + `,"id":"gen-17","usage":{"cost":3}}`, cost: "3", id: "gen-17"},
	{name: "backslashes and quotes", body: `{"a":"\\","b":"\\\"","c":"\\\\\\","id":"gen-18","usage":{"cost":4}}`, cost: "4", id: "gen-18"},
	{name: "runes", body: `{"id":"gen-19","choices":[{"message":{"content":"日本語 🎉 é"}}],"usage":{"cost":0.9}}`, cost: "0.9", id: "gen-19"},

	{name: "chat stream", sse: true, body: ": OPENROUTER PROCESSING\n\n" +
		`data: {"id":"gen-20","model":"m","choices":[{"delta":{"content":"x \"usage\":{\"cost\":9}"}}],"usage":null}` + "\n\n: \n\n" +
		`data: {"id":"gen-20","model":"m","choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"cost":0.00012,"total_tokens":3}}` + "\n\n" +
		`data: {"id":"gen-20","choices":[],"usage":null}` + "\n\ndata: [DONE]\n\n", cost: "0.00012", id: "gen-20",
		check: func(t *testing.T, r Reading) { assert.True(t, r.Done); assert.Equal(t, "stop", r.FinishReason) }},
	{name: "no DONE, no last blank line", sse: true, body: `data: {"id":"gen-21","usage":{"cost":0.5}}`, cost: "0.5", id: "gen-21",
		check: func(t *testing.T, r Reading) { assert.False(t, r.Done) }},
	{name: "CRLF and a byte order mark", sse: true, body: "\xef\xbb\xbfdata:{\"id\":\"gen-22\"}\r\n\r\ndata: {\"usage\":\r\ndata: {\"cost\":0.7}}\r\n\r\ndata: [DONE]\r\n\r\n", cost: "0.7", id: "gen-22",
		check: func(t *testing.T, r Reading) { assert.True(t, r.Done) }},
	{name: "CR alone", sse: true, body: "event: x\rdata: {\"id\":\"gen-23\",\"usage\":{\"cost\":0.8}}\r\rdata: [DONE]\r\r", cost: "0.8", id: "gen-23"},
	{name: "duplicate usage overwrites", sse: true, body: "data: {\"id\":\"gen-24\",\"usage\":{\"cost\":1}}\n\ndata: {\"usage\":{\"cost\":2}}\n\n", cost: "2", id: "gen-24"},
	{name: "an event cut off does not spill into the next", sse: true, body: "data: {\"id\":\"gen-25\",\"x\":\"\n\ndata: {\"usage\":{\"cost\":3}}\n\n", cost: "3", id: "gen-25"},
	{name: "responses stream", sse: true, body: `data: {"type":"response.created","response":{"id":"gen-26","model":"m","status":"in_progress","usage":null,"error":null}}` + "\n\n" +
		`data: {"type":"response.output_text.delta","delta":"usage","item_id":"x"}` + "\n\n" +
		`data: {"type":"response.completed","response":{"id":"gen-26","output":[{"content":[{"text":"{\"usage\":{\"cost\":5}}"}],"usage":{"cost":6}}],"status":"completed","usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":1},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":9},"cost":0.0017}}}` + "\n\n", cost: "0.0017", id: "gen-26",
		check: func(t *testing.T, r Reading) {
			assert.True(t, r.Done)
			assert.Equal(t, "completed", r.Status)
			assert.Equal(t, accounting.Some(int64(9)), r.Usage.ReasoningTokens)
			assert.Empty(t, r.Error)
		}},
	{name: "messages stream", sse: true, body: "event: message_start\n" + `data: {"type":"message_start","message":{"id":"gen-27","model":"m","usage":{"input_tokens":12,"output_tokens":0}}}` + "\n\n" +
		"event: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":34,"cost":0.00123,"is_byok":false}}` + "\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\nevent: data\ndata: [DONE]\n\n", cost: "0.00123", id: "gen-27",
		check: func(t *testing.T, r Reading) {
			assert.Equal(t, accounting.Some(int64(12)), r.Usage.PromptTokens)
			assert.Equal(t, accounting.Some(int64(34)), r.Usage.CompletionTokens)
			assert.Equal(t, "end_turn", r.FinishReason)
		}},
	{name: "usage on an error chunk", sse: true, body: `data: {"id":"gen-28","error":{"code":502,"message":"m","metadata":{"error_type":"provider_unavailable"}},"choices":[{"finish_reason":"error"}],"usage":{"cost":0.003}}` + "\n\n", cost: "0.003", id: "gen-28",
		check: func(t *testing.T, r Reading) { assert.Equal(t, "provider_unavailable", r.Error) }},
}

func TestMeterReadsTheSameHoweverTheBytesAreCut(t *testing.T) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			header := jsonHeader()
			if c.sse {
				header = sseHeader()
			}
			for n := range len(c.body) {
				got := read(header, c.body, n+1)
				if c.cost == "" {
					require.False(t, got.Usage.Cost.Known, "pieces of %d", n+1)
				} else {
					require.True(t, got.Usage.Cost.Known, "pieces of %d", n+1)
					require.Equal(t, c.cost, got.Usage.Cost.Value.String(), "pieces of %d", n+1)
				}
				require.Equal(t, c.id, got.ID, "pieces of %d", n+1)
				if c.check != nil {
					c.check(t, got)
				}
			}
		})
	}
}

func compress(t testing.TB, encoding, body string) string {
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		var err error
		w, err = zstd.NewWriter(&out)
		require.NoError(t, err)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "raw deflate":
		var err error
		w, err = flate.NewWriter(&out, 6)
		require.NoError(t, err)
	}
	_, err := io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

func TestMeterReadsACopyOfCompressedBodies(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "raw deflate"} {
		for _, n := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s in pieces of %d", encoding, n), func(t *testing.T) {
				header := jsonHeader()
				header.Set("Content-Encoding", strings.TrimPrefix(encoding, "raw "))
				got := read(header, compress(t, encoding, answers[0].body), n)
				assert.Equal(t, answers[0].cost, got.Usage.Cost.Value.String())
			})
		}
	}
	header := sseHeader()
	header.Set("Content-Encoding", "gzip, br")
	twice := compress(t, "br", compress(t, "gzip", "data: {\"id\":\"gen-1\",\"usage\":{\"cost\":5}}\n\n"))
	assert.Equal(t, "5", read(header, twice, 3).Usage.Cost.Value.String(), "two encodings, the last applied undone first")
}

func TestMeterKnowsTheIDBeforeTheCompressedBytesThatHoldItGoOn(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		var out bytes.Buffer
		var w interface {
			io.Writer
			Flush() error
		}
		switch encoding {
		case "gzip":
			w = gzip.NewWriter(&out)
		case "br":
			w = brotli.NewWriter(&out)
		case "zstd":
			w, _ = zstd.NewWriter(&out)
		}
		_, _ = io.WriteString(w, "data: {\"id\":\"gen-1\"}\n\n")
		require.NoError(t, w.Flush())
		header := sseHeader()
		header.Set("Content-Encoding", encoding)
		m := NewMeter(header)
		m.Write(out.Bytes())
		assert.Equal(t, "gen-1", m.Reading().ID, encoding)
		m.Release()
	}
}

func TestMeterKnowsTheIDOfACompressedBodyBeforeItsLastBytesGoOn(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "raw deflate"} {
		for _, size := range []int{0, 3_000, 300_000} {
			header := jsonHeader()
			header.Set("Content-Encoding", strings.TrimPrefix(encoding, "raw "))
			m := NewMeter(header)
			m.Write([]byte(compress(t, encoding, `{"choices":"`+strings.Repeat("word ", size/5)+`","usage":{"cost":5},"id":"gen-1"}`)))
			assert.Equal(t, "gen-1", m.Reading().ID, "%s, %d bytes, before Close", encoding, size)
			assert.Equal(t, "5", m.Reading().Usage.Cost.Value.String())
			m.Release()
		}
	}
}

func TestMeterReadsGzipOfSeveralMembers(t *testing.T) {
	header := sseHeader()
	header.Set("Content-Encoding", "gzip")
	body := compress(t, "gzip", "data: {\"id\":\"gen-1\",\"us") + compress(t, "gzip", "") + compress(t, "gzip", "age\":{\"cost\":5}}\n\n")
	for _, n := range []int{1, 7, len(body)} {
		got := read(header, body, n)
		assert.Equal(t, "gen-1", got.ID, "pieces of %d", n)
		assert.Equal(t, "5", got.Usage.Cost.Value.String(), "pieces of %d", n)
	}
}

func TestMeterSurvivesBrokenCompression(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "compress", "nonsense, gzip"} {
		header := jsonHeader()
		header.Set("Content-Encoding", encoding)
		assert.False(t, read(header, `{"usage":{"cost":5}}`, 4).Usage.Cost.Known, encoding)
		cut := compress(t, "gzip", answers[0].body)
		_ = read(header, cut[:len(cut)/2], 9)
	}
}

func TestMeterTellsContentFromKeepAlive(t *testing.T) {
	m := NewMeter(sseHeader())
	m.Write([]byte(": OPENROUTER PROCESSING\n\n"))
	assert.False(t, m.SawContent())
	m.Write([]byte("data: {"))
	assert.True(t, m.SawContent())
	m.Release()
	m = NewMeter(jsonHeader())
	m.Write([]byte("\n    \n"))
	assert.False(t, m.SawContent())
	m.Write([]byte(`{"whole":"answer"}`))
	assert.True(t, m.SawContent())
	m.Release()
}

func TestMeterHoldsNothingOfALargeBody(t *testing.T) {
	for name, header := range map[string]http.Header{"JSON": jsonHeader(), "one SSE line": sseHeader()} {
		t.Run(name, func(t *testing.T) {
			m := NewMeter(header)
			defer m.Release()
			head, tail := `{"id":"gen-1","data":[{"b64_json":"`, `"}],"usage":{"cost":0.04}}`
			if m.Streamed() {
				head, tail = "data: "+head, tail+"\n\n"
			}
			piece := bytes.Repeat([]byte("QUJD\\n"), 32<<10/6)
			m.Write([]byte(head))
			allocated := testing.AllocsPerRun(20, func() {
				for range 32 {
					m.Write(piece)
				}
			})
			m.Write([]byte(tail))
			assert.Zero(t, allocated)
			assert.Equal(t, "0.04", m.Reading().Usage.Cost.Value.String())
		})
	}
}

func TestRequestScannerFindsTheModelAtTheTopLevelOnly(t *testing.T) {
	var s RequestScanner
	for _, b := range []byte(`{"messages":[{"role":"user","content":"\"model\":\"decoy\""}],"provider":{"model":"no"},"stream":true,"model":"openai/gpt-4o"}`) {
		s.Write([]byte{b})
	}
	assert.Equal(t, "openai/gpt-4o", s.Model())
	require.NotNil(t, s.reading.Stream)
	assert.True(t, *s.reading.Stream)
}
