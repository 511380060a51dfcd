package accounting

import (
	"encoding/json"
	"errors"
	"time"
)

// Alert is something that a person should know. It is made in the transaction
// of what caused it, once for each Key over all replicas.
type Alert struct {
	ID       int64           `json:"id"`
	Key      string          `json:"key"`  // what makes it one and the same, e.g. budget/monthly-ai//2026-11-01T00:00:00Z/75/77
	Kind     string          `json:"kind"` // budget_threshold, budget_blocked, budget_overshoot, month_cost, spike, reconciliation, test, …
	Severity Severity        `json:"severity"`
	Subject  string          `json:"subject"` // what it is about, as the audit log would name it: budget/monthly-ai, campaign/q4
	Title    string          `json:"title"`   // one line
	Text     string          `json:"text"`    // plain text; no prompt, no key
	Data     json.RawMessage `json:"data"`    // the figures behind it, a JSON object
	// HTML is a whole document for channels that can show one, which then have
	// Text beside it; empty: Text alone. It travels with a claimed delivery only.
	HTML string `json:"-"`
	// DeliverAs decides, in place of Severity, to which channels the alert goes
	// when it is made; empty: Severity does.
	DeliverAs Severity `json:"-"`

	CreatedAt      time.Time       `json:"created_at"`
	AcknowledgedAt *time.Time      `json:"acknowledged_at"`
	AcknowledgedBy *string         `json:"acknowledged_by"`
	Deliveries     []AlertDelivery `json:"deliveries"`
}

// Severity is how urgent an alert is.
type Severity string

// The severities.
const (
	SeverityInfo     Severity = "info"
	SeverityWarning  Severity = "warning"
	SeverityCritical Severity = "critical"
)

// AlertDelivery is an alert on its way to one channel.
type AlertDelivery struct {
	AlertID     int64      `json:"-"`
	Channel     string     `json:"channel"` // name of a configured channel, without secrets: slack-1a2b3c4d
	State       string     `json:"state"`   // pending, delivered, failed (given up)
	Attempts    int        `json:"attempts"`
	NextAt      *time.Time `json:"next_at"`
	DeliveredAt *time.Time `json:"delivered_at"`
	Error       *string    `json:"error"` // of the last attempt
}

// AlertFilter says which alerts are wanted, the newest first.
type AlertFilter struct {
	Kind           string
	Severity       Severity
	Subject        string
	Unacknowledged bool
	From, To       *time.Time
	Limit          int
	Cursor         string
}

// AlertPage is one page of alerts.
type AlertPage struct {
	Alerts     []Alert
	NextCursor string
}

// ErrUnknownAlert is the answer to an id of which there is no alert.
var ErrUnknownAlert = errors.New("there is no alert with that id")

// ChannelSubject is the subject of alerts about a channel, which are not
// delivered through it.
func ChannelSubject(channel string) string { return "channel/" + channel }
