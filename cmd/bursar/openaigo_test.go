package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const goClient = "openai-go"

// goScenario is one use of openai-go. It is played directly and through
// Bursar; check says what must hold of both, so that two equal failures fail.
type goScenario struct {
	name     string
	behavior string // how the fake answers
	byPath   bool   // tagged by the base URL, not by headers
	play     func(c *goCall)
	check    func(t *testing.T, s *goSeen)
}

// goCall is a client for one play, and what it returned so far.
type goCall struct {
	openai.Client
	ctx    context.Context
	prompt string
	seen   goSeen
}

// goSeen is everything that the client gives its caller.
type goSeen struct {
	Status  int
	Header  map[string]string
	Whole   string   // JSON of the answer
	Chunks  []string // JSON of each chunk of a stream
	Text    string   // as the client decoded it
	Calls   []string // tool calls, likewise: name and arguments
	Error   string
	Failure *goFailure // an error that the API answered
}

// goFailure is an *openai.Error.
type goFailure struct {
	Status                     int
	Code, Type, Param, Message string
	JSON                       string
	Header                     map[string]string
}

func (c *goCall) fail(err error) {
	if err == nil {
		return
	}
	c.seen.Error = fmt.Sprintf("%T: %v", err, err)
	var api *openai.Error
	if errors.As(err, &api) {
		c.seen.Failure = &goFailure{api.StatusCode, api.Code, api.Type, api.Param, api.Message, api.RawJSON(), flat(api.Response.Header)}
	}
}

func flat(header http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range header {
		out[name] = fmt.Sprintf("%q", values)
	}
	return out
}

// into keeps the status and the headers of the answer.
func (c *goCall) into(response **http.Response) func() {
	return func() {
		if *response != nil {
			c.seen.Status, c.seen.Header = (*response).StatusCode, flat((*response).Header)
		}
	}
}

func (c *goCall) params() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    "openai/gpt-4o-mini",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(c.prompt)},
	}
}

func (c *goCall) toolParams() openai.ChatCompletionNewParams {
	params := c.params()
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "weather", Description: openai.String("The weather in a city"),
		Parameters: shared.FunctionParameters{"type": "object", "properties": map[string]any{
			"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"},
		}},
	})}
	return params
}

// chat makes a call without a stream.
func (c *goCall) chat(params openai.ChatCompletionNewParams) {
	var response *http.Response
	defer c.into(&response)()
	completion, err := c.Chat.Completions.New(c.ctx, params, option.WithResponseInto(&response))
	c.fail(err)
	if err == nil {
		c.seen.Whole = completion.RawJSON()
		c.decoded(completion.Choices)
	}
}

func (c *goCall) decoded(choices []openai.ChatCompletionChoice) {
	for _, choice := range choices {
		c.seen.Text += choice.Message.Content
		for _, call := range choice.Message.ToolCalls {
			c.seen.Calls = append(c.seen.Calls, call.Function.Name+call.Function.Arguments)
		}
	}
}

// stream makes a call with a stream. It is left after so many chunks, by leave,
// which is given the stream; nil: it is read to its end.
func (c *goCall) stream(params openai.ChatCompletionNewParams, chunks int, leave func(*ssestream.Stream[openai.ChatCompletionChunk])) {
	var response *http.Response
	defer c.into(&response)()
	stream := c.Chat.Completions.NewStreaming(c.ctx, params, option.WithResponseInto(&response))
	defer stream.Close()
	var whole openai.ChatCompletionAccumulator
	for stream.Next() {
		if leave != nil && len(c.seen.Chunks) == chunks {
			continue // it was on its way already
		}
		c.seen.Chunks = append(c.seen.Chunks, stream.Current().RawJSON())
		whole.AddChunk(stream.Current())
		if leave != nil && len(c.seen.Chunks) == chunks {
			leave(stream)
		}
	}
	c.fail(stream.Err())
	c.decoded(whole.Choices)
}

func goScenarios() []goScenario {
	return slices.Concat(goAnswers(), goFailures(), goDepartures())
}

// goAnswers are the calls that go well.
func goAnswers() []goScenario {
	whole := func(c *goCall) { c.chat(c.params()) }
	streamed := func(c *goCall) { c.stream(c.params(), 0, nil) }
	return []goScenario{
		{name: "chat", play: whole, check: requireText},
		{name: "chat, tagged by the base URL alone", byPath: true, play: whole, check: requireText},
		{name: "chat, streamed", play: streamed, check: requireText},
		{name: "chat, streamed with keep-alives", behavior: "comments,usage-no-choices", play: streamed, check: requireText},
		{name: "chat with a tool call", play: func(c *goCall) { c.chat(c.toolParams()) }, check: requireToolCall},
		{name: "chat with a tool call, streamed", play: func(c *goCall) { c.stream(c.toolParams(), 0, nil) }, check: requireToolCall},
		{name: "responses", play: playResponse, check: requireText},
		{name: "responses, streamed", play: playResponseStream, check: requireText},
		{name: "embeddings", play: playEmbedding, check: func(t *testing.T, s *goSeen) {
			t.Helper()
			require.Empty(t, s.Error)
			require.Contains(t, s.Whole, `"embedding":[`)
		}},
	}
}

func requireText(t *testing.T, s *goSeen) {
	t.Helper()
	require.Empty(t, s.Error)
	require.NotEmpty(t, s.Text)
	require.Contains(t, cmp.Or(s.Whole, strings.Join(s.Chunks, "\n")), `"cost":`)
}

func requireToolCall(t *testing.T, s *goSeen) {
	t.Helper()
	require.Empty(t, s.Error)
	require.Equal(t, []string{`weather{"city":"Zürich","days":7}`}, s.Calls)
}

func (c *goCall) responseParams() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: "openai/gpt-4o-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(c.prompt)},
	}
}

func playResponse(c *goCall) {
	answer, err := c.Responses.New(c.ctx, c.responseParams())
	c.fail(err)
	if err == nil {
		c.seen.Whole, c.seen.Text = answer.RawJSON(), answer.OutputText()
	}
}

func playResponseStream(c *goCall) {
	stream := c.Responses.NewStreaming(c.ctx, c.responseParams())
	defer stream.Close()
	for stream.Next() {
		event := stream.Current()
		c.seen.Chunks = append(c.seen.Chunks, event.RawJSON())
		if event.Type == "response.completed" {
			c.seen.Text = event.Response.OutputText()
		}
	}
	c.fail(stream.Err())
}

func playEmbedding(c *goCall) {
	answer, err := c.Embeddings.New(c.ctx, openai.EmbeddingNewParams{
		Model: "openai/text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(c.prompt)},
	})
	c.fail(err)
	if err == nil {
		c.seen.Whole = answer.RawJSON()
	}
}

// goFailures are the calls that are refused, or break in the middle.
func goFailures() []goScenario {
	var all []goScenario
	for _, status := range []int{400, 401, 402, 429, 500} {
		check := func(t *testing.T, s *goSeen) {
			t.Helper()
			require.NotNil(t, s.Failure, s.Error)
			require.Equal(t, status, s.Failure.Status)
			require.NotEmpty(t, s.Failure.Message)
		}
		all = append(all,
			goScenario{name: fmt.Sprintf("chat refused with %d", status), behavior: fmt.Sprint(status),
				play: func(c *goCall) { c.chat(c.params()) }, check: check},
			goScenario{name: fmt.Sprintf("chat, streamed, refused with %d", status), behavior: fmt.Sprint(status),
				play: func(c *goCall) { c.stream(c.params(), 0, nil) }, check: check},
		)
	}
	for what, behavior := range map[string]string{
		"an error in the middle":                "error-midway",
		"an error with usage in the middle":     "error-midway-billed",
		"the connection breaks in the middle":   "cut,fault-after=3,chunks=9,interval=20ms",
		"the connection breaks inside the cost": "cut-in-usage",
	} {
		all = append(all, goScenario{name: "chat, streamed, " + what, behavior: behavior,
			play: func(c *goCall) { c.stream(c.params(), 0, nil) },
			check: func(t *testing.T, s *goSeen) {
				t.Helper()
				require.NotEmpty(t, s.Error)
				require.Greater(t, len(s.Chunks), 2)
			}})
	}
	return all
}

// goDepartures are the streams that the client leaves in the middle.
func goDepartures() []goScenario {
	three := func(t *testing.T, s *goSeen) {
		t.Helper()
		require.Len(t, s.Chunks, 3)
	}
	return []goScenario{
		{name: "abort in the middle by its context", behavior: "stops-on-abort,chunks=60,interval=100ms", check: three,
			play: func(c *goCall) {
				ctx, cancel := context.WithCancel(c.ctx)
				defer cancel()
				c.ctx = ctx
				c.stream(c.params(), 3, func(*ssestream.Stream[openai.ChatCompletionChunk]) { cancel() })
			}},
		{name: "abort in the middle by closing the stream", behavior: "runs-on,chunks=60,interval=100ms", check: three,
			play: func(c *goCall) {
				c.stream(c.params(), 3, func(s *ssestream.Stream[openai.ChatCompletionChunk]) { _ = s.Close() })
			}},
	}
}

func TestClientsInGoSeeWithBursarWhatTheySeeWithoutIt(t *testing.T) {
	rig := startClientRig(t)
	for _, s := range goScenarios() {
		t.Run(s.name, func(t *testing.T) {
			without, with := s.run(t, rig.direct.URL, false), s.run(t, rig.bursar.proxyURL(), true)
			s.check(t, without)
			s.check(t, with)
			assert.Equal(t, without.plain(t, false), with.plain(t, true))
		})
	}
	rig.requireTransparentAndBooked()
}

// run plays the scenario at one address, with tags if that is Bursar's.
func (s *goScenario) run(t *testing.T, base string, tagged bool) *goSeen {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opts := []option.RequestOption{option.WithAPIKey("sk-or-v1-" + goClient), option.WithMaxRetries(0)}
	tags := maps.Collect(s.tags())
	switch {
	case tagged && s.byPath:
		var path []string
		for name, value := range tags {
			path = append(path, name+"="+url.PathEscape(value))
		}
		base += "/tags/" + strings.Join(path, ";")
	case tagged:
		for name, value := range tags {
			opts = append(opts, option.WithHeader(name, value))
		}
	}
	c := &goCall{
		Client: openai.NewClient(append(opts, option.WithBaseURL(base+"/api/v1"))...), ctx: ctx,
		prompt: fmt.Sprintf("[[%s|%s|%s]] Write a subject line.", goClient, s.name, cmp.Or(s.behavior, "ok")),
	}
	s.play(c)
	return &c.seen
}

// tags are the names and values of the headers; in the path, the same names do.
func (s *goScenario) tags() func(yield func(string, string) bool) {
	return maps.All(map[string]string{
		"X-Campaign-ID": goClient, "X-Email-ID": s.name, "X-Lead-ID": clientTags.LeadID, "X-Sequence-ID": clientTags.SequenceID,
		"X-Purpose": clientTags.Purpose, "X-Platform": clientTags.Platform, "X-Lead-Value": clientTags.LeadValue,
		s.metaName(): clientTags.Metadata["suite"],
	})
}

func (s *goScenario) metaName() string {
	if s.byPath {
		return "suite"
	}
	return "X-Meta-Suite"
}

var (
	freshText = regexp.MustCompile(`"(created|created_at|completed_at|X-RateLimit-Reset)":\s*"?\d+`)
	freshID   = regexp.MustCompile(`\bgen-\d{10}-[A-Za-z0-9]{20}\b|\bcall_[A-Za-z0-9]{24}\b`)
	freshAddr = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// plain is what was seen as text, without what a server draws afresh for each
// answer. Ids are numbered, so that it still shows where one repeats.
func (s *goSeen) plain(t *testing.T, throughBursar bool) string {
	t.Helper()
	headers := []map[string]string{s.Header}
	if s.Failure != nil {
		headers = append(headers, s.Failure.Header)
	}
	for _, header := range headers {
		plainHeader(t, header, throughBursar)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	ids := map[string]string{}
	numbered := freshID.ReplaceAllStringFunc(strings.ReplaceAll(string(text), `\"`, `"`), func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("<id %d>", len(ids)+1)
		}
		return ids[id]
	})
	return freshAddr.ReplaceAllString(freshText.ReplaceAllString(numbered, `"$1":<fresh>`), "<base>")
}

// plainHeader takes Bursar's own headers out, which must be there if and only
// if the answer came through it, and the values that are always fresh.
func plainHeader(t *testing.T, header map[string]string, throughBursar bool) {
	t.Helper()
	if header == nil {
		return
	}
	own := header["X-Bursar-Request-Id"]
	for name := range header {
		switch {
		case strings.HasPrefix(name, "X-Bursar-"):
			require.True(t, throughBursar, "%s on an answer that did not come through Bursar", name)
			delete(header, name)
		case slices.Contains([]string{"Date", "Cf-Ray", "Set-Cookie", "X-Ratelimit-Reset"}, name):
			header[name] = "<fresh>"
		}
	}
	if throughBursar {
		_, err := accounting.ParseRequestID(strings.Trim(own, `["]`))
		require.NoError(t, err, "X-Bursar-Request-Id %s", own)
	}
}
