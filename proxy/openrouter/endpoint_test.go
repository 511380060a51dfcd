package openrouter

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClassifyKnowsWhatBills(t *testing.T) {
	for request, want := range map[[2]string]Class{
		{"POST", "/api/v1/chat/completions"}:           {Billable: true, Known: true},
		{"POST", "//api/v1//chat/completions/"}:        {Billable: true, Known: true},
		{"POST", "/v1/chat/completions"}:               {Billable: true, Known: true},
		{"POST", "/api/v1/messages"}:                   {Billable: true, Known: true},
		{"POST", "/api/alpha/decisions"}:               {Billable: true, Known: true},
		{"POST", "/api/v1/interns/x/chat/completions"}: {Billable: true, Known: true},
		{"POST", "/api/v1/videos"}:                     {Billable: true, CreatesJob: true},
		{"POST", "/api/beta/batches"}:                  {Billable: true, CreatesJob: true},
		{"POST", "/api/v1/never/heard/of"}:             {Billable: true},
		{"GET", "/api/v1/videos/job-1"}:                {JobID: "job-1"},
		{"GET", "/api/beta/batches/b-1"}:               {JobID: "b-1"},
		{"GET", "/api/v1/videos/models"}:               {},
		{"GET", "/api/v1/videos/job-1/content"}:        {},
		{"GET", "/api/v1/chat/completions"}:            {},
		{"POST", "/api/v1/presets/x/chat/completions"}: {},
		{"POST", "/api/v1/messages/count_tokens"}:      {},
		{"POST", "/api/v1/generation/feedback"}:        {Lookup: true},
		{"GET", "/api/v1/generation"}:                  {Lookup: true},
		{"POST", "/api/v1/keys"}:                       {},
		{"POST", "/api/v1/analytics/query"}:            {},
		{"PUT", "/api/v1/chat/completions"}:            {},
	} {
		got := Classify(request[0], request[1])
		assert.NotEmpty(t, got.Name)
		got.Name = ""
		assert.Equal(t, want, got, "%v", request)
	}
}

func TestGenerationOfPrefersTheHeader(t *testing.T) {
	chat, unknown, job := Class{Billable: true, Known: true}, Class{Billable: true}, Class{Billable: true, CreatesJob: true}
	assert.Equal(t, "gen-h", (&Reading{ID: "gen-b"}).GenerationOf(chat, "gen-h"))
	assert.Equal(t, "gen-b", (&Reading{ID: "gen-b"}).GenerationOf(unknown, ""))
	assert.Equal(t, "embd-1", (&Reading{ID: "embd-1"}).GenerationOf(chat, ""))
	assert.Empty(t, (&Reading{ID: "abc"}).GenerationOf(unknown, ""), "an unknown endpoint's id need not be a generation's")
	assert.Empty(t, (&Reading{ID: "job-1"}).GenerationOf(job, ""))
	assert.Equal(t, "gen-v", (&Reading{ID: "job-1", GenerationID: "gen-v"}).GenerationOf(job, ""))
}

func TestEndpointsHaveFewNames(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/chat/completions": "chat/completions", "/v1//messages/": "messages", "/api/v1/videos/job-17": "videos",
		"/api/v1/interns/7/chat/completions": "interns", "/api/v1/keys/0af3": "keys", "/wp-login.php": "other", "/": "other",
	} {
		assert.Equal(t, want, Classify("GET", path).Name)
		assert.Equal(t, want, Classify("POST", path).Name)
	}
}
