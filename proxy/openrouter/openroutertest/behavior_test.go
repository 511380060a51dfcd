package openroutertest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bursar/proxy/openrouter/openroutertest"
)

// harmless are behaviors that change how an answer is sent, not what it says.
var harmless = []string{
	"ok", "crlf", "cr", "bom", "multi-line", "comments", "event-names", "dribble", "split", "no-done",
	"usage-repeats-finish", "usage-empty-delta", "usage-no-choices", "usage-twice", "usage-growing",
	"decoy-text", "decoy-tool", "decoy-nested", "escaped-keys", "usage-first", "tool",
	"trickle", "declare", "early-hints", "trailers", "identity", "delay=1ms", "interval=1us", "chunks=3,chunk-size=1kb",
	"cost-plain", "cost-scientific", "cost-capital", "cost-padded", "cost-17-digits", "cost-exponent", "cost-tiny",
	"cost-zero", "cost-zero-point", "cost-whole", "cost=0.12", "cached=2", "cache-write=3", "reasoning=900",
	"byok", "byok-fee", "no-is-byok", "server-tools", "discount", "cache-hit", "id-in-header", "id-in-body",
	"size=64kb", "crlf,comments,multi-line,split,decoy-text,escaped-keys,usage-first,bom",
}

func TestHarmlessBehaviorsTellTheBilledCost(t *testing.T) {
	for _, behavior := range harmless {
		t.Run(behavior, func(t *testing.T) {
			t.Parallel()
			f := start(t, openroutertest.Options{})
			for name, call := range calls {
				if behavior == "id-in-body" && (strings.HasPrefix(name, "images") || name == "transcription") {
					continue // their bodies have no id: nothing would name the bill
				}
				response, body := f.behave(behavior, call.path, call.body)
				id, usage := told(t, response, body)
				if header := response.Header.Get("X-Generation-Id"); header != "" {
					id = header
				}
				bill, ok := f.Bill(id)
				if !ok {
					t.Fatalf("%s: no bill for %q: %s", name, id, body)
				}
				if usage == nil || usage.Cost == nil {
					t.Fatalf("%s: no cost: %s", name, body)
				}
				if string(*usage.Cost) != bill.CostLiteral || !amount(t, bill.CostLiteral).Equal(bill.Cost) {
					t.Errorf("%s: told %s, billed %s (%s)", name, *usage.Cost, bill.CostLiteral, bill.Cost)
				}
			}
		})
	}
}

// shows are behaviors of a chat stream with something that only they do.
var shows = map[string]func(t *testing.T, body string){
	"crlf":                 contains("}\r\n\r\ndata: {"),
	"cr":                   contains("}\r\rdata: {"),
	"bom":                  contains("\uFEFF: OPENROUTER PROCESSING"),
	"multi-line":           contains("data: {\ndata:  \"id\""),
	"comments":             contains("\n: inside an event\ndata: "),
	"event-names":          contains("event: message\ndata: "),
	"usage-no-choices":     contains(`"choices":[],"usage":{`),
	"usage-empty-delta":    contains(`"finish_reason":null,"native_finish_reason":null,"logprobs":null}],"usage":{`),
	"usage-repeats-finish": contains(`"finish_reason":"stop","native_finish_reason":"end_turn","logprobs":null}],"usage":{`),
	"usage-null-later":     contains(`"usage":null}`),
	"usage-twice":          times(2, `"usage":{`),
	"usage-growing":        times(2, `"usage":{`),
	"no-usage":             times(0, `"usage"`),
	"no-done":              times(0, "[DONE]"),
	"ok":                   times(1, "data: [DONE]\n\n"),
	"decoy-text":           contains(`\"usage\":{\"cost\":99`),
	"decoy-tool":           contains(`"tool_calls":[{`),
	"decoy-nested":         contains(`"usage":{"cost":99,"is_byok":true`),
	"escaped-keys":         contains(`"\u0075s\u0061ge":{"prompt_tokens"`),
	"usage-first":          contains(`data: {"usage":{"prompt_tokens"`),
	"cost-null":            contains(`"cost":null,`),
	"cost-absent":          times(0, `"cost":`),
	"no-is-byok":           times(0, `"is_byok"`),
	"server-tools":         times(0, `"is_byok"`),
	"byok":                 contains(`"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.`),
	"cost=0.10":            contains(`"cost":0.10,`),
	"cost-exponent":        contains(`"cost":1.2e-7,`),
	"inline-cost=0.5":      contains(`"cost":0.5,`),
	"cache-hit":            contains(`"total_tokens":0,"cost":0,`),
	"id-in-header":         times(0, `"id":"gen-`),
	"id-nowhere":           times(0, `"id":"gen-`),
	"error-first":          contains(`"error":{"code":502`),
	"error-midway":         contains(`"finish_reason":"error"`),
	"error-midway-billed":  contains(`"finish_reason":"error","native_finish_reason":null,"logprobs":null}],"usage":{`),
	"chunks=7":             times(7+3, `"role":"assistant"`), // beside the pieces: first, finish, usage
	"size=2mb":             longer(2 << 20),
	"reasoning=900":        contains(`"reasoning_tokens":900`),
	"cached=5":             contains(`"cached_tokens":5`),
}

func contains(part string) func(*testing.T, string) {
	return func(t *testing.T, body string) {
		t.Helper()
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
}

func times(n int, part string) func(*testing.T, string) {
	return func(t *testing.T, body string) {
		t.Helper()
		if found := strings.Count(body, part); found != n {
			t.Errorf("%q stands there %d times, want %d:\n%s", part, found, n, body)
		}
	}
}

func longer(n int) func(*testing.T, string) {
	return func(t *testing.T, body string) {
		t.Helper()
		if len(body) < n {
			t.Errorf("%d bytes, want %d at least", len(body), n)
		}
	}
}

func TestABehaviorShowsInTheStream(t *testing.T) {
	f := start(t, openroutertest.Options{})
	call := calls["chat stream"]
	for behavior, check := range shows {
		t.Run(behavior, func(t *testing.T) {
			response, body := f.behave(behavior, call.path, call.body)
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", response.StatusCode, body)
			}
			check(t, string(body))
		})
	}
}

func TestAModelCanNameTheBehavior(t *testing.T) {
	f := start(t, openroutertest.Options{})
	_, body := f.do("/api/v1/chat/completions", `{"model":"fake/cost=0.25,crlf/google/gemini-2.5-flash","stream":true}`)
	if bill := f.only(); bill.CostLiteral != "0.25" || bill.ServedModel != "google/gemini-2.5-flash" || bill.Model != "fake/cost=0.25,crlf/google/gemini-2.5-flash" {
		t.Errorf("bill %+v", bill)
	}
	if !bytes.Contains(body, []byte("\r\n")) {
		t.Error("no CRLF")
	}
}

func TestChooseDecidesUnlessTheRequestDoes(t *testing.T) {
	f := start(t, openroutertest.Options{Choose: chooseCost})
	call := calls["chat"]
	f.do(call.path, call.body)
	f.behave("cost=0.2", call.path, call.body)
	bills := f.Ledger()
	if len(bills) != 2 || bills[0].CostLiteral != "0.1" || bills[1].CostLiteral != "0.2" {
		t.Errorf("bills %+v", bills)
	}
}

func TestAnUnknownBehaviorIsRefusedByName(t *testing.T) {
	f := start(t, openroutertest.Options{})
	response, body := f.behave("crlf,misspelt", "/api/v1/chat/completions", `{}`)
	if response.StatusCode != http.StatusBadRequest || !bytes.Contains(body, []byte("misspelt")) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	for _, bad := range []string{"cost=abc", "cost=-1", "size=big", "delay=5", "crlf=1", "chunks", "600"} {
		if _, err := openroutertest.ParseBehavior(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestTheDocumentationNamesEveryBehavior(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`[a-z0-9-]+=?`).FindAllString(string(doc), -1)
	for _, name := range openroutertest.BehaviorNames() {
		if !slices.Contains(words, name) {
			t.Errorf("doc.go does not name %q", name)
		}
	}
}

func TestErrorsComeInTheEndpointsEnvelopeAndAreNotBilled(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for _, status := range []string{"400", "401", "402", "403", "404", "408", "429", "500", "502", "503", "529"} {
		for name, key := range map[string]string{"chat": "error.metadata.error_type", "responses": "error_type", "messages": "error.error_type"} {
			response, body := f.behave(status, calls[name].path, calls[name].body)
			if got := response.Status[:3]; got != status {
				t.Errorf("%s: status %s, want %s", name, got, status)
			}
			if kind := dig(t, body, key); kind == nil {
				t.Errorf("%s %s: no %s in %s", status, name, key, body)
			}
			if id := response.Header.Get("X-Generation-Id"); id != "" {
				t.Errorf("%s %s: a refused request has the id %s", status, name, id)
			}
		}
	}
	response, _ := f.behave("429", calls["chat"].path, calls["chat"].body)
	reset := amount(t, response.Header.Get("X-RateLimit-Reset"))
	if response.Header.Get("Retry-After") != "2" || reset.LessThan(amount(t, "1000000000000")) {
		t.Errorf("429 comes with %v", response.Header)
	}
	response, body := f.behave("402,retry-after=30s", calls["chat"].path, calls["chat"].body)
	if response.Header.Get("Retry-After") != "30" || dig(t, body, "error.metadata.limit_source") != "openrouter_in_flight_budget" {
		t.Errorf("402 comes with %v %s", response.Header, body)
	}
	response, body = f.behave("cloudflare", calls["chat"].path, calls["chat"].body)
	if response.StatusCode != http.StatusForbidden || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || body[0] != '<' {
		t.Errorf("cloudflare: %d %v", response.StatusCode, response.Header)
	}
	response, _ = f.behave("500,error-id", calls["chat"].path, calls["chat"].body)
	if response.Header.Get("X-Generation-Id") == "" {
		t.Error("error-id: no id")
	}
	if bills := f.Ledger(); len(bills) != 0 {
		t.Errorf("errors were billed: %+v", bills)
	}
}

func TestAnErrorUnder200IsBilledZero(t *testing.T) {
	for name, call := range calls {
		f := start(t, openroutertest.Options{})
		response, body := f.behave("error-first", call.path, call.body)
		if bill := f.only(); response.StatusCode != http.StatusOK || !bill.Cost.IsZero() || bill.ID != response.Header.Get("X-Generation-Id") {
			t.Errorf("%s: status %d, bill %+v", name, response.StatusCode, bill)
		}
		if !bytes.Contains(body, []byte(`error`)) {
			t.Errorf("%s: no error in %s", name, body)
		}
	}
}

func TestABlankAnswerIsBilledZero(t *testing.T) {
	for name, want := range map[string]string{"chat": ".", "chat stream": ": OPENROUTER PROCESSING"} {
		f := start(t, openroutertest.Options{})
		response, body := f.behave("blank", calls[name].path, calls[name].body)
		if got := string(bytes.TrimSpace(body)); response.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %d %q", name, response.StatusCode, got)
		}
		if bill := f.only(); !bill.Cost.IsZero() || bill.ID != response.Header.Get("X-Generation-Id") {
			t.Errorf("%s: bill %+v", name, bill)
		}
	}
}

func TestFreeEndpointsCanFailToo(t *testing.T) {
	f := start(t, openroutertest.Options{Choose: func(r *http.Request, _ []byte) openroutertest.Behavior {
		if r.URL.Path == "/api/v1/models" {
			return openroutertest.Behavior{Status: 503}
		}
		return openroutertest.Behavior{}
	}})
	if response, _ := f.do("/api/v1/models", ""); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("models: %d", response.StatusCode)
	}
	if response, _ := f.do("/api/v1/credits", ""); response.StatusCode != http.StatusOK {
		t.Errorf("credits: %d", response.StatusCode)
	}
	if response, _ := f.behave("502,html", "/api/v1/messages/count_tokens", "{}"); response.StatusCode != http.StatusBadGateway {
		t.Errorf("count_tokens: %d", response.StatusCode)
	}
	if _, err := f.client.Do(f.request(t.Context(), "/api/v1/key", "", "X-Fake-Behavior: cut-before-headers")); err == nil {
		t.Error("key: an answer came")
	}
}

func TestAModelLeftOutIsTheFirstFallback(t *testing.T) {
	f := start(t, openroutertest.Options{})
	f.do("/api/v1/chat/completions", `{"models":["minimax/minimax-m2","openai/gpt-4o-mini"]}`)
	if bill := f.only(); bill.Model != "" || bill.ServedModel != "minimax/minimax-m2" {
		t.Errorf("bill %+v", bill)
	}
}

func TestAnErrorMidwayIsBilledForTheTokensSoFar(t *testing.T) {
	for _, name := range []string{"chat stream", "text stream", "resp. stream", "mess. stream"} {
		f := start(t, openroutertest.Options{})
		response, body := f.behave("error-midway-billed,chunks=20,fault-after=5", calls[name].path, calls[name].body)
		_, usage := told(t, response, body)
		bill := f.only()
		if bill.CompletionTokens != 5 || !bill.Cost.IsPositive() || bill.Cancelled {
			t.Errorf("%s: bill %+v", name, bill)
		}
		if usage == nil || usage.Cost == nil || string(*usage.Cost) != bill.CostLiteral {
			t.Errorf("%s: told %+v, billed %s", name, usage, bill.CostLiteral)
		}
	}
}

func TestWhiteSpaceTricklesBeforeTheJSON(t *testing.T) {
	f := start(t, openroutertest.Options{})
	call := calls["chat"]
	response, err := f.client.Do(f.request(t.Context(), call.path, call.body, "X-Fake-Behavior: trickle=3,trickle-interval=20ms"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 10)
	began := time.Now()
	if _, err := response.Body.Read(first); err != nil || len(bytes.TrimSpace(first)) != 0 && first[0] != '\n' {
		t.Fatalf("first bytes %q: %v", first, err)
	}
	var doc json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited < 30*time.Millisecond {
		t.Errorf("the document came after %v: it was not trickled", waited)
	}
}
