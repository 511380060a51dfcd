package openroutertest

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// getGeneration is GET /generation?id=: the account's own record of a
// generation, some time after it.
func (s *Server) getGeneration(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	n := s.countLookup(id)
	key := keyOf(r)
	if e := s.known(key); e != nil {
		writeJSON(w, e.status, e.envelope())
		return
	}
	found, ok := s.ledger.lookup(id)
	for _, fault := range s.lookupFaults(id, n, &found) {
		if s.applied(w, r, fault) {
			return
		}
		if fault.WrongID {
			found.bill.ID = newID("gen-", found.bill.StartedAt)
		}
	}
	if !ok || found.never || s.opts.Now().Before(found.publishAt) || !s.mayRead(key, &found.bill) {
		writeJSON(w, http.StatusNotFound, newError(http.StatusNotFound, "Generation "+id+" not found").envelope())
		return
	}
	writeJSON(w, http.StatusOK, object{{"data", found.object()}})
}

func (s *Server) countLookup(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups[id]++
	return s.lookups[id]
}

// lookupFaults are the faults that apply to the nth lookup.
func (s *Server) lookupFaults(id string, n int, r *record) []LookupFault {
	var faults []LookupFault
	if s.opts.Lookup != nil {
		faults = append(faults, s.opts.Lookup(id, n))
	}
	if r.fault.Times == 0 || n <= r.fault.Times {
		faults = append(faults, r.fault)
	}
	return faults
}

// applied does what a fault says and reports whether the request is answered.
func (s *Server) applied(w http.ResponseWriter, r *http.Request, fault LookupFault) bool {
	if fault.Hang {
		<-r.Context().Done()
		s.aborted.Add(1)
		return true
	}
	if fault.Delay > 0 {
		select {
		case <-r.Context().Done():
			s.aborted.Add(1)
			return true
		case <-time.After(fault.Delay):
		}
	}
	if fault.Status == 0 {
		return false
	}
	if fault.Status == http.StatusTooManyRequests || fault.Status == http.StatusServiceUnavailable {
		wait := cmp.Or(fault.RetryAfter, time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	writeJSON(w, fault.Status, newError(fault.Status, "").envelope())
	return true
}

// object is the member "data" of the answer.
func (r *record) object() object {
	b := &r.bill
	upstream := any(literal("0"))
	if b.IsBYOK {
		upstream = write(b.UpstreamCost, CostAsJavaScript)
	}
	elapsed := b.When.Sub(b.StartedAt).Milliseconds()
	return object{
		{"id", b.ID}, {"upstream_id", "upstream-" + b.ID}, {"total_cost", literal(b.CostLiteral)}, {"usage", literal(b.CostLiteral)},
		{"cache_discount", nil}, {"upstream_inference_cost", upstream},
		{"created_at", b.StartedAt.UTC().Format("2006-01-02T15:04:05.000000+00:00")},
		{"model", b.ServedModel}, {"app_id", nil}, {"streamed", b.Streamed}, {"cancelled", b.Cancelled},
		{"provider_name", b.Provider}, {"latency", elapsed}, {"moderation_latency", nil}, {"generation_time", elapsed},
		{"finish_reason", text(b.FinishReason)}, {"native_finish_reason", text(b.FinishReason)},
		{"tokens_prompt", b.PromptTokens + 1}, {"tokens_completion", b.CompletionTokens + 1}, // normalised: never equal to the native ones
		{"native_tokens_prompt", b.PromptTokens}, {"native_tokens_completion", b.CompletionTokens},
		{"native_tokens_reasoning", b.ReasoningTokens}, {"native_tokens_cached", b.CachedTokens},
		{"native_tokens_completion_images", nil}, {"num_media_prompt", nil}, {"num_media_completion", nil},
		{"num_input_audio_prompt", nil}, {"num_search_results", nil}, {"num_fetches", nil},
		{"origin", ""}, {"http_referer", nil}, {"user_agent", text(r.userAgent)}, {"is_byok", b.IsBYOK},
		{"api_type", r.apiType}, {"router", nil}, {"external_user", text(r.user)}, {"session_id", text(r.sessionID)},
		{"request_id", "req-" + b.ID}, {"response_cache_source_id", text(r.cacheFrom)}, {"service_tier", nil},
		{"data_region", "global"}, {"preset_id", nil}, {"web_search_engine", nil}, {"workspace_id", nil},
		{"provider_responses", list{object{
			{"endpoint_id", "ep-1"}, {"id", "upstream-" + b.ID}, {"is_byok", b.IsBYOK}, {"latency", elapsed},
			{"model_permaslug", b.ServedModel}, {"provider_name", b.Provider}, {"status", 200},
		}}},
	}
}

// text is s, or null where there is none.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
