package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Alerts reads alerts and takes that somebody has seen them. It is called
// concurrently and must return when ctx ends.
type Alerts interface {
	// ListAlerts returns the newest alerts that match, at most f.Limit of
	// them. A cursor it never handed out is [accounting.ErrBadCursor].
	ListAlerts(ctx context.Context, f accounting.AlertFilter) (accounting.AlertPage, error)
	// AcknowledgeAlert notes that actor has seen an alert, once; audited in
	// the same transaction. One that is not there is
	// [accounting.ErrUnknownAlert].
	AcknowledgeAlert(ctx context.Context, id int64, actor string, now time.Time) (accounting.Alert, error)
}

// AlertTester sends alerts that are only a test.
type AlertTester interface {
	// TestAlert sends one through every channel that is configured, at once
	// and without trying again, and returns it with what came of each
	// delivery. Without channels there are no deliveries, and nothing is kept.
	TestAlert(ctx context.Context, actor string) (accounting.Alert, error)
}

// testAlertTimeout bounds a test of all channels, below the server's
// WriteTimeout so that it can still be answered.
const testAlertTimeout = 40 * time.Second

var listAlertsOperation = huma.Operation{
	OperationID: "list-alerts",
	Method:      http.MethodGet,
	Path:        "/api/alerts",
	Summary:     "Alerts and their deliveries",
	Description: "What a person should know, newest first, with its way to each channel. An alert is made in the transaction of what caused it, once over all replicas. " +
		"Filters narrow the list together. To read on, repeat the request with the cursor of the page before.",
	Tags:                         []string{"alerts"},
	Security:                     needsToken,
	Errors:                       []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var acknowledgeAlertOperation = huma.Operation{
	OperationID: "acknowledge-alert",
	Method:      http.MethodPost,
	Path:        "/api/alerts/{id}/acknowledge",
	Summary:     "Say that an alert was seen",
	Description: "Notes who has seen the alert, and when. Again, it changes nothing. Deliveries that are under way go on. Audited.",
	Tags:        []string{"alerts"},
	Security:    needsToken,
	Errors:      budgetErrors,
}

var testAlertOperation = huma.Operation{
	OperationID: "test-alert",
	Method:      http.MethodPost,
	Path:        "/api/alerts/test",
	Summary:     "Send a test alert",
	Description: "Sends one alert, marked as a test, through every channel that is configured, and answers with what came of each: state delivered, or failed with the error. " +
		"409 where no channel is configured.",
	Tags:     []string{"alerts"},
	Security: needsToken,
	Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity,
		http.StatusInternalServerError, http.StatusServiceUnavailable},
}

func (h *Handler) alertRoutes(api huma.API) {
	huma.Register(api, listAlertsOperation, operation(h.listAlerts))
	huma.Register(api, acknowledgeAlertOperation, operation(h.acknowledgeAlert))
	if h.budgets.Tester != nil {
		huma.Register(api, testAlertOperation, operation(h.testAlert))
	}
}

// alertsInput is the query of GET /api/alerts.
type alertsInput struct {
	Kind           string    `query:"kind" maxLength:"100" doc:"Alerts of this kind." example:"budget_threshold"`
	Severity       string    `query:"severity" enum:"info,warning,critical" doc:"Alerts of this severity." example:"critical"`
	Subject        string    `query:"subject" maxLength:"300" doc:"Alerts about this." example:"budget/monthly-ai"`
	Unacknowledged bool      `query:"unacknowledged" doc:"Only alerts that nobody has acknowledged." example:"true"`
	Since          time.Time `query:"since" doc:"Alerts made at this time or later." example:"2026-11-01T00:00:00Z"`
	Until          time.Time `query:"until" doc:"Alerts made before this time." example:"2026-12-01T00:00:00Z"`
	Limit          int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Alerts of one page." example:"50"`
	Cursor         string    `query:"cursor" maxLength:"500" doc:"next_cursor of the page before, as it stands." example:"AAAAAAAAAAk"`
}

// Resolve checks what no single parameter's schema can say.
func (in *alertsInput) Resolve(ctx huma.Context) []error {
	return append(checkQueryOf(ctx), checkSpan(in.Since, in.Until)...)
}

// filter is the query as the store understands it.
func (in *alertsInput) filter() accounting.AlertFilter {
	f := accounting.AlertFilter{
		Kind: in.Kind, Severity: accounting.Severity(in.Severity), Subject: in.Subject, Unacknowledged: in.Unacknowledged,
		Limit: in.Limit, Cursor: in.Cursor,
	}
	if !in.Since.IsZero() {
		f.From = &in.Since
	}
	if !in.Until.IsZero() {
		f.To = &in.Until
	}
	return f
}

type alertsOutput struct {
	Body envelope[alertList]
}

// alertList is the data of GET /api/alerts.
type alertList struct {
	Alerts     []accounting.Alert `json:"alerts" nullable:"false" doc:"Newest first."`
	NextCursor *string            `json:"next_cursor" doc:"The cursor of the next, older page; null on the last one." example:"AAAAAAAAAAk"`
}

// listAlerts answers GET /api/alerts.
func (h *Handler) listAlerts(ctx context.Context, in *alertsInput) (*alertsOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	page, err := h.budgets.Store.ListAlerts(limited, in.filter())
	if errors.Is(err, accounting.ErrBadCursor) {
		return nil, badCursor(in.Cursor)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	list := alertList{Alerts: orEmpty(page.Alerts)}
	for i := range list.Alerts {
		list.Alerts[i] = tidyAlert(list.Alerts[i])
	}
	if page.NextCursor != "" {
		list.NextCursor = &page.NextCursor
	}
	return &alertsOutput{envelope[alertList]{Success: true, Data: list}}, nil
}

// tidyAlert is an alert with empty values in place of null.
func tidyAlert(a accounting.Alert) accounting.Alert {
	a.Deliveries = orEmpty(a.Deliveries)
	if len(a.Data) == 0 {
		a.Data = json.RawMessage("{}")
	}
	return a
}

// alertInput names an alert in the path.
type alertInput struct {
	ID int64 `path:"id" minimum:"1" maximum:"9007199254740991" doc:"The alert." example:"9"`
}

type alertOutput struct {
	Body envelope[accounting.Alert]
}

// acknowledgeAlert answers POST /api/alerts/{id}/acknowledge.
func (h *Handler) acknowledgeAlert(ctx context.Context, in *alertInput) (*alertOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	alert, err := h.budgets.Store.AcknowledgeAlert(limited, in.ID, actorOf(ctx), time.Now().UTC())
	if errors.Is(err, accounting.ErrUnknownAlert) {
		return nil, newProblem(http.StatusNotFound, "There is no alert %d. GET /api/alerts lists those there are.", in.ID)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	return &alertOutput{envelope[accounting.Alert]{Success: true, Data: tidyAlert(alert)}}, nil
}

// testAlert answers POST /api/alerts/test.
func (h *Handler) testAlert(ctx context.Context, _ *noInput) (*alertOutput, error) {
	limited, cancel := context.WithTimeout(ctx, testAlertTimeout)
	defer cancel()
	alert, err := h.budgets.Tester.TestAlert(limited, actorOf(ctx))
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, newProblem(http.StatusServiceUnavailable, "Not every channel had answered after %s.", testAlertTimeout)
	}
	if err != nil {
		return nil, err
	}
	if len(alert.Deliveries) == 0 {
		return nil, newProblem(http.StatusConflict, "No channel is configured, so that nothing was sent. docs/notifications.md says how.")
	}
	return &alertOutput{envelope[accounting.Alert]{Success: true, Data: tidyAlert(alert)}}, nil
}
