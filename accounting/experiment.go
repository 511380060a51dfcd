package accounting

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// Experiment gives the leads of a campaign different amounts of AI, by chance,
// to find out what that is worth. Times are UTC.
type Experiment struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	CampaignID string          `json:"campaign_id"` // empty: leads of every campaign
	Purpose    string          `json:"purpose"`     // only calls for it count and are changed; empty: all
	Arms       []ExperimentArm `json:"arms"`        // the first is the control
	Metric     Metric          `json:"metric"`
	Margin     Amount          `json:"margin"`  // of the control's rate, which an arm may lose and still be good enough; a share
	Enforce    bool            `json:"enforce"` // Bursar applies the arms; false: the application asks for them

	StopOnVerdict bool   `json:"stop_on_verdict"` // it ends when every arm is told from the control, or found good enough
	MaxDays       *int   `json:"max_days"`        // after which it ends; nil: no limit
	MaxLeads      *int64 `json:"max_leads"`       // with which it ends; nil: no limit

	State     ExperimentState `json:"state"`
	StartedAt *time.Time      `json:"started_at"` // from which calls count
	EndedAt   *time.Time      `json:"ended_at"`   // from which they do no longer; what comes of its leads still does
	EndedBy   *string         `json:"ended_by"`
	EndReason *string         `json:"end_reason"` // in words; of one that ended by itself, a [StopReason]
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// ExperimentArm is one of the ways in which an experiment treats leads.
type ExperimentArm struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"` // its share of the leads is its weight ÷ those of all arms
	Model  string `json:"model"`  // in place of the one that calls ask for; empty: as they ask
	AI     bool   `json:"ai"`     // false: no call is made
}

// Metric is what an experiment is decided by: a share of leads.
type Metric string

// The metrics, as shares of the leads that were seen.
const (
	MetricConversion Metric = "conversion" // that booked a meeting
	MetricReplies    Metric = "reply_rate" // that replied
	MetricSends      Metric = "send_rate"  // to which something was sent
)

// ExperimentState is where an experiment stands.
type ExperimentState string

// The states. From each of the last two no way leads back.
const (
	ExperimentDraft      ExperimentState = "draft"       // can be changed; nothing counts
	ExperimentRunning    ExperimentState = "running"     // leads are assigned
	ExperimentStopped    ExperimentState = "stopped"     // over: calls are as the application asks
	ExperimentRolledBack ExperimentState = "rolled_back" // the same, because something was wrong with it
)

// Errors about experiments.
var (
	// ErrUnknownExperiment is the answer to an id of which there is none.
	ErrUnknownExperiment = errors.New("there is no experiment with that id")
	// ErrExperimentExists is the answer to a new one with the id of another.
	ErrExperimentExists = errors.New("there is an experiment with that id")
	// ErrTooManyExperiments is the answer to one beyond [MaxOpenExperiments].
	ErrTooManyExperiments = errors.New("there are too many experiments that are drafts or run")
)

// ExperimentConflictError says why an experiment cannot do what was asked.
type ExperimentConflictError struct {
	State ExperimentState // that it is in
	Other string          // the running experiment that stands in the way; empty: its state does
}

// Error names what stands in the way.
func (e *ExperimentConflictError) Error() string {
	if e.Other != "" {
		return "experiment " + e.Other + " runs for some of the same calls"
	}
	return "the experiment is " + string(e.State)
}

// The actions of experiments in the audit log.
const (
	ActionExperimentCreate   = "experiment.create"
	ActionExperimentChange   = "experiment.change"
	ActionExperimentDelete   = "experiment.delete"
	ActionExperimentStart    = "experiment.start"
	ActionExperimentStop     = "experiment.stop"
	ActionExperimentRollback = "experiment.rollback"
)

// Holds reports whether a call with these tags that started at at belongs to
// the experiment: it is for a lead, of the campaign and for the purpose, and was
// made while the experiment ran.
func (e *Experiment) Holds(at time.Time, t *Tags) bool {
	return t.LeadID != "" && e.holdsTags(t.CampaignID, t.Purpose) &&
		e.StartedAt != nil && !at.Before(*e.StartedAt) && (e.EndedAt == nil || at.Before(*e.EndedAt))
}

func (e *Experiment) holdsTags(campaign, purpose string) bool {
	return (e.CampaignID == "" || e.CampaignID == campaign) && (e.Purpose == "" || e.Purpose == purpose)
}

// Follows reports whether what comes of a campaign's leads from at on is a
// result of the experiment, if they were seen in it. It goes on after the
// experiment has ended: a meeting comes weeks after its email.
func (e *Experiment) Follows(at time.Time, campaign string) bool {
	return (e.CampaignID == "" || e.CampaignID == campaign) && e.StartedAt != nil && !at.Before(*e.StartedAt)
}

// Overlaps reports whether one call may belong to both experiments.
func (e *Experiment) Overlaps(o *Experiment) bool {
	return (e.CampaignID == "" || o.CampaignID == "" || e.CampaignID == o.CampaignID) &&
		(e.Purpose == "" || o.Purpose == "" || e.Purpose == o.Purpose)
}

// TotalWeight is the sum of the arms' weights.
func (e *Experiment) TotalWeight() int64 {
	var sum int64
	for i := range e.Arms {
		sum += int64(e.Arms[i].Weight)
	}
	return sum
}

// Assign returns which arm a lead is in, by its place among the arms. It
// depends on the experiment's id, its weights and the lead's id alone, so
// anybody can compute it: the first 12 hexadecimal digits of the SHA-256 of
// "<experiment>/<lead>" are a number, and its remainder by the sum of the
// weights is a place. The arms stand beside each other in their order, each as
// wide as its weight, and the lead is in the one that has its place.
//
// So in the experiment cheaper-model with the weights 50 and 50 lead-1 is in
// the second arm: d443de65ffaa is 233387959123882, whose place is 82.
//
// Other leads never move one, and in another experiment it is assigned
// independently of this one.
func (e *Experiment) Assign(lead string) int {
	place := int64(assignmentHash(e.ID, lead) % uint64(max(1, e.TotalWeight()))) //nolint:gosec // less than a sum of weights
	for i := range e.Arms {
		if place -= int64(e.Arms[i].Weight); place < 0 {
			return i
		}
	}
	return 0
}

// assignmentHash is 48 bits long: every language that counts in floating-point
// numbers has integers of that size.
func assignmentHash(experiment, lead string) uint64 {
	sum := sha256.Sum256([]byte(experiment + "/" + lead))
	return binary.BigEndian.Uint64(sum[:8]) >> 16
}

// Assignment is the arm that a lead is in.
type Assignment struct {
	ExperimentID string        `json:"experiment_id"`
	LeadID       string        `json:"lead_id"`
	Arm          ExperimentArm `json:"arm"`
	Control      bool          `json:"control"` // it is the control
	Enforced     bool          `json:"enforced"`
}

// AssignmentOf is the arm that a lead is in.
func (e *Experiment) AssignmentOf(lead string) Assignment {
	arm := e.Assign(lead)
	return Assignment{ExperimentID: e.ID, LeadID: lead, Arm: e.Arms[arm], Control: arm == 0,
		Enforced: e.Enforce && e.State == ExperimentRunning}
}

// ExperimentSubject is how the audit log names an experiment.
func ExperimentSubject(id string) string { return "experiment/" + id }
