package settle

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var ecbNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ecbFile(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return body
}

// written are rates as text.
func written(rates []accounting.ExchangeRate) (list []string) {
	for _, r := range rates {
		list = append(list, r.Day.String()+" "+r.USDToEUR.String()+" "+r.Source)
	}
	return list
}

func TestTheECBsFeedsAreReadAndInverted(t *testing.T) {
	daily, err := ParseECB(ecbFile(t, "eurofxref-daily.xml"), ecbNow)
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11-20 0.9467903806 ecb"}, written(daily))
	days, err := ParseECB(ecbFile(t, "eurofxref-hist-90d.xml"), ecbNow)
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11-20 0.9467903806 ecb", "2026-11-19 0.9433962264 ecb"}, written(days))
}

func TestOneValueOfTheFeedThatCannotBeRefusesAllOfIt(t *testing.T) {
	good := string(ecbFile(t, "eurofxref-hist-90d.xml"))
	for name, tt := range map[string]struct{ old, new, reason string }{
		"no number":          {`rate="1.06"`, `rate="N/A"`, "is not a rate"},
		"an exponent":        {`rate="1.06"`, `rate="1e9"`, "is not a rate"},
		"nothing":            {`rate="1.06"`, `rate="0"`, "more than 0"},
		"another unit":       {`rate="1.06"`, `rate="106"`, "EUR for one USD"},
		"a negative one":     {`rate="1.06"`, `rate="-1.06"`, "is not a rate"},
		"a day to come":      {"2026-11-19", "2026-11-23", "has not begun"},
		"no day":             {"2026-11-19", "yesterday", "is not a day"},
		"a day twice":        {"2026-11-19", "2026-11-20", "twice"},
		"the dollar twice":   {`currency="JPY" rate="162.9"`, `currency="USD" rate="1.2"`, "twice"},
		"no dollar":          {`"USD"`, `"CHF"`, "none of USD"},
		"another vocabulary": {"2002-08-01/eurofxref", "2030-01-01/eurofxref", "none of USD"},
		"another document":   {"gesmes:Envelope", "html", "expected element"},
		"cut off":            {"</gesmes:Envelope>", "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.ReplaceAll(good, tt.old, tt.new)
			require.NotEqual(t, good, body)
			rates, err := ParseECB([]byte(body), ecbNow)
			require.ErrorContains(t, err, tt.reason)
			require.Empty(t, rates)
		})
	}
}

func TestTheFeedIsReadOverHTTPAndItsTroublesAreNamed(t *testing.T) {
	var answer func(w http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	t.Cleanup(server.Close)
	feed := NewECB(server.URL, server.Client())

	answer = func(w http.ResponseWriter) { _, _ = w.Write(ecbFile(t, "eurofxref-daily.xml")) }
	rates, err := feed.ReadRates(t.Context(), ecbNow)
	require.NoError(t, err)
	require.Len(t, rates, 1)

	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
	_, err = feed.ReadRates(t.Context(), ecbNow)
	require.ErrorContains(t, err, "503")
	answer = func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte(" "), maxECBBytes+1)) }
	_, err = feed.ReadRates(t.Context(), ecbNow)
	require.ErrorContains(t, err, "more than")
	server.Close()
	_, err = feed.ReadRates(t.Context(), ecbNow)
	require.ErrorContains(t, err, "read the ECB's rates")
	_, err = NewECB("http://[", http.DefaultClient).ReadRates(t.Context(), ecbNow)
	require.ErrorContains(t, err, "not usable")
}

func FuzzParseECB(f *testing.F) {
	for _, name := range []string{"eurofxref-daily.xml", "eurofxref-hist-90d.xml"} {
		f.Add(ecbFile(f, name))
	}
	f.Add([]byte(`<Envelope xmlns="http://www.gesmes.org/xml/2002-08-01"><Cube/></Envelope>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rates, err := ParseECB(body, ecbNow)
		if (err == nil) != (len(rates) > 0) {
			t.Fatalf("%d rates with error %v", len(rates), err)
		}
		for _, r := range rates {
			if err := accounting.CheckRate(r, ecbNow); err != nil {
				t.Fatalf("a rate that cannot be was read: %v", err)
			}
		}
	})
}
