package admin

import "net/http"

// overviewPage answers GET /: what this month costs, where it is heading, and
// what needs a decision.
func (h *Handler) overviewPage(w http.ResponseWriter, r *http.Request) error {
	return h.renderPage(w, r, http.StatusOK, "overview", "Overview", nil)
}
