package openrouter

import (
	"strings"

	"bursar/accounting"
)

// requestReader reads the value of one top-level member, which is not null.
type requestReader struct {
	name string
	read func(r *factsReader, name string)
}

// requestReaders are the members that matter for the price. All others are at
// most text. At most 64: there is a bit for each.
var requestReaders = [...]requestReader{
	{"model", (*factsReader).readModel},
	{"models", (*factsReader).readModels},
	{"fallbacks", (*factsReader).readModels},
	{"provider", (*factsReader).readProvider},
	{"messages", (*factsReader).readItems},
	{"system", (*factsReader).readItems},
	{"input", (*factsReader).readInput},
	{"prompt", (*factsReader).readPrompt},
	{"documents", (*factsReader).readDocuments},
	{"tools", (*factsReader).readTools},
	{"functions", (*factsReader).readFunctions},
	{"plugins", (*factsReader).readPlugins},
	{"max_tokens", (*factsReader).readLimit},
	{"max_completion_tokens", (*factsReader).readLimit},
	{"max_output_tokens", (*factsReader).readLimit},
	{"n", (*factsReader).readAnswers},
	{"best_of", (*factsReader).readAnswers},
	{"stream", (*factsReader).readStream},
	{"service_tier", (*factsReader).readServiceTier},
	{"speed", (*factsReader).readSpeed},
	{"inference_geo", (*factsReader).readRegion},
	{"modalities", (*factsReader).readModalities},
	{"audio", costsMore("asks for speech, which has no limit in tokens", "ask for text alone")},
	{"image_config", costsMore("asks for images, which have no limit in tokens", "ask for text alone")},
	{"preset", (*factsReader).readPreset},
	{"web_search_options", costsMore("lets the model search the web as often as it likes", "leave it out")},
	{"prediction", costsMore("is billed as completion where the model writes something else", "leave it out")},
	{"previous_response_id", costsMore("adds an earlier conversation, whose length is not known here", "send the conversation itself")},
	{"conversation", costsMore("adds an earlier conversation, whose length is not known here", "send the conversation itself")},
	{"container", costsMore("runs a container, for which no price is listed", "leave it out")},
	{"mcp_servers", costsMore("lets the model call servers as often as it likes", "call them from your own code")},
	{"context_management", costsMore("may make the model read and write the context more than once", "leave it out")},
}

var requestMembers = func() map[string]uint {
	members := make(map[string]uint, len(requestReaders))
	for i, m := range requestReaders {
		members[m.name] = uint(i)
	}
	return members
}()

// costsMore reads a member that leaves the call without a bound unless it is
// empty: false, [], {} and "".
func costsMore(reason, remedy string) func(*factsReader, string) {
	return func(r *factsReader, name string) {
		start := r.pos
		r.skip()
		switch string(r.body[start:r.pos]) {
		case "false", "[]", "{}", `""`:
		default:
			r.unbounded(name, reason, remedy)
		}
	}
}

// readPreset: a preset may name models.
func (r *factsReader) readPreset(name string) {
	r.skip()
	r.facts.AnyModel = true
	r.unbounded(name, "names a preset, whose contents are not known here", "send what it stands for")
}

func (r *factsReader) readModel(name string) {
	model, ok := r.text()
	if !ok || len(model) > maxName {
		r.facts.AnyModel = true
		r.unbounded(name, "is not the name of a model", "name one")
		return
	}
	r.facts.Model = string(model)
}

// readModels reads the fallbacks: names, or in /messages objects that have
// one.
func (r *factsReader) readModels(name string) {
	if r.peek() != '[' {
		r.skip()
		r.facts.AnyModel = true
		r.unbounded(name, "is not a list of models", "send a list")
		return
	}
	r.push(name)
	defer r.pop()
	i := 0
	for more := r.enterArray(); more; more = r.nextElement() {
		r.at(i)
		i++
		model, ok := r.fallback()
		if !ok || len(model) == 0 || len(model) > maxName || len(r.facts.Fallbacks) >= maxNames {
			r.facts.AnyModel = true
			r.unbounded("", "is not the plain name of a model", "send names alone")
			continue
		}
		r.facts.Fallbacks = append(r.facts.Fallbacks, string(model))
	}
}

func (r *factsReader) fallback() (model []byte, ok bool) {
	if r.peek() != '{' {
		return r.text()
	}
	members := 0
	for more := r.enterObject(); more; more = r.nextMember() {
		members++
		if string(r.key) == "model" {
			model, ok = r.text()
		} else {
			r.skip()
		}
	}
	return model, ok && members == 1 // another member may raise a limit
}

// limits are the members that limit completion tokens, where they are honoured.
var limits = map[string]string{
	"chat/completions": "max_tokens max_completion_tokens",
	"completions":      "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens",
}

func (r *factsReader) readLimit(name string) {
	n, ok := r.number()
	honoured := false
	for known := range strings.FieldsSeq(limits[r.class]) {
		honoured = honoured || known == name
	}
	switch {
	case !honoured:
	case !ok || n == 0:
		r.badLimit = true
	case n > r.facts.MaxTokens.Value:
		r.facts.MaxTokens = accounting.Some(n)
	}
}

func (r *factsReader) readAnswers(name string) {
	n, ok := r.number()
	if !ok || n == 0 {
		r.unbounded(name, "is not a number of answers", "send a whole number")
		return
	}
	r.facts.N = max(r.facts.N, n)
}

func (r *factsReader) readStream(string) {
	switch r.peek() {
	case '"', '{', '[':
		r.skip()
	default:
		r.facts.Stream = string(r.literal()) == "true"
	}
}

// readServiceTier lets the tiers pass that cost what is listed, or less.
func (r *factsReader) readServiceTier(name string) {
	tier, ok := r.text()
	if ok && len(tier) <= maxName {
		r.facts.ServiceTier = string(tier)
	}
	switch r.facts.ServiceTier {
	case "auto", "default", "standard", "standard_only", "flex":
		return
	}
	r.unbounded(name, "is one for which no price is listed", "leave it out")
}

func (r *factsReader) readSpeed(name string) {
	if speed, _ := r.text(); string(speed) != "standard" {
		r.unbounded(name, "is one for which no price is listed", "leave it out")
	}
}

func (r *factsReader) readRegion(name string) {
	if region, _ := r.text(); string(region) != "global" {
		r.unbounded(name, "is one for which no price is listed", "leave it out")
	}
}

func (r *factsReader) readModalities(name string) {
	if r.peek() != '[' {
		r.skip()
		r.unbounded(name, "is not a list", "send a list")
		return
	}
	other := false
	for more := r.enterArray(); more; more = r.nextElement() {
		modality, _ := r.text()
		other = other || string(modality) != "text"
	}
	if other {
		r.unbounded(name, "asks for more than text, which has no limit in tokens", "ask for text alone")
	}
}

// readPrompt reads the prompts of /completions: one, several, or the tokens of
// either. Elsewhere it is a text, or a template that OpenRouter keeps.
func (r *factsReader) readPrompt(name string) {
	switch {
	case r.class == "completions":
		r.readPrompts(name)
	case r.peek() == '{':
		r.skip()
		r.unbounded(name, "names a stored prompt, whose length is not known here", "send the prompt itself")
	default:
		r.skip()
	}
}

// readInput reads what /responses and /embeddings take; elsewhere it is a
// text.
func (r *factsReader) readInput(name string) {
	switch r.class {
	case "embeddings":
		r.readPrompts(name)
	case "responses":
		r.readItems(name)
	default:
		r.skip()
	}
}

// readPrompts counts separate prompts: the strings, arrays and objects of a
// list. Numbers are tokens of one prompt.
func (r *factsReader) readPrompts(name string) {
	if r.peek() != '[' {
		r.skip()
		r.facts.Prompts, r.facts.Messages = 1, r.facts.Messages+1
		return
	}
	r.push(name)
	defer r.pop()
	prompts, i := 0, 0
	for more := r.enterArray(); more; more = r.nextElement() {
		switch r.peek() {
		case '{':
			r.at(i)
			prompts++
			r.item()
		case '"', '[':
			prompts++
			r.skip()
		default:
			r.skip()
		}
		i++
	}
	prompts = max(prompts, 1)
	r.facts.Prompts, r.facts.Messages = int64(prompts), r.facts.Messages+prompts
}

func (r *factsReader) readDocuments(string) {
	if r.peek() != '[' {
		r.skip()
		return
	}
	for more := r.enterArray(); more; more = r.nextElement() {
		r.documents++
		r.skip()
	}
}

// readPlugins lets only those pass that are switched off.
func (r *factsReader) readPlugins(name string) {
	if r.peek() != '[' {
		r.skip()
		r.unbounded(name, "is not a list", "send a list")
		return
	}
	r.push(name)
	defer r.pop()
	i := 0
	for more := r.enterArray(); more; more = r.nextElement() {
		r.at(i)
		i++
		if !r.switchedOff() {
			r.unbounded("", "is a plugin, for which no price is listed", "leave it out")
		}
	}
}

func (r *factsReader) switchedOff() (off bool) {
	if r.peek() != '{' {
		r.skip()
		return false
	}
	for more := r.enterObject(); more; more = r.nextMember() {
		if string(r.key) == "enabled" && r.peek() == 'f' {
			off = string(r.literal()) == "false"
			continue
		}
		off = off && string(r.key) != "enabled"
		r.skip()
	}
	return off
}
