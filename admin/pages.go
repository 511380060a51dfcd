package admin

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The pages by the name of their file: each is the frame, the parts that pages
// share, and a template "main" of its own.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	shared := template.Must(template.New("frame.html").Funcs(pageFuncs).ParseFS(templateFiles, "templates/frame.html", "templates/parts.html"))
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	parsed := make(map[string]*template.Template, len(files))
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "frame" || name == "parts" {
			continue
		}
		parsed[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, file))
	}
	return parsed
}

// frame is what every template is given.
type frame struct {
	Page    string // name of the template, and of the entry of the navigation that is current
	Title   string
	Version string
	Login   bool   // there is a token, hence a way out
	Path    string // of the request, to come back to
	Styles  string // names of assets, with what makes a browser ask anew when they change
	Scripts string

	Total string // of the month, as it was read last

	Money   moneyFormat
	Content any
}

// navigation are the pages in the order of the navigation.
var navigation = []struct{ Page, Path, Title string }{
	{"overview", "/", "Overview"},
	{"campaigns", "/campaigns", "Campaigns"},
	{"leads", "/leads", "Leads and waste"},
	{"models", "/models", "Models"},
	{"platforms", "/platforms", "Platforms"},
	{"budgets", "/budgets", "Budgets"},
	{"experiments", "/experiments", "Experiments"},
	{"calls", "/calls", "Calls"},
	{"reconciliation", "/reconciliation", "Reconciliation"},
	{"settings", "/settings", "Settings"},
	{"health", "/health", "Health"},
}

// pagePolicy is the Content-Security-Policy of pages: all they load are our own
// files, and nothing that stands in the page itself runs.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pageRoutes registers the pages. Those that have nothing behind them say so.
func (h *Handler) pageRoutes() {
	h.mux.Handle("GET /assets/{name}", h.adapt(h.serveAsset))
	h.mux.Handle("POST /currency", h.adapt(h.chooseCurrency))
	h.mux.Handle("GET /{$}", h.adapt(h.overviewPage))
	h.mux.Handle("GET /campaigns", h.adapt(h.campaignsPage))
	h.mux.Handle("GET /campaigns/{id}", h.adapt(h.campaignPage))
	h.mux.Handle("GET /models", h.adapt(h.modelsPage))
	h.mux.Handle("GET /platforms", h.adapt(h.platformsPage))
	h.mux.Handle("GET /calls", h.adapt(h.callsPage))
	h.mux.Handle("GET /calls/{id}", h.adapt(h.callPage))
	h.mux.Handle("POST /calls/{id}/generation", h.adapt(h.attachForm))
	h.mux.Handle("POST /calls/{id}/dismiss", h.adapt(h.dismissForm))
	h.mux.Handle("GET /leads", h.adapt(h.leadsPage))
	h.mux.Handle("GET /leads/{id}", h.adapt(h.leadPage))
	h.mux.Handle("GET /emails/{id}", h.adapt(h.emailPage))
	h.mux.Handle("GET /budgets", h.adapt(h.budgetsPage))
	h.mux.Handle("GET /budgets/plan", h.adapt(h.planPage))
	h.mux.Handle("GET /experiments", h.adapt(h.experimentsPage))
	h.mux.Handle("GET /experiments/{id}", h.adapt(h.experimentPage))
	h.mux.Handle("GET /rules", h.adapt(h.rulesPage))
	h.mux.Handle("GET /decisions/{id}", h.adapt(h.decisionPage))
	h.mux.Handle("GET /reconciliation", h.adapt(h.reconciliationPage))
	h.mux.Handle("GET /settings", h.adapt(h.settingsPage))
	h.mux.Handle("GET /health", h.adapt(h.healthPage))
	h.mux.Handle("GET /live", h.adapt(h.serveLive))
}

// renderPage writes the named page. If it returns an error, nothing was
// written.
func (h *Handler) renderPage(w http.ResponseWriter, r *http.Request, status int, name, title string, content any) error {
	f := frame{
		Page: name, Title: title, Version: h.version, Path: r.URL.RequestURI(),
		Login:  !h.open && name != "login" && name != "problem",
		Styles: styles.path, Scripts: scripts.path,
		Money:   h.moneyOf(r),
		Content: content,
	}
	f.Total = h.knownTotal(f.Money)
	var out bytes.Buffer
	if err := pages[name].ExecuteTemplate(&out, "frame.html", f); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", pagePolicy)
	// Under no-referrer a browser sends our own forms with "Origin: null", and
	// over plain HTTP nothing else says that they are ours. Other sites learn
	// as little from same-origin.
	head.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the client may have gone; nobody is left to be told
	return nil
}

// knownTotal is the month's total where it was read lately; the page's script
// puts the present one in its place.
func (h *Handler) knownTotal(m moneyFormat) string {
	if h.economics == nil {
		return "–"
	}
	kept, _ := h.economics.dashboard.get(h.economics.Now().UTC())
	if kept == nil {
		return "–"
	}
	return m.Text(kept.TotalMonthlySpend)
}

// nothingBehind says that a page has nothing to show in this program.
func nothingBehind(what string) error {
	return newProblem(http.StatusNotFound, "This Bursar keeps no %s, so that there is nothing to show here. /calls has what calls cost.", what)
}

// currencyCookie remembers in which currency a browser wants amounts.
const currencyCookie = "bursar_currency"

// moneyOf is how the request's browser is shown amounts.
func (h *Handler) moneyOf(r *http.Request) moneyFormat {
	m := moneyFormat{Currency: accounting.EUR}
	if cookie, err := r.Cookie(currencyCookie); err == nil && cookie.Value == string(accounting.USD) && h.economics != nil {
		m = moneyFormat{Currency: accounting.USD, Rate: h.economics.dollarRate(r)}
	}
	return m
}

// dollarRate is EUR for one USD of the months that a page is of: the ratio at
// which their own charges were converted, so that these are shown as OpenRouter
// billed them.
func (e *economics) dollarRate(r *http.Request) decimal.Decimal {
	query := r.URL.Query()
	in := MonthsInput{From: query.Get("from"), To: query.Get("to")}
	w, err := in.window(e.Now())
	if present := accounting.MonthOf(e.Now()); err == nil && (w.from != present || w.to != present) {
		if rate := e.ratioOf(r.Context(), w); rate.Known {
			return rate.Value
		}
	}
	if d, err := e.figures(r.Context()); err == nil {
		return d.ExchangeRate.Decimal
	}
	return e.Rate
}

// ratioOf is what OpenRouter charged in some months, EUR ÷ USD; unknown where
// that was nothing.
func (e *economics) ratioOf(ctx context.Context, w monthWindow) (ratio accounting.Optional[decimal.Decimal]) {
	reading, cancel := limited(ctx)
	defer cancel()
	months, err := e.Store.Months(reading, w.from, w.to)
	if err != nil {
		return ratio // the page itself tells
	}
	var eur, usd decimal.Decimal
	for i := range months {
		eur, usd = eur.Add(months[i].VariableEUR()), usd.Add(months[i].OpenRouterUSD)
	}
	return accounting.Quotient(eur, usd)
}

// chooseCurrency remembers a currency, and goes back to where it was chosen.
func (h *Handler) chooseCurrency(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxLoginBytes)
	if err := r.ParseForm(); err != nil {
		return newProblem(http.StatusBadRequest, "The form could not be read: send currency=EUR or currency=USD.")
	}
	chosen := accounting.Currency(r.PostForm.Get("currency"))
	if chosen != accounting.EUR && chosen != accounting.USD {
		return invalid(fieldError{Field: "currency", Value: shown(string(chosen)), Message: "expected a currency", Allowed: "EUR or USD"})
	}
	http.SetCookie(w, &http.Cookie{Name: currencyCookie, Value: string(chosen), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, ownPath(r.PostForm.Get("back")), http.StatusSeeOther)
	return nil
}

// moneyFormat shows amounts of EUR in the currency that a reader has chosen.
type moneyFormat struct {
	Currency accounting.Currency
	Rate     decimal.Decimal // EUR for one USD; of USD only
}

// in is an amount of EUR in the reader's currency.
func (m moneyFormat) in(eur decimal.Decimal) decimal.Decimal {
	if m.Currency != accounting.USD || !m.Rate.IsPositive() {
		return eur
	}
	return eur.DivRound(m.Rate, 10)
}
