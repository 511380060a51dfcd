package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"bursar/accounting"
	"bursar/accounting/settle/notify"
)

// alertChannel sends alerts as messages.
type alertChannel struct {
	channel *notify.Channel
	appURL  string
}

// Name is the channel's, without secrets.
func (c *alertChannel) Name() string { return c.channel.Name() }

// Kind is the channel's.
func (c *alertChannel) Kind() string { return c.channel.Kind() }

// SendAlert tries once; see [notify.Channel.Send].
func (c *alertChannel) SendAlert(ctx context.Context, a *accounting.Alert, test bool) error {
	return c.channel.Send(ctx, notify.Message{
		// The time tells alerts of one database from those of another.
		ID:   fmt.Sprintf("alert-%d-%d", a.ID, a.CreatedAt.UnixMilli()),
		Kind: a.Kind, Severity: notify.Severity(a.Severity), Title: a.Title, Text: a.Text,
		HTML: a.HTML, Link: alertLink(c.appURL, a.Subject), At: a.CreatedAt, Fields: alertFields(a.Data), Test: test,
	})
}

// maxLinkBytes is what a message takes.
const maxLinkBytes = 500

// alertLink is the page about an alert's subject under the application's URL;
// empty where that is not configured.
func alertLink(appURL, subject string) string {
	if appURL == "" {
		return ""
	}
	base := strings.TrimRight(appURL, "/") + "/"
	link := base
	if id, ok := strings.CutPrefix(subject, "campaign/"); ok {
		link += "campaigns/" + url.PathEscape(id)
	}
	if id, ok := strings.CutPrefix(subject, "usage/"); ok {
		link += "calls/" + url.PathEscape(id)
	}
	if len(link) > maxLinkBytes {
		return base
	}
	return link
}

// alertFields are the figures behind an alert by name, every digit kept. Those
// that are not known, or empty, are left out.
func alertFields(data json.RawMessage) []notify.Field {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var figures map[string]any
	if decoder.Decode(&figures) != nil {
		return nil // no figures
	}
	var fields []notify.Field
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		if value := fieldValue(figures[name]); value != "" {
			fields = append(fields, notify.Field{Name: fieldName(name), Value: value})
		}
	}
	return fields
}

// maxListed bounds the items of a list in a field.
const maxListed = 20

func fieldValue(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	case []any:
		var items []string
		for _, item := range v[:min(len(v), maxListed)] {
			items = append(items, fieldValue(item))
		}
		if len(v) > maxListed {
			items = append(items, fmt.Sprintf("and %d more", len(v)-maxListed))
		}
		return strings.Join(items, ", ")
	}
	return ""
}

// fieldName is spent_usd as Spent USD.
func fieldName(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words {
		switch word {
		case "usd", "eur", "id", "mad":
			words[i] = strings.ToUpper(word)
		}
	}
	words[0] = strings.ToUpper(words[0][:min(1, len(words[0]))]) + words[0][min(1, len(words[0])):]
	return strings.Join(words, " ")
}
