package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// TestSumsEqualTheRowsUnderAnyConcurrency lets shippers replay overlapping
// batches over two stores, as replicas do, while settlers claim and settle the
// same rows. At the end every call is one row with the cost that OpenRouter's
// record has, and every sum equals its rows.
func TestSumsEqualTheRowsUnderAnyConcurrency(t *testing.T) {
	one := newStore(t)
	two := openStore(t, one.opts.URL)
	calls := randomCalls(150)
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()

	var shippers, others sync.WaitGroup
	for i := range 6 {
		s := []*Store{one, two}[i%2]
		shippers.Go(func() { shipInOverlappingBatches(t, s, calls) })
	}
	for i := range 3 {
		s := []*Store{one, two}[i%2]
		others.Go(func() { settleUntil(t, stop, s) })
	}
	others.Go(func() { checkUntil(t, stop, two) })
	shippers.Wait()
	cancel()
	others.Wait()
	settleUntil(t, stop, one) // what is left

	requireExactRollups(t, one)
	want := decimal.Decimal{}
	for i := range 150 {
		want = want.Add(billed(fmt.Sprintf("gen-%d", i)))
	}
	require.EqualValues(t, 150, count1(t, one, `SELECT count(*) FROM openrouter_usage`))
	require.EqualValues(t, 150, count1(t, one, `SELECT count(*) FROM openrouter_usage WHERE verified_at IS NOT NULL AND settle_next_at IS NULL`))
	var total decimal.Decimal
	require.NoError(t, one.pool.QueryRow(t.Context(), `SELECT sum(openrouter_cost) FROM monthly_costs`).Scan(&total))
	require.Equal(t, want.String(), total.String())
}

// randomCalls are calls to n generations. Some were cut off before they were
// closed, and some generations were returned to a second call.
func randomCalls(n int) (events []accounting.Event) {
	for i := range n {
		at := noon.Add(time.Duration(i%7) * 29 * time.Minute) // several hours
		e := closed(at, fmt.Sprintf("gen-%d", i), "")
		e.Tags.CampaignID = fmt.Sprint("c", i%3)
		e.Tags.Platform = []string{"", "instantly"}[i%2]
		e.Tags.LeadID, e.Tags.EmailID = []string{"", "l1", "l2"}[i%3], []string{"e1", "e2", "e3", ""}[i%4]
		e.Tags.SequenceID, e.FinishReason = []string{"", "s1"}[i%2], []string{"stop", "length", ""}[i%3]
		e.Usage.TotalTokens = accounting.Some(int64(i))
		if i%3 > 0 {
			e.Usage.Cost = accounting.Some(billed(e.GenerationID).Add(decimal.New(int64(i%2), -3)))
		}
		if i%5 == 0 {
			cut := e
			cut.Kind, cut.Duration, cut.HTTPStatus, cut.Usage = accounting.Interrupted, 0, 0, accounting.Usage{}
			events = append(events, cut)
		}
		events = append(events, e)
		if i%4 == 0 {
			repeat := closed(at.Add(time.Duration(i%5)*time.Minute), e.GenerationID, "0.5")
			repeat.Tags.CampaignID = "repeated"
			events = append(events, repeat)
		}
	}
	return events
}

// billed is what OpenRouter's record says a generation cost.
func billed(generation string) decimal.Decimal {
	var n int64
	_, _ = fmt.Sscanf(generation, "gen-%d", &n)
	return decimal.New(n*1_000_003+1, -12)
}

func shipInOverlappingBatches(t *testing.T, s *Store, events []accounting.Event) {
	for start := 0; start < len(events); start += 10 {
		batch := slices.Clone(events[start:min(start+25, len(events))])
		if rand.IntN(3) == 0 { // another replica's journal has another order
			rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		}
		if _, err := s.Ship(t.Context(), batch); err != nil {
			t.Errorf("ship: %v", err)
			return
		}
	}
}

// settleUntil works until stop is done and nothing more is due.
func settleUntil(t *testing.T, stop context.Context, s *Store) {
	for round := 0; ; round++ {
		claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{
			Now: later.Add(24 * time.Hour), Fingerprints: []string{key}, Missing: round%2 == 0, Limit: 20, Lease: time.Minute,
		})
		if err != nil {
			t.Errorf("claim: %v", err)
			return
		}
		for _, u := range claimed {
			g := accounting.Generation{ID: u.GenerationID, Model: "openai/gpt-4o", Usage: accounting.Usage{Cost: accounting.Some(billed(u.GenerationID))}}
			if _, err := s.Settle(t.Context(), u, g, later); err != nil {
				t.Errorf("settle: %v", err)
				return
			}
		}
		if len(claimed) == 0 && round%2 == 1 && stop.Err() != nil {
			return
		}
	}
}

// checkUntil recomputes the sums beside the writers: they are exact at every
// moment, not only in the end.
func checkUntil(t *testing.T, stop context.Context, s *Store) {
	for stop.Err() == nil {
		differences, err := s.CheckRollups(t.Context())
		if err != nil || len(differences) > 0 {
			t.Errorf("rollups beside writers: %v %v", differences, err)
			return
		}
	}
}

func TestTwoReplicasThatShipTheSameBatchAtOnceMakeEachRowOnce(t *testing.T) {
	one := newStore(t)
	two := openStore(t, one.opts.URL)
	for range 10 {
		var events []accounting.Event
		for range 30 {
			id := callAt(noon)
			e := closed(noon, "gen-"+id.String(), "0.01")
			e.ID, e.JobID = id, "job-"+id.String()
			events = append(events, e)
		}
		var wg sync.WaitGroup
		shipments := make([]accounting.Shipment, 4)
		for i := range shipments {
			s, batch := []*Store{one, two}[i%2], slices.Clone(events)
			if i >= 2 {
				slices.Reverse(batch)
			}
			wg.Go(func() {
				var err error
				if shipments[i], err = s.Ship(t.Context(), batch); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var inserted, replayed, postings int
		for _, shipment := range shipments {
			inserted += shipment.Inserted
			replayed += shipment.Replayed
			postings += len(shipment.Postings)
		}
		require.Equal(t, []int{30, 90, 30}, []int{inserted, replayed, postings})
	}
	requireExactRollups(t, one)
}

// A row that was interrupted is completed by its own closing, by a second call
// and by the settler at the same moment: none of them may be lost.
func TestWritersOfOneRowWaitForEachOther(t *testing.T) {
	s := newStore(t)
	for i := range 40 {
		closing := closed(noon, fmt.Sprintf("gen-%d", i), "0.1")
		closing.Usage.TotalTokens = accounting.Some[int64](3)
		cut := closing
		cut.Kind, cut.Duration, cut.Usage = accounting.Interrupted, 0, accounting.Usage{}
		repeat := closed(noon.Add(time.Minute), closing.GenerationID, "0.3")
		repeat.Tags = accounting.Tags{CampaignID: "repeated", LeadID: "l"}
		ship(t, s, cut)

		var wg sync.WaitGroup
		for _, e := range []accounting.Event{closing, repeat} {
			wg.Go(func() {
				if _, err := s.Ship(t.Context(), []accounting.Event{e}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			g := accounting.Generation{ID: closing.GenerationID, Provider: "Azure", Usage: usd("0.2")}
			if _, err := s.Settle(t.Context(), accounting.Unsettled{ID: cut.ID}, g, later); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		r := stored(t, s, cut.ID)
		requireAmount(t, "0.2", r.cost)
		require.EqualValues(t, 3, *r.totalTokens)
		require.EqualValues(t, "l", r.leadID)
		require.EqualValues(t, "Azure", r.provider)
	}
	requireExactRollups(t, s)
}

// Which call comes first is left to chance; that there is one row is not.
func TestCallsThatReturnTheSameGenerationAtOnceMakeOneRow(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		var wg sync.WaitGroup
		for n := range 4 {
			e := closed(noon.Add(time.Duration(n)*time.Second), fmt.Sprintf("gen-%d", i), "0.1")
			wg.Go(func() {
				if _, err := s.Ship(t.Context(), []accounting.Event{e}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	require.EqualValues(t, 20, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
	require.EqualValues(t, 0, count1(t, s, `SELECT count(*) FROM generations g WHERE NOT EXISTS
		(SELECT FROM openrouter_usage u WHERE u.id = g.usage_id AND u.created_at = g.created_at)`))
	requireExactRollups(t, s)
}
