package admin

import (
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

const (
	reconciledRows  = 60 // days, sources and keys that the page shows
	reconciledMonth = 12 // months
)

// reconciliationPage is the content of /reconciliation.
type reconciliationPage struct {
	Days      []accounting.Reconciliation
	Suspects  []accounting.Suspect // of the newest day that differs
	SuspectOf string
	Months    []trendMonth // the newest first
	Undecided callsPage    // calls that wait for somebody
	Yesterday accounting.Day
	Present   accounting.Month
}

// reconciliationPage answers GET /reconciliation: our figures beside
// OpenRouter's, and what of ours is not certain yet.
func (h *Handler) reconciliationPage(w http.ResponseWriter, r *http.Request) error {
	if h.reconciliations == nil || h.economics == nil {
		return nothingBehind("reconciliations")
	}
	now := h.economics.Now().UTC()
	page := &reconciliationPage{Yesterday: accounting.DayOf(now).Add(-1), Present: accounting.MonthOf(now)}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*reconciliationsOutput, error) {
		return h.listReconciliations(ctx, &reconciliationsInput{Limit: reconciledRows})
	}, func(found *reconciliationsOutput) { page.Days = found.Body.Data.Rows })
	readInto(group, func() (*answer[trendList], error) {
		return h.economics.trends(ctx, &trendsInput{Months: reconciledMonth})
	}, func(found *answer[trendList]) {
		page.Months = sinceTheFirst(found.Body.Data.Months)
	})
	group.Go(func() error { return h.readUndecided(ctx, &page.Undecided) })
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range page.Days {
		if d := &page.Days[i]; d.Verdict == accounting.VerdictDiffers && len(d.Suspects) > 0 {
			page.Suspects, page.SuspectOf = d.Suspects, d.Day.String()
			break
		}
	}
	return h.renderPage(w, r, http.StatusOK, "reconciliation", "Reconciliation", page)
}

// sinceTheFirst are the months, the newest first, without those before anything
// was recorded.
func sinceTheFirst(months []trendMonth) []trendMonth {
	first := slices.IndexFunc(months, func(m trendMonth) bool {
		return m.Closed || m.OpenRouterCost.IsPositive() || m.EmailsSent > 0 || m.MeetingsBooked > 0
	})
	if first < 0 {
		first = max(len(months)-1, 0) // the present one
	}
	list := slices.Clone(months[first:])
	slices.Reverse(list)
	return list
}
