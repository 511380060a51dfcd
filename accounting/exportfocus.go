package accounting

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// FOCUSVersion is the version of the FinOps Open Cost and Usage Specification
// that [FOCUSColumns] follow, https://focus.finops.org.
const FOCUSVersion = "1.2"

// focusTime is the only form of a time that FOCUS knows.
const focusTime = "2006-01-02T15:04:05Z"

const openRouter = "OpenRouter"

// FOCUSColumns are the columns of FOCUS that a call has something to say about,
// and those that must be there. A row is one call, and the call is the unit that
// is priced: OpenRouter publishes what a call cost, not what each of its tokens
// did. docs/exports.md says where each value comes from, and why some are null.
func FOCUSColumns() []ExportColumn {
	cost := func(r *ExportRow) *Amount { return r.CostUSD }
	columns := []ExportColumn{
		amountColumn("BilledCost", cost),
		constantColumn("BillingAccountId", "openrouter"),
		nullColumn("BillingAccountName"),
		constantColumn("BillingCurrency", "USD"),
		textColumn("BillingPeriodEnd", func(r *ExportRow) *string { return focus(MonthOf(r.CreatedAt).End()) }),
		textColumn("BillingPeriodStart", func(r *ExportRow) *string { return focus(MonthOf(r.CreatedAt).Start()) }),
		constantColumn("ChargeCategory", "Usage"),
		nullColumn("ChargeClass"),
		textColumn("ChargeDescription", func(r *ExportRow) *string { return focusDescription(r) }),
		constantColumn("ChargeFrequency", "Usage-Based"),
		textColumn("ChargePeriodEnd", func(r *ExportRow) *string { return focus(focusEnd(r)) }),
		textColumn("ChargePeriodStart", func(r *ExportRow) *string { return focus(r.CreatedAt) }),
		integerColumn("ConsumedQuantity", func(r *ExportRow) *int64 { return r.TotalTokens }),
		textColumn("ConsumedUnit", func(r *ExportRow) *string { return unless(r.TotalTokens == nil, "Tokens") }),
		amountColumn("ContractedCost", cost),
		amountColumn("ContractedUnitPrice", cost),
		amountColumn("EffectiveCost", cost),
		nullColumn("InvoiceId"),
		constantColumn("InvoiceIssuerName", openRouter),
		amountColumn("ListCost", cost),
		amountColumn("ListUnitPrice", cost),
		constantColumn("PricingCategory", "Standard"),
		constantColumn("PricingCurrency", "USD"),
		amountColumn("PricingQuantity", func(*ExportRow) *Amount { return &Amount{decimal.NewFromInt(1)} }),
		constantColumn("PricingUnit", "Calls"),
		constantColumn("ProviderName", openRouter),
		textColumn("PublisherName", func(r *ExportRow) *string { return focusPublisher(r) }),
		nullColumn("ResourceId"),
		nullColumn("ResourceName"),
		nullColumn("ResourceType"),
		constantColumn("ServiceCategory", "AI and Machine Learning"),
		constantColumn("ServiceName", openRouter),
		constantColumn("ServiceSubcategory", "Generative AI"),
		textColumn("SkuId", func(r *ExportRow) *string { return r.Model }),
		constantColumn("SkuMeter", "Calls"),
		textColumn("SkuPriceId", func(r *ExportRow) *string { return focusPrice(r) }),
		textColumn("SubAccountId", func(r *ExportRow) *string { return r.KeyFingerprint }),
		nullColumn("SubAccountName"),
		objectColumn("Tags", focusTags),
	}
	return append(columns, ownFOCUSColumns()...)
}

// ownFOCUSColumns are what FOCUS has no column for, under the prefix that it
// reserves for such.
func ownFOCUSColumns() []ExportColumn {
	names := map[string]string{
		"id": "x_RequestId", "generation_id": "x_GenerationId", "cost_source": "x_CostSource", "verified": "x_Verified",
		"usd_to_eur": "x_UsdToEur", "cost_eur": "x_CostEur", "is_byok": "x_IsByok",
		"upstream_inference_cost_usd": "x_UpstreamInferenceCost", "provider": "x_ServedBy", "status": "x_Status",
		"prompt_tokens": "x_PromptTokens", "completion_tokens": "x_CompletionTokens",
		"cached_tokens": "x_CachedTokens", "reasoning_tokens": "x_ReasoningTokens",
	}
	var own []ExportColumn
	for _, c := range ExportColumns() {
		if name, ok := names[c.Name]; ok {
			own = append(own, ExportColumn{name, c.Kind, c.Read})
		}
	}
	return own
}

func constantColumn(name, value string) ExportColumn {
	return ExportColumn{name, ExportText, func(*ExportRow) ExportValue { return ExportValue{Known: true, Text: value} }}
}

func nullColumn(name string) ExportColumn {
	return ExportColumn{name, ExportText, func(*ExportRow) ExportValue { return ExportValue{} }}
}

func unless(absent bool, text string) *string {
	if absent {
		return nil
	}
	return &text
}

func focus(t time.Time) *string {
	text := t.UTC().Format(focusTime)
	return &text
}

// focusEnd is the first whole second after the call, since FOCUS has no
// fractions and the end of a period does not belong to it. A call whose
// duration is not known ends within the second in which it began.
func focusEnd(r *ExportRow) time.Time {
	end := r.CreatedAt
	if r.DurationMS != nil {
		end = end.Add(time.Duration(*r.DurationMS) * time.Millisecond)
	}
	return end.Truncate(time.Second).Add(time.Second)
}

func focusDescription(r *ExportRow) *string {
	text := "AI call"
	if r.Model != nil {
		text += " to " + *r.Model
	}
	if r.PromptTokens != nil && r.CompletionTokens != nil {
		text += ": " + strconv.FormatInt(*r.PromptTokens, 10) + " prompt and " + strconv.FormatInt(*r.CompletionTokens, 10) + " completion tokens"
	}
	return &text
}

// focusPublisher is who made the model, by its name; OpenRouter where the name
// has no author.
func focusPublisher(r *ExportRow) *string {
	publisher := openRouter
	if r.Model != nil {
		if author, _, found := strings.Cut(*r.Model, "/"); found && author != "" {
			publisher = author
		}
	}
	return &publisher
}

// focusPrice tells apart the providers of one model, who differ in price.
func focusPrice(r *ExportRow) *string {
	if r.Model == nil || r.Provider == nil {
		return r.Model
	}
	text := fmt.Sprintf("%s@%s", *r.Model, *r.Provider)
	return &text
}

// focusTags are the call's tags under the names of our columns, and its metadata
// under the prefix metadata/.
func focusTags(r *ExportRow) map[string]string {
	tags := make(map[string]string, len(r.Metadata)+7)
	for name, value := range map[string]*string{
		"campaign_id": r.CampaignID, "email_id": r.EmailID, "lead_id": r.LeadID, "sequence_id": r.SequenceID,
		"purpose": r.Purpose, "platform": r.Platform, "lead_value": r.LeadValue,
	} {
		if value != nil {
			tags[name] = *value
		}
	}
	for name, value := range r.Metadata {
		tags["metadata/"+name] = value
	}
	return tags
}
