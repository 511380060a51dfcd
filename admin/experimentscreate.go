package admin

import (
	"cmp"
	"context"

	"bursar/accounting"
)

// ExperimentBody is an experiment as it is sent. It is exported because huma looks
// into embedded structs that are.
type ExperimentBody struct {
	Name          string             `json:"name" minLength:"1" maxLength:"200" doc:"Name for people." example:"Cheaper model"`
	CampaignID    string             `json:"campaign_id,omitempty" maxLength:"200" doc:"As in X-Campaign-ID. Absent or empty: leads of every campaign." example:"q4-outreach"`
	Purpose       string             `json:"purpose,omitempty" maxLength:"200" doc:"As in X-Purpose: only calls for it count and are changed. Absent or empty: all." example:"email_generation"`
	Arms          []armBody          `json:"arms" minItems:"2" maxItems:"8" doc:"The first is the control." example:"[{\"name\":\"control\",\"weight\":50},{\"name\":\"cheap\",\"weight\":50,\"model\":\"openai/gpt-5-mini\"}]"`
	Metric        string             `json:"metric,omitempty" enum:"conversion,reply_rate,send_rate" default:"conversion" doc:"What decides: the share of leads that booked a meeting, replied, or were sent something." example:"conversion"`
	Margin        *accounting.Amount `json:"margin,omitempty" doc:"Of the control's rate, which an arm may lose and still be good enough; a share of more than 0 and less than 1. Absent: 0.2." example:"0.2"`
	Enforce       bool               `json:"enforce,omitempty" doc:"Bursar applies the arms; false: the application asks for them." example:"true"`
	StopOnVerdict bool               `json:"stop_on_verdict,omitempty" doc:"It ends when every arm is told from the control, or found good enough. On harm it always ends." example:"true"`
	MaxDays       *int               `json:"max_days,omitempty" nullable:"true" minimum:"1" maximum:"365" doc:"After which it ends. Absent or null: no limit." example:"60"`
	MaxLeads      *int64             `json:"max_leads,omitempty" nullable:"true" minimum:"1" maximum:"100000000" doc:"With which it ends. Absent or null: no limit." example:"20000"`
}

// armBody is an arm as it is sent.
type armBody struct {
	Name   string `json:"name" minLength:"1" maxLength:"40" doc:"Lower-case letters, digits and hyphens." example:"cheap"`
	Weight int    `json:"weight,omitempty" default:"1" minimum:"1" maximum:"1000" doc:"Its share of the leads is this ÷ the sum over all arms." example:"50"`
	Model  string `json:"model,omitempty" maxLength:"200" doc:"In place of the one that calls ask for. Absent or empty: as they ask." example:"openai/gpt-5-mini"`
	AI     *bool  `json:"ai,omitempty" doc:"false: no call is made. Absent: true." example:"true"`
}

// createExperimentInput is the request of POST /api/experiments.
type createExperimentInput struct {
	Body struct {
		ID string `json:"id,omitempty" maxLength:"80" doc:"Lower-case letters, digits and hyphens; leads are assigned by it. Absent: made from name." example:"cheaper-model"`
		ExperimentBody
	}
}

// replaceExperimentInput is the request of PUT /api/experiments/{id}.
type replaceExperimentInput struct {
	ID   string `path:"id" maxLength:"80" doc:"The experiment." example:"cheaper-model"`
	Body ExperimentBody
}

type createdExperiment struct {
	Location string `header:"Location" doc:"Address of the experiment."`
	Body     envelope[accounting.Experiment]
}

// createExperiment answers POST /api/experiments.
func (e *economics) createExperiment(ctx context.Context, in *createExperimentInput) (*createdExperiment, error) {
	draft := in.Body.experiment(cmp.Or(in.Body.ID, accounting.ExperimentSlug(in.Body.Name)))
	if err := problemIf(e.checkExperiment(&draft)); err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	made, err := e.Experiments.CreateExperiment(writing, draft, actorOf(ctx))
	if err != nil {
		return nil, experimentProblem(draft.ID, err)
	}
	return &createdExperiment{Location: experimentsPath + "/" + made.ID, Body: envelope[accounting.Experiment]{Success: true, Data: made}}, nil
}

// replaceExperiment answers PUT /api/experiments/{id}.
func (e *economics) replaceExperiment(ctx context.Context, in *replaceExperimentInput) (*answer[accounting.Experiment], error) {
	draft := in.Body.experiment(in.ID)
	writing, cancel := limited(ctx)
	defer cancel()
	if _, err := e.Experiments.FindExperiment(writing, in.ID); err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	if err := problemIf(e.checkExperiment(&draft)); err != nil {
		return nil, err
	}
	changed, err := e.Experiments.ReplaceExperiment(writing, draft, actorOf(ctx))
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	return answered(changed), nil
}

// experiment is the body as the domain knows it.
func (b *ExperimentBody) experiment(id string) accounting.Experiment {
	e := accounting.Experiment{
		ID: id, Name: b.Name, CampaignID: b.CampaignID, Purpose: b.Purpose, Metric: accounting.Metric(b.Metric), Margin: accounting.DefaultExperimentMargin(),
		Enforce: b.Enforce, StopOnVerdict: b.StopOnVerdict, MaxDays: b.MaxDays, MaxLeads: b.MaxLeads, State: accounting.ExperimentDraft,
	}
	if b.Margin != nil {
		e.Margin = *b.Margin
	}
	for _, a := range b.Arms {
		e.Arms = append(e.Arms, accounting.ExperimentArm{Name: a.Name, Weight: a.Weight, Model: a.Model, AI: a.AI == nil || *a.AI})
	}
	return e
}

// checkExperiment finds everything that is wrong with a draft.
func (e *economics) checkExperiment(draft *accounting.Experiment) []fieldError {
	return wrongFields(draft.Validate(e.Purposes))
}
