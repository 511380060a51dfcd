package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Audit lists what people have changed.
type Audit interface {
	// ListAudit returns the newest entries that match, at most filter.Limit of
	// them. A cursor it never handed out is [accounting.ErrBadCursor]. It is
	// called concurrently and must return when ctx ends.
	ListAudit(ctx context.Context, filter accounting.AuditFilter) (accounting.AuditPage, error)
}

var listAuditOperation = huma.Operation{
	OperationID: "list-audit",
	Method:      http.MethodGet,
	Path:        "/api/audit",
	Summary:     "What people changed",
	Description: "Every change that a person made to the records, newest first: who, when, what, and the columns that changed. " +
		"To read on, repeat the request with the cursor of the page before.",
	Tags:                         []string{"audit"},
	Security:                     needsToken,
	Errors:                       []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

// auditInput is the query of GET /api/audit.
type auditInput struct {
	Subject string `query:"subject" maxLength:"200" doc:"Changes of this only, e.g. of a call: usage/ and its id." example:"usage/01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Entries of one page." example:"50"`
	Cursor  string `query:"cursor" maxLength:"500" doc:"next_cursor of the page before, as it stands." example:"AAAAAAAAAAk"`
}

// Resolve checks what no single parameter's schema can say.
func (in *auditInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

type auditOutput struct {
	Body envelope[auditList]
}

// auditList is the data of GET /api/audit.
type auditList struct {
	Entries    []accounting.AuditEntry `json:"entries" nullable:"false" doc:"Newest first."`
	NextCursor *string                 `json:"next_cursor" doc:"The cursor of the next, older page; null on the last one." example:"AAAAAAAAAAk"`
}

// auditColumns describes the members of an entry for readers of the API.
var auditColumns = map[string]string{
	"id":      "Number of the entry; later ones are higher.",
	"at":      "When it was done.",
	"actor":   "Who did it: admin token, a session in a browser, or loopback where no token is set.",
	"action":  "What was done, e.g. call.dismiss.",
	"subject": "To what: usage/ and the id of a call.",
	"reason":  "Why, in the actor's own words; null if none was given.",
	"before":  "The columns that changed, as they were; null if there was nothing.",
	"after":   "The same columns, as they became.",
}

// listAudit answers GET /api/audit.
func (h *Handler) listAudit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	page, err := h.readAudit(ctx, accounting.AuditFilter{Subject: in.Subject, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	list := auditList{Entries: page.Entries}
	if list.Entries == nil {
		list.Entries = []accounting.AuditEntry{}
	}
	if page.NextCursor != "" {
		list.NextCursor = &page.NextCursor
	}
	return &auditOutput{Body: envelope[auditList]{Success: true, Data: list}}, nil
}

// readAudit asks the store, within queryTimeout.
func (h *Handler) readAudit(ctx context.Context, filter accounting.AuditFilter) (accounting.AuditPage, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	page, err := h.audit.ListAudit(limited, filter)
	if errors.Is(err, accounting.ErrBadCursor) {
		return accounting.AuditPage{}, badCursor(filter.Cursor)
	}
	return page, lateOr(ctx, limited, err)
}
