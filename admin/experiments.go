package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Experiments keeps experiments. Each method that changes one writes its entry
// of the audit log in the transaction of the change. All are called
// concurrently and must return when ctx ends. One that is not there is
// [accounting.ErrUnknownExperiment]; one that cannot do what is asked is an
// [accounting.ExperimentConflictError].
type Experiments interface {
	// ListExperiments lists those in a state, or (empty) all, the newest first.
	ListExperiments(ctx context.Context, state accounting.ExperimentState) ([]accounting.Experiment, error)
	FindExperiment(ctx context.Context, id string) (accounting.Experiment, error)
	// CreateExperiment makes a draft; with the id of another one it is
	// [accounting.ErrExperimentExists].
	CreateExperiment(ctx context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error)
	// ReplaceExperiment puts a draft in place of another one.
	ReplaceExperiment(ctx context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error)
	// DeleteExperiment takes a draft away.
	DeleteExperiment(ctx context.Context, id, actor, reason string) error
	StartExperiment(ctx context.Context, id, actor, reason string) (accounting.Experiment, error)
	// EndExperiment stops it or rolls it back; doing so twice changes nothing.
	EndExperiment(ctx context.Context, id string, to accounting.ExperimentState, actor, reason string) (accounting.Experiment, error)
	// ExperimentSums are what the leads of each arm have cost and brought.
	ExperimentSums(ctx context.Context, e *accounting.Experiment) ([]accounting.ArmSums, error)
	// EnrolLead has a lead take part in a running experiment.
	EnrolLead(ctx context.Context, id, lead, campaign string) (accounting.Assignment, error)
}

const (
	experimentsPath    = "/api/experiments"
	maxExperimentBytes = 64 << 10
)

var (
	experimentReadErrors  = append([]int{http.StatusNotFound}, economicsErrors...)
	experimentWriteErrors = append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge}, experimentReadErrors...)
)

var listExperimentsOperation = huma.Operation{
	OperationID: "list-experiments", Method: http.MethodGet, Path: experimentsPath,
	Summary: "All experiments", Description: "Every experiment, the newest first. What became of one: GET /api/experiments/{id}.",
	Tags: []string{"experiments"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var findExperimentOperation = huma.Operation{
	OperationID: "find-experiment", Method: http.MethodGet, Path: experimentsPath + "/{id}",
	Summary: "One experiment and what it found",
	Description: "What the leads of each arm have cost and brought, and each arm beside the control. " +
		"A lead counts in the arm that it was assigned to, whatever was in fact done (intention to treat), from the first call that belongs to the experiment on; what comes of it counts whenever it happens after the start. " +
		"Rates are shares of these leads, with 95 % Wilson intervals. " +
		"The comparison is a sequential test: it may be looked at, and acted on, on any day without more false findings than 5 % over all days and arms together (see docs/experiments.md). " +
		"Its question is whether an arm keeps the control's rate but for the margin; cost_saving says what that is worth.",
	Tags: []string{"experiments"}, Security: needsToken, Errors: experimentReadErrors, RejectUnknownQueryParameters: true,
}

var createExperimentOperation = huma.Operation{
	OperationID: "create-experiment", Method: http.MethodPost, Path: experimentsPath, DefaultStatus: http.StatusCreated,
	Summary: "Draft an experiment",
	Description: "Makes a draft: nothing counts until POST /api/experiments/{id}/start, and until then it can be changed. The first arm is the control. " +
		"An arm has a model, which is put in place of the one that calls ask for; or none, and calls go as they ask; or ai: false, and there are no calls. " +
		"With enforce Bursar sees to that itself, for calls with an X-Lead-ID that write text; without, the application asks for each lead's arm and acts on it. Audited.",
	Tags: []string{"experiments"}, Security: needsToken, MaxBodyBytes: maxExperimentBytes, Errors: experimentWriteErrors,
}

var replaceExperimentOperation = huma.Operation{
	OperationID: "replace-experiment", Method: http.MethodPut, Path: experimentsPath + "/{id}",
	Summary:     "Change a draft",
	Description: "Puts what is sent in place of a draft; what is left out takes its default. 409 once it has been started: other weights would move leads from arm to arm. Audited.",
	Tags:        []string{"experiments"}, Security: needsToken, MaxBodyBytes: maxExperimentBytes, Errors: experimentWriteErrors,
}

var deleteExperimentOperation = huma.Operation{
	OperationID: "delete-experiment", Method: http.MethodDelete, Path: experimentsPath + "/{id}",
	Summary: "Delete a draft", Description: "Takes a draft away; its id is free again. 409 once it has been started: what was found stays. Audited.",
	Tags: []string{"experiments"}, Security: needsToken, Errors: append([]int{http.StatusForbidden, http.StatusConflict}, experimentReadErrors...), RejectUnknownQueryParameters: true,
}

// endings are the operations that move an experiment from state to state.
func ending(verb, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: verb + "-experiment", Method: http.MethodPost, Path: experimentsPath + "/{id}/" + verb, Summary: summary, Description: description + " Audited.",
		Tags: []string{"experiments"}, Security: needsToken, Errors: append([]int{http.StatusForbidden, http.StatusConflict}, experimentReadErrors...), RejectUnknownQueryParameters: true,
	}
}

var (
	startExperimentOperation = ending("start", "Start an experiment",
		"Leads are assigned from a second later on, by all replicas at once. 409 if it has been started before, or if another enforced experiment runs for some of the same calls.")
	stopExperimentOperation = ending("stop", "Stop an experiment",
		"Calls are as the application asks again, on every replica within about a second. No further lead is taken in; what comes of those it has still counts. 409 if it was never started, or was rolled back.")
	rollbackExperimentOperation = ending("rollback", "Undo an experiment",
		"One call that puts everything back: calls are as the application asks again, on every replica within about a second. As stop, but it says that something was wrong; a stopped experiment can still be rolled back. 409 if it was never started.")
)

func (e *economics) experimentRoutes(api huma.API) {
	if e.Experiments == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "experiments", Description: "How much AI is worth: leads in arms, by chance."})
	huma.Register(api, listExperimentsOperation, operation(e.listExperiments))
	huma.Register(api, findExperimentOperation, operation(e.findExperiment))
	huma.Register(api, createExperimentOperation, operation(e.createExperiment))
	huma.Register(api, replaceExperimentOperation, operation(e.replaceExperiment))
	huma.Register(api, deleteExperimentOperation, operation(e.deleteExperiment))
	huma.Register(api, startExperimentOperation, operation(e.startExperiment))
	huma.Register(api, stopExperimentOperation, operation(e.endExperiment(accounting.ExperimentStopped)))
	huma.Register(api, rollbackExperimentOperation, operation(e.endExperiment(accounting.ExperimentRolledBack)))
	huma.Register(api, findAssignmentOperation, operation(e.findAssignment))
	huma.Register(api, enrolOperation, operation(e.enrol))
	describeExperiments(api)
}

// experimentsInput is the query of GET /api/experiments.
type experimentsInput struct {
	State string `query:"state" enum:"draft,running,stopped,rolled_back" doc:"Experiments in this state." example:"running"`
}

// Resolve checks what no single parameter's schema can say.
func (in *experimentsInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

type experimentList struct {
	Experiments []accounting.Experiment `json:"experiments" nullable:"false" doc:"The newest first."`
}

// listExperiments answers GET /api/experiments.
func (e *economics) listExperiments(ctx context.Context, in *experimentsInput) (*answer[experimentList], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	list, err := e.Experiments.ListExperiments(reading, accounting.ExperimentState(in.State))
	if err != nil {
		return nil, err
	}
	return answered(experimentList{orEmpty(list)}), nil
}

// experimentInput names an experiment in the path.
type experimentInput struct {
	ID string `path:"id" maxLength:"80" doc:"The experiment." example:"cheaper-model"`
}

// findExperiment answers GET /api/experiments/{id}.
func (e *economics) findExperiment(ctx context.Context, in *experimentInput) (*answer[accounting.ExperimentReport], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	found, err := e.Experiments.FindExperiment(reading, in.ID)
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	sums, err := e.Experiments.ExperimentSums(reading, &found)
	if err != nil {
		return nil, err
	}
	return answered(found.Report(sums)), nil
}

// endInput is the request of DELETE, start, stop and rollback.
type endInput struct {
	ID     string `path:"id" maxLength:"80" doc:"The experiment." example:"cheaper-model"`
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log." example:"the sales team asked for it"`
}

// Resolve checks what no single parameter's schema can say.
func (in *endInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// startExperiment answers POST /api/experiments/{id}/start.
func (e *economics) startExperiment(ctx context.Context, in *endInput) (*answer[accounting.Experiment], error) {
	if err := problemIf(checkReason(in.Reason, false)); err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	started, err := e.Experiments.StartExperiment(writing, in.ID, actorOf(ctx), in.Reason)
	if err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	return answered(started), nil
}

// deletedExperiment is the data of DELETE /api/experiments/{id}.
type deletedExperiment struct {
	ID string `json:"id" doc:"The draft that was deleted." example:"cheaper-model"`
}

// deleteExperiment answers DELETE /api/experiments/{id}.
func (e *economics) deleteExperiment(ctx context.Context, in *endInput) (*answer[deletedExperiment], error) {
	if err := problemIf(checkReason(in.Reason, false)); err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	if err := e.Experiments.DeleteExperiment(writing, in.ID, actorOf(ctx), in.Reason); err != nil {
		return nil, experimentProblem(in.ID, err)
	}
	return answered(deletedExperiment{ID: in.ID}), nil
}

// endExperiment answers POST /api/experiments/{id}/stop and /rollback.
func (e *economics) endExperiment(to accounting.ExperimentState) func(context.Context, *endInput) (*answer[accounting.Experiment], error) {
	return func(ctx context.Context, in *endInput) (*answer[accounting.Experiment], error) {
		if err := problemIf(checkReason(in.Reason, false)); err != nil {
			return nil, err
		}
		writing, cancel := limited(ctx)
		defer cancel()
		ended, err := e.Experiments.EndExperiment(writing, in.ID, to, actorOf(ctx), in.Reason)
		if err != nil {
			return nil, experimentProblem(in.ID, err)
		}
		return answered(ended), nil
	}
}

// experimentProblem is what is told of the store's answer about an experiment.
func experimentProblem(id string, err error) error {
	var conflict *accounting.ExperimentConflictError
	switch {
	case errors.Is(err, accounting.ErrUnknownExperiment):
		return newProblem(http.StatusNotFound, "There is no experiment %s. GET %s lists those there are.", shown(id), experimentsPath)
	case errors.Is(err, accounting.ErrExperimentExists):
		return newProblem(http.StatusConflict, "There is an experiment %s. Choose another id, or change that one (PUT %s/%[1]s) if it is a draft.", shown(id), experimentsPath)
	case errors.Is(err, accounting.ErrTooManyExperiments):
		return newProblem(http.StatusConflict, "There are %d experiments that are drafts or run, which is the most there can be: stop one, or delete a draft (DELETE %s/{id}).", accounting.MaxOpenExperiments, experimentsPath)
	case errors.As(err, &conflict) && conflict.Other != "":
		return newProblem(http.StatusConflict, "Experiment %s is enforced and runs for some of the same calls, which cannot be in two. Stop it first (POST %s/%[1]s/stop), "+
			"or give this one another campaign or purpose.", conflict.Other, experimentsPath)
	case errors.As(err, &conflict):
		return newProblem(http.StatusConflict, "Experiment %s is %s. %s", shown(id), conflict.State, wayOut(conflict.State))
	}
	return err
}

// wayOut says what can be done with an experiment in a state.
func wayOut(s accounting.ExperimentState) string {
	switch s {
	case accounting.ExperimentDraft:
		return "It can be changed (PUT), started and deleted."
	case accounting.ExperimentRunning:
		return "It can be stopped or rolled back; to change it, stop it and make another one with an id of its own."
	}
	return "It is over; make another one with an id of its own."
}
