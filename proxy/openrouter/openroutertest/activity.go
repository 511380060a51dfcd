package openroutertest

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// activityKey is what GET /activity groups by.
type activityKey struct{ date, model, served, provider string }

// activitySum is one of its items.
type activitySum struct {
	usage, byok                             decimal.Decimal
	requests, prompt, completion, reasoning int64
}

// activity is GET /activity: the last 30 completed UTC days, by the start of
// the request.
func (s *Server) activity(query url.Values) object {
	today := s.opts.Now().UTC().Truncate(24 * time.Hour)
	sums := make(map[activityKey]*activitySum)
	for _, b := range s.Ledger() {
		start := b.StartedAt.UTC()
		date := start.Format(time.DateOnly)
		hash := query.Get("api_key_hash")
		wanted := cmp.Or(query.Get("date"), date) == date && (hash == "" || hash == b.KeyFingerprint)
		if !wanted || !start.Before(today) || start.Before(today.AddDate(0, 0, -30)) {
			continue
		}
		key := activityKey{date, b.Model, b.ServedModel, b.Provider}
		if sums[key] == nil {
			sums[key] = new(activitySum)
		}
		sums[key].add(&b)
	}
	data := list{}
	for _, key := range sortedKeys(sums) {
		data = append(data, sums[key].object(key))
	}
	return object{{"data", data}}
}

func (a *activitySum) add(b *Bill) {
	a.usage = a.usage.Add(b.Cost)
	if b.IsBYOK {
		a.byok = a.byok.Add(b.UpstreamCost)
	}
	a.requests++
	a.prompt += b.PromptTokens
	a.completion += b.CompletionTokens
	a.reasoning += b.ReasoningTokens
}

func (a *activitySum) object(key activityKey) object {
	return object{
		{"date", key.date}, {"model", key.model}, {"model_permaslug", key.served}, {"endpoint_id", "ep-1"},
		{"provider_name", key.provider}, {"usage", literal(a.usage.String())}, {"byok_usage_inference", literal(a.byok.String())},
		{"requests", a.requests}, {"prompt_tokens", a.prompt}, {"completion_tokens", a.completion}, {"reasoning_tokens", a.reasoning},
	}
}

// sortedKeys puts the newest day first, as OpenRouter does.
func sortedKeys(sums map[activityKey]*activitySum) []activityKey {
	keys := make([]activityKey, 0, len(sums))
	for key := range sums {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b activityKey) int {
		return cmp.Or(cmp.Compare(b.date, a.date), cmp.Compare(a.model, b.model), cmp.Compare(a.served, b.served), cmp.Compare(a.provider, b.provider))
	})
	return keys
}

// analyticsQuery is the body of POST /analytics/query, as far as the fake
// answers it.
type analyticsQuery struct {
	Metrics    []string
	Dimensions []string
}

// analytics is POST /analytics/query over all time. It knows the metrics
// total_usage, usage_upstream, request_count, tokens_prompt, tokens_completion
// and the dimensions generation_id, model, provider, api_key_id. Numbers are
// strings, which OpenRouter's may be.
func (s *Server) analytics(body []byte) (object, *apiError) {
	var q analyticsQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, newError(400, "")
	}
	rows := make(map[string]object)
	sums := make(map[string]*activitySum)
	var order []string
	for _, b := range s.Ledger() {
		var row object
		for _, d := range q.Dimensions {
			values := map[string]string{"generation_id": b.ID, "model": b.ServedModel, "provider": b.Provider, "api_key_id": b.KeyFingerprint}
			value, ok := values[d]
			if !ok {
				return nil, newError(400, "Unknown dimension "+d)
			}
			row = append(row, member{d, value})
		}
		key := string(row.bytes())
		if sums[key] == nil {
			rows[key], sums[key] = row, new(activitySum)
			order = append(order, key)
		}
		sums[key].add(&b)
	}
	data := list{}
	for _, key := range order {
		row, e := sums[key].measured(rows[key], q.Metrics)
		if e != nil {
			return nil, e
		}
		data = append(data, row)
	}
	return object{{"data", object{
		{"data", data}, {"metadata", object{{"query_time_ms", 1}, {"row_count", len(data)}, {"truncated", false}}},
	}}}, nil
}

func (a *activitySum) measured(row object, metrics []string) (object, *apiError) {
	values := map[string]string{
		"total_usage": a.usage.String(), "usage_upstream": a.byok.String(),
		"request_count":     decimal.NewFromInt(a.requests).String(),
		"tokens_prompt":     decimal.NewFromInt(a.prompt).String(),
		"tokens_completion": decimal.NewFromInt(a.completion).String(),
	}
	for _, metric := range metrics {
		value, ok := values[metric]
		if !ok {
			return nil, newError(400, "Unknown metric "+metric)
		}
		row = row.with(member{metric, value})
	}
	return row, nil
}
