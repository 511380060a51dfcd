package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Trailers of a whole export. A broken one has neither, nor a proper end.
const (
	exportRowsTrailer    = "X-Bursar-Export-Rows"
	exportLeftOutTrailer = "X-Bursar-Export-Left-Out"
)

// exportStall is how long the reader of an export may take nothing.
const exportStall = time.Minute

// exportUsageOperation is made anew for each API, since registering it writes
// into its responses.
func exportUsageOperation() huma.Operation {
	return huma.Operation{
		OperationID: "export-usage",
		Method:      http.MethodGet,
		Path:        "/api/export/usage",
		Summary:     "Calls of some days as a file",
		Description: "Every recorded call of the UTC days from from to to, both included, the oldest first, with all digits of its amounts, where its cost comes from, " +
			"whether OpenRouter's own record has confirmed it, the exchange rate of its day, its tags and its metadata. Without from and to it is the present month up to today. " +
			"csv is RFC 4180 with a header: null is an empty field, and text that a spreadsheet would run as a formula begins with an apostrophe. " +
			"jsonl is one object a line; parquet has amounts as text, so that no digit is lost; " +
			"focus is CSV with the columns of FOCUS " + accounting.FOCUSVersion + " and leaves out calls whose cost is not known.\n\n" +
			"The file is streamed. A whole one ends with the trailers " + exportRowsTrailer + " (rows) and " + exportLeftOutTrailer + " (calls that the format has no row for); " +
			"a broken one is cut off without a proper end, which every HTTP client reports as an error. Hence HTTP/1.0 is refused with 426.",
		Tags:                         []string{"usage"},
		Security:                     needsToken,
		Errors:                       []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusUpgradeRequired, http.StatusInternalServerError, http.StatusServiceUnavailable},
		RejectUnknownQueryParameters: true, // a misspelt filter must not export everything
		Responses: map[string]*huma.Response{"200": {
			Description: "The file.",
			Headers: map[string]*huma.Param{
				"Content-Disposition": {Description: "A name for the file.", Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{`attachment; filename="bursar-usage-2026-11-01-2026-11-30.csv"`}}},
			},
			Content: map[string]*huma.MediaType{
				mediaType(accounting.ExportCSV):       {Schema: &huma.Schema{Type: huma.TypeString}, Example: "id,created_at,status,cost_usd,…\r\n019acd2e-…,2026-11-22T10:00:00.25Z,settled,0.00012345,…\r\n"},
				mediaType(accounting.ExportJSONLines): {Schema: &huma.Schema{Type: huma.TypeString}, Example: `{"id":"019acd2e-…","created_at":"2026-11-22T10:00:00.25Z","status":"settled","cost_usd":0.00012345,…}` + "\n"},
				mediaType(accounting.ExportParquet):   {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			},
		}},
	}
}

// mediaType is a format's Content-Type without parameters.
func mediaType(f accounting.ExportFormat) string {
	bare, _, _ := strings.Cut(f.MediaType(), ";")
	return bare
}

// exportInput is the query of GET /api/export/usage: the days, and the filters
// of GET /api/usage.
type exportInput struct {
	Format       string `query:"format" enum:"csv,jsonl,parquet,focus" default:"csv" doc:"How the file is written." example:"csv"`
	From         string `query:"from" maxLength:"10" doc:"First day, UTC; default: the first of to's month." example:"2026-11-01"`
	To           string `query:"to" maxLength:"10" doc:"Last day, UTC, included; default: today." example:"2026-11-22"`
	CampaignID   string `query:"campaign_id" maxLength:"200" doc:"Calls for this campaign, as sent in X-Campaign-ID." example:"q4-outreach"`
	EmailID      string `query:"email_id" maxLength:"200" doc:"Calls for this email, as sent in X-Email-ID." example:"email-8812"`
	LeadID       string `query:"lead_id" maxLength:"200" doc:"Calls for this lead, as sent in X-Lead-ID." example:"lead-42"`
	SequenceID   string `query:"sequence_id" maxLength:"200" doc:"Calls for this sequence, as sent in X-Sequence-ID." example:"seq-3"`
	Purpose      string `query:"purpose" maxLength:"200" doc:"Calls for this purpose." example:"email_generation"`
	Platform     string `query:"platform" maxLength:"200" doc:"Calls of this platform, as sent in X-Platform." example:"instantly"`
	Model        string `query:"model" maxLength:"200" doc:"Calls served by this model." example:"anthropic/claude-sonnet-4.5"`
	Status       string `query:"status" enum:"settled,pending,awaiting_key,unresolved,interrupted,failed,dismissed" doc:"Calls whose accounting stands here." example:"settled"`
	GenerationID string `query:"generation_id" maxLength:"200" doc:"The call of this generation." example:"gen-1763800000-AbCdEf"`
}

// Resolve checks what no single parameter's schema can say.
func (in *exportInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

// filter is the query as the store understands it.
func (in *exportInput) filter(from, to accounting.Day) accounting.UsageFilter {
	return accounting.UsageFilter{
		CampaignID: in.CampaignID, EmailID: in.EmailID, LeadID: in.LeadID, SequenceID: in.SequenceID,
		Purpose: in.Purpose, Platform: in.Platform, Model: in.Model,
		Status: accounting.Status(in.Status), GenerationID: in.GenerationID,
		Since: from.Start(), Until: to.End(),
	}
}

// exportRoutes registers the route, where there is something behind it.
func (h *Handler) exportRoutes(api huma.API) {
	if h.exports != nil {
		huma.Register(api, exportUsageOperation(), operation(h.exportUsage))
	}
}

// exportUsage answers GET /api/export/usage.
func (h *Handler) exportUsage(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	from, to, err := ExportDays(in.From, in.To, time.Now())
	if err != nil {
		return nil, err
	}
	format := accounting.ExportFormat(in.Format)
	export, err := OpenExport(ctx, h.exports, format, in.filter(from, to))
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("bursar-usage-%s-%s%s", from, to, format.Extension())
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		if !r.ProtoAtLeast(1, 1) {
			h.fail(w, r, newProblem(http.StatusUpgradeRequired, "An export is streamed in chunks, which HTTP/1.0 does not have: without them a part could pass for the whole. Use HTTP/1.1 or later."))
			return
		}
		sendExport(w, r, export, format.MediaType(), name)
	}}, nil
}

// sendExport streams an export. A broken one ends with a broken connection:
// nothing else would tell a part from the whole.
func sendExport(w http.ResponseWriter, r *http.Request, export *Export, contentType, name string) {
	head := w.Header()
	head.Set("Content-Type", contentType)
	head.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	head.Set("Trailer", exportRowsTrailer+", "+exportLeftOutTrailer)
	out := &patientWriter{w: w, conn: http.NewResponseController(w)}
	out.prolong()
	w.WriteHeader(http.StatusOK)
	_ = out.conn.Flush() // the reader learns at once that the file is coming
	done, err := export.Write(r.Context(), out, nil)
	if err != nil {
		event := zerolog.Ctx(r.Context()).Warn()
		if r.Context().Err() != nil {
			event = zerolog.Ctx(r.Context()).Debug() // the reader has left
		}
		event.Err(err).Int64("rows", done.Rows).Msg("an export broke off")
		panic(http.ErrAbortHandler)
	}
	head.Set(exportRowsTrailer, strconv.FormatInt(done.Rows, 10))
	head.Set(exportLeftOutTrailer, strconv.FormatInt(done.LeftOut, 10))
	out.prolong() // what the server still holds, and the trailers
}

// patientWriter gives each write its own time limit in place of the server's,
// which counts from the start of the request and would cut a long export.
type patientWriter struct {
	w    io.Writer
	conn *http.ResponseController
}

// Write implements [io.Writer].
func (p *patientWriter) Write(b []byte) (int, error) {
	p.prolong()
	return p.w.Write(b)
}

func (p *patientWriter) prolong() {
	// A writer without time limits, as in tests, needs none lifted.
	_ = p.conn.SetWriteDeadline(time.Now().Add(exportStall))
}
