package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

var (
	one            = decimal.NewFromInt(1)
	hundredPercent = decimal.NewFromInt(100)
)

// pageFuncs are what templates call.
var pageFuncs = template.FuncMap{
	"or_dash":      orDash,
	"or_empty":     func(s *string) string { return value(s) },
	"split":        splitAmount,
	"seconds":      seconds,
	"utc":          utc,
	"time":         timeElement,
	"json":         func(v json.RawMessage) string { return cmp.Or(string(v), "–") },
	"meaning":      meaningOf,
	"calls":        theseCalls,
	"percent":      percent,
	"rate":         rate,
	"padded":       padded,
	"count":        groupThousands,
	"many":         many,
	"words":        words,
	"query":        query,
	"segment":      url.PathEscape,
	"link":         pageLink,
	"navigate":     func() any { return navigation },
	"scope":        scopeText,
	"score":        scoreText,
	"meter":        meter,
	"verdictClass": verdictClass,
	"short":        func(version string) string { return version[:min(len(version), 20)] },
	"usd":          func(a accounting.Amount) string { return readable(a.Decimal) },
	"amount":       func(c accounting.Currency, a accounting.Amount) string { return signed(signOf(c), a.Decimal) },
	"wasteLink":    wasteLink,
	"name":         func(name *string, id string) string { return cmp.Or(value(name), id) },
	"list":         func(v ...any) []any { return v },
	"sentence":     sentence,
	"raw":          raw,
	"interval":     rateInterval,
	"mean":         meanDuration,
	"finish":       finishReasons,
	"dollars":      dollars,
}

// Show shows an amount of EUR, nil as a dash, with its exact value on hover:
// from one unit on with two decimals, below with three significant digits, so
// that the cost of an email is not 0.00.
func (m moneyFormat) Show(v any) template.HTML {
	amount, ok := decimalOf(v)
	if !ok {
		return `<span class="soft" title="not known, or nothing to divide by">–</span>`
	}
	return m.element(amount, m.Text(v))
}

// element is an amount of EUR as text, with its exact value on hover.
func (m moneyFormat) element(eur decimal.Decimal, text string) template.HTML {
	exact := eur.String() + " EUR"
	if m.Currency == accounting.USD {
		exact = fmt.Sprintf("%s, shown at %s EUR for one USD", exact, m.Rate)
	}
	return template.HTML(`<data value="` + eur.String() + `" title="` + exact + `">` + template.HTMLEscapeString(text) + `</data>`) //nolint:gosec // digits, and words of our own
}

// Text is the same without markup.
func (m moneyFormat) Text(v any) string {
	amount, ok := decimalOf(v)
	if !ok {
		return "–"
	}
	return signed(m.sign(), m.in(amount))
}

func (m moneyFormat) sign() string { return signOf(m.Currency) }

// signOf is the sign before amounts that are rounded to be read. Exact ones
// are followed by the currency's code.
func signOf(c accounting.Currency) string {
	if c == accounting.USD {
		return "$"
	}
	return "€"
}

// Part shows an amount of EUR beside others that add up to whole. Where the
// whole has two decimals each part has, so that points stand below each other;
// below a cent it says so.
func (m moneyFormat) Part(v, whole any) template.HTML {
	part, known := decimalOf(v)
	sum, _ := decimalOf(whole)
	if !known || m.in(sum.Abs()).LessThan(one) {
		return m.Show(v)
	}
	amount, cent := m.in(part), decimal.New(1, -2)
	text := signed(m.sign(), amount.Round(2))
	if amount.IsPositive() && amount.LessThan(cent) {
		text = "< " + m.sign() + cent.String()
	}
	return m.element(part, text)
}

// signed is an amount with its sign of currency, rounded to be read.
func signed(sign string, amount decimal.Decimal) string {
	minus := ""
	if amount.IsNegative() {
		minus, amount = "−", amount.Neg()
	}
	return minus + sign + readable(amount)
}

// readable rounds an amount that is not negative.
func readable(amount decimal.Decimal) string {
	switch {
	case amount.IsZero():
		return "0.00"
	case amount.GreaterThanOrEqual(one):
		return groupThousands(amount.StringFixed(2))
	}
	// The exponent of the first digit that is not zero: 0.00123 has −3.
	first := int32(amount.NumDigits()) + amount.Exponent() - 1
	places := max(2, 2-first)
	text := amount.StringFixed(places)
	for strings.HasSuffix(text, "0") && len(text)-strings.IndexByte(text, '.') > 3 {
		text = strings.TrimSuffix(text, "0")
	}
	return text
}

// decimalOf reads the kinds of amount that templates have; false: unknown.
func decimalOf(v any) (decimal.Decimal, bool) {
	switch v := v.(type) {
	case decimal.Decimal:
		return v, true
	case accounting.Amount:
		return v.Decimal, true
	case *accounting.Amount:
		if v != nil {
			return v.Decimal, true
		}
	case accounting.Optional[decimal.Decimal]:
		return v.Value, v.Known
	}
	return decimal.Decimal{}, false
}

// percent shows a share (0.05 is 5 %), unknown as a dash.
func percent(v any) string {
	share, ok := decimalOf(v)
	if !ok {
		return "–"
	}
	return share.Mul(hundredPercent).Round(1).String() + " %"
}

// rate is percent for a column: always with one decimal.
func rate(v any) string {
	share, ok := decimalOf(v)
	if !ok {
		return "–"
	}
	return share.Mul(hundredPercent).StringFixed(1) + " %"
}

// paddedPlaces is how many decimals of a cost padded makes room for.
const paddedPlaces = 8

// padded shows all digits of an amount for a column that is read from the
// right: spaces as wide as digits keep points below each other.
func padded(v any) string {
	amount, ok := decimalOf(v)
	if !ok {
		return "–"
	}
	text := amount.String()
	_, fraction, found := strings.Cut(text, ".")
	if !found {
		text += "\u2008" // as wide as a point
	}
	return text + strings.Repeat("\u2007", max(paddedPlaces-len(fraction), 0))
}

// groupThousands shows a number with thin spaces between thousands.
func groupThousands(v any) string {
	text := fmt.Sprint(v)
	whole, fraction, found := strings.Cut(text, ".")
	minus := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	var b strings.Builder
	if minus {
		b.WriteString("−")
	}
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(digit)
	}
	if found {
		b.WriteString("." + fraction)
	}
	return b.String()
}

// many is a number of things: "1 call", "1 200 calls".
func many(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return groupThousands(n) + " " + thing + "s"
}

// words makes a name of the API readable: not_enough_data is "not enough data".
func words(v any) string {
	text := strings.ReplaceAll(fmt.Sprint(v), "_", " ")
	for _, short := range []string{" ai", " roi"} {
		if before, found := strings.CutSuffix(text, short); found {
			return before + strings.ToUpper(short)
		}
	}
	return text
}

// sentence is words with a capital letter at their beginning.
func sentence(v any) string {
	text := words(v)
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// raw is an amount with all its digits, for sorting; unknown is empty.
func raw(v any) string {
	amount, ok := decimalOf(v)
	if !ok {
		return ""
	}
	return amount.String()
}

// dollars shows an amount of USD as OpenRouter bills it, rounded to be read and
// with its exact value on hover.
func dollars(v any) template.HTML {
	amount, ok := decimalOf(v)
	if !ok {
		return `<span class="soft" title="not known, or nothing to divide by">–</span>`
	}
	return template.HTML(`<data value="` + amount.String() + `" title="` + amount.String() + ` USD">` + signed("$", amount) + `</data>`) //nolint:gosec // digits, and words of our own
}

// statistic is a bound of an interval or a probability, which are no amounts
// that anybody pays.
func statistic(f float64) decimal.Decimal {
	return decimal.NewFromFloat(f) //nolint:forbidigo // see above
}

// rateInterval shows the interval of a rate: "3.1 to 7.9 %".
func rateInterval(i *accounting.IntervalRow) string {
	if i == nil {
		return "–"
	}
	low, high := statistic(100*i.Low), hundredPercent
	if i.High != nil {
		high = statistic(100 * *i.High)
	}
	return low.StringFixed(1) + " to " + high.StringFixed(1) + " %"
}

// meanDuration shows a mean of milliseconds.
func meanDuration(ms *accounting.Amount) string {
	if ms == nil {
		return "–"
	}
	return ms.Shift(-3).StringFixed(2) + " s"
}

// Between shows the interval of a cost, EUR.
func (m moneyFormat) Between(i *accounting.IntervalRow) string {
	switch {
	case i == nil:
		return "–"
	case i.High == nil:
		return "at least " + m.Text(statistic(i.Low))
	}
	return m.Text(statistic(i.Low)) + " to " + m.Text(statistic(*i.High))
}

// query is pairs of names and values as the query of an address.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + values.Encode()
}

// pageLink is the address of the page of a campaign, lead or email; folder is
// campaigns, leads or emails, pairs are what else it says. Browsers take the
// names "." and ".." in a path for folders, escaped or not: those of leads and
// emails stand in the query, and of such a campaign the calls are shown.
func pageLink(folder, id string, pairs ...string) string {
	if id != "." && id != ".." {
		if address := query(pairs...); address != "?" {
			return "/" + folder + "/" + url.PathEscape(id) + address
		}
		return "/" + folder + "/" + url.PathEscape(id)
	}
	if folder == "campaigns" {
		return "/calls" + query("campaign_id", id)
	}
	return "/" + folder + "/-" + query("id", id)
}

// linkedID is the id in an address that pageLink has made.
func linkedID(r *http.Request) string {
	if id := r.URL.Query().Get("id"); r.PathValue("id") == "-" && (id == "." || id == "..") {
		return id
	}
	return r.PathValue("id")
}

// timeElement shows a time: in UTC, and by the page's script in the reader's
// zone with UTC on hover.
func timeElement(v any) template.HTML {
	var t time.Time
	switch v := v.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	if t.IsZero() {
		return `<span class="soft">–</span>`
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339Nano) + `">` + utc(t) + `</time>`) //nolint:gosec // digits, and words of our own
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
	case string:
		if v != "" {
			return v
		}
	case *int64:
		if v != nil {
			return groupThousands(*v)
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

// scopeText says in words what a scope covers.
func scopeText(s accounting.Scope) string {
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"campaign", s.CampaignID}, {"purpose", s.Purpose}, {"platform", s.Platform}, {"model", s.Model}, {"key", s.Key},
	} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "all calls")
}

// meter is a bar of a share in percent, nil as an empty one.
func meter(percent *accounting.Amount, state string) template.HTML {
	width := decimal.Min(value(percent).Decimal, decimal.NewFromInt(100)).Round(1)
	if state != "warning" && state != "exceeded" {
		state = ""
	}
	return template.HTML(`<svg class="bar ` + state + `" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="100" height="8"/><rect width="` + //nolint:gosec // digits, and words of our own
		width.String() + `" height="8"/></svg>`)
}

// wasteLink is the page that lists the rows of a kind of waste; empty: there is
// none that lists them alone.
func wasteLink(kind accounting.WasteKind) string {
	switch kind {
	case accounting.WasteUnsent:
		return "/leads?state=unsent"
	case accounting.WasteBounced, accounting.WasteUnsubscribed:
		return "/leads?state=lost"
	case accounting.WasteFailed, accounting.WasteCancelled, accounting.WasteTruncated, accounting.WasteRedrafted:
	}
	return ""
}

// verdictClass is the colour of a verdict, which is said in words beside it.
func verdictClass(v accounting.Verdict) string {
	switch v {
	case accounting.VerdictAgrees, accounting.VerdictWithinTolerance:
		return "good"
	case accounting.VerdictDiffers:
		return "bad"
	case accounting.VerdictUnavailable:
		return "wait"
	}
	return ""
}
