package openroutertest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// known checks that a key exists, of either kind.
func (s *Server) known(key string) *apiError {
	switch {
	case key == "":
		return newError(http.StatusUnauthorized, "")
	case slices.Contains(s.opts.ManagementKeys, key) || len(s.opts.Keys) == 0 || slices.Contains(s.opts.Keys, key):
		return nil
	default:
		return newError(http.StatusUnauthorized, "User not found.")
	}
}

// mayInfer checks that a key may call inference.
func (s *Server) mayInfer(key string) *apiError {
	if e := s.known(key); e != nil {
		return e
	}
	if slices.Contains(s.opts.ManagementKeys, key) {
		return newError(http.StatusForbidden, "Management keys cannot call inference endpoints")
	}
	return nil
}

// mayManage checks that a key may read the account.
func (s *Server) mayManage(key string) *apiError {
	if e := s.known(key); e != nil {
		return e
	}
	if len(s.opts.ManagementKeys) > 0 && !slices.Contains(s.opts.ManagementKeys, key) {
		return newError(http.StatusForbidden, "Only management keys can perform this operation")
	}
	return nil
}

// mayRead reports whether a key sees a generation: the one that made it, and
// management keys.
func (s *Server) mayRead(key string, b *Bill) bool {
	return accounting.Fingerprint(key) == b.KeyFingerprint || slices.Contains(s.opts.ManagementKeys, key)
}

// guarded answers with doc, or with the error of a check.
func guarded(w http.ResponseWriter, e *apiError, doc func() object) {
	if e != nil {
		writeJSON(w, e.status, e.envelope())
		return
	}
	writeJSON(w, http.StatusOK, doc())
}

// credits is GET /credits.
func (s *Server) credits() object {
	return object{{"data", object{
		{"total_credits", literal(s.opts.Credits.String())}, {"total_usage", literal(s.Total().String())},
	}}}
}

// keyUsage is what a key has spent since a time, by itself and by way of the
// customer's provider keys.
func keyUsage(bills []Bill, fingerprint string, since time.Time) (usage, byok decimal.Decimal) {
	for i := range bills {
		b := &bills[i]
		if b.KeyFingerprint != fingerprint || b.When.Before(since) {
			continue
		}
		usage = usage.Add(b.Cost)
		if b.IsBYOK {
			byok = byok.Add(b.UpstreamCost)
		}
	}
	return usage, byok
}

// keyInfo is GET /key.
func (s *Server) keyInfo(key string) object {
	now := s.opts.Now().UTC()
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	o := object{
		{"label", label(key)}, {"limit", nil}, {"limit_remaining", nil}, {"limit_reset", nil}, {"include_byok_in_limit", false},
	}
	bills, fingerprint := s.Ledger(), accounting.Fingerprint(key)
	for _, window := range []struct {
		suffix string
		since  time.Time
	}{
		{"", time.Time{}},
		{"_daily", day},
		{"_weekly", day.AddDate(0, 0, -int(day.Weekday()+6)%7)},
		{"_monthly", day.AddDate(0, 0, 1-day.Day())},
	} {
		usage, byok := keyUsage(bills, fingerprint, window.since)
		o = o.with(member{"usage" + window.suffix, literal(usage.String())},
			member{"byok_usage" + window.suffix, literal(byok.String())})
	}
	managing := slices.Contains(s.opts.ManagementKeys, key)
	return object{{"data", o.with(
		member{"is_free_tier", false}, member{"is_management_key", managing}, member{"is_provisioning_key", managing},
		member{"creator_user_id", "user_2fakeAccount"}, member{"expires_at", nil},
		member{"allowed_data_regions", list{"global"}}, member{"organization_id", nil}, member{"workspace_id", nil},
		member{"rate_limit", object{{"interval", "10s"}, {"requests", -1}, {"note", "deprecated"}}},
		member{"free_model_daily_requests", object{{"used", 0}, {"limit", 1000}, {"remaining", 1000}}},
	)}}
}

// label is how OpenRouter shows a key without giving it away.
func label(key string) string {
	if len(key) < 12 {
		return "sk-or-v1-..."
	}
	return key[:9] + "..." + key[len(key)-3:]
}

// keys is GET /keys.
func (s *Server) keys() object {
	bills := s.Ledger()
	data := list{}
	for _, key := range s.opts.Keys {
		hash := accounting.Fingerprint(key)
		usage, byok := keyUsage(bills, hash, time.Time{})
		data = append(data, object{
			{"hash", hash}, {"name", label(key)}, {"label", label(key)}, {"disabled", false}, {"limit", nil},
			{"usage", literal(usage.String())}, {"byok_usage", literal(byok.String())},
			{"created_at", "2026-01-01T00:00:00.000000+00:00"}, {"updated_at", nil},
		})
	}
	return object{{"data", data}}
}

// modelList is GET /models: by default only what writes text.
func (s *Server) modelList(outputs string) object {
	data := list{}
	for i := range s.prices.models {
		m := &s.prices.models[i]
		if outputs == "all" || m.Output == "text" || strings.Contains(outputs, m.Output) && outputs != "" {
			data = append(data, m.listed())
		}
	}
	return object{{"data", data}, {"total_count", len(data)}, {"links", object{{"next", nil}, {"prev", nil}}}}
}

// listed is a model's entry in GET /models.
func (m *Model) listed() object {
	return object{
		{"id", m.ID}, {"canonical_slug", m.served()}, {"hugging_face_id", nil}, {"name", m.Name}, {"created", 1780000000},
		{"description", "A model of the fake OpenRouter."}, {"context_length", m.Context},
		{"architecture", object{
			{"modality", "text->" + m.Output}, {"input_modalities", list{"text"}}, {"output_modalities", list{m.Output}},
			{"tokenizer", "Other"}, {"instruct_type", nil},
		}},
		{"pricing", m.priced()},
		{"top_provider", object{{"context_length", m.Context}, {"max_completion_tokens", m.maxCompletion()}, {"is_moderated", false}}},
		{"per_request_limits", nil}, {"supported_voices", nil},
		{"supported_parameters", list{"max_tokens", "temperature", "tools", "tool_choice", "response_format"}},
		{"default_parameters", object{}}, {"expiration_date", nil},
		{"links", object{{"details", "/api/v1/models/" + m.ID + "/endpoints"}}},
	}
}

func (m *Model) maxCompletion() any {
	if m.MaxCompletion == 0 {
		return nil
	}
	return m.MaxCompletion
}

// dearer is by how much a model's second endpoint costs more than the one that
// serves.
var dearer = usd("1.25")

// endpoints is GET /models/{author}/{slug}/endpoints: the endpoint that serves
// and a dearer one.
func (m *Model) endpoints() object {
	second := *m
	second.Provider = "Fireworks"
	for _, price := range []*decimal.Decimal{&second.Pricing.Prompt, &second.Pricing.Completion, &second.Pricing.CacheRead, &second.Pricing.CacheWrite} {
		*price = price.Mul(dearer)
	}
	second.Pricing.LongContext = nil
	return object{{"data", object{
		{"id", m.ID}, {"name", m.Name}, {"created", 1780000000}, {"description", ""},
		{"architecture", object{{"modality", "text->" + m.Output}, {"tokenizer", "Other"}, {"instruct_type", nil},
			{"input_modalities", list{"text"}}, {"output_modalities", list{m.Output}}}},
		{"endpoints", list{m.endpoint(), second.endpoint()}},
	}}}
}

func (m *Model) endpoint() object {
	return object{
		{"name", m.Provider + " | " + m.served()}, {"model_id", m.ID}, {"model_name", m.Name}, {"context_length", m.Context},
		{"pricing", m.priced()}, {"provider_name", m.Provider}, {"tag", strings.ToLower(m.Provider)}, {"quantization", "unknown"},
		{"max_completion_tokens", m.maxCompletion()}, {"max_prompt_tokens", nil},
		{"supported_parameters", list{"max_tokens", "temperature", "tools"}}, {"status", 0},
		{"uptime_last_5m", 100}, {"uptime_last_30m", 100}, {"uptime_last_1d", 100},
		{"latency_last_30m", nil}, {"throughput_last_30m", nil}, {"supports_implicit_caching", false},
		{"supports_tool_choice", object{{"auto", true}, {"none", true}, {"required", true}, {"function", true}}},
	}
}
