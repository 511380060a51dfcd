package settle

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeWatch notes when it was asked, and for which hour.
type fakeWatch struct {
	undecided, spikes []time.Time
	rule              accounting.SpikeRule
	err               error
}

func (w *fakeWatch) RaiseUndecided(_ context.Context, now time.Time) (bool, error) {
	meet()
	w.undecided = append(w.undecided, now)
	return false, w.err
}

func (w *fakeWatch) BrakeSpikes(_ context.Context, rule accounting.SpikeRule, at time.Time) ([]accounting.Spike, error) {
	meet()
	w.rule, w.spikes = rule, append(w.spikes, at)
	return nil, w.err
}

// during runs a loop for a while.
func during(t *testing.T, d time.Duration, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	pass(d)
	cancel()
	require.NoError(t, <-done)
}

func TestCallsThatWaitForSomebodyAreLookedForEveryTenMinutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, log := new(fakeWatch), new(logBook)
		u, err := NewUndecided(UndecidedOptions{Book: w, Logger: log.logger()})
		require.NoError(t, err)
		began := time.Now()
		during(t, 25*time.Minute, u.Run)
		require.Equal(t, []time.Time{began, began.Add(10 * time.Minute), began.Add(20 * time.Minute)}, w.undecided)
		w.err = errors.New("connection refused")
		during(t, 25*time.Minute, u.Run)
		require.Len(t, w.undecided, 6, "a failure ends nothing")
		require.Equal(t, 1, log.lines("trouble with looking for calls"))
	})
}

func TestEveryMinuteOfAnHourIsJudgedAlsoTheLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := new(fakeWatch)
		b, err := NewSpikeBrake(SpikeBrakeOptions{Book: w, Rule: accounting.SpikeRule{MinUSD: usd("1"), MinHours: 24, Hold: true}})
		require.NoError(t, err)
		pass(59*time.Minute + 30*time.Second) // a bubble begins at midnight
		during(t, 2*time.Minute+time.Second, b.Run)
		require.Len(t, w.spikes, 3)
		require.Equal(t, 59, w.spikes[1].UTC().Minute(), "half a minute after the hour, the hour before")
		require.Equal(t, 1, w.spikes[2].UTC().Hour())
		require.True(t, w.rule.Hold)
	})
}

func TestOptionsOfTheLoopsAreChecked(t *testing.T) {
	_, err := NewUndecided(UndecidedOptions{})
	assert.Error(t, err)
	_, err = NewUndecided(UndecidedOptions{Book: new(fakeWatch), Interval: -1})
	assert.Error(t, err)
	_, err = NewSpikeBrake(SpikeBrakeOptions{})
	assert.Error(t, err)
	_, err = NewSpikeBrake(SpikeBrakeOptions{Book: new(fakeWatch), Rule: accounting.SpikeRule{MinUSD: usd("-1")}})
	assert.Error(t, err)
	_, err = NewEstimates(EstimatesOptions{})
	assert.Error(t, err)
	_, err = NewEstimates(EstimatesOptions{Book: new(fakeEstimates), Prices: priceList{}, After: -1})
	assert.Error(t, err)
}
