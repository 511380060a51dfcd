package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

var findAssignmentOperation = huma.Operation{
	OperationID: "find-assignment", Method: http.MethodGet, Path: experimentsPath + "/{id}/assignment",
	Summary: "Which arm a lead is in",
	Description: "The lead's arm, whether or not anybody has seen the lead, and whatever state the experiment is in; it is not recorded that somebody asked. " +
		"It depends on the experiment's id, its weights and the lead's id alone: the first 12 hexadecimal digits of the SHA-256 of \"<experiment>/<lead>\" are a number, and its remainder by the sum of the weights lies in the lead's arm, the arms standing beside each other, each as wide as its weight.",
	Tags: []string{"experiments"}, Security: needsToken, Errors: experimentReadErrors, RejectUnknownQueryParameters: true,
}

var enrolOperation = huma.Operation{
	OperationID: "enrol-lead", Method: http.MethodPost, Path: experimentsPath + "/{id}/assignment",
	Summary: "Have a lead take part",
	Description: "Returns the lead's arm and counts the lead from now on, whether or not a call is made for it. " +
		"An application that applies the arms itself (enforce: false) asks in this way: a lead in an arm without AI makes no call by which Bursar could know of it, and an arm whose leads are not all counted cannot be compared. " +
		"Doing so again changes nothing. 409 unless the experiment runs.",
	Tags: []string{"experiments"}, Security: needsToken, MaxBodyBytes: maxExperimentBytes, Errors: experimentWriteErrors,
}

// assignmentInput is the request of GET /api/experiments/{id}/assignment.
type assignmentInput struct {
	ID   string `path:"id" maxLength:"80" doc:"The experiment." example:"cheaper-model"`
	Lead string `query:"lead_id" required:"true" minLength:"1" maxLength:"200" doc:"The lead, as in X-Lead-ID; it need not be known." example:"lead-42"`
}

// Resolve checks what no single parameter's schema can say.
func (in *assignmentInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// findAssignment answers GET /api/experiments/{id}/assignment.
func (e *economics) findAssignment(ctx context.Context, in *assignmentInput) (*answer[accounting.Assignment], error) {
	if err := problemIf(checkTag("lead_id", in.Lead)); err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	found, err := e.Experiments.FindExperiment(reading, in.ID)
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	return answered(found.AssignmentOf(in.Lead)), nil
}

// enrolInput is the request of POST /api/experiments/{id}/assignment.
type enrolInput struct {
	ID   string `path:"id" maxLength:"80" doc:"The experiment." example:"cheaper-model"`
	Body struct {
		Lead     string `json:"lead_id" minLength:"1" maxLength:"200" doc:"The lead, as in X-Lead-ID." example:"lead-42"`
		Campaign string `json:"campaign_id,omitempty" maxLength:"200" doc:"As in X-Campaign-ID; default: the experiment's." example:"q4-outreach"`
	}
}

// enrol answers POST /api/experiments/{id}/assignment.
func (e *economics) enrol(ctx context.Context, in *enrolInput) (*answer[accounting.Assignment], error) {
	if err := problemIf(append(checkTag("lead_id", in.Body.Lead), checkTag("campaign_id", in.Body.Campaign)...)); err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	found, err := e.Experiments.FindExperiment(writing, in.ID)
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	campaign := in.Body.Campaign
	switch {
	case campaign == "":
		campaign = found.CampaignID
	case found.CampaignID != "" && found.CampaignID != campaign:
		return nil, invalid(fieldError{Field: "campaign_id", Value: shown(campaign), Message: "the experiment is of another campaign", Allowed: shown(found.CampaignID) + ", or nothing"})
	}
	assigned, err := e.Experiments.EnrolLead(writing, in.ID, in.Body.Lead, campaign)
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	return answered(assigned), nil
}

// checkTag finds a value that no tag of a call can have.
func checkTag(field, value string) []fieldError {
	if clean, changed := accounting.CleanTag(value); changed || clean != value {
		return []fieldError{{Field: field, Value: shown(value), Message: "expected printable text of at most 200 bytes without white space around it"}}
	}
	return nil
}

// assignments are the arms of a lead in the experiments of its campaign that run.
func (e *economics) assignments(ctx context.Context, lead, campaign string) ([]accounting.Assignment, error) {
	assigned := []accounting.Assignment{}
	if e.Experiments == nil {
		return assigned, nil
	}
	running, err := e.Experiments.ListExperiments(ctx, accounting.ExperimentRunning)
	if err != nil {
		return nil, err
	}
	for i := range running {
		if r := &running[i]; r.CampaignID == "" || r.CampaignID == campaign {
			assigned = append(assigned, r.AssignmentOf(lead))
		}
	}
	return assigned, nil
}

// withoutAI is what is recommended for a lead that gets no AI by an experiment.
func withoutAI(assigned []accounting.Assignment) (accounting.Personalisation, string, bool) {
	for i := range assigned {
		if a := &assigned[i]; !a.Arm.AI {
			return accounting.PersonaliseNone, "Experiment " + a.ExperimentID + " has the lead in its arm " + a.Arm.Name + ", which uses no AI.", true
		}
	}
	return "", "", false
}
