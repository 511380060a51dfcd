package proxy

import (
	"context"
	"fmt"
	"net/http"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

// Guard decides whether the budgets allow a call, in memory.
//
// Reserve is called once for each billable call before anything of it goes
// upstream, from many goroutines. It may read the body through ask, and it may
// wait for money, for as long as ctx, the client's, lasts. nil: no budget
// applies. Where the call is not blocked, exactly one of the other two follows:
// Settle after the call's Closed was recorded, with that event; Release if the
// call was not sent. The guard itself records the calls that it blocks.
type Guard interface {
	Reserve(ctx context.Context, ask *accounting.Ask) *accounting.BudgetDecision
	Settle(e *accounting.Event)
	Release(d *accounting.BudgetDecision)
}

// Bodies reads and changes request bodies for the guard.
type Bodies interface {
	// Read is what a complete body says about models and price.
	Read(class openrouter.Class, body []byte) accounting.AskedRequest
	// Rewrite returns the body as the decision wants it sent: with another
	// model, with prices that OpenRouter is to hold. It leaves body as it is.
	// The error says, as a sentence, what stands against it.
	Rewrite(class openrouter.Class, body []byte, d *accounting.BudgetDecision) ([]byte, error)
}

// reserve asks the guard about the call, and reports whether it may be sent.
// From here on an operator's stop finds it.
func (c *call) reserve(client context.Context, r *http.Request) bool {
	h := c.handler
	c.nameKey()
	h.calls.add(c)
	guard := h.opts.Guard
	if guard == nil {
		c.launch()
		return true
	}
	c.inspection = inspection{call: c, client: client, request: r}
	c.ask = accounting.Ask{
		ID: c.event.ID, At: c.event.CreatedAt(), Tags: &c.event.Tags, KeyFingerprint: c.event.KeyFingerprint,
		Endpoint: c.event.Endpoint, Request: &c.inspection, Steerable: c.writesText(),
	}
	for {
		d := guard.Reserve(client, &c.ask)
		c.event.Decision = d
		if d != nil && d.Verdict == accounting.VerdictBlocked {
			c.refuse(c.budgetRefusal(d))
			return false
		}
		c.reserved = d != nil
		if err := c.obey(d); err != nil {
			c.release()
			if d.ArmModel != "" {
				// An experiment never stands in a call's way: once more without.
				c.ask.Steerable = false
				continue
			}
			c.block(c.blockedInstead(d, err))
			return false
		}
		c.nameModels(d)
		if c.launch() {
			c.inspection.send()
			return true
		}
		c.release() // it was cut meanwhile, by what now stands among the rules
	}
}

// obey changes the request as the decision says. The error says why its body
// cannot be changed.
func (c *call) obey(d *accounting.BudgetDecision) error {
	if d.SentModel() == "" && (d == nil || d.BoundBy != accounting.BoundProvider) {
		return nil
	}
	return c.inspection.rewrite(d)
}

// writesText reports whether the call is one whose model an experiment may
// choose: other calls (embeddings, images, speech) go to models of their own.
func (c *call) writesText() bool {
	switch c.class.Name {
	case "chat/completions", "completions", "messages", "responses":
		return true
	}
	return false
}

// block refuses and records a call whose body a budget needs changed. It is not
// sent as it is: it would cost what nobody has allowed.
func (c *call) block(d *accounting.BudgetDecision) {
	c.event.Decision = d
	c.event.Kind = accounting.Refused
	if err := c.handler.opts.Recorder.Record(&c.event); err != nil {
		c.handler.metrics.recordErrors.Inc()
	}
	c.refuse(c.budgetRefusal(d))
}

// blockedInstead is the decision about a call that could not be sent as d wants
// it. The budget that wants it so stands first.
func (c *call) blockedInstead(d *accounting.BudgetDecision, cause error) *accounting.BudgetDecision {
	blocked := *d
	blocked.Verdict, blocked.Field, blocked.DowngradedTo = accounting.VerdictBlocked, fieldOf(cause), ""
	blocked.Budgets = make([]accounting.BudgetShare, len(d.Budgets))
	for i, share := range d.Budgets {
		share.Charge = share.Charge.Sub(share.Charge)
		blocked.Budgets[i] = share
	}
	if d.DowngradedTo != "" {
		blocked.Detail = fmt.Sprintf("%s lets this call pass only with the model %s, which cannot be put into it: %s.", nameOfFirst(&blocked), d.DowngradedTo, cause)
		return &blocked
	}
	blocked.Reason = accounting.ReasonNoBound
	for i := range blocked.Budgets {
		share := &blocked.Budgets[i]
		if b, ok := c.handler.opts.FindBudget(share.BudgetID); ok && b.Mode == accounting.ModeHard && b.Bound == accounting.BoundProvider {
			share.Verdict, share.Reason = accounting.VerdictBlocked, accounting.ReasonNoBound
			blocked.Budgets[0], blocked.Budgets[i] = blocked.Budgets[i], blocked.Budgets[0]
			break
		}
	}
	blocked.Detail = fmt.Sprintf("%s has OpenRouter hold the price of this call (bound: provider), which cannot be put into it: %s.", nameOfFirst(&blocked), cause)
	return &blocked
}

// nameOfFirst names the budget that decided.
func nameOfFirst(d *accounting.BudgetDecision) string {
	if len(d.Budgets) == 0 {
		return "A budget"
	}
	return fmt.Sprintf("Budget %q", d.Budgets[0].BudgetID)
}

// fieldOf is the field of the body that err is about, if it knows.
func fieldOf(err error) string {
	if named, ok := err.(interface{ Field() string }); ok {
		return named.Field()
	}
	return ""
}

// nameModels keeps the models for whoever stops calls of one.
func (c *call) nameModels(d *accounting.BudgetDecision) {
	var models []string
	if model := d.SentModel(); model != "" {
		models = []string{model}
	} else if c.inspection.asked != nil {
		models, _ = c.inspection.asked.Models()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models = models
}

// holdsMoney reports whether a hard budget has reserved something for the call.
func (c *call) holdsMoney() bool {
	if !c.reserved {
		return false
	}
	for i := range c.event.Decision.Budgets {
		if c.event.Decision.Budgets[i].Charge.IsPositive() {
			return true
		}
	}
	return false
}

// settle tells the guard what the call came to, once its end is recorded.
func (c *call) settle() {
	if c.reserved {
		c.reserved = false
		c.handler.opts.Guard.Settle(&c.event)
	}
}

// release gives back what was reserved for a call that is not sent.
func (c *call) release() {
	if c.reserved {
		c.reserved = false
		c.handler.opts.Guard.Release(c.event.Decision)
	}
}
