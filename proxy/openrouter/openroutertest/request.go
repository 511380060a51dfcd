package openroutertest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// request is what the fake reads of a body. Everything else in it only counts
// as prompt.
type request struct {
	Model               string
	Models              []string
	Stream              bool
	MaxTokens           int64 `json:"max_tokens"`
	MaxCompletionTokens int64 `json:"max_completion_tokens"`
	MaxOutputTokens     int64 `json:"max_output_tokens"`
	Tools               []toolSpec
	ToolChoice          json.RawMessage   `json:"tool_choice"`
	Messages            []json.RawMessage // chat and messages
	Input               json.RawMessage   // responses, embeddings, speech
	ResponseFormat      json.RawMessage   `json:"response_format"`
	Text                json.RawMessage   // responses
	Documents           []json.RawMessage // rerank
	TopN                int               `json:"top_n"`
	EncodingFormat      string            `json:"encoding_format"` // embeddings
	Dimensions          int
	N                   int64 // images
	Duration            int64 // videos, seconds
	Questions           map[string]json.RawMessage
	User                string
	SessionID           string `json:"session_id"`
	Debug               struct {
		EchoUpstreamBody bool `json:"echo_upstream_body"`
	}
}

// toolSpec is a tool in the spelling of chat (function), responses or messages.
type toolSpec struct {
	Type        string
	Name        string
	Parameters  json.RawMessage
	InputSchema json.RawMessage `json:"input_schema"`
	Function    struct {
		Name       string
		Parameters json.RawMessage
	}
}

// function is the tool's name and its schema; empty for a server tool.
func (t *toolSpec) function() (name string, schema json.RawMessage) {
	if t.Function.Name != "" {
		return t.Function.Name, t.Function.Parameters
	}
	if len(t.InputSchema) > 0 {
		return t.Name, t.InputSchema
	}
	return t.Name, t.Parameters
}

// limit is the most completion tokens that the request wants; 0: it does not say.
func (q *request) limit() int64 {
	return cmp.Or(q.MaxCompletionTokens, q.MaxOutputTokens, q.MaxTokens)
}

// parseRequest reads a JSON body, or the fields of a multipart form. Members of
// an unexpected type are passed over, as only a broken document is an error.
func parseRequest(contentType string, body []byte) (request, error) {
	var q request
	kind, params, _ := mime.ParseMediaType(contentType) // no type is taken for JSON
	if kind == "multipart/form-data" {
		return parseForm(params["boundary"], body)
	}
	err := json.Unmarshal(body, &q)
	var mismatch *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &mismatch) {
		return q, fmt.Errorf("parse the request: %w", err)
	}
	return q, nil
}

func parseForm(boundary string, body []byte) (request, error) {
	var q request
	form, err := multipart.NewReader(bytes.NewReader(body), boundary).ReadForm(32 << 20)
	if err != nil {
		return q, fmt.Errorf("parse the form: %w", err)
	}
	defer form.RemoveAll()
	q.Model = first(form.Value["model"])
	q.Stream = first(form.Value["stream"]) == "true"
	return q, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// takeBehavior strips the prefix fake/<names> from the model. What follows a
// further slash is the model: fake/crlf,byok/openai/gpt-4o-mini.
func (q *request) takeBehavior() (names string, found bool) {
	rest, found := strings.CutPrefix(q.Model, "fake/")
	if !found {
		return "", false
	}
	names, q.Model, _ = strings.Cut(rest, "/")
	q.Model = cmp.Or(q.Model, "anthropic/claude-sonnet-4.6")
	return names, true
}

// serve is the name of the model that is to answer: the first of models where
// model is left out.
func (q *request) serve() string {
	return cmp.Or(q.Model, first(q.Models))
}

// wantsTool is the tool that the model should call: the first function, unless
// the request forbids it or ends with a tool's result.
func (q *request) wantsTool() *toolSpec {
	if string(q.ToolChoice) == `"none"` || q.endsWithResult() {
		return nil
	}
	for i := range q.Tools {
		if name, _ := q.Tools[i].function(); name != "" {
			return &q.Tools[i]
		}
	}
	return nil
}

// endsWithResult reports whether the last message carries a tool's result.
func (q *request) endsWithResult() bool {
	last := json.RawMessage(nil)
	if len(q.Messages) > 0 {
		last = q.Messages[len(q.Messages)-1]
	} else {
		var input []json.RawMessage
		if json.Unmarshal(q.Input, &input) == nil && len(input) > 0 {
			last = input[len(input)-1]
		}
	}
	var message struct {
		Role    string
		Type    string
		Content json.RawMessage
	}
	if json.Unmarshal(last, &message) != nil {
		return false
	}
	return message.Role == "tool" || message.Type == "function_call_output" ||
		bytes.Contains(message.Content, []byte(`"tool_result"`))
}

// wantsJSON is the schema that the text must fit, nil if plain text will do.
func (q *request) wantsJSON() json.RawMessage {
	format := q.ResponseFormat
	if len(format) == 0 {
		var text struct{ Format json.RawMessage }
		if json.Unmarshal(q.Text, &text) == nil {
			format = text.Format
		}
	}
	var f struct {
		Type       string
		Schema     json.RawMessage
		JSONSchema struct{ Schema json.RawMessage } `json:"json_schema"`
	}
	if json.Unmarshal(format, &f) != nil || !strings.HasPrefix(f.Type, "json") {
		return nil
	}
	switch {
	case len(f.Schema) > 0:
		return f.Schema
	case len(f.JSONSchema.Schema) > 0:
		return f.JSONSchema.Schema
	default:
		return json.RawMessage(`{"type":"object"}`)
	}
}

// keyOf is the credential of a request: a Bearer token or an x-api-key.
func keyOf(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.Header.Get("X-Api-Key")
}

// readBody reads the whole body. Only then does net/http notice that a client
// of HTTP/1.1 leaves.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return body, nil
}
