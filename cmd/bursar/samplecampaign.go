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
// to leads, with a few models, streamed or not, sometimes changes its mind in
// the middle of an answer, and tells what came of the emails.
type sampleCampaign struct {
	proxy, admin string // addresses
	token        string // of the admin port; empty: none is needed
	client       *http.Client
	random       *rand.Rand
	leads        int
}

func newSampleCampaign(proxy, admin, token string) *sampleCampaign {
	return &sampleCampaign{
		proxy: proxy, admin: admin, token: token,
		client: &http.Client{Timeout: time.Minute},
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
}

// sampleFates are what becomes of the emails of each campaign, in percent of
// those written: one to invest in, one that reaches the wrong people, and one
// that is written and not sent.
var sampleFates = []struct {
	campaign                       string
	sent, replied, booked, bounced int
}{
	{"q4-launch", 96, 20, 8, 1},
	{"winter-webinar", 92, 9, 1, 5},
	{"agency-outreach", 40, 6, 1, 2},
}

// sampleCall is a call and what follows it.
type sampleCall struct {
	request *http.Request
	leave   time.Duration // when its client leaves; 0: never
	tell    []string      // activities, as JSON
}

// samplePace is the mean time between two calls: fast enough to see money
// move, slow enough to read.
const samplePace = 400 * time.Millisecond

// run sends calls until ctx ends, and waits for those under way.
func (s *sampleCampaign) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		call := s.next(ctx)
		wg.Go(func() {
			s.send(call.request, call.leave)
			s.tell(ctx, call.tell)
		})
		select {
		case <-ctx.Done():
			return
		case <-time.After(samplePace/2 + time.Duration(s.random.Int64N(int64(samplePace)))):
		}
	}
}

// next makes up the next call.
func (s *sampleCampaign) next(ctx context.Context) sampleCall {
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
	step, fate := steps[s.random.IntN(len(steps))], &sampleFates[s.random.IntN(len(sampleFates))]
	platform := []string{"instantly", "heyreach"}[s.random.IntN(2)]
	body := fmt.Sprintf(`{"model":%q,"stream":%t,"max_tokens":400,"messages":[{"role":"user","content":"Write to lead %d."}],"input":"Write to lead %d."}`,
		step.model, s.random.IntN(3) > 0, s.leads, s.leads)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.proxy+step.path, strings.NewReader(body))
	if err != nil {
		panic(err) // the parts are constants and the base is a listener's address
	}
	header := request.Header
	header.Set("Content-Type", "application/json")
	header.Set("X-Campaign-ID", fate.campaign)
	header.Set("X-Lead-ID", fmt.Sprintf("lead-%04d", s.leads))
	header.Set("X-Email-ID", fmt.Sprintf("email-%04d", s.leads))
	header.Set("X-Purpose", step.purpose)
	header.Set("X-Platform", platform)
	call := sampleCall{request: request}
	if s.random.IntN(3) == 0 {
		// A call that takes its time, so that a client can leave in the middle.
		header.Set("X-Fake-Behavior", "chunks=60,interval=50ms")
		if s.random.IntN(2) == 0 {
			call.leave = time.Duration(200+s.random.IntN(600)) * time.Millisecond
		}
	}
	if step.purpose == accounting.PurposeEmailGeneration || step.purpose == accounting.PurposeFollowUp {
		for _, happened := range []struct {
			kind    accounting.ActivityType
			percent int
		}{{accounting.EmailSent, fate.sent}, {accounting.ReplyReceived, fate.replied}, {accounting.MeetingBooked, fate.booked}, {accounting.Bounced, fate.bounced}} {
			switch hit := s.random.IntN(100) < happened.percent; {
			case hit:
				call.tell = append(call.tell, fmt.Sprintf(`{"type":%q,"campaignId":%q,"leadId":"lead-%04d","emailId":"email-%04[3]d","platform":%q}`,
					happened.kind, fate.campaign, s.leads, platform))
			case happened.kind == accounting.EmailSent:
				return call // what was not sent comes to nothing
			}
		}
	}
	return call
}

// tell records activities on the admin port.
func (s *sampleCampaign) tell(ctx context.Context, activities []string) {
	for _, activity := range activities {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.admin+"/api/costs/record-activity", strings.NewReader(activity))
		if err != nil {
			panic(err) // the parts are constants and the base is a listener's address
		}
		request.Header.Set("Content-Type", "application/json")
		if s.token != "" {
			request.Header.Set("Authorization", "Bearer "+s.token)
		}
		if response, err := s.client.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}
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
