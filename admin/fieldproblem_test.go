package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrongBodiesAreToldByTheFieldTheValueAndTheWayOut(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	const types = "one of email_sent, meeting_booked, reply_received, bounced, unsubscribed, opened, deal_won"
	const sender = "an object with activities, campaignId, currency, emailId, id, leadId, metadata, occurredAt, platform, type, value"
	const told = "expected an amount from 0 to 999999999999, with at most 20 decimals"
	for body, want := range map[string]fieldError{
		`[]`:                          {"body", "", "expected an object", sender},
		`{}`:                          {"type", "", "expected the type of the activity", types},
		`{"type":"email"}`:            {"type", "email", "expected " + types, types},
		`{"type":20261101}`:           {"type", "20261101", "expected a text", types},
		`{"type":"email_sent","a":1}`: {"a", "", "there is no such field", sender},
		`{"type":"email_sent","campaignId":"` + strings.Repeat("x", 201) + `"}`:      {"campaignId", strings.Repeat("x", 100) + "…", "expected a text of at most 200 characters", "text of at most 200 characters"},
		`{"type":"email_sent","leadId":"sk-or-v1-0123456789","occurredAt":"soon"}`:   {"occurredAt", "soon", "expected a time", "a time by RFC 3339 such as 2026-11-22T10:00:00Z"},
		`{"type":"email_sent","occurredAt":"1999-12-31T00:00:00Z"}`:                  {"occurredAt", "1999-12-31T00:00:00Z", "expected a time since 2000", "a time from 2000-01-01T00:00:00Z on"},
		`{"type":"email_sent","campaignId":"sk-or-v1-0123456789\u0007"}`:             {"campaignId", "(not repeated: it looks like a secret)", "expected printable text of at most 200 bytes, without white space around it", ""},
		`{"type":"meeting_booked","value":"3"}`:                                      {"value", "3", "expected a number", "a number without quotes such as 2000"},
		`{"type":"meeting_booked","value":-3.5}`:                                     {"value", "-3.5", told, "a number such as 2000"},
		`{"type":"meeting_booked","value":1e40}`:                                     {"value", "10000000000000000000000000000000000000000", told, "a number such as 2000"},
		`{"type":"deal_won","value":1e-21}`:                                          {"value", "0.000000000000000000001", told, "a number such as 2000"},
		`{"type":"email_sent","value":3}`:                                            {"value", "3", "expected a value with meeting_booked or deal_won only", "leave it out of other types"},
		`{"activities":[{"type":"email_sent"},{"type":"x"}]}`:                        {"activities[1].type", "x", "expected " + types, types},
		`{"activities":[5]}`:                                                         {"activities[0]", "5", "expected an object", strings.Replace(sender, "activities, ", "", 1)},
		`{"activities":[` + strings.Repeat(`{},`, 10000) + `{"type":"email_sent"}]}`: {"activities", "", "expected a list of at most 10000 entries", "at most 10000 entries"},
	} {
		p := problemIn(t, send(h, "POST", "/api/costs/record-activity", body), http.StatusUnprocessableEntity)
		require.Equal(t, []fieldError{want}, p.Errors, body[:min(len(body), 200)])
	}
	for body, want := range map[string]string{
		"":  "The body is missing: send a JSON object.",
		"{": "The body is not JSON that can be read: unexpected end of JSON input.",
		`{"type":"meeting_booked","value":1e999999999}`: "The body is not JSON that can be read: the number 1e999999999 is too large.",
	} {
		require.Equal(t, want, problemIn(t, send(h, "POST", "/api/costs/record-activity", body), http.StatusBadRequest).Detail)
	}
	long := send(h, "POST", "/api/costs/record-activity", `{"type":"email_sent"`+strings.Repeat(" ", 9<<20)+`}`)
	require.Equal(t, "The body has more than the 8388608 bytes that are read at once: send it in parts.", problemIn(t, long, http.StatusRequestEntityTooLarge).Detail)
}

func TestAMissingFieldIsNamedByItself(t *testing.T) {
	h, _ := newRatesHandler(t)
	p := problemIn(t, send(h, "PUT", "/api/exchange-rates", `{"rates":[{"day":"2026-11-20","usd_to_eur":0.9},{"day":"2026-11-21"}]}`), http.StatusUnprocessableEntity)
	require.Equal(t, []fieldError{{"rates[1].usd_to_eur", "", "expected, and missing", "a number without quotes such as 0.9468"}}, p.Errors)
	p = problemIn(t, send(h, "PUT", "/api/exchange-rates", `{"rates":[{"day":"2026-11-20","usd_to_eur":92}]}`), http.StatusUnprocessableEntity)
	require.Equal(t, "92", p.Errors[0].Value, "of the field that is named")
	p = problemIn(t, send(h, "PUT", "/api/exchange-rates", `{"rates":[{"day":"1998-12-31","usd_to_eur":0.9}]}`), http.StatusUnprocessableEntity)
	require.Equal(t, []string{"rates[0].day", "1998-12-31"}, []string{p.Errors[0].Field, p.Errors[0].Value})
}

func TestWhatBudgetsRulesAndExperimentsCheckThemselvesIsToldLikeAllElse(t *testing.T) {
	for text, want := range map[string]fieldError{
		`limit -1: want 0 to 9`:                                  {"limit", "-1", "want 0 to 9", ""},
		`name "a \"b\": c": want 1 to 200 bytes`:                 {"name", `a "b": c`, "want 1 to 200 bytes", ""},
		`thresholds [0 5000]: want percentages`:                  {"thresholds", "[0 5000]", "want percentages", ""},
		`thresholds: 21 of them: want at most 20`:                {"thresholds", "", "21 of them: want at most 20", ""},
		`timezone: "Mars" is not a time zone`:                    {"timezone", "Mars", "is not a time zone", ""},
		`downgrade_to "" with on_exceed downgrade: want a model`: {"downgrade_to", "", `"" with on_exceed downgrade: want a model`, ""},
		`essential_purposes and nonessential_purposes: want one`: {"essential_purposes", "", "and nonessential_purposes: want one", ""},
		`arms[1].weight 0: want 1 to 1000`:                       {"arms[1].weight", "0", "want 1 to 1000", ""},
		`margin with 12 decimals: want at most 10`:               {"margin", "", "with 12 decimals: want at most 10", ""},
		`name "sk-or-v1-0123456789": want text`:                  {"name", "(not repeated: it looks like a secret)", "want text", ""},
		`name sk-or-v1-0123456789 is odd`:                        {"name", "", "is not usable, and is not repeated: it looks like a secret", ""},
		`name: ` + strings.Repeat("x", 300) + `: want`:           {"name", strings.Repeat("x", 100) + "…", "want", ""},
		`alone`: {"alone", "", "", ""},
	} {
		require.Equal(t, []fieldError{want}, wrongFields(errors.New(text)), text)
	}
	require.Empty(t, wrongFields(nil))
	joined := errors.Join(errors.Join(errors.New("a 1: x"), errors.New("b 2: y")), errors.New("c 3: z"))
	require.Len(t, wrongFields(joined), 3)
}
