package admin

import (
	"net/http"

	"bursar/accounting"
)

// rulesPage is the content of /rules.
type rulesPage struct {
	Rules   []accounting.AlertRule
	Figures []accounting.AlertFigure
}

// rulesPage answers GET /rules: what makes an alert, and rules of the reader's
// own.
func (h *Handler) rulesPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil || h.economics.AlertRules == nil {
		return nothingBehind("rules")
	}
	list, err := h.economics.listAlertRules(r.Context(), &noInput{})
	if err != nil {
		return err
	}
	page := &rulesPage{Rules: list.Body.Data.Rules, Figures: accounting.AlertFigures()}
	return h.renderPage(w, r, http.StatusOK, "rules", "Alert rules", page)
}
