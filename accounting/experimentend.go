package accounting

import "time"

// StopReason is why an experiment ended by itself.
type StopReason string

// The reasons.
const (
	StopHarm     StopReason = "harm"      // an arm is worse than the control
	StopVerdict  StopReason = "verdict"   // every arm is told from the control
	StopMaxDays  StopReason = "max_days"  // its time is over
	StopMaxLeads StopReason = "max_leads" // it has seen enough leads
)

// ExperimentEnd is how an experiment ends.
type ExperimentEnd struct {
	State  ExperimentState // stopped, or rolled back after harm
	Reason StopReason
	Detail string // in words, for the audit log and whoever is told
}

// Due reports whether a running experiment ends by its own rules at now, harm
// first: no other rule may hide it. Results that cannot be trusted, because the
// leads are not spread as the weights say, decide nothing.
func (r *ExperimentReport) Due(now time.Time) (ExperimentEnd, bool) {
	e := &r.Experiment
	if e.State != ExperimentRunning || e.StartedAt == nil {
		return ExperimentEnd{}, false
	}
	if r.SampleRatioOK {
		decided := true
		for i := range r.Comparisons {
			c := &r.Comparisons[i]
			if c.Verdict == ArmWorse {
				return ExperimentEnd{ExperimentRolledBack, StopHarm, c.Headline}, true
			}
			decided = decided && c.Verdict != ArmUndecided
		}
		if e.StopOnVerdict && decided {
			return ExperimentEnd{ExperimentStopped, StopVerdict, r.Headline}, true
		}
	}
	if e.MaxDays != nil && !now.Before(e.StartedAt.AddDate(0, 0, *e.MaxDays)) {
		return ExperimentEnd{ExperimentStopped, StopMaxDays, r.Headline}, true
	}
	var leads int64
	for i := range r.Arms {
		leads += r.Arms[i].Leads
	}
	if e.MaxLeads != nil && leads >= *e.MaxLeads {
		return ExperimentEnd{ExperimentStopped, StopMaxLeads, r.Headline}, true
	}
	return ExperimentEnd{}, false
}
