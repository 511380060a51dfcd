package accounting

import (
	"strings"

	"github.com/shopspring/decimal"
)

// RequestFacts is what the body of a request says that bounds its price. It
// holds names and counts, never text of a prompt.
type RequestFacts struct {
	Model     string   // as sent; empty: left out
	Fallbacks []string // other models that may serve instead

	Provider ProviderFacts

	// MaxTokens is the largest of the limits on completion tokens that the
	// endpoint honours: where two are sent, nobody says which one holds.
	MaxTokens Optional[int64]
	N         int64 // answers wanted (n, best_of); 0 counts as 1
	Prompts   int64 // separate prompts in one call (completions, embeddings); 0 counts as 1
	Stream    bool

	// TextBytes is the length of the body without white space between tokens
	// and without the data of images and audio.
	TextBytes int64
	Messages  int // and other items of input
	Tools     int
	Images    int // sent inline
	Audio     int // sent inline

	Searches    int64  // at most so many web searches by the provider's own tool
	HourCache   bool   // the body may ask for the cache that lasts an hour
	ServiceTier string // as sent

	NoCompletion bool // the endpoint makes no completion tokens (embeddings)
	// Units: the endpoint does not bill tokens (images, seconds, search
	// units); N is then the most units that the call can use.
	Units bool

	Unbounded []Unbounded // what has no bound, in the order of the body

	// AnyModel: another model than those named may serve, by a preset, or
	// because their names could not be read.
	AnyModel bool
}

// Models are the model that is asked for and its fallbacks. anyModel: one may
// serve that nobody can name beforehand.
func (f *RequestFacts) Models() (models []string, anyModel bool) {
	models = make([]string, 0, 1+len(f.Fallbacks))
	if f.Model != "" {
		models = append(models, f.Model)
	}
	models = append(models, f.Fallbacks...)
	anyModel = f.AnyModel || len(models) == 0
	for _, name := range models {
		base, _ := baseModel(name)
		anyModel = anyModel || isRouter(base) || strings.Contains(name, "@")
	}
	return models, anyModel
}

// ProviderFacts are the members of "provider" that say which endpoints a
// request permits.
type ProviderFacts struct {
	Only, Order, Ignore []string
	NoFallbacks         bool // allow_fallbacks is false: with Order, no other provider serves

	// MaxPrice of a prompt and a completion token, in USD per million: an
	// endpoint that lists more does not serve.
	MaxPromptPrice, MaxCompletionPrice Optional[decimal.Decimal]
}

// restricts reports whether any endpoint may be ruled out.
func (p *ProviderFacts) restricts() bool {
	return len(p.Only) > 0 || len(p.Ignore) > 0 || p.NoFallbacks && len(p.Order) > 0 ||
		p.MaxPromptPrice.Known || p.MaxCompletionPrice.Known
}

// Unbounded is something in a request whose price has no bound.
type Unbounded struct {
	Field  string // where it stands in the body, e.g. messages[3].content[1].image_url
	Reason string // what follows "… " in a sentence: "is a URL, and …"
	Remedy string // what the developer can do: "send the image inline …"
}

// UnboundedError says why a call has no bound on its price. Its text is meant
// for the developer who made the call.
type UnboundedError struct {
	Unbounded
	Endpoint string // as the caller of [Bound] named it
	// UnknownModel is set where the price list of this model is all that is
	// missing; it may come.
	UnknownModel string
}

// Error is a sentence with the field, the reason and the way out.
func (e *UnboundedError) Error() string {
	text := "the price of this call has no upper bound: "
	if e.Endpoint != "" {
		text = "the price of this " + e.Endpoint + " call has no upper bound: "
	}
	text += e.Field + " " + e.Reason
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}
