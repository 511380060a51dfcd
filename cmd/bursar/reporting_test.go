package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// startCampaign starts a Bursar with a campaign whose name is hostile, and
// whose 40 leads were first worked on at at; to ten of them something was sent.
func startCampaign(t *testing.T, at time.Time, adjust ...func(*config.Config)) *running {
	t.Helper()
	r := startProgram(t, startFake(t), adjust...)
	status, answer := r.ask("PUT", "/api/campaigns/q4", `{"name":"Q4 <script>alert(1)</script> & more"}`)
	require.Equal(t, http.StatusOK, status, answer)
	var calls []accounting.Event
	for i := range 40 {
		calls = append(calls, accounting.Event{
			Kind: accounting.Closed, ID: accounting.NewRequestID(at, uint64(i), 1), Tags: accounting.Tags{CampaignID: "q4", LeadID: fmt.Sprint("lead-", i)},
			Endpoint: chatPath, Model: cheapModel, RequestedModel: cheapModel, HTTPStatus: http.StatusOK, Usage: accounting.Usage{Cost: accounting.ParseCost("0.010000001")},
		})
	}
	_, err := r.store.Ship(t.Context(), calls)
	require.NoError(t, err)
	r.sendEmails(at, 0, 10)
	return r
}

// sendEmails records emails to the leads from from to to, to not included.
func (r *running) sendEmails(at time.Time, from, to int) {
	r.t.Helper()
	var activities []accounting.CampaignActivity
	for i := from; i < to; i++ {
		activities = append(activities, accounting.CampaignActivity{
			ID: fmt.Sprint("sent-", i), Type: accounting.EmailSent, CampaignID: "q4", LeadID: fmt.Sprint("lead-", i), OccurredAt: at})
	}
	_, err := r.store.RecordActivities(r.t.Context(), activities)
	require.NoError(r.t, err)
}

// ofRule are the messages of a kind that are about a rule.
func (h *hook) ofRule(kind, rule string) (list []delivered) {
	for _, d := range h.of(kind) {
		if d.field("Rule") == rule {
			list = append(list, d)
		}
	}
	return list
}

// awaitRule waits for a message of a kind about a rule.
func (h *hook) awaitRule(t *testing.T, kind, rule string) delivered {
	t.Helper()
	require.Eventually(t, func() bool { return len(h.ofRule(kind, rule)) > 0 }, time.Minute, 20*time.Millisecond, "no %s of %s has come", kind, rule)
	return h.ofRule(kind, rule)[0]
}

func TestAReportArrivesAsTextInAChatAndAsBothInAMail(t *testing.T) {
	receiver, mailbox := startHook(t), startMailbox(t)
	lastWeek := accounting.SpanOf(accounting.ReportWeekly, accounting.DayOf(time.Now())).Before()
	r := startCampaign(t, lastWeek.From.Start().Add(12*time.Hour), alertingTo(receiver.url(), mailbox.url()), func(c *config.Config) { c.Alerts.MinSeverity = "critical" })
	want := data[accounting.PeriodReport](r, http.StatusOK, "GET", "/api/reports/preview", "")
	require.Equal(t, "0.3680000368", want.Spend.AIEUR.String(), "40 calls at the rate, to the last digit")
	require.EqualValues(t, 10, want.Spend.Emails)
	require.Len(t, want.Campaigns, 1)
	require.Equal(t, accounting.DecideReduce, want.Campaigns[0].Decision)
	_, text := r.ask("GET", "/api/reports/preview?format=text", "")
	_, document := r.ask("GET", "/api/reports/preview?format=html", "")

	sent := data[accounting.Alert](r, http.StatusOK, "POST", "/api/reports/send", `{"period":"weekly"}`)
	require.Len(t, sent.Deliveries, 2, "whatever the least severity of alerts")
	got := receiver.await(t, accounting.AlertReport, 1)[0]
	require.Equal(t, strings.TrimSpace(text), got.Title+"\n\n"+got.Text)
	require.Contains(t, got.Text, "REDUCE AI")
	r.awaitDelivered(accounting.AlertReport)

	require.Len(t, mailbox.got(), 1)
	message, err := mail.ReadMessage(strings.NewReader(mailbox.got()[0]))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "[Bursar] "+got.Title, subject)
	media, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", media)
	parts := multipart.NewReader(message.Body, params["boundary"])
	var bodies []string
	for range 2 {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		bodies = append(bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
	require.Contains(t, bodies[0], got.Text)
	require.Equal(t, document, bodies[1], "the preview is what is sent")
	require.NotContains(t, bodies[1], "<script")
	require.Contains(t, bodies[1], "Q4 &lt;script&gt;")

	var audit struct {
		Entries []accounting.AuditEntry `json:"entries"`
	}
	_, answer := r.ask("GET", "/api/audit?limit=5", "")
	require.NoError(t, json.Unmarshal([]byte(answer), &struct{ Data any }{&audit}), answer)
	require.Equal(t, accounting.ActionReportSend, audit.Entries[0].Action)
}

func TestTwoReplicasSendOneReportForAWeekAndAMonth(t *testing.T) {
	receiver := startHook(t)
	fake := startFake(t)
	// They send nothing by themselves: until next Monday nothing is due.
	r := startProgram(t, fake, alertingTo(receiver.url()))
	cfg := testConfig(t, fake)
	alertingTo(receiver.url())(&cfg)
	cfg.Database.URL = r.cfg.Database.URL
	other := startConfigured(t, fake, cfg)
	r.program.loops[r.loopNamed("reports")].cancel()
	other.program.loops[other.loopNamed("reports")].cancel()
	<-r.program.loops[r.loopNamed("reports")].done
	<-other.program.loops[other.loopNamed("reports")].done

	// A clock that is far enough ahead for a week and a month to be due.
	next := accounting.MonthOf(time.Now()).Next().Next().Start().AddDate(0, 0, 10)
	var replicas sync.WaitGroup
	for _, p := range []*running{r, other} {
		replicas.Go(func() {
			for range 3 {
				if err := p.reporting.reports.Check(context.Background(), next); err != nil {
					t.Error(err)
				}
			}
		})
	}
	replicas.Wait()
	receiver.await(t, accounting.AlertReport, 2)
	require.Len(t, other.alertsListed(accounting.AlertReport), 2, "one of the week and one of the month")
	require.NoError(t, r.reporting.reports.Check(t.Context(), next.AddDate(0, 0, 7)))
	require.NoError(t, other.reporting.reports.Check(t.Context(), next.AddDate(0, 0, 7)))
	receiver.await(t, accounting.AlertReport, 3)
	require.Len(t, r.alertsListed(accounting.AlertReport), 3)
	require.Len(t, receiver.of(accounting.AlertReport), 3)
}

// loopNamed is where a loop stands.
func (r *running) loopNamed(name string) int {
	for i, l := range r.program.loops {
		if l.name == name {
			return i
		}
	}
	r.t.Fatalf("there is no loop %s", name)
	return -1
}

func TestARuleOfOnesOwnAlertsOnceOverTwoReplicasAndSaysWhenItIsOver(t *testing.T) {
	receiver := startHook(t)
	quick := func(c *config.Config) { c.Alerts.RulesInterval = 100 * time.Millisecond }
	at := time.Now().Add(-time.Second)
	r := startCampaign(t, at, alertingTo(receiver.url()), quick)
	cfg := testConfig(t, r.fake)
	alertingTo(receiver.url())(&cfg)
	quick(&cfg)
	cfg.Database.URL = r.cfg.Database.URL
	startConfigured(t, r.fake, cfg)

	rule := data[accounting.AlertRule](r, http.StatusCreated, "POST", "/api/alert-rules",
		`{"name":"Send rate of q4","figure":"send_rate","scope":{"campaign_id":"q4"},"comparison":"below","threshold":0.5,"severity":"critical"}`)
	got := receiver.awaitRule(t, accounting.AlertRuleFires, rule.ID)
	require.Equal(t, "Campaign q4: the send rate is 25 %, below 50 %", got.Title)
	require.Equal(t, "critical", got.Severity)
	require.Contains(t, got.Link, "q4")
	require.Equal(t, "40", got.field("Leads"))
	preview := data[struct {
		Fires    bool
		Readings []struct{ Since *time.Time }
	}](r, http.StatusOK, "GET", "/api/alert-rules/"+rule.ID+"/preview", "")
	require.True(t, preview.Fires)
	require.NotNil(t, preview.Readings[0].Since)
	receiver.awaitRule(t, accounting.AlertRuleFires, accounting.RuleCampaignScore) // which there is without asking

	r.sendEmails(at, 10, 40)
	over := receiver.awaitRule(t, accounting.AlertRuleResolved, rule.ID)
	require.Equal(t, "Resolved: Campaign q4: the send rate is 100 %, no longer below 50 %", over.Title)
	require.Len(t, receiver.ofRule(accounting.AlertRuleFires, rule.ID), 1, "told once, however often it was looked at")
	require.Len(t, receiver.ofRule(accounting.AlertRuleResolved, rule.ID), 1)
	r.requireExact()
}
