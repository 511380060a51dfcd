package openrouter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bursar/accounting"
)

// factsSeeds are bodies that have something of everything.
var factsSeeds = []string{
	`{"model":"a/m","models":["b"],"stream":true,"max_tokens":5,"n":2,"messages":[{"role":"user","content":"hi"}]}`,
	`{ "max_completion_tokens" : 7, "messages" : [ { "content" : [ {"type":"text","text":"\\\"\u00e9"}, {"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}} ] } ] }`,
	`{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}},{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}],"tools":[{"type":"function","function":{"name":"f"}}]}`,
	`{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]},{"type":"file","file":{"file_id":"x"}}]}],"plugins":[{"id":"web"}]}`,
	`{"provider":{"only":["a"],"order":["b"],"allow_fallbacks":false,"max_price":{"prompt":1.5,"completion":"2"}},"preset":"p","service_tier":"flex","messages":[]}`,
	`{"provider":{"max_price":null},"max_tokens":null,"model":null}`, `{}`, `{"provider":null}`, `[]`, `{"a":[{"b":[[]]}]}`,
}

// tree decodes a body that is valid JSON, an object, and names no member
// twice; ok is false for any other.
func tree(body []byte) (top map[string]any, ok bool) {
	if !json.Valid(body) || twiceNamed(json.NewDecoder(bytes.NewReader(body)), 0) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return top, d.Decode(&top) == nil && top != nil
}

// twiceNamed reads one value and reports whether an object in it has a key
// twice, or whether it is nested deeper than the reader goes.
func twiceNamed(d *json.Decoder, depth int) bool {
	token, err := d.Token()
	if err != nil || depth >= maxNesting {
		return true
	}
	switch token {
	case json.Delim('['):
		for d.More() {
			if twiceNamed(d, depth+1) {
				return true
			}
		}
	case json.Delim('{'):
		keys := map[string]bool{}
		for d.More() {
			key, err := d.Token()
			name, _ := key.(string)
			if err != nil || keys[name] || twiceNamed(d, depth+1) {
				return true
			}
			keys[name] = true
		}
	default:
		return false
	}
	_, err = d.Token()
	return err != nil
}

// reference is what a full parser makes of a chat request.
type reference struct {
	images, audio, media int
	boundless            bool // something certainly has no bound
}

func (r *reference) parts(v any) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, element := range list {
		if part, ok := element.(map[string]any); ok {
			r.part(part)
		}
	}
}

func (r *reference) part(part map[string]any) {
	for _, name := range []string{"audio", "file", "file_id", "file_ids", "file_url", "file_data", "video_url", "input_video", "video"} {
		r.boundless = r.boundless || part[name] != nil
	}
	if kind, ok := part["type"].(string); ok && slices.Contains([]string{"file", "video_url", "input_file", "item_reference"}, kind) {
		r.boundless = true
	}
	switch image := part["image_url"].(type) {
	case string:
		r.image(image)
	case map[string]any:
		url, _ := image["url"].(string)
		r.image(url)
	}
	if audio, ok := part["input_audio"].(map[string]any); ok {
		data, _ := audio["data"].(string)
		r.audio++
		r.media += len(data)
	}
	if source, ok := part["source"].(map[string]any); ok {
		data, _ := source["data"].(string)
		if part["type"] == "image" && source["type"] == "base64" {
			r.images++
			r.media += len(data)
		}
		r.boundless = r.boundless || source["type"] != "base64" && source["type"] != "text" && source["type"] != "content"
		r.parts(source["content"])
	}
	for _, name := range []string{"content", "output", "images"} {
		r.parts(part[name])
	}
}

func (r *reference) image(url string) {
	if strings.HasPrefix(url, "data:image/") {
		r.images++
		r.media += len(url)
		return
	}
	r.boundless = true
}

func FuzzFactsAgreeWithAFullParser(f *testing.F) {
	for _, seed := range factsSeeds {
		f.Add([]byte(seed))
	}
	class := classOf("chat/completions")
	f.Fuzz(func(t *testing.T, body []byte) {
		facts, err := ReadFacts(class, body)
		top, ok := tree(body)
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("a valid body was refused: %v", err)
		}
		var want reference
		messages := 0
		for _, name := range []string{"messages", "system"} {
			if list, ok := top[name].([]any); ok {
				messages += len(list)
				want.parts(list)
			} else if top[name] != nil {
				messages++
			}
		}
		boundless := len(facts.Unbounded) > 0
		if want.boundless && !boundless {
			t.Fatal("a URL, a file or a video has a bound")
		}
		if facts.Messages != messages {
			t.Fatalf("%d messages, want %d", facts.Messages, messages)
		}
		if model, ok := top["model"].(string); ok && len(model) <= maxName && facts.Model != model && !strings.ContainsRune(model, '\uFFFD') {
			t.Fatalf("model %q, want %q", facts.Model, model)
		}
		if stream := top["stream"] == true; facts.Stream != stream {
			t.Fatalf("stream %t, want %t", facts.Stream, stream)
		}
		if want := referenceLimit(top); want != facts.MaxTokens {
			t.Fatalf("limit %+v, want %+v", facts.MaxTokens, want)
		}
		if boundless || bytes.Contains(body, []byte(`\`)) { // lengths differ where media have escapes
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil {
			t.Fatal(err)
		}
		if facts.Images != want.images || facts.Audio != want.audio {
			t.Fatalf("%d images and %d of audio, want %d and %d", facts.Images, facts.Audio, want.images, want.audio)
		}
		if bytes.Equal(bytes.ToValidUTF8(body, nil), body) && facts.TextBytes != int64(compact.Len()-want.media) {
			t.Fatalf("%d bytes of text, want %d", facts.TextBytes, compact.Len()-want.media)
		}
	})
}

// referenceLimit is the larger of the limits of chat, none if one of them
// cannot be read.
func referenceLimit(top map[string]any) (limit accounting.Optional[int64]) {
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		switch v := top[name].(type) {
		case nil:
		case json.Number:
			n, err := strconv.ParseInt(v.String(), 10, 64)
			if err != nil || n <= 0 || len(v) > 15 {
				return accounting.Optional[int64]{}
			}
			limit = accounting.Some(max(limit.Value, n))
		default:
			return accounting.Optional[int64]{}
		}
	}
	return limit
}

func FuzzFactsOfAnyEndpoint(f *testing.F) {
	for i, seed := range factsSeeds {
		f.Add(uint8(i), []byte(seed))
	}
	names := []string{"completions", "responses", "messages", "embeddings", "rerank", "images", "audio/speech", "videos", "batches"}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		facts, err := ReadFacts(classOf(names[int(which)%len(names)]), body)
		if err == nil && (facts.TextBytes < 0 || facts.TextBytes > int64(len(body)) || facts.Searches < 0) {
			t.Fatalf("%+v", facts)
		}
	})
}

func benchmarkBody(size int) []byte {
	turn := `{"role":"user","content":[{"type":"text","text":"` + strings.Repeat("Write to the lead about the \\\"offer\\\". ", 10) + `"}]},`
	body := `{"model":"anthropic/claude-sonnet-4.6","max_tokens":1024,"stream":true,"messages":[`
	for len(body) < size-len(turn) {
		body += turn
	}
	return []byte(body + `{"role":"user","content":"now"}],"provider":{"only":["anthropic"]}}`)
}

func BenchmarkReadFacts(b *testing.B) {
	for name, size := range map[string]int{"1kB": 1 << 10, "100kB": 100 << 10} {
		b.Run(name, func(b *testing.B) {
			body, class := benchmarkBody(size), classOf("chat/completions")
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadFacts(class, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
