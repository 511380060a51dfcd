package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// The headers of a webhook.
const (
	// SignatureHeader holds [Signature]; it is absent where the URL has no secret.
	SignatureHeader = "X-Bursar-Signature"
	// DeliveryHeader holds the message's id.
	DeliveryHeader = "X-Bursar-Delivery"
)

// webhookPayload is the document of a webhook. Its names are a promise.
type webhookPayload struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"`
	Text     string    `json:"text"`
	Link     string    `json:"link"`
	At       time.Time `json:"at"`
	Fields   []Field   `json:"fields"`
	Test     bool      `json:"test"`
}

func renderWebhook(m *Message) ([]byte, error) {
	return json.Marshal(webhookPayload{
		ID: m.ID, Kind: m.Kind, Severity: m.Severity, Title: m.Title, Text: m.Text,
		Link: m.Link, At: m.At.UTC(), Fields: m.Fields, Test: m.Test,
	})
}

// signWebhook signs each attempt anew, so that a receiver may refuse old
// signatures and still take a message that was late.
func signWebhook(secret string) func(http.Header, *Message, []byte) {
	return func(h http.Header, m *Message, body []byte) {
		h.Set(DeliveryHeader, m.ID)
		if secret != "" {
			h.Set(SignatureHeader, Signature([]byte(secret), time.Now(), body))
		}
	}
}

// Signature is t=<t in Unix seconds>,v1=<hexadecimal HMAC-SHA256, under the
// secret, of those seconds, a dot and the body>. The scheme is Stripe's: the
// time is signed, so that a recorded delivery cannot be played back later.
func Signature(secret []byte, t time.Time, body []byte) string {
	unix := strconv.FormatInt(t.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(unix + ".")) // a hash's Write returns no error
	_, _ = mac.Write(body)
	return "t=" + unix + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
