package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// pageRows is how many calls the page shows.
const pageRows = 50

// undecidedRows is how many calls of each state that waits for somebody the
// page shows.
const undecidedRows = 10

// callsPage is the content of /calls.
type callsPage struct {
	Rows     []accounting.UsageRow
	Summary  summary
	Statuses []statusMeaning
	Filters  []callFilter
	Filtered bool

	Undecided []accounting.UsageRow // that wait for somebody, the newest of them; only on the first page of all calls
	Waiting   []accounting.Status   // states of which there are more
	Newest    bool                  // the first page, to which new calls are added as they come
	Older     string                // address of the next page; empty: this is the last
	Read      time.Time
	Start     startPage // what to do while there are no calls
}

// callFilter is one field of the form above the calls.
type callFilter struct {
	Name, Label, Value, Type string
	Row                      string // the attribute of a row that it is compared with; empty: the page does not tell
}

// callsPage answers GET /calls: the newest calls, perhaps of one tag, model,
// time or state, and those that wait for somebody.
func (h *Handler) callsPage(w http.ResponseWriter, r *http.Request) error {
	filter, err := callsFilter(r.URL)
	if err != nil {
		return err
	}
	content := callsPage{Statuses: statuses, Newest: filter.Cursor == "", Read: time.Now(), Start: h.startPage()}
	content.Filters, content.Filtered = callFilters(r.URL.Query())
	if content.Newest && !content.Filtered {
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
		query := r.URL.Query()
		query.Set("cursor", list.NextCursor)
		for name := range query {
			if query.Get(name) == "" {
				query.Del(name)
			}
		}
		content.Older = "/calls?" + query.Encode()
	}
	return h.renderPage(w, r, http.StatusOK, "calls", "Calls", content)
}

// callsFilter reads the address of /calls.
func callsFilter(address *url.URL) (accounting.UsageFilter, error) {
	query := address.Query()
	if errs := checkQuery(address.RawQuery); len(errs) > 0 {
		return accounting.UsageFilter{}, newProblem(http.StatusUnprocessableEntity, "The address is not one of this page's own. Start again at /calls.")
	}
	filter := accounting.UsageFilter{
		CampaignID: query.Get("campaign_id"), EmailID: query.Get("email_id"), LeadID: query.Get("lead_id"),
		SequenceID: query.Get("sequence_id"), Purpose: query.Get("purpose"), Platform: query.Get("platform"),
		Model: query.Get("model"), Status: accounting.Status(query.Get("status")),
		Cursor: query.Get("cursor"), Limit: pageRows,
	}
	if filter.Status != "" && meaningOf(filter.Status) == "" {
		return filter, newProblem(http.StatusUnprocessableEntity, "There is no state %s. Start again at /calls.", shown(string(filter.Status)))
	}
	for name, into := range map[string]*time.Time{"since": &filter.Since, "until": &filter.Until} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		// What a browser's field for a time sends has neither seconds nor zone.
		t, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			if t, err = time.Parse(time.RFC3339, text); err != nil {
				return filter, invalid(fieldError{Field: name, Value: shown(text), Message: "expected a time", Allowed: "a UTC time such as 2026-11-22T10:00"})
			}
		}
		*into = t
	}
	return filter, nil
}

// callFilters are the fields of the form, and whether one of them is set.
func callFilters(query url.Values) (filters []callFilter, filtered bool) {
	filters = []callFilter{
		{Name: "campaign_id", Label: "Campaign", Row: "campaign"},
		{Name: "purpose", Label: "Purpose", Row: "purpose"},
		{Name: "model", Label: "Model", Row: "model"},
		{Name: "platform", Label: "Platform", Row: "platform"},
		{Name: "lead_id", Label: "Lead", Row: "lead"},
		{Name: "email_id", Label: "Email", Row: "email"},
		{Name: "sequence_id", Label: "Sequence", Row: "sequence"},
		{Name: "since", Label: "From (UTC)", Type: "datetime-local"},
		{Name: "until", Label: "Before (UTC)", Type: "datetime-local"},
	}
	filtered = query.Get("status") != ""
	for i := range filters {
		f := &filters[i]
		f.Type = cmp.Or(f.Type, "text")
		f.Value = query.Get(f.Name)
		filtered = filtered || f.Value != ""
	}
	return append(filters, callFilter{Name: "status", Label: "State", Value: query.Get("status"), Type: "status", Row: "status"}), filtered
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
