package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Reconciliations compares days with OpenRouter's own figures, and closes
// months. It is called concurrently and must return when ctx ends.
type Reconciliations interface {
	// ListReconciliations returns the rows that match, the newest day first,
	// at most f.Limit of them.
	ListReconciliations(ctx context.Context, f accounting.ReconciliationFilter) ([]accounting.Reconciliation, error)
	// Reconcile compares the days from from to to, both included, and returns
	// the rows that it kept. What cannot be compared is said in the verdict.
	Reconcile(ctx context.Context, from, to accounting.Day) ([]accounting.Reconciliation, error)
	// CloseMonth closes a month in the name of by; again, it changes nothing.
	// A month that still runs is [accounting.ErrMonthNotOver].
	CloseMonth(ctx context.Context, m accounting.Month, by string, now time.Time) (accounting.ClosedMonth, error)
}

const (
	// reconcileTimeout bounds one request to reconcile, below the server's
	// WriteTimeout so that it can still be answered.
	reconcileTimeout = 50 * time.Second
	// maxReconcileDays bounds what one request may ask for: what OpenRouter
	// keeps, and the day before.
	maxReconcileDays = 31
	// maxReconcileBody bounds the body of a request to reconcile.
	maxReconcileBody = 1 << 10
)

var reconciliationErrors = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity,
	http.StatusInternalServerError, http.StatusServiceUnavailable,
}

var listReconciliationsOperation = huma.Operation{
	OperationID: "list-reconciliations",
	Method:      http.MethodGet,
	Path:        "/api/reconciliations",
	Summary:     "Our days beside OpenRouter's own figures",
	Description: "One row for each UTC day, source and key, as the table reconciliations holds them, the newest day first: " +
		"what both sides say, the difference, what calls around Bursar cost, what is not verified, the verdict, and the calls that may explain a difference. " +
		"Sources: activity (GET /activity), key (GET /key, sampled) and credits (GET /credits, sampled).",
	Tags:                         []string{"reconciliation"},
	Security:                     needsToken,
	Errors:                       reconciliationErrors,
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var reconcileOperation = huma.Operation{
	OperationID: "reconcile",
	Method:      http.MethodPost,
	Path:        "/api/reconciliations",
	Summary:     "Compare days with OpenRouter now",
	Description: "Compares each UTC day from from to to, both included and at most 31, with every source there is, and returns the rows. " +
		"A day is compared by itself once it is complete; this is for looking again. A source that cannot be read says so in its verdict. " +
		"For more days use bursar reconcile.",
	Tags:         []string{"reconciliation"},
	Security:     needsToken,
	MaxBodyBytes: maxReconcileBody,
	Errors:       append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, reconciliationErrors...),
}

var closeMonthOperation = huma.Operation{
	OperationID: "close-month",
	Method:      http.MethodPost,
	Path:        "/api/months/{month}/close",
	Summary:     "Close a month",
	Description: "Fixes the figure of a UTC month that is over, whatever of it is still open or unverified; the answer counts that. " +
		"A cost that changes later is a correction, booked in the month in which it becomes known. " +
		"Closing a closed month changes nothing. 409 if the month is not over.",
	Tags:     []string{"reconciliation"},
	Security: needsToken,
	Errors:   append([]int{http.StatusConflict}, reconciliationErrors...),
}

// reconciliationRoutes registers the routes, where there is something behind
// them.
func (h *Handler) reconciliationRoutes(api huma.API) {
	if h.reconciliations == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "reconciliation", Description: "Days and months against OpenRouter's own figures."})
	huma.Register(api, listReconciliationsOperation, operation(h.listReconciliations))
	huma.Register(api, reconcileOperation, operation(h.reconcile))
	huma.Register(api, closeMonthOperation, operation(h.closeMonth))
	for t, descriptions := range map[reflect.Type]map[string]string{
		reflect.TypeFor[accounting.Reconciliation]():  reconciliationColumns,
		reflect.TypeFor[accounting.ModelDifference](): modelDifferenceColumns,
		reflect.TypeFor[accounting.Suspect]():         suspectColumns,
		reflect.TypeFor[accounting.ClosedMonth]():     closedMonthColumns,
	} {
		describeType(api, t, descriptions)
	}
}

// reconciliationsInput is the query of GET /api/reconciliations.
type reconciliationsInput struct {
	From    string `query:"from" format:"date" doc:"Days from this one on." example:"2026-11-01"`
	To      string `query:"to" format:"date" doc:"Days up to this one, included." example:"2026-11-30"`
	Source  string `query:"source" enum:"activity,key,credits" doc:"Rows of this source." example:"activity"`
	Key     string `query:"key_fingerprint" maxLength:"64" doc:"Rows of this key: hex SHA-256." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Verdict string `query:"verdict" enum:"agrees,within_tolerance,differs,unavailable" doc:"Rows with this verdict." example:"differs"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Rows at most." example:"100"`
}

// Resolve checks what no single parameter's schema can say.
func (in *reconciliationsInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

type reconciliationsOutput struct {
	Body envelope[reconciliationList]
}

// reconciliationList is the data of GET and POST /api/reconciliations.
type reconciliationList struct {
	Rows []accounting.Reconciliation `json:"rows" nullable:"false" doc:"One for each day, source and key."`
}

func listed(rows []accounting.Reconciliation) *reconciliationsOutput {
	list := make([]accounting.Reconciliation, 0, len(rows))
	for _, r := range rows {
		if r.Models == nil {
			r.Models = []accounting.ModelDifference{}
		}
		if r.Suspects == nil {
			r.Suspects = []accounting.Suspect{}
		}
		list = append(list, r)
	}
	return &reconciliationsOutput{Body: envelope[reconciliationList]{Success: true, Data: reconciliationList{Rows: list}}}
}

// listReconciliations answers GET /api/reconciliations.
func (h *Handler) listReconciliations(ctx context.Context, in *reconciliationsInput) (*reconciliationsOutput, error) {
	f := accounting.ReconciliationFilter{
		Source: accounting.Source(in.Source), KeyFingerprint: in.Key, Verdict: accounting.Verdict(in.Verdict), Limit: in.Limit,
	}
	var wrong []fieldError
	for _, bound := range []struct {
		name, value string
		day         **accounting.Day
	}{{"from", in.From, &f.From}, {"to", in.To, &f.To}} {
		if bound.value == "" {
			continue
		}
		day, bad := dayIn(bound.name, bound.value)
		*bound.day = &day
		wrong = append(wrong, bad...)
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := h.reconciliations.ListReconciliations(limited, f)
	if err != nil {
		return nil, errors.Join(err, limited.Err())
	}
	return listed(rows), nil
}

// reconcileInput is the request of POST /api/reconciliations.
type reconcileInput struct {
	Body struct {
		From string `json:"from" format:"date" doc:"The first day, UTC." example:"2026-11-20"`
		To   string `json:"to" format:"date" doc:"The last day, UTC." example:"2026-11-21"`
	}
}

// reconcile answers POST /api/reconciliations.
func (h *Handler) reconcile(ctx context.Context, in *reconcileInput) (*reconciliationsOutput, error) {
	from, wrong := dayIn("from", in.Body.From)
	to, bad := dayIn("to", in.Body.To)
	if wrong = append(wrong, bad...); len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	switch {
	case to.Before(from):
		return nil, invalid(fieldError{Field: "to", Value: in.Body.To, Message: "expected a day not before from"})
	case !to.Before(from.Add(maxReconcileDays)):
		return nil, invalid(fieldError{Field: "to", Value: in.Body.To, Message: "expected at most 31 days at once", Allowed: "a day up to " + from.Add(maxReconcileDays-1).String()})
	case !to.Before(accounting.DayOf(time.Now())):
		return nil, invalid(fieldError{Field: "to", Value: in.Body.To, Message: "expected a day that is over, in UTC"})
	}
	limited, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	rows, err := h.reconciliations.Reconcile(limited, from, to)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, newProblem(http.StatusServiceUnavailable, "Not all days could be compared within %s; those that were are kept. Ask for fewer, or use bursar reconcile.", reconcileTimeout)
	}
	if err != nil {
		return nil, err
	}
	return listed(rows), nil
}

func dayIn(field, value string) (accounting.Day, []fieldError) {
	day, err := accounting.ParseDay(value)
	if err != nil {
		return day, []fieldError{{Field: field, Value: shown(value), Message: "expected a day", Allowed: "a date such as 2026-11-22"}}
	}
	return day, nil
}

// monthInput names a month in the path.
type monthInput struct {
	Month string `path:"month" maxLength:"7" doc:"The month, UTC." example:"2026-10"`
}

type monthOutput struct {
	Body envelope[accounting.ClosedMonth]
}

// closeMonth answers POST /api/months/{month}/close.
func (h *Handler) closeMonth(ctx context.Context, in *monthInput) (*monthOutput, error) {
	month, err := accounting.ParseMonth(in.Month)
	if err != nil {
		return nil, invalid(fieldError{Field: "month", Value: shown(in.Month), Message: "expected a month", Allowed: "a month such as 2026-10"})
	}
	limited, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	closed, err := h.reconciliations.CloseMonth(limited, month, actorOf(ctx), time.Now())
	switch {
	case errors.Is(err, accounting.ErrMonthNotOver):
		return nil, newProblem(http.StatusConflict, "%s is not over; it can be closed from %s on.", month, month.End().Format(time.RFC3339))
	case err != nil:
		return nil, err
	}
	return &monthOutput{envelope[accounting.ClosedMonth]{Success: true, Data: closed}}, nil
}
