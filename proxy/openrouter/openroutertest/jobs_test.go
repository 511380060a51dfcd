package openroutertest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bursar/proxy/openrouter/openroutertest"
)

const video = `{"model":"google/veo-3.1","prompt":"a cat","duration":6}`

func TestAVideoIsPolledUntilItsCostIsTold(t *testing.T) {
	f := start(t, openroutertest.Options{})
	response, body := f.do("/api/v1/videos", video)
	id, generation := fmt.Sprint(dig(t, body, "id")), fmt.Sprint(dig(t, body, "generation_id"))
	if response.StatusCode != http.StatusAccepted || dig(t, body, "status") != "pending" || response.Header.Get("X-Generation-Id") != generation {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	if polling := fmt.Sprint(dig(t, body, "polling_url")); polling != f.URL+"/api/v1/videos/"+id {
		t.Errorf("polling_url %s", polling)
	}
	for _, want := range []string{"pending", "in_progress", "completed", "completed"} {
		_, body = f.do("/api/v1/videos/"+id, "")
		if status := dig(t, body, "status"); status != want {
			t.Errorf("status %v, want %s", status, want)
		}
	}
	bill := f.only()
	if _, usage := told(t, response, body); usage == nil || string(*usage.Cost) != bill.CostLiteral {
		t.Errorf("told %s, billed %s", body, bill.CostLiteral)
	}
	if !bill.Cost.Equal(amount(t, "2.4")) && !bill.Cost.GreaterThan(amount(t, "2.4")) || bill.ID != generation || bill.JobID != id {
		t.Errorf("bill %+v", bill)
	}
	if response, _ := f.do("/api/v1/videos/"+id+"/content", ""); response.Header.Get("Content-Type") != "video/mp4" {
		t.Errorf("content %v", response.Header)
	}
	if response, _ := f.do("/api/v1/videos/"+id, "", "Authorization: Bearer sk-or-another"); response.StatusCode != http.StatusNotFound {
		t.Errorf("another key sees %d", response.StatusCode)
	}
}

func TestAJobIsChargedWhenItEnds(t *testing.T) {
	var c clock
	f := start(t, openroutertest.Options{Now: c.now})
	_, body := f.behave("job-time=1h,job-polls=0", "/api/v1/videos", video)
	id, generation := fmt.Sprint(dig(t, body, "id")), fmt.Sprint(dig(t, body, "generation_id"))
	_, body = f.do("/api/v1/videos/"+id, "")
	if status, _ := f.generation(generation); status != 404 || len(f.Ledger()) != 0 || dig(t, body, "status") != "pending" {
		t.Errorf("before the end: generation %d, %d bills, %s", status, len(f.Ledger()), body)
	}
	c.advance(2 * time.Hour)
	_, body = f.do("/api/v1/videos/"+id, "")
	if status, _ := f.generation(generation); status != 200 || len(f.Ledger()) != 1 || dig(t, body, "status") != "completed" {
		t.Errorf("after it: generation %d, %d bills, %s", status, len(f.Ledger()), body)
	}
}

func TestAFailedJobIsNotCharged(t *testing.T) {
	f := start(t, openroutertest.Options{})
	_, body := f.behave("job-failed,job-polls=0", "/api/v1/videos", video)
	_, body = f.do("/api/v1/videos/"+fmt.Sprint(dig(t, body, "id")), "")
	if dig(t, body, "status") != "failed" || dig(t, body, "usage") != nil || len(f.Ledger()) != 0 {
		t.Errorf("%s, bills %+v", body, f.Ledger())
	}
}

const batch = `{"endpoint":"/v1/chat/completions","model":"openai/gpt-4o-mini","requests":[` +
	`{"custom_id":"a","body":{"messages":[]}},{"custom_id":"b","body":{"messages":[]}}]}`

func TestABatchIsOneBillAtHalfThePrice(t *testing.T) {
	f := start(t, openroutertest.Options{})
	response, body := f.behave("chunks=10", "/api/beta/batches", batch)
	id := fmt.Sprint(dig(t, body, "id"))
	if response.StatusCode != http.StatusAccepted || dig(t, body, "status") != "validating" || dig(t, body, "usage") != nil {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	for range 3 {
		response, body = f.do("/api/beta/batches/"+id, "")
	}
	bill := f.only()
	_, usage := told(t, response, body)
	if dig(t, body, "status") != "completed" || string(*usage.Cost) != bill.CostLiteral || bill.ID != id || bill.JobID != id {
		t.Errorf("%s, bill %+v", body, bill)
	}
	want := amount(t, "0.000000075").Mul(decimalOf(bill.PromptTokens)).Add(amount(t, "0.0000003").Mul(decimalOf(20)))
	if !bill.Cost.Equal(want) || bill.CompletionTokens != 20 {
		t.Errorf("cost %s, want %s", bill.Cost, want)
	}
	if n := strings.Count(string(body), `"gen-batch-`); n != 2 || strings.Count(string(body), `"cost"`) != 1 {
		t.Errorf("%d items: %s", n, body)
	}
}

func TestABatchMustNameItsModelBeforeItsRequests(t *testing.T) {
	f := start(t, openroutertest.Options{})
	reordered := `{"requests":[{"custom_id":"a","body":{}}],"endpoint":"/v1/chat/completions","model":"m"}`
	if response, body := f.do("/api/beta/batches", reordered); response.StatusCode != http.StatusBadRequest || len(f.Ledger()) != 0 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}
