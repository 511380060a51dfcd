package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestACallBecomesOneRowWithEverythingItSaid(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "0.00014")
	e.Tags = accounting.Tags{
		CampaignID: "q4", EmailID: "e1", LeadID: "l1", SequenceID: "s1", Purpose: "research",
		Platform: "instantly", LeadValue: "high", Metadata: map[string]string{"step": "1", "empty": ""},
	}
	e.JobID, e.Provider, e.FinishReason, e.Error = "job-1", "OpenAI", "stop", "content_filter"
	e.Model = "openai/gpt-4o-2024-08-06"
	e.Usage.UpstreamCost = accounting.ParseCost("0.5")
	e.Usage.IsBYOK = accounting.Some(true)
	e.Usage.PromptTokens, e.Usage.CompletionTokens = accounting.Some[int64](10), accounting.Some[int64](0)
	e.Usage.TotalTokens, e.Usage.CachedTokens = accounting.Some[int64](10), accounting.Some[int64](4)
	e.Usage.CacheWriteTokens, e.Usage.ReasoningTokens = accounting.Some[int64](2), accounting.Some[int64](1)
	e.TimeToFirstToken = accounting.Some(250 * time.Millisecond)
	e.Streamed, e.Cancelled = true, true

	shipment := ship(t, s, e)
	require.Equal(t, 1, shipment.Inserted)
	require.Len(t, shipment.Postings, 1)
	require.Equal(t, e.Tags, shipment.Postings[0].Tags)
	require.Equal(t, "0.00014", shipment.Postings[0].Amount.String())

	page, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	r := page.Rows[0]
	updated := r.UpdatedAt
	require.WithinDuration(t, time.Now(), updated, time.Minute)
	require.True(t, r.CostUSD.Equal(dec("0.00014")) && r.InlineCostUSD.Equal(dec("0.00014")))
	require.True(t, r.UpstreamInferenceCostUSD.Equal(dec("0.5")))
	r.CostUSD, r.InlineCostUSD, r.UpstreamInferenceCostUSD = nil, nil, nil
	require.Equal(t, accounting.UsageRow{
		ID: e.ID, GenerationID: new("gen-1"), CampaignID: new("q4"), EmailID: new("e1"), LeadID: new("l1"),
		SequenceID: new("s1"), Platform: new("instantly"), LeadValue: new("high"), Purpose: new("research"),
		Metadata: e.Tags.Metadata, Model: new("openai/gpt-4o-2024-08-06"), RequestedModel: new("openai/gpt-4o"),
		Provider: new("OpenAI"), Endpoint: new("/api/v1/chat/completions"), Status: accounting.StatusSettled,
		HTTPStatus: new(200), FinishReason: new("stop"),
		PromptTokens: new(int64(10)), CompletionTokens: new(int64(0)), TotalTokens: new(int64(10)),
		CachedTokens: new(int64(4)), CacheWriteTokens: new(int64(2)), ReasoningTokens: new(int64(1)),
		IsBYOK: new(true), CostSource: new(accounting.CostInline), JobID: new("job-1"), KeyFingerprint: new(key),
		DurationMS: new(int64(2000)), TimeToFirstTokenMS: new(int64(250)), Streamed: new(true), Cancelled: new(true),
		Error: new("content_filter"), CreatedAt: noon, UpdatedAt: updated,
	}, r)
	requireExactRollups(t, s)
}

func TestUnknownIsNotZero(t *testing.T) {
	s := newStore(t)
	free, unknown := closed(noon, "gen-1", "0"), closed(noon, "gen-2", "")
	shipment := ship(t, s, free, unknown)
	require.Len(t, shipment.Postings, 1, "a cost of zero is a posting, an unknown one is none")

	r := stored(t, s, free.ID)
	requireAmount(t, "0", r.cost)
	require.EqualValues(t, accounting.StatusSettled, r.status)
	require.EqualValues(t, accounting.CostInline, r.costSource)
	r = stored(t, s, unknown.ID)
	require.Nil(t, r.cost)
	require.Empty(t, r.costSource)
	require.Nil(t, r.promptTokens)
	require.EqualValues(t, accounting.StatusPending, r.status)
}

func TestEveryDigitSurvivesTheRoundTripAndTheSums(t *testing.T) {
	s := newStore(t)
	literals := []string{
		"0.000000000000000000000000000000000000000000000000000000000001",
		"5e-11", "0.1", "123456789012345678901234567890.123456789012345678901234567890", "1e20", "0.00000012345678901",
	}
	sum := decimal.Decimal{}
	for _, literal := range literals {
		e := closed(noon, "gen-"+literal, literal)
		ship(t, s, e)
		got := stored(t, s, e.ID).cost
		require.True(t, got.Equal(dec(literal)), "%s came back as %s", literal, got)
		sum = sum.Add(dec(literal))
	}
	var hourly, monthly decimal.Decimal
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT sum(cost_usd) FROM usage_hourly`).Scan(&hourly))
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT openrouter_cost FROM monthly_costs`).Scan(&monthly))
	require.Equal(t, sum.String(), hourly.String())
	require.Equal(t, sum.String(), monthly.String())
	requireExactRollups(t, s)
}

func TestAReplayChangesNothing(t *testing.T) {
	s := newStore(t)
	poll := accounting.Event{Kind: accounting.Polled, ID: callAt(noon), JobID: "job-1", HTTPStatus: 200, Usage: usd("2")}
	job := closed(noon, "", "")
	job.JobID = "job-1"
	events := []accounting.Event{closed(noon, "gen-1", "0.1"), closed(noon, "gen-2", ""), closed(noon, "", "0.3"), job, poll}
	first := ship(t, s, events...)
	require.Equal(t, 4, first.Inserted)
	require.Equal(t, 1, first.Updated)
	before := snapshot(t, s)

	second := ship(t, s, append(events, events...)...)
	require.Equal(t, accounting.Shipment{Replayed: 10}, second)
	require.Equal(t, before, snapshot(t, s))
	requireExactRollups(t, s)
}

// snapshot is everything the ledger holds, as text.
func snapshot(t *testing.T, s *Store) string {
	t.Helper()
	var all string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT concat_ws(E'\n',
		(SELECT string_agg(u::text, E'\n' ORDER BY id) FROM openrouter_usage u),
		(SELECT string_agg(g::text, E'\n' ORDER BY generation_id) FROM generations g),
		(SELECT string_agg(j::text, E'\n' ORDER BY job_id) FROM jobs j),
		(SELECT string_agg(h::text, E'\n' ORDER BY hour, campaign_id, purpose, model, platform) FROM usage_hourly h),
		(SELECT string_agg(m::text, E'\n' ORDER BY year, month) FROM monthly_costs m))`).Scan(&all))
	return all
}

func TestAnEventTwiceInOneBatchIsOneRow(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "0.1")
	shipment := ship(t, s, e, e)
	require.Equal(t, 1, shipment.Inserted)
	require.Equal(t, 1, shipment.Replayed)
	requireExactRollups(t, s)
}

func TestAClosedEventCompletesAnInterruptedRowAndNotTheOtherWayRound(t *testing.T) {
	s := newStore(t)
	closing := closed(noon, "gen-1", "0.1")
	cut := closing
	cut.Kind, cut.HTTPStatus, cut.Usage, cut.Duration, cut.GenerationID = accounting.Interrupted, 0, accounting.Usage{}, 0, ""

	require.Equal(t, 1, ship(t, s, cut).Inserted)
	require.EqualValues(t, accounting.StatusInterrupted, stored(t, s, cut.ID).status)
	require.Equal(t, 1, ship(t, s, closing).Updated)
	r := stored(t, s, closing.ID)
	require.EqualValues(t, accounting.StatusSettled, r.status)
	requireAmount(t, "0.1", r.cost)
	require.EqualValues(t, "gen-1", r.generationID)
	require.True(t, r.settleNextAt.Equal(noon.Add(2*time.Second+verifyDelay)))

	require.Equal(t, 1, ship(t, s, cut).Replayed)
	require.True(t, sameRow(r, stored(t, s, closing.ID)))
	requireExactRollups(t, s)
}

func TestAnInterruptedCallWithAnIDIsPendingAndDueAtOnce(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "")
	e.Kind, e.Duration, e.HTTPStatus = accounting.Interrupted, 0, 0
	ship(t, s, e)
	r := stored(t, s, e.ID)
	require.EqualValues(t, accounting.StatusPending, r.status)
	require.True(t, r.settleNextAt.Equal(noon.Add(firstLookup)))
}

func TestARowGoesIntoTheQueueOnlyIfThereIsSomethingToAskBy(t *testing.T) {
	s := newStore(t)
	end := noon.Add(2 * time.Second)
	job := closed(noon, "", "")
	job.JobID = "job-1"
	refused := closed(noon, "", "")
	refused.HTTPStatus = 400
	for _, c := range []struct {
		about  string
		event  accounting.Event
		status accounting.Status
		due    time.Time
	}{
		{"no cost", closed(noon, "gen-1", ""), accounting.StatusPending, end.Add(firstLookup)},
		{"a job", job, accounting.StatusPending, end.Add(firstLookup)},
		{"a cost to verify", closed(noon, "gen-2", "1"), accounting.StatusSettled, end.Add(verifyDelay)},
		{"a cost without an id", closed(noon, "", "1"), accounting.StatusSettled, time.Time{}},
		{"an error", refused, accounting.StatusFailed, time.Time{}},
		{"nothing", closed(noon, "", ""), accounting.StatusUnresolved, time.Time{}},
	} {
		t.Run(c.about, func(t *testing.T) {
			ship(t, s, c.event)
			r := stored(t, s, c.event.ID)
			require.EqualValues(t, c.status, r.status)
			if c.due.IsZero() {
				require.Nil(t, r.settleNextAt)
			} else {
				require.True(t, r.settleNextAt.Equal(c.due), "due at %s, want %s", r.settleNextAt, c.due)
			}
		})
	}
}

func TestAGenerationIsOneRowWhicheverCallReturnsIt(t *testing.T) {
	for _, together := range []bool{true, false} {
		s := newStore(t)
		one, two := closed(noon, "gen-1", "0.1"), closed(noon.Add(time.Hour), "gen-1", "0.2")
		two.Tags.CampaignID, two.Tags.LeadID, two.Tags.Purpose = "q5", "l1", ""
		if together {
			ship(t, s, one, two)
		} else {
			ship(t, s, one)
			require.Equal(t, 1, ship(t, s, two).Updated)
		}
		require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
		r := stored(t, s, one.ID)
		requireAmount(t, "0.2", r.cost)
		require.EqualValues(t, "q5", r.campaignID)
		require.EqualValues(t, "l1", r.leadID)
		require.EqualValues(t, "follow_up", r.purpose, "what the newer call does not know stays")
		require.Equal(t, 3, ship(t, s, one, two, one).Replayed)
		require.True(t, sameRow(r, stored(t, s, one.ID)))
		requireExactRollups(t, s)
	}
}

func TestAPollCompletesItsJob(t *testing.T) {
	s := newStore(t)
	job := closed(noon, "gen-job", "")
	job.JobID, job.HTTPStatus = "job-1", 202
	poll := accounting.Event{
		Kind: accounting.Polled, ID: callAt(noon.Add(time.Minute)), JobID: "job-1", HTTPStatus: 200,
		Tags: accounting.Tags{CampaignID: "of the poll"},
	}
	running, done, late := poll, poll, poll
	done.Usage, done.Model = usd("1.25"), "google/veo-3"
	late.Usage = usd("1.25")

	shipment := ship(t, s, running, done, job) // rows come before polls
	require.Equal(t, []int{1, 1, 1}, []int{shipment.Inserted, shipment.Updated, shipment.Replayed})
	require.Equal(t, 1, ship(t, s, late).Replayed)
	r := stored(t, s, job.ID)
	require.EqualValues(t, accounting.StatusSettled, r.status)
	requireAmount(t, "1.25", r.cost)
	require.EqualValues(t, accounting.CostInline, r.costSource)
	require.EqualValues(t, "google/veo-3", r.model)
	require.EqualValues(t, "q4", r.campaignID)
	require.EqualValues(t, 202, *r.httpStatus)
	require.True(t, r.settleNextAt.Equal(noon.Add(2*time.Second+verifyDelay)))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
	requireExactRollups(t, s)
}

func TestAPollOfAnUnknownJobIsGivenBack(t *testing.T) {
	s := newStore(t)
	poll := accounting.Event{Kind: accounting.Polled, ID: callAt(noon), JobID: "job-9", GenerationID: "gen-9", HTTPStatus: 200, Usage: usd("1")}
	shipment := ship(t, s, poll, closed(noon, "gen-1", "0.1"))
	require.Equal(t, []accounting.Event{poll}, shipment.Orphans)
	require.Equal(t, 1, shipment.Inserted)
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM generations`))
}

func TestAJobFailsByItsOwnErrorAndNotByThatOfAPoll(t *testing.T) {
	s := newStore(t)
	job := closed(noon, "", "")
	job.JobID = "job-1"
	ship(t, s, job)
	poll := accounting.Event{Kind: accounting.Polled, ID: callAt(noon), JobID: "job-1"}

	limited := poll
	limited.HTTPStatus, limited.Error = 429, "rate_limited"
	require.Equal(t, 1, ship(t, s, limited).Replayed)
	require.EqualValues(t, accounting.StatusPending, stored(t, s, job.ID).status)

	failed := poll
	failed.HTTPStatus, failed.Error = 200, "failed"
	require.Equal(t, 1, ship(t, s, failed).Updated)
	r := stored(t, s, job.ID)
	require.EqualValues(t, accounting.StatusFailed, r.status)
	require.EqualValues(t, "failed", r.error)
	require.Nil(t, r.settleNextAt)
	require.Equal(t, 2, ship(t, s, job, failed).Replayed)
	requireExactRollups(t, s)
}

func TestACallThatTouchesAJobOfAnotherMakesNoSecondRow(t *testing.T) {
	s := newStore(t)
	job := closed(noon, "", "")
	job.JobID, job.Endpoint = "job-1", "/api/v1/batches"
	cancel := closed(noon.Add(time.Minute), "", "")
	cancel.JobID, cancel.Endpoint = "job-1", "/api/v1/batches/job-1/cancel"
	ship(t, s, job)
	ship(t, s, cancel)
	require.Nil(t, stored(t, s, cancel.ID))
	require.EqualValues(t, "/api/v1/batches", stored(t, s, job.ID).endpoint)
}

func TestWhatUpstreamSendsCannotHoldUpTheLedger(t *testing.T) {
	s := newStore(t)
	huge := strings.Repeat("é", 100_000)
	e := closed(noon, "gen-\x00"+huge, "1")
	e.Model, e.Provider, e.FinishReason, e.Error, e.Endpoint = huge, "a\x00b\xff", huge, huge, huge
	e.Tags = accounting.Tags{CampaignID: huge, EmailID: huge, LeadID: huge, Purpose: huge, Platform: huge, Metadata: map[string]string{"a\x00": "\xff\x00"}}
	e.Usage.PromptTokens = accounting.Some[int64](9e18)
	e.Usage.TotalTokens = accounting.Some[int64](-1)
	ship(t, s, e)
	ship(t, s, e, closed(noon, "gen-2", "1"))
	r := stored(t, s, e.ID)
	require.EqualValues(t, "ab\uFFFD", r.provider)
	require.Equal(t, metadata{"a": "\uFFFD"}, r.metadata)
	require.Nil(t, r.promptTokens)
	require.Nil(t, r.totalTokens)
	require.True(t, strings.HasPrefix(huge, string(r.model)))
	requireExactRollups(t, s)
}

func TestAnEventThatIsNotForTheLedgerIsAnError(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "1")
	e.Kind = accounting.Opened
	_, err := s.Ship(t.Context(), []accounting.Event{closed(noon, "gen-2", "1"), e})
	require.ErrorContains(t, err, "event of kind 1")
	require.Zero(t, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
}

func TestTheModelIsUnknownOnlyIfNeitherIsKnown(t *testing.T) {
	s := newStore(t)
	served, asked, neither := closed(noon, "", "1"), closed(noon, "", "1"), closed(noon, "", "1")
	asked.Model = ""
	neither.Model, neither.RequestedModel = "", ""
	served.Model = "served"
	ship(t, s, served, asked, neither)
	require.EqualValues(t, "served", stored(t, s, served.ID).model)
	require.EqualValues(t, "openai/gpt-4o", stored(t, s, asked.ID).model)
	require.EqualValues(t, "unknown", stored(t, s, neither.ID).model)
}
