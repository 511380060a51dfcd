package openroutertest

import (
	"encoding/json"
)

// messagesSkin is POST /messages, Anthropic's form.
var messagesSkin = &skin{
	apiType: "completions", idPrefix: "gen-", comment: ": OPENROUTER PROCESSING",
	errorBody: messagesError,
	whole:     messagesWhole, head: messagesHead, piece: messagesPiece, tail: messagesTail, broken: messagesBroken,
}

func messagesError(_ *call, e *apiError) object {
	return object{
		{"type", "error"},
		{"error", object{{"type", e.anthropicKind()}, {"message", e.message}, {"error_type", e.kind}}.with(e.metadata...)},
		{"request_id", nil},
	}
}

// anthropicTokens are the counts: unlike elsewhere, input_tokens does not
// include what was read from or written to the cache.
func (a *answer) anthropicTokens() object {
	t := a.tokens
	return object{
		{"input_tokens", t.prompt - t.cached - t.cacheWrite},
		{"output_tokens", t.completion},
		{"cache_creation_input_tokens", t.cacheWrite},
		{"cache_read_input_tokens", t.cached},
	}
}

// messagesUsage is the complete usage object.
func (a *answer) messagesUsage() object {
	return a.anthropicTokens().with(
		a.money(a.charge, "upstream_inference_prompt_cost", "upstream_inference_completions_cost")...)
}

// stopReason is why it ended, in Anthropic's words.
func (a *answer) stopReason() string {
	_, native := a.finish()
	return native
}

func messagesWhole(a *answer) object {
	content := list{object{{"type", "text"}, {"text", a.text()}, {"citations", nil}}.with(a.nested()...)}
	if a.tool != nil {
		content = list{object{
			{"type", "tool_use"}, {"id", a.toolUseID()}, {"name", a.tool.name},
			{"input", json.RawMessage(a.tool.arguments())},
		}.with(a.nested()...)}
	}
	if a.c.b.Size > 0 {
		content = append(content, object{{"type", "text"}, {"text", filler}, {"citations", nil}})
	}
	usage := a.messagesUsage().with(
		member{"cache_creation", object{{"ephemeral_5m_input_tokens", a.tokens.cacheWrite}, {"ephemeral_1h_input_tokens", 0}}},
		member{"service_tier", "standard"},
	)
	return a.identified(
		member{"type", "message"}, member{"role", "assistant"}, member{"model", a.model.served()},
		member{"provider", a.model.Provider}, member{"content", content},
		member{"stop_reason", a.stopReason()}, member{"stop_sequence", nil}, member{"usage", usage},
	).with(a.metadata()...)
}

func (a *answer) toolUseID() string { return "toolu_" + a.tool.id[len("call_"):] }

// named is an event whose name is also its type.
func named(kind string, rest ...member) frame {
	return frame{name: kind, doc: object{{"type", kind}}.with(rest...)}
}

func messagesHead(a *answer) []frame {
	begun := *a
	begun.tokens.completion = 0
	if a.model.Provider != "Anthropic" { // the count is not known yet
		begun.tokens = tokens{}
	}
	message := a.identified(
		member{"type", "message"}, member{"role", "assistant"}, member{"model", a.model.served()},
		member{"provider", a.model.Provider}, member{"content", list{}},
		member{"stop_reason", nil}, member{"stop_sequence", nil}, member{"usage", begun.anthropicTokens()},
	)
	block := object{{"type", "text"}, {"text", ""}}
	if a.tool != nil {
		block = object{{"type", "tool_use"}, {"id", a.toolUseID()}, {"name", a.tool.name}, {"input", object{}}}
	}
	return []frame{
		named("message_start", member{"message", message}),
		named("content_block_start", member{"index", 0}, member{"content_block", block.with(a.nested()...)}),
		named("ping"),
	}
}

func messagesPiece(a *answer, i int) frame {
	delta := object{{"type", "text_delta"}}
	if a.tool != nil {
		delta = object{{"type", "input_json_delta"}, {"partial_json", a.tool.pieces[i]}}
	} else {
		delta = delta.with(member{"text", a.pieces[i]})
	}
	return named("content_block_delta", member{"index", 0}, member{"delta", delta.with(a.nested()...)})
}

func messagesTail(a *answer) []frame {
	var frames []frame
	if a.c.b.Size > 0 && a.tool == nil {
		frames = append(frames, named("content_block_delta", member{"index", 0},
			member{"delta", object{{"type", "text_delta"}, {"text", filler}}}))
	}
	final := named("message_delta",
		member{"delta", object{{"stop_reason", a.stopReason()}, {"stop_sequence", nil}}},
		member{"usage", a.messagesUsage()})
	final.usage = true
	return append(frames,
		named("content_block_stop", member{"index", 0}),
		final,
		named("message_stop", a.metadata()...),
		frame{name: "data", raw: done.raw},
	)
}

func messagesBroken(a *answer, e *apiError, withUsage bool) []frame {
	var frames []frame
	if withUsage {
		frames = append(frames, named("message_delta",
			member{"delta", object{{"stop_reason", nil}, {"stop_sequence", nil}}}, member{"usage", a.messagesUsage()}))
	}
	return append(frames, named("error", member{"error", object{
		{"type", e.anthropicKind()}, {"message", e.message}, {"error_type", e.kind},
	}}))
}
