package openroutertest

import (
	"strings"

	"github.com/shopspring/decimal"
)

// answer is what a model made of a request, before an endpoint dresses it.
type answer struct {
	c       *call
	id      string
	model   Model
	pieces  []string  // of text, a completion token each
	tool    *toolCall // instead of text
	cut     bool      // max_tokens ended it
	tokens  tokens
	extra   decimal.Decimal // what is charged beside tokens, USD at list price
	seconds int64           // of audio or video
	charge  charge          // in full
	sent    int64           // completion tokens that have been streamed
	seq     int             // of events of the Responses API
}

// decoyUsage is a usage object that is none.
const decoyUsage = `{"id":"gen-1000000000-decoydecoydecoydecoy","usage":{"cost":99,"is_byok":true,"total_tokens":99}}`

// newAnswer runs the model.
func (c *call) newAnswer() *answer {
	source := draw(c.s.opts.Seed, c.req.serve(), c.body)
	a := &answer{c: c, id: newID(c.skin.idPrefix, c.started), model: c.s.prices.find(c.req.serve(), source)}
	a.speak(source)
	a.tokens = tokens{
		prompt:     int64(len(c.body)+3) / 4,
		completion: a.produce(),
		cached:     c.b.CachedTokens, cacheWrite: c.b.CacheWriteTokens, reasoning: c.b.ReasoningTokens,
	}
	a.tokens.prompt = max(a.tokens.prompt, a.tokens.cached+a.tokens.cacheWrite)
	if c.skin.measure != nil {
		c.skin.measure(a)
	}
	if c.b.CacheHit {
		a.tokens, a.charge = tokens{}, free()
	} else {
		a.charge = priceOf(&a.model, a.tokens, a.extra, &c.b)
	}
	return a
}

// speak makes the text or the tool call.
func (a *answer) speak(source uint64) {
	q, b := &a.c.req, &a.c.b
	if tool := q.wantsTool(); tool != nil || b.AlwaysTools {
		a.tool = &toolCall{id: "call_" + randomID(alphanumeric, 24), name: "lookup"}
		arguments := "{}"
		if tool != nil {
			name, schema := tool.function()
			a.tool.name, arguments = name, sampleOf(schema)
		}
		if b.Decoy == DecoyTool {
			arguments = decoyUsage
		}
		a.tool.pieces = inPieces(arguments)
		return
	}
	switch schema := q.wantsJSON(); {
	case schema != nil:
		a.pieces = inPieces(sampleOf(schema))
		return
	case b.Chunks > 0:
		a.pieces = words(source, b.Chunks, b.ChunkSize)
	default:
		a.pieces = words(source, 8+int(source%25), b.ChunkSize)
	}
	if b.Decoy == DecoyText {
		a.pieces = append([]string{decoyUsage, "\n\ndata: " + decoyUsage + "\n\n", `"usage":{"cost":99}`}, a.pieces...)
	}
	if limit := int(q.limit()); limit > 0 && limit < len(a.pieces) {
		a.pieces, a.cut = a.pieces[:limit], true
	}
}

// produce is the number of completion tokens.
func (a *answer) produce() int64 { return int64(len(a.units())) }

// units are the pieces that a stream sends, one token each.
func (a *answer) units() []string {
	if a.tool != nil {
		return a.tool.pieces
	}
	return a.pieces
}

func (a *answer) text() string { return strings.Join(a.pieces, "") }

// finish is the reason in OpenRouter's words; native that of the provider.
func (a *answer) finish() (reason, native string) {
	switch {
	case a.tool != nil:
		return "tool_calls", "tool_use"
	case a.cut:
		return "length", "max_tokens"
	default:
		return "stop", "end_turn"
	}
}

// partial is what the tokens streamed so far cost. Without a token nothing is
// charged: OpenRouter's zero-completion insurance.
func (a *answer) partial() (tokens, charge) {
	t := a.tokens
	t.completion = a.sent
	if t.completion == 0 || a.c.b.CacheHit {
		return t, free()
	}
	return t, priceOf(&a.model, t, a.extra, &a.c.b)
}

// identified is o, with the id first where the body has one.
func (a *answer) identified(o ...member) object {
	if a.c.b.ID == IDInHeader || a.c.b.ID == IDNowhere {
		return o
	}
	return append(object{{"id", a.id}}, o...)
}

// money are the members of a usage object that are about money. in and out
// name the two parts of the upstream cost, which endpoints spell differently.
func (a *answer) money(c charge, in, out string) object {
	b := &a.c.b
	var o object
	upstream := any(c.upstreamLiteral)
	switch {
	case b.InlineCost == CostAbsent:
		if b.NoIsBYOK {
			return nil
		}
		return object{{"is_byok", c.byok}}
	case b.InlineCost == CostNull:
		o, upstream = object{{"cost", nil}}, nil
	case b.InlineAmount != "":
		o = object{{"cost", literal(b.InlineAmount)}}
	default:
		o = object{{"cost", c.literal}}
	}
	if !b.NoIsBYOK && !b.ServerTools {
		o = o.with(member{"is_byok", c.byok})
	}
	o = o.with(member{"cost_details", object{
		{"upstream_inference_cost", upstream}, {in, c.prompt}, {out, c.completion},
	}})
	if b.ServerTools {
		o = o.with(member{"server_tool_use_details", object{
			{"web_search_requests", 1}, {"tool_calls_requested", 1}, {"tool_calls_executed", 1},
		}})
	}
	return o
}

// metadata is openrouter_metadata, for those who ask for it and as a decoy.
func (a *answer) metadata() object {
	header := a.c.r.Header
	asked := header.Get("X-OpenRouter-Metadata") == "enabled" || header.Get("X-OpenRouter-Experimental-Metadata") == "enabled"
	decoy := a.c.b.Decoy == DecoyNested
	if !asked && !decoy {
		return nil
	}
	step := object{{"type", "generation"}, {"cost_usd", a.charge.literal}}
	if decoy {
		step = object{{"type", "plugin"}, {"cost_usd", literal("99")}, {"usage", object{{"cost", literal("99")}}}}
	}
	return object{{"openrouter_metadata", object{
		{"requested", a.c.req.Model}, {"strategy", "direct"}, {"attempt", 1},
		{"pipeline", list{step}},
	}}}
}
