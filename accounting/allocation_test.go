package accounting_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"bursar/accounting"
)

func TestFixedCostsAreSplitByEmailsAndAPlatformsOwnOverItsEmails(t *testing.T) {
	costs := []accounting.FixedCost{{Name: "instantly", EUR: dec("75"), Platform: "instantly"}, {Name: "google_workspace", EUR: dec("48")}}
	shares, rest := accounting.AllocateFixed(costs, accounting.EmailsByCampaign{
		"a": {"instantly": 20, "heyreach": 10}, "b": {"heyreach": 50}, "c": {"instantly": 10, "": 10},
	})
	assert.Equal(t, "64.4", shares["a"].String(), "75 × 20/30 + 48 × 30/100")
	assert.Equal(t, "24", shares["b"].String(), "48 × 50/100")
	assert.Equal(t, "34.6", shares["c"].String(), "75 × 10/30 + 48 × 20/100")
	assert.True(t, rest.IsZero())
}

func TestWhatCannotBeSplitIsUnallocated(t *testing.T) {
	costs := []accounting.FixedCost{{Name: "instantly", EUR: dec("75"), Platform: "instantly"}, {Name: "google_workspace", EUR: dec("48")}}
	shares, rest := accounting.AllocateFixed(costs, accounting.EmailsByCampaign{"a": {"heyreach": 3}})
	assert.Equal(t, "48", shares["a"].String())
	assert.Equal(t, "75", rest.String())
	shares, rest = accounting.AllocateFixed(costs, nil)
	assert.Empty(t, shares)
	assert.Equal(t, "123", rest.String())
}
