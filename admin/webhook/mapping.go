package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Mapping says where a platform's payload holds what an activity consists of.
// A path is names with dots between, lead.email; of several, with | between,
// the first that leads to a value counts. An empty path is never told.
type Mapping struct {
	Event    string `json:"event"` // the name of the event
	ID       string `json:"id"`    // the event's own; without one the content identifies it
	Campaign string `json:"campaign"`
	Lead     string `json:"lead"`
	Email    string `json:"email"`
	Time     string `json:"time"` // RFC 3339; without one the event happens now
	Value    string `json:"value"`
	Currency string `json:"currency"`
	Platform string `json:"platform"` // a name, not a path; empty: told by platform_path
	Path     string `json:"platform_path"`

	// Events are the types of activities by the events' names, in lower case.
	// Others are not recorded.
	Events map[string]accounting.ActivityType `json:"events"`
}

// DefaultMappings are those of Instantly's documented payloads, of HeyReach's as
// others report them (docs/webhooks.md says what that rests on), and of our own,
// by the last part of their address. [ReadMappings] replaces any of them.
func DefaultMappings() map[string]Mapping {
	generic := make(map[string]accounting.ActivityType)
	for _, t := range accounting.ActivityTypes() {
		generic[string(t)] = t
	}
	return map[string]Mapping{
		"instantly": {
			// No id: none is documented, and a lead's own fields, which may be
			// called id, stand among those of the event.
			Event: "event_type", Campaign: "campaign_id", Lead: "lead_id|lead_email", Email: "email_id",
			Time: "timestamp", Platform: accounting.PlatformInstantly,
			Events: map[string]accounting.ActivityType{
				"email_sent": accounting.EmailSent, "email_opened": accounting.EmailOpened, "reply_received": accounting.ReplyReceived,
				"email_bounced": accounting.Bounced, "lead_unsubscribed": accounting.Unsubscribed,
				"lead_meeting_booked": accounting.MeetingBooked, "lead_closed": accounting.DealWon,
			},
		},
		"heyreach": {
			Event: "event_type|eventType|event", ID: "event_id|eventId", Campaign: "campaign.id|campaign_id|campaignId",
			Lead: "lead.id|lead.profile_url|lead.profileUrl|leadProfile.linkedInUrl|lead_id", Time: "timestamp", Platform: "heyreach",
			Events: map[string]accounting.ActivityType{
				"message_sent": accounting.EmailSent, "inmail_sent": accounting.EmailSent,
				"message_reply_received": accounting.ReplyReceived, "every_message_reply_received": accounting.ReplyReceived, "inmail_reply_received": accounting.ReplyReceived,
			},
		},
		"generic": {
			Event: "type|event", ID: "id", Campaign: "campaignId|campaign_id", Lead: "leadId|lead_id", Email: "emailId|email_id",
			Time: "occurredAt|occurred_at|timestamp", Value: "value", Currency: "currency", Path: "platform", Events: generic,
		},
	}
}

// ReadMappings lays the mappings of a JSON document, by the last part of their
// address, over the default ones.
func ReadMappings(r io.Reader) (map[string]Mapping, error) {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	var read map[string]Mapping
	if err := decoder.Decode(&read); err != nil {
		return nil, fmt.Errorf("read webhook mappings: %w", err)
	}
	all := DefaultMappings()
	for name, m := range read {
		if !platformName.MatchString(name) {
			return nil, fmt.Errorf("webhook mapping %.40q: a name is up to 40 of a-z, 0-9, _ and -", name)
		}
		if m.Event == "" || len(m.Events) == 0 {
			return nil, fmt.Errorf("webhook mapping %s: it needs event and events", name)
		}
		for event, kind := range m.Events {
			if !slices.Contains(accounting.ActivityTypes(), kind) {
				return nil, fmt.Errorf("webhook mapping %s: event %.40q is no activity type: %.40q", name, event, kind)
			}
		}
	}
	maps.Copy(all, read)
	return all, nil
}

var (
	platformName = regexp.MustCompile(`^[a-z0-9_-]{1,40}$`)
	amountForm   = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,10})?$`)
)

// errUnknownEvent is the answer to an event that stands for no activity.
var errUnknownEvent = errors.New("no activity belongs to this event")

// Activity reads the body of an event of the platform called name. Errors never
// repeat a value of the payload.
func (m *Mapping) Activity(name string, body []byte, now time.Time) (accounting.CampaignActivity, error) {
	var a accounting.CampaignActivity
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var payload map[string]any
	if decoder.Decode(&payload) != nil || payload == nil || decoder.Decode(new(any)) != io.EOF {
		return a, errors.New("the body is not one JSON object")
	}
	event := find(payload, m.Event)
	if event == "" {
		return a, fmt.Errorf("there is no event at %s", m.Event)
	}
	kind, known := m.Events[strings.ToLower(event)]
	if !known {
		return a, errUnknownEvent
	}
	a = accounting.CampaignActivity{Type: kind, ID: activityID(name, event, find(payload, m.ID), body), Platform: m.Platform, Source: "webhook/" + name}
	for _, field := range []struct {
		path string
		to   *string
	}{{m.Campaign, &a.CampaignID}, {m.Lead, &a.LeadID}, {m.Email, &a.EmailID}, {m.Path, &a.Platform}} {
		if value := find(payload, field.path); value != "" {
			clean, _ := accounting.CleanTag(value)
			*field.to = clean
		}
	}
	var err error
	if a.OccurredAt, err = occurred(find(payload, m.Time), m.Time, now); err != nil {
		return a, err
	}
	return a, m.value(payload, &a)
}

// value reads what a meeting or a deal is worth.
func (m *Mapping) value(payload map[string]any, a *accounting.CampaignActivity) error {
	literal := find(payload, m.Value)
	if literal == "" || a.Type != accounting.MeetingBooked && a.Type != accounting.DealWon {
		return nil
	}
	if !amountForm.MatchString(literal) {
		return fmt.Errorf("the value at %s is not an amount of 0 or more", m.Value)
	}
	value, err := decimal.NewFromString(literal)
	if err != nil {
		return fmt.Errorf("the value at %s is not an amount", m.Value)
	}
	a.Value, a.Currency = accounting.Some(value), accounting.EUR
	if currency := find(payload, m.Currency); currency != "" {
		a.Currency = accounting.Currency(strings.ToUpper(currency))
	}
	if a.Currency != accounting.EUR && a.Currency != accounting.USD {
		return fmt.Errorf("the currency at %s is neither EUR nor USD", m.Currency)
	}
	return nil
}

// maxAhead is how far a platform's clock may be ahead of ours.
const maxAhead = 5 * time.Minute

func occurred(literal, path string, now time.Time) (time.Time, error) {
	if literal == "" {
		return now.UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, literal)
	switch {
	case err != nil:
		return at, fmt.Errorf("the time at %s is not one such as 2026-11-22T10:00:00Z", path)
	case at.After(now.Add(maxAhead)) || at.Year() < 2000:
		return at, fmt.Errorf("the time at %s is before 2000 or in the future", path)
	}
	return at.UTC(), nil
}

// activityID makes an event idempotent: by its own id, else by its content. It
// is a hash, since an id may be any text, an address of a person among them.
func activityID(platform, event, own string, body []byte) string {
	hash := sha256.New()
	if own != "" {
		_, _ = fmt.Fprintf(hash, "id\x00%s\x00%s", strings.ToLower(event), own)
	} else {
		_, _ = hash.Write(append([]byte("body\x00"), body...))
	}
	return "webhook/" + platform + "/" + hex.EncodeToString(hash.Sum(nil))
}

// find is the text or number at the first path that leads to one.
func find(payload map[string]any, paths string) string {
	for path := range strings.SplitSeq(paths, "|") {
		var at any = payload
		for name := range strings.SplitSeq(path, ".") {
			object, _ := at.(map[string]any)
			at = object[name]
		}
		switch v := at.(type) {
		case string:
			if v = strings.TrimSpace(v); v != "" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}
