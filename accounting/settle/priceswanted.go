package settle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bursar/accounting"
)

// wantedModel is a model whose endpoints somebody asked for. It is kept and
// read again as long as there is room.
type wantedModel struct {
	name string

	// Behind Prices.mu:
	due   time.Time     // of the next reading
	at    time.Time     // when it was last asked for
	tries int           // failures in a row
	done  chan struct{} // closed at the end of the next reading
	err   error         // of the last one
}

// Want asks for the prices of a model that is not in the catalog. It does not
// block, and does nothing for what cannot be a model's name, or when too many
// are wanted.
func (p *Prices) Want(model string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want(model)
}

// Wait asks for the prices of a model and waits until it is in the catalog. An
// error says that it will not be soon: OpenRouter has no such model, or could
// not be asked, or ctx ended.
func (p *Prices) Wait(ctx context.Context, model string) error {
	for {
		if m := p.Catalog().Model(p.slugOf(model)); m != nil && len(m.Endpoints) > 0 {
			return nil
		}
		p.mu.Lock()
		w := p.want(model)
		if w == nil {
			p.mu.Unlock()
			return fmt.Errorf("prices of model %q: it cannot be looked up", model)
		}
		if w.err != nil && w.due.After(time.Now()) {
			defer p.mu.Unlock()
			return fmt.Errorf("prices of model %q: %w", model, w.err)
		}
		done := w.done
		p.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("prices of model %q: %w", model, context.Cause(ctx))
		}
	}
}

// want notes a name. It returns nil if there is no room or it is no name.
func (p *Prices) want(model string) *wantedModel {
	if w := p.wanted[model]; w != nil {
		w.at = time.Now()
		return w
	}
	if !plausible(model) || len(p.wanted) >= p.opts.MaxModels && !p.makeRoom() {
		return nil
	}
	now := time.Now()
	w := &wantedModel{name: model, due: now, at: now, done: make(chan struct{})}
	p.wanted[model] = w
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return w
}

// plausible reports whether a name may be one of a model: author/model, short
// and without anything that means something in a path.
func plausible(model string) bool {
	author, name, ok := strings.Cut(model, "/")
	if !ok || author == "" || name == "" || len(model) > accounting.MaxTagBytes || strings.HasPrefix(name, ".") {
		return false
	}
	for i := range len(model) {
		c := model[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.:~", c) >= 0, i == len(author):
		default:
			return false
		}
	}
	return true
}

// makeRoom forgets the name without prices that was not asked for the longest.
// Models in use are never forgotten for the sake of invented ones.
func (p *Prices) makeRoom() bool {
	var oldest *wantedModel
	catalog := p.Catalog()
	for _, w := range p.wanted {
		if w.err != nil && !priced(catalog, w.name) && (oldest == nil || w.at.Before(oldest.at)) {
			oldest = w
		}
	}
	if oldest == nil {
		return false
	}
	delete(p.wanted, oldest.name)
	close(oldest.done)
	return true
}

// follow has the prices of models that were loaded read again when they are
// due, and tells those who waited for them.
func (p *Prices) follow(models []accounting.Model) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range models {
		if len(m.Endpoints) == 0 {
			continue
		}
		if w := p.want(m.Slug); w != nil {
			w.due, w.err = m.FetchedAt.Add(p.opts.Interval), nil
		}
	}
	for _, w := range p.wanted {
		if priced(p.Catalog(), w.name) {
			w.end()
		}
	}
}

// end tells those who wait, behind the lock.
func (w *wantedModel) end() {
	close(w.done)
	w.done = make(chan struct{})
}

// nextWanted is the model to read next: one that somebody may wait for before
// those that are only to be read again.
func (p *Prices) nextWanted() (next *wantedModel, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wanted {
		if next == nil || w.due.Before(due) {
			next, due = w, w.due
		}
	}
	if next == nil || due.After(time.Now()) {
		return next, due
	}
	catalog := p.Catalog()
	for _, w := range p.wanted {
		if w.err == nil && !w.due.After(time.Now()) && !priced(catalog, w.name) {
			return w, w.due
		}
	}
	return next, due
}

func priced(c *accounting.Catalog, name string) bool {
	m := c.Model(name)
	return m != nil && len(m.Endpoints) > 0
}

func (p *Prices) tries(w *wantedModel) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return w.tries
}

// dealtWith notes the end of a reading, and tells those who wait.
func (p *Prices) dealtWith(w *wantedModel, due time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted[w.name] != w { // forgotten meanwhile
		return
	}
	w.due, w.err = due, err
	if w.tries++; err == nil {
		w.tries = 0
	}
	w.end()
}

var errPricesEnded = errors.New("the prices are no longer kept")

// abandon tells those who wait that the loop has ended.
func (p *Prices) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wanted {
		w.err, w.due = errPricesEnded, time.Now().Add(p.opts.Interval)
		w.end()
	}
}

// slugOf is the model that a name stands for, as far as the list tells: of an
// alias, of a name with its date, of a variant that only sorts providers.
func (p *Prices) slugOf(name string) string {
	if m := p.Catalog().Model(name); m != nil {
		return m.Slug
	}
	return accounting.ServedModel(name)
}
