package admin

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"bursar/accounting"
)

// scopeBody is the scope of a budget or an emergency stop, as it is sent.
type scopeBody struct {
	_          struct{} `nullable:"true"`
	CampaignID *string  `json:"campaign_id,omitempty" maxLength:"200" nullable:"true" doc:"Calls of this campaign, as sent in X-Campaign-ID." example:"q4-outreach"`
	Purpose    *string  `json:"purpose,omitempty" maxLength:"200" nullable:"true" doc:"Calls for this purpose." example:"follow_up"`
	Platform   *string  `json:"platform,omitempty" maxLength:"200" nullable:"true" doc:"Calls of this platform, as sent in X-Platform." example:"instantly"`
	Model      *string  `json:"model,omitempty" maxLength:"200" nullable:"true" doc:"Calls that ask for this model, among their fallbacks too, or are answered by it." example:"anthropic/claude-sonnet-4.5"`
	Key        *string  `json:"key,omitempty" maxLength:"200" nullable:"true" doc:"Calls paid with this OpenRouter key: its fingerprint, the hex SHA-256 of the key, or its label from BURSAR_BUDGETS_KEY_LABELS; never the key itself." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}

// fingerprint is the form of [accounting.Fingerprint].
var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// scope reads what was sent, and finds what no call could ever have. A label in
// place of a key's fingerprint becomes that.
func (s *scopeBody) scope(purposes []string, labels map[string]string) (accounting.Scope, []fieldError) {
	if s == nil {
		return accounting.Scope{}, nil
	}
	var wrong []fieldError
	read := func(name string, v *string) string {
		if v == nil {
			return ""
		}
		if clean, changed := accounting.CleanTag(*v); *v == "" || changed || clean != *v {
			wrong = append(wrong, fieldError{Field: "scope." + name, Value: shown(*v), Message: "expected a value as calls have it",
				Allowed: "1 to 200 bytes of printable UTF-8 without white space around; leave the member out to match every call"})
		}
		return *v
	}
	scope := accounting.Scope{
		CampaignID: read("campaign_id", s.CampaignID), Purpose: read("purpose", s.Purpose),
		Platform: read("platform", s.Platform), Model: read("model", s.Model),
	}
	if scope.Purpose != "" && !slices.Contains(purposes, scope.Purpose) {
		wrong = append(wrong, fieldError{Field: "scope.purpose", Value: shown(scope.Purpose), Message: "expected a purpose that calls can have",
			Allowed: "one of " + strings.Join(purposes, ", ") + "; more with BURSAR_TAGS_PURPOSES"})
	}
	if s.Key != nil {
		scope.Key = cmp.Or(labels[*s.Key], strings.ToLower(*s.Key))
		if !fingerprint.MatchString(scope.Key) {
			// What was sent may be a key: it is not repeated.
			wrong = append(wrong, fieldError{Field: "scope.key", Message: "expected the fingerprint of a key, or its label from BURSAR_BUDGETS_KEY_LABELS",
				Allowed: `64 hexadecimal digits (printf %s "$OPENROUTER_API_KEY" | sha256sum, or key_fingerprint of one of its calls)` + known(labels)})
		}
	}
	return scope, wrong
}

// known lists labels for an error.
func known(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	return ", or " + strings.Join(slices.Sorted(maps.Keys(labels)), ", ")
}
