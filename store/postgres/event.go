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
	event  *accounting.Event
	row    *row      // what the event knows, in the form of a row; points into the event
	served bool      // row.model is the model that served, not only the one asked for
	failed bool      // the polled job ended without a result
	target requestID // of the row it belongs to, see resolve; zero: none
}

// reception is the memory for one event: a batch takes it in one piece.
type reception struct {
	incoming
	row row

	// What row points to and the event has in another form.
	httpStatus                     int32
	durationMS, timeToFirstTokenMS int64
	settleNextAt                   time.Time
}

func (in *incoming) poll() bool { return in.event.Kind == accounting.Polled }

// own reports whether it is an event of the call that made its row.
func (in *incoming) own() bool { return !in.poll() && !in.foreign() }

// foreign reports whether the event's row was made by another call.
func (in *incoming) foreign() bool { return in.target != requestID(in.event.ID) }

// batch is what came in together, each kind in its order.
type batch struct {
	calls, polls []*incoming
	decided      []*accounting.Event // those with a decision, refusals included
}

// receive turns events into rows. The events must stay as they are while the
// rows are in use.
func (s *Store) receive(events []accounting.Event) (b batch, err error) {
	memory := make([]reception, len(events))
	b.calls = make([]*incoming, 0, len(events))
	for i := range events {
		e, m := &events[i], &memory[i]
		m.incoming = incoming{event: e, row: &m.row, served: e.Model != ""}
		switch e.Kind {
		case accounting.Closed, accounting.Interrupted:
			s.receiveCall(e, m)
			b.calls = append(b.calls, &m.incoming)
		case accounting.Polled:
			receivePoll(e, &m.incoming)
			b.polls = append(b.polls, &m.incoming)
			continue
		case accounting.Refused:
		default:
			return batch{}, fmt.Errorf("event of kind %d of call %s: the ledger takes closed, interrupted, polled and refused ones", e.Kind, e.ID)
		}
		if e.Decision != nil {
			b.decided = append(b.decided, e)
		}
	}
	return b, nil
}

func (s *Store) receiveCall(e *accounting.Event, m *reception) {
	r := &m.row
	r.take(e)
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
		m.httpStatus = int32(e.HTTPStatus)
		r.httpStatus = &m.httpStatus
	}
	if e.Kind == accounting.Closed {
		m.durationMS = e.Duration.Milliseconds()
		r.durationMS = &m.durationMS
	}
	if e.TimeToFirstToken.Known {
		m.timeToFirstTokenMS = e.TimeToFirstToken.Value.Milliseconds()
		r.timeToFirstTokenMS = &m.timeToFirstTokenMS
	}
	r.streamed, r.cancelled = e.Streamed, e.Cancelled
	r.status = text(e.Status())
	r.model = modelOf(r)
	var due bool
	if m.settleNextAt, due = s.dueAt(r); due {
		r.settleNextAt = &m.settleNextAt
	}
	r.reservation = reservationOf(e.Decision)
	if e.Decision != nil && e.Decision.Rate.IsPositive() {
		r.usdToEUR = &e.Decision.Rate
	} else {
		rate := s.budgetRate()
		r.usdToEUR = &rate
	}
}

// receivePoll takes from a poll what it says about the job, and nothing that
// it says about itself: its tags, its duration and its status are not those of
// the call that is billed. An answer that broke off, or is itself an error (too
// many polls, no connection), says nothing about the job.
func receivePoll(e *accounting.Event, in *incoming) {
	if e.Truncated {
		in.served = false
		in.row.take(&accounting.Event{Kind: e.Kind, ID: e.ID, JobID: e.JobID})
		return
	}
	in.row.take(e)
	answered := e.HTTPStatus >= 200 && e.HTTPStatus < 300
	in.failed = answered && e.Error != "" && !e.Usage.Cost.Known
	if in.failed {
		in.row.error = clean(e.Error)
	}
	in.row.status = text(e.Status())
}

// take takes what any event may know about a generation.
func (r *row) take(e *accounting.Event) {
	r.id = requestID(e.ID)
	r.createdAt = e.CreatedAt()
	r.generationID = clean(e.GenerationID)
	r.jobID = clean(e.JobID)
	r.model = clean(e.Model)
	r.provider = clean(e.Provider)
	r.finishReason = clean(e.FinishReason)
	r.setUsage(&e.Usage)
	r.inlineCost = known(&e.Usage.Cost)
	r.price()
}

// setUsage takes everything of u but the cost, which has two columns. The row
// points into u from then on.
func (r *row) setUsage(u *accounting.Usage) {
	r.promptTokens = tokens(&u.PromptTokens)
	r.completionTokens = tokens(&u.CompletionTokens)
	r.totalTokens = tokens(&u.TotalTokens)
	r.cachedTokens = tokens(&u.CachedTokens)
	r.cacheWriteTokens = tokens(&u.CacheWriteTokens)
	r.reasoningTokens = tokens(&u.ReasoningTokens)
	r.isBYOK = known(&u.IsBYOK)
	r.upstreamCost = known(&u.UpstreamCost)
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

// firstDue is dueAt in the form of a row.
func (s *Store) firstDue(r *row) *time.Time {
	if at, due := s.dueAt(r); due {
		return &at
	}
	return nil
}

// dueAt is when the settler should first ask OpenRouter about the row, from
// the end of the call as far as it is known. false: there is nothing to ask, or
// nothing to ask by.
func (s *Store) dueAt(r *row) (at time.Time, due bool) {
	end := r.createdAt
	if r.durationMS != nil {
		end = end.Add(time.Duration(*r.durationMS) * time.Millisecond)
	}
	switch {
	case r.is(accounting.StatusPending, accounting.StatusAwaitingKey):
		return end.Add(s.opts.FirstLookup), true
	case r.is(accounting.StatusSettled) && r.generationID != "" && r.verifiedAt == nil:
		return end.Add(s.opts.VerifyDelay), true
	}
	return time.Time{}, false
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

func tokens(n *accounting.Optional[int64]) *int64 {
	if n.Value < 0 || n.Value > maxTokens {
		return nil
	}
	return known(n)
}

// known points to the value, where it stands; nil: it is not known.
func known[T any](o *accounting.Optional[T]) *T {
	if !o.Known {
		return nil
	}
	return &o.Value
}
