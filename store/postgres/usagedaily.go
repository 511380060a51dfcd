package postgres

import (
	"cmp"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// dayOfRow is the UTC day on which the call started.
func (r *row) day() time.Time { return r.createdAt.UTC().Truncate(24 * time.Hour) }

// wasteKind says why a call was wasted whatever comes of its lead; empty: it
// was not. A call is of the first kind that fits.
func (r *row) wasteKind() string {
	switch {
	case r.is(accounting.StatusFailed) || r.error != "":
		return wasteFailed
	case r.cancelled:
		return wasteCancelled
	case r.cutByLength():
		return wasteTruncated
	}
	return ""
}

const (
	wasteFailed    = "failed"
	wasteCancelled = "cancelled"
	wasteTruncated = "truncated"
	wasteRedrafted = "redrafted"
)

// cutByLength reports whether the answer ended at a limit of tokens, in the
// words of chat, messages and responses.
func (r *row) cutByLength() bool {
	switch r.finishReason {
	case "length", "max_tokens", "max_output_tokens":
		return true
	}
	return false
}

// usageDayKey is the key of usage_daily. A value is empty where untagged.
type usageDayKey struct {
	day                        time.Time
	dimension, campaign, value string
}

// The ways of asking for the calls of a day.
const (
	dimensionAll             = "all"
	dimensionCampaign        = "campaign"
	dimensionPurpose         = "purpose"
	dimensionPlatform        = "platform"
	dimensionModel           = "model"
	dimensionKey             = "key"
	dimensionCampaignPurpose = "campaign_purpose"
	dimensionCampaignModel   = "campaign_model"
)

// usageDay is what a call adds to its day.
type usageDay struct {
	figures                    // byokUpstream is not kept by day
	truncated                  int64
	timed, durationMS          int64
	firstTokens, firstTokensMS int64
}

// plus is d + sign × o; sign is 1 or -1.
func (d usageDay) plus(sign int64, o usageDay) usageDay {
	return usageDay{
		figures:   d.figures.plus(sign, o.figures),
		truncated: d.truncated + sign*o.truncated,
		timed:     d.timed + sign*o.timed, durationMS: d.durationMS + sign*o.durationMS,
		firstTokens: d.firstTokens + sign*o.firstTokens, firstTokensMS: d.firstTokensMS + sign*o.firstTokensMS,
	}
}

func (d usageDay) isZero() bool {
	return d.figures.isZero() && d.truncated == 0 && d.timed == 0 && d.durationMS == 0 && d.firstTokens == 0 && d.firstTokensMS == 0
}

var usageDaily = newSums("usage_daily",
	sortedBy(
		func(a, b *usageDayKey) int { return cmp.Compare(a.dimension, b.dimension) },
		func(a, b *usageDayKey) int { return cmp.Compare(a.campaign, b.campaign) },
		func(a, b *usageDayKey) int { return a.day.Compare(b.day) },
		func(a, b *usageDayKey) int { return cmp.Compare(a.value, b.value) },
	),
	usageDay.isZero,
	[]sumColumn[usageDayKey]{
		dayOf(func(k *usageDayKey) *time.Time { return &k.day }),
		textOf("dimension", func(k *usageDayKey) *string { return &k.dimension }),
		textOf("campaign_id", func(k *usageDayKey) *string { return &k.campaign }),
		textOf("value", func(k *usageDayKey) *string { return &k.value }),
	},
	[]sumColumn[usageDay]{
		countOf("calls", func(d *usageDay) *int64 { return &d.calls }),
		countOf("failed_calls", func(d *usageDay) *int64 { return &d.failed }),
		countOf("cancelled_calls", func(d *usageDay) *int64 { return &d.cancelled }),
		countOf("truncated_calls", func(d *usageDay) *int64 { return &d.truncated }),
		countOf("unsettled_calls", func(d *usageDay) *int64 { return &d.unsettled }),
		amountOf("cost_usd", func(d *usageDay) *decimal.Decimal { return &d.cost }),
		countOf("prompt_tokens", func(d *usageDay) *int64 { return &d.prompt }),
		countOf("completion_tokens", func(d *usageDay) *int64 { return &d.completion }),
		countOf("total_tokens", func(d *usageDay) *int64 { return &d.total }),
		countOf("cached_tokens", func(d *usageDay) *int64 { return &d.cached }),
		countOf("reasoning_tokens", func(d *usageDay) *int64 { return &d.reasoning }),
		countOf("timed_calls", func(d *usageDay) *int64 { return &d.timed }),
		countOf("duration_ms", func(d *usageDay) *int64 { return &d.durationMS }),
		countOf("first_token_calls", func(d *usageDay) *int64 { return &d.firstTokens }),
		countOf("first_token_ms", func(d *usageDay) *int64 { return &d.firstTokensMS }),
	})

// finishKey is the key of finish_daily.
type finishKey struct {
	day           time.Time
	model, reason string
}

var finishDaily = newSums("finish_daily",
	sortedBy(
		func(a, b *finishKey) int { return a.day.Compare(b.day) },
		func(a, b *finishKey) int { return cmp.Compare(a.model, b.model) },
		func(a, b *finishKey) int { return cmp.Compare(a.reason, b.reason) },
	),
	func(calls int64) bool { return calls == 0 },
	[]sumColumn[finishKey]{
		dayOf(func(k *finishKey) *time.Time { return &k.day }),
		textOf("model", func(k *finishKey) *string { return &k.model }),
		textOf("finish_reason", func(k *finishKey) *string { return &k.reason }),
	},
	[]sumColumn[int64]{countOf("calls", func(n *int64) *int64 { return n })})

// placeKey is the key of sums by day, campaign and platform, and by what it is
// that is counted, if it is several things.
type placeKey struct {
	day                      time.Time
	campaign, platform, kind string
}

var byPlace = sortedBy(
	func(a, b *placeKey) int { return a.day.Compare(b.day) },
	func(a, b *placeKey) int { return cmp.Compare(a.campaign, b.campaign) },
	func(a, b *placeKey) int { return cmp.Compare(a.platform, b.platform) },
	func(a, b *placeKey) int { return cmp.Compare(a.kind, b.kind) },
)

func placeColumns(kind string) []sumColumn[placeKey] {
	columns := []sumColumn[placeKey]{
		dayOf(func(k *placeKey) *time.Time { return &k.day }),
		textOf("campaign_id", func(k *placeKey) *string { return &k.campaign }),
		textOf("platform", func(k *placeKey) *string { return &k.platform }),
	}
	if kind != "" {
		columns = append(columns, textOf(kind, func(k *placeKey) *string { return &k.kind }))
	}
	return columns
}

// wasted is a number of calls and what they cost.
type wasted struct {
	n      int64
	amount decimal.Decimal // USD
}

func (t wasted) plus(sign int64, amount decimal.Decimal) wasted {
	return wasted{t.n + sign, plus(t.amount, sign, amount)}
}

func (t wasted) isZero() bool { return t.n == 0 && t.amount.IsZero() }

var wasteDaily = newSums("waste_daily", byPlace, wasted.isZero, placeColumns("kind"), []sumColumn[wasted]{
	countOf("calls", func(t *wasted) *int64 { return &t.n }),
	amountOf("cost_usd", func(t *wasted) *decimal.Decimal { return &t.amount }),
})
