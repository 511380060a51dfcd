package admin

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Decisions takes what an operator decides about calls that Bursar cannot
// settle by itself. Both return the row as it is afterwards; a call that is not
// there is [accounting.ErrUnknownCall], and a decision that does not fit is an
// [accounting.DecisionError]. They are called concurrently, write their entry of
// the audit log in the transaction of the change, and return when ctx ends.
type Decisions interface {
	// AttachGeneration says which generation a call was.
	AttachGeneration(ctx context.Context, d accounting.Decision, generation string) (accounting.UsageRow, error)
	// DismissCall says that a call was not billed.
	DismissCall(ctx context.Context, d accounting.Decision) (accounting.UsageRow, error)
}

// maxDecisionBytes bounds the body of a decision.
const maxDecisionBytes = 8 << 10

var decisionErrors = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
	http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

var attachGenerationOperation = huma.Operation{
	OperationID: "attach-generation",
	Method:      http.MethodPost,
	Path:        "/api/usage/{id}/generation",
	Summary:     "Say which generation a call was",
	Description: "For a call that is interrupted or unresolved, when its generation was found in OpenRouter's own activity: " +
		"the row becomes pending, and its cost is asked for at once. A dismissed call can be given a generation too. " +
		"409 if the generation is another call's, or the call's state does not admit it. The decision is audited.",
	Tags:         []string{"usage"},
	Security:     needsToken,
	MaxBodyBytes: maxDecisionBytes,
	Errors:       decisionErrors,
}

var dismissCallOperation = huma.Operation{
	OperationID: "dismiss-call",
	Method:      http.MethodPost,
	Path:        "/api/usage/{id}/dismiss",
	Summary:     "Say that a call was not billed",
	Description: "For a call that is interrupted or unresolved, when OpenRouter's own activity does not have it: " +
		"the row becomes dismissed and counts as open no longer. " +
		"409 if the call's state does not admit it, or its cost is known. The decision is audited.",
	Tags:         []string{"usage"},
	Security:     needsToken,
	MaxBodyBytes: maxDecisionBytes,
	Errors:       decisionErrors,
}

// callInput names a call in the path.
type callInput struct {
	ID string `path:"id" maxLength:"36" doc:"The call, as in X-Bursar-Request-ID." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
}

// attachInput is the request of POST /api/usage/{id}/generation.
type attachInput struct {
	ID   string `path:"id" maxLength:"36" doc:"The call, as in X-Bursar-Request-ID." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
	Body struct {
		GenerationID string `json:"generation_id" maxLength:"200" doc:"OpenRouter's name for the generation." example:"gen-1763800000-AbCdEfGhIjKlMnOpQrSt"`
		Reason       string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log." example:"found in the activity of 22 November, 10:02"`
	}
}

// dismissInput is the request of POST /api/usage/{id}/dismiss.
type dismissInput struct {
	ID   string `path:"id" maxLength:"36" doc:"The call, as in X-Bursar-Request-ID." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
	Body struct {
		Reason string `json:"reason" maxLength:"500" doc:"Why, for the audit log." example:"the activity of 22 November has no such call"`
	}
}

// callOutput is one row.
type callOutput struct {
	Body envelope[accounting.UsageRow]
}

// attachGeneration answers POST /api/usage/{id}/generation.
func (h *Handler) attachGeneration(ctx context.Context, in *attachInput) (*callOutput, error) {
	id, err := callID(in.ID)
	if err != nil {
		return nil, err
	}
	row, err := h.attach(ctx, id, in.Body.GenerationID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &callOutput{envelope[accounting.UsageRow]{Success: true, Data: row}}, nil
}

// dismissCall answers POST /api/usage/{id}/dismiss.
func (h *Handler) dismissCall(ctx context.Context, in *dismissInput) (*callOutput, error) {
	id, err := callID(in.ID)
	if err != nil {
		return nil, err
	}
	row, err := h.dismiss(ctx, id, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &callOutput{envelope[accounting.UsageRow]{Success: true, Data: row}}, nil
}

// generationID is the form of OpenRouter's names for generations. Anything else
// is a slip of the hand: a request id, or even a key.
var generationID = regexp.MustCompile(`^gen-[A-Za-z0-9_-]{1,190}$`)

// attach has a generation attached, whoever asked for it.
func (h *Handler) attach(ctx context.Context, id accounting.RequestID, generation, reason string) (accounting.UsageRow, error) {
	var wrong []fieldError
	if !generationID.MatchString(generation) {
		wrong = append(wrong, fieldError{Field: "generation_id", Message: "expected OpenRouter's id of a generation", Allowed: "gen-… with letters, digits, dashes and underscores"})
	}
	if err := problemIf(append(wrong, checkReason(reason, false)...)); err != nil {
		return accounting.UsageRow{}, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row, err := h.decisions.AttachGeneration(limited, decision(ctx, id, reason), generation)
	return row, decisionProblem(id, lateOr(ctx, limited, err))
}

// dismiss has a call dismissed, whoever asked for it.
func (h *Handler) dismiss(ctx context.Context, id accounting.RequestID, reason string) (accounting.UsageRow, error) {
	if err := problemIf(checkReason(reason, true)); err != nil {
		return accounting.UsageRow{}, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row, err := h.decisions.DismissCall(limited, decision(ctx, id, reason))
	return row, decisionProblem(id, lateOr(ctx, limited, err))
}

func decision(ctx context.Context, id accounting.RequestID, reason string) accounting.Decision {
	return accounting.Decision{Call: id, Actor: actorOf(ctx), Reason: strings.TrimSpace(reason)}
}

// checkReason finds what may not stand in the audit log as a reason.
func checkReason(reason string, required bool) []fieldError {
	wrong := fieldError{Field: "reason", Allowed: "a sentence of at most 500 bytes, without any key"}
	switch {
	case required && strings.TrimSpace(reason) == "":
		wrong.Message = "expected why the call was not billed"
	case len(reason) > accounting.MaxReasonBytes:
		wrong.Message = "expected at most 500 bytes"
	case strings.ContainsRune(reason, 0) || !utf8.ValidString(reason):
		wrong.Message = "expected UTF-8 text without NUL"
	case secretLike.MatchString(reason):
		wrong.Message = "looks like it holds a key, which must not be kept"
	default:
		return nil
	}
	return []fieldError{wrong}
}

// problemIf is the problem with these fields, nil if there are none.
func problemIf(wrong []fieldError) error {
	if len(wrong) == 0 {
		return nil
	}
	return invalid(wrong...)
}

// callID reads the id of a call off a path.
func callID(s string) (accounting.RequestID, error) {
	id, err := accounting.ParseRequestID(strings.ToLower(s))
	if err != nil {
		return id, invalid(fieldError{Field: "id", Value: shown(s), Message: "expected the id of a call", Allowed: "a UUID, as in X-Bursar-Request-ID"})
	}
	return id, nil
}

// decisionProblem is what whoever decides is told of the store's answer.
func decisionProblem(id accounting.RequestID, err error) error {
	var refused *accounting.DecisionError
	switch {
	case errors.Is(err, accounting.ErrUnknownCall):
		return newProblem(http.StatusNotFound, "There is no call %s.", id)
	case errors.As(err, &refused):
		return newProblem(http.StatusConflict, "%s", refused.Reason)
	}
	return err
}
