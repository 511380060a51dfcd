package accounting

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// RuleReading is a figure that a rule watches, of one value of its scope.
type RuleReading struct {
	Value  string  `json:"value"`  // of a rule for each campaign, the campaign; else empty
	Name   string  `json:"name"`   // of the campaign, for people; empty: it has none
	Figure *Amount `json:"figure"` // in the figure's unit; null: not known
	Leads  *int64  `json:"leads"`  // processed leads behind it; null: the figure needs none
	Fires  bool    `json:"fires"`
	Reason string  `json:"reason"` // why it cannot fire, whatever the threshold; else empty
}

// RuleSource is something that figures are read from.
type RuleSource uint8

// The sources.
const (
	SourceMonth     RuleSource = 1 << iota // Month
	SourceSums                             // Sums
	SourceForecast                         // Forecast
	SourceCampaigns                        // Campaigns
	SourcePlatforms                        // Platforms
	SourceModels                           // Models
	SourceToday                            // Today
)

// RuleFacts are what the figures of rules are read from. Only what
// [AlertRule.Sources] names has to be there.
type RuleFacts struct {
	Month     MonthFigures
	Sums      KPISums
	Forecast  Optional[decimal.Decimal] // the month's total at its end, EUR
	Campaigns []CampaignRow             // the dearest of the month, and those that rules name
	Platforms []CampaignRow
	Models    []ModelSums
	Today     UsageReport
}

// Sources are what the rule's figure is read from.
func (r *AlertRule) Sources() RuleSource {
	switch r.Figure {
	case FigureCallsToday, FigureSpendToday, FigureErrorRateToday:
		return SourceToday
	case FigureForecastTotal:
		return SourceForecast
	}
	dimension, _ := r.dimension()
	switch dimension {
	case ofCampaign, ofEachCampaign:
		return SourceCampaigns
	case ofPlatform:
		return SourcePlatforms
	case ofModel:
		return SourceModels
	}
	return SourceMonth | SourceSums
}

// Read reads the rule's figure: one reading, or one for each campaign that has
// something to read. A figure that is not known never fires, nor does a rate of
// too few leads.
func (r *AlertRule) Read(f *RuleFacts) []RuleReading {
	if r.Each == EachNone {
		return []RuleReading{r.judge(f.read(r))}
	}
	readings := []RuleReading{}
	if r.Sources() == SourceToday {
		for i := range f.Today.Campaign {
			if g := &f.Today.Campaign[i]; g.Name != "" && !g.Rest {
				readings = append(readings, r.judge(readToday(r.Figure, g, RuleReading{Value: g.Name})))
			}
		}
		return readings
	}
	seen := make(map[string]bool)
	for i := range f.Campaigns {
		if c := &f.Campaigns[i]; c.ID != "" && !seen[c.ID] {
			seen[c.ID] = true
			readings = append(readings, r.judge(readCampaign(r.Figure, c)))
		}
	}
	return readings
}

// judge says whether a reading fires.
func (r *AlertRule) judge(reading RuleReading) RuleReading {
	switch {
	case reading.Reason != "":
	case reading.Figure == nil:
		reading.Reason = "The figure is not known: there is nothing yet to compute it from."
	case r.Figure.NeedsLeads() && (reading.Leads == nil || *reading.Leads < r.MinLeads):
		leads := FromPointer(reading.Leads).Value
		reading.Reason = fmt.Sprintf("It is of %d processed leads, and the rule needs %d.", leads, r.MinLeads)
	case r.Comparison == Above:
		reading.Fires = reading.Figure.GreaterThan(r.Threshold.Decimal)
	default:
		reading.Fires = reading.Figure.LessThan(r.Threshold.Decimal)
	}
	return reading
}

// read reads the figure of a rule that has one.
func (f *RuleFacts) read(r *AlertRule) RuleReading {
	none := RuleReading{Reason: "There is no such call or activity this month."}
	dimension, _ := r.dimension()
	switch r.Sources() {
	case SourceToday:
		return f.today(r.Figure, dimension, &r.Scope)
	case SourceForecast:
		return RuleReading{Figure: AmountOf(f.Forecast)}
	case SourceCampaigns:
		if i := slices.IndexFunc(f.Campaigns, func(c CampaignRow) bool { return c.ID == r.Scope.CampaignID }); i >= 0 {
			reading := readCampaign(r.Figure, &f.Campaigns[i])
			reading.Value = "" // the rule itself says which
			return reading
		}
		return none
	case SourcePlatforms:
		if i := slices.IndexFunc(f.Platforms, func(p CampaignRow) bool { return p.ID == r.Scope.Platform }); i >= 0 {
			reading := readCampaign(r.Figure, &f.Platforms[i])
			reading.Value, reading.Name = "", ""
			return reading
		}
		return none
	case SourceModels:
		if i := slices.IndexFunc(f.Models, func(m ModelSums) bool { return m.Name == r.Scope.Model }); i >= 0 {
			return readModel(r.Figure, &f.Models[i])
		}
		return none
	}
	return f.whole(r.Figure)
}

// whole reads a figure of everything.
func (f *RuleFacts) whole(figure AlertFigure) RuleReading {
	sums := f.Sums.figures(&f.Month)
	reading := RuleReading{Leads: &f.Sums.ProcessedLeads}
	switch figure {
	case FigureMonthTotal:
		return RuleReading{Figure: &Amount{f.Month.TotalEUR()}}
	case FigureMonthAICost:
		return RuleReading{Figure: &Amount{f.Month.VariableEUR()}}
	case FigureCostPerEmail:
		reading.Figure = AmountOf(f.Month.CostPerEmail())
	case FigureCostPerMeeting:
		reading.Figure = AmountOf(f.Month.CostPerMeeting())
	case FigureCostPerLead:
		reading.Figure = AmountOf(Per(sums.AICost, sums.ProcessedLeads))
	case FigureWastePercent:
		reading.Figure = timesHundred(AmountOf(sums.Waste()))
	case FigureSendRate:
		reading.Figure = AmountOf(sums.SendRate())
	case FigureConversion:
		reading.Figure = AmountOf(sums.Conversion())
	case FigureROIPercent:
		reading.Figure = timesHundred(AmountOf(sums.ROI()))
	}
	return reading
}

// readCampaign reads a figure of a campaign, or of a platform.
func readCampaign(figure AlertFigure, c *CampaignRow) RuleReading {
	reading := RuleReading{Value: c.ID}
	if c.Name != nil {
		reading.Name = *c.Name
	}
	if figure.NeedsLeads() {
		reading.Leads = &c.ProcessedLeads
	}
	switch figure {
	case FigureMonthAICost:
		reading.Figure = &c.AICost
	case FigureCostPerEmail:
		reading.Figure = c.CostPerEmail
	case FigureCostPerMeeting:
		reading.Figure = c.CostPerMeeting
	case FigureAICostPerMeeting:
		reading.Figure = c.AICostPerMeeting
	case FigureCostPerLead:
		reading.Figure = AmountOf(Per(c.AICost.Decimal, c.ProcessedLeads))
	case FigureWastePercent:
		reading.Figure = timesHundred(c.WasteFactor)
	case FigureCampaignScore:
		reading.Figure = c.Score
	case FigureSendRate:
		reading.Figure = c.SendRate
	case FigureConversion:
		reading.Figure = c.Conversion
	case FigureROIPercent:
		reading.Figure = c.ROIPercent
	}
	return reading
}

func readModel(figure AlertFigure, m *ModelSums) RuleReading {
	switch figure {
	case FigureMonthAICost:
		return RuleReading{Figure: &m.CostEUR}
	case FigureAICostPerMeeting:
		return RuleReading{Figure: m.CostPerMeeting, Leads: &m.Leads}
	case FigureCostPerLead:
		return RuleReading{Figure: m.CostPerLead, Leads: &m.Leads}
	}
	return RuleReading{}
}

// today reads a figure of the present day. What is not among the groups had no
// calls, unless there were too many groups to list.
func (f *RuleFacts) today(figure AlertFigure, d ruleDimension, scope *RuleScope) RuleReading {
	groups, name := []UsageGroup{{UsageTotals: f.Today.Totals}}, ""
	switch d {
	case ofCampaign:
		groups, name = f.Today.Campaign, scope.CampaignID
	case ofPlatform:
		groups, name = f.Today.Platform, scope.Platform
	case ofModel:
		groups, name = f.Today.Model, scope.Model
	}
	rest := false
	for i := range groups {
		if groups[i].Rest {
			rest = true
		} else if groups[i].Name == name {
			return readToday(figure, &groups[i], RuleReading{})
		}
	}
	if rest {
		return RuleReading{Reason: fmt.Sprintf("It is not among today's %d dearest, and the others are not told apart.", MaxUsageGroups)}
	}
	return readToday(figure, &UsageGroup{}, RuleReading{})
}

func readToday(figure AlertFigure, g *UsageGroup, reading RuleReading) RuleReading {
	switch figure {
	case FigureCallsToday:
		reading.Figure = &Amount{decimal.NewFromInt(g.Calls)}
	case FigureSpendToday:
		reading.Figure = &g.CostEUR
	case FigureErrorRateToday:
		reading.Figure = g.ErrorShare
		if g.Calls < MinRuleCalls {
			reading.Reason = fmt.Sprintf("There are %d calls today, and an error rate needs %d.", g.Calls, MinRuleCalls)
		}
	}
	return reading
}

func timesHundred(a *Amount) *Amount {
	if a == nil {
		return nil
	}
	return &Amount{a.Mul(hundred)}
}
