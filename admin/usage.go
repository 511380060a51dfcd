package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// queryTimeout bounds what one request may ask of the database.
const queryTimeout = 15 * time.Second

// envelope is the shape of every answer that is not a problem.
type envelope[T any] struct {
	Success bool `json:"success" doc:"Always true; a problem document has false." example:"true"`
	Data    T    `json:"data"`
}

var listUsageOperation = huma.Operation{
	OperationID: "list-usage",
	Method:      http.MethodGet,
	Path:        "/api/usage",
	Summary:     "Calls and what they cost",
	Description: "Recorded calls, newest first, one row a call, as the table openrouter_usage holds them. " +
		"Filters narrow the list together; one that is empty or absent matches everything. " +
		"To read on, repeat the request with the cursor of the page before.",
	Tags:                         []string{"usage"},
	Security:                     needsToken,
	Errors:                       []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var findUsageOperation = huma.Operation{
	OperationID: "find-usage",
	Method:      http.MethodGet,
	Path:        "/api/usage/{id}",
	Summary:     "One call and what it cost",
	Description: "One row of openrouter_usage, by the id that X-Bursar-Request-ID carried.",
	Tags:        []string{"usage"},
	Security:    needsToken,
	Errors:      []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
}

// usageInput is the query of GET /api/usage.
type usageInput struct {
	CampaignID   string    `query:"campaign_id" maxLength:"200" doc:"Calls for this campaign, as sent in X-Campaign-ID." example:"q4-outreach"`
	EmailID      string    `query:"email_id" maxLength:"200" doc:"Calls for this email, as sent in X-Email-ID." example:"email-8812"`
	LeadID       string    `query:"lead_id" maxLength:"200" doc:"Calls for this lead, as sent in X-Lead-ID." example:"lead-42"`
	SequenceID   string    `query:"sequence_id" maxLength:"200" doc:"Calls for this sequence, as sent in X-Sequence-ID." example:"seq-3"`
	Purpose      string    `query:"purpose" maxLength:"200" doc:"Calls for this purpose: email_generation, lead_personalization, subject_line, follow_up, reply_handling, research, testing, other, or a configured one." example:"email_generation"`
	Platform     string    `query:"platform" maxLength:"200" doc:"Calls of this platform, as sent in X-Platform." example:"instantly"`
	Model        string    `query:"model" maxLength:"200" doc:"Calls served by this model." example:"anthropic/claude-sonnet-4.5"`
	Status       string    `query:"status" enum:"settled,pending,awaiting_key,unresolved,interrupted,failed,dismissed" doc:"Calls whose accounting stands here." example:"settled"`
	GenerationID string    `query:"generation_id" maxLength:"200" doc:"The call of this generation." example:"gen-1763800000-AbCdEf"`
	Since        time.Time `query:"since" doc:"Calls that started at this time or later." example:"2026-11-01T00:00:00Z"`
	Until        time.Time `query:"until" doc:"Calls that started before this time." example:"2026-12-01T00:00:00Z"`
	Limit        int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Rows of one page." example:"50"`
	Cursor       string    `query:"cursor" maxLength:"500" doc:"next_cursor of the page before, as it stands." example:"MjAyNi0xMS0yMg"`
}

// Resolve checks what no single parameter's schema can say.
func (in *usageInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	errs := checkQuery(address.RawQuery)
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Since.Before(in.Until) {
		errs = append(errs, &huma.ErrorDetail{
			Location: "query.until",
			Value:    in.Until.Format(time.RFC3339Nano),
			Message:  "expected a time after since",
		})
	}
	return errs
}

// checkQuery finds what a query may not hold: a parameter twice, of which only
// the first would count, and text that Postgres cannot.
func checkQuery(raw string) []error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return []error{&huma.ErrorDetail{Location: "query", Message: "expected a query of name=value pairs joined by &, percent-encoded"}}
	}
	var errs []error
	for name, values := range query {
		switch {
		case len(values) > 1:
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "expected at most once"})
		case strings.ContainsRune(values[0], 0) || !utf8.ValidString(values[0]):
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "expected UTF-8 text without NUL"})
		}
	}
	return errs
}

// filter is the query as the store understands it.
func (in *usageInput) filter() accounting.UsageFilter {
	return accounting.UsageFilter{
		CampaignID:   in.CampaignID,
		EmailID:      in.EmailID,
		LeadID:       in.LeadID,
		SequenceID:   in.SequenceID,
		Purpose:      in.Purpose,
		Platform:     in.Platform,
		Model:        in.Model,
		Status:       accounting.Status(in.Status),
		GenerationID: in.GenerationID,
		Since:        in.Since,
		Until:        in.Until,
		Limit:        in.Limit,
		Cursor:       in.Cursor,
	}
}

type usageOutput struct {
	Body envelope[usageList]
}

// usageList is the data of GET /api/usage.
type usageList struct {
	Rows       []accounting.UsageRow `json:"rows" nullable:"false" doc:"Newest first."`
	NextCursor *string               `json:"next_cursor" doc:"The cursor of the next, older page; null on the last one." example:"MjAyNi0xMS0yMg"`
}

// listUsage answers GET /api/usage.
func (h *Handler) listUsage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	page, err := h.readUsage(ctx, in.filter())
	if err != nil {
		return nil, err
	}
	list := usageList{Rows: page.Rows}
	if list.Rows == nil {
		list.Rows = []accounting.UsageRow{}
	}
	if page.NextCursor != "" {
		list.NextCursor = &page.NextCursor
	}
	return &usageOutput{Body: envelope[usageList]{Success: true, Data: list}}, nil
}

// readUsage asks the store, within queryTimeout.
func (h *Handler) readUsage(ctx context.Context, filter accounting.UsageFilter) (accounting.UsagePage, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	page, err := h.usage.ListUsage(limited, filter)
	if errors.Is(err, accounting.ErrBadCursor) {
		return accounting.UsagePage{}, badCursor(filter.Cursor)
	}
	return page, lateOr(ctx, limited, err)
}

// findUsage answers GET /api/usage/{id}.
func (h *Handler) findUsage(ctx context.Context, in *callInput) (*callOutput, error) {
	id, err := callID(in.ID)
	if err != nil {
		return nil, err
	}
	row, err := h.findCall(ctx, id)
	if err != nil {
		return nil, err
	}
	return &callOutput{envelope[accounting.UsageRow]{Success: true, Data: row}}, nil
}

// findCall asks the store for one row, within queryTimeout.
func (h *Handler) findCall(ctx context.Context, id accounting.RequestID) (accounting.UsageRow, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row, err := h.usage.FindUsage(limited, id)
	if errors.Is(err, accounting.ErrUnknownCall) {
		return row, newProblem(http.StatusNotFound, "There is no call %s.", id)
	}
	return row, lateOr(ctx, limited, err)
}

// badCursor is the problem with a cursor that no listing has handed out.
func badCursor(cursor string) *problem {
	return invalid(fieldError{
		Field:   "cursor",
		Value:   shown(cursor),
		Message: accounting.ErrBadCursor.Error(),
		Allowed: "next_cursor of the page before, as it stands; none for the first page",
	})
}

// lateOr is err, and beside it that the time limit was the reason, however the
// store words it.
func lateOr(ctx, limited context.Context, err error) error {
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return errors.Join(err, context.DeadlineExceeded)
	}
	return err
}
