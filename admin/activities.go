package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

const (
	// maxActivityBytes bounds the body: MaxActivities with all they may hold
	// is less than most senders ever have.
	maxActivityBytes = 8 << 20
	// maxActivityAhead is how far a sender's clock may be ahead of ours.
	maxActivityAhead = 5 * time.Minute
)

// earliestActivity is before any outbound email: what is older is a slip.
var earliestActivity = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var recordOperation = huma.Operation{
	OperationID: "record-activity",
	Method:      http.MethodPost,
	Path:        "/api/costs/record-activity",
	Summary:     "Record that an email was sent, a meeting was booked, …",
	Description: "Records one activity, or up to 10,000 of them in activities, all or none. It counts towards its campaign, lead and day at once, and towards the month in which it happened, " +
		"or the present one if that is closed. With an id of your own it is recorded once, however often it is sent; new says whether this was the first time. " +
		"email_sent counts messages, meeting_booked meetings; value is what a meeting or a deal is worth.",
	Tags:         []string{"costs"},
	Security:     needsToken,
	MaxBodyBytes: maxActivityBytes,
	Errors:       append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var reverseOperation = huma.Operation{
	OperationID: "reverse-activity",
	Method:      http.MethodDelete,
	Path:        "/api/activities/{id}",
	Summary:     "Take an activity back",
	Description: "The activity is kept and counts no more; nor can it be recorded again under its id. Audited.",
	Tags:        []string{"costs"},
	Security:    needsToken,
	Errors:      append([]int{http.StatusForbidden, http.StatusNotFound}, economicsErrors...),
}

// ActivityBody is one activity as a sender writes it. It is exported because
// huma looks into embedded structs that are.
type ActivityBody struct {
	ID         string                     `json:"id,omitempty" maxLength:"200" doc:"Your own name for it, which makes it idempotent; absent: one is made." example:"msg-8812"`
	Type       string                     `json:"type,omitempty" enum:"email_sent,meeting_booked,reply_received,bounced,unsubscribed,opened,deal_won" doc:"What happened." example:"email_sent"`
	CampaignID string                     `json:"campaignId,omitempty" maxLength:"200" doc:"As in X-Campaign-ID." example:"campaign-123"`
	LeadID     string                     `json:"leadId,omitempty" maxLength:"200" doc:"As in X-Lead-ID." example:"lead-42"`
	EmailID    string                     `json:"emailId,omitempty" maxLength:"200" doc:"As in X-Email-ID." example:"email-8812"`
	Platform   string                     `json:"platform,omitempty" maxLength:"200" doc:"As in X-Platform." example:"instantly"`
	Value      *accounting.Amount         `json:"value,omitempty" doc:"Of a meeting or a deal, 0 or more." example:"2000"`
	Currency   string                     `json:"currency,omitempty" enum:"EUR,USD" doc:"Of value; default EUR." example:"EUR"`
	OccurredAt *time.Time                 `json:"occurredAt,omitempty" doc:"Default: now." example:"2026-11-22T10:00:00Z"`
	Metadata   map[string]json.RawMessage `json:"metadata,omitempty" doc:"Anything else, kept as text: at most 32 entries of 200 bytes."`
}

// recordInput is the request of POST /api/costs/record-activity.
type recordInput struct {
	Body struct {
		ActivityBody
		Activities []ActivityBody `json:"activities,omitempty" maxItems:"10000" doc:"Several at once, in place of the other fields."`
	}
}

// recordedActivity is what became of an activity.
type recordedActivity struct {
	ID          string           `json:"id" example:"msg-8812"`
	New         bool             `json:"new" doc:"false: it had been recorded before."`
	BookedMonth accounting.Month `json:"bookedMonth" doc:"The month whose figures it moved." example:"2026-11"`
}

type recordedList struct {
	Recorded   int                `json:"recorded" doc:"Activities that are new."`
	Known      int                `json:"known" doc:"Activities that had been recorded before."`
	Activities []recordedActivity `json:"activities" nullable:"false" doc:"In the order of the request."`
}

// recordActivity answers POST /api/costs/record-activity.
func (e *economics) recordActivity(ctx context.Context, in *recordInput) (*answer[recordedList], error) {
	bodies, batch := in.Body.Activities, true
	if in.Body.Type != "" || len(bodies) == 0 {
		if len(bodies) > 0 {
			return nil, invalid(fieldError{Field: "activities", Message: "expected either one activity or a list of activities", Allowed: "leave out type and the other fields beside the list"})
		}
		bodies, batch = []ActivityBody{in.Body.ActivityBody}, false
	}
	now := e.Now().UTC()
	list := make([]accounting.CampaignActivity, 0, len(bodies))
	var wrong []fieldError
	for i := range bodies {
		place := ""
		if batch {
			place = fmt.Sprintf("activities[%d].", i)
		}
		a, bad := bodies[i].activity(place, now)
		list, wrong = append(list, a), append(wrong, bad...)
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong[:min(len(wrong), maxWrong)]...)
	}
	return e.record(ctx, list)
}

// maxWrong bounds how many errors one answer names.
const maxWrong = 50

// record writes activities and drops what no longer holds.
func (e *economics) record(ctx context.Context, list []accounting.CampaignActivity) (*answer[recordedList], error) {
	writing, cancel := limited(ctx)
	defer cancel()
	recorded, err := e.Store.RecordActivities(writing, list)
	e.dashboard.drop() // an error does not say that nothing was written
	if err != nil {
		return nil, err
	}
	out := recordedList{Activities: make([]recordedActivity, 0, len(recorded))}
	for _, r := range recorded {
		if r.New {
			out.Recorded++
		} else {
			out.Known++
		}
		out.Activities = append(out.Activities, recordedActivity{ID: r.ID, New: r.New, BookedMonth: r.Booked})
	}
	return answered(out), nil
}

// activity checks what a sender wrote. place stands before the names of fields.
func (b *ActivityBody) activity(place string, now time.Time) (accounting.CampaignActivity, []fieldError) {
	a := accounting.CampaignActivity{
		ID: b.ID, Type: accounting.ActivityType(b.Type), CampaignID: b.CampaignID, LeadID: b.LeadID, EmailID: b.EmailID,
		Platform: b.Platform, Source: "api", OccurredAt: now,
	}
	var wrong []fieldError
	refuse := func(field, value, message, allowed string) {
		wrong = append(wrong, fieldError{Field: place + field, Value: shown(value), Message: message, Allowed: allowed})
	}
	if b.Type == "" {
		refuse("type", "", "expected the type of the activity", "one of "+typesList())
	}
	for _, text := range []struct{ name, value string }{{"id", b.ID}, {"campaignId", b.CampaignID}, {"leadId", b.LeadID}, {"emailId", b.EmailID}, {"platform", b.Platform}} {
		if clean, changed := accounting.CleanTag(text.value); changed || clean != text.value {
			refuse(text.name, text.value, "expected printable text of at most 200 bytes, without white space around it", cleanExample(clean))
		}
	}
	if b.OccurredAt != nil {
		a.OccurredAt = b.OccurredAt.UTC()
		switch {
		case a.OccurredAt.After(now.Add(maxActivityAhead)):
			refuse("occurredAt", b.OccurredAt.Format(time.RFC3339), "expected a time that is not in the future", "a time up to "+now.Format(time.RFC3339))
		case a.OccurredAt.Before(earliestActivity):
			refuse("occurredAt", b.OccurredAt.Format(time.RFC3339), "expected a time since 2000", "a time from "+earliestActivity.Format(time.RFC3339)+" on")
		}
	}
	switch {
	case b.Value != nil && !accounting.IsTellable(b.Value.Decimal):
		refuse("value", shownAmount(b.Value), msgToldAmount, "a number such as 2000")
	case b.Value != nil && a.Type != accounting.MeetingBooked && a.Type != accounting.DealWon:
		refuse("value", shownAmount(b.Value), "expected a value with meeting_booked or deal_won only", "leave it out of other types")
	case b.Value != nil:
		a.Value, a.Currency = accounting.Some(b.Value.Decimal), accounting.EUR
		if b.Currency != "" {
			a.Currency = accounting.Currency(b.Currency)
		}
	case b.Currency != "":
		refuse("currency", b.Currency, "expected a value with it", "leave it out, or send the value")
	}
	metadata, problem := metadataOf(b.Metadata)
	if problem != "" {
		refuse("metadata", "", problem, "at most 32 entries of 200 bytes")
	}
	a.Metadata = metadata
	return a, wrong
}

// cleanExample is what a text may be instead of what was sent: the same without
// what may not be in it, if that leaves something.
func cleanExample(clean string) string {
	if clean == "" || secretLike.MatchString(clean) {
		return ""
	}
	return "such as " + shown(clean)
}

func typesList() string {
	types := accounting.ActivityTypes()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// metadataOf keeps each value as text: a string as it is, anything else as its
// JSON.
func metadataOf(raw map[string]json.RawMessage) (map[string]string, string) {
	if len(raw) == 0 {
		return nil, ""
	}
	if len(raw) > accounting.MaxMetadata {
		return nil, fmt.Sprintf("%d entries are too many", len(raw))
	}
	values := make(map[string]string, len(raw))
	for name, value := range raw {
		text := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil {
			text = s
		}
		if len(name) > accounting.MaxTagBytes || len(text) > accounting.MaxTagBytes {
			return nil, "an entry is too long"
		}
		values[name] = text
	}
	return values, ""
}

// activityIDInput names an activity in the path.
type activityIDInput struct {
	ID string `path:"id" maxLength:"200" doc:"The activity." example:"msg-8812"`
}

// reversedActivity is the data of DELETE /api/activities/{id}.
type reversedActivity struct {
	ID         string    `json:"id" example:"msg-8812"`
	Type       string    `json:"type" example:"email_sent"`
	CampaignID string    `json:"campaignId" example:"campaign-123"`
	LeadID     string    `json:"leadId" example:"lead-42"`
	OccurredAt time.Time `json:"occurredAt"`
}

// reverseActivity answers DELETE /api/activities/{id}.
func (e *economics) reverseActivity(ctx context.Context, in *activityIDInput) (*answer[reversedActivity], error) {
	writing, cancel := limited(ctx)
	defer cancel()
	a, err := e.Store.ReverseActivity(writing, in.ID, actorOf(ctx))
	e.dashboard.drop()
	if errors.Is(err, accounting.ErrUnknownActivity) {
		return nil, newProblem(http.StatusNotFound, "There is no activity %s, or it was taken back before.", shown(in.ID))
	}
	if err != nil {
		return nil, err
	}
	return answered(reversedActivity{ID: a.ID, Type: string(a.Type), CampaignID: a.CampaignID, LeadID: a.LeadID, OccurredAt: a.OccurredAt}), nil
}
