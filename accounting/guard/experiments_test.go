package guard

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// threeArms is an enforced experiment of q4: as asked, a cheaper model, none.
func threeArms() accounting.Experiment {
	start := time.Unix(0, 0)
	return accounting.Experiment{ID: "less-ai", CampaignID: "q4", Enforce: true, State: accounting.ExperimentRunning, StartedAt: &start,
		Arms: []accounting.ExperimentArm{{Name: "control", Weight: 1, AI: true}, {Name: "cheap", Weight: 1, Model: "c/d", AI: true}, {Name: "none", Weight: 1}}}
}

// leadIn is a lead that the experiment has in an arm.
func leadIn(t *testing.T, e accounting.Experiment, arm string) accounting.Tags {
	t.Helper()
	for i := range 1000 {
		lead := string(rune('a'+i%26)) + string(rune('a'+i/26))
		if e.Arms[e.Assign(lead)].Name == arm {
			return accounting.Tags{CampaignID: "q4", LeadID: lead}
		}
	}
	t.Fatalf("no lead is in %s", arm)
	return accounting.Tags{}
}

// steered asks about a call to which arms apply.
func (f *fixture) steered(tags accounting.Tags, r accounting.AskedRequest) *accounting.BudgetDecision {
	ask := f.ask(tags, r)
	ask.Steerable = true
	return f.Reserve(context.Background(), ask)
}

func underExperiment(t *testing.T, budgets ...accounting.Budget) *fixture {
	t.Helper()
	b := newBank(budgets...)
	b.change(func(r *accounting.GuardRules) { r.Experiments = []accounting.Experiment{threeArms()} })
	return open(t, b)
}

func TestEachArmDoesWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := underExperiment(t)
		control := bounded("1")
		d := f.steered(leadIn(t, threeArms(), "control"), control)
		require.Equal(t, accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Experiment: "less-ai", Arm: "control"}, *d)
		require.Zero(t, control.reads, "nothing of it is changed, so it is not read")

		d = f.steered(leadIn(t, threeArms(), "cheap"), bounded("1"))
		require.Equal(t, accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Model: "a/b", Experiment: "less-ai", Arm: "cheap", ArmModel: "c/d"}, *d)
		require.Equal(t, "c/d", d.SentModel())
		d = f.steered(leadIn(t, threeArms(), "cheap"), &request{models: []string{"c/d", "e/f"}})
		require.Empty(t, d.ArmModel, "it asks for that model already")
		require.Equal(t, "cheap", d.Arm)

		none := leadIn(t, threeArms(), "none")
		d = f.steered(none, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, accounting.ReasonWithoutAI, d.Reason)
		require.Contains(t, d.Detail, `Experiment "less-ai" has the lead "`+none.LeadID+`" in its arm "none"`)
		for range 5 {
			f.steered(none, bounded("1"))
		}
		f.time(2 * time.Second)
		events := f.records.all()
		require.Len(t, events, 2, "refusals like each other are merged")
		require.Equal(t, 5, events[1].Decision.Count)
		require.Equal(t, "none", events[0].Decision.Arm)
	})
}

func TestCallsThatAreNotOfTheExperimentAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := underExperiment(t)
		tags := leadIn(t, threeArms(), "none")
		require.Nil(t, f.reserve(tags, bounded("1")), "no arm applies to it")
		other := tags
		other.CampaignID = "q3"
		require.Nil(t, f.steered(other, bounded("1")))
		require.Nil(t, f.steered(accounting.Tags{CampaignID: "q4"}, bounded("1")), "it is for no lead")
		for _, change := range []func(*accounting.Experiment){
			func(e *accounting.Experiment) { e.Enforce = false },
			func(e *accounting.Experiment) { e.State = accounting.ExperimentRolledBack },
			func(e *accounting.Experiment) { e.StartedAt = new(time.Now().Add(time.Hour)) },
		} {
			f.bank.change(func(r *accounting.GuardRules) {
				r.Experiments = []accounting.Experiment{threeArms()}
				change(&r.Experiments[0])
			})
			f.time(time.Second)
			require.Nil(t, f.steered(tags, bounded("1")))
		}
		f.bank.change(func(r *accounting.GuardRules) {
			r.Experiments = []accounting.Experiment{threeArms()}
			r.Experiments[0].CampaignID = ""
		})
		f.time(time.Second)
		require.Equal(t, "none", f.steered(other, bounded("1")).Arm, "it is one of every campaign")
		require.Equal(t, "none", f.steered(accounting.Tags{LeadID: tags.LeadID}, bounded("1")).Arm)
	})
}

func TestBudgetsAndStopsDecideAboutTheModelOfTheArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dear := func(b *accounting.Budget) { b.Scope.Model = "a/b" }
		f := underExperiment(t, hardBudget("of-the-arm", "10", func(b *accounting.Budget) { b.Scope.Model = "c/d" }), hardBudget("of-the-asked", "10", dear))
		d := f.steered(leadIn(t, threeArms(), "cheap"), &request{models: []string{"a/b"}, bounds: map[string]string{"a/b": "9", "c/d": "2"}})
		require.Len(t, d.Budgets, 1)
		require.Equal(t, "of-the-arm", d.Budgets[0].BudgetID)
		require.Equal(t, "2", d.Budgets[0].Charge.String(), "at the price of the arm's model")
		require.Equal(t, "c/d", d.ArmModel)
		f.Settle(ended(f.ask(accounting.Tags{}, nil), d, "1"))

		stop := stopAll("1")
		stop.Scope.Model = "c/d"
		require.NoError(t, f.PutStop(stop))
		d = f.steered(leadIn(t, threeArms(), "cheap"), bounded("1"))
		require.Equal(t, accounting.ReasonEmergencyStop, d.Reason)
		require.Equal(t, "cheap", d.Arm)
		require.NotEqual(t, accounting.VerdictBlocked, f.steered(leadIn(t, threeArms(), "control"), bounded("1")).Verdict)
	})
}

func TestABudgetMayDowngradeTheModelOfAnArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		downgrade := func(to string) func(*accounting.Budget) {
			return func(b *accounting.Budget) { b.OnExceed, b.DowngradeTo = accounting.ExceedDowngrade, to }
		}
		f := underExperiment(t, hardBudget("small", "1", downgrade("e/f")))
		prices := map[string]string{"a/b": "9", "c/d": "2", "e/f": "0.5"}
		d := f.steered(leadIn(t, threeArms(), "cheap"), &request{models: []string{"a/b"}, bounds: prices})
		require.Equal(t, accounting.VerdictDowngraded, d.Verdict)
		require.Equal(t, []string{"e/f", "c/d", "e/f"}, []string{d.DowngradedTo, d.ArmModel, d.SentModel()})
		f.Release(d)

		f.bank.change(func(r *accounting.GuardRules) { r.Budgets[0].DowngradeTo = "c/d" })
		f.time(time.Second)
		d = f.steered(leadIn(t, threeArms(), "cheap"), &request{models: []string{"a/b"}, bounds: prices})
		require.Equal(t, accounting.VerdictBlocked, d.Verdict, "it has that model already, and still does not fit")
		require.Contains(t, d.Detail, `That is with c/d, which experiment "less-ai" puts in place of the model asked for.`)
	})
}

func TestExperimentsHoldOverARestartWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "rules.json")
		b := newBank()
		b.change(func(r *accounting.GuardRules) { r.Experiments = []accounting.Experiment{threeArms()} })
		first := open(t, b, func(o *Options) { o.StopFile = file })
		require.NoError(t, first.PutStop(accounting.Stop{ID: "1", Scope: accounting.Scope{CampaignID: "another"}, Actor: "ops"}), "which exchanges the rules")
		require.Equal(t, "cheap", first.steered(leadIn(t, threeArms(), "cheap"), bounded("1")).Arm)
		first.stop()
		b.away = func(string) fate { return refuses }
		again := open(t, b, func(o *Options) { o.StopFile = file })
		require.Equal(t, "c/d", again.steered(leadIn(t, threeArms(), "cheap"), bounded("1")).ArmModel)
	})
}
