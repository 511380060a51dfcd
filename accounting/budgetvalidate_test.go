package accounting

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func aBudget() Budget {
	return NormalizeBudget(Budget{ID: "q4", Name: "Q4", Period: PeriodMonth, Currency: USD, Mode: ModeHard, Limit: Amount{decimal.RequireFromString("12.5")}})
}

func TestABudgetGetsWhatItLeavesOpen(t *testing.T) {
	b := aBudget()
	require.NoError(t, b.Validate(DefaultPurposes()))
	require.Equal(t, []int{50, 75, 90, 100}, b.Thresholds)
	require.Equal(t, "UTC", b.Timezone)
	require.Equal(t, ExceedBlock, b.OnExceed)
	require.Equal(t, BoundComputed, b.Bound)

	none := NormalizeBudget(Budget{Thresholds: []int{}})
	require.Empty(t, none.Thresholds, "an empty list is a wish for none")
	require.Equal(t, []int{10, 20}, NormalizeBudget(Budget{Thresholds: []int{20, 10}}).Thresholds)
}

func TestEveryProblemOfABudgetIsNamedAtOnce(t *testing.T) {
	b := aBudget()
	b.Scope.Purpose, b.Period, b.Timezone = "gardening", "year", "Local"
	b.Limit = Amount{decimal.NewFromInt(-1)}
	err := b.Validate(DefaultPurposes())
	for _, part := range []string{`scope.purpose "gardening"`, "email_generation", `period "year"`, `timezone: "Local"`, "limit -1"} {
		require.ErrorContains(t, err, part)
	}
}

func TestABudgetThatCannotHoldIsRefused(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for part, spoil := range map[string]func(*Budget){
		"id ":                   func(b *Budget) { b.ID = "Q 4" },
		"name ":                 func(b *Budget) { b.Name = "a\nb" },
		"scope.campaign_id":     func(b *Budget) { b.Scope.CampaignID = strings.Repeat("x", 201) },
		"scope.key":             func(b *Budget) { b.Scope.Key = "sk-or-v1-secret" },
		"each campaign_id":      func(b *Budget) { b.Each, b.Scope.CampaignID = EachCampaign, "q4" },
		"each \"colour\"":       func(b *Budget) { b.Each = "colour" },
		"ends_at":               func(b *Budget) { b.StartsAt, b.EndsAt = &now, &now },
		"limit 10000000":        func(b *Budget) { b.Limit = Amount{decimal.NewFromInt(10_000_000)} },
		"limit 0.0000000000001": func(b *Budget) { b.Limit = Amount{decimal.New(1, -13)} },
		"currency":              func(b *Budget) { b.Currency = "GBP" },
		"thresholds":            func(b *Budget) { b.Thresholds = []int{50, 50} },
		"mode":                  func(b *Budget) { b.Mode = "strict" },
		"on_exceed warn":        func(b *Budget) { b.OnExceed = ExceedWarn },
		"on_exceed \"shout\"":   func(b *Budget) { b.OnExceed = "shout" },
		"downgrade_to":          func(b *Budget) { b.OnExceed = ExceedDowngrade },
		"bound":                 func(b *Budget) { b.Bound = "guessed" },
		"essential_purposes \"": func(b *Budget) { b.EssentialPurposes = []string{"gardening"} },
		"one of the two":        func(b *Budget) { b.EssentialPurposes, b.NonessentialPurposes = []string{"other"}, []string{"testing"} },
		"essential_share":       func(b *Budget) { b.EssentialShare = Amount{decimal.NewFromInt(2)} },
	} {
		b := aBudget()
		spoil(&b)
		err := b.Validate(DefaultPurposes())
		require.ErrorContains(t, err, part)
		require.NotContains(t, err.Error(), "sk-or-v1", "a key in the wrong place is not repeated")
	}
}

func TestPurposesAreFreeWhereNobodySaysWhichThereAre(t *testing.T) {
	b := aBudget()
	b.Scope.Purpose = "gardening"
	require.NoError(t, b.Validate(nil))
}

func TestAnIDIsMadeFromTheName(t *testing.T) {
	for name, want := range map[string]string{
		"Q4 Outreach": "q4-outreach", "  --A__b!! ": "a-b", "Größe": "gr-e", "日本": "budget", "": "budget",
		strings.Repeat("ab ", 60): strings.TrimSuffix(strings.Repeat("ab-", 24), "-"),
	} {
		require.Equal(t, want, BudgetSlug(name))
		b := aBudget()
		b.ID = BudgetSlug(name)
		require.NoError(t, b.Validate(nil))
	}
}
