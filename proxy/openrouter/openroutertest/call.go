package openroutertest

import (
	"context"
	"net/http"
	"time"

	"bursar/accounting"
)

// call is one request for inference on its way through the server. It belongs
// to the goroutine of its handler.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	req     request
	b       Behavior
	skin    *skin
	key     string
	asked   string // the body's model, a Behavior's name included
	started time.Time

	cacheKey  [32]byte // of the response cache, where the request asks for it
	cacheOn   bool
	cacheFrom string // the generation that a hit repeats

	asJob bool          // it starts an asynchronous job
	jobID string        // of the job
	batch *batchRequest // where the job is a batch
	due   time.Duration // from now until the job is charged

	announced bool // headers have left
	billed    bool
	bad       error // of the Behavior's name
}

// skin is how an endpoint dresses an answer.
type skin struct {
	apiType   string // of GET /generation
	idPrefix  string // of the generation's id
	comment   string // the keep-alive of its streams
	status    int    // 0: 200
	measure   func(*answer)
	errorBody func(*call, *apiError) object
	whole     func(*answer) object

	// Streams; nil where the endpoint has none.
	head   func(*answer) []frame                                // before the content
	piece  func(a *answer, i int) frame                         // a unit of it
	tail   func(*answer) []frame                                // the end, with the usage
	broken func(a *answer, e *apiError, withUsage bool) []frame // an error instead
}

// newCall reads and authenticates a request; ok is false if it has been
// answered.
func (s *Server) newCall(w http.ResponseWriter, r *http.Request, sk *skin) (c *call, ok bool) {
	c = &call{s: s, w: w, r: r, skin: sk, key: keyOf(r), started: s.opts.Now()}
	var err error
	if c.body, err = readBody(r); err != nil {
		s.aborted.Add(1)
		panic(http.ErrAbortHandler) // the client left: nobody reads an answer
	}
	if e := s.mayInfer(c.key); e != nil {
		c.fail(e)
		return nil, false
	}
	c.req, err = parseRequest(r.Header.Get("Content-Type"), c.body)
	if err != nil {
		c.fail(newError(http.StatusBadRequest, err.Error()))
		return nil, false
	}
	c.asked = c.req.Model
	c.choose()
	if c.bad != nil {
		c.fail(newError(http.StatusBadRequest, c.bad.Error()))
		return nil, false
	}
	return c, true
}

// choose finds the Behavior: the request's own wins over Options.Choose.
func (c *call) choose() {
	if names, found := c.req.takeBehavior(); found && c.r.Header.Get("X-Fake-Behavior") == "" {
		c.b, c.bad = ParseBehavior(names)
		return
	}
	c.b, c.bad = c.s.behavior(c.r, c.body)
}

// behavior is the one that the request's header names, or Options.Choose's.
func (s *Server) behavior(r *http.Request, body []byte) (Behavior, error) {
	if names := r.Header.Get("X-Fake-Behavior"); names != "" {
		return ParseBehavior(names)
	}
	if s.opts.Choose != nil {
		return s.opts.Choose(r, body), nil
	}
	return Behavior{}, nil
}

// generate answers a request for inference, from the Behavior to the bill.
func (c *call) generate() {
	switch {
	case c.b.Status != 0 || c.b.HTML:
		c.wait(c.b.Delay)
		c.refuse()
		return
	case c.b.Fault == CutBeforeHeaders:
		panic(http.ErrAbortHandler)
	case c.b.Fault == HangBeforeHeaders:
		<-c.r.Context().Done()
		c.s.aborted.Add(1)
		return
	}
	c.consultCache()
	a := c.newAnswer()
	stream := c.req.Stream && c.skin.piece != nil
	if c.wait(c.b.Delay) != nil {
		c.abandon(a, stream)
		c.s.aborted.Add(1)
		return
	}
	if c.b.Fault == LoseAnswer {
		c.settle(a)
		panic(http.ErrAbortHandler)
	}
	if c.asJob && c.b.Fault != ErrorFirst && c.b.Fault != BlankAnswer {
		c.startJob(a)
	}
	c.headers(a)
	switch {
	case stream:
		c.stream(a)
	case c.skin.whole == nil:
		c.sound(a)
	default:
		c.answerWhole(a)
	}
}

// headers sets what an answer to inference has in its headers.
func (c *call) headers(a *answer) {
	h := c.w.Header()
	if c.b.EarlyHints {
		h.Set("Link", "</style.css>; rel=preload; as=style")
		c.w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
	}
	if (c.b.ID == IDEverywhere || c.b.ID == IDInHeader) && c.batch == nil {
		h.Set("X-Generation-Id", a.id)
	}
	c.cacheHeaders()
	if c.b.Trailers {
		h.Set("Trailer", "X-Fake-Trailer")
	}
}

// wait lets time pass, or returns the error of a client that left.
func (c *call) wait(d time.Duration) error {
	ctx := c.r.Context()
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// settle bills the answer in full, once.
func (c *call) settle(a *answer) {
	reason, _ := a.finish()
	c.bill(a, a.tokens, a.charge, reason, false)
	c.keepInCache(a)
}

// settleNothing bills zero for an answer that failed before its first token.
func (c *call) settleNothing(a *answer) {
	c.bill(a, tokens{prompt: a.tokens.prompt}, free(), "error", false)
}

// abandon bills an answer whose client has left: a provider that stops charges
// for what it has streamed, any other one in full.
func (c *call) abandon(a *answer, stream bool) {
	stops := c.b.Abort == AbortStops || c.b.Abort == AbortByProvider && a.model.StopsOnAbort
	if !stream || !stops {
		c.settle(a)
		return
	}
	t, ch := a.partial()
	c.bill(a, t, ch, "", true)
}

// bill writes the ledger. The first call counts, later ones do nothing.
func (c *call) bill(a *answer, t tokens, ch charge, reason string, cancelled bool) {
	if c.billed {
		return
	}
	c.billed = true
	now := c.s.opts.Now().Add(c.due)
	delay := c.s.opts.GenerationDelay
	if cancelled {
		delay = c.s.opts.CancelledDelay
	}
	if c.b.PublishDelay > 0 {
		delay = c.b.PublishDelay
	}
	c.s.ledger.add(&record{
		bill: Bill{
			ID: a.id, JobID: c.jobID, Endpoint: c.r.URL.Path, KeyFingerprint: accounting.Fingerprint(c.key),
			Model: c.asked, ServedModel: a.model.served(), Provider: a.model.Provider,
			Cost: ch.cost, CostLiteral: string(ch.literal), IsBYOK: ch.byok, UpstreamCost: ch.upstream,
			PromptTokens: t.prompt, CompletionTokens: t.completion, CachedTokens: t.cached,
			CacheWriteTokens: t.cacheWrite, ReasoningTokens: t.reasoning,
			FinishReason: reason, Streamed: c.req.Stream, Cancelled: cancelled, Announced: c.announced,
			StartedAt: c.started, When: now,
		},
		apiType: c.skin.apiType, publishAt: now.Add(delay), never: c.b.NeverPublished, fault: c.b.Lookup,
		userAgent: c.r.UserAgent(), cacheFrom: c.cacheFrom, sessionID: c.req.SessionID, user: c.req.User,
	})
}

// announce notes that the headers have left.
func (c *call) announce(a *answer) {
	if c.announced {
		return
	}
	c.announced = true
	if c.billed {
		c.s.ledger.announce(a.id)
	}
}
