package settle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"bursar/accounting"
)

func TestTroubleOfTheEndpointNeverMakesACallUnresolved(t *testing.T) {
	hang := func(ctx context.Context, _ string, _ int) (accounting.Generation, error) {
		<-ctx.Done()
		return accounting.Generation{}, ctx.Err()
	}
	refused := func(context.Context, string, int) (accounting.Generation, error) {
		return accounting.Generation{}, errors.New("dial tcp: connection refused")
	}
	for name, answer := range map[string]answer{"502": status(502, 0), "hang": hang, "connection": refused, "429": status(429, 0)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSettling(t, answer, func(o *SettlerOptions) { o.PollInterval, o.SweepInterval = time.Minute, time.Hour })
				defer s.start()()
				row := s.add("gen-1", "", 30*24*time.Hour)
				pass(5 * time.Hour)
				assert.Equal(t, accounting.StatusPending, row.Status)
				s.mu.Lock()
				s.answer = record("0.5")
				s.mu.Unlock()
				pass(2 * time.Hour)
				assert.True(t, row.verified)
			})
		})
	}
}

func TestADeadEndpointIsProbedInsteadOfHammered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, status(500, 0), nil)
		defer s.start()()
		for i := range 500 {
			s.add(fmt.Sprint("gen-", i), "", 0)
		}
		pass(time.Hour)
		asked := 0
		for _, times := range s.asked {
			asked += len(times)
		}
		assert.Less(t, asked, 120, "ten failures, then about one a minute")
		assert.Greater(t, asked, 50)
		assert.Equal(t, 1.0, metric(t, s.reg, "bursar_settler_paused"))
		assert.Equal(t, 1, s.log.lines("trouble with OpenRouter's lookups"))

		s.mu.Lock()
		s.answer = record("0.5")
		s.mu.Unlock()
		pass(5 * time.Minute)
		assert.Len(t, s.posted, 500, "the backlog is caught up with at full speed")
		assert.Zero(t, metric(t, s.reg, "bursar_settler_paused"))
	})
}
