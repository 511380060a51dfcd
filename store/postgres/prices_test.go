package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func listPrice(literal string) accounting.Optional[decimal.Decimal] {
	return accounting.ParseCost(literal)
}

// priceStore is a store without prices.
func priceStore(t testing.TB) *Store {
	t.Helper()
	s := newStore(t)
	for _, table := range []string{"model_prices", "model_price_checks"} {
		_, err := s.pool.Exec(t.Context(), "DELETE FROM "+table)
		require.NoError(t, err)
	}
	return s
}

// offered is an endpoint with the given prices of a prompt and a completion
// token.
func offered(tag, prompt, completion string) accounting.Endpoint {
	e := accounting.Endpoint{Provider: "The " + tag, Tag: tag, ContextLength: accounting.Some(int64(1000))}
	e.Prices.Rates[accounting.PricePrompt] = accounting.ParseCost(prompt)
	e.Prices.Rates[accounting.PriceCompletion] = accounting.ParseCost(completion)
	return e
}

func priced(at time.Time, endpoints ...accounting.Endpoint) accounting.Model {
	top := offered("", "0.5", "0.5")
	top.Provider = ""
	return accounting.Model{Slug: "a/m", CanonicalSlug: "a/m-2026", Top: top, Endpoints: endpoints, FetchedAt: at}
}

func savePrices(t testing.TB, s *Store, at time.Time, models ...accounting.Model) {
	t.Helper()
	require.NoError(t, s.SavePrices(t.Context(), at, models))
}

func requirePrices(t testing.TB, s *Store, want ...accounting.Model) {
	t.Helper()
	got, err := s.LoadPrices(t.Context())
	require.NoError(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("loaded (want -, got +):\n%s", diff)
	}
}

func TestPricesComeBackWithEveryDigit(t *testing.T) {
	s := priceStore(t)
	e := offered("p/fp8", "0.00000025833333333333333333333333333333333333", "1e-30")
	e.MaxPromptTokens, e.MaxCompletionTokens = accounting.Some(int64(7)), accounting.Some(int64(1)<<60)
	e.Prices.Others = []accounting.OtherPrice{{Name: "image"}}
	e.Prices.Discount = listPrice("0.25")
	e.Prices.Overrides = []accounting.PriceOverride{{MinPromptTokens: 200000, UTCStart: "16:30", Rates: accounting.Rates{accounting.PricePrompt: listPrice("0.1")}}}
	alias := accounting.Model{Slug: "~a/latest", AliasOf: "a/m"}
	m := priced(noon, e, offered("q", "0", "0"))
	savePrices(t, s, noon, m, alias)
	requirePrices(t, s, m, alias)
	var prompt string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT prompt_usd::text FROM model_prices_latest WHERE endpoint = 'p/fp8'`).Scan(&prompt))
	require.Equal(t, "0.00000025833333333333333333333333333333333333", prompt)
}

func TestOnlyAChangeOfPricesIsKeptWithItsDate(t *testing.T) {
	s := priceStore(t)
	savePrices(t, s, noon, priced(noon, offered("p", "0.10", "1"), offered("q", "2", "2")))
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	savePrices(t, s, hour(1), priced(hour(1), offered("q", "2", "2"), offered("p", "0.1", "1")))
	require.EqualValues(t, 3, count1(t, s, `SELECT count(*) FROM model_prices`), "nothing changed")
	savePrices(t, s, hour(2), priced(hour(2), offered("p", "0.3", "1"), offered("q", "2", "2")))
	require.EqualValues(t, 4, count1(t, s, `SELECT count(*) FROM model_prices`))
	savePrices(t, s, hour(3), priced(hour(3), offered("q", "2", "2")))
	requirePrices(t, s, priced(hour(3), offered("q", "2", "2")))
	savePrices(t, s, hour(4), priced(hour(4), offered("q", "2", "2"), offered("p", "0.3", "1")))
	requirePrices(t, s, priced(hour(4), offered("p", "0.3", "1"), offered("q", "2", "2")))
	rows, err := s.pool.Query(t.Context(), `SELECT concat_ws(' ', extract(hour FROM valid_from AT TIME ZONE 'UTC') - 12, prompt_usd, listed) FROM model_prices WHERE endpoint = 'p' ORDER BY valid_from`)
	require.NoError(t, err)
	defer rows.Close()
	var history []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		history = append(history, line)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"0 0.1 t", "2 0.3 t", "3 0.3 f", "4 0.3 t"}, history)

	savePrices(t, s, hour(2), priced(hour(2), offered("p", "9", "9")))
	requirePrices(t, s, priced(hour(4), offered("p", "0.3", "1"), offered("q", "2", "2")))
	listOnly := priced(time.Time{})
	listOnly.Top = offered("", "0.7", "0.7")
	listOnly.Top.Provider = ""
	savePrices(t, s, hour(5), listOnly)
	want := priced(hour(4), offered("p", "0.3", "1"), offered("q", "2", "2"))
	want.Top = listOnly.Top
	requirePrices(t, s, want)
}

func TestEndpointsOfTheSameTagAreToldApart(t *testing.T) {
	s := priceStore(t)
	one, two := offered("p", "1", "1"), offered("p", "2", "2")
	savePrices(t, s, noon, priced(noon, two, one))
	savePrices(t, s, noon.Add(time.Hour), priced(noon.Add(time.Hour), one, two))
	requirePrices(t, s, priced(noon.Add(time.Hour), one, two))
	require.EqualValues(t, 3, count1(t, s, `SELECT count(*) FROM model_prices`))
}

func TestAModelWithoutEndpointsIsRememberedAsSuch(t *testing.T) {
	s := priceStore(t)
	gone := accounting.Model{Slug: "a/gone", FetchedAt: noon}
	savePrices(t, s, noon, gone)
	requirePrices(t, s, gone)
	savePrices(t, s, noon)
	requirePrices(t, s, gone)
}

func TestReplicasThatSaveAtOnceKeepOneChange(t *testing.T) {
	s := priceStore(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			at := noon.Add(time.Duration(i) * time.Second)
			if err := s.SavePrices(t.Context(), at, []accounting.Model{priced(at, offered("p", "1", "1"))}); err != nil {
				t.Errorf("save: %v", err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 2, count1(t, s, `SELECT count(*) FROM model_prices`))
}
