package settle

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// PriceLists is OpenRouter as [Prices] needs it. An error is an
// *[accounting.LookupError] or one of transport. The lists are public: a key
// may be empty.
type PriceLists interface {
	// Models lists all models, each with one offer.
	Models(ctx context.Context, key string) ([]accounting.Model, error)
	// Endpoints lists all offers of one model.
	Endpoints(ctx context.Context, key, slug string) (accounting.Model, error)
}

// PriceBook is where prices are kept with their dates.
type PriceBook interface {
	// LoadPrices returns what was saved last.
	LoadPrices(ctx context.Context) ([]accounting.Model, error)
	// SavePrices keeps what has changed, dated at. Saving the same again
	// changes nothing.
	SavePrices(ctx context.Context, at time.Time, models []accounting.Model) error
}

// PricesOptions configure [Prices]. A zero number or duration stands for its
// default.
type PricesOptions struct {
	Lists PriceLists
	Book  PriceBook
	Keys  Keys // to ask with; nil: without a key

	Interval      time.Duration // between two readings of a list; default 1 h
	LookupTimeout time.Duration // of one question; default 30 s
	MaxModels     int           // whose endpoints are followed; default 1000
	Registerer    prometheus.Registerer
	Logger        zerolog.Logger
}

// pricesRetry is the pause after a list could not be read.
var pricesRetry = backoff{first: 5 * time.Second, most: 10 * time.Minute}

// unknownFor is how long a model that OpenRouter does not have is not asked
// for again, whoever wants it.
const unknownFor = 10 * time.Minute

// Prices keeps a [accounting.Catalog] of OpenRouter's prices: of every model
// the offer that the list of models shows, and of those in use, which are those
// that somebody wanted, the offers of all endpoints. While OpenRouter is away
// the prices last known stay, whatever their age.
//
// All questions are asked by Run, one after the other. Want and Wait only leave
// a name, under mu, and wake it; Run closes the channel of a name when it has
// been dealt with. The catalog is replaced by Run alone.
type Prices struct {
	opts    PricesOptions
	catalog atomic.Pointer[accounting.Catalog]
	listed  atomic.Int64 // Unix time of the latest list of models; 0: none was read yet
	errors  *prometheus.CounterVec
	lists   outage
	book    outage
	wake    chan struct{}

	loadDue, listDue     time.Time // of Run
	loadTries, listTries int
	loaded               bool

	mu     sync.Mutex
	wanted map[string]*wantedModel // by the name that was wanted
}

// NewPrices checks the options. It starts nothing.
func NewPrices(o PricesOptions) (*Prices, error) {
	if o.Lists == nil || o.Book == nil {
		return nil, errors.New("prices: they need lists and a book")
	}
	if o.Interval < 0 || o.LookupTimeout < 0 || o.MaxModels < 0 {
		return nil, errors.New("prices: durations and the number of models must not be negative")
	}
	setDefault(&o.Interval, time.Hour)
	setDefault(&o.LookupTimeout, 30*time.Second)
	setDefault(&o.MaxModels, 1000)
	factory := promauto.With(o.Registerer)
	p := &Prices{
		opts: o, wanted: make(map[string]*wantedModel), wake: make(chan struct{}, 1),
		errors: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_prices_refresh_errors_total",
			Help: "Price lists that could not be read or kept: models, endpoints, book (our own record of them).",
		}, []string{"list"}),
		lists: outage{log: o.Logger, what: "reading OpenRouter's price lists; the prices last known stay in use"},
		book:  outage{log: o.Logger, what: "keeping the price lists in Postgres"},
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bursar_prices_age_seconds",
		Help: "Time since the oldest of the price lists in use was read; +Inf while there is none.",
	}, p.age)
	return p, nil
}

// Catalog is the price list as it is known now. It is safe for concurrent use.
func (p *Prices) Catalog() *accounting.Catalog { return p.catalog.Load() }

// age is that of the list of models, or of the oldest list of endpoints. Where
// none was ever read it is infinite, so that whoever asks whether it is too old
// is told that it is.
func (p *Prices) age() float64 {
	oldest := p.listed.Load()
	for m := range p.Catalog().Models() {
		if fetched := m.FetchedAt.Unix(); len(m.Endpoints) > 0 && (oldest == 0 || fetched < oldest) {
			oldest = fetched
		}
	}
	if oldest == 0 {
		return math.Inf(1)
	}
	return time.Since(time.Unix(oldest, 0)).Seconds()
}

// Run keeps the catalog until ctx ends; it returns nil.
func (p *Prices) Run(ctx context.Context) error {
	defer p.abandon()
	for ctx.Err() == nil {
		now := time.Now()
		if !p.loaded && !p.loadDue.After(now) {
			p.load(ctx)
			continue
		}
		if !p.listDue.After(now) {
			p.readModels(ctx)
			continue
		}
		next, due := p.nextWanted()
		if next != nil && !due.After(now) {
			p.readEndpoints(ctx, next)
			continue
		}
		p.rest(ctx, next != nil, due)
	}
	return nil
}

// rest waits until something is due or wanted.
func (p *Prices) rest(ctx context.Context, waiting bool, due time.Time) {
	until := p.listDue
	if !p.loaded && p.loadDue.Before(until) {
		until = p.loadDue
	}
	if waiting && due.Before(until) {
		until = due
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.wake:
	case <-timer.C:
	}
}

// load takes over what was saved, where nothing newer is known.
func (p *Prices) load(ctx context.Context) {
	loading, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	models, err := p.opts.Book.LoadPrices(loading)
	if err != nil {
		if ctx.Err() == nil {
			p.errors.WithLabelValues("book").Inc()
			p.book.failed(err)
		}
		p.loadDue = time.Now().Add(pricesRetry.delay(p.loadTries, rand.Float64()))
		p.loadTries++
		return
	}
	p.book.ended()
	p.loaded = true
	known := p.Catalog()
	var news []accounting.Model
	for _, m := range models {
		if have := known.Listed(m.Slug); have != nil {
			if len(have.Endpoints) > 0 || len(m.Endpoints) == 0 {
				continue
			}
			m.CanonicalSlug, m.AliasOf, m.Top = have.CanonicalSlug, have.AliasOf, have.Top
		}
		news = append(news, m)
	}
	p.catalog.Store(known.With(news...))
	p.follow(news)
}
