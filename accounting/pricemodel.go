package accounting

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Endpoint is one provider's offer of a model (openrouter.md §8, GET
// /models/{author}/{slug}/endpoints).
type Endpoint struct {
	Provider string // display name, e.g. Google AI Studio
	Tag      string // slug, perhaps with a variant: deepinfra/fp8
	Status   int64  // 0: in service; negative: OpenRouter routes around it for now

	ContextLength       Optional[int64] // tokens of prompt and completion together
	MaxPromptTokens     Optional[int64]
	MaxCompletionTokens Optional[int64]
	Prices              Prices
}

// Model is a model with what its providers charge.
type Model struct {
	Slug          string // as clients ask for it, e.g. openai/gpt-5-mini
	CanonicalSlug string // with its date, as answers name it
	AliasOf       string // the slug that an alias such as ~author/family-latest stands for at present

	// Top is the offer that GET /models shows: one provider's, and nobody
	// says whose. It serves estimates, never bounds.
	Top Endpoint
	// Endpoints are all offers; empty if they have not been fetched.
	Endpoints []Endpoint
	FetchedAt time.Time // of Endpoints; zero: never
}

// baseModel takes the variant off a model's name: "a/b:nitro" is "a/b" and
// "nitro". A name without one is its own base.
func baseModel(name string) (base, variant string) {
	base, variant, _ = strings.Cut(name, ":")
	return base, variant
}

// ServedModel is the name of the model that serves a request for name, as far
// as a name tells: without a variant that only sorts providers.
func ServedModel(name string) string {
	if base, variant := baseModel(name); sortsOnly(variant) {
		return base
	}
	return name
}

// sortsOnly reports whether a variant is served by the model without it: it
// says how to choose among providers, or adds a search (openrouter.md §8). Any
// other, such as ":free" and ":thinking", is a model of its own.
func sortsOnly(variant string) bool {
	switch variant {
	case "floor", "exacto", "nitro", "online":
		return true
	}
	return false
}

// serves reports whether name, as a client writes it in provider.only, order
// or ignore, certainly means this endpoint: its tag, the tag without its
// variant, or the provider's display name.
func (e *Endpoint) serves(name string) bool {
	base, _, _ := strings.Cut(e.Tag, "/")
	return name != "" && (sameName(name, e.Tag) || sameName(name, base) || sameName(name, e.Provider))
}

// sameName compares without regard to case and to how words are joined:
// "Google AI Studio" and "google-ai-studio".
func sameName(a, b string) bool {
	i, j := 0, 0
	for {
		for i < len(a) && isJoint(a[i]) {
			i++
		}
		for j < len(b) && isJoint(b[j]) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if lower(a[i]) != lower(b[j]) {
			return false
		}
		i, j = i+1, j+1
	}
}

func isJoint(c byte) bool { return c == ' ' || c == '-' || c == '_' || c == '.' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func sortOthers(others []OtherPrice) {
	slices.SortFunc(others, func(a, b OtherPrice) int { return cmp.Compare(a.Name, b.Name) })
}
