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

// sampleCampaign is an application as Bursar's users have it: it goes on with
// the campaigns of the history, writes emails to one lead after the other, with
// a few models, streamed or not, sometimes changes its mind in the middle of an
// answer, and tells what came of the emails.
type sampleCampaign struct {
	proxy, admin string // addresses
	token        string // of the admin port; empty: none is needed
	client       *http.Client
	random       *rand.Rand
	running      []*sampleStory

	calls, leads int
	lead         liveLead
}

// liveLead is the lead that is being written to.
type liveLead struct {
	tags  accounting.Tags
	story *sampleStory
	n     int // of the campaign's live leads
	steps []sampleStep
}

// sampleStep is a call that is made for a lead.
type sampleStep struct{ purpose, model, path string }

func newSampleCampaign(proxy, admin, token string, now time.Time) *sampleCampaign {
	s := &sampleCampaign{
		proxy: proxy, admin: admin, token: token,
		client: &http.Client{Timeout: time.Minute},
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		leads:  int(now.Unix() / 10 % 10_000_000), // other leads than those of the start before
	}
	for i := range sampleStories {
		if sampleStories[i].to == 0 {
			s.running = append(s.running, &sampleStories[i])
		}
	}
	return s
}

// sampleCall is a call and what follows it.
type sampleCall struct {
	request *http.Request
	leave   time.Duration // when its client leaves; 0: never
	tell    []string      // activities, as JSON
}

const (
	// samplePace is the mean time between two calls: often enough to see money
	// move, seldom enough to stay what a small team does.
	samplePace = 6 * time.Second
	// sampleHaste is the pace of the first calls, while somebody waits for them.
	sampleHaste      = 400 * time.Millisecond
	sampleHastyCalls = 20
)

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
		pace := samplePace
		if s.calls < sampleHastyCalls {
			pace = sampleHaste
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pace/2 + time.Duration(s.random.Int64N(int64(pace)))):
		}
	}
}

// next makes up the next call: mostly for the lead that is being written to,
// now and then a try-out, for which there is hardly any money.
func (s *sampleCampaign) next(ctx context.Context) sampleCall {
	s.calls++
	if s.calls%17 == 0 {
		return sampleCall{request: s.request(ctx, sampleStep{accounting.PurposeTesting, modelMini, "/api/v1/chat/completions"}, &accounting.Tags{CampaignID: samplePlayground})}
	}
	if len(s.lead.steps) == 0 {
		s.lead = s.nextLead()
	}
	l := &s.lead
	step := l.steps[0]
	l.steps, l.tags.Purpose = l.steps[1:], step.purpose
	call := sampleCall{request: s.request(ctx, step, &l.tags)}
	switch {
	case s.calls%23 == 0:
		call.request.Header.Set("X-Fake-Behavior", "503")
	case s.random.IntN(3) == 0:
		// A call that takes its time, so that a client can leave in the middle.
		call.request.Header.Set("X-Fake-Behavior", "chunks=60,interval=50ms")
		if s.random.IntN(2) == 0 && len(l.steps) > 0 {
			call.leave = time.Duration(200+s.random.IntN(600)) * time.Millisecond
		}
	}
	if len(l.steps) == 0 {
		call.tell = s.outcome(l)
	}
	return call
}

// nextLead is the next lead, of the next campaign, and what is to be done for
// it.
func (s *sampleCampaign) nextLead() liveLead {
	s.leads++
	story, n := s.running[s.leads%len(s.running)], s.leads/len(s.running)
	l := liveLead{story: story, n: n, tags: accounting.Tags{
		CampaignID: story.id, LeadID: fmt.Sprintf("%s-live-%d", story.id, n), EmailID: fmt.Sprintf("%s-live-%d-1", story.id, n),
		SequenceID: fmt.Sprintf("%s-%c", story.id, 'a'+n%2), Platform: story.platform,
	}}
	writer := story.writer
	if n%7 == 0 {
		l.tags.LeadValue, writer = accounting.LeadValueHigh, modelOpus
	}
	l.steps = []sampleStep{
		{accounting.PurposeResearch, modelFlash, "/api/v1/chat/completions"},
		{accounting.PurposeLeadPersonalization, writer, "/api/v1/chat/completions"},
		{accounting.PurposeSubjectLine, modelMini, "/api/v1/responses"},
		{accounting.PurposeEmailGeneration, writer, "/api/v1/messages"},
	}
	if n%3 == 0 {
		l.steps = append(l.steps, sampleStep{accounting.PurposeEmailGeneration, writer, "/api/v1/messages"})
	}
	return l
}

// request is one call as the application sends it.
func (s *sampleCampaign) request(ctx context.Context, step sampleStep, tags *accounting.Tags) *http.Request {
	content := `"messages":[{"role":"user","content":"Write."}],"max_tokens":400`
	if strings.HasSuffix(step.path, "/responses") {
		content = `"input":"Write.","max_output_tokens":400`
	}
	body := fmt.Sprintf(`{"model":%q,"stream":%t,%s}`, step.model, s.random.IntN(3) > 0, content)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.proxy+step.path, strings.NewReader(body))
	if err != nil {
		panic(err) // the parts are constants and the base is a listener's address
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Campaign-ID": tags.CampaignID, "X-Lead-ID": tags.LeadID, "X-Email-ID": tags.EmailID,
		"X-Sequence-ID": tags.SequenceID, "X-Purpose": step.purpose, "X-Platform": tags.Platform, "X-Lead-Value": tags.LeadValue,
	} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return request
}

// outcome is what becomes of an email, by the fate of its campaign.
func (s *sampleCampaign) outcome(l *liveLead) []string {
	if !evenly(l.n, l.story.sent) {
		return nil // what was not sent comes to nothing
	}
	happened := []accounting.ActivityType{accounting.EmailSent}
	booked := evenly(l.n, l.story.booked)
	for kind, is := range map[accounting.ActivityType]bool{
		accounting.ReplyReceived: booked || s.random.IntN(100) < l.story.replied, accounting.MeetingBooked: booked, accounting.Bounced: !booked && s.random.IntN(100) < l.story.bounced,
	} {
		if is {
			happened = append(happened, kind)
		}
	}
	told := make([]string, len(happened))
	for i, kind := range happened {
		told[i] = fmt.Sprintf(`{"type":%q,"campaignId":%q,"leadId":%q,"emailId":%q,"platform":%q}`, kind, l.tags.CampaignID, l.tags.LeadID, l.tags.EmailID, l.tags.Platform)
	}
	return told
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
