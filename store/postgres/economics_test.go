package postgres

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// forLead is a call for a lead of campaign q4.
func forLead(at time.Time, lead, generation, cost string) accounting.Event {
	e := closed(at, generation, cost)
	e.Tags.LeadID = lead
	return e
}

func record(t testing.TB, s *Store, list ...accounting.CampaignActivity) []accounting.RecordedActivity {
	t.Helper()
	recorded, err := s.RecordActivities(t.Context(), list)
	require.NoError(t, err)
	return recorded
}

func happened(kind accounting.ActivityType, lead string, at time.Time) accounting.CampaignActivity {
	return accounting.CampaignActivity{Type: kind, CampaignID: "q4", LeadID: lead, OccurredAt: at}
}

func TestALeadIsFollowedFromItsFirstCallToItsMeeting(t *testing.T) {
	s := newStore(t)
	ship(t, s, forLead(noon, "ada", "gen-1", "0.01"), forLead(noon.Add(time.Minute), "ada", "gen-2", "0.02"), forLead(noon, "bob", "gen-3", "0.04"))
	record(t, s, happened(accounting.EmailSent, "ada", noon.Add(time.Hour)), happened(accounting.EmailSent, "ada", noon.Add(48*time.Hour)),
		happened(accounting.MeetingBooked, "ada", noon.Add(50*time.Hour)))

	var calls, emails, meetings int64
	var processed, sent, converted time.Time
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT calls, emails_sent, meetings, processed_at, sent_at, converted_at
		FROM lead_processing_costs WHERE lead_id = 'ada' AND campaign_id = 'q4' AND cost_usd = 0.03`).
		Scan(&calls, &emails, &meetings, &processed, &sent, &converted))
	require.Equal(t, []int64{2, 2, 1}, []int64{calls, emails, meetings})
	require.Equal(t, []time.Time{noon, noon.Add(time.Hour), noon.Add(50 * time.Hour)}, []time.Time{processed.UTC(), sent.UTC(), converted.UTC()})

	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM lead_daily WHERE day = '2026-11-22' AND campaign_id = 'q4'
		AND leads = 2 AND sent_leads = 1 AND converted_leads = 1 AND cost_usd = 0.07 AND unsent_leads = 1 AND unsent_usd = 0.04`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM monthly_costs WHERE emails_sent = 2 AND meetings_booked = 1`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM lead_processing_efficiency
		WHERE campaign_id = 'q4' AND processed_leads = 2 AND sent_leads = 1 AND emails_sent = 2 AND send_rate = 0.5 AND conversion_rate = 0.5`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM monthly_lead_costs WHERE year = 2026 AND month = 11 AND processed_leads = 2`))
	requireExactRollups(t, s)
}

func TestAnActivityIsCountedOnceAndCanBeReversed(t *testing.T) {
	s := newStore(t)
	ship(t, s, forLead(noon, "ada", "gen-1", "0.01"))
	sent := happened(accounting.EmailSent, "ada", noon)
	sent.ID = "msg-1"
	first := record(t, s, sent, sent)
	require.True(t, first[0].New)
	require.Equal(t, accounting.MonthOf(noon), first[0].Booked)
	again := record(t, s, sent)
	require.Equal(t, accounting.RecordedActivity{ID: "msg-1", New: false, Booked: accounting.MonthOf(noon)}, again[0])
	later := happened(accounting.EmailSent, "ada", noon.Add(time.Hour))
	record(t, s, later)

	reversed, err := s.ReverseActivity(t.Context(), "msg-1", "admin token")
	require.NoError(t, err)
	require.Equal(t, accounting.EmailSent, reversed.Type)
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM lead_processing_costs WHERE emails_sent = 1 AND sent_at = '2026-11-22 13:00Z'`))
	require.EqualValues(t, 1, count1(t, s, `SELECT emails_sent FROM monthly_costs`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM audit_log WHERE action = 'activity.reverse' AND subject = 'activities/msg-1'`))
	_, err = s.ReverseActivity(t.Context(), "msg-1", "admin token")
	require.ErrorIs(t, err, accounting.ErrUnknownActivity)
	require.False(t, record(t, s, sent)[0].New, "a reversed activity does not come back by being sent again")
	requireExactRollups(t, s)
}

func TestAnActivityOfAClosedMonthIsBookedInThePresentOne(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon.AddDate(0, 2, 0) }
	ship(t, s, forLead(noon, "ada", "gen-1", "0.01"))
	_, err := s.CloseMonth(t.Context(), accounting.MonthOf(noon), "loopback", s.now())
	require.NoError(t, err)
	late := happened(accounting.EmailSent, "ada", noon)
	late.ID = "late"
	require.Equal(t, "2027-01", record(t, s, late)[0].Booked.String())
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM monthly_costs WHERE year = 2027 AND month = 1 AND emails_sent = 1`))
	require.EqualValues(t, 0, count1(t, s, `SELECT emails_sent FROM monthly_costs WHERE year = 2026`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count FROM activity_daily WHERE day = '2026-11-22'`), "of the days it keeps its own")
	_, err = s.ReverseActivity(t.Context(), "late", "loopback")
	require.NoError(t, err)
	require.EqualValues(t, 0, count1(t, s, `SELECT emails_sent FROM monthly_costs WHERE year = 2027`))
	requireExactRollups(t, s)
}

func TestEveryDraftButTheLastIsWaste(t *testing.T) {
	s := newStore(t)
	write := func(minute int, generation, cost, purpose string) accounting.Event {
		e := forLead(noon.Add(time.Duration(minute)*time.Minute), "ada", generation, cost)
		e.Tags.EmailID, e.Tags.Purpose = "mail-1", purpose
		return e
	}
	ship(t, s, write(2, "gen-2", "0.02", "email_generation"))
	ship(t, s, write(3, "gen-3", "0.04", "email_generation"), write(1, "gen-1", "0.01", "email_generation"), write(4, "gen-4", "0.5", "subject_line"))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM waste_daily WHERE kind = 'redrafted' AND calls = 2 AND cost_usd = 0.03`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM lead_processing_costs WHERE cost_usd = 0.57 AND wasted_usd = 0.03`))
	requireExactRollups(t, s)

	// The last draft turns out to have been cut off: the one before is used.
	cut := write(9, "gen-9", "0.08", "email_generation")
	cut.FinishReason = "length"
	ship(t, s, cut)
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM waste_daily WHERE kind = 'truncated' AND cost_usd = 0.08`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM waste_daily WHERE kind = 'redrafted' AND cost_usd = 0.03`))
	requireExactRollups(t, s)
}

func TestThePublishedEconomicsQueryIsTheOneThatIsTested(t *testing.T) {
	published, err := os.ReadFile("../../docs/queries/economics.sql")
	require.NoError(t, err)
	require.Equal(t, string(published), checkEconomicsSQL)
}

// atMost lets rapid try fewer cases than it would, where each takes a database
// some tenths of a second.
func atMost(t *testing.T, checks int) {
	t.Helper()
	checksFlag := flag.Lookup("rapid.checks")
	before := checksFlag.Value.String()
	if n, err := strconv.Atoi(before); err != nil || n <= checks {
		return
	}
	require.NoError(t, checksFlag.Value.Set(strconv.Itoa(checks)))
	t.Cleanup(func() { require.NoError(t, checksFlag.Value.Set(before)) })
}

func TestWhateverHappensTheSumsEqualTheRows(t *testing.T) {
	s := newStore(t)
	round := 0
	atMost(t, 25)
	rapid.Check(t, func(rt *rapid.T) {
		round++
		pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(rt, label) }
		generations := rapid.IntRange(1, 5).Draw(rt, "generations")
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			var batch []accounting.Event
			for range rapid.IntRange(1, 5).Draw(rt, "calls") {
				e := closed(noon.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "minute"))*time.Minute),
					fmt.Sprintf("gen-%d-%d", round, rapid.IntRange(1, generations).Draw(rt, "generation")), pick("cost", "", "0", "0.1", "0.03"))
				e.Tags = accounting.Tags{CampaignID: pick("campaign", "", "a", "b"), LeadID: pick("lead", "", "l1", "l2"), EmailID: pick("email", "", "e1", "e2"),
					SequenceID: pick("sequence", "", "s1"), Purpose: pick("purpose", "", "email_generation"), Platform: pick("platform", "", "instantly")}
				e.FinishReason, e.Error = pick("finish", "", "stop", "length"), pick("error", "", "", "", "provider_unavailable")
				e.Cancelled = rapid.Bool().Draw(rt, "cancelled")
				if rapid.IntRange(0, 4).Draw(rt, "interrupted") == 0 {
					cut := e
					cut.Kind, cut.Usage, cut.FinishReason = accounting.Interrupted, accounting.Usage{}, ""
					ship(t, s, cut)
				}
				batch = append(batch, e)
			}
			ship(t, s, batch...)
			a := happened(rapid.SampledFrom(accounting.ActivityTypes()).Draw(rt, "activity"), pick("whose", "", "l1", "l2"), noon)
			a.CampaignID, a.ID = pick("of", "", "a", "b"), fmt.Sprintf("a-%d-%d", round, rapid.IntRange(0, 3).Draw(rt, "id"))
			record(t, s, a)
			if rapid.IntRange(0, 3).Draw(rt, "reverse") == 0 {
				_, err := s.ReverseActivity(t.Context(), a.ID, "test")
				if err != nil {
					require.ErrorIs(t, err, accounting.ErrUnknownActivity)
				}
			}
		}
		claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{Now: noon.Add(1000 * time.Hour), Fingerprints: []string{key}, Missing: true, Limit: 3, Lease: time.Hour})
		require.NoError(t, err)
		for _, u := range claimed {
			_, err := s.Settle(t.Context(), u, accounting.Generation{ID: u.GenerationID, Usage: usd("0.07"), FinishReason: pick("settled", "", "length")}, noon)
			require.NoError(t, err)
		}
		requireExactRollups(t, s)
	})
}

func TestCountingAnewComesToTheSame(t *testing.T) {
	s := newStore(t)
	ship(t, s, randomCalls(60)...)
	record(t, s, happened(accounting.EmailSent, "l1", noon), happened(accounting.Bounced, "l2", noon), happened(accounting.MeetingBooked, "stranger", noon))
	requireExactRollups(t, s)
	before := economicsTables(t, s)
	require.NoError(t, s.RecountEconomics(t.Context()))
	requireExactRollups(t, s)
	require.Equal(t, before, economicsTables(t, s))

	// What an older Bursar recorded is not counted, until it is counted anew.
	_, err := s.pool.Exec(t.Context(), `DELETE FROM usage_daily; DELETE FROM lead_daily; DELETE FROM email_costs; UPDATE lead_processing_costs SET cost_usd = 9`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	require.NoError(t, s.RecountEconomics(t.Context()))
	require.Equal(t, before, economicsTables(t, s))
}

func TestCallsFromBeforeTheMigrationAreCountedByIt(t *testing.T) {
	s := emptyStore(t)
	all, err := migrations()
	require.NoError(t, err)
	for _, m := range all[:7] {
		require.NoError(t, s.migrate(t.Context(), m))
	}
	_, err = s.pool.Exec(t.Context(), `INSERT INTO openrouter_usage (id, created_at, model, status, cost_usd, inline_cost_usd, cost_source, lead_id, email_id, campaign_id)
		VALUES (gen_random_uuid(), '2026-11-22 12:00Z', 'm', 'settled', 0.5, 0.5, 'inline', 'ada', 'mail', 'q4')`)
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM lead_processing_costs WHERE lead_id = 'ada' AND cost_usd = 0.5`))
	differences, err := s.CheckRollups(t.Context())
	require.NoError(t, err)
	for _, d := range differences {
		require.Contains(t, []string{"usage_hourly", "monthly_costs"}, d.Rollup, "%+v", d)
	}
}

// economicsTables are the tables of sums, as text, without when they changed.
func economicsTables(t *testing.T, s *Store) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"usage_daily", "finish_daily", "waste_daily", "lead_daily", "activity_daily", "model_lead_daily", "model_meeting_daily", "lead_models",
		"lead_processing_costs", "email_costs", "sequence_costs"} {
		var rows string
		require.NoError(t, s.pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT coalesce(string_agg(r, E'\n' ORDER BY r), '') FROM (
			SELECT (SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' THEN to_jsonb(trim_scale((value #>> '{}')::numeric)) ELSE value END)
				FROM jsonb_each(to_jsonb(t) - 'updated_at'))::text AS r FROM %s t) rows`, table)).Scan(&rows))
		fmt.Fprintf(&all, "%s\n%s\n", table, rows)
	}
	return all.String()
}
