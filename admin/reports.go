package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"bursar/accounting"
)

// Reports makes and sends the reports of weeks and months. It is called
// concurrently and must return when ctx ends.
type Reports interface {
	// Build makes the report of a span as it is at now.
	Build(ctx context.Context, span accounting.ReportSpan, now time.Time) (accounting.PeriodReport, error)
	// Render writes a report as it is sent.
	Render(r *accounting.PeriodReport) (title, text string, document []byte, err error)
	// SendNow sends it to all channels in the name of by, and writes its entry of
	// the audit log. Without channels there are no deliveries.
	SendNow(ctx context.Context, span accounting.ReportSpan, by string, now time.Time) (accounting.Alert, error)
	// HasChannels reports whether there is anywhere to send it to.
	HasChannels() bool
}

const reportMeaning = "A weekly report is of an ISO week, a monthly one of a calendar month, both of UTC days and over. Amounts are EUR. " +
	"Fixed costs of a week are those of its days: a month's, spread evenly. AI cost of a week is that of its calls at the rate of each day, of a month its own figure. " +
	"Campaigns to act on are those with a decision, judged by the month, or by the four weeks to the week's end; the forecast is of the present month, and null in reports of older periods."

// previewReportOperation is made anew for each API, since registering it writes
// into its responses.
func previewReportOperation(api huma.API) huma.Operation {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[envelope[accounting.PeriodReport]](), true, "PeriodReportAnswer")
	return huma.Operation{
		OperationID: "preview-report", Method: http.MethodGet, Path: "/api/reports/preview",
		Summary: "The report of a week or a month, as it would be sent",
		Description: "Without of it is the latest period that is over. text is what chats get, under the title in its first line, html what mail gets beside that text, json the figures with all their digits. Nothing is sent. " +
			reportMeaning,
		Tags: []string{"reports"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
		Responses: map[string]*huma.Response{"200": {
			Description: "The report.",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: schema},
				"text/plain":       {Schema: &huma.Schema{Type: huma.TypeString}, Example: "Week 46 of 2026: 31.40 EUR, 120 emails, 3 meetings\n\n9 to 15 November 2026, in EUR, by UTC days.\n…"},
				"text/html":        {Schema: &huma.Schema{Type: huma.TypeString}, Example: "<!DOCTYPE html>…"},
			},
		}},
	}
}

var sendReportOperation = huma.Operation{
	OperationID: "send-report", Method: http.MethodPost, Path: "/api/reports/send",
	Summary: "Send a report now",
	Description: "Sends the report of a week or a month to every channel, whether or not it was sent before, and answers with the alert that it travels as; GET /api/alerts?kind=report follows its deliveries. " +
		"The one of BURSAR_REPORTS_WEEKLY and _MONTHLY goes out at its time all the same. 409 where no channel is configured. Audited. " + reportMeaning,
	Tags: []string{"reports"}, Security: needsToken, MaxBodyBytes: 4 << 10,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

func (e *economics) reportRoutes(api huma.API) {
	if e.Reports == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "reports", Description: "Weeks and months, as they are sent by mail and chat."})
	huma.Register(api, previewReportOperation(api), operation(e.previewReport))
	huma.Register(api, sendReportOperation, operation(e.sendReport))
	describeReports(api)
}

// previewReportInput is the query of GET /api/reports/preview.
type previewReportInput struct {
	Period string `query:"period" enum:"weekly,monthly" default:"weekly" doc:"Of a week or of a month." example:"weekly"`
	Of     string `query:"of" maxLength:"8" doc:"Which one: 2026-W46, or 2026-10; default: the latest that is over." example:"2026-W46"`
	Format string `query:"format" enum:"text,html,json" default:"json" doc:"How it is shown." example:"json"`
}

// Resolve checks what no single parameter's schema can say.
func (in *previewReportInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// reportSpan reads which week or month is meant: one that is over, at now.
func reportSpan(period, of string, now time.Time) (accounting.ReportSpan, error) {
	p := accounting.ReportPeriod(period)
	latest := accounting.SpanOf(p, accounting.DayOf(now)).Before()
	if of == "" {
		return latest, nil
	}
	span, err := accounting.ParseReportSpan(p, of)
	if err != nil || !span.Over(now) || span.From.Before(accounting.EarliestRate) {
		what := "week"
		if p == accounting.ReportMonthly {
			what = "month"
		}
		return span, invalid(fieldError{Field: "of", Value: shown(of), Message: "expected a " + what + " that is over", Allowed: "a " + what + " up to " + latest.String()})
	}
	return span, nil
}

// documentPolicy lets a document style its own elements, and nothing else.
const documentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// previewReport answers GET /api/reports/preview.
func (e *economics) previewReport(ctx context.Context, in *previewReportInput) (*huma.StreamResponse, error) {
	now := e.Now().UTC()
	span, err := reportSpan(in.Period, in.Of, now)
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	made, err := e.Reports.Build(reading, span, now)
	if err != nil {
		return nil, err
	}
	contentType, body := "application/json", []byte(nil)
	if in.Format == "json" {
		body, err = json.Marshal(envelope[accounting.PeriodReport]{Success: true, Data: made})
	} else {
		var title, text string
		contentType = "text/html; charset=utf-8"
		title, text, body, err = e.Reports.Render(&made)
		if in.Format == "text" {
			contentType, body = "text/plain; charset=utf-8", []byte(title+"\n\n"+text+"\n")
		}
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", contentType)
		if in.Format == "html" {
			w.Header().Set("Content-Security-Policy", documentPolicy)
		}
		_, _ = w.Write(body) // the client may have gone; nobody is left to be told
	}}, nil
}

// sendReportInput is the request of POST /api/reports/send.
type sendReportInput struct {
	Body struct {
		Period string `json:"period" enum:"weekly,monthly" doc:"Of a week or of a month." example:"weekly"`
		Of     string `json:"of,omitempty" maxLength:"8" doc:"Which one: 2026-W46, or 2026-10. Absent: the latest that is over." example:"2026-W46"`
	}
}

// sendReport answers POST /api/reports/send.
func (e *economics) sendReport(ctx context.Context, in *sendReportInput) (*alertOutput, error) {
	now := e.Now().UTC()
	span, err := reportSpan(in.Body.Period, in.Body.Of, now)
	if err != nil {
		return nil, err
	}
	if !e.Reports.HasChannels() {
		return nil, newProblem(http.StatusConflict, "No channel is configured, so that nothing was sent. docs/notifications.md says how.")
	}
	writing, cancel := limited(ctx)
	defer cancel()
	alert, err := e.Reports.SendNow(writing, span, actorOf(ctx), now)
	if err != nil {
		return nil, err
	}
	return &alertOutput{envelope[accounting.Alert]{Success: true, Data: tidyAlert(alert)}}, nil
}
