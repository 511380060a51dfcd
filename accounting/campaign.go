package accounting

import "github.com/shopspring/decimal"

// CampaignFigures are what a campaign has cost and brought in some time.
type CampaignFigures struct {
	ProcessedLeads int64 // distinct leads with at least one call
	SentLeads      int64 // of these, those to whom something was sent
	EmailsSent     int64
	Meetings       int64
	AICost         decimal.Decimal           // EUR
	FixedCost      decimal.Decimal           // EUR, its share by emails sent
	UnsentCost     decimal.Decimal           // EUR of AICost, on leads never sent
	Value          Optional[decimal.Decimal] // EUR, of its meetings and deals
	Testing        bool                      // flagged as a test
}

// Cost is what the campaign cost, AI and its share of the fixed costs, EUR.
func (f *CampaignFigures) Cost() decimal.Decimal { return f.AICost.Add(f.FixedCost) }

// SendRate is sent ÷ processed leads.
func (f *CampaignFigures) SendRate() Optional[decimal.Decimal] {
	return Rate(f.SentLeads, f.ProcessedLeads)
}

// Conversion is meetings ÷ emails sent.
func (f *CampaignFigures) Conversion() Optional[decimal.Decimal] {
	return Rate(f.Meetings, f.EmailsSent)
}

// CostPerEmail is the campaign's cost ÷ emails sent, EUR.
func (f *CampaignFigures) CostPerEmail() Optional[decimal.Decimal] {
	return Per(f.Cost(), f.EmailsSent)
}

// CostPerMeeting is the campaign's cost ÷ meetings, EUR.
func (f *CampaignFigures) CostPerMeeting() Optional[decimal.Decimal] {
	return Per(f.Cost(), f.Meetings)
}

// AICostPerMeeting is AI cost ÷ meetings, EUR; unknown for a campaign without
// AI calls, whose meetings AI has no part in.
func (f *CampaignFigures) AICostPerMeeting() Optional[decimal.Decimal] {
	if !f.AICost.IsPositive() {
		return Optional[decimal.Decimal]{}
	}
	return Per(f.AICost, f.Meetings)
}

// ROI is value ÷ AI cost, 5 for 500 %. Unknown without a value.
func (f *CampaignFigures) ROI() Optional[decimal.Decimal] {
	if !f.Value.Known {
		return f.Value
	}
	return Quotient(f.Value.Value, f.AICost)
}

// Waste is the share of the AI cost that went to leads never sent.
func (f *CampaignFigures) Waste() Optional[decimal.Decimal] { return Quotient(f.UnsentCost, f.AICost) }

// Band is what a campaign's score says.
type Band string

// The bands of a score, by [BandBounds]. NotEnoughData also stands for a tier
// and a decision.
const (
	BandExcellent Band = "excellent" // from 90: increase AI investment
	BandGood      Band = "good"      // from 70: maintain the strategy
	BandFair      Band = "fair"      // from 50: optimise the workflow
	BandPoor      Band = "poor"      // reduce AI investment, fix the process

	NotEnoughData = "not_enough_data"
)

// Tier is the class of model that a campaign deserves.
type Tier string

// The tiers, by send rate and conversion; see [TierBounds].
const (
	TierPremium      Tier = "premium"      // > 90 % sent and a conversion above target
	TierStandard     Tier = "standard"     // ≥ 70 %
	TierEfficiency   Tier = "efficiency"   // ≥ 50 %
	TierOptimization Tier = "optimization" // below: fix the workflow before spending on AI
)

// CampaignDecision is the headline of a campaign's page.
type CampaignDecision string

// What to do with a campaign.
const (
	DecideInvest    CampaignDecision = "invest_more"
	DecideTargeting CampaignDecision = "optimise_targeting"
	DecideWorkflow  CampaignDecision = "optimise_workflow"
	DecideReduce    CampaignDecision = "reduce_ai"
)

// Assessment is what the figures of a campaign come to. Its score is shown even
// where there are too few leads for a verdict.
type Assessment struct {
	Score          Optional[decimal.Decimal] // 0 to 100
	SendPart       Optional[decimal.Decimal] // 0 to 100, as the others
	ConversionPart Optional[decimal.Decimal]
	CostPart       Optional[decimal.Decimal]
	Enough         bool // there are enough leads for a verdict
	Band           Band
	Tier           Tier
	Decision       CampaignDecision
	Advice         string
}

// Assess scores a campaign: send rate, conversion scaled so that its target is
// 100, target ÷ cost per meeting, each at most 100, by t.Weights (strategy,
// "Cost Efficiency Scoring": 40, 35, 25). Without meetings the last part is 0; a
// part that is unknown leaves the score.
func (t *Targets) Assess(f *CampaignFigures) Assessment {
	a := Assessment{
		SendPart:       percent(f.SendRate(), decimal.NewFromInt(1)),
		ConversionPart: percent(f.Conversion(), t.Conversion),
		CostPart:       closeness(t.CostPerMeeting, f.CostPerMeeting()),
		Enough:         f.ProcessedLeads >= t.MinLeads,
		Band:           NotEnoughData, Tier: NotEnoughData, Decision: NotEnoughData,
		Advice: "Too few leads for a verdict: wait until more of them are processed.",
	}
	if f.EmailsSent > 0 && f.Meetings == 0 {
		a.CostPart = Some(decimal.Decimal{})
	}
	a.Score = weightedMean(weighted{t.Weights.SendRate, a.SendPart}, weighted{t.Weights.Conversion, a.ConversionPart}, weighted{t.Weights.Cost, a.CostPart})
	if a.Enough && a.Score.Known {
		a.Band = t.Bands.Of(a.Score.Value)
		a.Tier = t.tierOf(f)
		a.Decision, a.Advice = t.decide(f)
	}
	return a
}

// percent is rate ÷ full in percent, at most 100.
func percent(rate Optional[decimal.Decimal], full decimal.Decimal) Optional[decimal.Decimal] {
	if !rate.Known {
		return rate
	}
	share := Quotient(rate.Value.Mul(hundred), full)
	if !share.Known {
		return share
	}
	return Some(decimal.Min(hundred, share.Value))
}

// Of is the band of a score.
func (b *BandBounds) Of(score decimal.Decimal) Band {
	switch {
	case score.GreaterThanOrEqual(b.Excellent):
		return BandExcellent
	case score.GreaterThanOrEqual(b.Good):
		return BandGood
	case score.GreaterThanOrEqual(b.Fair):
		return BandFair
	}
	return BandPoor
}

// tierOf is the tier by send rate and conversion (strategy, "Performance
// Segmentation").
func (t *Targets) tierOf(f *CampaignFigures) Tier {
	send, conversion := f.SendRate().Value, f.Conversion().Value
	switch {
	case send.GreaterThan(t.Tiers.Premium) && conversion.GreaterThan(t.Conversion):
		return TierPremium
	case send.GreaterThanOrEqual(t.Tiers.Standard):
		return TierStandard
	case send.GreaterThanOrEqual(t.Tiers.Efficiency):
		return TierEfficiency
	}
	return TierOptimization
}

// decide walks the strategy's "Optimization Decision Tree".
func (t *Targets) decide(f *CampaignFigures) (CampaignDecision, string) {
	send, conversion := f.SendRate().Value, f.Conversion().Value
	switch {
	case send.GreaterThan(t.InvestSendRate) && conversion.GreaterThan(t.Conversion):
		return DecideInvest, "Nearly all that is written is sent, and it brings meetings: give this campaign more leads and the better model."
	case send.GreaterThan(t.InvestSendRate):
		return DecideTargeting, "Nearly all that is written is sent, but few answer with a meeting: choose other leads before you write more."
	case send.LessThan(t.ReduceSendRate):
		return DecideReduce, "Too little of what is written is ever sent: stop writing for leads that are not sent, or use a cheaper model."
	}
	return DecideWorkflow, "Too much of what is written is not sent: find out where leads get stuck between writing and sending."
}

// LeadValueHigh is the value of X-Lead-Value that makes a lead worth more.
const LeadValueHigh = "high"

// Personalisation is how much AI a lead deserves.
type Personalisation string

// The kinds, from the dearest.
const (
	PersonalisePremium  Personalisation = "premium"
	PersonaliseStandard Personalisation = "standard"
	PersonaliseBasic    Personalisation = "basic"
	PersonaliseNone     Personalisation = "none"
)

// Recommend is the strategy's tree for a lead: premium in a campaign that one
// should invest in, standard for a lead of high value, else basic; none where
// the campaign's AI is to be reduced.
func Recommend(campaign CampaignDecision, leadValue string) Personalisation {
	switch {
	case campaign == DecideInvest:
		return PersonalisePremium
	case leadValue == LeadValueHigh:
		return PersonaliseStandard
	case campaign == DecideReduce:
		return PersonaliseNone
	}
	return PersonaliseBasic
}
