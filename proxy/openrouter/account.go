package openrouter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// literal is an amount as it stood on the wire, so that no digit passes
// through a float: a JSON number, or a string that holds one. Null, absent and
// senseless are unknown.
type literal accounting.Optional[decimal.Decimal]

// UnmarshalJSON implements [json.Unmarshaler].
func (l *literal) UnmarshalJSON(raw []byte) error {
	*l = literal(accounting.ParseCost(string(bytes.Trim(raw, `"`))))
	return nil
}

func (l literal) optional() accounting.Optional[decimal.Decimal] {
	return accounting.Optional[decimal.Decimal](l)
}

// Activity fetches what OpenRouter charged on a UTC day, by model and
// provider: of the key with this fingerprint, or with an empty one of the
// whole account. It needs a management key. OpenRouter keeps the last 30 days
// that are complete, which a day is half an hour after its end; it counts a
// call on the day on which it began.
//
// Errors: *[accounting.LookupError] for an error status, otherwise the
// transport's.
func (c *Client) Activity(ctx context.Context, managementKey string, day accounting.Day, fingerprint string) ([]accounting.Activity, error) {
	query := url.Values{"date": {day.String()}}
	if fingerprint != "" {
		query.Set("api_key_hash", fingerprint)
	}
	var items []struct {
		Date      string  `json:"date"`
		Model     string  `json:"model"`
		Permaslug string  `json:"model_permaslug"`
		Provider  string  `json:"provider_name"`
		Usage     literal `json:"usage"`
		Requests  int64   `json:"requests"`
	}
	if err := c.data(ctx, managementKey, "/api/v1/activity?"+query.Encode(), &items); err != nil {
		return nil, fmt.Errorf("read the activity of %s: %w", day, err)
	}
	activity := make([]accounting.Activity, 0, len(items))
	for _, item := range items {
		if !item.Usage.Known {
			return nil, fmt.Errorf("read the activity of %s: %s has no usage that is an amount", day, item.Permaslug)
		}
		// Some versions of the API add the time of day.
		if len(item.Date) < len(day.String()) || item.Date[:len(day.String())] != day.String() {
			return nil, fmt.Errorf("read the activity of %s: an item is of %q", day, item.Date)
		}
		activity = append(activity, accounting.Activity{
			Model: item.Model, Permaslug: item.Permaslug, Provider: item.Provider,
			Usage: item.Usage.Value, Requests: item.Requests,
		})
	}
	return activity, nil
}

// Key fetches what a key has used so far; any key may ask about itself. The
// time of the sample is left to the caller. Errors: as [Client.Activity].
func (c *Client) Key(ctx context.Context, key string) (accounting.Sample, error) {
	var record struct {
		Usage        literal `json:"usage"`
		UsageDaily   literal `json:"usage_daily"`
		UsageMonthly literal `json:"usage_monthly"`
	}
	err := c.data(ctx, key, "/api/v1/key", &record)
	if err == nil && !record.Usage.Known {
		err = errors.New("it has no usage that is an amount")
	}
	fingerprint := accounting.Fingerprint(key)
	if err != nil {
		return accounting.Sample{}, fmt.Errorf("read the usage of key %.8s…: %w", fingerprint, err)
	}
	return accounting.Sample{
		Sampled: accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: fingerprint},
		Usage:   record.Usage.Value, UsageDaily: record.UsageDaily.optional(), UsageMonthly: record.UsageMonthly.optional(),
	}, nil
}

// Credits fetches what the account has bought and used so far. It needs a
// management key. The time of the sample is left to the caller. Errors: as
// [Client.Activity].
func (c *Client) Credits(ctx context.Context, managementKey string) (accounting.Sample, error) {
	var record struct {
		TotalCredits literal `json:"total_credits"`
		TotalUsage   literal `json:"total_usage"`
	}
	err := c.data(ctx, managementKey, "/api/v1/credits", &record)
	if err == nil && !record.TotalUsage.Known {
		err = errors.New("they have no total_usage that is an amount")
	}
	if err != nil {
		return accounting.Sample{}, fmt.Errorf("read the credits: %w", err)
	}
	return accounting.Sample{
		Sampled: accounting.Sampled{Source: accounting.SourceCredits},
		Usage:   record.TotalUsage.Value, TotalCredits: record.TotalCredits.optional(),
	}, nil
}

// data fetches a document and decodes its "data" into out.
func (c *Client) data(ctx context.Context, key, path string, out any) error {
	body, err := c.fetch(ctx, key, path)
	if err != nil {
		return err
	}
	document := struct {
		Data json.RawMessage `json:"data"`
	}{}
	if err := json.Unmarshal(body, &document); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	if document.Data == nil {
		return errors.New("the answer has no data")
	}
	if err := json.Unmarshal(document.Data, out); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	return nil
}
