package openroutertest_test

import (
	"net/http"
	"strings"
	"testing"

	"bursar/proxy/openrouter/openroutertest"
)

// calls are a request for every endpoint that tells its cost in the answer.
var calls = map[string]struct{ path, body string }{
	"chat":          {"/api/v1/chat/completions", `{"model":"anthropic/claude-sonnet-4.6","messages":[{"role":"user","content":"hi"}]}`},
	"chat stream":   {"/api/v1/chat/completions", `{"model":"openai/gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	"text":          {"/api/v1/completions", `{"model":"minimax/minimax-m2","prompt":"hi"}`},
	"text stream":   {"/api/v1/completions", `{"model":"minimax/minimax-m2","prompt":"hi","stream":true}`},
	"responses":     {"/api/v1/responses", `{"model":"openai/gpt-5-mini","input":"hi"}`},
	"resp. stream":  {"/api/v1/responses", `{"model":"openai/gpt-5-mini","input":"hi","stream":true}`},
	"messages":      {"/api/v1/messages", `{"model":"anthropic/claude-haiku-4.5","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`},
	"mess. stream":  {"/api/v1/messages", `{"model":"anthropic/claude-haiku-4.5","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	"embeddings":    {"/api/v1/embeddings", `{"model":"openai/text-embedding-3-small","input":["a","b"]}`},
	"rerank":        {"/api/v1/rerank", `{"model":"cohere/rerank-v3.5","query":"q","documents":["a","b","c"],"top_n":2}`},
	"images":        {"/api/v1/images", `{"model":"google/gemini-2.5-flash-image","prompt":"a cat"}`},
	"images stream": {"/api/v1/images", `{"model":"google/gemini-2.5-flash-image","prompt":"a cat","stream":true}`},
	"transcription": {"/api/v1/audio/transcriptions", `{"model":"openai/whisper-large-v3","input_audio":{"data":"AAAA","format":"wav"}}`},
	"decisions":     {"/api/alpha/decisions", `{"model":"openai/gpt-4o-mini","state":"s","questions":{"q":{"type":"choice","choices":["a"]}}}`},
	"intern":        {"/api/v1/interns/i1/chat/completions", `{"model":"deepseek/deepseek-nano","stream":true,"messages":[]}`},
	"hologram":      {"/api/v1/holograms", `{"model":"deepseek/deepseek-nano"}`},
}

func TestEveryAnswerTellsWhatTheLedgerHolds(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			f := start(t, openroutertest.Options{})
			response, body := f.do(call.path, call.body)
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", response.StatusCode, body)
			}
			id, told := told(t, response, body)
			bill := f.only()
			if header := response.Header.Get("X-Generation-Id"); header != bill.ID {
				t.Errorf("X-Generation-Id %q, billed %q", header, bill.ID)
			}
			hasID := !strings.HasPrefix(name, "images") && name != "transcription"
			if hasID && id != bill.ID {
				t.Errorf("the body names %q, billed is %q", id, bill.ID)
			}
			if told == nil || told.Cost == nil {
				t.Fatalf("no cost in the answer: %s", body)
			}
			if string(*told.Cost) != bill.CostLiteral || !amount(t, bill.CostLiteral).Equal(bill.Cost) {
				t.Errorf("the answer says %s, billed is %s (%s)", *told.Cost, bill.CostLiteral, bill.Cost)
			}
			if !bill.Cost.IsPositive() || !bill.Announced {
				t.Errorf("bill %+v", bill)
			}
			if status, data := f.generation(bill.ID); status != 200 || string(data["total_cost"]) != bill.CostLiteral {
				t.Errorf("GET /generation: %d, total_cost %s, want %s", status, data["total_cost"], bill.CostLiteral)
			}
		})
	}
}
