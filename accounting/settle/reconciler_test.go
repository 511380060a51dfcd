package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const (
	manager = "sk-or-v1-manager"
	ownKey  = "sk-or-v1-own"
)

var (
	own   = accounting.Fingerprint(ownKey)
	today = accounting.DayOf(time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)) // of a bubble's second day
)

// reconciliationBook is the database of reconciliations: it claims and keeps
// rows as promised.
type reconciliationBook struct {
	mu       sync.Mutex
	spend    map[accounting.Day][]accounting.ModelSpend
	window   map[string]accounting.WindowSpend // by key
	samples  []accounting.Sample
	suspects []accounting.Suspect
	first    accounting.Day

	rows    map[string]accounting.Reconciliation
	saves   map[accounting.Day]int
	claims  map[accounting.Day]time.Time // until; the zero time: finished
	tries   map[accounting.Day]int
	spendIn []string // from and to of each window
	err     error
}

func newReconciliationBook() *reconciliationBook {
	return &reconciliationBook{
		spend: map[accounting.Day][]accounting.ModelSpend{}, window: map[string]accounting.WindowSpend{},
		rows: map[string]accounting.Reconciliation{}, saves: map[accounting.Day]int{},
		claims: map[accounting.Day]time.Time{}, tries: map[accounting.Day]int{}, first: today.Add(-1),
	}
}

func (b *reconciliationBook) DaySpend(_ context.Context, day accounting.Day) ([]accounting.ModelSpend, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spend[day], b.err
}

func (b *reconciliationBook) WindowSpend(_ context.Context, from, to time.Time, fingerprint string) (accounting.WindowSpend, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spendIn = append(b.spendIn, from.Format(time.TimeOnly)+" "+to.Format(time.TimeOnly))
	return b.window[fingerprint], b.err
}

func (b *reconciliationBook) Suspects(context.Context, accounting.SuspectFilter) ([]accounting.Suspect, error) {
	return b.suspects, nil
}

func (b *reconciliationBook) Samples(_ context.Context, from, to time.Time) ([]accounting.Sample, error) {
	var found []accounting.Sample
	for _, s := range b.samples {
		if !s.TakenAt.Before(from) && !s.TakenAt.After(to) {
			found = append(found, s)
		}
	}
	return found, nil
}

func rowKey(c accounting.Reconciliation) string {
	return fmt.Sprint(c.Day, " ", c.Source, " ", c.KeyFingerprint)
}

func (b *reconciliationBook) SaveReconciliations(_ context.Context, list []accounting.Reconciliation) (news []accounting.Reconciliation, err error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range list {
		if b.rows[rowKey(c)].Verdict != accounting.VerdictDiffers && c.Verdict == accounting.VerdictDiffers {
			news = append(news, c)
		}
		b.rows[rowKey(c)] = c
	}
	b.saves[list[0].Day]++
	return news, b.err
}

func (b *reconciliationBook) LatestReconciliations(context.Context) ([]accounting.Reconciliation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	latest := map[accounting.Source]accounting.Day{}
	for _, c := range b.rows {
		if day, seen := latest[c.Source]; c.Verdict != accounting.VerdictUnavailable && (!seen || day.Before(c.Day)) {
			latest[c.Source] = c.Day
		}
	}
	var all []accounting.Reconciliation
	for _, c := range b.rows {
		if day, seen := latest[c.Source]; seen && day == c.Day && c.Verdict != accounting.VerdictUnavailable {
			all = append(all, c)
		}
	}
	return all, nil
}

func (b *reconciliationBook) DaysToReconcile(_ context.Context, since, until accounting.Day, now time.Time) ([]accounting.Day, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	var days []accounting.Day
	for day := since; !until.Before(day); day = day.Add(1) {
		if end, claimed := b.claims[day]; !day.Before(b.first) && (!claimed || !end.IsZero() && !now.Before(end)) {
			days = append(days, day)
		}
	}
	return days, b.err
}

func (b *reconciliationBook) ClaimDay(_ context.Context, day accounting.Day, now, until time.Time) (int, bool, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	if end, claimed := b.claims[day]; claimed && (end.IsZero() || now.Before(end)) {
		return 0, false, b.err
	}
	b.claims[day] = until
	b.tries[day]++
	return b.tries[day], true, b.err
}

func (b *reconciliationBook) ReleaseDay(_ context.Context, day accounting.Day, next, _ time.Time) error {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims[day] = next
	return b.err
}

// row is the row of a day, source and key.
func (b *reconciliationBook) row(t *testing.T, day accounting.Day, source accounting.Source, key string) accounting.Reconciliation {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.rows[fmt.Sprint(day, " ", source, " ", key)]
	require.True(t, ok, "no row %s %s %q", day, source, key)
	return c
}

// fakeActivity answers with the lines of a key; "" is the account.
type fakeActivity struct {
	mu    sync.Mutex
	lines map[string][]accounting.Activity
	errs  map[string]error
	asked []string
}

func (a *fakeActivity) Activity(_ context.Context, key string, day accounting.Day, fingerprint string) ([]accounting.Activity, error) {
	meet()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, day.String())
	if key != manager {
		return nil, errors.New("not the management key")
	}
	return a.lines[fingerprint], a.errs[fingerprint]
}

func line(cost string, requests int64) []accounting.Activity {
	return []accounting.Activity{{Model: "m", Permaslug: "m", Usage: usd(cost), Requests: requests}}
}

func ourSpend(key, cost string, calls int64) accounting.ModelSpend {
	return accounting.ModelSpend{KeyFingerprint: key, Model: "m", Spend: accounting.Spend{Cost: usd(cost), Calls: calls}}
}

// reconciling is a reconciler among fakes.
type reconciling struct {
	*Reconciler
	book     *reconciliationBook
	activity *fakeActivity
	log      *logBook
	reg      *prometheus.Registry
}

func newReconciling(t *testing.T, change func(*ReconcilerOptions)) *reconciling {
	t.Helper()
	r := &reconciling{book: newReconciliationBook(), activity: &fakeActivity{lines: map[string][]accounting.Activity{}, errs: map[string]error{}},
		log: new(logBook), reg: prometheus.NewRegistry()}
	o := ReconcilerOptions{
		Enabled: true, Books: r.book, Findings: r.book, Days: r.book, Activity: r.activity, ManagementKey: manager, InjectedKey: ownKey,
		Tolerance: usd("0.1"), MaxKeys: 10, Registerer: r.reg, Logger: r.log.logger(),
	}
	if change != nil {
		change(&o)
	}
	var err error
	r.Reconciler, err = NewReconciler(o)
	require.NoError(t, err)
	return r
}

// at has the reconciler live at that time; without a bubble.
func at(now time.Time) func(*ReconcilerOptions) {
	return func(o *ReconcilerOptions) { o.Now = func() time.Time { return now } }
}

func TestADayIsComparedWithEveryKeyAndTheAccount(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 2), ourSpend("fp-2", "3", 1)}
	r.activity.lines = map[string][]accounting.Activity{own: line("1.5", 3), "fp-2": line("3", 1), "": line("6.5", 9)}
	list, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	require.Len(t, list, 6, "two keys and the account; of their running figures, that there is none")

	mine := r.book.row(t, today, accounting.SourceActivity, own)
	assert.Equal(t, accounting.VerdictDiffers, mine.Verdict)
	assert.Equal(t, "0.5", mine.DarkSpendUSD.String())
	assert.Equal(t, accounting.VerdictAgrees, r.book.row(t, today, accounting.SourceActivity, "fp-2").Verdict)
	whole := r.book.row(t, today, accounting.SourceActivity, "")
	assert.Equal(t, "2.5", whole.DifferenceUSD.String())
	assert.Equal(t, "2", whole.OtherKeysUSD.String(), "spent by keys that we do not know")
	assert.Equal(t, "0.5", whole.DarkSpendUSD.String())
	assert.EqualValues(t, 1, *whole.DarkCalls)
	assert.Equal(t, accounting.VerdictDiffers, whole.Verdict)
	assert.Equal(t, accounting.VerdictUnavailable, r.book.row(t, today, accounting.SourceCredits, "").Verdict)
	assert.Contains(t, r.book.row(t, today, accounting.SourceKey, own).Reason, "no sample")
	assert.Equal(t, 2, r.log.lines("differ by more than the tolerance"))
	assert.NotContains(t, r.log.String(), manager)

	_, err = r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	assert.Equal(t, 2, r.log.lines("differ by more than the tolerance"), "it is no news the second time")
}

func TestTheInjectedKeyIsComparedOnADayWithoutCalls(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.activity.lines = map[string][]accounting.Activity{own: line("0.5", 1), "": line("0.5", 1)}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	assert.Equal(t, "0.5", r.book.row(t, today, accounting.SourceActivity, own).DarkSpendUSD.String())
}

func TestKeysOfAnotherAccountAreSetAside(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 1), ourSpend("foreign", "7", 1), ourSpend("", "0", 1)}
	r.activity.lines = map[string][]accounting.Activity{own: line("1", 1), "": line("1", 1)}
	r.book.window = map[string]accounting.WindowSpend{
		"": {Spend: accounting.Spend{Cost: usd("8")}}, "foreign": {Spend: accounting.Spend{Cost: usd("7")}},
	}
	credits := accounting.Sampled{Source: accounting.SourceCredits}
	r.book.samples = []accounting.Sample{
		{Sampled: credits, TakenAt: today.Start(), Usage: usd("10")}, {Sampled: credits, TakenAt: today.End(), Usage: usd("11")},
	}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	foreign := r.book.row(t, today, accounting.SourceActivity, "foreign")
	assert.Equal(t, accounting.VerdictUnavailable, foreign.Verdict)
	assert.Contains(t, foreign.Reason, "belongs to another")
	assert.Equal(t, "7", foreign.OursUSD.String())
	assert.Equal(t, accounting.VerdictAgrees, r.book.row(t, today, accounting.SourceActivity, "").Verdict)
	assert.Equal(t, accounting.VerdictAgrees, r.book.row(t, today, accounting.SourceCredits, "").Verdict)
}

func TestAnActivityThatKnowsNoneOfOurKeysIsNoExcuse(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 1), ourSpend("fp-2", "7", 1)}
	r.activity.lines = map[string][]accounting.Activity{"": line("80", 10)}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	for _, key := range []string{own, "fp-2", ""} {
		c := r.book.row(t, today, accounting.SourceActivity, key)
		assert.Equal(t, accounting.VerdictDiffers, c.Verdict, key)
		assert.Nil(t, c.OtherKeysUSD)
	}
}

func TestTheDearestKeysAreComparedAndTheRestIsNotGuessed(t *testing.T) {
	r := newReconciling(t, func(o *ReconcilerOptions) { at(today.End().Add(time.Hour))(o); o.MaxKeys = 1 })
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 1), ourSpend("dear", "7", 1)}
	r.activity.lines = map[string][]accounting.Activity{"dear": line("7", 1), "": line("8", 2)}
	list, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	assert.False(t, slices.ContainsFunc(list, func(c accounting.Reconciliation) bool {
		return c.Source == accounting.SourceActivity && c.KeyFingerprint == own
	}))
	whole := r.book.row(t, today, accounting.SourceActivity, "")
	assert.Nil(t, whole.OtherKeysUSD)
	assert.Equal(t, accounting.VerdictAgrees, whole.Verdict)
}

func TestWithoutAKeyThatMayTheVerdictSaysSo(t *testing.T) {
	r := newReconciling(t, func(o *ReconcilerOptions) { at(today.End().Add(time.Hour))(o); o.ManagementKey, o.InjectedKey = "", "" })
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 1)}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	for _, source := range []accounting.Source{accounting.SourceActivity, accounting.SourceCredits} {
		c := r.book.row(t, today, source, "")
		assert.Equal(t, accounting.VerdictUnavailable, c.Verdict)
		assert.Contains(t, c.Reason, "OPENROUTER_MANAGEMENT_KEY")
		assert.Equal(t, "1", c.OursUSD.String())
	}
	assert.Empty(t, r.activity.asked)
}

func TestDaysThatOpenRouterDoesNotHaveAreNotAskedFor(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(39*time.Minute)))
	for day, says := range map[accounting.Day]string{today: "not complete; ask after 2000-01-03T00:40:00Z", today.Add(1): "not complete", today.Add(-30): "last 30 days"} {
		_, err := r.Reconcile(t.Context(), day, day)
		require.NoError(t, err)
		c := r.book.row(t, day, accounting.SourceActivity, "")
		assert.Equal(t, accounting.VerdictUnavailable, c.Verdict)
		assert.Contains(t, c.Reason, says)
	}
	assert.Equal(t, "The day is not over.", r.book.row(t, today.Add(1), accounting.SourceKey, own).Reason)
	assert.Empty(t, r.activity.asked)
	_, err := r.Reconcile(t.Context(), today.Add(-29), today.Add(-28))
	require.NoError(t, err)
	assert.Len(t, r.activity.asked, 4)
}

func TestARefusalIsSaidInTheVerdictWithoutKeys(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.activity.errs = map[string]error{
		own: &accounting.LookupError{Status: 403}, "": fmt.Errorf("dial %s: refused", manager),
	}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	assert.Contains(t, r.book.row(t, today, accounting.SourceActivity, own).Reason, "403")
	assert.Equal(t, "OpenRouter could not be asked.", r.book.row(t, today, accounting.SourceActivity, "").Reason)
}

func TestRunningFiguresAreComparedOverTheWindowBetweenTheirSamples(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	of := accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: own}
	r.book.samples = []accounting.Sample{
		{Sampled: of, TakenAt: today.Start().Add(3 * time.Minute), Usage: usd("10")},
		{Sampled: of, TakenAt: today.End().Add(-2 * time.Minute), Usage: usd("11")},
	}
	r.book.window[own] = accounting.WindowSpend{Spend: accounting.Spend{Cost: usd("0.5"), Calls: 1}}
	_, err := r.Reconcile(t.Context(), today, today)
	require.NoError(t, err)
	c := r.book.row(t, today, accounting.SourceKey, own)
	assert.Equal(t, accounting.VerdictDiffers, c.Verdict)
	assert.Equal(t, "0.5", c.DarkSpendUSD.String())
	assert.Equal(t, []string{"00:03:00 23:58:00"}, r.book.spendIn)
}

// run lets replicas run in a bubble, which begins at 2000-01-01 00:00 UTC.
func (r *reconciling) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestEachDayIsReconciledOnceAfterItIsCompleteOverAllReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newReconciling(t, nil)
		other := newReconciling(t, func(o *ReconcilerOptions) {
			o.Books, o.Findings, o.Days, o.Activity = r.book, r.book, r.book, r.activity
		})
		r.book.first = today.Add(-1) // the day on which the bubble begins
		defer r.run()()
		defer other.run()()
		pass(24*time.Hour + 39*time.Minute)
		assert.Empty(t, r.book.saves, "OpenRouter's day is not complete")
		pass(7 * time.Minute)
		assert.Equal(t, map[accounting.Day]int{today.Add(-1): 1}, r.book.saves)
		pass(3 * 24 * time.Hour)
		assert.Equal(t, map[accounting.Day]int{today.Add(-1): 1, today: 1, today.Add(1): 1, today.Add(2): 1}, r.book.saves)
		assert.Equal(t, float64(today.Add(2).Start().Unix()), metric(t, other.reg, "bursar_reconciliation_day_timestamp_seconds", "source", "activity"))
	})
}

func TestMissedDaysAreMadeUpForAsFarAsOpenRouterKeepsThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newReconciling(t, nil)
		r.book.first = today.Add(-100)
		defer r.run()()
		pass(time.Hour)
		assert.Len(t, r.book.saves, 30)
		assert.Equal(t, 1, r.book.saves[today.Add(-31)])
	})
}

func TestADayWithOpenCallsIsLookedAtAgainForThreeDays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newReconciling(t, nil)
		yesterday := today.Add(-2)
		r.book.first = yesterday
		r.book.spend[yesterday] = []accounting.ModelSpend{{KeyFingerprint: own, Model: "m", Spend: accounting.Spend{Calls: 1, OpenCalls: 1}}}
		defer r.run()()
		pass(2 * time.Hour)
		assert.Equal(t, 1, r.book.saves[yesterday])
		pass(10 * 24 * time.Hour)
		assert.Equal(t, 4, r.book.saves[yesterday], "at 40 minutes, and daily until 72 hours are over")
	})
}

func TestOpenRoutersTroubleIsTriedAgainAndTheDatabasesToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newReconciling(t, nil)
		yesterday := today.Add(-2)
		r.book.first = yesterday
		r.activity.errs[""] = &accounting.LookupError{Status: 502}
		defer r.run()()
		pass(3 * time.Hour)
		assert.Greater(t, r.book.saves[yesterday], 2)
		assert.Less(t, r.book.saves[yesterday], 8)
		assert.Equal(t, "OpenRouter answered 502.", r.book.row(t, yesterday, accounting.SourceActivity, "").Reason)
		r.activity.mu.Lock()
		r.activity.errs = nil
		r.activity.mu.Unlock()
		pass(12 * time.Hour)
		assert.Equal(t, accounting.VerdictAgrees, r.book.row(t, yesterday, accounting.SourceActivity, "").Verdict)
		done := r.book.saves[yesterday]

		r.book.mu.Lock()
		r.book.err = errors.New("connection refused")
		r.book.mu.Unlock()
		pass(24 * time.Hour)
		assert.Equal(t, 1, r.log.lines("trouble with reconciling"))
		r.book.mu.Lock()
		r.book.err = nil
		r.book.mu.Unlock()
		pass(time.Hour)
		assert.Equal(t, 1, r.log.lines("no more trouble"))
		assert.Equal(t, 1, r.book.saves[today.Add(-1)])
		assert.Equal(t, done, r.book.saves[yesterday], "what is done is done")
	})
}

func TestTheFiguresShownLeaveOutWhatOtherKeysSpent(t *testing.T) {
	r := newReconciling(t, at(today.End().Add(time.Hour)))
	r.book.spend[today] = []accounting.ModelSpend{ourSpend(own, "1", 2)}
	r.activity.lines = map[string][]accounting.Activity{own: line("1.5", 3), "": line("4.5", 9)}
	require.NoError(t, r.check(t.Context()))
	assert.Equal(t, 0.5, metric(t, r.reg, "bursar_reconciliation_difference_usd", "source", "activity"))
	assert.Equal(t, 0.5, metric(t, r.reg, "bursar_reconciliation_dark_spend_usd", "source", "activity"))
	assert.Equal(t, 2.0, metric(t, r.reg, "bursar_reconciliation_differing", "source", "activity"))
}

func TestOptionsOfTheReconcilerAreChecked(t *testing.T) {
	b, a := newReconciliationBook(), new(fakeActivity)
	for _, o := range []ReconcilerOptions{
		{}, {Books: b, Findings: b, Days: b, Activity: a, After: -1}, {Books: b, Findings: b, Days: b, Activity: a, MaxKeys: -1},
		{Books: b, Findings: b, Days: b, Activity: a, Tolerance: usd("-0.1")}, {Books: b, Findings: b, Days: b},
	} {
		_, err := NewReconciler(o)
		assert.Error(t, err)
	}
	bubble(t, func(t *testing.T) {
		r := newReconciling(t, func(o *ReconcilerOptions) { o.Enabled = false })
		defer r.run()()
		pass(72 * time.Hour)
		assert.Empty(t, r.book.saves, "switched off")
	})
}
