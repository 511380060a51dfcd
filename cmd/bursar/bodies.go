package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

// priceWait is how long a call waits for the prices of a model that nobody has
// asked for before, if a hard budget needs them.
const priceWait = 2 * time.Second

// priceList is OpenRouter's price list as [bodies] needs it.
type priceList interface {
	// Catalog is what is known now.
	Catalog() *accounting.Catalog
	// Wait returns when a model's prices are in the catalog; an error says that
	// they will not be soon.
	Wait(ctx context.Context, model string) error
}

// bodies tells the guard what a call may cost: facts of its body, at the prices
// of the catalog.
type bodies struct{ prices priceList }

// Read reads the facts. A body that has none is of no known model or price.
func (b bodies) Read(class openrouter.Class, body []byte) accounting.AskedRequest {
	r := &askedRequest{prices: b.prices, endpoint: class.Name}
	r.facts, r.err = openrouter.ReadFacts(class, body)
	return r
}

// Rewrite puts the model, or the prices, that were decided into the body.
func (b bodies) Rewrite(class openrouter.Class, body []byte, d *accounting.BudgetDecision) (_ []byte, err error) {
	if model := d.SentModel(); model != "" {
		if body, err = openrouter.ReplaceModel(body, model); err != nil {
			return nil, err
		}
	}
	if d.BoundBy != accounting.BoundProvider {
		return body, nil
	}
	facts, err := openrouter.ReadFacts(class, body)
	if err != nil {
		return nil, err
	}
	limits, ok := accounting.LimitsOf(&facts, b.prices.Catalog())
	if !ok {
		return nil, errors.New("the listed prices of its model are not known, or not fixed")
	}
	return openrouter.AddMaxPrice(class, body, limits)
}

// askedRequest is one call's body, read.
type askedRequest struct {
	prices   priceList
	endpoint string
	facts    accounting.RequestFacts
	err      error
}

// Models are those that are asked for, under every name by which they may be
// recorded or a budget may know them.
func (r *askedRequest) Models() (models []string, anyModel bool) {
	if r.err != nil {
		return nil, true
	}
	asked, anyModel := r.facts.Models()
	catalog := r.prices.Catalog()
	for _, name := range asked {
		models = append(models, name)
		m := catalog.Model(name)
		if m == nil || strings.HasPrefix(name, "openrouter/") || strings.Contains(name, "@") {
			anyModel = true // not known, a router, a preset
			continue
		}
		for _, other := range []string{m.Slug, m.CanonicalSlug, m.AliasOf} {
			if other != "" && !slices.Contains(models, other) {
				models = append(models, other)
			}
		}
	}
	return models, anyModel
}

// Bound waits for prices that are not known yet.
func (r *askedRequest) Bound(model string) (decimal.Decimal, error) {
	if r.err != nil {
		return decimal.Decimal{}, bodyError{r.err}
	}
	facts := r.facts
	if model != "" {
		facts.Model = model
	}
	waiting, cancel := context.WithTimeout(context.Background(), priceWait)
	defer cancel()
	for {
		usd, err := accounting.Bound(&facts, r.prices.Catalog(), r.endpoint)
		var unbounded *accounting.UnboundedError
		switch {
		case err == nil:
			return usd, nil
		case !errors.As(err, &unbounded):
			return usd, err
		case unbounded.UnknownModel == "" || r.prices.Wait(waiting, unbounded.UnknownModel) != nil:
			return usd, boundError{unbounded}
		}
	}
}

// bodyError tells the guard that the whole body is what has no bound.
type bodyError struct{ error }

// Error says what is wrong with the body, and the way out.
func (e bodyError) Error() string {
	return "the body of the request cannot be read as JSON, so nothing is known about what it may cost: send a JSON object (" + e.error.Error() + ")"
}

// Field is the whole body.
func (bodyError) Field() string { return "body" }

// Unwrap returns what was wrong.
func (e bodyError) Unwrap() error { return e.error }

// boundError tells the guard which field has no bound.
type boundError struct{ *accounting.UnboundedError }

// Field is the field of the body.
func (u boundError) Field() string { return u.UnboundedError.Field }

// Unwrap returns the error with all its parts.
func (u boundError) Unwrap() error { return u.UnboundedError }
