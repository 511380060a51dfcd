package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// problem is an error as the API shows it: a problem document by RFC 9457,
// with the envelope's success beside it.
type problem struct {
	Type    string       `json:"type" doc:"Always about:blank: the title says it all." example:"about:blank"`
	Title   string       `json:"title" doc:"The status in words." example:"Unprocessable Entity"`
	Status  int          `json:"status" doc:"HTTP status code." example:"422"`
	Detail  string       `json:"detail" doc:"What is wrong, and the way out." example:"1 parameter is not usable."`
	Success bool         `json:"success" doc:"Always false." example:"false"`
	Errors  []fieldError `json:"errors,omitempty" nullable:"false" doc:"Each parameter that is wrong."`
	Data    *readyState  `json:"data,omitempty" doc:"Of /readyz only: how every check stands."`
}

// fieldError says what is wrong with one parameter.
type fieldError struct {
	Field   string `json:"field" doc:"The parameter." example:"limit"`
	Value   string `json:"value,omitempty" doc:"What was sent, shortened; secrets are not repeated." example:"5000"`
	Message string `json:"message" doc:"What is wrong with it." example:"expected 1000 or less"`
	Allowed string `json:"allowed,omitempty" doc:"What may be sent." example:"a whole number from 1 to 1000"`
}

// newProblem returns the problem with that status and that detail.
func newProblem(status int, detail string, args ...any) *problem {
	return &problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Detail: fmt.Sprintf(detail, args...),
	}
}

// invalid is the problem with parameters that cannot be used.
func invalid(fields ...fieldError) *problem {
	detail := "1 parameter is not usable."
	if len(fields) != 1 {
		detail = fmt.Sprintf("%d parameters are not usable.", len(fields))
	}
	p := newProblem(http.StatusUnprocessableEntity, "%s", detail)
	p.Errors = fields
	return p
}

// Error is the detail, with the fields that are wrong.
func (p *problem) Error() string {
	parts := []string{p.Detail}
	for _, f := range p.Errors {
		parts = append(parts, f.Field+": "+f.Message)
	}
	return strings.Join(parts, "; ")
}

// GetStatus makes the problem an error that huma renders as it stands.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is what huma sends the problem as.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// action is a handler that leaves its errors to [Handler.adapt].
type action func(w http.ResponseWriter, r *http.Request) error

// adapt makes an action a handler. An action that returns an error has written
// nothing.
func (h *Handler) adapt(a action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a(w, r); err != nil {
			h.fail(w, r, err)
		}
	})
}

// operation is adapt for what huma calls.
func operation[I, O any](fn func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, err)
		}
		return out, nil
	}
}

// fail answers with err: a page for a browser that asked for one, else a
// problem document.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	if wantsPage(r) && h.renderPage(w, r, p.Status, "problem", p.Title, p) == nil {
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// The client may have gone; nobody is left to be told.
	_ = json.NewEncoder(w).Encode(p)
}

// problemOf is what a client is told about err. An error that is not a problem
// already may hold addresses and SQL: it goes to the log, not to the client.
func problemOf(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		zerolog.Ctx(ctx).Debug().Err(err).Msg("admin client left")
		return newProblem(http.StatusServiceUnavailable, "The request was cancelled.")
	}
	zerolog.Ctx(ctx).Error().Err(err).Msg("admin request went wrong")
	if errors.Is(err, context.DeadlineExceeded) {
		return newProblem(http.StatusServiceUnavailable, "The database did not answer within %s. Try again, or ask for less.", queryTimeout)
	}
	if databaseAway(err) {
		return newProblem(http.StatusServiceUnavailable, "The database does not answer. Calls go on meanwhile; /readyz says when it is back.")
	}
	return newProblem(http.StatusInternalServerError, sorry)
}

// databaseAway reports whether err is that of a connection: one that could not
// be made, broke off, or was ended by a server that shuts down (SQLSTATE class
// 08, and 57P01 to 57P03).
func databaseAway(err error) bool {
	var network *net.OpError
	var sql interface{ SQLState() string }
	switch {
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.As(err, &sql):
		state := sql.SQLState()
		return strings.HasPrefix(state, "08") || state == "57P01" || state == "57P02" || state == "57P03"
	}
	return false
}

// wantsPage reports whether the request comes from somebody who looks at it
// in a browser.
func wantsPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// secretLike matches what may be a key that somebody pasted into the wrong
// place: OpenRouter's and most other providers' keys, bearer tokens, JWTs.
var secretLike = regexp.MustCompile(`(?i)\b(sk|pk|rk|or)-[a-z0-9_-]{6,}|bearer\s|\beyJ[a-z0-9_-]{8,}`)

// sorry is all that is said about an error of our own.
const sorry = "The request could not be answered; Bursar's log says why."

// maxShown bounds, in bytes, how much of a wrong value an error repeats.
const maxShown = 100

// shown is v as an error may repeat it: cut, and without anything that looks
// like a secret.
func shown(v string) string {
	if secretLike.MatchString(v) {
		return "(not repeated: it looks like a secret)"
	}
	v = strings.ToValidUTF8(v, "\uFFFD")
	if len(v) <= maxShown {
		return v
	}
	cut := maxShown
	for !utf8.RuneStart(v[cut]) {
		cut--
	}
	return v[:cut] + "…"
}
