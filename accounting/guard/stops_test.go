package guard

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func stopAll(id string) accounting.Stop {
	return accounting.Stop{ID: id, Kind: accounting.StopEmergency, Reason: "a loop", Actor: "ops", CreatedAt: time.Unix(0, 0).UTC()}
}

func TestAStopHoldsWithinASecondAndIsLiftedLikewise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(softBudget("s", "10"))
		f := open(t, b)
		_, err := b.CreateStop(t.Context(), stopAll("1"))
		require.NoError(t, err)
		f.time(time.Second)
		d := f.reserve(accounting.Tags{}, bounded("1"))
		require.Equal(t, accounting.VerdictBlocked, d.Verdict)
		require.Equal(t, accounting.ReasonEmergencyStop, d.Reason)
		require.Equal(t, "1", d.Stop)
		require.Equal(t, "An emergency stop holds since 1970-01-01T00:00:00Z: A loop.", d.Detail)
		require.EqualValues(t, 2, b.obeyed["replica-1"], "Postgres knows that it is obeyed")
		_, err = b.LiftStop(t.Context(), "1", "ops", time.Now())
		require.NoError(t, err)
		f.time(time.Second)
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{}, bounded("1")).Verdict)
	})
}

func TestAStopOfACampaignBlocksThatOneAndADrillNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank())
		held, drill := stopAll("1"), stopAll("2")
		held.Kind, held.Scope.CampaignID, drill.Drill = accounting.StopSpike, "q4", true
		require.NoError(t, f.PutStop(held))
		require.NoError(t, f.PutStop(drill))
		require.Equal(t, accounting.ReasonHeld, f.reserve(accounting.Tags{CampaignID: "q4"}, bounded("1")).Reason)
		require.Nil(t, f.reserve(accounting.Tags{CampaignID: "q3"}, bounded("1")))
		require.Len(t, f.Stops(), 2)
	})
}

func TestAStopGivenWithoutPostgresHoldsAtOnceAndOverARestartAndIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "rules.json")
		inFile := func(o *Options) { o.StopFile = file }
		b := newBank(hardBudget("all", "10"))
		f := open(t, b, inFile)
		b.mu.Lock()
		b.away = func(string) fate { return refuses }
		b.mu.Unlock()
		require.NoError(t, f.PutStop(stopAll("1")))
		require.Equal(t, "1", f.reserve(accounting.Tags{}, bounded("1")).Stop)
		f.stop()

		f = open(t, b, inFile)
		require.Equal(t, "1", f.reserve(accounting.Tags{}, bounded("1")).Stop)
		require.NoError(t, f.LiftStop("1", "ops", time.Now()))
		require.ErrorIs(t, f.LiftStop("1", "ops", time.Now()), accounting.ErrUnknownStop)
		require.Equal(t, accounting.ReasonNoLease, f.reserve(accounting.Tags{}, bounded("1")).Reason, "the hard budget is known, too")
		require.NoError(t, f.PutStop(stopAll("2")))
		b.mu.Lock()
		b.away = nil
		b.mu.Unlock()
		f.time(2 * time.Second)
		require.True(t, b.ids["1"] && b.ids["2"], "both were written, the lifted one too")
		require.Len(t, b.rules.Stops, 1)
		require.Len(t, f.Stops(), 1)
		require.Empty(t, f.local.list)
	})
}

func TestAStopFileThatCannotBeReadIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.json")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	o := options(newBank(), &records{})
	o.StopFile = file
	_, err := New(o)
	require.ErrorContains(t, err, file)
}

func TestANewStopCutsTheStreamsInItsScopeIfItSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank())
		var cut []bool
		f.OnCut(func(match func(*accounting.Tags, string, []string) bool) {
			cut = append(cut, match(&accounting.Tags{CampaignID: "q4"}, "", nil), match(&accounting.Tags{}, "", nil))
		})
		s := stopAll("1")
		s.Scope.CampaignID, s.CutStreams = "q4", true
		require.NoError(t, f.PutStop(s))
		require.Equal(t, []bool{true, false}, cut)
		f.time(2 * time.Second) // it comes back from Postgres
		require.Len(t, cut, 2, "once")
	})
}

func TestTheGaugesShowHowABudgetStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		f := open(t, newBank(hardBudget("all", "10")), func(o *Options) { o.Registerer = reg })
		f.call(accounting.Tags{}, "1", "0.5", true)
		f.reserve(accounting.Tags{}, bounded("1"))
		f.time(2 * time.Second)
		families, err := reg.Gather()
		require.NoError(t, err)
		want := map[string]float64{"bursar_budget_limit": 10, "bursar_budget_settled": 0.5, "bursar_budget_reserved": 1, "bursar_budget_leased": 0, "bursar_guard_stop_active": 0}
		a := f.table.find("all", "", accounting.TotalStart.UnixNano())
		want["bursar_budget_leased"] = exact(a.inHand(essential) + a.reserved.Load()).InexactFloat64()
		require.GreaterOrEqual(t, want["bursar_budget_leased"], 1.0)
		for _, m := range families {
			if v, ok := want[m.GetName()]; ok {
				require.InDelta(t, v, m.GetMetric()[0].GetGauge().GetValue(), 1e-9, m.GetName())
				delete(want, m.GetName())
			}
		}
		require.Empty(t, want)
	})
}
