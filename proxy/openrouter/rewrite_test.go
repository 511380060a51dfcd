package openrouter

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestOnlyTheModelIsReplaced(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","x":[1, 2]}`:                           `{"model":"b/c","x":[1, 2]}`,
		"{ \"x\" : {\"model\":\"n\"},\n\"model\" :  \"a\" }": "{ \"x\" : {\"model\":\"n\"},\n\"model\" :  \"b/c\" }",
		`{"mod\u0065l":null}`:                                `{"mod\u0065l":"b/c"}`,
		`{"x":1}`:                                            `{"model":"b/c","x":1}`,
		` { } `:                                              ` {"model":"b/c" } `,
	} {
		got, err := ReplaceModel([]byte(body), "b/c")
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	got, err := ReplaceModel([]byte(`{"model":"a"}`), "b\"\n")
	require.NoError(t, err)
	assert.JSONEq(t, `{"model":"b\"\n"}`, string(got))
	for _, body := range []string{`{"model":"a","model":"b"}`, `[]`, ``, `{"model":`, `{"model":"a"} x`} {
		_, err := ReplaceModel([]byte(body), "b/c")
		assert.Error(t, err, body)
	}
}

var someLimit = MaxPrice{Prompt: decimal.RequireFromString("3.75"), Completion: decimal.RequireFromString("15"), MaxTokens: 100}

func TestAHighestPriceIsAddedWhereNoneIsAsLow(t *testing.T) {
	const prices = `{"prompt":3.75,"completion":15}`
	for _, c := range [][3]string{
		{"chat/completions", `{"model":"a","max_tokens":5}`, `{"provider":{"max_price":` + prices + `},"model":"a","max_tokens":5}`},
		{"chat/completions", `{"model":"a"}`, `{"provider":{"max_price":` + prices + `},"max_tokens":100,"model":"a"}`},
		{"chat/completions", `{}`, `{"provider":{"max_price":` + prices + `},"max_tokens":100}`},
		{"chat/completions", `{"max_tokens": null, "provider": null}`, `{"max_tokens": 100, "provider": {"max_price":` + prices + `}}`},
		{"chat/completions", `{"max_completion_tokens":7,"provider":{}}`, `{"max_completion_tokens":7,"provider":{"max_price":` + prices + `}}`},
		{"chat/completions", `{"max_tokens":7,"provider":{ "only":["a"]}}`, `{"max_tokens":7,"provider":{"max_price":` + prices + `, "only":["a"]}}`},
		{"chat/completions", `{"max_tokens":7,"provider":{"max_price":{}}}`, `{"max_tokens":7,"provider":{"max_price":{"prompt":3.75,"completion":15}}}`},
		{"chat/completions", `{"max_tokens":7,"provider":{"max_price":{"prompt":"1","request":2}}}`, `{"max_tokens":7,"provider":{"max_price":{"completion":15,"prompt":"1","request":2}}}`},
		{"chat/completions", `{"max_tokens":7,"provider":{"max_price":{"completion": 15.0,"prompt": 4}}}`, `{"max_tokens":7,"provider":{"max_price":{"completion": 15.0,"prompt": 3.75}}}`},
		{"chat/completions", `{"max_tokens":7,"provider":{"max_price":{"completion":null,"prompt":"much"}}}`, `{"max_tokens":7,"provider":{"max_price":{"completion":15,"prompt":3.75}}}`},
		{"responses", `{"max_tokens":7}`, `{"provider":{"max_price":` + prices + `},"max_output_tokens":100,"max_tokens":7}`},
		{"messages", `{"max_tokens":7}`, `{"provider":{"max_price":` + prices + `},"max_tokens":7}`},
		{"embeddings", `{"input":"x"}`, `{"provider":{"max_price":` + prices + `},"input":"x"}`},
	} {
		got, err := AddMaxPrice(classOf(c[0]), []byte(c[1]), someLimit)
		require.NoError(t, err, c[1])
		assert.Equal(t, c[2], string(got))
		assert.True(t, json.Valid(got))
	}
	for _, body := range []string{`[]`, `{"provider":{},"provider":{}}`, `{"provider":"a"}`, `{"provider":{"max_price":3}}`,
		`{"provider":{"max_price":{"prompt":1,"prompt":2}}}`, `{"provider":{"max_price":1,"max_price":2}}`, `{"max_tokens":1,"max_tokens":2}`} {
		_, err := AddMaxPrice(classOf("chat/completions"), []byte(body), someLimit)
		assert.Error(t, err, body)
	}
}

func FuzzRewritingChangesTheNamedValuesOnly(f *testing.F) {
	for _, seed := range factsSeeds {
		f.Add([]byte(seed))
	}
	class := classOf("chat/completions")
	f.Fuzz(func(t *testing.T, body []byte) {
		before, ok := tree(body)
		replaced, err := ReplaceModel(body, "b/c")
		priced, errPriced := AddMaxPrice(class, body, someLimit)
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("a valid body was refused: %v", err)
		}
		after, ok := tree(replaced)
		want := maps.Clone(before)
		want["model"] = "b/c"
		if !ok || !reflect.DeepEqual(want, after) {
			t.Fatalf("%s became %s", body, replaced)
		}
		if errPriced != nil {
			return // provider is no object
		}
		if after, ok = tree(priced); !ok {
			t.Fatalf("%s became %s", body, priced)
		}
		facts, err := ReadFacts(class, priced)
		if err != nil || above(facts.Provider.MaxPromptPrice, someLimit.Prompt) || above(facts.Provider.MaxCompletionPrice, someLimit.Completion) {
			t.Fatalf("%s has no highest price: %v", priced, err)
		}
		if before["max_tokens"] == nil && before["max_completion_tokens"] == nil && facts.MaxTokens.Value != someLimit.MaxTokens {
			t.Fatalf("%s has no limit", priced)
		}
		delete(after, "max_tokens")
		delete(before, "max_tokens")
		forgetMaxPrice(before)
		forgetMaxPrice(after)
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%s became %s", body, priced)
		}
	})
}

func above(price accounting.Optional[decimal.Decimal], limit decimal.Decimal) bool {
	return !price.Known || price.Value.GreaterThan(limit)
}

// forgetMaxPrice takes away what AddMaxPrice may have put there.
func forgetMaxPrice(top map[string]any) {
	provider, _ := top["provider"].(map[string]any)
	if highest, ok := provider["max_price"].(map[string]any); ok {
		delete(highest, "prompt")
		delete(highest, "completion")
		if len(highest) == 0 {
			delete(provider, "max_price")
		}
	} else if provider["max_price"] == nil {
		delete(provider, "max_price")
	}
	if len(provider) == 0 {
		delete(top, "provider")
	}
}
