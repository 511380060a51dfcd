package accounting

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Saving is what a month pays less than it would have at the baseline's price,
// EUR. A negative one is what it pays more.
type Saving struct {
	ID      string  `json:"id"`
	Formula string  `json:"formula"` // in words
	EUR     *Amount `json:"eur"`     // null: one of the months does not have the figure
	Reason  string  `json:"reason"`  // why it is null
}

// Savings are what a month saves against a baseline month. They overlap, and so
// are not to be added up.
func Savings(base, m *KPIMonth) []Saving {
	saved := func(id, formula string, before, now Optional[decimal.Decimal], quantity decimal.Decimal) Saving {
		s := Saving{ID: id, Formula: formula}
		if !before.Known || !now.Known {
			s.Reason = "One of the two months does not have this figure."
			return s
		}
		s.EUR = &Amount{before.Value.Sub(now.Value).Mul(quantity)}
		return s
	}
	was, is := base.Sums.figures(&base.Month), m.Sums.figures(&m.Month)
	return []Saving{
		saved("emails", "(Cost per email of the baseline − of this month) × emails sent.",
			base.Month.CostPerEmail(), m.Month.CostPerEmail(), decimal.NewFromInt(m.Month.EmailsSent)),
		saved("meetings", "(Cost per meeting of the baseline − of this month) × meetings booked.",
			base.Month.CostPerMeeting(), m.Month.CostPerMeeting(), decimal.NewFromInt(m.Month.MeetingsBooked)),
		saved("waste", "(Waste percentage of the baseline − of this month) × AI cost.",
			was.Waste(), is.Waste(), m.Sums.AICost),
	}
}

const whyNoComparison = "One of the two months does not have this figure, or the baseline's is 0."

// Year1 are the strategy's "Expected Outcomes" after a year, of a month against
// a baseline.
func (t *Targets) Year1(base, m *KPIMonth) []KPI {
	was, is := base.Sums.figures(&base.Month), m.Sums.figures(&m.Month)
	figure := func(id, name, formula, target string, value Optional[decimal.Decimal], why string) KPI {
		return KPI{ID: id, Name: name, Group: KPIYear1, Unit: UnitShare, Formula: formula}.
			against(AimAtLeast, decimal.RequireFromString(target), value, why)
	}
	return []KPI{
		figure("waste_reduction", "30 % less AI waste",
			"(Waste percentage of the baseline − of this month) ÷ that of the baseline.", "0.3",
			decline(was.Waste(), is.Waste()), whyNoComparison),
		figure("cost_per_meeting_improvement", "25 % better cost per meeting",
			"(Cost per meeting of the baseline − of this month) ÷ that of the baseline.", "0.25",
			decline(base.Month.CostPerMeeting(), m.Month.CostPerMeeting()), whyNoComparison),
		figure("roi_visibility", "40 % more campaign ROI visibility",
			"Growth of the share of AI cost that belongs to campaigns whose value is known.", "0.4",
			growth(Quotient(base.Sums.ValuedCost, base.Sums.AICost), Quotient(m.Sums.ValuedCost, m.Sums.AICost)), whyNoComparison),
		figure("budget_predictability", "100 % budget predictability",
			"Share of the kept forecasts, from the 11th day of a month on, whose 95 % interval held the month's AI cost. No baseline is needed.", "1",
			m.Forecasts.In95, whyNoForecast),
		figure("campaign_efficiency", "20 % more campaign efficiency",
			fmt.Sprintf("Growth of the campaign score (%d %% send rate, %d %% conversion, %d %% cost per meeting), taken over all campaigns together.", t.Weights.SendRate, t.Weights.Conversion, t.Weights.Cost), "0.2",
			growth(t.Assess(&was).Score, t.Assess(&is).Score), whyNoComparison),
	}
}

// growth is (now − before) ÷ before.
func growth(before, now Optional[decimal.Decimal]) Optional[decimal.Decimal] {
	if !before.Known || !now.Known {
		return unknown
	}
	return Quotient(now.Value.Sub(before.Value), before.Value)
}

// decline is (before − now) ÷ before.
func decline(before, now Optional[decimal.Decimal]) Optional[decimal.Decimal] {
	g := growth(before, now)
	g.Value = g.Value.Neg()
	return g
}
