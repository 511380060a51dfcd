package accounting

import "github.com/shopspring/decimal"

// CampaignRow is one campaign as the API shows it. Amounts are EUR unless they
// say USD; null is not known.
type CampaignRow struct {
	ID       string            `json:"id"` // empty: calls and activities without a campaign
	Name     *string           `json:"name"`
	Platform *string           `json:"platform"`
	Testing  bool              `json:"testing"`
	Settings *CampaignSettings `json:"settings"` // null: nothing was told about it

	Calls          int64 `json:"calls"`
	ProcessedLeads int64 `json:"processed_leads"`
	SentLeads      int64 `json:"sent_leads"`
	EmailsSent     int64 `json:"emails_sent"`
	Replies        int64 `json:"replies"`
	Bounces        int64 `json:"bounces"`
	Unsubscribes   int64 `json:"unsubscribes"`
	Meetings       int64 `json:"meetings"`
	Deals          int64 `json:"deals"`

	AICostUSD Amount  `json:"ai_cost_usd"`
	AICost    Amount  `json:"ai_cost"`
	FixedCost Amount  `json:"fixed_cost"` // its share by emails sent
	Cost      Amount  `json:"cost"`       // both
	Value     *Amount `json:"value"`      // of its meetings and deals

	CostPerEmail     *Amount `json:"cost_per_email"`
	CostPerMeeting   *Amount `json:"cost_per_meeting"`
	AICostPerMeeting *Amount `json:"ai_cost_per_meeting"`
	ROIPercent       *Amount `json:"ai_roi_percent"` // 100 × value ÷ AI cost
	SendRate         *Amount `json:"send_rate"`
	Conversion       *Amount `json:"conversion_rate"`
	ReplyRate        *Amount `json:"reply_rate"`
	WasteFactor      *Amount `json:"waste_factor"` // AI cost of leads unsent in time ÷ AI cost
	UnsentCost       Amount  `json:"unsent_cost"`

	// 95 % intervals: of the rates, and of the cost of a meeting. A bound that
	// is null is infinite.
	SendRateInterval       *IntervalRow `json:"send_rate_interval"`
	ConversionInterval     *IntervalRow `json:"conversion_interval"`
	CostPerMeetingInterval *IntervalRow `json:"cost_per_meeting_interval"`

	Score    *Amount          `json:"score"`
	Parts    ScoreParts       `json:"score_parts"`
	Band     Band             `json:"band"`
	Tier     Tier             `json:"tier"`
	Decision CampaignDecision `json:"decision"`
	Advice   string           `json:"advice"`

	FirstDay *Day `json:"first_day"`
	LastDay  *Day `json:"last_day"`
}

// ScoreParts are what a score is the weighted mean of, each 0 to 100; one that
// is null leaves the mean.
type ScoreParts struct {
	SendRate       *Amount `json:"send_rate"`
	Conversion     *Amount `json:"conversion_rate"`
	CostPerMeeting *Amount `json:"cost_per_meeting"`
}

// IntervalRow is an [Interval] as the API shows it. Its bounds are statistics.
type IntervalRow struct {
	Low  float64  `json:"low"`
	High *float64 `json:"high"` // null: there is no upper bound
}

// IntervalOf shows an interval; nil if it is unknown.
func IntervalOf(o Optional[Interval]) *IntervalRow {
	if !o.Known {
		return nil
	}
	row := &IntervalRow{Low: o.Value.Low}
	if o.Value.High <= maxShownBound {
		row.High = &o.Value.High
	}
	return row
}

// maxShownBound is beyond anything that a meeting may cost: such a bound says
// nothing.
const maxShownBound = 1e12

// MeetingValue says what a meeting is worth that did not tell itself.
type MeetingValue struct {
	Default Optional[decimal.Decimal] // EUR; unknown: meetings are worth what they or their campaign tell
}

// Of is the value of a campaign's meetings and deals, EUR: a meeting's own,
// else the campaign's, else the default. What a campaign tells in USD is at the
// rate of each meeting's day. Unknown if nobody has told any.
func (v *MeetingValue) Of(c *CampaignSums) Optional[decimal.Decimal] {
	each, untold := v.Default, decimal.NewFromInt(c.Meetings-c.MeetingsValued)
	if s := c.Settings; s != nil && s.MeetingValue != nil {
		each = Some(s.MeetingValue.Decimal)
		if s.Currency == USD {
			untold = c.UntoldRates.Decimal
		}
	}
	switch {
	case each.Known:
		return Some(c.ValueEUR.Add(each.Value.Mul(untold)))
	case c.ValueEUR.IsPositive() || c.MeetingsValued > 0:
		return Some(c.ValueEUR.Decimal) // meetings that told nothing add nothing
	}
	return Optional[decimal.Decimal]{}
}

// ReportCampaign makes the row of a campaign from its sums, its share of the
// fixed costs and the value of its meetings.
func (t *Targets) ReportCampaign(c *CampaignSums, fixed decimal.Decimal, value *MeetingValue) CampaignRow {
	own := *t
	row := CampaignRow{
		ID: c.ID, Settings: c.Settings,
		Calls: c.Calls, ProcessedLeads: c.ProcessedLeads, SentLeads: c.SentLeads, EmailsSent: c.Emails, Replies: c.Replies,
		Bounces: c.Bounces, Unsubscribes: c.Unsubscribes, Meetings: c.Meetings, Deals: c.Deals,
		AICostUSD: c.AICostUSD, AICost: c.AICostEUR, FixedCost: Amount{fixed}, UnsentCost: c.UnsentCostEUR,
		FirstDay: c.FirstDay, LastDay: c.LastDay,
	}
	f := CampaignFigures{
		ProcessedLeads: c.ProcessedLeads, SentLeads: c.SentLeads, EmailsSent: c.Emails, Meetings: c.Meetings,
		AICost: c.AICostEUR.Decimal, FixedCost: fixed, UnsentCost: c.UnsentCostEUR.Decimal, Value: value.Of(c),
	}
	if s := c.Settings; s != nil {
		row.Name, row.Platform, row.Testing, f.Testing = s.Name, s.Platform, s.Testing, s.Testing
		if s.TargetCostPerMeeting != nil {
			own.CostPerMeeting = s.TargetCostPerMeeting.Decimal
		}
	}
	row.Cost, row.Value = Amount{f.Cost()}, AmountOf(f.Value)
	row.CostPerEmail, row.CostPerMeeting = AmountOf(f.CostPerEmail()), AmountOf(f.CostPerMeeting())
	row.AICostPerMeeting = AmountOf(f.AICostPerMeeting())
	if roi := f.ROI(); roi.Known {
		row.ROIPercent = &Amount{roi.Value.Mul(hundred)}
	}
	row.SendRate, row.Conversion, row.WasteFactor = AmountOf(f.SendRate()), AmountOf(f.Conversion()), AmountOf(f.Waste())
	row.ReplyRate = AmountOf(Rate(c.Replies, c.Emails))
	row.SendRateInterval = IntervalOf(RateInterval(min(f.SentLeads, f.ProcessedLeads), f.ProcessedLeads))
	row.ConversionInterval = IntervalOf(RateInterval(min(f.Meetings, f.EmailsSent), f.EmailsSent))
	row.CostPerMeetingInterval = IntervalOf(CostPerEventInterval(f.Cost(), decimal.NewFromInt(f.Meetings)))
	a := own.Assess(&f)
	row.Parts = ScoreParts{SendRate: AmountOf(a.SendPart), Conversion: AmountOf(a.ConversionPart), CostPerMeeting: AmountOf(a.CostPart)}
	row.Score, row.Band, row.Tier, row.Decision, row.Advice = AmountOf(a.Score), a.Band, a.Tier, a.Decision, a.Advice
	return row
}
