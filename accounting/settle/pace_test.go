package settle

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAKeyThatIsRefusedAgainAndAgainRestsLongerAndAsksMoreSlowly(t *testing.T) {
	p, now := newPaces(10), time.Now()
	for n, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		p.slow("a", 0, now, 0.5)
		for range 7 {
			p.slow("a", 0, now, 0.5) // those that were under way as well
		}
		assert.Equal(t, now.Add(want), p.keys["a"].restsUntil, "refusal %d", n)
		now = now.Add(want)
	}
	now = now.Add(-time.Millisecond)
	assert.InDelta(t, 10.0/8, float64(p.keys["a"].verifications.Limit()), 1e-9)
	fingerprints, _ := p.ready([]string{"a", "b"}, now, true)
	assert.Equal(t, []string{"b"}, fingerprints)
	fingerprints, limit := p.ready([]string{"a"}, now.Add(time.Minute), true)
	assert.Equal(t, []string{"a"}, fingerprints)
	assert.Equal(t, math.MaxInt32, limit)

	for range 100 {
		p.answered("a")
	}
	assert.InDelta(t, 10.0, float64(p.keys["a"].verifications.Limit()), 1e-9, "and recovers")
	p.slow("a", 0, now.Add(time.Hour), 0.5)
	assert.Equal(t, now.Add(time.Hour+time.Second), p.keys["a"].restsUntil)
	p.slow("a", time.Minute, now.Add(time.Hour), 0.5)
	assert.Equal(t, now.Add(time.Hour+time.Minute), p.keys["a"].restsUntil, "what OpenRouter asks for counts always")
}

func TestPacesOfKeysThatAreNoLongerHeldAreForgotten(t *testing.T) {
	p := newPaces(10)
	for i := range 100 {
		p.slow(fmt.Sprint(i), 0, time.Now(), 0)
	}
	p.keepOnly([]string{"7", "new"})
	assert.Len(t, p.keys, 1)
	assert.Contains(t, p.keys, "7")
}
