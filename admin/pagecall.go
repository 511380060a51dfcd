package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"bursar/accounting"
)

// callAudits is how many entries of the audit log the page of a call shows.
const callAudits = 50

// callPage is the content of /calls/{id}.
type callPage struct {
	Row         accounting.UsageRow
	Story       []storyStep
	Next        string             // what Bursar does next; empty: nothing is left to do
	Difference  *accounting.Amount // of both costs, USD
	Explanation *explanation       // of the budgets' decision; nil: there is none
	Fields      []callField
	Attach      bool // a generation can be attached
	Dismiss     bool // the call can be dismissed
	Audit       []accounting.AuditEntry
}

// callField is one column of a call's row, for people.
type callField struct {
	Name, Value, Meaning string
}

// callPage answers GET /calls/{id}: everything that is known of one call, what
// can be decided about it, and what was.
func (h *Handler) callPage(w http.ResponseWriter, r *http.Request) error {
	id, err := callID(r.PathValue("id"))
	if err != nil {
		return err
	}
	row, err := h.findCall(r.Context(), id)
	if err != nil {
		return err
	}
	log, err := h.readAudit(r.Context(), accounting.AuditFilter{Subject: accounting.UsageSubject(id), Limit: callAudits})
	if err != nil {
		return err
	}
	decision, err := h.explained(r.Context(), id)
	if err != nil {
		return err
	}
	dismiss := row.Status.Undecided() && row.CostUSD == nil
	return h.renderPage(w, r, http.StatusOK, "call", "Call", callPage{
		Row: row, Story: storyOf(&row), Next: whatComesNext(&row), Difference: difference(&row), Explanation: decision,
		Fields:  fieldsOf(row),
		Attach:  (row.Status.Undecided() || row.Status == accounting.StatusDismissed) && row.KeyFingerprint != nil,
		Dismiss: dismiss,
		Audit:   log.Entries,
	})
}

// fieldsOf are all columns of a row, the unknown ones too.
func fieldsOf(row accounting.UsageRow) []callField {
	var fields []callField
	v := reflect.ValueOf(row)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		fields = append(fields, callField{Name: name, Value: shownField(v.Field(i)), Meaning: usageColumns[name]})
	}
	return fields
}

func shownField(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "–"
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return utc(value)
	case map[string]string:
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			pairs = append(pairs, name+"="+value[name])
		}
		return cmp.Or(strings.Join(pairs, ", "), "–")
	default:
		return cmp.Or(fmt.Sprint(value), "–")
	}
}

// attachForm answers the form that attaches a generation.
func (h *Handler) attachForm(w http.ResponseWriter, r *http.Request) error {
	return h.decideForm(w, r, func(id accounting.RequestID) error {
		_, err := h.attach(r.Context(), id, strings.TrimSpace(r.PostForm.Get("generation_id")), r.PostForm.Get("reason"))
		return err
	})
}

// dismissForm answers the form that dismisses a call.
func (h *Handler) dismissForm(w http.ResponseWriter, r *http.Request) error {
	return h.decideForm(w, r, func(id accounting.RequestID) error {
		_, err := h.dismiss(r.Context(), id, r.PostForm.Get("reason"))
		return err
	})
}

// decideForm reads a form of the page of a call, has it decided and shows the
// page again.
func (h *Handler) decideForm(w http.ResponseWriter, r *http.Request, decide func(accounting.RequestID) error) error {
	id, err := callID(r.PathValue("id"))
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxDecisionBytes)
	if err := r.ParseForm(); err != nil {
		return newProblem(http.StatusBadRequest, "The form could not be read: send it as a form of at most %d bytes.", maxDecisionBytes)
	}
	// A browser asks for the tick itself; this is for whoever sends the form
	// without one.
	if r.PostForm.Get("confirm") != "yes" {
		return invalid(fieldError{Field: "confirm", Message: "expected the decision to be confirmed", Allowed: "yes"})
	}
	if err := decide(id); err != nil {
		return err
	}
	http.Redirect(w, r, "/calls/"+id.String(), http.StatusSeeOther)
	return nil
}
