package settle

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The rest of a key after a 429 that did not say how long: it doubles with each
// further one, and is forgotten with the first answer.
var keyRest = backoff{first: time.Second, most: time.Minute}

// paces keeps the settler from asking too often with one key: verifications
// have a rate, and a key that was answered 429 rests. Safe for concurrent use.
type paces struct {
	limit rate.Limit
	burst int

	mu   sync.Mutex
	keys map[string]*pace // by fingerprint; only keys that were used
}

type pace struct {
	verifications *rate.Limiter
	restsUntil    time.Time
	refusals      int // 429s in a row
}

// newPaces allows perSecond verifications per key.
func newPaces(perSecond float64) *paces {
	return &paces{
		limit: rate.Limit(perSecond),
		burst: max(1, int(math.Ceil(perSecond))),
		keys:  make(map[string]*pace),
	}
}

// ready picks from held the keys that may be used now, and how many rows may be
// claimed for them: as many as they have verifications left, or without bound.
func (p *paces) ready(held []string, now time.Time, missing bool) (fingerprints []string, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fingerprints = make([]string, 0, len(held))
	for _, f := range held {
		k, left := p.keys[f], p.burst
		if k != nil {
			if now.Before(k.restsUntil) {
				continue
			}
			left = int(k.verifications.TokensAt(now))
		}
		if missing {
			left = math.MaxInt32
		}
		if left > 0 {
			fingerprints = append(fingerprints, f)
			limit = min(limit+left, math.MaxInt32)
		}
	}
	return fingerprints, limit
}

// waitTurn waits until the key may be used for one more verification.
func (p *paces) waitTurn(ctx context.Context, fingerprint string) error {
	return p.pace(fingerprint).verifications.Wait(ctx)
}

// slow has the key rest: for as long as OpenRouter asked, else for as long as
// repeated refusals suggest. Lookups that were under way when a rest began are
// refused as well; they are the same refusal, and only what was asked counts.
func (p *paces) slow(fingerprint string, asked time.Duration, now time.Time, random float64) {
	k := p.pace(fingerprint)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(k.restsUntil) {
		if until := now.Add(asked); until.After(k.restsUntil) {
			k.restsUntil = until
		}
		return
	}
	rest := max(asked, keyRest.delay(k.refusals, random))
	k.refusals++
	if until := now.Add(rest); until.After(k.restsUntil) {
		k.restsUntil = until
	}
	// Nobody publishes a limit of these lookups, so it is felt for: halved at
	// a refusal, raised by a tenth with each answer.
	k.verifications.SetLimitAt(now, max(k.verifications.Limit()/2, p.limit/64))
}

// answered notes that the key was not refused.
func (p *paces) answered(fingerprint string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[fingerprint]
	if k == nil {
		return
	}
	k.refusals = 0
	if l := k.verifications.Limit(); l < p.limit {
		k.verifications.SetLimit(min(l*1.1, p.limit))
	}
}

// keepOnly forgets the keys that are no longer held.
func (p *paces) keepOnly(held []string) {
	set := make(map[string]bool, len(held))
	for _, f := range held {
		set[f] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.keys {
		if !set[f] {
			delete(p.keys, f)
		}
	}
}

// pace is the key's own, made on first use.
func (p *paces) pace(fingerprint string) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[fingerprint]
	if k == nil {
		k = &pace{verifications: rate.NewLimiter(p.limit, p.burst)}
		p.keys[fingerprint] = k
	}
	return k
}
