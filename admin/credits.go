package admin

import (
	"context"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// creditsPatience bounds a question that nobody waits for.
const creditsPatience = 10 * time.Second

// creditsKept is what OpenRouter's account had left when it was last asked. A
// page shows that and has it asked again beside: it must not wait for another
// company's server.
type creditsKept struct {
	ask func(context.Context) accounting.Optional[decimal.Decimal]

	mu     sync.Mutex
	known  accounting.Optional[decimal.Decimal]
	until  time.Time // before it, known is not asked for again
	asking sync.WaitGroup
	busy   bool
}

// put keeps what was asked at now.
func (c *creditsKept) put(known accounting.Optional[decimal.Decimal], now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.until = known, now.Add(dashboardLife)
}

// latest is what is known at now, and has it asked anew if that is old.
func (c *creditsKept) latest(now time.Time) accounting.Optional[decimal.Decimal] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || now.Before(c.until) {
		return c.known
	}
	c.busy = true
	c.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), creditsPatience)
		defer cancel()
		found := c.ask(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known, c.until, c.busy = found, now.Add(dashboardLife), false
	})
	return c.known
}
