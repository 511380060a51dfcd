package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bursar/accounting"
)

// localStop is a stop that was given or lifted here while the database was
// away, and that the database has still to be told of.
type localStop struct {
	Stop    accounting.Stop `json:"stop"` // of a lift of a stop that the database knows, its id alone
	Given   bool            `json:"given"`
	Lifted  bool            `json:"lifted"`
	Written bool            `json:"-"` // the database has it, but the rules in use do not say so yet
}

// localStops are changes of stops that only this replica knows. Guard.rulesMu
// guards them.
type localStops struct {
	list []localStop
}

func (l *localStops) find(id string) *localStop {
	for i := range l.list {
		if l.list[i].Stop.ID == id {
			return &l.list[i]
		}
	}
	return nil
}

func (l *localStops) put(s accounting.Stop) {
	if l.find(s.ID) == nil {
		l.list = append(l.list, localStop{Stop: s, Given: true})
	}
}

func (l *localStops) lift(id, actor string, at time.Time) {
	s := l.find(id)
	if s == nil {
		l.list = append(l.list, localStop{Stop: accounting.Stop{ID: id}})
		s = &l.list[len(l.list)-1]
	}
	at = at.UTC()
	s.Lifted, s.Written = true, false
	s.Stop.LiftedAt, s.Stop.LiftedBy = &at, &actor
}

// merge lays the local changes over the stops that the database lists.
func (l *localStops) merge(remote []accounting.Stop) []accounting.Stop {
	var merged []accounting.Stop
	for _, s := range remote {
		if local := l.find(s.ID); local == nil || !local.Lifted {
			merged = append(merged, s)
		}
	}
	for i := range l.list {
		s := &l.list[i]
		if s.Given && !s.Lifted && !slices.ContainsFunc(merged, func(m accounting.Stop) bool { return m.ID == s.Stop.ID }) {
			merged = append(merged, s.Stop)
		}
	}
	return merged
}

// forgetWritten forgets the changes that the database has: the stops that it
// has listed since say so.
func (l *localStops) forgetWritten() {
	l.list = slices.DeleteFunc(l.list, func(s localStop) bool { return s.Written })
}

// writeLocalStops tells the database what was done here while it was away.
func (g *Guard) writeLocalStops(ctx context.Context) (written bool, err error) {
	if g.o.StopBook == nil {
		return false, nil
	}
	g.rulesMu.Lock()
	list := slices.Clone(g.local.list)
	g.rulesMu.Unlock()
	for _, s := range list {
		if s.Written {
			continue
		}
		if err := g.writeLocalStop(ctx, &s); err != nil {
			return written, err
		}
		written = true
		g.rulesMu.Lock()
		if now := g.local.find(s.Stop.ID); now != nil && now.Lifted == s.Lifted {
			now.Written = true
		}
		g.rulesMu.Unlock()
	}
	return written, nil
}

func (g *Guard) writeLocalStop(ctx context.Context, s *localStop) error {
	if s.Given {
		given := s.Stop
		given.LiftedAt, given.LiftedBy = nil, nil
		if _, err := g.o.StopBook.CreateStop(ctx, given); err != nil {
			return fmt.Errorf("write stop %s: %w", s.Stop.ID, err)
		}
	}
	if s.Lifted {
		_, err := g.o.StopBook.LiftStop(ctx, s.Stop.ID, *s.Stop.LiftedBy, *s.Stop.LiftedAt)
		if err != nil && !errors.Is(err, accounting.ErrUnknownStop) {
			return fmt.Errorf("lift stop %s: %w", s.Stop.ID, err)
		}
	}
	return nil
}
