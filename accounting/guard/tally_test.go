package guard

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestARefusalCountsWhatEndedHereAndIsNotShipped(t *testing.T) {
	for mode, budget := range map[string]accounting.Budget{"hard": hardBudget("b", "1.1"), "soft": softBudget("b", "1")} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := open(t, newBank(budget))
				tags := accounting.Tags{Purpose: "testing"}
				for range 2 {
					require.Equal(t, accounting.VerdictAllowed, f.call(tags, "0.55", "0.5000000000000001", false).Verdict)
				}
				d := f.reserve(tags, bounded("0.55"))
				require.Equal(t, accounting.VerdictBlocked, d.Verdict)
				assert.Equal(t, "1.000000000002", d.Budgets[0].Settled.String(), "each cost rounded up")
				assert.Contains(t, d.Detail, "of which 1.000000000002 USD are settled and 0 USD reserved")
			})
		})
	}
}

func TestAShippedCostIsToldToItsLastDigit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("b", "1")))
		f.call(accounting.Tags{}, "0.5", "0.4970133333333333", true)
		time.Sleep(3 * time.Second)
		d := f.reserve(accounting.Tags{}, bounded("0.6"))
		require.Equal(t, "0.4970133333333333", d.Budgets[0].Settled.String())
	})
}

func TestARefusalSaysWhatOtherReplicasHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("b", "1")))
		_, err := f.bank.Lease(t.Context(), "replica-2", time.Now(), []accounting.LeaseRequest{{
			LeaseKey: accounting.LeaseKey{BudgetID: "b", PeriodStart: accounting.TotalStart}, Need: amountOf("0.5"), Want: amountOf("0.5"),
		}})
		require.NoError(t, err)
		d := f.reserve(accounting.Tags{}, bounded("0.7"))
		require.Equal(t, accounting.ReasonNoRoom, d.Reason)
		require.Contains(t, d.Detail, "of which 0 USD are settled and 0 USD reserved; replicas hold 0.5 USD more, for calls that are ending or to come. "+
			"The call could cost up to 0.7 USD, which is more than is left.")
	})
}

func TestARefusalAfterAVainDowngradeNamesTheModelThatItIsAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("b", "1", exceed(accounting.ExceedDowngrade, "a/cheap"))))
		d := f.reserve(accounting.Tags{}, bounded("2"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Contains(t, d.Detail, `That is with a/cheap, which budget "b" puts in place of the model asked for.`)
		require.Equal(t, "a/b", d.Model, "the model that was asked for is recorded")
	})
}
