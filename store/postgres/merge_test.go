package postgres

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

var pure = &Store{opts: testOptions("unused")}

// anyEvent is an event of one of a few calls that share a generation and a job.
func anyEvent(t *rapid.T) accounting.Event {
	e := accounting.Event{
		Kind:           rapid.SampledFrom([]accounting.Kind{accounting.Closed, accounting.Closed, accounting.Interrupted, accounting.Polled}).Draw(t, "kind"),
		ID:             accounting.NewRequestID(noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "call"))*time.Hour), 0, 0),
		KeyFingerprint: key, JobID: "job-1", RequestedModel: "asked",
		GenerationID: rapid.SampledFrom([]string{"", "gen-1"}).Draw(t, "generation"),
		Model:        rapid.SampledFrom([]string{"", "asked", "served"}).Draw(t, "model"),
		HTTPStatus:   rapid.SampledFrom([]int{0, 200, 202, 429}).Draw(t, "http"),
		Error:        rapid.SampledFrom([]string{"", "", "failed"}).Draw(t, "error"),
		Cancelled:    rapid.Bool().Draw(t, "cancelled"),
		Truncated:    rapid.Bool().Draw(t, "truncated"),
		Duration:     time.Second,
	}
	e.Tags.CampaignID = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "campaign")
	if rapid.Bool().Draw(t, "priced") {
		e.Usage.Cost = accounting.Some(decimal.New(rapid.Int64Range(0, 3).Draw(t, "cost"), -2))
	}
	if rapid.Bool().Draw(t, "counted") {
		e.Usage.TotalTokens = accounting.Some(rapid.Int64Range(0, 3).Draw(t, "tokens"))
	}
	return e
}

func received(t require.TestingT, e accounting.Event, target requestID) *incoming {
	b, err := pure.receive([]accounting.Event{e})
	require.NoError(t, err)
	in := append(b.calls, b.polls...)[0]
	in.target = target
	return in
}

// changed are the columns in which two states of a row differ.
func changed(before, after *row) (names []string) {
	for _, c := range columns {
		if !c.same(before, after) {
			names = append(names, c.name)
		}
	}
	return names
}

// Each call's own event is absorbed at most once for good: a replay at any later
// moment changes nothing. Polls are left out of what comes in between, since a
// newer answer about the job may replace an older one.
func TestAbsorbingACallAgainChangesNothingWhateverCameInBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyEvent(t)
		first.Kind = accounting.Closed
		r := received(t, first, requestID(first.ID)).row
		target := r.id
		seen := map[accounting.RequestID]accounting.Event{first.ID: first}
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			e := anyEvent(t)
			if e.Kind == accounting.Interrupted || e.Kind == accounting.Closed {
				if earlier, ok := seen[e.ID]; ok {
					e = earlier // a call ends once
				}
				seen[e.ID] = e
			}
			if rapid.IntRange(0, 4).Draw(t, "settled") == 0 {
				_ = settleRow(r, &accounting.Generation{ID: "gen-1", Model: "recorded", Usage: e.Usage}, later)
			}
			pure.absorb(r, received(t, e, target))
			if r.cost != nil {
				require.Truef(t, r.is(accounting.StatusSettled, accounting.StatusPending, accounting.StatusFailed), "%s with a cost", r.status)
			}
			before := *r
			pure.absorb(r, received(t, e, target))
			require.Empty(t, changed(&before, r), "the same event again")
		}
		for _, e := range seen {
			before := *r
			pure.absorb(r, received(t, e, target))
			require.Empty(t, changed(&before, r), "call %s replayed", e.ID)
		}
	})
}

func TestNoEventUnsettlesOrErases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := anyEvent(t)
		first.Kind = accounting.Closed
		r := received(t, first, requestID(first.ID)).row
		require.NoError(t, settleRow(r, &accounting.Generation{Usage: usd("7")}, later))
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			before := *r
			pure.absorb(r, received(t, anyEvent(t), r.id))
			require.EqualValues(t, accounting.StatusSettled, r.status)
			require.Equal(t, "7", r.cost.String())
			require.Nil(t, r.settleNextAt)
			for _, c := range columns {
				if !c.same(&before, &row{}) {
					require.False(t, c.same(r, &row{}), "%s was erased", c.name)
				}
			}
		}
	})
}

func TestDeltasOfAnyStepsAddUpToTheRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moved, final := newDeltas(new(book)), newDeltas(new(book))
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			first := anyEvent(t)
			first.Kind = accounting.Closed
			r := received(t, first, requestID(first.ID)).row
			moved.move(nil, r)
			for range rapid.IntRange(0, 4).Draw(t, "steps") {
				before := *r
				pure.absorb(r, received(t, anyEvent(t), r.id))
				moved.move(&before, r)
			}
			final.move(nil, r)
		}
		moved.tally()
		final.tally()
		require.Equal(t, final.changedHours(), moved.changedHours())
		for k, f := range final.hours {
			require.True(t, f.plus(-1, moved.hours[k]).isZero(), "%v: %v, want %v", k, moved.hours[k], f)
		}
		require.Equal(t, final.changedMonths(), moved.changedMonths())
		for k, cost := range final.months {
			require.True(t, cost.Equal(moved.months[k]))
		}
	})
}

func TestBYOKUpstreamCostCountsOnlyWhereItIsAdditive(t *testing.T) {
	e := closed(noon, "gen-1", "0.01")
	e.Usage.UpstreamCost = accounting.ParseCost("0.5")
	for _, byok := range []accounting.Optional[bool]{{}, accounting.Some(false), accounting.Some(true)} {
		e.Usage.IsBYOK = byok
		var g group
		g.add(1, received(t, e, requestID(e.ID)).row)
		f := g.sums()
		require.Equal(t, "0.01", f.cost.String())
		want := "0"
		if byok.Value {
			want = "0.5"
		}
		require.Equal(t, want, f.byokUpstream.String())
	}
}

func TestAnHourBelongsToItsUTCMonth(t *testing.T) {
	zone := time.FixedZone("east", 9*3600+1800)
	r := &row{createdAt: time.Date(2027, 1, 1, 9, 15, 0, 0, zone), model: "m"} // 23:45 the day before
	require.Equal(t, monthKey{2026, 12}, monthKeyOf(r))
	key := groupKeyOf(r)
	require.Equal(t, monthKey{2026, 12}, key.month())
	require.Equal(t, time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC).Unix(), key.hourKey().hour)
	require.Equal(t, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), key.finishKey().day)
}

func TestACallDoesNotVouchForTheCostThatAnotherTold(t *testing.T) {
	end := func(call int, cost string, truncated bool) accounting.Event {
		return accounting.Event{
			Kind: accounting.Closed, ID: accounting.NewRequestID(noon.Add(time.Duration(call)*time.Hour), 0, 0), KeyFingerprint: key,
			JobID: "job-1", RequestedModel: "asked", Truncated: truncated, Usage: usd(cost), Duration: time.Second,
		}
	}
	first, earlier, later := end(1, "0.01", true), end(0, "0", false), end(2, "0", true)
	r := received(t, first, requestID(first.ID)).row
	for _, e := range []accounting.Event{earlier, later, earlier} {
		pure.absorb(r, received(t, e, requestID(first.ID)))
		require.NotEqualValues(t, accounting.StatusSettled, r.status, "an answer that broke off is confirmed by OpenRouter alone")
	}
}
