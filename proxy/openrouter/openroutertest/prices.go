package openroutertest

import (
	"strings"

	"github.com/shopspring/decimal"
)

// Pricing is what a model costs, in USD. A zero price is free.
type Pricing struct {
	Prompt     decimal.Decimal // a prompt token
	Completion decimal.Decimal // a completion token
	CacheRead  decimal.Decimal // a prompt token read from the cache
	CacheWrite decimal.Decimal // a prompt token written to it
	Request    decimal.Decimal // a call
	Image      decimal.Decimal // an image made
	Second     decimal.Decimal // a second of audio transcribed or of video made
	SearchUnit decimal.Decimal // a rerank search unit
	WebSearch  decimal.Decimal // a web search

	// LongContext applies instead, from so many prompt tokens on.
	LongContext *LongContext
}

// LongContext is an entry of pricing.overrides.
type LongContext struct {
	MinPromptTokens    int64
	Prompt, Completion decimal.Decimal
}

// Model is an entry of GET /models and of the price list that bills follow.
type Model struct {
	ID            string // as clients ask for it
	Canonical     string // as answers name it; empty: ID
	Name          string
	Provider      string // as answers name it
	StopsOnAbort  bool   // the provider stops, and stops billing, when a stream's client leaves
	Variable      bool   // a router: prices are listed as "-1", and another model serves
	Context       int64  // tokens
	MaxCompletion int64  // tokens
	Output        string // text, embeddings, rerank, image, speech, transcription, video
	Pricing       Pricing
}

// served is the model's name in an answer.
func (m *Model) served() string {
	if m.Canonical != "" {
		return m.Canonical
	}
	return m.ID
}

func usd(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// DefaultModels is the price list of a server whose Options name none. The
// prices are invented; they are chosen so that bills have few and many digits,
// fall below 1e-6, and are zero.
func DefaultModels() []Model {
	return append(textModels(), mediaModels()...)
}

func textModels() []Model {
	return []Model{
		{ID: "anthropic/claude-sonnet-4.6", Canonical: "anthropic/claude-4.6-sonnet-20260217", Name: "Anthropic: Claude Sonnet 4.6",
			Provider: "Anthropic", StopsOnAbort: true, Context: 1000000, MaxCompletion: 64000, Output: "text",
			Pricing: Pricing{Prompt: usd("0.000003"), Completion: usd("0.000015"), CacheRead: usd("0.0000003"), CacheWrite: usd("0.00000375"), WebSearch: usd("0.01"),
				LongContext: &LongContext{MinPromptTokens: 200000, Prompt: usd("0.000006"), Completion: usd("0.0000225")}}},
		{ID: "anthropic/claude-opus-4.6", Canonical: "anthropic/claude-4.6-opus-20260205", Name: "Anthropic: Claude Opus 4.6",
			Provider: "Anthropic", StopsOnAbort: true, Context: 200000, MaxCompletion: 32000, Output: "text",
			Pricing: Pricing{Prompt: usd("0.000005"), Completion: usd("0.000025"), CacheRead: usd("0.0000005"), CacheWrite: usd("0.00000625")}},
		{ID: "anthropic/claude-haiku-4.5", Canonical: "anthropic/claude-4.5-haiku-20251001", Name: "Anthropic: Claude Haiku 4.5",
			Provider: "Anthropic", StopsOnAbort: true, Context: 200000, MaxCompletion: 64000, Output: "text",
			Pricing: Pricing{Prompt: usd("0.000001"), Completion: usd("0.000005"), CacheRead: usd("0.0000001"), CacheWrite: usd("0.00000125")}},
		{ID: "openai/gpt-4o-mini", Canonical: "openai/gpt-4o-mini-2024-07-18", Name: "OpenAI: GPT-4o-mini",
			Provider: "OpenAI", StopsOnAbort: true, Context: 128000, MaxCompletion: 16384, Output: "text",
			Pricing: Pricing{Prompt: usd("0.00000015"), Completion: usd("0.0000006"), CacheRead: usd("0.000000075")}},
		{ID: "openai/gpt-5-mini", Canonical: "openai/gpt-5-mini-2025-08-07", Name: "OpenAI: GPT-5 Mini",
			Provider: "Azure", StopsOnAbort: true, Context: 400000, MaxCompletion: 128000, Output: "text",
			Pricing: Pricing{Prompt: usd("0.00000025"), Completion: usd("0.000002"), CacheRead: usd("0.000000025")}},
		{ID: "google/gemini-2.5-flash", Name: "Google: Gemini 2.5 Flash",
			Provider: "Google", Context: 1048576, MaxCompletion: 65535, Output: "text",
			Pricing: Pricing{Prompt: usd("0.0000003"), Completion: usd("0.0000025"), Request: usd("0.000001")}},
		{ID: "mistralai/mistral-small", Canonical: "mistralai/mistral-small-3.2-24b-instruct-2506", Name: "Mistral: Mistral Small",
			Provider: "Mistral", Context: 131072, MaxCompletion: 32768, Output: "text",
			Pricing: Pricing{Prompt: usd("0.000000075"), Completion: usd("0.0000002")}},
		{ID: "minimax/minimax-m2", Name: "MiniMax: M2",
			Provider: "Minimax", Context: 204800, MaxCompletion: 131072, Output: "text",
			Pricing: Pricing{Prompt: usd("0.00000025833333333333333"), Completion: usd("0.0000010333333333333333")}},
		{ID: "deepseek/deepseek-nano", Name: "DeepSeek: Nano",
			Provider: "DeepSeek", StopsOnAbort: true, Context: 65536, MaxCompletion: 8192, Output: "text",
			Pricing: Pricing{Prompt: usd("0.0000000004"), Completion: usd("0.0000000007")}},
		{ID: "meta-llama/llama-3.3-70b-instruct:free", Canonical: "meta-llama/llama-3.3-70b-instruct", Name: "Meta: Llama 3.3 70B Instruct (free)",
			Provider: "Together", StopsOnAbort: true, Context: 65536, MaxCompletion: 8192, Output: "text"},
		{ID: "openrouter/auto", Name: "Auto Router",
			Provider: "OpenRouter", Variable: true, Context: 2000000, Output: "text"},
	}
}

func mediaModels() []Model {
	return []Model{
		{ID: "openai/text-embedding-3-small", Name: "OpenAI: Text Embedding 3 Small",
			Provider: "OpenAI", Context: 8192, Output: "embeddings", Pricing: Pricing{Prompt: usd("0.00000002")}},
		{ID: "cohere/rerank-v3.5", Name: "Cohere: Rerank v3.5",
			Provider: "Cohere", Context: 4096, Output: "rerank", Pricing: Pricing{SearchUnit: usd("0.002")}},
		{ID: "google/gemini-2.5-flash-image", Name: "Google: Nano Banana",
			Provider: "Google", Context: 32768, MaxCompletion: 8192, Output: "image",
			Pricing: Pricing{Prompt: usd("0.0000003"), Image: usd("0.03871")}},
		{ID: "openai/gpt-4o-mini-tts", Name: "OpenAI: GPT-4o-mini TTS",
			Provider: "OpenAI", Context: 4096, Output: "speech", Pricing: Pricing{Prompt: usd("0.0000006"), Completion: usd("0.000012")}},
		{ID: "openai/whisper-large-v3", Name: "OpenAI: Whisper Large v3",
			Provider: "Groq", Output: "transcription", Pricing: Pricing{Second: usd("0.00003083333333333")}},
		{ID: "google/veo-3.1", Name: "Google: Veo 3.1",
			Provider: "Google", Output: "video", Pricing: Pricing{Second: usd("0.4")}},
	}
}

// priceList finds models.
type priceList struct {
	models []Model
	byID   map[string]*Model
	text   []*Model // what a router chooses from
}

func newPriceList(models []Model) *priceList {
	p := &priceList{models: models, byID: make(map[string]*Model, 2*len(models))}
	for i := range models {
		m := &models[i]
		p.byID[m.served()] = m
	}
	for i := range models { // an ID wins over another model's canonical name
		m := &models[i]
		p.byID[m.ID] = m
		if m.Output == "text" && !m.Variable && !strings.HasSuffix(m.ID, ":free") {
			p.text = append(p.text, m)
		}
	}
	return p
}

// find is the model that serves a request for name. A variant (":nitro") is
// served by its base model, ":free" at no price, a router by one of the text
// models. A model that is not on the list is served too, at the price of a small
// one: tests invent names.
func (p *priceList) find(name string, draw uint64) Model {
	m, ok := p.byID[name]
	if !ok {
		base, variant, _ := strings.Cut(name, ":")
		if m, ok = p.byID[base]; ok && variant == "free" {
			free := *m
			free.Pricing = Pricing{}
			return free
		}
	}
	if (name == "" || ok && m.Variable) && len(p.text) > 0 {
		return *p.text[draw%uint64(len(p.text))]
	}
	if ok {
		return *m
	}
	return Model{ID: name, Name: name, Provider: "DeepInfra", StopsOnAbort: true, Context: 131072, MaxCompletion: 8192, Output: "text",
		Pricing: Pricing{Prompt: usd("0.0000002"), Completion: usd("0.0000008"), Image: usd("0.04"), Second: usd("0.0001"), SearchUnit: usd("0.001")}}
}

// priced is the pricing as GET /models lists it.
func (m *Model) priced() object {
	if m.Variable {
		return object{{"prompt", "-1"}, {"completion", "-1"}}
	}
	p := m.Pricing
	o := object{{"prompt", p.Prompt.String()}, {"completion", p.Completion.String()}}
	for _, optional := range []struct {
		name  string
		price decimal.Decimal
	}{
		{"request", p.Request}, {"image", p.Image}, {"web_search", p.WebSearch},
		{"input_cache_read", p.CacheRead}, {"input_cache_write", p.CacheWrite},
	} {
		if !optional.price.IsZero() {
			o = o.with(member{optional.name, optional.price.String()})
		}
	}
	if !p.CacheWrite.IsZero() { // kept for an hour, a write costs twice the prompt
		o = o.with(member{"input_cache_write_1h", p.Prompt.Add(p.Prompt).String()})
	}
	o = o.with(member{"discount", 0})
	if long := p.LongContext; long != nil {
		o = o.with(member{"overrides", list{object{
			{"min_prompt_tokens", long.MinPromptTokens},
			{"prompt", long.Prompt.String()}, {"completion", long.Completion.String()},
		}}})
	}
	return o
}
