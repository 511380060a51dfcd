package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeCalendar notes when it was asked.
type fakeCalendar struct {
	mu    sync.Mutex
	asked []time.Time
	err   error
}

func (c *fakeCalendar) EnsurePartitions(_ context.Context, now time.Time) error {
	meet()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, now)
	return c.err
}

func TestPartitionsAreMadeAtTheStartAndDaily(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, log, reg := new(fakeCalendar), new(logBook), prometheus.NewRegistry()
		p, err := NewPartitions(PartitionsOptions{Calendar: c, Registerer: reg, Logger: log.logger()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- p.Run(ctx) }()
		pass(time.Second)
		assert.Equal(t, []time.Time{began}, c.asked)
		pass(3 * 24 * time.Hour)
		assert.Len(t, c.asked, 4)
		assert.Equal(t, float64(began.Add(72*time.Hour).Unix()), metric(t, reg, "bursar_partitions_last_success_timestamp_seconds"))

		c.mu.Lock()
		c.err = errors.New("connection refused")
		c.mu.Unlock()
		pass(25 * time.Hour)
		tries := len(c.asked)
		assert.Greater(t, tries, 10, "a failure is tried again within minutes")
		assert.Equal(t, 1, log.lines("trouble with making partitions"))
		c.mu.Lock()
		c.err = nil
		c.mu.Unlock()
		pass(20 * time.Minute)
		assert.Equal(t, 1, log.lines("no more trouble"))
		cancel()
		assert.NoError(t, <-done)
	})
}

func TestOptionsOfPartitionsAreChecked(t *testing.T) {
	_, err := NewPartitions(PartitionsOptions{})
	assert.Error(t, err)
	_, err = NewPartitions(PartitionsOptions{Calendar: new(fakeCalendar), Interval: -1})
	assert.Error(t, err)
}
