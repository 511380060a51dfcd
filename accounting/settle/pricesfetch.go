package settle

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"bursar/accounting"
)

// key is one to ask with; the lists are the same for all.
func (p *Prices) key() string {
	if p.opts.Keys == nil {
		return ""
	}
	for _, fingerprint := range p.opts.Keys.Fingerprints() {
		if key, held := p.opts.Keys.Key(fingerprint); held {
			return key
		}
	}
	return ""
}

// nextReading is when a list that was just read is read again: replicas that
// started together drift apart.
func (p *Prices) nextReading() time.Time {
	return time.Now().Add(time.Duration(float64(p.opts.Interval) * (0.9 + 0.2*rand.Float64())))
}

// retry is when to try again after so many failures in a row, and not before
// OpenRouter asked for it.
func (p *Prices) retry(tries int, err error) time.Time {
	delay := pricesRetry.delay(tries, rand.Float64())
	var lookup *accounting.LookupError
	if errors.As(err, &lookup) {
		delay = max(delay, min(lookup.RetryAfter, p.opts.Interval))
	}
	return time.Now().Add(delay)
}

// failed notes that a list could not be read, unless the loop is ending.
func (p *Prices) failed(ctx context.Context, list string, err error) {
	if ctx.Err() == nil {
		p.errors.WithLabelValues(list).Inc()
		p.lists.failed(err)
	}
}

// readModels reads the list of all models. What is known of their endpoints
// stays.
func (p *Prices) readModels(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, p.opts.LookupTimeout)
	defer cancel()
	models, err := p.opts.Lists.Models(asking, p.key())
	if err != nil {
		p.failed(ctx, "models", err)
		p.listDue = p.retry(p.listTries, err)
		p.listTries++
		return
	}
	p.lists.ended()
	p.listTries, p.listDue = 0, p.nextReading()
	now := time.Now()
	p.listed.Store(now.Unix())
	p.save(ctx, now, models)

	known := p.Catalog()
	listed := make(map[string]bool, len(models))
	for i := range models {
		m := &models[i]
		listed[m.Slug] = true
		if have := known.Listed(m.Slug); have != nil {
			m.Endpoints, m.FetchedAt = have.Endpoints, have.FetchedAt
		}
	}
	for have := range known.Models() {
		if !listed[have.Slug] && len(have.Endpoints) > 0 { // until its own list says that it is gone
			models = append(models, *have)
		}
	}
	p.catalog.Store(accounting.NewCatalog(models))
}

// readEndpoints reads the offers of a model that is wanted.
func (p *Prices) readEndpoints(ctx context.Context, w *wantedModel) {
	asking, cancel := context.WithTimeout(ctx, p.opts.LookupTimeout)
	defer cancel()
	slug := p.slugOf(w.name)
	fetched, err := p.opts.Lists.Endpoints(asking, p.key(), slug)
	now := time.Now()
	var lookup *accounting.LookupError
	switch {
	case err == nil && len(fetched.Endpoints) > 0:
		p.lists.ended()
		p.show(ctx, now, slug, fetched.Endpoints)
		p.dealtWith(w, p.nextReading(), nil)
	case err == nil, errors.As(err, &lookup) && lookup.Status == http.StatusNotFound:
		p.lists.ended()
		if p.Catalog().Listed(slug) != nil {
			p.show(ctx, now, slug, nil)
		}
		p.dealtWith(w, now.Add(min(unknownFor, p.opts.Interval)), cmp.Or(err, errNobodyOffers))
	default:
		p.failed(ctx, "endpoints", err)
		p.dealtWith(w, p.retry(p.tries(w), err), err)
	}
}

var errNobodyOffers = errors.New("no provider offers it")

// show puts the offers of a model into the catalog and keeps them.
func (p *Prices) show(ctx context.Context, at time.Time, slug string, endpoints []accounting.Endpoint) {
	m := accounting.Model{Slug: slug}
	if have := p.Catalog().Listed(slug); have != nil {
		m = *have
	}
	m.Endpoints, m.FetchedAt = endpoints, at
	p.catalog.Store(p.Catalog().With(m))
	p.save(ctx, at, []accounting.Model{m})
}

// save keeps models. What cannot be kept now is when the list is read again.
func (p *Prices) save(ctx context.Context, at time.Time, models []accounting.Model) {
	saving, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	switch err := p.opts.Book.SavePrices(saving, at, models); {
	case err == nil:
		p.book.ended()
	case ctx.Err() == nil:
		p.errors.WithLabelValues("book").Inc()
		p.book.failed(err)
	}
}
