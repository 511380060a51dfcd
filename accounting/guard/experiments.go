package guard

import (
	"fmt"

	"bursar/accounting"
)

// running are the enforced experiments that run, by campaign.
type running struct {
	byCampaign map[string][]*accounting.Experiment // "" are those of every campaign
}

func newRunning(list []accounting.Experiment) running {
	var t running
	for i := range list {
		if e := &list[i]; e.Enforce && e.State == accounting.ExperimentRunning {
			put(&t.byCampaign, e.CampaignID, e)
		}
	}
	return t
}

// of is the experiment that a call belongs to, nil if there is none. No two that
// run have a call in common; if they had, the first one would hold it.
func (t *running) of(ask *accounting.Ask) *accounting.Experiment {
	if len(t.byCampaign) == 0 || !ask.Steerable || ask.Tags.LeadID == "" {
		return nil
	}
	for _, e := range t.byCampaign[ask.Tags.CampaignID] {
		if e.Holds(ask.At, ask.Tags) {
			return e
		}
	}
	if ask.Tags.CampaignID == "" {
		return nil
	}
	for _, e := range t.byCampaign[""] {
		if e.Holds(ask.At, ask.Tags) {
			return e
		}
	}
	return nil
}

// assign finds the arm that the call's lead is in, and has the rest of the
// inquiry be about the model that this arm wants.
func (q *inquiry) assign() {
	e := q.set.running.of(q.ask)
	if e == nil {
		return
	}
	q.experiment, q.arm = e, &e.Arms[e.Assign(q.ask.Tags.LeadID)]
	if q.arm.Model == "" {
		return
	}
	// The arm's model is put into the body, so the body has to be read. One
	// that asks for it already stays as it is, byte for byte.
	if q.readModels(); len(q.models) == 0 || q.models[0] != q.arm.Model {
		q.base, q.model = q.arm.Model, q.arm.Model
	}
}

// note says in a decision which arm the call's lead is in.
func (q *inquiry) note(d *accounting.BudgetDecision) *accounting.BudgetDecision {
	if q.experiment != nil {
		d.Experiment, d.Arm, d.ArmModel = q.experiment.ID, q.arm.Name, q.base
		q.noteModel(d)
	}
	return d
}

// withoutAI is the decision about a call for a lead that gets no AI.
func (q *inquiry) withoutAI() *accounting.BudgetDecision {
	return &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonWithoutAI,
		Detail: fmt.Sprintf("Experiment %q has the lead %q in its arm %q, which uses no AI: write to this lead without it. "+
			"GET /api/experiments/%s/assignment on the admin port says so beforehand.", q.experiment.ID, q.ask.Tags.LeadID, q.arm.Name, q.experiment.ID)}
}
