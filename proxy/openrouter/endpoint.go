package openrouter

import (
	"net/http"
	"strings"
)

// Class says what a request means for the accounting.
type Class struct {
	// Name is the endpoint's name in metrics: "chat/completions", or "other"
	// for what is not an endpoint of OpenRouter that bills or is polled.
	Name string
	// Billable: the call may produce a generation, or a job that will cost.
	Billable bool
	// CreatesJob: the body's id names an asynchronous job, not a generation.
	CreatesJob bool
	// JobID is set on the poll of an asynchronous job.
	JobID string
	// Known: an inference endpoint whose body's id is the generation's id.
	Known bool
	// Lookup: a look-up of a generation that exists already; whatever ids its
	// answer carries, it is not one itself.
	Lookup bool
}

// free lists the first path segments below /v1 that never bill, whatever the
// method (openrouter.md §1c).
var free = map[string]bool{
	"activity": true, "analytics": true, "auth": true, "benchmarks": true, "byok": true,
	"classifications": true, "containers": true, "credits": true, "datasets": true,
	"endpoints": true, "files": true, "generation": true, "guardrails": true, "key": true,
	"keys": true, "model": true, "models": true, "oauth": true, "observability": true,
	"organization": true, "parameters": true, "presets": true, "providers": true, "scim": true,
	"vault": true, "workspaces": true,
}

// inference lists the endpoints whose body's id is a generation's id.
var inference = map[string]bool{
	"chat/completions": true, "completions": true, "responses": true, "messages": true,
	"embeddings": true, "rerank": true, "images": true, "audio/speech": true,
	"audio/transcriptions": true, "decisions": true,
}

// usual are the classes of nearly all calls, by the path that every SDK sends.
var usual = func() map[string]Class {
	classes := map[string]Class{}
	for name := range inference {
		if name != "decisions" {
			classes["/api/v1/"+name] = classify(http.MethodPost, name)
		}
	}
	return classes
}()

// Classify decides by method and path. Billable is every POST that is not on
// the free list: an endpoint nobody has heard of yet is metered rather than
// missed. Doubled slashes and a missing /api, which sloppy clients send, do
// not hide a call.
func Classify(method, path string) Class {
	if method == http.MethodPost {
		if class, ok := usual[path]; ok {
			return class
		}
	}
	return classify(method, endpointOf(path))
}

func classify(method, name string) Class {
	class := Class{Name: nameOf(name)}
	rest := strings.Split(name, "/")
	switch {
	case rest[0] == "generation":
		class.Lookup = true
	case method == http.MethodPost:
		if free[rest[0]] || name == "messages/count_tokens" {
			break
		}
		class.Billable = true
		class.CreatesJob = name == "videos" || name == "batches"
		class.Known = inference[name] || len(rest) > 2 && rest[0] == "interns"
	case method == http.MethodGet && len(rest) == 2 && rest[1] != "models" && (rest[0] == "videos" || rest[0] == "batches"):
		class.JobID = rest[1]
	}
	return class
}

// nameOf keeps the names few, for metrics.
func nameOf(endpoint string) string {
	first, _, _ := strings.Cut(endpoint, "/")
	switch {
	case inference[endpoint]:
		return endpoint
	case first == "videos" || first == "batches" || first == "interns" || free[first]:
		return first
	}
	return "other"
}

// endpointOf reduces a path to what follows /api and the version:
// "//api/v1/chat/completions/" is "chat/completions".
func endpointOf(path string) string {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(segments) > 0 && segments[0] == "api" {
		segments = segments[1:]
	}
	if len(segments) > 0 && (segments[0] == "v1" || segments[0] == "alpha" || segments[0] == "beta") {
		segments = segments[1:]
	}
	return strings.Join(segments, "/")
}
