package openroutertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"
)

// job is a video or a batch. It belongs to the key that made it.
type job struct {
	id      string
	key     string
	url     string // where a video is polled
	c       *call
	a       *answer
	created time.Time
	polls   int
	batch   *batchRequest // nil: a video
}

// jobs are the jobs of a server by id.
type jobs struct {
	mu   sync.Mutex
	byID map[string]*job
}

func (j *jobs) add(one *job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.byID == nil {
		j.byID = make(map[string]*job)
	}
	j.byID[one.id] = one
}

// poll counts a poll and reports how many there were before it.
func (j *jobs) poll(id, key string) (one *job, before int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	one, ok := j.byID[id]
	if !ok || one.key != key {
		return nil, 0
	}
	one.polls++
	return one, one.polls - 1
}

// wanted is the number of polls that are answered "not yet".
func (j *job) wanted() int {
	switch polls := j.c.b.JobPolls; {
	case polls < 0:
		return 0
	case polls == 0:
		return 2
	default:
		return polls
	}
}

// state is what the nth poll hears: begun, running, ended.
func (j *job) state(before int) string {
	switch {
	case before < j.wanted() || j.c.s.opts.Now().Before(j.created.Add(j.c.b.JobTime)):
		if before == 0 {
			return "begun"
		}
		return "running"
	default:
		return "ended"
	}
}

// videoSkin is POST /videos. Its answer is the job; the bill comes when the
// video is made.
var videoSkin = &skin{apiType: "video", idPrefix: "gen-", status: http.StatusAccepted, errorBody: plainError,
	measure: func(a *answer) {
		a.tokens.completion = 0
		a.seconds = 8
		if a.c.req.Duration > 0 {
			a.seconds = a.c.req.Duration
		}
		a.extra = a.model.Pricing.Second.Mul(decimal.NewFromInt(a.seconds))
	},
	whole: func(a *answer) object {
		o := object{{"id", a.c.jobID}}
		if a.c.b.ID == IDEverywhere || a.c.b.ID == IDInBody {
			o = o.with(member{"generation_id", a.id})
		}
		return o.with(member{"polling_url", a.c.pollingURL()}, member{"status", "pending"})
	},
}

// pollingURL is absolute, as OpenRouter's is: who follows it goes around a
// proxy.
func (c *call) pollingURL() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host + "/api/v1/videos/" + c.jobID
}

func (s *Server) makeVideo(w http.ResponseWriter, r *http.Request) {
	c, ok := s.newCall(w, r, videoSkin)
	if !ok {
		return
	}
	c.jobID, c.due, c.asJob = "job-"+randomID(alphanumeric, 20), c.b.JobTime, true
	c.generate()
}

// startJob remembers an accepted job. One that will fail is never charged.
func (c *call) startJob(a *answer) {
	if c.batch != nil { // the batch is the generation
		c.jobID = a.id
	}
	c.s.jobs.add(&job{id: c.jobID, key: c.key, url: c.pollingURL(), c: c, a: a, created: c.started, batch: c.batch})
	if c.b.JobFailed {
		c.billed = true
		return
	}
	c.settle(a)
}

func (s *Server) getVideo(w http.ResponseWriter, r *http.Request, p string) {
	id, content := strings.CutSuffix(strings.TrimPrefix(p, "/api/v1/videos/"), "/content")
	if content {
		videoContent(w)
		return
	}
	j, before := s.jobs.poll(id, keyOf(r))
	if j == nil || j.batch != nil {
		notFound(w)
		return
	}
	o := object{{"id", j.id}, {"generation_id", j.a.id}, {"polling_url", j.url}}
	status := map[string]string{"begun": "pending", "running": "in_progress", "ended": "completed"}[j.state(before)]
	if status == "completed" && j.c.b.JobFailed {
		writeJSON(w, http.StatusOK, o.with(member{"status", "failed"}, member{"error", "The provider could not make the video"}))
		return
	}
	o = o.with(member{"status", status})
	if status == "completed" {
		o = o.with(
			member{"unsigned_urls", list{j.url + "/content"}},
			member{"usage", j.a.shortMoney()})
	}
	writeJSON(w, http.StatusOK, o)
}

// batchRequest is the body of POST /batches.
type batchRequest struct {
	Endpoint string
	Model    string
	Requests []struct {
		CustomID string `json:"custom_id"`
		Body     json.RawMessage
	}
}

// batchSkin is POST /batches: half the price, one bill for all of it.
var batchSkin = &skin{apiType: "completions", idPrefix: "batch_", status: http.StatusAccepted, errorBody: plainError,
	measure: func(a *answer) {
		n := int64(max(len(a.c.batch.Requests), 1))
		a.tokens.completion *= n
		a.model.Pricing.Prompt = a.model.Pricing.Prompt.Div(decimal.NewFromInt(2))
		a.model.Pricing.Completion = a.model.Pricing.Completion.Div(decimal.NewFromInt(2))
	},
	whole: func(a *answer) object { return a.c.batch.object(a, "begun", a.c.started, a.c.b.JobFailed) },
}

func (s *Server) makeBatch(w http.ResponseWriter, r *http.Request) {
	c, ok := s.newCall(w, r, batchSkin)
	if !ok {
		return
	}
	c.batch = new(batchRequest)
	if err := json.Unmarshal(c.body, c.batch); err != nil || !inOrder(c.body) {
		c.fail(newError(http.StatusBadRequest, "endpoint and model must come before requests"))
		return
	}
	c.due, c.asJob = c.b.JobTime, true
	c.generate()
}

// inOrder reports whether requests comes after endpoint and model: OpenRouter
// reads the body as it streams in.
func inOrder(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return false
		}
		if key == "requests" {
			return seen["endpoint"] && seen["model"]
		}
		name, _ := key.(string)
		seen[name] = true
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return false
		}
	}
	return false
}

func (s *Server) getBatch(w http.ResponseWriter, r *http.Request, id string) {
	j, before := s.jobs.poll(id, keyOf(r))
	if j == nil || j.batch == nil {
		notFound(w)
		return
	}
	writeJSON(w, http.StatusOK, j.batch.object(j.a, j.state(before), j.created, j.c.b.JobFailed))
}

// object is the batch as its maker sees it in a state.
func (b *batchRequest) object(a *answer, state string, created time.Time, failed bool) object {
	n := len(b.Requests)
	status, completed := "validating", 0
	usage, results, ended, problem := any(nil), any(nil), any(nil), any(nil)
	switch {
	case state == "running":
		status = "in_progress"
	case state == "ended" && failed:
		status, ended, problem = "failed", created.Unix(), object{{"message", "The batch could not be validated"}}
	case state == "ended":
		status, completed, ended = "completed", n, created.Unix()
		results = b.results(a)
		usage = object{
			{"prompt_tokens", a.tokens.prompt}, {"completion_tokens", a.tokens.completion},
			{"total_tokens", a.tokens.prompt + a.tokens.completion},
		}.with(a.shortMoney()...)
	}
	return object{
		{"id", a.id}, {"object", "batch"}, {"endpoint", b.Endpoint}, {"model", b.Model}, {"completion_window", "24h"},
		{"status", status}, {"created_at", created.Unix()}, {"finalized_at", ended},
		{"request_counts", object{{"total", n}, {"completed", completed}, {"failed", 0}}},
		{"usage", usage}, {"results", results}, {"error", problem},
	}
}

// results are the answers, each with an id of its own and without a cost.
func (b *batchRequest) results(a *answer) list {
	out := make(list, len(b.Requests))
	for i, one := range b.Requests {
		body := object{
			{"id", fmt.Sprintf("gen-batch-%s%04d", a.id[len("batch_"):len(a.id)-4], i)}, {"object", "chat.completion"}, {"model", a.model.served()},
			{"choices", list{object{{"index", 0}, {"finish_reason", "stop"},
				{"message", object{{"role", "assistant"}, {"content", a.text()}}}}}},
		}
		out[i] = object{
			{"id", "batch_req_" + one.CustomID}, {"custom_id", one.CustomID},
			{"response", object{{"status_code", 200}, {"request_id", "req-" + one.CustomID}, {"body", body}}},
			{"error", nil},
		}
	}
	return out
}
