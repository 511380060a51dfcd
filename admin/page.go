package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// pageRows is how many calls the page shows.
const pageRows = 50

// undecidedRows is how many calls of each state that waits for somebody the
// page shows.
const undecidedRows = 10

//go:embed page.html
var pageSource string

var pages = template.Must(template.New("page").Funcs(template.FuncMap{
	"or_dash": orDash,
	"split":   splitAmount,
	"seconds": seconds,
	"utc":     utc,
	"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"filter":  func(campaign string) string { return "/?" + url.Values{"campaign_id": {campaign}}.Encode() },
	"json":    func(v json.RawMessage) string { return cmp.Or(string(v), "–") },
	"meaning": meaningOf,
	"calls":   theseCalls,
}).Parse(pageSource))

// page is what every template is given.
type page struct {
	Name    string // of the template that fills the frame
	Nonce   string // what the page's own script and style carry, so that no others run
	Version string
	Login   bool // there is a token, hence a way out
	Content any
}

// callsPage is the content of /.
type callsPage struct {
	Rows     []accounting.UsageRow
	Summary  summary
	Statuses []statusMeaning
	Campaign string            // shown alone; empty: all
	Status   accounting.Status // shown alone; empty: all

	Undecided []accounting.UsageRow // that wait for somebody, the newest of them; only on the first page of all calls
	Waiting   []accounting.Status   // states of which there are more
	Newest    bool                  // the first page, which refreshes itself
	Older     string                // address of the next page; empty: this is the last
	Read      time.Time
}

// index answers GET /: the newest calls, perhaps of one campaign or state, and
// those that wait for somebody.
func (h *Handler) index(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if errs := checkQuery(r.URL.RawQuery); len(errs) > 0 {
		return newProblem(http.StatusUnprocessableEntity, "The address is not one of this page's own. Start again at /.")
	}
	filter := accounting.UsageFilter{
		CampaignID: query.Get("campaign_id"),
		Status:     accounting.Status(query.Get("status")),
		Cursor:     query.Get("cursor"),
		Limit:      pageRows,
	}
	if filter.Status != "" && meaningOf(filter.Status) == "" {
		return newProblem(http.StatusUnprocessableEntity, "There is no state %s. Start again at /.", shown(string(filter.Status)))
	}
	content := callsPage{
		Statuses: statuses,
		Campaign: filter.CampaignID,
		Status:   filter.Status,
		Newest:   filter.Cursor == "",
		Read:     time.Now(),
	}
	if content.Newest && filter.CampaignID == "" && filter.Status == "" {
		if err := h.readUndecided(r.Context(), &content); err != nil {
			return err
		}
	}
	list, err := h.readUsage(r.Context(), filter)
	if err != nil {
		return err
	}
	content.Rows, content.Summary = list.Rows, summarise(list.Rows)
	if list.NextCursor != "" {
		query.Set("cursor", list.NextCursor)
		for name := range query {
			if query.Get(name) == "" {
				query.Del(name)
			}
		}
		content.Older = "/?" + query.Encode()
	}
	return h.renderPage(w, http.StatusOK, "calls", content)
}

// readUndecided reads the newest calls that wait for somebody.
func (h *Handler) readUndecided(ctx context.Context, content *callsPage) error {
	for _, s := range statuses {
		if !s.Name.Undecided() {
			continue
		}
		list, err := h.readUsage(ctx, accounting.UsageFilter{Status: s.Name, Limit: undecidedRows})
		if err != nil {
			return err
		}
		content.Undecided = append(content.Undecided, list.Rows...)
		if list.NextCursor != "" {
			content.Waiting = append(content.Waiting, s.Name)
		}
	}
	slices.SortFunc(content.Undecided, func(a, b accounting.UsageRow) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return nil
}

// renderPage writes the named template's page. If it returns an error, nothing
// was written.
func (h *Handler) renderPage(w http.ResponseWriter, status int, name string, content any) error {
	p := page{
		Name:    name,
		Nonce:   rand.Text(),
		Version: h.version,
		Login:   !h.open && (name == "calls" || name == "call"),
		Content: content,
	}
	var out bytes.Buffer
	if err := pages.Execute(&out, p); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src 'nonce-%[1]s'; style-src 'nonce-%[1]s'; "+
		"img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", p.Nonce))
	// Under no-referrer a browser sends our own forms with "Origin: null", and
	// over plain HTTP nothing else says that they are ours. Other sites learn
	// as little from same-origin.
	head.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the client may have gone; nobody is left to be told
	return nil
}

// summary adds up the calls of one page, and of no others.
type summary struct {
	Calls      int
	Charged    decimal.Decimal // USD, of the calls whose cost is known
	Providers  decimal.Decimal // USD paid to providers directly, where is_byok
	Known      int             // calls whose cost is known
	Verified   int             // of these, confirmed by OpenRouter's own record
	Open       int             // calls whose cost is not known; failed and dismissed ones have none
	Prompt     int64           // tokens, where known
	Completion int64
	Campaigns  []campaignSum // dearest first
}

// campaignSum is one campaign's part of a summary.
type campaignSum struct {
	Campaign *string // nil: calls without the tag
	Calls    int
	Charged  decimal.Decimal
	Share    int // of 100, of all that was charged: the length of its bar
}

// summarise adds up rows. What is not known is in no sum, and counted instead.
func summarise(rows []accounting.UsageRow) summary {
	s := summary{Calls: len(rows)}
	campaigns := make(map[string]*campaignSum) // "": without the tag, which is never sent empty
	for i := range rows {
		row := &rows[i]
		s.Prompt += value(row.PromptTokens)
		s.Completion += value(row.CompletionTokens)
		c, ok := campaigns[value(row.CampaignID)]
		if !ok {
			c = &campaignSum{Campaign: row.CampaignID}
			campaigns[value(row.CampaignID)] = c
		}
		c.Calls++
		if row.CostUSD == nil {
			if row.Status != accounting.StatusFailed && row.Status != accounting.StatusDismissed {
				s.Open++
			}
			continue
		}
		s.Known++
		if row.VerifiedAt != nil {
			s.Verified++
		}
		c.Charged = c.Charged.Add(row.CostUSD.Decimal)
		s.Charged = s.Charged.Add(row.CostUSD.Decimal)
		if value(row.IsBYOK) && row.UpstreamInferenceCostUSD != nil {
			s.Providers = s.Providers.Add(row.UpstreamInferenceCostUSD.Decimal)
		}
	}
	for _, c := range campaigns {
		if s.Charged.IsPositive() {
			c.Share = int(c.Charged.Mul(decimal.NewFromInt(100)).Div(s.Charged).Round(0).IntPart())
		}
		s.Campaigns = append(s.Campaigns, *c)
	}
	slices.SortFunc(s.Campaigns, func(a, b campaignSum) int {
		return cmp.Or(b.Charged.Cmp(a.Charged), cmp.Compare(b.Calls, a.Calls), cmp.Compare(value(a.Campaign), value(b.Campaign)))
	})
	return s
}

// value is what p points to, the zero value if it is unknown.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// orDash shows an optional value, a dash if it is unknown.
func orDash(v any) string {
	switch v := v.(type) {
	case *string:
		if v != nil && *v != "" {
			return *v
		}
	case *int64:
		if v != nil {
			return fmt.Sprint(*v)
		}
	}
	return "–"
}

// utc shows a time.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// splitAmount cuts an amount before its decimal point, so that a column can
// stand on it.
func splitAmount(a decimal.Decimal) [2]string {
	whole, fraction, found := strings.Cut(a.String(), ".")
	if found {
		fraction = "." + fraction
	}
	return [2]string{whole, fraction}
}

// seconds shows milliseconds.
func seconds(ms *int64) string {
	if ms == nil {
		return "–"
	}
	return fmt.Sprintf("%d.%02d s", *ms/1000, *ms%1000/10)
}

// meaningOf explains a state.
func meaningOf(status accounting.Status) string {
	for _, s := range statuses {
		if s.Name == status {
			return s.Meaning
		}
	}
	return ""
}

// theseCalls says that a sum is over n calls and no more.
func theseCalls(n int) string {
	if n == 1 {
		return "this 1 call"
	}
	return fmt.Sprintf("these %d calls", n)
}
