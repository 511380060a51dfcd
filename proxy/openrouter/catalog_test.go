package openrouter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
	"bursar/proxy/openrouter"
	"bursar/proxy/openrouter/openroutertest"
)

func startFake(t *testing.T, opts openroutertest.Options) *openroutertest.Instance {
	t.Helper()
	fake, err := openroutertest.Start(opts, openroutertest.HTTP1)
	require.NoError(t, err)
	t.Cleanup(func() { fake.Close() })
	return fake
}

func TestPriceListsAreReadToTheLastDigitWithoutAKey(t *testing.T) {
	client := clientAt(t, startFake(t, openroutertest.Options{Keys: []string{inferenceKey}}).URL)
	models, err := client.Models(t.Context(), "")
	require.NoError(t, err)
	catalog := accounting.NewCatalog(models)
	minimax := catalog.Model("minimax/minimax-m2")
	require.NotNil(t, minimax)
	assert.Equal(t, "0.00000025833333333333333", minimax.Top.Prices.Rates[accounting.PricePrompt].Value.String())
	assert.NotNil(t, catalog.Model("openai/text-embedding-3-small"), "models that write no text are listed too")
	auto := catalog.Model("openrouter/auto")
	assert.Len(t, auto.Top.Prices.Others, 2, "-1 is no price")

	m, err := client.Endpoints(t.Context(), inferenceKey, "anthropic/claude-sonnet-4.6")
	require.NoError(t, err)
	assert.Equal(t, "anthropic/claude-sonnet-4.6", m.Slug)
	require.Len(t, m.Endpoints, 2)
	first := m.Endpoints[0]
	assert.Equal(t, [2]string{"Anthropic", "anthropic"}, [2]string{first.Provider, first.Tag})
	assert.Equal(t, accounting.Some(int64(1000000)), first.ContextLength)
	assert.Equal(t, accounting.Some(int64(64000)), first.MaxCompletionTokens)
	assert.False(t, first.MaxPromptTokens.Known)
	assert.Equal(t, "0.00000375", first.Prices.Rates[accounting.PriceInputCacheWrite].Value.String())
	assert.Equal(t, "0.000006", first.Prices.Rates[accounting.PriceInputCacheWrite1h].Value.String())
	require.Len(t, first.Prices.Overrides, 1)
	assert.EqualValues(t, 200000, first.Prices.Overrides[0].MinPromptTokens)
	assert.Equal(t, "0.0000225", first.Prices.Overrides[0].Rates[accounting.PriceCompletion].Value.String())

	_, err = client.Endpoints(t.Context(), "", "nobody/nothing")
	var refused *accounting.LookupError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusNotFound, refused.Status)
	for _, slug := range []string{"", "a", "/a", "a/", "a/b/../../keys"} {
		_, err := client.Endpoints(t.Context(), "", slug)
		assert.ErrorContains(t, err, "want a name like author/model", slug)
	}
}

func answering(t *testing.T, body string) *openrouter.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
	t.Cleanup(server.Close)
	return clientAt(t, server.URL)
}

func TestListsAreReadLenientlyAndPricesAreNotGuessed(t *testing.T) {
	client := answering(t, `{"data":{"new":1,"endpoints":[
		{"provider_name":"P","tag":"p/fp8","context_length":"1000","max_completion_tokens":null,"status":-2,"new":[1],
		 "pricing":{"prompt":0.000001,"completion":"2e-6","image":null,"request":"-1","input_cache_read":"cheap","moon_phase":"0.5","free_lunch":"0","currency":"USD","notes":{"a":1},
			"discount":0.25,"overrides":[{"utc_start":"16:30","utc_end":"00:30","prompt":"-1"},7]}},
		{"provider_name":7,"pricing":"free"}, null]}}`)
	m, err := client.Endpoints(t.Context(), "", "a/m")
	require.NoError(t, err)
	require.Len(t, m.Endpoints, 3)
	e := m.Endpoints[0]
	assert.Equal(t, accounting.Some(int64(1000)), e.ContextLength)
	assert.EqualValues(t, -2, e.Status)
	p := e.Prices
	assert.Equal(t, "0.000001", p.Rates[accounting.PricePrompt].Value.String())
	assert.Equal(t, "0.000002", p.Rates[accounting.PriceCompletion].Value.String())
	assert.False(t, p.Rates[accounting.PriceImage].Known)
	assert.Equal(t, "0.25", p.Discount.Value.String())
	var others []string
	for _, other := range p.Others {
		others = append(others, fmt.Sprintf("%s %s %t", other.Name, other.Price.Value, other.Price.Known))
	}
	assert.Equal(t, []string{"input_cache_read 0 false", "moon_phase 0.5 true", "request 0 false"}, others)
	require.Len(t, p.Overrides, 2)
	assert.Equal(t, "16:30", p.Overrides[0].UTCStart)
	assert.Equal(t, "prompt", p.Overrides[0].Others[0].Name)
	assert.Equal(t, accounting.Endpoint{}, m.Endpoints[2], "an offer that cannot be read stays, without a price")

	models, err := answering(t, `{"data":[5,{"id":"~a/latest","alias_target":"a/m"},{"id":"~a/new","alias_target":{"id":"a/n"}},{"name":"nameless"},
		{"id":"a/m","context_length":9,"top_provider":{"context_length":null}}]}`).Models(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, models, 3)
	assert.Equal(t, [2]string{"a/m", "a/n"}, [2]string{models[0].AliasOf, models[1].AliasOf})
	assert.Equal(t, accounting.Some(int64(9)), models[2].Top.ContextLength)
	for _, body := range []string{`{"data":[]}`, `{"data":{}}`, `{}`, `[]`} {
		_, err := answering(t, body).Models(t.Context(), "")
		assert.Error(t, err, body)
	}
}

// TestTheFakesBillNeverExceedsTheBound sends requests of many shapes to the
// fake OpenRouter and compares its ledger with the bound from its own list.
func TestTheFakesBillNeverExceedsTheBound(t *testing.T) {
	fake := startFake(t, openroutertest.Options{Keys: []string{inferenceKey}, Choose: func(_ *http.Request, body []byte) openroutertest.Behavior {
		eighth := int64(len(body) / 8)
		return openroutertest.Behavior{CacheWriteTokens: eighth, CachedTokens: eighth, Chunks: 1 + len(body)%40, AlwaysTools: len(body)%7 == 0}
	}})
	client := clientAt(t, fake.URL)
	slugs := []string{"anthropic/claude-sonnet-4.6", "openai/gpt-5-mini", "google/gemini-2.5-flash", "minimax/minimax-m2",
		"deepseek/deepseek-nano", "meta-llama/llama-3.3-70b-instruct:free", "openai/text-embedding-3-small"}
	var models []accounting.Model
	for _, slug := range slugs {
		m, err := client.Endpoints(t.Context(), "", slug)
		require.NoError(t, err)
		models = append(models, m)
	}
	catalog := accounting.NewCatalog(models)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"chat/completions", "messages", "responses", "completions", "embeddings"}).Draw(rt, "endpoint")
		slug := rapid.SampledFrom(slugs[:6]).Draw(rt, "model")
		if name == "embeddings" {
			slug = slugs[6]
		}
		body := drawBody(rt, name, slug)
		class := openrouter.Classify(http.MethodPost, "/api/v1/"+name)
		facts, err := openrouter.ReadFacts(class, body)
		require.NoError(rt, err)
		bound, err := accounting.Bound(&facts, catalog, class.Name)
		require.NoError(rt, err, string(body))

		request, err := http.NewRequest(http.MethodPost, fake.URL+"/api/v1/"+name, bytes.NewReader(body))
		require.NoError(rt, err)
		request.Header.Set("Authorization", "Bearer "+inferenceKey)
		response, err := http.DefaultClient.Do(request)
		require.NoError(rt, err)
		defer response.Body.Close()
		require.Equal(rt, http.StatusOK, response.StatusCode)
		var drained bytes.Buffer
		_, err = drained.ReadFrom(response.Body)
		require.NoError(rt, err)
		bills := fake.Ledger()
		bill := bills[len(bills)-1]
		if bill.Cost.GreaterThan(bound) {
			rt.Fatalf("%s costs %s, above the bound of %s: %s", slug, bill.Cost, bound, body)
		}
		if free := strings.HasSuffix(slug, ":free"); free != bound.IsZero() {
			rt.Fatalf("the bound of %s is %s", slug, bound)
		}
	})
}

func drawBody(t *rapid.T, endpoint, slug string) []byte {
	text := rapid.StringN(0, 400, -1)
	body := map[string]any{"model": slug, "stream": rapid.Bool().Draw(t, "stream")}
	turns := make([]any, rapid.IntRange(1, 3).Draw(t, "turns"))
	for i := range turns {
		turns[i] = map[string]any{"role": "user", "content": []any{map[string]any{"type": "text", "text": text.Draw(t, "text")}}}
	}
	limit := "max_tokens"
	switch endpoint {
	case "responses":
		body["input"], limit = turns, "max_output_tokens"
	case "completions":
		body["prompt"] = text.Draw(t, "prompt")
	case "embeddings":
		body["input"] = []string{text.Draw(t, "first"), text.Draw(t, "second")}
	default:
		body["messages"] = turns
		if rapid.Bool().Draw(t, "tools") {
			body["tools"] = []any{map[string]any{"type": "function", "function": map[string]any{"name": "f", "parameters": map[string]any{"type": "object"}}}}
		}
	}
	if rapid.Bool().Draw(t, "limited") && endpoint != "embeddings" {
		body[limit] = rapid.IntRange(1, 50).Draw(t, "limit")
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzPriceListsCannotBreakTheReader(f *testing.F) {
	f.Add([]byte(`{"data":[{"id":"a/m","pricing":{"prompt":"1e-6","completion":"-1","overrides":[{"min_prompt_tokens":5,"prompt":"2"}]}}]}`))
	f.Add([]byte(`{"data":{"endpoints":[{"tag":"p\u0000","pricing":{"prompt":1,"x\u0000":2,"x":-1}}]}}`))
	f.Add([]byte(`{"data":{"endpoints":[{"tag":"p","context_length":1e3,"pricing":{"prompt":1,"x":"9e999"}}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		client := openrouter.NewClient(&url.URL{Scheme: "http", Host: "openrouter.test"}, canned(body))
		if models, err := client.Models(t.Context(), ""); err == nil {
			for m := range accounting.NewCatalog(models).Models() {
				if m.Slug == "" {
					t.Fatal("a model without a name")
				}
				checkPrices(t, &m.Top.Prices)
			}
		}
		if m, err := client.Endpoints(t.Context(), "", "a/m"); err == nil {
			for i := range m.Endpoints {
				checkPrices(t, &m.Endpoints[i].Prices)
			}
			facts := accounting.RequestFacts{Model: "a/m", TextBytes: 1000}
			if usd, err := accounting.Bound(&facts, accounting.NewCatalog([]accounting.Model{m}), ""); err == nil && usd.IsNegative() {
				t.Fatalf("a bound of %s", usd)
			}
		}
	})
}

// canned answers everything with itself.
type canned []byte

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(c))}, nil
}

// checkPrices: what is read survives being stored.
func checkPrices(t *testing.T, p *accounting.Prices) {
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	require.NotContains(t, string(raw), `\u0000`, "PostgreSQL takes none")
	var back accounting.Prices
	require.NoError(t, json.Unmarshal(raw, &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(raw), string(again))
}
