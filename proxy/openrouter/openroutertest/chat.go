package openroutertest

import "strings"

// chatSkin is POST /chat/completions.
var chatSkin = &skin{
	apiType: "completions", idPrefix: "gen-", comment: ": OPENROUTER PROCESSING",
	errorBody: func(_ *call, e *apiError) object { return e.envelope() },
	whole:     chatWhole, head: chatHead, piece: chatPiece, tail: chatTail, broken: chatBroken,
}

// internSkin is POST /interns/{id}/chat/completions: chat with a keep-alive of
// its own.
var internSkin = func() *skin {
	sk := *chatSkin
	sk.comment = ": keepalive"
	return &sk
}()

// textSkin is POST /completions, the legacy form.
var textSkin = &skin{
	apiType: "completions", idPrefix: "gen-", comment: ": OPENROUTER PROCESSING",
	errorBody: func(_ *call, e *apiError) object { return e.envelope() },
	whole:     textWhole, head: func(*answer) []frame { return nil },
	piece: textPiece, tail: textTail, broken: chatBroken,
}

// chatFrame is the part that the answer and every chunk share.
func (a *answer) chatFrame(kind string, rest ...member) object {
	return a.identified(
		member{"object", kind}, member{"created", a.c.started.Unix()},
		member{"model", a.model.served()}, member{"provider", a.model.Provider},
	).with(rest...)
}

// chatUsage is the usage object of chat, text and image answers.
func (a *answer) chatUsage() object {
	t := a.tokens
	o := object{
		{"prompt_tokens", t.prompt}, {"completion_tokens", t.completion}, {"total_tokens", t.prompt + t.completion},
	}.with(a.money(a.charge, "upstream_inference_prompt_cost", "upstream_inference_completions_cost")...)
	return o.with(
		member{"prompt_tokens_details", object{
			{"cached_tokens", t.cached}, {"cache_write_tokens", t.cacheWrite}, {"audio_tokens", 0}, {"video_tokens", 0},
		}},
		member{"completion_tokens_details", object{
			{"reasoning_tokens", t.reasoning}, {"image_tokens", 0}, {"audio_tokens", 0},
		}},
	)
}

// nested is a usage object in a place where none belongs.
func (a *answer) nested() object {
	if a.c.b.Decoy != DecoyNested {
		return nil
	}
	return object{{"usage", object{{"cost", literal("99")}, {"is_byok", true}, {"total_tokens", 99}}}}
}

func chatWhole(a *answer) object {
	message := object{{"role", "assistant"}, {"content", a.text()}, {"refusal", nil}, {"reasoning", nil}}
	if a.tool != nil {
		message[1].value = nil
		message = message.with(member{"tool_calls", list{a.tool.whole()}})
	}
	if a.c.b.Size > 0 {
		message = message.with(member{"images", imageParts()})
	}
	reason, native := a.finish()
	choice := object{
		{"index", 0}, {"finish_reason", reason}, {"native_finish_reason", native}, {"logprobs", nil},
		{"message", message.with(a.nested()...)},
	}
	return a.chatFrame("chat.completion", member{"system_fingerprint", nil}, member{"service_tier", nil}, member{"choices", list{choice}}).
		with(member{"usage", a.chatUsage()}).with(a.metadata()...)
}

// whole is the call in a chat answer.
func (t *toolCall) whole() object {
	return object{
		{"id", t.id}, {"type", "function"}, {"index", 0},
		{"function", object{{"name", t.name}, {"arguments", t.arguments()}}},
	}
}

// imageParts is an image of Behavior.Size bytes.
func imageParts() list {
	return list{object{{"type", "image_url"}, {"index", 0},
		{"image_url", object{{"url", "data:image/png;base64," + filler}}}}}
}

// chatChunk is a chunk of a stream with one choice.
func (a *answer) chatChunk(delta object, reason, native any) object {
	return a.chatFrame("chat.completion.chunk", member{"choices", list{object{
		{"index", 0}, {"delta", delta.with(a.nested()...)},
		{"finish_reason", reason}, {"native_finish_reason", native}, {"logprobs", nil},
	}}})
}

func chatHead(a *answer) []frame {
	var frames []frame
	if a.c.req.Debug.EchoUpstreamBody {
		echoed := object{{"echo_upstream_body", object{{"model", a.model.served()}, {"messages", list{}}}}}
		frames = append(frames, frame{doc: a.chatFrame("chat.completion.chunk", member{"choices", list{}}, member{"debug", echoed})})
	}
	delta := object{{"role", "assistant"}, {"content", ""}}
	if a.tool != nil {
		delta[1] = member{"content", nil}
		delta = delta.with(member{"tool_calls", list{object{
			{"index", 0}, {"id", a.tool.id}, {"type", "function"},
			{"function", object{{"name", a.tool.name}, {"arguments", ""}}},
		}}})
	}
	return append(frames, frame{doc: a.chatChunk(delta, nil, nil)})
}

func chatPiece(a *answer, i int) frame {
	if a.tool != nil {
		return frame{doc: a.chatChunk(object{{"tool_calls", list{object{
			{"index", 0}, {"function", object{{"arguments", a.tool.pieces[i]}}},
		}}}}, nil, nil)}
	}
	return frame{doc: a.chatChunk(object{{"role", "assistant"}, {"content", a.pieces[i]}}, nil, nil)}
}

func chatTail(a *answer) []frame {
	var frames []frame
	if a.c.b.Size > 0 {
		frames = append(frames, frame{doc: a.chatChunk(object{{"content", ""}, {"images", imageParts()}}, nil, nil)})
	}
	reason, native := a.finish()
	empty := object{{"role", "assistant"}, {"content", ""}}
	last := a.chatChunk(empty, reason, native)
	switch a.c.b.Usage {
	case UsageEmptyDelta:
		last = a.chatChunk(empty, nil, nil)
	case UsageNoChoices:
		last = a.chatFrame("chat.completion.chunk", member{"choices", list{}})
	}
	return append(frames,
		frame{doc: a.chatChunk(empty, reason, native)},
		frame{doc: last.with(member{"usage", a.chatUsage()}).with(a.metadata()...), usage: true},
		done,
	)
}

// chatBroken is the error chunk of chat and text streams.
func chatBroken(a *answer, e *apiError, withUsage bool) []frame {
	doc := a.chatFrame("chat.completion.chunk",
		member{"error", e.chatError()},
		member{"choices", list{object{
			{"index", 0}, {"delta", object{{"role", "assistant"}, {"content", ""}}},
			{"finish_reason", "error"}, {"native_finish_reason", nil}, {"logprobs", nil},
		}}},
	)
	if withUsage {
		doc = doc.with(member{"usage", a.chatUsage()})
	}
	return []frame{{doc: doc}}
}

// textChoice is a choice of the legacy endpoint.
func (a *answer) textChoice(text string, reason, native any) object {
	return a.chatFrame("text_completion", member{"choices", list{object{
		{"index", 0}, {"text", text}, {"logprobs", nil}, {"finish_reason", reason}, {"native_finish_reason", native}, {"reasoning", nil},
	}}})
}

func textWhole(a *answer) object {
	text := strings.Join(a.units(), "")
	if a.c.b.Size > 0 {
		text += filler
	}
	reason, native := a.finish()
	return a.textChoice(text, reason, native).with(member{"usage", a.chatUsage()})
}

func textPiece(a *answer, i int) frame {
	return frame{doc: a.textChoice(a.units()[i], nil, nil)}
}

func textTail(a *answer) []frame {
	reason, native := a.finish()
	last := a.textChoice("", reason, native)
	if a.c.b.Usage == UsageNoChoices {
		last = a.chatFrame("text_completion", member{"choices", list{}})
	}
	return []frame{
		{doc: a.textChoice("", reason, native)},
		{doc: last.with(member{"usage", a.chatUsage()}), usage: true},
		done,
	}
}
