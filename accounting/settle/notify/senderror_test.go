package notify

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfterIsReadInAllItsFormsAndBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-5":                            0,
		"30":                            30 * time.Second,
		" 30 ":                          30 * time.Second,
		"0.0001":                        time.Millisecond,
		"1.25":                          1250 * time.Millisecond,
		"99999999999":                   24 * time.Hour,
		"1e300":                         24 * time.Hour,
		"Inf":                           24 * time.Hour,
		"-Inf":                          0,
		"NaN":                           0,
		"soon":                          0,
		"Sun, 22 Nov 2026 06:01:30 GMT": 90 * time.Second,
		"Sun, 22 Nov 2026 05:00:00 GMT": 0,
		"Fri, 22 Nov 2126 06:00:00 GMT": 24 * time.Hour,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	assert.Zero(t, retryAfter(http.Header{}, now))
}
