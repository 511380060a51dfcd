package openroutertest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
)

func TestFreeEndpointsMakeNoGeneration(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for path, body := range map[string]string{
		"/api/v1/models": "", "/api/v1/models?output_modalities=all": "", "/api/v1/models/count": "", "/api/v1/providers": "",
		"/api/v1/models/anthropic/claude-sonnet-4.6/endpoints": "", "/api/v1/model/openai/gpt-4o-mini": "",
		"/api/v1/key": "", "/api/v1/auth/key": "", "/api/v1/credits": "", "/api/v1/keys": "", "/api/v1/activity": "",
		"/api/v1/messages/count_tokens?beta=true": `{"messages":[]}`,
		"/api/v1/presets/p/chat/completions":      `{"model":"openai/gpt-4o-mini"}`,
		"/api/v1/presets/p/messages":              `{}`,
		"/api/v1/generation/feedback":             `{}`,
		"/api/v1/analytics/query":                 `{"metrics":["total_usage"]}`,
	} {
		response, answer := f.do(path, body)
		if response.StatusCode != http.StatusOK || !json.Valid(answer) || response.Header.Get("X-Generation-Id") != "" {
			t.Errorf("%s: %d %v %s", path, response.StatusCode, response.Header, answer)
		}
	}
	for path, body := range map[string]string{
		"/api/v1/nowhere": "", "/api/v1//chat/completions": `{}`, "/v1/chat/completions": `{}`, "/": "",
		"/api/v1/chat/completions": "", "/api/v1/generation?id=gen-unknown": "", "/api/v1/models/a/b/endpoints": "",
	} {
		if response, answer := f.do(path, body); response.StatusCode != http.StatusNotFound || !json.Valid(answer) {
			t.Errorf("%s: %d %s", path, response.StatusCode, answer)
		}
	}
	if bills := f.Ledger(); len(bills) != 0 {
		t.Errorf("bills %+v", bills)
	}
}

func TestPricesAreDecimalStrings(t *testing.T) {
	f := start(t, openroutertest.Options{})
	_, body := f.do("/api/v1/models", "")
	var models struct {
		Data []struct {
			ID      string
			Pricing map[string]any
		}
	}
	if err := json.Unmarshal(body, &models); err != nil {
		t.Fatal(err)
	}
	prices := map[string]any{}
	for _, m := range models.Data {
		prices[m.ID] = m.Pricing["prompt"]
	}
	for id, want := range map[string]string{
		"anthropic/claude-sonnet-4.6": "0.000003", "deepseek/deepseek-nano": "0.0000000004",
		"meta-llama/llama-3.3-70b-instruct:free": "0", "openrouter/auto": "-1",
	} {
		if prices[id] != want {
			t.Errorf("%s costs %v, want %s", id, prices[id], want)
		}
	}
	if _, listed := prices["google/veo-3.1"]; listed {
		t.Error("a video model stands among those that write text")
	}
}

func TestKeysMayDoWhatTheirKindMay(t *testing.T) {
	f := start(t, openroutertest.Options{Keys: []string{key}, ManagementKeys: []string{"sk-or-v1-manager"}})
	for _, c := range []struct {
		key, path, body string
		want            int
	}{
		{key, "/api/v1/chat/completions", `{}`, 200}, {"", "/api/v1/chat/completions", `{}`, 401},
		{"sk-or-v1-unknown", "/api/v1/chat/completions", `{}`, 401}, {"sk-or-v1-manager", "/api/v1/chat/completions", `{}`, 403},
		{key, "/api/v1/activity", "", 403}, {"sk-or-v1-manager", "/api/v1/activity", "", 200},
		{key, "/api/v1/key", "", 200}, {key, "/api/v1/credits", "", 403}, {"", "/api/v1/models", "", 200},
	} {
		response, body := f.do(c.path, c.body, "Authorization: Bearer "+c.key)
		if response.StatusCode != c.want {
			t.Errorf("%q %s: %d, want %d: %s", c.key, c.path, response.StatusCode, c.want, body)
		}
	}
	response, _ := f.do("/api/v1/messages", `{}`, "Authorization: ", "X-Api-Key: "+key)
	if response.StatusCode != http.StatusOK {
		t.Errorf("x-api-key: %d", response.StatusCode)
	}
}

func TestTheAccountAddsUpToTheLedger(t *testing.T) {
	yesterday := time.Now().UTC().AddDate(0, 0, -1)
	now := yesterday
	f := start(t, openroutertest.Options{Now: func() time.Time { return now }, Keys: []string{key}})
	for _, name := range []string{"chat", "chat stream", "rerank", "text", "intern"} {
		f.do(calls[name].path, calls[name].body)
	}
	f.behave("byok", calls["chat"].path, calls["chat"].body)
	total := f.Total()

	_, activity := f.do("/api/v1/activity", "")
	if dig(t, activity, "data") == nil || bytes.Contains(activity, []byte(`"date"`)) {
		t.Errorf("today is not over, yet: %s", activity)
	}
	now = time.Now()
	_, activity = f.do("/api/v1/activity?date="+yesterday.Format(time.DateOnly)+"&api_key_hash="+accounting.Fingerprint(key), "")
	sum := amount(t, "0")
	var items struct {
		Data []struct{ Usage, Requests json.Number }
	}
	if err := json.Unmarshal(activity, &items); err != nil {
		t.Fatal(err)
	}
	for _, item := range items.Data {
		sum = sum.Add(amount(t, string(item.Usage)))
	}
	if !sum.Equal(total) || len(items.Data) != 5 {
		t.Errorf("activity sums to %s over %d items, the ledger to %s", sum, len(items.Data), total)
	}
	for path, field := range map[string]string{"/api/v1/credits": "total_usage", "/api/v1/key": "usage"} {
		_, body := f.do(path, "")
		var doc struct{ Data map[string]json.RawMessage }
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatal(err)
		}
		if got := amount(t, string(doc.Data[field])); !got.Equal(total) {
			t.Errorf("%s says %s, the ledger %s", path, got, total)
		}
	}
	_, body := f.do("/api/v1/analytics/query", `{"metrics":["total_usage","request_count"],"dimensions":["generation_id"]}`)
	for _, b := range f.Ledger() {
		if row := fmt.Sprintf(`{"generation_id":%q,"total_usage":%q,"request_count":"1"}`, b.ID, b.Cost.String()); !bytes.Contains(body, []byte(row)) {
			t.Errorf("no %s in %s", row, body)
		}
	}
}

func TestAnEqualRequestHitsTheResponseCache(t *testing.T) {
	f := start(t, openroutertest.Options{})
	call := calls["chat"]
	first, _ := f.do(call.path, call.body, "X-OpenRouter-Cache: true")
	second, _ := f.do(call.path, call.body, "X-OpenRouter-Cache: true")
	other, _ := f.do(call.path, call.body+" ", "X-OpenRouter-Cache: true")
	for n, response := range []string{first.Header.Get("X-OpenRouter-Cache-Status"), second.Header.Get("X-OpenRouter-Cache-Status"), other.Header.Get("X-OpenRouter-Cache-Status")} {
		if want := []string{"MISS", "HIT", "MISS"}[n]; response != want {
			t.Errorf("request %d: %s, want %s", n+1, response, want)
		}
	}
	source, id := first.Header.Get("X-Generation-Id"), second.Header.Get("X-Generation-Id")
	if second.Header.Get("X-OpenRouter-Cache-Source-Id") != source || id == source {
		t.Errorf("headers %v", second.Header)
	}
	if bill, ok := f.Bill(id); !ok || !bill.Cost.IsZero() || bill.PromptTokens != 0 {
		t.Errorf("bill %+v", bill)
	}
}
