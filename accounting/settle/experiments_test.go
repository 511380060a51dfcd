package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeExperimentBook holds experiments that are claimed as the database does.
type fakeExperimentBook struct {
	mu      sync.Mutex
	running map[string]*accounting.Experiment
	claimed map[string]time.Time
	claims  int
	sums    map[string][]accounting.ArmSums
	ended   map[string]accounting.ExperimentEnd
	err     error
}

func (b *fakeExperimentBook) ClaimExperiments(_ context.Context, now, until time.Time) ([]accounting.Experiment, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	var due []accounting.Experiment
	for id, e := range b.running {
		if !now.Before(b.claimed[id]) {
			b.claimed[id] = until
			due = append(due, *e)
			b.claims++
		}
	}
	return due, b.err
}

func (b *fakeExperimentBook) ExperimentSums(_ context.Context, e *accounting.Experiment) ([]accounting.ArmSums, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sums[e.ID] == nil {
		return nil, errors.New("no sums")
	}
	return b.sums[e.ID], nil
}

func (b *fakeExperimentBook) ConcludeExperiment(_ context.Context, id string, end accounting.ExperimentEnd) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended[id] = end
	delete(b.running, id)
	return nil
}

func (b *fakeExperimentBook) set(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

// judging starts a loop that ends with stop.
func judging(t *testing.T, b *fakeExperimentBook, log *logBook) (stop func()) {
	t.Helper()
	x, err := NewExperiments(ExperimentsOptions{Book: b, Logger: log.logger()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	return func() {
		cancel()
		assert.NoError(t, <-done)
	}
}

func trialBook(ids ...string) *fakeExperimentBook {
	b := &fakeExperimentBook{running: map[string]*accounting.Experiment{}, claimed: map[string]time.Time{},
		sums: map[string][]accounting.ArmSums{}, ended: map[string]accounting.ExperimentEnd{}}
	for _, id := range ids {
		start := time.Now()
		b.running[id] = &accounting.Experiment{ID: id, Metric: accounting.MetricSends, Margin: accounting.DefaultExperimentMargin(), State: accounting.ExperimentRunning, StartedAt: &start,
			Arms: []accounting.ExperimentArm{{Name: "control", Weight: 1, AI: true}, {Name: "none", Weight: 1}}}
		b.sums[id] = []accounting.ArmSums{{Leads: 1000, Sent: 800}, {Arm: 1, Leads: 1000, Sent: 790}}
	}
	return b
}

func TestAnExperimentThatDoesHarmIsRolledBackAndTheOthersRunOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := trialBook("harmful", "harmless")
		stop := judging(t, b, new(logBook))
		pass(90 * time.Second)
		b.set(func() {
			assert.Equal(t, 4, b.claims, "both, at once and after a minute")
			assert.Empty(t, b.ended)
			b.sums["harmful"][1].Sent = 300
		})
		pass(time.Minute)
		b.set(func() {
			require.Len(t, b.ended, 1)
			assert.Equal(t, accounting.ExperimentRolledBack, b.ended["harmful"].State)
			assert.Equal(t, accounting.StopHarm, b.ended["harmful"].Reason)
		})
		stop()
	})
}

func TestReplicasJudgeAnExperimentOnceAMinuteTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := trialBook("shared")
		var stops []func()
		for range 3 {
			stops = append(stops, judging(t, b, new(logBook)))
		}
		pass(5*time.Minute + time.Second)
		b.set(func() { assert.Equal(t, 6, b.claims) })
		for _, stop := range stops {
			stop()
		}
	})
}

func TestAnExperimentThatCannotBeReadHoldsNoOtherUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(logBook)
		b := trialBook("broken", "over")
		days := 1
		b.set(func() { b.sums["broken"], b.running["over"].MaxDays = nil, &days })
		stop := judging(t, b, log)
		pass(24*time.Hour + time.Minute)
		b.set(func() {
			assert.Equal(t, accounting.StopMaxDays, b.ended["over"].Reason)
			assert.Contains(t, b.running, "broken")
		})
		assert.Equal(t, 1, log.lines("trouble with judging experiments"))
		stop()
	})
}

func TestExperimentsNeedTheirParts(t *testing.T) {
	_, err := NewExperiments(ExperimentsOptions{})
	require.Error(t, err)
	_, err = NewExperiments(ExperimentsOptions{Book: trialBook(), Interval: -1})
	require.Error(t, err)
}
