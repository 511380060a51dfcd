package accounting

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var experimentStart = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// cheaper is a running experiment of q4 with a cheaper model.
func cheaper() Experiment {
	return Experiment{
		ID: "cheaper-model", Name: "Cheaper model", CampaignID: "q4", Metric: MetricConversion, Margin: DefaultExperimentMargin(), Enforce: true,
		Arms:  []ExperimentArm{{Name: "control", Weight: 50, AI: true}, {Name: "cheap", Weight: 50, Model: "openai/gpt-5-mini", AI: true}},
		State: ExperimentRunning, StartedAt: &experimentStart,
	}
}

func TestTheAssignmentIsTheOneThatIsPublished(t *testing.T) {
	e := cheaper()
	// By sha256sum, for whoever computes it elsewhere: docs/experiments.md.
	for lead, want := range map[string]struct {
		hash uint64
		arm  int
	}{
		"lead-1": {0xd443de65ffaa, 1}, "lead-2": {0xb6ec6f1c168d, 0}, "lead-3": {0xf162cc8aff05, 0},
		"lead-4": {0xb49b272fc863, 1}, "lead-5": {0xc5865097bde4, 1}, "lead-6": {0x012fb89b7c00, 1},
	} {
		require.Equal(t, want.hash, assignmentHash(e.ID, lead), lead)
		require.Equal(t, want.arm, e.Assign(lead), lead)
	}
}

func TestLeadsAreSpreadAsTheWeightsSay(t *testing.T) {
	e := cheaper()
	e.Arms = append(e.Arms, ExperimentArm{Name: "none", Weight: 25})
	e.Arms[0].Weight, e.Arms[1].Weight = 50, 25
	sums := make([]ArmSums, 3)
	for i := range 20_000 {
		arm := e.Assign(fmt.Sprint("lead-", i))
		sums[arm].Arm = arm
		sums[arm].Leads++
	}
	require.InDelta(t, 10_000, sums[0].Leads, 300)
	require.InDelta(t, 5_000, sums[1].Leads, 250)
	require.True(t, e.Report(sums).SampleRatioOK)
	sums[2].Leads /= 2
	require.False(t, e.Report(sums).SampleRatioOK, "half of the leads without AI were not seen")
}

func TestALeadStaysInItsArmAndExperimentsAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := cheaper()
		e.Arms = nil
		for i := range rapid.IntRange(2, MaxExperimentArms).Draw(t, "arms") {
			e.Arms = append(e.Arms, ExperimentArm{Name: fmt.Sprint("arm-", i), Weight: rapid.IntRange(1, MaxExperimentWeight).Draw(t, "weight"), AI: true})
		}
		lead := rapid.String().Draw(t, "lead")
		arm := e.Assign(lead)
		if arm < 0 || arm >= len(e.Arms) {
			t.Fatalf("arm %d of %d", arm, len(e.Arms))
		}
		changed := e
		changed.State, changed.Name, changed.Metric = ExperimentStopped, "another", MetricSends
		if changed.Assign(lead) != arm {
			t.Fatal("it depends on more than id, weights and lead")
		}
	})
	a, b := cheaper(), cheaper()
	b.ID = "another"
	both := map[[2]int]int{}
	for i := range 10_000 {
		lead := fmt.Sprint("lead-", i)
		both[[2]int{a.Assign(lead), b.Assign(lead)}]++
	}
	for _, n := range both {
		require.InDelta(t, 2500, n, 200)
	}
}

func TestAnExperimentHoldsTheCallsForItsLeadsWhileItRuns(t *testing.T) {
	e := cheaper()
	e.Purpose = "follow_up"
	tags := func(change func(*Tags)) *Tags {
		t := Tags{CampaignID: "q4", LeadID: "ada", Purpose: "follow_up"}
		change(&t)
		return &t
	}
	same := tags(func(*Tags) {})
	require.True(t, e.Holds(experimentStart, same))
	require.False(t, e.Holds(experimentStart.Add(-1), same))
	require.False(t, e.Holds(experimentStart, tags(func(t *Tags) { t.LeadID = "" })))
	require.False(t, e.Holds(experimentStart, tags(func(t *Tags) { t.CampaignID = "q3" })))
	require.False(t, e.Holds(experimentStart, tags(func(t *Tags) { t.Purpose = "" })))
	end := experimentStart.Add(time.Hour)
	e.EndedAt = &end
	require.True(t, e.Holds(end.Add(-1), same))
	require.False(t, e.Holds(end, same))
	require.True(t, e.Follows(end, "q4"), "what comes of a lead comes later")
	require.False(t, e.Follows(end, "q3"))
	e.CampaignID, e.Purpose = "", ""
	require.True(t, e.Holds(experimentStart, tags(func(t *Tags) { t.CampaignID, t.Purpose = "q3", "" })))
	require.False(t, (&Experiment{}).Holds(end, same), "a draft holds nothing")
}

func TestExperimentsOverlapWhereOneCallMayBelongToBoth(t *testing.T) {
	of := func(campaign, purpose string) *Experiment {
		return &Experiment{CampaignID: campaign, Purpose: purpose}
	}
	require.True(t, of("q4", "").Overlaps(of("q4", "research")))
	require.True(t, of("q4", "research").Overlaps(of("", "research")))
	require.False(t, of("q4", "").Overlaps(of("q3", "")))
	require.False(t, of("", "follow_up").Overlaps(of("q4", "research")))
}

func TestWhatIsWrongWithAnExperimentIsNamed(t *testing.T) {
	valid := cheaper()
	require.NoError(t, valid.Validate(DefaultPurposes()))
	for want, change := range map[string]func(*Experiment){
		`id "A b"`:                  func(e *Experiment) { e.ID = "A b" },
		`name ""`:                   func(e *Experiment) { e.Name = "" },
		`name " "`:                  func(e *Experiment) { e.Name = " " },
		`margin with 5000 decimals`: func(e *Experiment) { e.Margin = Amount{decimal.New(1, -5000)} },
		`campaign_id "a\nb"`:        func(e *Experiment) { e.CampaignID = "a\nb" },
		`purpose "dinner"`:          func(e *Experiment) { e.Purpose = "dinner" },
		`metric "clicks"`:           func(e *Experiment) { e.Metric = "clicks" },
		`margin 1:`:                 func(e *Experiment) { e.Margin = Amount{decimal.NewFromInt(1)} },
		`margin 0:`:                 func(e *Experiment) { e.Margin = Amount{} },
		`max_days 0`:                func(e *Experiment) { e.MaxDays = new(int) },
		`max_leads 0`:               func(e *Experiment) { e.MaxLeads = new(int64) },
		`arms: 1 of them`:           func(e *Experiment) { e.Arms = e.Arms[:1] },
		`arms[1].name "control"`:    func(e *Experiment) { e.Arms[1].Name = "control" },
		`arms[1].name "A"`:          func(e *Experiment) { e.Arms[1].Name = "A" },
		`arms[0].weight 0`:          func(e *Experiment) { e.Arms[0].Weight = 0 },
		`arms[1].model "gpt"`:       func(e *Experiment) { e.Arms[1].Model = "gpt" },
		`arms[1].model "openai/g`:   func(e *Experiment) { e.Arms[1].AI = false },
		`arms: none of them has AI`: func(e *Experiment) {
			for i := range e.Arms {
				e.Arms[i].AI, e.Arms[i].Model = false, ""
			}
		},
		`arms[1].weight 1001: want`: func(e *Experiment) { e.Arms[1].Weight = 1001 },
	} {
		e := cheaper()
		e.Arms = slices.Clone(e.Arms)
		change(&e)
		require.ErrorContains(t, e.Validate(DefaultPurposes()), want)
	}
	require.Equal(t, "cheaper-model", ExperimentSlug("Cheaper model!"))
	require.Equal(t, "experiment", ExperimentSlug("…"))
}

// results are those of both arms.
func results(control, cheap ArmSums) []ArmSums { cheap.Arm = 1; return []ArmSums{control, cheap} }

func TestAReportSaysWhatEachArmCostAndBrought(t *testing.T) {
	e := cheaper()
	r := e.Report(results(
		ArmSums{Leads: 400, Sent: 300, Replied: 40, Converted: 20, Meetings: 25, Calls: 800, CostUSD: decimal.NewFromInt(100), CostEUR: decimal.NewFromInt(90)},
		ArmSums{Leads: 400, Sent: 290, Replied: 42, Converted: 22, Meetings: 22, Calls: 810, CostUSD: decimal.NewFromInt(20), CostEUR: decimal.NewFromInt(18)},
	))
	control, cheap := r.Arms[0], r.Arms[1]
	require.True(t, control.Control)
	require.Equal(t, "0.225", control.CostPerLead.String())
	require.Equal(t, "3.6", control.CostPerMeeting.String())
	require.Equal(t, "0.05", control.Conversion.String(), "leads, not meetings")
	require.Equal(t, "0.725", cheap.SendRate.String())
	require.Less(t, control.ConversionInterval.Low, 0.05)
	require.Greater(t, *control.ConversionInterval.High, 0.05)
	c := r.Comparisons[0]
	require.Equal(t, "cheap", c.Arm)
	require.InDelta(t, 1.1, *c.Ratio, 1e-12)
	require.Equal(t, "0.8", c.Saving.String())
	require.Equal(t, ArmUndecided, c.Verdict, "twenty meetings tell little")
	require.Contains(t, r.Headline, "It cannot be told yet whether cheap is worse than control by more than 20 %")
}

func TestNothingKnownIsNotZero(t *testing.T) {
	e := cheaper()
	r := e.Report(nil)
	require.Len(t, r.Arms, 2)
	require.Nil(t, r.Arms[1].CostPerLead)
	require.Nil(t, r.Arms[1].Conversion)
	require.Nil(t, r.Arms[1].ConversionInterval)
	require.Nil(t, r.Comparisons[0].Ratio)
	require.Nil(t, r.Comparisons[0].Interval.High)
	require.Nil(t, r.Comparisons[0].Saving)
	require.True(t, r.SampleRatioOK)
	e.State = ExperimentDraft
	require.Equal(t, "It has not been started.", e.Report(nil).Headline)
}

func TestTheVerdictAnswersWhetherTheCheaperModelMayBeUsed(t *testing.T) {
	cost := func(n int64, eur int64) ArmSums {
		return ArmSums{Leads: 20_000, Sent: 15_000, Converted: n, Meetings: n, CostEUR: decimal.NewFromInt(eur)}
	}
	for _, tt := range []struct {
		cheap    int64
		verdict  ArmVerdict
		headline string
	}{
		{2000, ArmNotWorse, "cheap may be used: it keeps at least 90 %"},
		{1840, ArmNotWorse, "cheap may be used: it keeps at least 83 %"}, // worse for sure, but by less than a fifth
		{1650, ArmWorse, "cheap does harm"},
		{1000, ArmWorse, "cheap does harm: it keeps at most 5"},
		{2600, ArmBetter, "cheap is better than control: at least 1."},
	} {
		e := cheaper()
		r := e.Report(results(cost(2000, 1000), cost(tt.cheap, 290)))
		require.Equal(t, tt.verdict, r.Comparisons[0].Verdict, "%d: %+v", tt.cheap, r.Comparisons[0].Interval)
		require.True(t, strings.HasPrefix(r.Headline, tt.headline), r.Headline)
		require.Contains(t, r.Headline, "costs 71 % less for each lead")
	}
}

func TestEachMetricLooksAtItsOwnLeads(t *testing.T) {
	control := ArmSums{Leads: 9000, Sent: 5000, Replied: 5000, Converted: 5000}
	for metric, worse := range map[Metric]ArmSums{
		MetricSends:      {Leads: 9000, Sent: 2500, Replied: 5000, Converted: 5000},
		MetricReplies:    {Leads: 9000, Sent: 5000, Replied: 2500, Converted: 5000},
		MetricConversion: {Leads: 9000, Sent: 5000, Replied: 5000, Converted: 2500},
	} {
		for _, m := range Metrics() {
			e := cheaper()
			e.Metric = m
			require.Equal(t, m == metric, e.Report(results(control, worse)).Comparisons[0].Verdict == ArmWorse, "%s by %s", metric, m)
		}
	}
}

func TestMoreArmsNeedMoreEvidence(t *testing.T) {
	e := cheaper()
	two := e.Report(results(ArmSums{Leads: 5000, Converted: 500}, ArmSums{Leads: 5000, Converted: 400}))
	e.Arms = append(e.Arms, ExperimentArm{Name: "none", Weight: 50})
	three := e.Report(results(ArmSums{Leads: 5000, Converted: 500}, ArmSums{Leads: 5000, Converted: 400}))
	require.Less(t, *two.Comparisons[0].Interval.High, *three.Comparisons[0].Interval.High)
}

func TestAnExperimentEndsByItsRulesAndHarmComesFirst(t *testing.T) {
	arms := func(cheap int64) []ArmSums {
		return results(ArmSums{Leads: 20_000, Converted: 2000}, ArmSums{Leads: 20_000, Converted: cheap})
	}
	due := func(sums []ArmSums, now time.Time, change ...func(*Experiment)) (ExperimentEnd, bool) {
		e := cheaper()
		for _, f := range change {
			f(&e)
		}
		r := e.Report(sums)
		return r.Due(now)
	}
	days, leads := 7, int64(40_000)
	limits := func(e *Experiment) { e.MaxDays, e.MaxLeads, e.StopOnVerdict = &days, &leads, true }
	later := experimentStart.AddDate(0, 0, 7)

	end, ok := due(arms(1000), later, limits)
	require.True(t, ok)
	require.Equal(t, ExperimentRolledBack, end.State)
	require.Equal(t, StopHarm, end.Reason)
	require.Contains(t, end.Detail, "does harm")

	end, _ = due(arms(2000), experimentStart, limits)
	require.Equal(t, ExperimentEnd{ExperimentStopped, StopVerdict, end.Detail}, end)
	_, ok = due(arms(2000), experimentStart)
	require.False(t, ok, "unless it is asked for, a verdict ends nothing")
	end, _ = due(nil, later, limits)
	require.Equal(t, StopMaxDays, end.Reason)
	_, ok = due(nil, later.Add(-1), limits)
	require.False(t, ok)
	end, _ = due(results(ArmSums{Leads: 20_000}, ArmSums{Leads: 20_000}), experimentStart, limits)
	require.Equal(t, StopMaxLeads, end.Reason)

	_, ok = due(results(ArmSums{Leads: 20_000, Converted: 2000}, ArmSums{Leads: 1000, Converted: 10}), experimentStart)
	require.False(t, ok, "results that cannot be trusted decide nothing")
	_, ok = due(arms(1000), later, limits, func(e *Experiment) { e.State = ExperimentStopped })
	require.False(t, ok, "it is over")
}
