package openroutertest

import "encoding/json"

// responsesSkin is POST /responses. Its streams have data lines only; the kind
// of an event is its "type".
var responsesSkin = &skin{
	apiType: "completions", idPrefix: "gen-", comment: ": ",
	errorBody: responsesError,
	whole:     func(a *answer) object { return a.response("completed") },
	head:      responsesHead, piece: responsesPiece, tail: responsesTail, broken: responsesBroken,
}

func responsesError(_ *call, e *apiError) object {
	return object{
		{"error", object{{"code", e.kind}, {"message", e.message}, {"metadata", object{{"error_type", e.kind}}.with(e.metadata...)}}},
		{"error_type", e.kind},
	}
}

// responsesUsage is the usage object of a response.
func (a *answer) responsesUsage() object {
	t := a.tokens
	return object{
		{"input_tokens", t.prompt},
		{"input_tokens_details", object{{"cached_tokens", t.cached}, {"cache_write_tokens", t.cacheWrite}}},
		{"output_tokens", t.completion},
		{"output_tokens_details", object{{"reasoning_tokens", t.reasoning}}},
		{"total_tokens", t.prompt + t.completion},
	}.with(a.money(a.charge, "upstream_inference_input_cost", "upstream_inference_output_cost")...)
}

// response is the response object in a state: in_progress, completed or failed.
func (a *answer) response(state string) object {
	var output list
	usage, details, completedAt := any(nil), any(nil), any(nil)
	if state == "completed" {
		output, usage = a.outputItems(), a.responsesUsage()
		completedAt = a.c.started.Unix()
		if a.cut {
			state, details = "incomplete", object{{"reason", "max_output_tokens"}}
		}
	}
	tools := a.c.req.rawTools(a.c.body)
	return a.identified(
		member{"object", "response"}, member{"created_at", a.c.started.Unix()}, member{"completed_at", completedAt},
		member{"status", state}, member{"model", a.model.served()}, member{"output", output},
		member{"error", nil}, member{"incomplete_details", details}, member{"instructions", nil},
		member{"max_output_tokens", nil}, member{"metadata", object{}}, member{"parallel_tool_calls", true},
		member{"previous_response_id", nil}, member{"reasoning", object{{"effort", nil}, {"summary", nil}}},
		member{"service_tier", "default"}, member{"store", false},
		member{"temperature", 1}, member{"top_p", 1}, member{"presence_penalty", 0}, member{"frequency_penalty", 0},
		member{"text", object{{"format", object{{"type", "text"}}}}},
		member{"tool_choice", "auto"}, member{"tools", tools}, member{"truncation", "disabled"},
		member{"usage", usage},
	).with(a.metadata()...)
}

// rawTools are the request's tools as it sent them, which a response repeats.
func (q *request) rawTools(body []byte) json.RawMessage {
	var raw struct{ Tools json.RawMessage }
	if len(q.Tools) == 0 || json.Unmarshal(body, &raw) != nil {
		return json.RawMessage("[]")
	}
	return raw.Tools
}

// outputItems is the complete output.
func (a *answer) outputItems() list {
	items := list{a.outputItem("completed")}
	if a.c.b.Size > 0 {
		items = append(items, object{
			{"type", "image_generation_call"}, {"id", "ig_1"}, {"status", "completed"}, {"result", filler},
		})
	}
	return items
}

// outputItem is the message or the call, empty while it is in progress.
func (a *answer) outputItem(state string) object {
	complete := state == "completed"
	if a.tool != nil {
		arguments := ""
		if complete {
			arguments = a.tool.arguments()
		}
		return object{
			{"type", "function_call"}, {"id", "fc_1"}, {"call_id", a.tool.id}, {"name", a.tool.name},
			{"arguments", arguments}, {"status", state},
		}.with(a.nested()...)
	}
	content := list{}
	if complete {
		content = list{a.textPart(a.text())}
	}
	return object{
		{"type", "message"}, {"id", "msg_1"}, {"role", "assistant"}, {"status", state}, {"content", content},
	}.with(a.nested()...)
}

func (a *answer) textPart(text string) object {
	return object{{"type", "output_text"}, {"text", text}, {"annotations", list{}}, {"logprobs", list{}}}
}

// happen is an event of a response.
func (a *answer) happen(kind string, rest ...member) frame {
	doc := object{{"type", kind}, {"sequence_number", a.seq}}.with(rest...)
	a.seq++
	return frame{doc: doc}
}

func responsesHead(a *answer) []frame {
	frames := []frame{
		a.happen("response.created", member{"response", a.response("in_progress")}),
		a.happen("response.in_progress", member{"response", a.response("in_progress")}),
		a.happen("response.output_item.added", member{"output_index", 0}, member{"item", a.outputItem("in_progress")}),
	}
	if a.tool == nil {
		frames = append(frames, a.happen("response.content_part.added",
			a.place(member{"part", a.textPart("")})...))
	}
	return frames
}

// place says which item, and which part of it, an event is about.
func (a *answer) place(rest ...member) object {
	if a.tool != nil {
		return object{{"output_index", 0}, {"item_id", "fc_1"}}.with(rest...)
	}
	return object{{"output_index", 0}, {"content_index", 0}, {"item_id", "msg_1"}}.with(rest...)
}

func responsesPiece(a *answer, i int) frame {
	if a.tool != nil {
		return a.happen("response.function_call_arguments.delta", a.place(member{"delta", a.tool.pieces[i]})...)
	}
	return a.happen("response.output_text.delta", a.place(member{"delta", a.pieces[i]}, member{"logprobs", list{}})...)
}

func responsesTail(a *answer) []frame {
	var frames []frame
	if a.tool != nil {
		frames = append(frames, a.happen("response.function_call_arguments.done",
			a.place(member{"name", a.tool.name}, member{"arguments", a.tool.arguments()})...))
	} else {
		frames = append(frames,
			a.happen("response.output_text.done", a.place(member{"text", a.text()}, member{"logprobs", list{}})...),
			a.happen("response.content_part.done", a.place(member{"part", a.textPart(a.text())})...))
	}
	kind := "response.completed"
	if a.cut {
		kind = "response.incomplete"
	}
	frames = append(frames, a.happen("response.output_item.done", member{"output_index", 0}, member{"item", a.outputItem("completed")}))
	final := a.happen(kind, member{"response", a.response("completed")})
	final.usage = true
	return append(frames, final, done)
}

func responsesBroken(a *answer, e *apiError, withUsage bool) []frame {
	response := a.response("failed")
	for i, m := range response {
		switch {
		case m.key == "error":
			response[i].value = object{{"code", "server_error"}, {"message", e.message}}
		case m.key == "usage" && withUsage:
			response[i].value = a.responsesUsage()
		}
	}
	return []frame{a.happen("response.failed", member{"response", response.with(member{"error_type", e.kind})})}
}
