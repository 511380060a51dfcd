package settle

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// maxECBBytes bounds the feed: that of 90 days has some 150 KB.
const maxECBBytes = 4 << 20

// ECB is the European Central Bank's feed of reference rates, in the form of
// eurofxref-daily.xml or, with more days, eurofxref-hist-90d.xml.
type ECB struct {
	url    string
	client *http.Client
}

// NewECB is the feed at a URL, read through client.
func NewECB(url string, client *http.Client) *ECB { return &ECB{url: url, client: client} }

// ReadRates implements [RateFeed].
func (e *ECB) ReadRates(ctx context.Context, now time.Time) ([]accounting.ExchangeRate, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, http.NoBody)
	if err != nil {
		return nil, errors.New("the URL of the ECB's rates is not usable")
	}
	res, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the ECB's rates: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the ECB's rates: the answer is %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxECBBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the ECB's rates: %w", err)
	case len(body) > maxECBBytes:
		return nil, fmt.Errorf("read the ECB's rates: the answer has more than %d bytes", maxECBBytes)
	}
	return ParseECB(body, now)
}

// ecbEnvelope is the feed: a Cube of days, each a Cube of currencies.
type ecbEnvelope struct {
	XMLName xml.Name `xml:"http://www.gesmes.org/xml/2002-08-01 Envelope"`
	Days    []struct {
		Time       string `xml:"time,attr"`
		Currencies []struct {
			Code string `xml:"currency,attr"`
			Rate string `xml:"rate,attr"`
		} `xml:"http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube"`
	} `xml:"http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube>Cube"`
}

// ecbRate is a rate as the ECB writes it, e.g. 1.0562. It keeps out exponents,
// which may stand for a number of a billion digits.
var ecbRate = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,12})?$`)

// ParseECB reads the ECB's rates of the dollar, which are USD for one EUR, and
// inverts them to [accounting.RatePlaces] decimals. One value that cannot be is
// an error for all of the feed: a rate that is missing does no harm, since the
// one before it holds on, and a wrong one would.
func ParseECB(body []byte, now time.Time) ([]accounting.ExchangeRate, error) {
	var envelope ecbEnvelope
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&envelope); err != nil {
		return nil, fmt.Errorf("read the ECB's rates: %w", err)
	}
	var rates []accounting.ExchangeRate
	seen := make(map[accounting.Day]bool, len(envelope.Days))
	for _, d := range envelope.Days {
		day, err := accounting.ParseDay(d.Time)
		if err != nil {
			return nil, fmt.Errorf("read the ECB's rates: %w", err)
		}
		if seen[day] {
			return nil, fmt.Errorf("read the ECB's rates: %s stands there twice", day)
		}
		seen[day] = true
		for _, c := range d.Currencies {
			if c.Code != "USD" {
				continue
			}
			rate, err := ecbToEUR(c.Rate)
			if err != nil {
				return nil, fmt.Errorf("read the ECB's rate of %s: %w", day, err)
			}
			r := accounting.ExchangeRate{Day: day, USDToEUR: accounting.Amount{Decimal: rate}, Source: accounting.RateOfECB}
			if err := accounting.CheckRate(r, now); err != nil {
				return nil, fmt.Errorf("read the ECB's rate of %s: %w", day, err)
			}
			if n := len(rates); n > 0 && rates[n-1].Day == day {
				return nil, fmt.Errorf("read the ECB's rate of %s: it stands there twice", day)
			}
			rates = append(rates, r)
		}
	}
	if len(rates) == 0 {
		return nil, errors.New("read the ECB's rates: there is none of USD")
	}
	return rates, nil
}

func ecbToEUR(literal string) (decimal.Decimal, error) {
	if !ecbRate.MatchString(literal) {
		return decimal.Decimal{}, fmt.Errorf("%.40q is not a rate such as 1.0562", literal)
	}
	usdPerEUR, err := decimal.NewFromString(literal)
	if err != nil {
		return decimal.Decimal{}, err
	}
	return accounting.InvertRate(usdPerEUR)
}
