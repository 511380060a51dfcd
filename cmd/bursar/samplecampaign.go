package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"bursar/accounting"
)

// sampleCampaign is an application as Bursar's users have it: it writes emails
// to leads, with a few models, streamed or not, and sometimes changes its mind
// in the middle of an answer.
type sampleCampaign struct {
	base   string
	client *http.Client
	random *rand.Rand
	leads  int
}

func newSampleCampaign(base string) *sampleCampaign {
	return &sampleCampaign{
		base:   base,
		client: &http.Client{Timeout: time.Minute},
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
}

// samplePace is the mean time between two calls: fast enough to see money
// move, slow enough to read.
const samplePace = 400 * time.Millisecond

// run sends calls until ctx ends, and waits for those under way.
func (s *sampleCampaign) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		request, leave := s.next(ctx)
		wg.Go(func() { s.send(request, leave) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(samplePace/2 + time.Duration(s.random.Int64N(int64(samplePace)))):
		}
	}
}

// next makes up the next call, and when its client will leave (0: never).
func (s *sampleCampaign) next(ctx context.Context) (request *http.Request, leave time.Duration) {
	campaigns := []string{"q4-launch", "winter-webinar", "agency-outreach"}
	steps := []struct{ purpose, model, path string }{
		{accounting.PurposeResearch, "google/gemini-2.5-flash", "/api/v1/chat/completions"},
		{accounting.PurposeLeadPersonalization, "anthropic/claude-sonnet-4.6", "/api/v1/chat/completions"},
		{accounting.PurposeLeadPersonalization, "anthropic/claude-sonnet-4.6", "/api/v1/messages"},
		{accounting.PurposeSubjectLine, "openai/gpt-5-mini", "/api/v1/responses"},
		{accounting.PurposeEmailGeneration, "anthropic/claude-sonnet-4.6", "/api/v1/chat/completions"},
		{accounting.PurposeFollowUp, "openai/gpt-5-mini", "/api/v1/chat/completions"},
		{accounting.PurposeReplyHandling, "google/gemini-2.5-flash", "/api/v1/chat/completions"},
	}
	if s.random.IntN(3) == 0 {
		s.leads++
	}
	step, campaign := steps[s.random.IntN(len(steps))], campaigns[s.random.IntN(len(campaigns))]
	body := fmt.Sprintf(`{"model":%q,"stream":%t,"max_tokens":400,"messages":[{"role":"user","content":"Write to lead %d."}],"input":"Write to lead %d."}`,
		step.model, s.random.IntN(3) > 0, s.leads, s.leads)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+step.path, strings.NewReader(body))
	if err != nil {
		panic(err) // the parts are constants and the base is a listener's address
	}
	header := request.Header
	header.Set("Content-Type", "application/json")
	header.Set("X-Campaign-ID", campaign)
	header.Set("X-Lead-ID", fmt.Sprintf("lead-%04d", s.leads))
	header.Set("X-Email-ID", fmt.Sprintf("email-%04d", s.leads))
	header.Set("X-Purpose", step.purpose)
	header.Set("X-Platform", []string{"instantly", "heyreach"}[s.random.IntN(2)])
	if s.random.IntN(3) == 0 {
		// A call that takes its time, so that a client can leave in the middle.
		header.Set("X-Fake-Behavior", "chunks=60,interval=50ms")
		if s.random.IntN(2) == 0 {
			leave = time.Duration(200+s.random.IntN(600)) * time.Millisecond
		}
	}
	return request, leave
}

// send makes one call. What comes of it is not the sample's business: the
// ledger shows it.
func (s *sampleCampaign) send(request *http.Request, leave time.Duration) {
	if leave > 0 {
		ctx, cancel := context.WithTimeout(request.Context(), leave)
		defer cancel()
		request = request.WithContext(ctx)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}
