package admin

import (
	"strings"
)

// startPage says how to point an application at Bursar.
type startPage struct {
	BaseURL  string
	Snippets []snippet
}

// snippet is code to copy.
type snippet struct {
	ID, Name, Code string
	Open           bool
}

const (
	curlSnippet = `curl {{base}}/chat/completions \
  -H "Authorization: Bearer $OPENROUTER_API_KEY" -H 'Content-Type: application/json' \
  -H 'X-Campaign-ID: my-campaign' -H 'X-Email-ID: e-1' -H 'X-Lead-ID: l-1' -H 'X-Purpose: email_generation' \
  -d '{"model":"anthropic/claude-sonnet-4.6","messages":[{"role":"user","content":"Hi"}]}'`
	nodeSnippet = `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base}}", apiKey: process.env.OPENROUTER_API_KEY });
await client.chat.completions.create(
  { model: "anthropic/claude-sonnet-4.6", messages: [{ role: "user", content: "Hi" }] },
  { headers: { "X-Campaign-ID": "my-campaign", "X-Email-ID": "e-1", "X-Lead-ID": "l-1", "X-Purpose": "email_generation" } },
);`
	pythonSnippet = `import os
from openai import OpenAI

client = OpenAI(base_url="{{base}}", api_key=os.environ["OPENROUTER_API_KEY"])
client.chat.completions.create(
    model="anthropic/claude-sonnet-4.6",
    messages=[{"role": "user", "content": "Hi"}],
    extra_headers={"X-Campaign-ID": "my-campaign", "X-Email-ID": "e-1", "X-Lead-ID": "l-1", "X-Purpose": "email_generation"},
)`
	goSnippet = `client := openai.NewClient(
	option.WithBaseURL("{{base}}"), option.WithAPIKey(os.Getenv("OPENROUTER_API_KEY")))
client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
	Model:    "anthropic/claude-sonnet-4.6",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
}, option.WithHeader("X-Campaign-ID", "my-campaign"), option.WithHeader("X-Email-ID", "e-1"))`
)

// startPage is what a page without calls says.
func (h *Handler) startPage() startPage {
	base := h.proxyURL + "/api/v1"
	page := startPage{BaseURL: base}
	for _, s := range []snippet{
		{ID: "curl", Name: "curl", Code: curlSnippet, Open: true},
		{ID: "node", Name: "Node", Code: nodeSnippet},
		{ID: "python", Name: "Python", Code: pythonSnippet},
		{ID: "go", Name: "Go", Code: goSnippet},
	} {
		s.Code = strings.ReplaceAll(s.Code, "{{base}}", base)
		page.Snippets = append(page.Snippets, s)
	}
	return page
}
