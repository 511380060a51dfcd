package admin

import (
	"net/http"
	"net/url"
	"time"

	"bursar/accounting"
)

// monthsForm is the choice of the months that a page is about.
type monthsForm struct {
	Window   monthWindow
	Choices  []accounting.Month // that can be chosen, the present one first
	Keep     map[string]string  // what else the address says
	Shortcut []monthsShortcut
}

// monthsShortcut is a window that is one click away.
type monthsShortcut struct {
	Title, Address string
	Current        bool
}

// From and To are the months' names, for fields and links.
func (f monthsForm) From() string { return f.Window.from.String() }

// To is the last month.
func (f monthsForm) To() string { return f.Window.to.String() }

// Title says in words which months they are.
func (f monthsForm) Title() string {
	first, last := f.Window.from.Start().Format("January 2006"), f.Window.to.Start().Format("January 2006")
	if first == last {
		return first
	}
	return first + " to " + last
}

// readMonths reads the months in a page's address: from and to, as the API
// takes them.
func (e *economics) readMonths(r *http.Request, keep ...string) (MonthsInput, monthsForm, error) {
	if errs := checkQuery(r.URL.RawQuery); len(errs) > 0 {
		return MonthsInput{}, monthsForm{}, newProblem(http.StatusUnprocessableEntity, "The address is not one of this page's own. Start again at %s.", shown(r.URL.Path))
	}
	query := r.URL.Query()
	in := MonthsInput{From: query.Get("from"), To: query.Get("to")}
	now := e.Now().UTC()
	w, err := in.window(now)
	if err != nil {
		return in, monthsForm{}, err
	}
	form := monthsForm{Window: w, Keep: map[string]string{}}
	for _, name := range keep {
		if value := query.Get(name); value != "" {
			form.Keep[name] = value
		}
	}
	for i := range maxMonths {
		form.Choices = append(form.Choices, monthBefore(now, i))
	}
	for _, s := range []struct {
		title       string
		first, last int
	}{{"This month", 0, 0}, {"Last month", 1, 1}, {"Three months", 2, 0}, {"Twelve months", 11, 0}} {
		from, to := monthBefore(now, s.first), monthBefore(now, s.last)
		address := url.Values{"from": {from.String()}, "to": {to.String()}}
		for name, value := range form.Keep {
			address.Set(name, value)
		}
		form.Shortcut = append(form.Shortcut, monthsShortcut{Title: s.title, Address: "?" + address.Encode(), Current: w.from == from && w.to == to})
	}
	return in, form, nil
}

// monthBefore is the month n before the present one.
func monthBefore(now time.Time, n int) accounting.Month {
	return accounting.MonthOf(time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC))
}

// lastDays are at most n days of the window that have begun, the last of them.
func (w monthWindow) lastDays(now time.Time, n int) (from, to accounting.Day) {
	from, to = w.days()
	if today := accounting.DayOf(now); today.Before(to) {
		to = today
	}
	if late := to.Add(1 - n); from.Before(late) {
		from = late
	}
	return from, to
}
