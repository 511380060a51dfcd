package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// store keeps activities by their ids, in memory.
type store struct {
	mu    sync.Mutex
	known map[string]bool
	list  []string
	err   error
}

func (s *store) RecordActivities(_ context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var recorded []accounting.RecordedActivity
	for _, a := range list {
		recorded = append(recorded, accounting.RecordedActivity{ID: a.ID, New: !s.known[a.ID]})
		if !s.known[a.ID] {
			line := fmt.Sprintf("%s %s/%s/%s on %s by %s at %s", a.Type, a.CampaignID, a.LeadID, a.EmailID, a.Platform, a.Source, a.OccurredAt.Format(time.RFC3339))
			if a.Value.Known {
				line += " " + a.Value.Value.String() + " " + string(a.Currency)
			}
			s.list = append(s.list, line)
		}
		s.known[a.ID] = true
	}
	return recorded, nil
}

type rig struct {
	t      *testing.T
	url    string
	store  *store
	log    *bytes.Buffer
	events *prometheus.Registry
}

func start(t *testing.T) *rig {
	r := &rig{t: t, store: &store{known: map[string]bool{}}, log: &bytes.Buffer{}, events: prometheus.NewRegistry()}
	h, err := New(Options{Store: r.store, Secret: "s3cret", MaxBytes: 2000, Now: func() time.Time { return now }, Registerer: r.events, Logger: zerolog.New(r.log)})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *rig) send(method, path, body string, headers ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	require.NoError(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(answer)
}

const bearer = "Bearer s3cret"

const sent = `{"timestamp":"2026-11-22T10:00:00.5+01:00","event_type":"email_sent","workspace":"w","campaign_id":"q4","campaign_name":"Q4","lead_email":"ada@example.com","email_account":"me@example.com","step":1}`

func TestEventsOfThePlatformsBecomeActivitiesOnce(t *testing.T) {
	r := start(t)
	for _, event := range []struct{ path, body string }{
		{"instantly", sent},
		{"instantly", sent},
		{"instantly", strings.Replace(sent, "email_sent", "lead_meeting_booked", 1)},
		{"instantly", strings.Replace(sent, "email_sent", "email_bounced", 1)},
		{"heyreach", `{"event_type":"MESSAGE_SENT","campaign":{"id":417},"lead":{"profile_url":"https://example.com/in/ada"},"event_id":"e-1"}`},
		{"heyreach", `{"event_id":"e-1","event_type":"message_sent","lead":{"profile_url":"https://example.com/in/ada"},"campaign":{"id":417}}`},
		{"heyreach", `{"eventType":"MESSAGE_REPLY_RECEIVED","leadProfile":{"linkedInUrl":"https://example.com/in/ada"},"campaign":{"id":417,"name":"Q2"},"timestamp":"2026-11-22T11:00:00Z"}`},
		{"heyreach", `{"event":"INMAIL_SENT","eventId":"e-2","campaignId":418,"lead":{"profileUrl":"https://example.com/in/bob"}}`},
		{"generic", `{"type":"deal_won","id":"d-1","campaignId":"q4","leadId":"ada","emailId":"m-1","platform":"crm","value":2000.50,"currency":"usd"}`},
	} {
		status, answer := r.send("POST", "/webhooks/"+event.path, event.body, "Authorization", bearer)
		require.Equal(t, http.StatusOK, status, answer)
	}
	require.Equal(t, []string{
		"email_sent q4/ada@example.com/ on instantly by webhook/instantly at 2026-11-22T09:00:00Z",
		"meeting_booked q4/ada@example.com/ on instantly by webhook/instantly at 2026-11-22T09:00:00Z",
		"bounced q4/ada@example.com/ on instantly by webhook/instantly at 2026-11-22T09:00:00Z",
		"email_sent 417/https://example.com/in/ada/ on heyreach by webhook/heyreach at 2026-11-22T12:00:00Z",
		"reply_received 417/https://example.com/in/ada/ on heyreach by webhook/heyreach at 2026-11-22T11:00:00Z",
		"email_sent 418/https://example.com/in/bob/ on heyreach by webhook/heyreach at 2026-11-22T12:00:00Z",
		"deal_won q4/ada/m-1 on crm by webhook/generic at 2026-11-22T12:00:00Z 2000.5 USD",
	}, r.store.list)
}

func TestTwoEventsOfOneLeadAreTwoThoughTheLeadsOwnFieldsAreAmongThem(t *testing.T) {
	r := start(t)
	for _, event := range []struct{ path, body string }{
		{"instantly", `{"timestamp":"2026-11-22T10:00:00Z","event_type":"email_sent","workspace":"w","campaign_id":"q4","campaign_name":"Q4","lead_email":"ada@example.com","step":1,"email_id":"m-1","id":"7","lead_id":"ada"}`},
		{"instantly", `{"timestamp":"2026-11-22T11:00:00Z","event_type":"email_sent","workspace":"w","campaign_id":"q4","campaign_name":"Q4","lead_email":"ada@example.com","step":2,"email_id":"m-2","id":"7","lead_id":"ada"}`},
		{"heyreach", `{"is_inmail":false,"conversation_id":"c-1","id":"c-1","campaign":{"name":"Q4","id":417},"sender":{"id":5},"lead":{"id":"ada"},"timestamp":"2026-11-22T10:00:00Z","event_type":"message_reply_received"}`},
		{"heyreach", `{"is_inmail":false,"conversation_id":"c-1","id":"c-1","campaign":{"name":"Q4","id":417},"sender":{"id":5},"lead":{"id":"ada"},"timestamp":"2026-11-22T11:00:00Z","event_type":"message_reply_received"}`},
	} {
		status, answer := r.send("POST", "/webhooks/"+event.path, event.body, "Authorization", bearer)
		require.Equal(t, http.StatusOK, status, answer)
	}
	require.Equal(t, []string{
		"email_sent q4/ada/m-1 on instantly by webhook/instantly at 2026-11-22T10:00:00Z",
		"email_sent q4/ada/m-2 on instantly by webhook/instantly at 2026-11-22T11:00:00Z",
		"reply_received 417/ada/ on heyreach by webhook/heyreach at 2026-11-22T10:00:00Z",
		"reply_received 417/ada/ on heyreach by webhook/heyreach at 2026-11-22T11:00:00Z",
	}, r.store.list)
}

func TestOnlyWhoKnowsTheSecretIsHeard(t *testing.T) {
	r := start(t)
	mac := hmac.New(sha256.New, []byte("s3cret"))
	_, _ = mac.Write([]byte(sent))
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	for name, tt := range map[string]struct {
		header, value string
		status        int
	}{
		"bearer":              {"Authorization", bearer, http.StatusOK},
		"header":              {"X-Webhook-Secret", "s3cret", http.StatusOK},
		"signature":           {"X-Webhook-Signature", signature, http.StatusOK},
		"nothing":             {"X-Other", "s3cret", http.StatusUnauthorized},
		"another secret":      {"Authorization", "Bearer s3cre", http.StatusUnauthorized},
		"an empty secret":     {"X-Webhook-Secret", "", http.StatusUnauthorized},
		"another signature":   {"X-Webhook-Signature", signature[:len(signature)-2] + "00", http.StatusUnauthorized},
		"a broken signature":  {"X-Webhook-Signature", "sha256=zz", http.StatusUnauthorized},
		"no signature at all": {"X-Webhook-Signature", "sha256=", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := r.send("POST", "/webhooks/instantly", sent, tt.header, tt.value)
			require.Equal(t, tt.status, status, answer)
		})
	}
	_, err := New(Options{Store: r.store})
	require.ErrorContains(t, err, "BURSAR_WEBHOOKS_SECRET")
	_, err = New(Options{Secret: "s"})
	require.Error(t, err)
}

func TestWhatCannotBeUsedIsAnsweredWithTheReasonAndNothingPersonal(t *testing.T) {
	r := start(t)
	for name, tt := range map[string]struct {
		path, body string
		status     int
		message    string
	}{
		"an unknown event":   {"instantly", `{"event_type":"campaign_completed","lead_email":"ada@example.com"}`, http.StatusAccepted, "no activity"},
		"no event":           {"instantly", `{"lead_email":"ada@example.com"}`, http.StatusUnprocessableEntity, "no event at event_type"},
		"no JSON":            {"generic", `ada@example.com`, http.StatusUnprocessableEntity, "not one JSON object"},
		"null":               {"generic", `null`, http.StatusUnprocessableEntity, "not one JSON object"},
		"a list":             {"generic", `[]`, http.StatusUnprocessableEntity, "not one JSON object"},
		"two objects":        {"generic", `{"type":"opened"}{"type":"opened"}`, http.StatusUnprocessableEntity, "not one JSON object"},
		"no time":            {"generic", `{"type":"opened","occurredAt":"ada@example.com"}`, http.StatusUnprocessableEntity, "the time at"},
		"a time to come":     {"generic", `{"type":"opened","occurredAt":"2026-11-23T10:00:00Z"}`, http.StatusUnprocessableEntity, "in the future"},
		"a negative value":   {"generic", `{"type":"deal_won","value":-1}`, http.StatusUnprocessableEntity, "the value at"},
		"an endless value":   {"generic", `{"type":"deal_won","value":1e999999999}`, http.StatusUnprocessableEntity, "the value at"},
		"another currency":   {"generic", `{"type":"deal_won","value":1,"currency":"ada@example.com"}`, http.StatusUnprocessableEntity, "neither EUR nor USD"},
		"a large body":       {"generic", `{"type":"` + strings.Repeat("x", 3000) + `"}`, http.StatusRequestEntityTooLarge, "too large"},
		"an unknown address": {"other", sent, http.StatusNotFound, "no such webhook"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := r.send("POST", "/webhooks/"+tt.path, tt.body, "Authorization", bearer)
			require.Equal(t, tt.status, status, answer)
			require.Contains(t, answer, tt.message)
			require.NotContains(t, answer, "ada")
		})
	}
	status, _ := r.send("GET", "/webhooks/generic", "", "Authorization", bearer)
	require.Equal(t, http.StatusMethodNotAllowed, status)
	r.store.err = errors.New("away")
	status, _ = r.send("POST", "/webhooks/instantly", sent, "Authorization", bearer)
	require.Equal(t, http.StatusServiceUnavailable, status, "the platform sends it again")
	require.Contains(t, r.log.String(), "not recorded")
	require.NotContains(t, r.log.String(), "ada")
	require.Empty(t, r.store.list)

	families, err := r.events.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		counts[m.GetLabel()[0].GetValue()+m.GetLabel()[1].GetValue()] += m.GetCounter().GetValue()
	}
	require.Subset(t, counts, map[string]float64{"unknowninstantly": 1, "failedinstantly": 1, "badinstantly": 1})
}

func TestAMappingOfOnesOwnReplacesADefaultOne(t *testing.T) {
	all, err := ReadMappings(strings.NewReader(`{"lemlist":{"event":"type","lead":"leadId","platform":"lemlist","events":{"emailssent":"email_sent"}}}`))
	require.NoError(t, err)
	require.Len(t, all, 4)
	m := all["lemlist"]
	a, err := m.Activity("lemlist", []byte(`{"type":"emailsSent","leadId":"l-1"}`), now)
	require.NoError(t, err)
	require.Equal(t, []string{"email_sent", "l-1", "lemlist"}, []string{string(a.Type), a.LeadID, a.Platform})
	for _, bad := range []string{`{`, `{"x":{}}`, `{"x":{"event":"e","events":{"a":"sold"}}}`, `{"a/b":{"event":"e","events":{"a":"opened"}}}`, `{"x":{"evnt":"e"}}`} {
		_, err := ReadMappings(strings.NewReader(bad))
		require.ErrorContains(t, err, "mapping", bad)
	}
}

func FuzzAnyBodyIsAnActivityOrAnError(f *testing.F) {
	f.Add([]byte(sent))
	f.Add([]byte(`{"type":"deal_won","value":12.5,"currency":"USD","occurredAt":"2026-11-22T10:00:00Z"}`))
	f.Add([]byte(`{"type":{"a":[1]},"lead":null}`))
	mappings := DefaultMappings()
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, m := range mappings {
			a, err := m.Activity(name, body, now)
			if err != nil {
				continue
			}
			if a.ID == "" || len(a.ID) > accounting.MaxActivityID || a.OccurredAt.After(now.Add(maxAhead)) || a.Value.Known && a.Value.Value.IsNegative() {
				t.Fatalf("%s made %+v", name, a)
			}
		}
	})
}
