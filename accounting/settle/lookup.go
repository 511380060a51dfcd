package settle

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"bursar/accounting"
)

// settle looks up one row, claimed until then, and writes the outcome down. If
// ctx ends before there is one, the claim runs out and the row is claimed again.
func (s *Settler) settle(ctx context.Context, u accounting.Unsettled, until time.Time) {
	if !u.Missing() && s.paces.waitTurn(ctx, u.KeyFingerprint) != nil {
		return
	}
	generation, err := s.lookup(ctx, &u)
	if err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		s.complete(ctx, &u, generation, until)
		return
	}
	s.leave(ctx, &u, err, until)
}

// lookup asks OpenRouter for the row's own record.
func (s *Settler) lookup(ctx context.Context, u *accounting.Unsettled) (accounting.Generation, error) {
	key, ok := s.opts.Keys.Key(u.KeyFingerprint)
	if !ok {
		return accounting.Generation{}, errNoKey
	}
	if u.GenerationID == "" {
		return s.lookupJob(ctx, key, u)
	}
	generation, err := s.timed(ctx, func(ctx context.Context) (accounting.Generation, error) {
		return s.opts.Generations.Generation(ctx, key, u.GenerationID)
	})
	var answered *accounting.LookupError
	switch {
	case err == nil && generation.ID != u.GenerationID:
		// Seen once in the wild. Whose cost it is cannot be known.
		s.opts.Logger.Warn().Stringer("request_id", u.ID).Str("asked", u.GenerationID).Str("answered", generation.ID).
			Msg("OpenRouter answered with the record of another generation; it is not used")
		return accounting.Generation{}, errOtherID
	case u.Missing() && u.JobID != "" && errors.As(err, &answered) && answered.Status == http.StatusNotFound:
		// A job's generation may be published later than its result.
		return s.lookupJob(ctx, key, u)
	case err != nil:
		return accounting.Generation{}, err
	}
	return withCost(u, generation)
}

// lookupJob asks for the state of the row's job.
func (s *Settler) lookupJob(ctx context.Context, key string, u *accounting.Unsettled) (accounting.Generation, error) {
	generation, err := s.timed(ctx, func(ctx context.Context) (accounting.Generation, error) {
		return s.opts.Generations.Job(ctx, key, u.Endpoint, u.JobID)
	})
	if err != nil {
		return accounting.Generation{}, err
	}
	return withCost(u, generation)
}

// withCost refuses a record that would settle nothing: only a job that failed
// may end without a cost, and only if none is known from the response.
func withCost(u *accounting.Unsettled, g accounting.Generation) (accounting.Generation, error) {
	if g.Usage.Cost.Known || g.Failed && u.Missing() {
		return g, nil
	}
	return accounting.Generation{}, errNoCost
}

// timed makes one request within the time limit.
func (s *Settler) timed(ctx context.Context, ask func(context.Context) (accounting.Generation, error)) (accounting.Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.LookupTimeout)
	defer cancel()
	began := time.Now()
	defer func() { s.metrics.duration.Observe(time.Since(began).Seconds()) }()
	return ask(ctx)
}

// complete writes a cost down.
func (s *Settler) complete(ctx context.Context, u *accounting.Unsettled, g accounting.Generation, until time.Time) {
	s.endpoint.answered()
	s.paces.answered(u.KeyFingerprint)
	var posting accounting.Posting
	err := s.store(ctx, until, func(ctx context.Context) (err error) {
		posting, err = s.opts.Queue.Settle(ctx, *u, g, time.Now())
		return err
	})
	if err != nil {
		s.count(outcomeStoreError)
		// Were it the row's own fault, it would otherwise be back as often as
		// its lease runs out.
		s.postpone(ctx, u, s.policy.retry.delay(u.Attempts, rand.Float64()), "the cost could not be stored", time.Time{})
		return
	}
	s.count(completed(u, &g, &posting))
	s.metrics.posted(&posting)
	if posting.Mismatch {
		s.opts.Logger.Debug().Stringer("request_id", u.ID).Str("generation_id", u.GenerationID).
			Stringer("correction_usd", posting.Amount).Msg("OpenRouter's record corrects a cost")
	}
	if s.opts.Posted != nil {
		s.opts.Posted([]accounting.Posting{posting})
	}
}

// completed names what a stored record did.
func completed(u *accounting.Unsettled, g *accounting.Generation, p *accounting.Posting) outcome {
	switch {
	case !g.Usage.Cost.Known:
		return outcomeFailed
	case p.Mismatch:
		return outcomeMismatch
	case u.Missing():
		return outcomeSettled
	default:
		return outcomeVerified
	}
}

// leave writes down that the lookup brought nothing.
func (s *Settler) leave(ctx context.Context, u *accounting.Unsettled, err error, until time.Time) {
	now, random := time.Now(), rand.Float64()
	v := s.policy.judge(u, err, now, random)
	s.count(v.outcome)
	switch {
	case v.outcome == outcomeNoKey:
		s.endpoint.unused()
	case v.down:
		s.endpoint.failed(err)
	default:
		s.endpoint.answered()
		if v.slowKey {
			s.paces.slow(u.KeyFingerprint, v.keyPause, now, random)
		} else {
			s.paces.answered(u.KeyFingerprint)
		}
	}
	if !v.giveUp {
		s.postpone(ctx, u, v.after, v.reason, until)
		return
	}
	err = s.store(ctx, until, func(ctx context.Context) error {
		return s.opts.Leftovers.GiveUp(ctx, u.ID, v.reason)
	})
	if err == nil {
		s.metrics.givenUp.Inc()
		s.opts.Logger.Warn().Stringer("request_id", u.ID).Str("generation_id", u.GenerationID).Str("job_id", u.JobID).
			Str("reason", v.reason).Msg("a call stays without a cost; an operator has to decide")
	}
}

// postpone makes the row due again later. If it cannot be written until then,
// the row is due when its claim runs out.
func (s *Settler) postpone(ctx context.Context, u *accounting.Unsettled, after time.Duration, reason string, until time.Time) {
	_ = s.store(ctx, until, func(ctx context.Context) error {
		return s.opts.Queue.Postpone(ctx, u.ID, time.Now().Add(after), reason)
	})
}

func (s *Settler) count(o outcome) { s.metrics.attempts.WithLabelValues(string(o)).Inc() }
