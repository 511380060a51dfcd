package openrouter

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func classOf(name string) Class { return Classify(http.MethodPost, "/api/v1/"+name) }

func readFacts(t testing.TB, name, body string) accounting.RequestFacts {
	t.Helper()
	f, err := ReadFacts(classOf(name), []byte(body))
	require.NoError(t, err)
	return f
}

// fields are the places without a bound.
func fields(f *accounting.RequestFacts) []string {
	var list []string
	for _, u := range f.Unbounded {
		list = append(list, u.Field)
	}
	return list
}

func TestTheFactsOfARequestAreThoseThatBoundItsPrice(t *testing.T) {
	body := `{ "model": "a/m", "models": ["a/n", "a/o"], "stream": true, "n": 2, "max_tokens": 100, "max_completion_tokens": 200,
		"max_output_tokens": 900, "service_tier": "flex", "temperature": 0.5,
		"provider": {"only": ["p"], "order": ["q", "r"], "ignore": ["s"], "allow_fallbacks": false, "max_price": {"prompt": "1.5", "completion": 2e1}, "sort": "price"},
		"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "\"hi\" \u00e9\\"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
			{"type": "input_audio", "input_audio": {"data": "BBBBBB", "format": "wav"}}]}, {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}],
		"tools": [{"type": "function", "function": {"name": "f", "parameters": {"image_url": "https://x", "type": "object"}}}, {"name": "g", "input_schema": {}}],
		"preset": null, "plugins": [], "modalities": ["text"] }`
	f := readFacts(t, "chat/completions", body)
	assert.Empty(t, f.Unbounded)
	assert.Equal(t, "a/m", f.Model)
	assert.Equal(t, []string{"a/n", "a/o"}, f.Fallbacks)
	assert.True(t, f.Stream)
	assert.EqualValues(t, 2, f.N)
	assert.Equal(t, accounting.Some(int64(200)), f.MaxTokens, "the larger of what chat honours")
	assert.Equal(t, "flex", f.ServiceTier)
	assert.Equal(t, []string{"p"}, f.Provider.Only)
	assert.Equal(t, []string{"q", "r"}, f.Provider.Order)
	assert.Equal(t, []string{"s"}, f.Provider.Ignore)
	assert.True(t, f.Provider.NoFallbacks)
	assert.Equal(t, "1.5", f.Provider.MaxPromptPrice.Value.String())
	assert.Equal(t, "20", f.Provider.MaxCompletionPrice.Value.String())
	assert.Equal(t, [4]int{3, 2, 1, 1}, [4]int{f.Messages, f.Tools, f.Images, f.Audio})
	assert.EqualValues(t, significantBytes(body)-len("data:image/png;base64,AAAA")-len("BBBBBB"), f.TextBytes)
	assert.False(t, f.HourCache)
	assert.True(t, readFacts(t, "messages", `{"model":"a","messages":[{"content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`).HourCache)
	assert.True(t, readFacts(t, "messages", `{"model":"a","cache_control":{"\u0074tl":"1h"}}`).HourCache)
}

// significantBytes counts what stands in strings and what is no white space.
func significantBytes(body string) (n int) {
	inside := false
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case inside && c == '\\':
			n++
			i++
		case c == '"':
			inside = !inside
		}
		if inside || !strings.ContainsRune(" \n\r\t", rune(c)) {
			n++
		}
	}
	return n
}

func TestWhatHasNoBoundIsNamedByItsPlace(t *testing.T) {
	message := func(parts string) string { return `{"messages":[{},{"content":[{"type":"text"},` + parts + `]}]}` }
	const part = "messages[1].content[1]"
	for _, c := range []struct {
		class, body string
		want        []string
	}{
		{"chat/completions", message(`{"type":"image_url","image_url":{"url":"https://x/y.png"}}`), []string{part + ".image_url"}},
		{"chat/completions", message(`{"image_url":"https://x/y.png"}`), []string{part + ".image_url"}},
		{"chat/completions", message(`{"type":"image_url","image_url":{"url":"\u0064ata:image/png;base64,"}}`), []string{part + ".image_url"}},
		{"chat/completions", message(`{"type":"image_url","image_url":{"url":"data:application/pdf;base64,"}}`), []string{part + ".image_url"}},
		{"chat/completions", message(`{"type":"image_url","image_url":{"url":"data:image/png;","url":"data:image/png;"}}`), []string{part + ".image_url"}},
		{"chat/completions", message(`{"type":"image_url"}`), []string{part}},
		{"chat/completions", message(`{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}`), []string{part + ".file", part + ".type"}},
		{"chat/completions", message(`{"type":"video_url","video_url":{"url":"x"}}`), []string{part + ".video_url", part + ".type"}},
		{"chat/completions", message(`{"type":"input_audio","input_audio":{"data":"https://x"}}`), []string{part + ".input_audio"}},
		{"chat/completions", message(`{"type":"input_audio"}`), []string{part}},
		{"chat/completions", message(`{"type":"hologram"}`), []string{part + ".type"}},
		{"chat/completions", message(`{"type":"text","type":"file"}`), []string{part + ".type", part + ".type"}},
		{"chat/completions", `{"messages":[{"role":"assistant","audio":{"id":"a"}}]}`, []string{"messages[0].audio"}},
		{"chat/completions", `{"messages":[{"content":"a","content":"b"}]}`, []string{"messages[0].content"}},
		{"messages", message(`{"type":"image","source":{"type":"url","url":"https://x"}}`), []string{part + ".source"}},
		{"messages", message(`{"type":"image","source":{"type":"file","file_id":"f"}}`), []string{part + ".source"}},
		{"messages", message(`{"type":"document","source":{"type":"base64","data":"AA"}}`), []string{part + ".source"}},
		{"messages", message(`{"type":"tool_result","content":[{"type":"image","source":{"type":"url"}}]}`), []string{part + ".content[0].source"}},
		{"messages", `{"fallbacks":[{"model":"a"},{"model":"b","max_tokens":9}]}`, []string{"fallbacks[1]"}},
		{"responses", `{"input":[{"type":"item_reference","id":"x"}]}`, []string{"input[0].type"}},
		{"responses", `{"input":[{"role":"user","content":[{"type":"input_file","file_url":"x"}]}]}`, []string{"input[0].content[0].file_url", "input[0].content[0].type"}},
		{"responses", `{"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":"http://x"}]}]}`, []string{"input[0].output[0].image_url"}},
		{"responses", `{"input":"x","previous_response_id":"r","prompt":{"id":"p"}}`, []string{"previous_response_id", "prompt"}},
		{"chat/completions", `{"plugins":[{"id":"web"},{"id":"x","enabled":false},{"id":"y","enabled":false,"enabled":true}]}`, []string{"plugins[0]", "plugins[2]"}},
		{"chat/completions", `{"preset":"p","web_search_options":{"a":1},"prediction":{"content":"x"},"modalities":["text","image"],"audio":{"voice":"a"}}`,
			[]string{"preset", "web_search_options", "prediction", "modalities", "audio"}},
		{"chat/completions", `{"web_search_options":{},"mcp_servers":[],"prediction":false,"audio":null}`, nil},
		{"chat/completions", `{"service_tier":"priority"}`, []string{"service_tier"}},
		{"messages", `{"speed":"fast","inference_geo":"us"}`, []string{"speed", "inference_geo"}},
		{"chat/completions", `{"provider":{"sort":"throughput"}}`, []string{"provider.sort"}},
		{"chat/completions", `{"provider":{"sort":{"by":"price"}}}`, []string{"provider.sort"}},
		{"chat/completions", `{"provider":{"only":["a"],"only":["b"]}}`, []string{"provider.only"}},
		{"chat/completions", `{"provider":{"max_price":{"prompt":1,"prompt":2}}}`, []string{"provider.max_price"}},
		{"chat/completions", `{"model":"a","model":"b"}`, []string{"model"}},
		{"chat/completions", `{"max_tokens":1,"max_tok\u0065ns":2}`, []string{"max_tokens"}},
		{"chat/completions", `{"model":7,"models":"a","n":1.5}`, []string{"model", "models", "n"}},
		{"messages", `{"tools":[{"type":"function"},{"type":"bash_20250124"},{"type":"web_search_20250305","max_uses":3}]}`, nil},
		{"messages", `{"tools":[{"type":"web_search_20250305"},{"type":"web_fetch_20250910","max_uses":3},{"type":"code_execution_20250825"}]}`, []string{"tools[0]", "tools[1]", "tools[2]"}},
		{"chat/completions", `{"tools":[{"type":"openrouter:web_search","parameters":{"max_results":3}}]}`, []string{"tools[0]"}},
		{"chat/completions", `{"tools":[{"type":"function","type":"mcp"},{"type":9}]}`, []string{"tools[0].type", "tools[1]"}},
		{"batches", `{"model":"a"}`, []string{"the endpoint"}},
		{"decisions", `{"model":"a"}`, []string{"the endpoint"}},
		{"never/heard/of", `{"model":"a"}`, []string{"the endpoint"}},
	} {
		f := readFacts(t, c.class, c.body)
		assert.Equal(t, c.want, fields(&f), c.body)
		for _, u := range f.Unbounded {
			assert.NotEmpty(t, u.Reason)
			assert.NotEmpty(t, u.Remedy, u.Field)
		}
	}
}

func TestAnotherModelMayServeWhereNamesAreNotAll(t *testing.T) {
	for body, want := range map[string]bool{
		`{"model":"a/m","models":["a/n"]}`: false, `{"models":["a/n"]}`: false, `{}`: true, `{"model":null}`: true,
		`{"model":"a/m","model":"a/n"}`: true, `{"model":"a/m","preset":"p"}`: true, `{"model":5}`: true, `{"model":"a/m","models":"a"}`: true,
		`{"model":"openrouter/auto"}`: true, `{"model":"a/m","models":["b@preset/p"]}`: true, `{"model":"a/m","models":[5]}`: true,
	} {
		f := readFacts(t, "chat/completions", body)
		_, anyModel := f.Models()
		assert.Equal(t, want, anyModel, body)
	}
	f := readFacts(t, "chat/completions", `{"model":"a/m","models":["a/n","a/o"]}`)
	models, _ := f.Models()
	assert.Equal(t, []string{"a/m", "a/n", "a/o"}, models)
}

func TestALimitCountsOnlyWhereTheEndpointHonoursIt(t *testing.T) {
	for _, c := range []struct {
		class, body string
		want        int64 // 0: none
	}{
		{"chat/completions", `{"max_tokens":5}`, 5},
		{"chat/completions", `{"max_completion_tokens":5,"max_tokens":null}`, 5},
		{"chat/completions", `{"max_output_tokens":5}`, 0},
		{"chat/completions", `{"max_tokens":5,"max_completion_tokens":"7"}`, 0},
		{"chat/completions", `{"max_tokens":0}`, 0},
		{"chat/completions", `{"max_tokens":-5}`, 0},
		{"chat/completions", `{"max_tokens":1e9}`, 0},
		{"completions", `{"max_completion_tokens":5}`, 0},
		{"messages", `{"max_tokens":5}`, 5},
		{"responses", `{"max_tokens":5}`, 0},
		{"responses", `{"max_output_tokens":5}`, 5},
	} {
		f := readFacts(t, c.class, c.body)
		assert.Equal(t, accounting.Optional[int64]{Value: c.want, Known: c.want > 0}, f.MaxTokens, c.body)
	}
}

func TestPromptsAndUnitsAreCounted(t *testing.T) {
	for _, c := range []struct {
		class, body       string
		prompts, messages int
	}{
		{"completions", `{"prompt":"a"}`, 1, 1},
		{"completions", `{"prompt":["a","b","c"]}`, 3, 3},
		{"completions", `{"prompt":[1,2,3]}`, 1, 1},
		{"completions", `{"prompt":[[1,2],[3]]}`, 2, 2},
		{"embeddings", `{"input":["a","b"]}`, 2, 2},
		{"embeddings", `{"input":[{"content":[{"type":"text","text":"x"}]}]}`, 1, 1},
		{"responses", `{"input":"a"}`, 0, 1},
		{"responses", `{"input":[{"role":"user","content":"x"},{"type":"function_call_output","output":"y"}]}`, 0, 2},
		{"messages", `{"system":[{"type":"text","text":"x"}],"messages":[{"content":"x"}]}`, 0, 2},
	} {
		f := readFacts(t, c.class, c.body)
		assert.Empty(t, f.Unbounded, c.body)
		assert.EqualValues(t, c.prompts, f.Prompts, c.body)
		assert.Equal(t, c.messages, f.Messages, c.body)
	}
	f := readFacts(t, "embeddings", `{"input":[{"content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}`)
	assert.Equal(t, []string{"input[0].content[0].image_url"}, fields(&f))
	assert.True(t, f.NoCompletion)
	f = readFacts(t, "images", `{"model":"a","prompt":"x","n":4}`)
	assert.True(t, f.Units)
	assert.EqualValues(t, 4, f.N)
	body := `{"query":"x","documents":["` + strings.Repeat(`a","`, 200) + `"]}`
	f = readFacts(t, "rerank", body)
	assert.True(t, f.Units)
	assert.EqualValues(t, (201+len(body))/100+1, f.N)
}

func TestABodyThatIsNoJSONObjectHasNoFacts(t *testing.T) {
	for _, body := range []string{"", "null", "[]", `"x"`, `{`, `{"a`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1}}`, `{"a" 1}`, `{"a":1 "b":2}`,
		`{"messages":[`, `{"messages":[1 2]}`, `{"messages":[{"content":[}]}]}`, `{"model":"x\`, `{"a":"\"}`, `{"max_tokens":}`, `{"messages":[,]}`,
		`{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, `{"messages":` + strings.Repeat(`[{"content":`, 300)} {
		f, err := ReadFacts(classOf("chat/completions"), []byte(body))
		require.Error(t, err, body)
		assert.Equal(t, accounting.RequestFacts{}, f)
	}
	_, err := ReadFacts(classOf("chat/completions"), []byte(`{"messages":"my secret plan" x}`))
	assert.NotContains(t, err.Error(), "secret")
}

func TestHostileBodiesNameFewProblems(t *testing.T) {
	f := readFacts(t, "chat/completions", `{"messages":[`+strings.Repeat(`{"content":[{"image_url":"http://x"}]},`, 5000)+`{}]}`)
	assert.Len(t, f.Unbounded, maxProblems)
	deep := strings.Repeat(`[{"content":`, 60) + `[{"image_url":"x"}]` + strings.Repeat(`}]`, 60)
	f = readFacts(t, "chat/completions", `{"messages":`+deep+`}`)
	require.Len(t, f.Unbounded, 1)
	assert.Contains(t, f.Unbounded[0].Field, "….image_url")
	f = readFacts(t, "chat/completions", `{"provider":{"only":["a",5],"ignore":"b"},"models":["`+strings.Repeat(`a","`, 100)+`"]}`)
	assert.Empty(t, f.Provider.Only, "a list that cannot be read restricts nothing")
	assert.Len(t, f.Fallbacks, maxNames)
	assert.NotEmpty(t, f.Unbounded)
}
