package guard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func campaign(id string) func(*accounting.Budget) {
	return func(b *accounting.Budget) { b.Scope.CampaignID = id }
}

func each(tag accounting.Each) func(*accounting.Budget) {
	return func(b *accounting.Budget) { b.Each = tag }
}

func exceed(do accounting.OnExceed, to string) func(*accounting.Budget) {
	return func(b *accounting.Budget) { b.OnExceed, b.DowngradeTo = do, to }
}

func TestASoftBudgetActsOnceSettledSpendHasReachedItsLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		budget  accounting.Budget
		tags    accounting.Tags
		verdict accounting.BudgetVerdict
		reason  accounting.BudgetReason
		detail  string
	}{
		"it blocks": {softBudget("s", "1"), accounting.Tags{Purpose: "testing"}, accounting.VerdictBlocked, accounting.ReasonExceeded,
			`Budget "s" has a limit of 1 USD in total, of which 1 USD are settled and 0 USD reserved. It is used up. It does not reset.`},
		"an essential call passes": {softBudget("s", "1", func(b *accounting.Budget) { b.EssentialPurposes = []string{"follow_up"} }),
			accounting.Tags{Purpose: "follow_up"}, accounting.VerdictWarned, accounting.ReasonEssential, "its purpose is essential"},
		"a call without a purpose is essential": {softBudget("s", "1"), accounting.Tags{}, accounting.VerdictWarned, accounting.ReasonEssential, ""},
		"it warns": {softBudget("s", "1", exceed(accounting.ExceedWarn, "")), accounting.Tags{Purpose: "testing"}, accounting.VerdictWarned,
			accounting.ReasonExceeded, "used up"},
		"it downgrades": {softBudget("s", "1", exceed(accounting.ExceedDowngrade, "a/cheap")), accounting.Tags{Purpose: "testing"},
			accounting.VerdictDowngraded, accounting.ReasonExceeded, "The call was sent with a/cheap instead."},
		"the model to downgrade to passes": {softBudget("s", "1", exceed(accounting.ExceedDowngrade, "a/b")), accounting.Tags{Purpose: "testing"},
			accounting.VerdictWarned, accounting.ReasonExceeded, ""},
		"alert lets everything pass": {softBudget("s", "1", func(b *accounting.Budget) { b.Mode = accounting.ModeAlert }),
			accounting.Tags{Purpose: "testing"}, accounting.VerdictAllowed, accounting.ReasonNone, ""},
		"a disabled one does not count": {softBudget("s", "1", func(b *accounting.Budget) { b.Enabled = false }), accounting.Tags{Purpose: "testing"},
			"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := open(t, newBank(tt.budget))
				if tt.verdict == "" {
					require.Nil(t, f.reserve(tt.tags, bounded("1")))
					return
				}
				require.Equal(t, accounting.VerdictAllowed, f.call(tt.tags, "5", "0.4", true).Verdict)
				require.Equal(t, accounting.VerdictAllowed, f.call(tt.tags, "5", "0.6", true).Verdict)
				// At once by what ended here, and later by what Postgres says.
				early := f.reserve(tt.tags, bounded("5"))
				time.Sleep(3 * time.Second)
				d := f.reserve(tt.tags, bounded("5"))
				require.Equal(t, tt.verdict, early.Verdict)
				require.Equal(t, tt.verdict, d.Verdict)
				assert.Equal(t, tt.reason, d.Reason)
				assert.Contains(t, d.Detail, tt.detail)
				if d.Verdict == accounting.VerdictDowngraded {
					assert.Equal(t, "a/cheap", d.DowngradedTo)
				}
			})
		})
	}
}

func TestASoftBudgetBelievesACorrectionDownwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(softBudget("s", "1")))
		ask := f.ask(accounting.Tags{Purpose: "testing"}, bounded("1"))
		d := f.Reserve(t.Context(), ask)
		e := ended(ask, d, "1")
		f.Settle(e)
		f.bank.ship(time.Now(), *e)
		require.Equal(t, accounting.VerdictBlocked, f.reserve(accounting.Tags{Purpose: "testing"}, bounded("1")).Verdict)
		f.bank.settle(time.Now(), ask.ID, accounting.StatusSettled, accounting.Some(amountOf("0.5")))
		time.Sleep(3 * renewal)
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{Purpose: "testing"}, bounded("1")).Verdict)
	})
}

func TestALimitBeyondWhatAnAmountHoldsStillHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(softBudget("soft", "20000000"), hardBudget("hard", "20000000")))
		d := f.call(accounting.Tags{Purpose: "testing"}, "4000000", "4000000", true)
		require.Equal(t, accounting.VerdictAllowed, d.Verdict, d.Detail)
		for range 4 {
			d := f.call(accounting.Tags{Purpose: "testing"}, "4000000", "4000000", true)
			require.Equal(t, accounting.VerdictAllowed, d.Verdict, d.Detail)
			time.Sleep(3 * renewal)
		}
		d = f.reserve(accounting.Tags{Purpose: "testing"}, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, accounting.ReasonExceeded, d.Reason)
		require.Equal(t, "soft", d.Budgets[0].BudgetID)
		require.NoError(t, f.bank.problems())
	})
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("hard", "20000000")))
		require.Equal(t, accounting.ReasonNoRoom, f.reserve(accounting.Tags{}, bounded("9000000")).Reason)
	})
}

func TestTheStrictestOfOverlappingBudgetsDecidesAndAllHardOnesAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "10"), hardBudget("q4", "1", campaign("q4")), softBudget("soft", "10")))
		d := f.reserve(accounting.Tags{CampaignID: "q4"}, bounded("0.7"))
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		require.Len(t, d.Budgets, 3)
		for _, id := range []string{"all", "q4"} {
			require.NotNil(t, d.ChargeTo(id, "", accounting.TotalStart), id)
		}
		require.Nil(t, d.ChargeTo("soft", "", accounting.TotalStart))

		refused := f.reserve(accounting.Tags{CampaignID: "q4"}, bounded("0.7"))
		require.Equal(t, accounting.VerdictBlocked, refused.Verdict)
		require.Equal(t, "q4", refused.Budgets[0].BudgetID)
		require.Nil(t, refused.ChargeTo("all", "", accounting.TotalStart))
		a := f.table.find("all", "", accounting.TotalStart.UnixNano())
		require.Equal(t, amountOf("0.7").String(), exact(a.reserved.Load()).String(), "what was charged to the other budget is given back")
		require.EqualValues(t, 1, a.users.Load())
	})
}

func TestAHardBudgetRefusesWhatHasNoBoundAndNamesTheField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "10")))
		d := f.reserve(accounting.Tags{}, &request{models: []string{"a/b"}, err: unbounded{"max_tokens"}})
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, accounting.ReasonNoBound, d.Reason)
		require.Equal(t, "max_tokens", d.Field)
		require.Contains(t, d.Detail, "Max_tokens has no limit: send max_tokens.")
		require.False(t, d.Bound.Known)
	})
}

func TestACallWithoutABoundIsToldHowTheBudgetStandsInItsPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "10", func(b *accounting.Budget) { b.Period = accounting.PeriodMonth })))
		year, month, _ := time.Now().UTC().Date()
		start := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		refuse := func() accounting.BudgetShare {
			d := f.reserve(accounting.Tags{}, &request{models: []string{"a/b"}, err: unbounded{"max_tokens"}})
			require.Equal(t, accounting.ReasonNoBound, d.Reason)
			return d.Budgets[0]
		}
		require.Equal(t, start, refuse().PeriodStart)
		require.Equal(t, accounting.VerdictAllowed, f.call(accounting.Tags{}, "5", "0.4", true).Verdict)
		f.Wake()
		time.Sleep(5 * time.Second) // of the test's own clock: the figures are read again
		require.Equal(t, "0.4", refuse().Settled.String())
		require.Equal(t, start, refuse().PeriodStart)
	})
}

func TestAFreeCallPassesAHardBudgetThatIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "0")))
		require.Equal(t, accounting.VerdictBlocked, f.reserve(accounting.Tags{}, bounded("0.1")).Verdict)
		d := f.reserve(accounting.Tags{}, bounded("0"))
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		require.Equal(t, "0", d.Bound.Value.String())
	})
}

func TestAHardBudgetDowngradesACallForWhichThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "1", exceed(accounting.ExceedDowngrade, "a/cheap"))))
		r := &request{models: []string{"a/dear"}, bounds: map[string]string{"a/dear": "2", "a/cheap": "0.6"}}
		d := f.reserve(accounting.Tags{}, r)
		require.Equal(t, accounting.VerdictDowngraded, d.Verdict)
		require.Equal(t, accounting.ReasonNoRoom, d.Reason)
		require.Equal(t, "a/dear", d.Model)
		require.Equal(t, "a/cheap", d.DowngradedTo)
		require.Equal(t, "0.6", d.Budgets[0].Charge.String())
		require.Equal(t, "0.6", d.Bound.Value.String())
		d = f.reserve(accounting.Tags{}, r)
		require.Equal(t, accounting.VerdictBlocked, d.Verdict, "there is no room for the cheap one either")
		require.Empty(t, d.DowngradedTo)
	})
}

func TestABudgetOfAModelHoldsItsFallbacksAndWhateverMayAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(softBudget("dear", "0", func(b *accounting.Budget) { b.Scope.Model = "a/dear" })))
		tags := accounting.Tags{Purpose: "testing"}
		require.Nil(t, f.reserve(tags, &request{models: []string{"a/b"}}))
		require.Equal(t, accounting.VerdictBlocked, f.reserve(tags, &request{models: []string{"a/b", "a/dear"}}).Verdict)
		require.Equal(t, accounting.VerdictBlocked, f.reserve(tags, &request{models: []string{"openrouter/auto"}, anyModel: true}).Verdict)
	})
}

func TestADividedBudgetGivesEachValueTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("leads", "1", each(accounting.EachLead))))
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{LeadID: "1"}, bounded("1")).Verdict)
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{LeadID: "2"}, bounded("1")).Verdict)
		d := f.reserve(accounting.Tags{LeadID: "1"}, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, "1", d.Budgets[0].EachValue)
		require.Contains(t, d.Detail, `for lead_id "1"`)
		require.Nil(t, f.reserve(accounting.Tags{}, bounded("1")), "without the tag a call is outside")
	})
}

func TestARequiredTagThatIsMissingIsRefusedByTheBudgetThatNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("leads", "1", each(accounting.EachLead), campaign("q4"))),
			func(o *Options) { o.Required = []accounting.Each{accounting.EachLead} })
		d := f.reserve(accounting.Tags{CampaignID: "q4"}, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, accounting.ReasonTagRequired, d.Reason)
		require.Equal(t, "X-Lead-ID", d.Field)
		require.Nil(t, f.reserve(accounting.Tags{CampaignID: "q3"}, bounded("1")))
	})
}

func TestCallsThatAreNotEssentialHaveALowerLimitAndEssentialOnesTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "1", func(b *accounting.Budget) {
			b.EssentialShare.Decimal, b.NonessentialPurposes = amountOf("0.2"), []string{"testing"}
		})))
		spend := func(purpose string) (sum decimal.Decimal) {
			for f.call(accounting.Tags{Purpose: purpose}, "0.05", "0.05", true).Verdict != accounting.VerdictBlocked {
				sum = sum.Add(amountOf("0.05"))
				time.Sleep(time.Second)
			}
			return sum
		}
		require.Equal(t, "0.8", spend("testing").String())
		require.Equal(t, "0.2", spend("follow_up").String())
		require.Equal(t, "0", spend("testing").String())
		require.NoError(t, f.bank.problems())
	})
}

func TestABudgetInEurosIsChargedAtTheRateThatTheDecisionNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := amountOf("0.5")
		f := open(t, newBank(hardBudget("eur", "1", func(b *accounting.Budget) { b.Currency = accounting.EUR })),
			func(o *Options) { o.Rate = func() decimal.Decimal { return rate } })
		ask := f.ask(accounting.Tags{}, bounded("2"))
		d := f.Reserve(t.Context(), ask)
		require.Equal(t, "1", d.Budgets[0].Charge.String())
		require.Equal(t, "0.5", d.Rate.String())
		rate = amountOf("0.9")
		e := ended(ask, d, "1")
		f.Settle(e)
		f.bank.ship(time.Now(), *e)
		require.Equal(t, "0.5", f.bank.stand(total("eur")).settled.String())
		f.time(time.Second)
		require.Equal(t, accounting.VerdictBlocked, f.reserve(accounting.Tags{}, bounded("1")).Verdict)
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{}, bounded("0.5")).Verdict)
		rate = decimal.Zero
		require.Equal(t, accounting.ReasonNotLoaded, f.reserve(accounting.Tags{}, bounded("0.01")).Reason)
	})
}

func TestACallIsChargedToThePeriodOfItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(23*time.Hour + 59*time.Minute + 50*time.Second)
		f := open(t, newBank(hardBudget("day", "1", func(b *accounting.Budget) { b.Period = accounting.PeriodDay })))
		ask := f.ask(accounting.Tags{}, bounded("1"))
		d := f.Reserve(t.Context(), ask)
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		blocked := f.reserve(accounting.Tags{}, bounded("0.1"))
		require.Contains(t, blocked.Detail, "a limit of 1 USD a day")
		require.Contains(t, blocked.Detail, "It resets at 2000-01-02T00:00:00Z.")
		time.Sleep(10 * time.Second)
		next := f.reserve(accounting.Tags{}, bounded("1"))
		require.Equal(t, accounting.VerdictAllowed, next.Verdict, "a new day has begun")
		require.NotEqual(t, d.Budgets[0].PeriodStart, next.Budgets[0].PeriodStart)
		e := ended(ask, d, "0.4")
		f.Settle(e)
		f.bank.ship(time.Now(), *e)
		require.Equal(t, "0.4", f.bank.stand(accounting.LeaseKey{BudgetID: "day", PeriodStart: d.Budgets[0].PeriodStart}).settled.String())
		f.time(15 * time.Minute)
		require.Nil(t, f.table.find("day", "", d.Budgets[0].PeriodStart.UnixNano()), "a period that is over is let go of")
		require.NoError(t, f.bank.problems())
	})
}

// time lets time pass.
func (f *fixture) time(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestADeletedBudgetStillSettlesItsOpenCallsAndChargesNoNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "1")))
		ask := f.ask(accounting.Tags{}, bounded("0.5"))
		d := f.Reserve(t.Context(), ask)
		f.bank.change(func(r *accounting.GuardRules) { r.Budgets[0].Enabled = false })
		f.time(time.Second)
		require.Nil(t, f.reserve(accounting.Tags{}, bounded("5")))
		e := ended(ask, d, "0.2")
		f.Settle(e)
		f.bank.ship(time.Now(), *e)
		f.time(time.Second)
		stand := f.bank.stand(total("all"))
		require.Equal(t, "0.2", stand.settled.String())
		require.Equal(t, "0.2", stand.granted.String(), "the lease went back")
	})
}

func TestWithoutRulesCallsPassAndSayThatNothingWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "0"))
		b.away = func(string) fate { return refuses }
		f := open(t, b)
		d := f.reserve(accounting.Tags{}, bounded("1"))
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		require.Equal(t, accounting.ReasonNotLoaded, d.Reason)
		b.mu.Lock()
		b.away = nil
		b.mu.Unlock()
		f.time(time.Second)
		require.Equal(t, accounting.VerdictBlocked, f.reserve(accounting.Tags{}, bounded("1")).Verdict)
	})
}

func TestARefusedCallIsRecordedAtOnceAndOthersLikeItOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(softBudget("s", "0")))
		f.time(time.Until(time.Now().Truncate(time.Second).Add(time.Second + time.Millisecond)))
		tags := accounting.Tags{Purpose: "testing", LeadID: "1"}
		for range 300 {
			require.Equal(t, accounting.VerdictBlocked, f.reserve(tags, bounded("1")).Verdict)
		}
		other := f.reserve(accounting.Tags{Purpose: "testing", LeadID: "2"}, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, other.Verdict)
		require.Len(t, f.records.all(), 2)
		f.time(time.Second)
		events := f.records.all()
		require.Len(t, events, 3)
		merged := events[2]
		require.Equal(t, accounting.Refused, merged.Kind)
		require.Equal(t, 299, merged.Decision.Count)
		require.Len(t, merged.Decision.Calls, accounting.MaxMergedCalls)
		require.NotContains(t, merged.Decision.Calls, merged.ID)
		require.Zero(t, events[0].Decision.Count)
		f.reserve(tags, bounded("1"))
		require.Len(t, f.records.all(), 4, "a new second begins with a record at once")
	})
}

func TestACallWhoseCallerLeavesWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "1"))
		f := open(t, b, func(o *Options) { o.GrantWait = time.Hour })
		b.mu.Lock()
		b.away = func(string) fate { return refuses }
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		d := f.Reserve(ctx, f.ask(accounting.Tags{}, bounded("1")))
		require.Equal(t, accounting.ReasonNoLease, d.Reason)
		require.Equal(t, time.Second, time.Since(began))
	})
}
