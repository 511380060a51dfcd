package openroutertest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"bursar/proxy/openrouter/openroutertest"
)

// leave reads n content events of a stream and goes away.
func (f *fake) leave(n int, behavior, path, body string) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	response, err := f.client.Do(f.request(ctx, path, body, "X-Fake-Behavior: "+behavior))
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for seen := 0; seen < n && lines.Scan(); {
		if strings.Contains(lines.Text(), `"content":`) {
			seen++
		}
	}
}

const streamed = `{"model":"anthropic/claude-sonnet-4.6","stream":true,"messages":[]}`

func TestALeftStreamIsBilledForItsTokensWhereTheProviderStops(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			f := startWith(t, openroutertest.Options{}, protocol)
			f.leave(6, "chunks=1000,interval=2ms", "/api/v1/chat/completions", streamed)
			bill := f.only()
			if !bill.Cancelled || bill.FinishReason != "" || !bill.Announced {
				t.Errorf("bill %+v", bill)
			}
			if bill.CompletionTokens < 4 || bill.CompletionTokens > 500 {
				t.Errorf("%d tokens billed, about 5 were read", bill.CompletionTokens)
			}
			want := amount(t, "0.000003").Mul(amount(t, "17")).Add(amount(t, "0.000015").Mul(decimalOf(bill.CompletionTokens)))
			if bill.PromptTokens != 17 || !bill.Cost.Equal(want) {
				t.Errorf("%d prompt tokens, cost %s, want %s", bill.PromptTokens, bill.Cost, want)
			}
			if f.Aborted() != 1 {
				t.Errorf("%d aborted", f.Aborted())
			}
		})
	}
}

func TestALeftStreamIsBilledInFullWhereTheProviderRunsOn(t *testing.T) {
	for name, call := range map[string]struct{ behavior, model string }{
		"by behavior": {",runs-on", "anthropic/claude-sonnet-4.6"},
		"by provider": {"", "google/gemini-2.5-flash"},
	} {
		f := start(t, openroutertest.Options{})
		f.leave(3, "chunks=200,interval=2ms"+call.behavior, "/api/v1/chat/completions", `{"model":"`+call.model+`","stream":true}`)
		if bill := f.only(); bill.Cancelled || bill.CompletionTokens != 200 || bill.FinishReason != "stop" {
			t.Errorf("%s: bill %+v", name, bill)
		}
	}
}

func TestWithoutATokenACancelledStreamIsFree(t *testing.T) {
	f := start(t, openroutertest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := f.client.Do(f.request(ctx, "/api/v1/chat/completions", streamed, "X-Fake-Behavior: delay=10s"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if bill := f.only(); !bill.Cancelled || !bill.Cost.IsZero() || bill.Announced {
		t.Errorf("bill %+v", bill)
	}
}

func TestWithoutAStreamTheModelRunsOn(t *testing.T) {
	for _, behavior := range []string{"delay=10s", "hang", "trickle=100,trickle-interval=1s"} {
		f := start(t, openroutertest.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		response, err := f.client.Do(f.request(ctx, "/api/v1/chat/completions", `{"model":"anthropic/claude-sonnet-4.6"}`, "X-Fake-Behavior: "+behavior))
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v", behavior, err)
		}
		if bill := f.only(); bill.Cancelled || !bill.Cost.IsPositive() || bill.Announced == (behavior == "delay=10s") {
			t.Errorf("%s: bill %+v", behavior, bill)
		}
	}
}

func TestAHangingStreamWaitsForTheClientToLeave(t *testing.T) {
	f := start(t, openroutertest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	response, err := f.client.Do(f.request(ctx, "/api/v1/chat/completions", streamed, "X-Fake-Behavior: hang,chunks=10"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(string(body), `"content":`); n != 6 { // the head and half of the pieces
		t.Errorf("%d chunks before the silence:\n%s", n, body)
	}
	if bill := f.only(); bill.CompletionTokens != 5 || !bill.Cancelled {
		t.Errorf("bill %+v", bill)
	}
}

func TestACutConnectionShowsAsAnUnexpectedEnd(t *testing.T) {
	type outcome struct {
		tokens  int64
		headers bool
	}
	for behavior, want := range map[string]outcome{
		"cut,chunks=10":               {5, true},
		"cut,chunks=10,runs-on":       {10, true},
		"cut-in-usage,chunks=10":      {10, true},
		"lose-answer,chunks=10":       {10, false},
		"cut,chunks=10,fault-after=2": {2, true},
	} {
		for name, protocol := range protocols {
			f := startWith(t, openroutertest.Options{}, protocol)
			response, err := f.client.Do(f.request(t.Context(), "/api/v1/chat/completions", streamed, "X-Fake-Behavior: "+behavior))
			var body []byte
			if err == nil {
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if err == nil || strings.Contains(string(body), "[DONE]") {
				t.Errorf("%s %s: the stream ended well", name, behavior)
			}
			if bill := f.only(); bill.CompletionTokens != want.tokens || bill.Announced != want.headers {
				t.Errorf("%s %s: bill %+v", name, behavior, bill)
			}
			if f.Aborted() != 0 {
				t.Errorf("%s %s: counted as left by the client", name, behavior)
			}
		}
	}
}

func TestNothingIsBilledBeforeTheModelRan(t *testing.T) {
	f := start(t, openroutertest.Options{})
	if _, err := f.client.Do(f.request(t.Context(), "/api/v1/chat/completions", streamed, "X-Fake-Behavior: cut-before-headers")); err == nil {
		t.Error("an answer came")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := f.client.Do(f.request(ctx, "/api/v1/chat/completions", streamed, "X-Fake-Behavior: hang-before-headers")); err == nil {
		t.Error("an answer came")
	}
	if err := f.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bills := f.Ledger(); len(bills) != 0 {
		t.Errorf("bills %+v", bills)
	}
}

func TestEachGenerationIsBilledOnceWhileManyLeave(t *testing.T) {
	f := start(t, openroutertest.Options{})
	const callers = 60
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			if i%2 == 0 {
				f.leave(1+i%7, "chunks=50,interval=1ms", "/api/v1/chat/completions", streamed)
				return
			}
			f.behave("chunks=20", "/api/v1/chat/completions", streamed)
		})
	}
	wait.Wait()
	if err := f.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	bills, sum, ids := f.Ledger(), amount(t, "0"), map[string]bool{}
	for _, b := range bills {
		sum, ids[b.ID] = sum.Add(b.Cost), true
	}
	if len(bills) != callers || len(ids) != callers || !sum.Equal(f.Total()) {
		t.Errorf("%d bills of %d ids, sum %s, total %s", len(bills), len(ids), sum, f.Total())
	}
	if n := f.Requests()["/api/v1/chat/completions"]; n != callers {
		t.Errorf("%d requests counted", n)
	}
}
