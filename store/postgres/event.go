package postgres

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"bursar/accounting"
)

// incoming is one event on its way into a row.
type incoming struct {
	event  accounting.Event
	row    *row      // what the event knows, in the form of a row
	served bool      // row.model is the model that served, not only the one asked for
	failed bool      // the polled job ended without a result
	target requestID // of the row it belongs to, see resolve; zero: none
}

func (in *incoming) poll() bool { return in.event.Kind == accounting.Polled }

// foreign reports whether the event's row was made by another call.
func (in *incoming) foreign() bool { return in.target != requestID(in.event.ID) }

// receive turns events into rows, in their order.
func (s *Store) receive(events []accounting.Event) (calls, polls []*incoming, err error) {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case accounting.Closed, accounting.Interrupted:
			calls = append(calls, s.receiveCall(e))
		case accounting.Polled:
			polls = append(polls, receivePoll(e))
		default:
			return nil, nil, fmt.Errorf("event of kind %d of call %s: the ledger takes closed, interrupted and polled ones", e.Kind, e.ID)
		}
	}
	return calls, polls, nil
}

func (s *Store) receiveCall(e *accounting.Event) *incoming {
	r := usageRow(e)
	r.campaignID, r.emailID, r.leadID = clean(e.Tags.CampaignID), clean(e.Tags.EmailID), clean(e.Tags.LeadID)
	r.sequenceID, r.purpose = clean(e.Tags.SequenceID), clean(e.Tags.Purpose)
	r.platform, r.leadValue = clean(e.Tags.Platform), clean(e.Tags.LeadValue)
	for name, value := range e.Tags.Metadata {
		if r.metadata == nil {
			r.metadata = make(metadata, len(e.Tags.Metadata))
		}
		r.metadata[string(clean(name))] = string(clean(value))
	}
	r.keyFingerprint, r.endpoint = clean(e.KeyFingerprint), clean(e.Endpoint)
	r.requestedModel, r.error = clean(e.RequestedModel), clean(e.Error)
	if e.HTTPStatus != 0 {
		status := int32(e.HTTPStatus)
		r.httpStatus = &status
	}
	if e.Kind == accounting.Closed {
		ms := e.Duration.Milliseconds()
		r.durationMS = &ms
	}
	if e.TimeToFirstToken.Known {
		ms := e.TimeToFirstToken.Value.Milliseconds()
		r.timeToFirstTokenMS = &ms
	}
	r.streamed, r.cancelled = e.Streamed, e.Cancelled
	r.status = text(e.Status())
	r.model = modelOf(r)
	r.settleNextAt = s.firstDue(r)
	return &incoming{event: *e, row: r, served: e.Model != ""}
}

// receivePoll takes from a poll what it says about the job, and nothing that
// it says about itself: its tags, its duration and its status are not those of
// the call that is billed. An answer that broke off, or is itself an error (too
// many polls, no connection), says nothing about the job.
func receivePoll(e *accounting.Event) *incoming {
	if e.Truncated {
		bare := accounting.Event{Kind: e.Kind, ID: e.ID, JobID: e.JobID}
		return &incoming{event: *e, row: usageRow(&bare)}
	}
	r := usageRow(e)
	in := &incoming{event: *e, row: r, served: e.Model != ""}
	answered := e.HTTPStatus >= 200 && e.HTTPStatus < 300
	in.failed = answered && e.Error != "" && !e.Usage.Cost.Known
	if in.failed {
		r.error = clean(e.Error)
	}
	r.status = text(e.Status())
	return in
}

// usageRow holds what any event may know about a generation.
func usageRow(e *accounting.Event) *row {
	r := &row{
		id:           requestID(e.ID),
		createdAt:    e.CreatedAt(),
		generationID: clean(e.GenerationID),
		jobID:        clean(e.JobID),
		model:        clean(e.Model),
		provider:     clean(e.Provider),
		finishReason: clean(e.FinishReason),
	}
	r.setUsage(e.Usage)
	r.inlineCost = e.Usage.Cost.Pointer()
	r.price()
	return r
}

// setUsage takes everything of u but the cost, which has two columns.
func (r *row) setUsage(u accounting.Usage) {
	r.promptTokens = tokens(u.PromptTokens)
	r.completionTokens = tokens(u.CompletionTokens)
	r.totalTokens = tokens(u.TotalTokens)
	r.cachedTokens = tokens(u.CachedTokens)
	r.cacheWriteTokens = tokens(u.CacheWriteTokens)
	r.reasoningTokens = tokens(u.ReasoningTokens)
	r.isBYOK = u.IsBYOK.Pointer()
	r.upstreamCost = u.UpstreamCost.Pointer()
}

func modelOf(r *row) text {
	switch {
	case r.model != "":
		return r.model
	case r.requestedModel != "":
		return r.requestedModel
	}
	return unknownModel
}

// firstDue is when the settler should first ask OpenRouter about the row, from
// the end of the call as far as it is known. Nil: there is nothing to ask, or
// nothing to ask by.
func (s *Store) firstDue(r *row) *time.Time {
	end := r.createdAt
	if r.durationMS != nil {
		end = end.Add(time.Duration(*r.durationMS) * time.Millisecond)
	}
	switch {
	case r.is(accounting.StatusPending, accounting.StatusAwaitingKey):
		end = end.Add(s.opts.FirstLookup)
	case r.is(accounting.StatusSettled) && r.generationID != "" && r.verifiedAt == nil:
		end = end.Add(s.opts.VerifyDelay)
	default:
		return nil
	}
	return &end
}

const (
	// maxTextBytes bounds what upstream or a client may make us store in one
	// column: an index entry may not exceed a third of a page, and a row that
	// cannot be written would hold up every row after it.
	maxTextBytes = 500
	// maxTokens bounds a count. No generation has a trillion tokens; one that
	// claims so must not overflow the sums.
	maxTokens = 1_000_000_000_000
)

// clean makes s storable: PostgreSQL's text is UTF-8 without NUL.
func clean(s string) text {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxTextBytes {
		cut := maxTextBytes
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return text(s)
}

func tokens(n accounting.Optional[int64]) *int64 {
	if !n.Known || n.Value < 0 || n.Value > maxTokens {
		return nil
	}
	return &n.Value
}
