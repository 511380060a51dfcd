package accounting

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// Catalog is a snapshot of OpenRouter's price list. It never changes, so any
// number of goroutines may read it; a nil one is empty.
type Catalog struct {
	bySlug map[string]*listing
	byName map[string]*listing // canonical slugs and aliases, where no slug says the same
}

// listing is a model with its offers made ready for [Bound].
type listing struct {
	model Model
	caps  []ceiling // of Endpoints, in their order
	front []int     // those of caps that no other exceeds in everything
}

// NewCatalog returns the catalog of models. Of two with the same slug the
// later one stands.
func NewCatalog(models []Model) *Catalog {
	return (*Catalog)(nil).With(models...)
}

// With returns a catalog in which models replace those of the same slug.
func (c *Catalog) With(models ...Model) *Catalog {
	next := &Catalog{bySlug: make(map[string]*listing, len(models))}
	if c != nil {
		maps.Copy(next.bySlug, c.bySlug)
	}
	for i := range models {
		next.bySlug[models[i].Slug] = newListing(models[i])
	}
	next.byName = make(map[string]*listing, len(next.bySlug))
	for _, slug := range slices.Sorted(maps.Keys(next.bySlug)) {
		l := next.bySlug[slug]
		// The canonical slug of "a/b:free" is that of "a/b", which costs money.
		if name := l.model.CanonicalSlug; name != "" && !strings.Contains(slug, ":") && next.byName[name] == nil {
			next.byName[name] = l
		}
	}
	return next
}

// find looks a name up: a slug, a canonical slug, or an alias.
func (c *Catalog) find(name string) *listing {
	if c == nil {
		return nil
	}
	l := c.bySlug[name]
	if l == nil {
		l = c.byName[name]
	}
	if l != nil && l.model.AliasOf != "" {
		if target := c.bySlug[l.model.AliasOf]; target != nil {
			return target
		}
		if target := c.byName[l.model.AliasOf]; target != nil {
			return target
		}
	}
	return l
}

// Model is the model that serves a request for name: a slug, a canonical slug
// or an alias, also with a variant that only sorts providers; nil if none is
// listed. The model belongs to the catalog and must not be changed.
func (c *Catalog) Model(name string) *Model {
	l := c.find(name)
	if base, variant := baseModel(name); l == nil && sortsOnly(variant) {
		l = c.find(base)
	}
	if l == nil {
		return nil
	}
	return &l.model
}

// Listed is the model of exactly this slug, nil if there is none. It must not
// be changed.
func (c *Catalog) Listed(slug string) *Model {
	if c == nil || c.bySlug[slug] == nil {
		return nil
	}
	return &c.bySlug[slug].model
}

// Models lists the models in the order of their slugs.
func (c *Catalog) Models() iter.Seq[*Model] {
	return func(yield func(*Model) bool) {
		if c == nil {
			return
		}
		for _, slug := range slices.Sorted(maps.Keys(c.bySlug)) {
			if !yield(&c.bySlug[slug].model) {
				return
			}
		}
	}
}

// Len is the number of models.
func (c *Catalog) Len() int {
	if c == nil {
		return 0
	}
	return len(c.bySlug)
}

func newListing(m Model) *listing {
	l := &listing{model: m, caps: make([]ceiling, len(m.Endpoints))}
	for i := range m.Endpoints {
		l.caps[i] = newCeiling(&m.Endpoints[i])
	}
	for i := range l.caps {
		if !l.exceeded(i) {
			l.front = append(l.front, i)
		}
	}
	return l
}

// exceeded reports whether another endpoint costs at least as much as i,
// whatever the call. Of equals the first one counts.
func (l *listing) exceeded(i int) bool {
	for j := range l.caps {
		if j != i && l.caps[i].atMost(&l.caps[j]) && (j < i || !l.caps[j].atMost(&l.caps[i])) {
			return true
		}
	}
	return false
}
