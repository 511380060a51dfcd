package openroutertest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
)

var protocols = map[string]openroutertest.Protocol{
	"HTTP/1.1": openroutertest.HTTP1, "h2c": openroutertest.H2C, "TLS": openroutertest.TLS,
}

func decimalOf(n int64) decimal.Decimal { return decimal.NewFromInt(n) }

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func TestARecordIsPublishedAfterTheDelay(t *testing.T) {
	var c clock
	f := start(t, openroutertest.Options{Now: c.now, GenerationDelay: 10 * time.Second, CancelledDelay: time.Hour})
	f.do(calls["chat"].path, calls["chat"].body)
	bill := f.only()
	if status, _ := f.generation(bill.ID); status != 404 {
		t.Errorf("at once: %d", status)
	}
	c.advance(11 * time.Second)
	status, data := f.generation(bill.ID)
	if status != 200 || string(data["total_cost"]) != bill.CostLiteral || string(data["usage"]) != bill.CostLiteral {
		t.Errorf("later: %d %s", status, data)
	}
	for key, want := range map[string]string{
		"id": `"` + bill.ID + `"`, "cancelled": "false", "is_byok": "false", "streamed": "false", "upstream_inference_cost": "0",
		"native_tokens_prompt": decimalOf(bill.PromptTokens).String(), "native_tokens_completion": decimalOf(bill.CompletionTokens).String(),
		"model": `"anthropic/claude-4.6-sonnet-20260217"`, "provider_name": `"Anthropic"`, "finish_reason": `"stop"`, "api_type": `"completions"`,
	} {
		if got := string(data[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if n := f.Lookups(bill.ID); n != 2 {
		t.Errorf("%d lookups counted", n)
	}
}

func TestACancelledRecordIsPublishedLater(t *testing.T) {
	var c clock
	f := start(t, openroutertest.Options{Now: c.now, GenerationDelay: 10 * time.Second, CancelledDelay: time.Hour})
	f.leave(3, "chunks=1000,interval=2ms", "/api/v1/chat/completions", streamed)
	bill := f.only()
	c.advance(time.Minute)
	if status, _ := f.generation(bill.ID); status != 404 {
		t.Errorf("after a minute: %d", status)
	}
	c.advance(time.Hour)
	status, data := f.generation(bill.ID)
	if status != 200 || string(data["cancelled"]) != "true" || string(data["finish_reason"]) != "null" || string(data["total_cost"]) != bill.CostLiteral {
		t.Errorf("after an hour: %d %s", status, data)
	}
}

func TestARecordIsShownToTheKeyThatMadeIt(t *testing.T) {
	f := start(t, openroutertest.Options{ManagementKeys: []string{"sk-or-v1-manager"}})
	f.do(calls["chat"].path, calls["chat"].body)
	bill := f.only()
	if bill.KeyFingerprint != accounting.Fingerprint(key) {
		t.Errorf("fingerprint %s", bill.KeyFingerprint)
	}
	for authorization, want := range map[string]int{
		"Bearer " + key: 200, "Bearer sk-or-v1-another": 404, "": 401, "Bearer sk-or-v1-manager": 200,
	} {
		if status, _ := f.generation(bill.ID, "Authorization: "+authorization); status != want {
			t.Errorf("%q sees %d, want %d", authorization, status, want)
		}
	}
}

func TestLookupsFailAsTheGenerationsBehaviorSays(t *testing.T) {
	for behavior, want := range map[string]int{
		"never-published": 404, "publish-delay=1h": 404,
		"lookup-status=429": 429, "lookup-status=500": 500, "lookup-status=524": 524, "lookup-status=401": 401,
	} {
		f := start(t, openroutertest.Options{})
		f.behave(behavior, calls["chat"].path, calls["chat"].body)
		response, _ := f.do("/api/v1/generation?id="+f.only().ID, "")
		if response.StatusCode != want {
			t.Errorf("%s: %d", behavior, response.StatusCode)
		}
		if want == 429 && response.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After %q", behavior, response.Header.Get("Retry-After"))
		}
	}
	f := start(t, openroutertest.Options{})
	f.behave("lookup-status=503,lookup-times=2", calls["chat"].path, calls["chat"].body)
	for n, want := range []int{503, 503, 200} {
		if status, _ := f.generation(f.only().ID); status != want {
			t.Errorf("lookup %d: %d, want %d", n+1, status, want)
		}
	}
}

func TestALookupCanHangOrNameAnotherGeneration(t *testing.T) {
	f := start(t, openroutertest.Options{})
	f.behave("lookup-wrong-id", calls["chat"].path, calls["chat"].body)
	bill := f.only()
	if status, data := f.generation(bill.ID); status != 200 || string(data["id"]) == `"`+bill.ID+`"` {
		t.Errorf("%d %s", status, data["id"])
	}
	hanging := start(t, openroutertest.Options{Lookup: func(string, int) openroutertest.LookupFault {
		return openroutertest.LookupFault{Hang: true}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := hanging.client.Do(hanging.request(ctx, "/api/v1/generation?id=gen-x", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestWhatTheAnswerHidesTheRecordTells(t *testing.T) {
	for _, behavior := range []string{"no-usage", "cost-null", "cost-absent", "cut-in-usage", "inline-cost=7", "byok,cost-null", "cost-tiny,no-usage"} {
		f := start(t, openroutertest.Options{})
		response, err := f.client.Do(f.request(t.Context(), calls["chat stream"].path, calls["chat stream"].body, "X-Fake-Behavior: "+behavior))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		bill := f.only()
		if status, data := f.generation(bill.ID); status != 200 || string(data["total_cost"]) != bill.CostLiteral {
			t.Errorf("%s: %d, total_cost %s, billed %s", behavior, status, data["total_cost"], bill.CostLiteral)
		}
	}
}

func TestByokIsBilledToTheProvidersAccount(t *testing.T) {
	f := start(t, openroutertest.Options{})
	f.behave("byok", calls["chat"].path, calls["chat"].body)
	bill := f.only()
	_, data := f.generation(bill.ID)
	if !bill.Cost.IsZero() || !bill.UpstreamCost.IsPositive() || !bill.IsBYOK {
		t.Errorf("bill %+v", bill)
	}
	if !amount(t, string(data["upstream_inference_cost"])).Equal(bill.UpstreamCost) || string(data["is_byok"]) != "true" {
		t.Errorf("record %s", data)
	}
}

func TestSpeechIsBilledByTheRecordAlone(t *testing.T) {
	f := start(t, openroutertest.Options{})
	response, body := f.do("/api/v1/audio/speech", `{"model":"openai/gpt-4o-mini-tts","input":"hello","voice":"alloy"}`)
	bill := f.only()
	if response.Header.Get("Content-Type") != "audio/mpeg" || body[0] != 0xFF || response.Header.Get("X-Generation-Id") != bill.ID {
		t.Errorf("answer %v, bill %+v", response.Header, bill)
	}
	if status, data := f.generation(bill.ID); status != 200 || string(data["api_type"]) != `"tts"` || !bill.Cost.IsPositive() {
		t.Errorf("%d %s", status, data)
	}
}

func TestAMultipartTranscriptionNamesItsModel(t *testing.T) {
	f := start(t, openroutertest.Options{})
	form := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/whisper-large-v3\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" + strings.Repeat("x", 40000) + "\r\n--b--\r\n"
	response, body := f.do("/api/v1/audio/transcriptions", form, "Content-Type: multipart/form-data; boundary=b")
	bill := f.only()
	if response.StatusCode != http.StatusOK || bill.Model != "openai/whisper-large-v3" || !bill.Cost.Equal(amount(t, "0.00009249999999999")) {
		t.Errorf("%d %s: %+v", response.StatusCode, body, bill)
	}
}
