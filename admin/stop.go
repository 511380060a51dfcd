package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Stops keeps emergency stops and holds, for all replicas. It is called
// concurrently, writes the audit log in the transaction of the change, and
// returns when ctx ends.
type Stops interface {
	// CreateStop writes a stop. The same id again changes nothing.
	CreateStop(ctx context.Context, s accounting.Stop) (accounting.Stop, error)
	// LiftStop ends one; an id of no active stop is [accounting.ErrUnknownStop].
	LiftStop(ctx context.Context, id, actor string, now time.Time) (accounting.Stop, error)
	// ListStops returns those that are active, or all, with the part that each
	// living replica has in them.
	ListStops(ctx context.Context, all bool) ([]accounting.Stop, error)
}

// LocalStops is the guard of this replica: what it is told holds at once,
// without the database, and over restarts. It writes to the database what that
// does not know once it answers. It is called concurrently and does not wait
// for the database.
type LocalStops interface {
	// PutStop has the stop hold here. The error says that it holds in memory
	// only.
	PutStop(s accounting.Stop) error
	// LiftStop has it hold no longer; an id of no stop that holds here is
	// [accounting.ErrUnknownStop].
	LiftStop(id, actor string, now time.Time) error
	// Stops are those that hold here.
	Stops() []accounting.Stop
}

// stopPath is where emergency stops are.
const stopPath = "/api/guard/emergency-stop"

const (
	// stopWriteTimeout bounds what a stop waits for the database, which may be
	// the very thing that is broken.
	stopWriteTimeout = 3 * time.Second
	// reachWait bounds what is waited for replicas to obey. Each asks four
	// times a second.
	reachWait = 3 * time.Second
	// reachPoll is how often they are looked at meanwhile.
	reachPoll = 50 * time.Millisecond
	// maxStopBytes bounds the body of a stop.
	maxStopBytes = 8 << 10
)

var stopErrors = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity,
	http.StatusInternalServerError, http.StatusServiceUnavailable,
}

var putStopOperation = huma.Operation{
	OperationID: "emergency-stop",
	Method:      http.MethodPut,
	Path:        stopPath,
	Summary:     "Stop calls at once",
	Description: "Blocks every call of the scope, or every call there is, until the stop is lifted: on this replica at once, on every replica that reaches the database within one second, and over restarts. " +
		"The answer comes when every living replica obeys, or after three seconds; reach says which do. " +
		"Without the database the stop holds on this replica only, and is written once the database is back: written is false. " +
		"cut_streams also ends calls in flight; what they cost is recorded as ever. " +
		"drill blocks nothing: it measures how long each replica takes, and is lifted by itself before the answer. " +
		"Each request is a stop of its own. Audited.",
	Tags:         []string{"guard"},
	Security:     needsToken,
	MaxBodyBytes: maxStopBytes,
	Errors:       append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, stopErrors...),
}

var listStopsOperation = huma.Operation{
	OperationID: "list-emergency-stops",
	Method:      http.MethodGet,
	Path:        stopPath,
	Summary:     "What is stopped",
	Description: "Every active emergency stop, every campaign that the spike brake holds, and how each living replica stands to it. " +
		"Without the database: what holds on this replica; complete is false.",
	Tags:                         []string{"guard"},
	Security:                     needsToken,
	Errors:                       stopErrors,
	RejectUnknownQueryParameters: true,
}

var liftStopsOperation = huma.Operation{
	OperationID: "lift-emergency-stops",
	Method:      http.MethodDelete,
	Path:        stopPath,
	Summary:     "Lift every stop",
	Description: "Lifts every emergency stop, drills included. A campaign that the spike brake holds stays held: lift it by its id, or with kind=spike. " +
		"Where nothing is stopped nothing changes. Audited.",
	Tags:                         []string{"guard"},
	Security:                     needsToken,
	Errors:                       stopErrors,
	RejectUnknownQueryParameters: true, // a misspelt kind must not lift something else
}

var liftStopOperation = huma.Operation{
	OperationID:                  "lift-emergency-stop",
	Method:                       http.MethodDelete,
	Path:                         stopPath + "/{id}",
	Summary:                      "Lift one stop",
	Description:                  "Lifts an emergency stop, or releases a campaign that the spike brake holds. Audited.",
	Tags:                         []string{"guard"},
	Security:                     needsToken,
	Errors:                       append([]int{http.StatusNotFound}, stopErrors...),
	RejectUnknownQueryParameters: true,
}

func (h *Handler) stopRoutes(api huma.API) {
	huma.Register(api, putStopOperation, operation(h.putStop))
	huma.Register(api, listStopsOperation, operation(h.listStops))
	huma.Register(api, liftStopsOperation, operation(h.liftStops))
	huma.Register(api, liftStopOperation, operation(h.liftStop))
}

// stopView is a stop, and whether others can know of it.
type stopView struct {
	accounting.Stop
	Written bool `json:"written" doc:"The database has it, so that every replica that reaches the database obeys it. false: only this replica does, until the database is back."`
	Obeyed  bool `json:"obeyed" doc:"Every living replica obeys it."`
}

func viewOf(s accounting.Stop, written bool) stopView {
	s.Reach = orEmpty(s.Reach)
	obeyed := written && len(s.Reach) > 0
	for _, r := range s.Reach {
		obeyed = obeyed && r.ActiveAt != nil
	}
	return stopView{Stop: s, Written: written, Obeyed: obeyed}
}

// putStopInput is the request of PUT /api/guard/emergency-stop.
type putStopInput struct {
	Body struct {
		Scope      *scopeBody `json:"scope,omitempty" doc:"Calls that have all of these are blocked. Absent: every call."`
		Reason     string     `json:"reason" maxLength:"500" doc:"Why, for the audit log and for whoever is refused." example:"the agency's agent runs in circles"`
		CutStreams bool       `json:"cut_streams,omitempty" doc:"End calls in flight as well." example:"false"`
		Drill      bool       `json:"drill,omitempty" doc:"Block nothing: measure how long the replicas take." example:"false"`
	}
}

type stopOutput struct {
	Body envelope[stopView]
}

// putStop answers PUT /api/guard/emergency-stop.
func (h *Handler) putStop(ctx context.Context, in *putStopInput) (*stopOutput, error) {
	scope, wrong := in.Body.Scope.scope(h.budgets.Purposes, h.budgets.KeyLabels)
	if in.Body.Scope != nil && scope.IsZero() && len(wrong) == 0 {
		// A template with nothing filled in must not stop everything.
		wrong = append(wrong, fieldError{Field: "scope", Message: "expected at least one member", Allowed: "leave out scope to stop every call"})
	}
	wrong = append(wrong, neededReason(in.Body.Reason, "expected why calls are stopped")...)
	if err := problemIf(wrong); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	stop := accounting.Stop{
		ID: stopID(now), Kind: accounting.StopEmergency, Scope: scope, Reason: strings.TrimSpace(in.Body.Reason), Actor: actorOf(ctx),
		CutStreams: in.Body.CutStreams && !in.Body.Drill, Drill: in.Body.Drill, CreatedAt: now,
	}
	view, err := h.giveStop(ctx, stop)
	if err != nil {
		return nil, err
	}
	if view.Written {
		view = h.awaitReach(ctx, view)
	}
	if stop.Drill {
		view = h.endDrill(ctx, view)
	}
	return &stopOutput{envelope[stopView]{Success: true, Data: view}}, nil
}

// neededReason finds what may not stand in the audit log as a reason, which
// must be given.
func neededReason(reason, missing string) []fieldError {
	wrong := checkReason(reason, true)
	if strings.TrimSpace(reason) == "" {
		wrong[0].Message = missing
	}
	return wrong
}
