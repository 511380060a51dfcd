package guard

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

// maxKinds is how many kinds of refusals one shard keeps apart within a second;
// those of further kinds are recorded one by one.
const maxKinds = 1000

// refusals records blocked calls. The first of its kind is recorded at once;
// others like it are merged into one event at the second's end, so that a loop
// that tries again and again makes two rows a second.
type refusals struct {
	recorder Recorder
	log      zerolog.Logger
	seed     maphash.Seed
	shards   [16]refusalShard
}

type refusalShard struct {
	mu    sync.Mutex
	kinds map[uint64]*accounting.Event // nil: none since the first
}

func newRefusals(r Recorder, log zerolog.Logger) *refusals {
	m := &refusals{recorder: r, log: log, seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].kinds = make(map[uint64]*accounting.Event)
	}
	return m
}

// add records a call that was blocked by d.
func (m *refusals) add(ask *accounting.Ask, d *accounting.BudgetDecision) {
	kind := m.kind(ask, d)
	s := &m.shards[kind%uint64(len(m.shards))]
	s.mu.Lock()
	merged, known := s.kinds[kind]
	if known {
		if merged == nil {
			s.kinds[kind] = merge(ask, d)
		} else {
			merged.Decision.Count++
			if len(merged.Decision.Calls) < accounting.MaxMergedCalls {
				merged.Decision.Calls = append(merged.Decision.Calls, ask.ID)
			}
		}
		s.mu.Unlock()
		return
	}
	if len(s.kinds) < maxKinds {
		s.kinds[kind] = nil
	}
	s.mu.Unlock()
	m.record(refused(ask, d))
}

// kind tells refusals apart that a reader would.
func (m *refusals) kind(ask *accounting.Ask, d *accounting.BudgetDecision) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	t := ask.Tags
	for _, part := range []string{
		string(d.Reason), d.Field, d.Stop, d.Model, ask.KeyFingerprint, ask.Endpoint,
		t.CampaignID, t.EmailID, t.LeadID, t.SequenceID, t.Purpose, t.Platform, t.LeadValue, d.Experiment, d.Arm,
	} {
		writePart(&h, part)
	}
	for i := range d.Budgets {
		s := &d.Budgets[i]
		writePart(&h, s.BudgetID)
		writePart(&h, s.EachValue)
		maphash.WriteComparable(&h, s.PeriodStart.UnixNano())
		writePart(&h, string(s.Reason))
	}
	return h.Sum64()
}

func writePart(h *maphash.Hash, s string) {
	maphash.WriteComparable(h, len(s))
	_, _ = h.WriteString(s) // it never fails
}

func refused(ask *accounting.Ask, d *accounting.BudgetDecision) *accounting.Event {
	return &accounting.Event{Kind: accounting.Refused, ID: ask.ID, Tags: *ask.Tags, KeyFingerprint: ask.KeyFingerprint,
		Endpoint: ask.Endpoint, RequestedModel: d.Model, Decision: d}
}

// merge begins an event that stands for several calls.
func merge(ask *accounting.Ask, d *accounting.BudgetDecision) *accounting.Event {
	e := refused(ask, d)
	e.Tags.Metadata = maps.Clone(ask.Tags.Metadata)
	merged := *d
	merged.Count = 1
	e.Decision = &merged
	return e
}

func (m *refusals) record(e *accounting.Event) {
	if err := m.recorder.Record(e); err != nil {
		m.log.Error().Err(err).Stringer("request", e.ID).Msg("a refused call was not recorded")
	}
}

// run ends each second until the context does.
func (m *refusals) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			m.flush()
			return
		case <-ticker.C:
			m.flush()
		}
	}
}

// flush records what was merged. Every kind begins anew.
func (m *refusals) flush() {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		var kinds map[uint64]*accounting.Event
		if len(s.kinds) > 0 {
			kinds, s.kinds = s.kinds, make(map[uint64]*accounting.Event)
		}
		s.mu.Unlock()
		for _, e := range kinds {
			if e != nil {
				m.record(e)
			}
		}
	}
}
