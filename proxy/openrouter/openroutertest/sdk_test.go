//go:build sdk

// Compiling the SDK takes two minutes under the race detector, so these tests
// run only on request: go test -tags sdk ./proxy/openrouter/openroutertest

package openroutertest_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"bursar/proxy/openrouter/openroutertest"
)

func sdk(f *fake) *openai.Client {
	client := openai.NewClient(option.WithBaseURL(f.URL+"/api/v1"), option.WithAPIKey(key), option.WithHTTPClient(f.client), option.WithMaxRetries(0))
	return &client
}

var chatParams = openai.ChatCompletionNewParams{
	Model:    "openai/gpt-4o-mini",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")},
}

func TestOpenAIsSDKReadsChat(t *testing.T) {
	f := start(t, openroutertest.Options{})
	completion, err := sdk(f).Chat.Completions.New(t.Context(), chatParams)
	if err != nil {
		t.Fatal(err)
	}
	bill := f.only()
	if completion.ID != bill.ID || completion.Choices[0].Message.Content == "" || completion.Usage.CompletionTokens != bill.CompletionTokens {
		t.Errorf("completion %+v", completion)
	}
}

func TestOpenAIsSDKReadsAStreamOfToolCalls(t *testing.T) {
	f := start(t, openroutertest.Options{})
	params := chatParams
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "weather",
		Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{
			"city": map[string]string{"type": "string"}, "days": map[string]any{"type": []string{"integer", "null"}},
			"units": map[string]any{"enum": []string{"celsius", "kelvin"}}, "tags": map[string]any{"type": "array", "items": map[string]string{"type": "boolean"}},
		}},
	})}
	stream := sdk(f).Chat.Completions.NewStreaming(t.Context(), params)
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		all.AddChunk(stream.Current())
	}
	if stream.Err() != nil || len(all.Choices) != 1 || len(all.Choices[0].Message.ToolCalls) != 1 {
		t.Fatalf("error %v, accumulated %+v", stream.Err(), all)
	}
	call := all.Choices[0].Message.ToolCalls[0].Function
	var arguments struct {
		City, Units string
		Days        int
		Tags        []bool
	}
	if err := json.Unmarshal([]byte(call.Arguments), &arguments); err != nil || call.Name != "weather" ||
		arguments.City == "" || arguments.Days == 0 || arguments.Units != "celsius" || len(arguments.Tags) != 1 {
		t.Errorf("call %s(%s): %v", call.Name, call.Arguments, err)
	}
	if bill := f.only(); all.Usage.CompletionTokens != bill.CompletionTokens || bill.FinishReason != "tool_calls" {
		t.Errorf("usage %+v, bill %+v", all.Usage, bill)
	}
}

func TestOpenAIsSDKReadsAStreamOfAResponse(t *testing.T) {
	f := start(t, openroutertest.Options{})
	stream := sdk(f).Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
		Model: "openai/gpt-5-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")},
	})
	var text string
	var last responses.Response
	for stream.Next() {
		event := stream.Current()
		text += event.AsResponseOutputTextDelta().Delta
		if event.Type == "response.completed" {
			last = event.Response
		}
	}
	bill := f.only()
	if stream.Err() != nil || last.ID != bill.ID || last.OutputText() == "" || text != last.OutputText() || last.Usage.OutputTokens != bill.CompletionTokens {
		t.Errorf("error %v, text %q, response %+v", stream.Err(), text, last)
	}
}

func TestOpenAIsSDKReadsErrors(t *testing.T) {
	f := start(t, openroutertest.Options{})
	params := chatParams
	params.Model = "fake/429"
	_, err := sdk(f).Chat.Completions.New(t.Context(), params)
	var apiErr *openai.Error
	if !errors.As(err, &apiErr) || apiErr.StatusCode != 429 || apiErr.Message == "" {
		t.Errorf("error %v", err)
	}
	params.Model = "fake/error-midway"
	stream := sdk(f).Chat.Completions.NewStreaming(t.Context(), params)
	for stream.Next() {
	}
	if stream.Err() == nil {
		t.Error("the error in mid-stream was not noticed")
	}
}
