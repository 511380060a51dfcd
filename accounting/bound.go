package accounting

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// What templates, tool instructions and special tokens add to a prompt beside
// the bytes of the body. Anthropic publishes the largest of them: some 530
// tokens of instructions once a request has tools, and up to 735 for one tool
// of its own kinds; the templates of open models add far less.
const (
	requestAllowance = 256  // tokens, in each call
	toolsAllowance   = 1024 // in a call with tools
	toolAllowance    = 512  // for each tool
	messageAllowance = 32   // for each message or other item of input
)

// These keep the arithmetic of counts far from overflow. No call comes near
// them.
const (
	maxCount   = 1 << 40
	maxPrompts = 1 << 22
)

// Bound is the most that a call can cost, in USD: a reservation that a hard
// budget can rely on. endpoint is how messages name what was called, e.g.
// chat/completions. It assumes that OpenRouter bills by the list in c and
// honours the request's own limits; a bill above it is possible only where one
// of these steps does not hold:
//
//   - Of the requested model and every fallback, the dearest counts: one of
//     them serves, and only a run that serves is billed (openrouter.md §10,
//     zero-completion insurance). An alias is the model it stands for at
//     present; variants that only sort providers are the model without them.
//   - Of a model's endpoints, the dearest that the request permits counts
//     (§8). One is ruled out only where that is certain: a name in provider
//     that fits no endpoint rules out none, nor do restrictions that would
//     leave nothing.
//   - Prompt tokens are at most the bytes of the body, since a token stands
//     for at least one byte, plus fixed allowances for what providers add to
//     it, and at most the endpoint's context length. Images and audio fill the
//     context length, since nobody publishes how many tokens they become; an
//     image also has its own price.
//   - A prompt token costs the dearest of prompt, cache read and cache write:
//     providers cache without being asked (§10). A write listed below the
//     prompt's price is added to it. The one-hour write counts where the body
//     could ask for it: as listed, else twice the prompt's price (§10).
//   - Overrides count from their number of prompt tokens on, whatever the
//     hour, since a call may wait for one (§8). Cache prices that an override
//     leaves out rise with its prompt price.
//   - Completion tokens are at most the request's limit and the endpoint's
//     own, else its context length. Reasoning is part of them (§2.2), and
//     costs the dearest of completion, internal_reasoning, image_output and
//     audio_output.
//   - All of it counts once for each of n answers, since a provider may run
//     them one by one. Several prompts share the bytes of the body; each has a
//     context, an answer and the price of a call of its own.
//   - A web search by the provider's own tool costs what the endpoint lists,
//     and each makes the model read its context and write once more. Only
//     Anthropic's models have such a tool with a cap.
//   - A listed component that we do not know counts as if it were for each
//     token and for each call.
//   - A discount lowers nothing: it can end at any time. A provider key of the
//     customer's own (BYOK) does not either: whether it serves cannot be known.
//
// The error is an *[UnboundedError].
//
// Bound never falls when a count in f rises, when a fallback is added, or, for
// a request that restricts no providers, an endpoint.
func Bound(f *RequestFacts, c *Catalog, endpoint string) (decimal.Decimal, error) {
	if len(f.Unbounded) > 0 {
		return decimal.Decimal{}, &UnboundedError{Unbounded: f.Unbounded[0], Endpoint: endpoint}
	}
	if f.Model == "" && len(f.Fallbacks) == 0 {
		return decimal.Decimal{}, &UnboundedError{Endpoint: endpoint, Unbounded: Unbounded{
			"model", "is left out, and the account's default is not known here", "name a model"}}
	}
	var most decimal.Decimal
	for i := -1; i < len(f.Fallbacks); i++ {
		name := f.Model
		if i >= 0 {
			name = f.Fallbacks[i]
		} else if name == "" {
			continue
		}
		usd, problem := f.boundOf(name, c)
		if problem != nil {
			problem.Endpoint = endpoint
			if problem.Field == "model" && i >= 0 {
				problem.Field = fmt.Sprintf("models[%d]", i)
			}
			return decimal.Decimal{}, problem
		}
		if usd.GreaterThan(most) {
			most = usd
		}
	}
	return most, nil
}

// boundOf is the bound if the model of this name serves.
func (f *RequestFacts) boundOf(name string, c *Catalog) (decimal.Decimal, *UnboundedError) {
	if problem := namesNoModel(name); problem != nil {
		return decimal.Decimal{}, problem
	}
	l := c.offersOf(name)
	if l == nil {
		return decimal.Decimal{}, &UnboundedError{UnknownModel: name, Unbounded: Unbounded{
			"model", fmt.Sprintf("is %q, whose prices are not known here", name),
			"check the name, or try again in a few seconds, when its price list may have come"}}
	}
	var most decimal.Decimal
	if !f.Provider.restricts() {
		for _, i := range l.front {
			usd, problem := f.boundAt(l, i)
			if problem != nil {
				return decimal.Decimal{}, problem
			}
			most = decimal.Max(most, usd)
		}
		return most, nil
	}
	rules := f.Provider.rules(l)
	for i := range l.caps {
		if !rules.permit(l, i) {
			continue
		}
		usd, problem := f.boundAt(l, i)
		if problem != nil {
			return decimal.Decimal{}, problem
		}
		most = decimal.Max(most, usd)
	}
	return most, nil
}

// offersOf finds the model that serves a request for name, nil unless its
// endpoints are known.
func (c *Catalog) offersOf(name string) *listing {
	l := c.find(name)
	if base, variant := baseModel(name); l == nil && sortsOnly(variant) {
		l = c.find(base)
	}
	if l == nil || len(l.caps) == 0 {
		return nil
	}
	return l
}

// boundAt is the bound if the model's endpoint i serves.
func (f *RequestFacts) boundAt(l *listing, i int) (decimal.Decimal, *UnboundedError) {
	e := &l.caps[i]
	if e.unfixed != "" {
		return decimal.Decimal{}, l.unbounded(i, "model", "lists no fixed price for "+e.unfixed, "choose a model with fixed prices")
	}
	answers, prompts := count1(f.N), count1(f.Prompts)
	if f.Units {
		if rate := e.tiers[len(e.tiers)-1].request; e.tokenless && rate.IsPositive() {
			return rate.Mul(decimal.NewFromInt(answers)), nil
		}
		return decimal.Decimal{}, l.unbounded(i, "model", "is billed by units that the price list does not show", "")
	}
	turns := 1 + min(max(f.Searches, 0), maxCount)
	prompt, whole := f.promptTokens(e)
	if whole && e.context == 0 {
		return decimal.Decimal{}, l.unbounded(i, "model", "lists no context length, which bounds images, audio and searches", "choose another model or provider")
	}
	completion := f.completionTokens(e)
	t := e.at(prompt)
	if completion < 0 && !t.completion.IsZero() {
		return decimal.Decimal{}, l.unbounded(i, "max_tokens", "is not set, and the model lists no limit of its own", "set it")
	}
	if f.Searches > 0 && (!t.search.Known || !strings.HasPrefix(l.model.Slug, "anthropic/")) {
		return decimal.Decimal{}, l.unbounded(i, "tools", "ask for web searches, for which no price is listed", "leave them out")
	}
	sum := t.request
	if prompts > 1 {
		sum = sum.Mul(decimal.NewFromInt(prompts))
	}
	if rate := f.promptRate(t); !rate.IsZero() {
		sum = sum.Add(rate.Mul(decimal.NewFromInt(prompt)))
	}
	if completion > 0 && !t.completion.IsZero() {
		sum = sum.Add(t.completion.Mul(decimal.NewFromInt(completion * prompts)))
	}
	if f.Images > 0 && !t.image.IsZero() {
		sum = sum.Add(t.image.Mul(decimal.NewFromInt(int64(f.Images))))
	}
	if turns > 1 {
		sum = sum.Mul(decimal.NewFromInt(turns)).Add(t.search.Value.Mul(decimal.NewFromInt(turns - 1)))
	}
	if answers > 1 && !sum.IsZero() {
		sum = sum.Mul(decimal.NewFromInt(answers))
	}
	return sum, nil
}

// count1 reads a count of which 0 means 1.
func count1(n int64) int64 { return min(max(n, 1), maxPrompts) }

// promptTokens is the most tokens of all prompts together. whole reports that
// only the context length bounds them.
func (f *RequestFacts) promptTokens(e *ceiling) (tokens int64, whole bool) {
	prompts := count1(f.Prompts)
	tokens = requestAllowance*prompts + min(f.TextBytes, maxCount) + messageAllowance*min(int64(f.Messages), maxCount)
	if f.Tools > 0 {
		tokens += toolsAllowance + toolAllowance*min(int64(f.Tools), maxCount)
	}
	whole = f.Images > 0 || f.Audio > 0 || f.Searches > 0
	if most := min(e.context, maxCount) * prompts; most > 0 && (whole || tokens > most) {
		tokens = most
	}
	return tokens, whole
}

// promptRate is the dearest price of a prompt token.
func (f *RequestFacts) promptRate(t *tier) decimal.Decimal {
	rate := t.text
	if f.HourCache && t.hour.GreaterThan(rate) {
		rate = t.hour
	}
	if f.Images > 0 && t.imageToken.GreaterThan(rate) {
		rate = t.imageToken
	}
	if f.Audio > 0 && t.audioToken.GreaterThan(rate) {
		rate = t.audioToken
	}
	return rate
}

// completionTokens is the most tokens of one answer, -1 if nothing limits it.
func (f *RequestFacts) completionTokens(e *ceiling) int64 {
	limited := f.MaxTokens.Known && f.MaxTokens.Value > 0
	switch {
	case f.NoCompletion:
		return 0
	case !limited && e.completion == 0:
		return -1
	case !limited:
		return min(e.completion, maxCount)
	case e.completion == 0:
		return min(f.MaxTokens.Value, maxCount)
	}
	return min(f.MaxTokens.Value, e.completion, maxCount)
}

func (l *listing) unbounded(i int, field, reason, remedy string) *UnboundedError {
	if field == "model" {
		reason = fmt.Sprintf("is %q, which at %s %s", l.model.Slug, l.model.Endpoints[i].Provider, reason)
	}
	return &UnboundedError{Unbounded: Unbounded{field, reason, remedy}}
}

// namesNoModel tells the names for which some other model serves, or which
// buy more than the model (openrouter.md §8).
func namesNoModel(name string) *UnboundedError {
	var reason string
	remedy := "name the model itself"
	base, variant := baseModel(name)
	switch {
	case strings.Contains(name, "@"):
		reason = "uses a preset, whose contents are not known here"
	case isRouter(base):
		reason = "is a router, which may choose any model or several"
	case variant == "online":
		reason, remedy = "searches the web, for which no price is listed", "leave out \":online\""
	case variant == "nitro":
		reason, remedy = "may choose a dearer service tier, for which no price is listed", "leave out \":nitro\""
	case searchesByItself(base):
		reason, remedy = "searches the web as often as it likes", "choose a model that does not"
	default:
		return nil
	}
	return &UnboundedError{Unbounded: Unbounded{"model", fmt.Sprintf("%q %s", name, reason), remedy}}
}

func isRouter(base string) bool {
	router, ok := strings.CutPrefix(base, "openrouter/")
	if !ok {
		return false
	}
	for _, name := range [...]string{"auto", "free", "fusion", "pareto", "bodybuilder"} {
		if strings.HasPrefix(router, name) {
			return true
		}
	}
	return false
}

// searchesByItself tells models that search without a tool in the request.
func searchesByItself(base string) bool {
	return strings.HasPrefix(base, "perplexity/") || strings.Contains(base, "deep-research") || strings.Contains(base, "-search")
}
