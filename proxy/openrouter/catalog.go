package openrouter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Models fetches the list of all models, each with the one offer that the list
// shows as Top. The list is public: key may be empty. Members that we do not
// know are passed over, and what is not as expected is taken for not listed.
//
// Errors: as [Client.Activity].
func (c *Client) Models(ctx context.Context, key string) ([]accounting.Model, error) {
	var items []json.RawMessage
	if err := c.data(ctx, key, "/api/v1/models?output_modalities=all", &items); err != nil {
		return nil, fmt.Errorf("read the list of models: %w", err)
	}
	models := make([]accounting.Model, 0, len(items))
	for _, item := range items {
		if m := readListed(item); m.Slug != "" {
			models = append(models, m)
		}
	}
	if len(models) == 0 {
		return nil, errors.New("read the list of models: it names none")
	}
	return models, nil
}

// Endpoints fetches all offers of one model, e.g. openai/gpt-5-mini. The list
// is public: key may be empty. FetchedAt is left to the caller.
//
// Errors: as [Client.Activity]; 404 is a model that OpenRouter does not have.
func (c *Client) Endpoints(ctx context.Context, key, slug string) (accounting.Model, error) {
	author, name, ok := strings.Cut(slug, "/")
	if !ok || author == "" || name == "" || strings.Contains(name, "/") {
		return accounting.Model{}, fmt.Errorf("read the endpoints of %q: want a name like author/model", slug)
	}
	var document struct {
		Endpoints []json.RawMessage `json:"endpoints"`
	}
	path := "/api/v1/models/" + url.PathEscape(author) + "/" + url.PathEscape(name) + "/endpoints"
	if err := c.data(ctx, key, path, &document); err != nil {
		return accounting.Model{}, fmt.Errorf("read the endpoints of %s: %w", slug, err)
	}
	m := accounting.Model{Slug: slug}
	for _, item := range document.Endpoints {
		m.Endpoints = append(m.Endpoints, readEndpoint(item))
	}
	return m, nil
}

// members are those of an object, none if raw is not one.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// text is a string as it may be stored, empty if raw is not one.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	clean, _ := accounting.CleanTag(s)
	return clean
}

// tokens is a number of tokens.
func tokens(raw json.RawMessage) accounting.Optional[int64] {
	return count(bytes.Trim(raw, `"`))
}

func readListed(raw json.RawMessage) accounting.Model {
	m := members(raw)
	top := members(m["top_provider"])
	return accounting.Model{
		Slug: text(m["id"]), CanonicalSlug: text(m["canonical_slug"]),
		AliasOf: cmp.Or(text(m["alias_target"]), text(members(m["alias_target"])["id"])),
		Top: accounting.Endpoint{
			ContextLength:       tokens(top["context_length"]).Or(tokens(m["context_length"])),
			MaxCompletionTokens: tokens(top["max_completion_tokens"]),
			Prices:              readPrices(m["pricing"]),
		},
	}
}

func readEndpoint(raw json.RawMessage) accounting.Endpoint {
	m := members(raw)
	e := accounting.Endpoint{
		Provider: text(m["provider_name"]), Tag: text(m["tag"]),
		ContextLength:       tokens(m["context_length"]),
		MaxPromptTokens:     tokens(m["max_prompt_tokens"]),
		MaxCompletionTokens: tokens(m["max_completion_tokens"]),
		Prices:              readPrices(m["pricing"]),
	}
	_ = json.Unmarshal(m["status"], &e.Status) // anything else is a status nobody knows
	return e
}

func readPrices(raw json.RawMessage) accounting.Prices {
	var p accounting.Prices
	listed := members(raw)
	p.Rates, p.Others = readRates(listed)
	p.Discount = amountOf(listed["discount"])
	var overrides []json.RawMessage
	if json.Unmarshal(listed["overrides"], &overrides) != nil {
		return p
	}
	for _, item := range overrides {
		m := members(item)
		o := accounting.PriceOverride{
			MinPromptTokens: tokens(m["min_prompt_tokens"]).Value,
			UTCStart:        text(m["utc_start"]), UTCEnd: text(m["utc_end"]),
		}
		o.Rates, o.Others = readRates(m)
		p.Overrides = append(p.Overrides, o)
	}
	return p
}

// notRates are the members beside prices.
var notRates = []string{"discount", "overrides", "min_prompt_tokens", "utc_start", "utc_end"}

// readRates sorts prices into those we know and others: of components that we
// do not know, and "-1", which stands for one that varies.
func readRates(listed map[string]json.RawMessage) (rates accounting.Rates, others []accounting.OtherPrice) {
	for name, raw := range listed {
		if slices.Contains(notRates, name) || string(raw) == "null" {
			continue
		}
		price := amountOf(raw)
		component, known := accounting.PriceComponentOf(name)
		switch {
		case known && price.Known:
			rates[component] = price
		case known || isNegative(raw) || price.Known && !price.Value.IsZero():
			clean, _ := accounting.CleanTag(name)
			others = append(others, accounting.OtherPrice{Name: clean, Price: price})
		}
	}
	slices.SortFunc(others, func(a, b accounting.OtherPrice) int { return cmp.Compare(a.Name, b.Name) })
	return rates, others
}

func isNegative(raw json.RawMessage) bool {
	return bytes.HasPrefix(bytes.Trim(raw, `"`), []byte("-"))
}

// amountOf is a price: a string that holds a number, as OpenRouter sends it,
// or the number itself.
func amountOf(raw json.RawMessage) accounting.Optional[decimal.Decimal] {
	return accounting.ParseCost(string(bytes.Trim(raw, `"`)))
}
