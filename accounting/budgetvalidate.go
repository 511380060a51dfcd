package accounting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// ErrBudgetExists is the answer to a new budget with the id of another one,
// which may have been deleted.
var ErrBudgetExists = errors.New("there is, or was, a budget with that id")

// Bounds of a budget. The largest limit is what the guard can count exactly.
const (
	MaxBudgetID         = 80              // bytes of an id
	MaxBudgetName       = 200             // bytes of a name, UTF-8
	MaxBudgetThresholds = 20              // entries
	MaxThreshold        = 1000            // percent
	MaxBudgetLimit      = 9_000_000       // in its currency
	maxBudgetSlug       = MaxBudgetID - 8 // leaves room for -2
	maxBudgetPurposes   = 100
	maxBudgetDecimals   = 12 // of a limit
)

// DefaultThresholds are the percentages of a budget that names none.
func DefaultThresholds() []int { return []int{50, 75, 90, 100} }

// NormalizeBudget fills in what b leaves open: thresholds, time zone UTC, block
// at the limit, the computed bound, the name in place of the id or the id in
// place of the name. Times become UTC, thresholds ascend. A list of thresholds
// that is empty but not nil means none.
func NormalizeBudget(b Budget) Budget {
	setDefault(&b.Timezone, "UTC")
	setDefault(&b.OnExceed, ExceedBlock)
	setDefault(&b.Bound, BoundComputed)
	setDefault(&b.Origin, "api")
	setDefault(&b.Name, b.ID)
	if b.Thresholds == nil {
		b.Thresholds = DefaultThresholds()
	}
	b.Thresholds = slices.Sorted(slices.Values(b.Thresholds))
	if b.StartsAt != nil {
		b.StartsAt = new(b.StartsAt.UTC())
	}
	if b.EndsAt != nil {
		b.EndsAt = new(b.EndsAt.UTC())
	}
	return b
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// BudgetSlug is the id that a name gives a budget: lower-case letters and
// digits of ASCII, with hyphens between. It is "budget" where nothing is left.
func BudgetSlug(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = true
		}
	}
	slug := b.String()
	if len(slug) > maxBudgetSlug {
		slug = strings.TrimRight(slug[:maxBudgetSlug], "-")
	}
	if slug == "" {
		return "budget"
	}
	return slug
}

// isSlug reports whether s is an id, made by BudgetSlug or in its form.
func isSlug(s string) bool {
	return len(s) <= MaxBudgetID && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		!strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") && !strings.Contains(s, "--")
}

// Validate joins everything that is wrong with the budget; each error names the
// field, its value and what is allowed. purposes are those that are configured;
// nil: any are taken.
func (b *Budget) Validate(purposes []string) error {
	return errors.Join(
		b.validateNames(),
		b.validateScope(purposes),
		b.validatePeriod(),
		b.validateLimit(),
		b.validateMode(),
		b.validateEssential(purposes),
	)
}

func (b *Budget) validateNames() error {
	var errs []error
	if !isSlug(b.ID) {
		errs = append(errs, fmt.Errorf("id %q: want lower-case letters, digits and single hyphens between them, at most %d bytes", b.ID, MaxBudgetID))
	}
	if b.Name == "" || len(b.Name) > MaxBudgetName || !utf8.ValidString(b.Name) || strings.ContainsFunc(b.Name, unicode.IsControl) {
		errs = append(errs, fmt.Errorf("name %q: want 1 to %d bytes of printable text", b.Name, MaxBudgetName))
	}
	return errors.Join(errs...)
}

func (b *Budget) validateScope(purposes []string) error {
	var errs []error
	for _, f := range []struct{ field, value string }{
		{"scope.campaign_id", b.Scope.CampaignID}, {"scope.purpose", b.Scope.Purpose},
		{"scope.platform", b.Scope.Platform}, {"scope.model", b.Scope.Model},
	} {
		if clean, changed := CleanTag(f.value); changed || clean != f.value {
			errs = append(errs, fmt.Errorf("%s %q: want at most %d bytes of printable text without white space around it", f.field, f.value, MaxTagBytes))
		}
	}
	if p := b.Scope.Purpose; p != "" && purposes != nil && !slices.Contains(purposes, p) {
		errs = append(errs, fmt.Errorf("scope.purpose %q: want one of %s", p, strings.Join(purposes, ", ")))
	}
	if k := b.Scope.Key; k != "" && !isFingerprint(k) {
		// Not quoted: it may be the key itself.
		errs = append(errs, errors.New("scope.key: want the fingerprint of a key, 64 hexadecimal digits in lower case, as key_fingerprint shows it"))
	}
	switch b.Each {
	case EachNone, EachLead, EachEmail:
	case EachCampaign:
		if b.Scope.CampaignID != "" {
			errs = append(errs, errors.New("each campaign_id: the scope names one campaign already; leave one of the two out"))
		}
	default:
		errs = append(errs, fmt.Errorf("each %q: want lead_id, email_id, campaign_id, or none", b.Each))
	}
	return errors.Join(errs...)
}

func isFingerprint(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (b *Budget) validatePeriod() error {
	var errs []error
	switch b.Period {
	case PeriodDay, PeriodWeek, PeriodMonth, PeriodTotal:
	default:
		errs = append(errs, fmt.Errorf("period %q: want day, week, month or total", b.Period))
	}
	if _, err := LoadZone(b.Timezone); err != nil {
		errs = append(errs, fmt.Errorf("timezone: %w", err))
	}
	if b.StartsAt != nil && b.EndsAt != nil && !b.EndsAt.After(*b.StartsAt) {
		errs = append(errs, fmt.Errorf("ends_at %s: want a time after starts_at %s", b.EndsAt.Format(timeForm), b.StartsAt.Format(timeForm)))
	}
	return errors.Join(errs...)
}

const timeForm = "2006-01-02T15:04:05Z07:00"

func (b *Budget) validateLimit() error {
	var errs []error
	if b.Limit.IsNegative() || b.Limit.GreaterThan(decimal.NewFromInt(MaxBudgetLimit)) || !b.Limit.Equal(b.Limit.Truncate(maxBudgetDecimals)) {
		errs = append(errs, fmt.Errorf("limit %s: want 0 to %d, with at most %d decimals", b.Limit, MaxBudgetLimit, maxBudgetDecimals))
	}
	if b.Currency != USD && b.Currency != EUR {
		errs = append(errs, fmt.Errorf("currency %q: want USD or EUR", b.Currency))
	}
	if len(b.Thresholds) > MaxBudgetThresholds {
		errs = append(errs, fmt.Errorf("thresholds: %d of them: want at most %d", len(b.Thresholds), MaxBudgetThresholds))
	}
	for i, t := range b.Thresholds {
		if t < 1 || t > MaxThreshold || i > 0 && t <= b.Thresholds[i-1] {
			errs = append(errs, fmt.Errorf("thresholds %v: want different percentages from 1 to %d, ascending", b.Thresholds, MaxThreshold))
			break
		}
	}
	return errors.Join(errs...)
}

func (b *Budget) validateMode() error {
	var errs []error
	switch b.Mode {
	case ModeAlert, ModeSoft, ModeHard:
	default:
		errs = append(errs, fmt.Errorf("mode %q: want alert, soft or hard", b.Mode))
	}
	switch b.OnExceed {
	case ExceedBlock, ExceedDowngrade:
	case ExceedWarn:
		if b.Mode == ModeHard {
			errs = append(errs, errors.New("on_exceed warn: a hard budget lets nothing pass its limit; want block or downgrade, or mode soft"))
		}
	default:
		errs = append(errs, fmt.Errorf("on_exceed %q: want block, downgrade or warn", b.OnExceed))
	}
	if (b.OnExceed == ExceedDowngrade) != (b.DowngradeTo != "") {
		errs = append(errs, fmt.Errorf("downgrade_to %q with on_exceed %s: want a model with downgrade, and none without", b.DowngradeTo, b.OnExceed))
	} else if _, changed := CleanTag(b.DowngradeTo); changed {
		errs = append(errs, fmt.Errorf("downgrade_to %q: want at most %d bytes of printable text", b.DowngradeTo, MaxTagBytes))
	}
	if b.Bound != BoundComputed && b.Bound != BoundProvider {
		errs = append(errs, fmt.Errorf("bound %q: want computed or provider", b.Bound))
	}
	return errors.Join(errs...)
}

func (b *Budget) validateEssential(purposes []string) error {
	var errs []error
	for _, f := range []struct {
		field string
		list  []string
	}{{"essential_purposes", b.EssentialPurposes}, {"nonessential_purposes", b.NonessentialPurposes}} {
		if len(f.list) > maxBudgetPurposes {
			errs = append(errs, fmt.Errorf("%s: %d of them: want at most %d", f.field, len(f.list), maxBudgetPurposes))
			continue
		}
		for _, p := range f.list {
			if _, changed := CleanTag(p); p == "" || changed || purposes != nil && !slices.Contains(purposes, p) {
				errs = append(errs, fmt.Errorf("%s %q: want purposes that are configured%s", f.field, p, listed(purposes)))
			}
		}
	}
	if len(b.EssentialPurposes) > 0 && len(b.NonessentialPurposes) > 0 {
		errs = append(errs, errors.New("essential_purposes and nonessential_purposes: want one of the two, since each says what the other does"))
	}
	if b.EssentialShare.IsNegative() || b.EssentialShare.GreaterThan(decimal.NewFromInt(1)) || !b.EssentialShare.Equal(b.EssentialShare.Truncate(maxBudgetDecimals)) {
		errs = append(errs, fmt.Errorf("essential_share %s: want 0 to 1, with at most %d decimals", b.EssentialShare, maxBudgetDecimals))
	}
	return errors.Join(errs...)
}

func listed(purposes []string) string {
	if len(purposes) == 0 {
		return ""
	}
	return ": " + strings.Join(purposes, ", ")
}
