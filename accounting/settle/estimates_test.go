package settle

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeEstimates keeps open calls and what they were estimated to cost.
type fakeEstimates struct {
	calls []accounting.OpenCall // by id
	means map[string]decimal.Decimal
	set   map[accounting.RequestID]string
	since time.Time
	asked []string // models
	pages int
	err   error
}

func (b *fakeEstimates) Unestimated(_ context.Context, before time.Time, after accounting.RequestID, limit int) (page []accounting.OpenCall, _ error) {
	meet()
	b.pages++
	for _, c := range b.calls {
		if _, done := b.set[c.ID]; !done && !c.ID.Time().After(before) && bytes.Compare(c.ID[:], after[:]) > 0 && len(page) < limit {
			page = append(page, c)
		}
	}
	return page, b.err
}

func (b *fakeEstimates) MeanCosts(_ context.Context, since time.Time, models []string) (map[string]decimal.Decimal, error) {
	meet()
	b.since, b.asked = since, models
	return b.means, nil
}

func (b *fakeEstimates) SetEstimates(_ context.Context, estimates []accounting.CallEstimate) (int, error) {
	meet()
	for _, e := range estimates {
		b.set[e.ID] = e.Amount.String()
	}
	return len(estimates), nil
}

// add makes an open call now.
func (b *fakeEstimates) add(c accounting.OpenCall) accounting.RequestID {
	c.ID = accounting.NewRequestID(time.Now(), uint64(len(b.calls)), 0)
	b.calls = append(b.calls, c)
	slices.SortFunc(b.calls, func(a, b accounting.OpenCall) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return c.ID
}

// priceList holds one model, of 2 USD a million prompt tokens and 10 a million
// completion tokens.
type priceList struct{}

func (priceList) Catalog() *accounting.Catalog {
	var rates accounting.Rates
	rates[accounting.PricePrompt] = accounting.Some(usd("0.000002"))
	rates[accounting.PriceCompletion] = accounting.Some(usd("0.00001"))
	return accounting.NewCatalog([]accounting.Model{{Slug: "a/listed", Top: accounting.Endpoint{Prices: accounting.Prices{Rates: rates}}}})
}

func newEstimating(t *testing.T) (*Estimates, *fakeEstimates, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	book := &fakeEstimates{set: map[accounting.RequestID]string{}, means: map[string]decimal.Decimal{"b/mean": usd("0.0123456789")}}
	e, err := NewEstimates(EstimatesOptions{Book: book, Prices: priceList{}, Registerer: reg, Logger: new(logBook).logger()})
	require.NoError(t, err)
	return e, book, reg
}

func TestACallIsEstimatedByTheBestThatIsKnownOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, book, reg := newEstimating(t)
		tokens := accounting.Usage{PromptTokens: accounting.Some[int64](1000), CompletionTokens: accounting.Some[int64](101)}
		bound := accounting.Some(usd("0.5"))
		listed := book.add(accounting.OpenCall{Model: "a/listed", Usage: tokens, Bound: bound})
		mean := book.add(accounting.OpenCall{Model: "b/mean", Usage: tokens, Bound: bound})
		noTokens := book.add(accounting.OpenCall{Model: "a/listed", Bound: bound})
		nothing := book.add(accounting.OpenCall{Model: "c/nothing", Usage: tokens})
		book.add(accounting.OpenCall{})
		during(t, 59*time.Minute, e.Run)
		require.Empty(t, book.set, "not before an hour has passed")
		during(t, 11*time.Minute, e.Run)
		require.Equal(t, map[accounting.RequestID]string{listed: "0.00301", mean: "0.0123456789", noTokens: "0.5"}, book.set)
		require.NotContains(t, book.set, nothing)
		require.Equal(t, []string{"c/nothing"}, book.asked, "what has an estimate is not asked for again")
		require.WithinDuration(t, time.Now().Add(-7*24*time.Hour), book.since, 10*time.Minute)
		for basis, n := range map[string]float64{"prices": 1, "mean": 1, "bound": 1} {
			require.Equal(t, n, metric(t, reg, "bursar_estimates_total", "basis", basis))
		}
	})
}

func TestCallsThatCannotBeEstimatedHoldUpNoOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, book, _ := newEstimating(t)
		for range 2 * estimateBatch {
			book.add(accounting.OpenCall{Model: "c/nothing"})
		}
		last := book.add(accounting.OpenCall{Model: "b/mean"})
		pass(time.Hour)
		during(t, time.Second, e.Run)
		require.Equal(t, map[accounting.RequestID]string{last: "0.0123456789"}, book.set)
		require.Equal(t, 4, book.pages, "three with calls and the empty one")
	})
}

func TestEstimatesAreMadeWhenTheDatabaseIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, book, _ := newEstimating(t)
		book.add(accounting.OpenCall{Model: "b/mean"})
		pass(time.Hour)
		book.err = errors.New("connection refused")
		during(t, 20*time.Minute, e.Run)
		require.Empty(t, book.set)
		book.err = nil
		during(t, time.Second, e.Run)
		require.Len(t, book.set, 1)
	})
}
