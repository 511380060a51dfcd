package accounting

import (
	"fmt"
	"math"

	"github.com/shopspring/decimal"
)

// ExperimentAlpha is how often an experiment may report a difference, over all
// of its looks and arms together, where there is none.
const ExperimentAlpha = 0.05

// ArmSums are what the leads of one arm have cost and brought. A lead counts in
// the arm that it was assigned to, whatever was in fact done (intention to
// treat), from the first call that belongs to the experiment.
type ArmSums struct {
	Arm       int   // place among the arms
	Leads     int64 // that were seen
	Sent      int64 // of these, those to which something was sent since the start
	Replied   int64
	Converted int64 // that booked at least one meeting
	Meetings  int64
	Calls     int64
	CostUSD   decimal.Decimal
	CostEUR   decimal.Decimal // at the rate of each call's day
}

// reached is for how many leads the metric came about.
func (s *ArmSums) reached(m Metric) int64 {
	switch m {
	case MetricReplies:
		return s.Replied
	case MetricSends:
		return s.Sent
	}
	return s.Converted
}

// ArmRow is one arm as the API shows it. Amounts are EUR unless they say USD;
// rates are shares of the leads that were seen; null is not known.
type ArmRow struct {
	Name    string `json:"name"`
	Weight  int    `json:"weight"`
	Model   string `json:"model"`
	AI      bool   `json:"ai"`
	Control bool   `json:"control"`

	Leads     int64 `json:"leads"`
	Calls     int64 `json:"calls"`
	Sent      int64 `json:"sent_leads"`
	Replied   int64 `json:"replied_leads"`
	Converted int64 `json:"converted_leads"`
	Meetings  int64 `json:"meetings"`

	AICostUSD      Amount  `json:"ai_cost_usd"`
	AICost         Amount  `json:"ai_cost"`
	CostPerLead    *Amount `json:"cost_per_lead"`
	CostPerMeeting *Amount `json:"cost_per_meeting"`

	SendRate   *Amount `json:"send_rate"`
	ReplyRate  *Amount `json:"reply_rate"`
	Conversion *Amount `json:"conversion_rate"`

	// 95 % intervals, each for one look.
	SendRateInterval   *IntervalRow `json:"send_rate_interval"`
	ReplyRateInterval  *IntervalRow `json:"reply_rate_interval"`
	ConversionInterval *IntervalRow `json:"conversion_interval"`
}

func (e *Experiment) armRow(s *ArmSums) ArmRow {
	interval := func(n int64) *IntervalRow { return IntervalOf(RateInterval(min(n, s.Leads), s.Leads)) }
	arm := &e.Arms[s.Arm]
	return ArmRow{
		Name: arm.Name, Weight: arm.Weight, Model: arm.Model, AI: arm.AI, Control: s.Arm == 0,
		Leads: s.Leads, Calls: s.Calls, Sent: s.Sent, Replied: s.Replied, Converted: s.Converted, Meetings: s.Meetings,
		AICostUSD: Amount{s.CostUSD}, AICost: Amount{s.CostEUR},
		CostPerLead: AmountOf(Per(s.CostEUR, s.Leads)), CostPerMeeting: AmountOf(Per(s.CostEUR, s.Meetings)),
		SendRate: AmountOf(Rate(s.Sent, s.Leads)), ReplyRate: AmountOf(Rate(s.Replied, s.Leads)), Conversion: AmountOf(Rate(s.Converted, s.Leads)),
		SendRateInterval: interval(s.Sent), ReplyRateInterval: interval(s.Replied), ConversionInterval: interval(s.Converted),
	}
}

// ArmVerdict is what is known about an arm beside the control.
type ArmVerdict string

// The verdicts. Each may be acted on, on whichever day it appears.
const (
	ArmBetter    ArmVerdict = "better"    // than the control
	ArmNotWorse  ArmVerdict = "not_worse" // than the control by more than the margin: good enough
	ArmWorse     ArmVerdict = "worse"     // than the control, and perhaps by more than the margin: harm
	ArmUndecided ArmVerdict = "undecided" // too few leads to tell
)

// ArmComparison compares an arm with the control by the metric. Ratios are the
// arm's rate ÷ the control's.
type ArmComparison struct {
	Arm      string       `json:"arm"`
	Ratio    *float64     `json:"ratio"`    // by counts and weights; null: nothing came of the control's leads yet
	Interval *IntervalRow `json:"interval"` // holds the true ratio on all days together, and of all arms, with 95 %
	PValue   float64      `json:"p_value"`  // of no difference; valid on any day, but for one arm alone
	Verdict  ArmVerdict   `json:"verdict"`
	Saving   *Amount      `json:"saving"`   // of the control's AI cost of a lead, as a share; negative: it costs more
	Headline string       `json:"headline"` // all of it in words
}

// ExperimentReport is how an experiment stands.
type ExperimentReport struct {
	Experiment  Experiment      `json:"experiment"`
	Arms        []ArmRow        `json:"arms"`
	Comparisons []ArmComparison `json:"comparisons"` // of every arm but the control
	Headline    string          `json:"headline"`
	// SampleRatioOK: the leads are spread as the weights say. Where they are
	// not, something other than chance decides which leads are seen, and no
	// other figure here can be trusted.
	SampleRatioOK bool `json:"sample_ratio_ok"`
}

// Report says how an experiment stands. sums are those of arms that have any.
func (e *Experiment) Report(sums []ArmSums) ExperimentReport {
	all := make([]ArmSums, len(e.Arms))
	for i := range all {
		all[i].Arm = i
	}
	for _, s := range sums {
		if s.Arm >= 0 && s.Arm < len(all) {
			all[s.Arm] = s
		}
	}
	r := ExperimentReport{Experiment: *e, Arms: []ArmRow{}, Comparisons: []ArmComparison{}, SampleRatioOK: e.sampleRatioOK(all)}
	for i := range all {
		r.Arms = append(r.Arms, e.armRow(&all[i]))
		if i > 0 {
			r.Comparisons = append(r.Comparisons, e.compare(&all[0], &all[i]))
		}
	}
	r.Headline = e.headline(&r)
	return r
}

// compare judges an arm. The error is shared by all comparisons (Bonferroni).
func (e *Experiment) compare(control, arm *ArmSums) ArmComparison {
	test := RatioTest{Treated: arm.reached(e.Metric), Control: control.reached(e.Metric), Share: e.shareOf(arm.Arm)}
	interval := test.Interval(ExperimentAlpha / float64(len(e.Arms)-1))
	c := ArmComparison{
		Arm: e.Arms[arm.Arm].Name, Ratio: test.Ratio().Pointer(), Interval: IntervalOf(Some(interval)), PValue: test.PValue(),
		Verdict: e.verdict(interval),
	}
	was, is := Per(control.CostEUR, control.Leads), Per(arm.CostEUR, arm.Leads)
	if was.Known && is.Known {
		c.Saving = AmountOf(Quotient(was.Value.Sub(is.Value), was.Value))
	}
	c.Headline = e.armHeadline(&c, interval)
	return c
}

// shareOf is an arm's share of its leads and the control's.
func (e *Experiment) shareOf(arm int) float64 {
	return float64(e.Arms[arm].Weight) / float64(e.Arms[arm].Weight+e.Arms[0].Weight)
}

// verdict is what an interval of the ratio says. An arm that is a little worse
// for sure, but by less than the margin, is good enough: that is the question.
func (e *Experiment) verdict(i Interval) ArmVerdict {
	switch {
	case i.Low > 1:
		return ArmBetter
	case i.Low > 1-statistic(e.Margin.Decimal):
		return ArmNotWorse
	case i.High < 1:
		return ArmWorse
	}
	return ArmUndecided
}

// sampleRatioOK tests, in the same way, whether each arm has the leads that its
// weight gives it. Deviations that matter are small and leads are many, so the
// prior is narrower; and the alarm is to be a rare one.
func (e *Experiment) sampleRatioOK(all []ArmSums) bool {
	const alpha, prior = 0.001, 2000
	var leads int64
	for i := range all {
		leads += all[i].Leads
	}
	for i := range all {
		test := RatioTest{Treated: all[i].Leads, Control: leads - all[i].Leads, Prior: prior,
			Share: float64(e.Arms[i].Weight) / float64(e.TotalWeight())}
		if test.PValue() < alpha/float64(len(all)) {
			return false
		}
	}
	return true
}

// words for the metrics, as they stand in a sentence.
func (m Metric) words() string {
	switch m {
	case MetricReplies:
		return "replies of a lead"
	case MetricSends:
		return "leads that something is sent to"
	}
	return "meetings of a lead"
}

func (e *Experiment) armHeadline(c *ArmComparison, i Interval) string {
	margin := e.Margin.Mul(hundred).String() + " %"
	var s string
	switch c.Verdict {
	case ArmBetter:
		s = fmt.Sprintf("%s is better than %s: at least %s the %s.", c.Arm, e.Arms[0].Name, timesWords(i.Low), e.Metric.words())
	case ArmNotWorse:
		s = fmt.Sprintf("%s may be used: it keeps at least %s of the %s of %s, and %s less is allowed.", c.Arm, percentWords(i.Low), e.Metric.words(), e.Arms[0].Name, margin)
	case ArmWorse:
		s = fmt.Sprintf("%s does harm: it keeps at most %s of the %s of %s, and not for sure what the margin of %s asks for.", c.Arm, percentWords(i.High), e.Metric.words(), e.Arms[0].Name, margin)
	default:
		return fmt.Sprintf("It cannot be told yet whether %s is worse than %s by more than %s; go on.", c.Arm, e.Arms[0].Name, margin)
	}
	if c.Saving == nil {
		return s
	}
	switch percent := c.Saving.Mul(hundred).Round(0); {
	case percent.IsPositive():
		s += fmt.Sprintf(" Its AI costs %s %% less for each lead.", percent)
	case percent.IsNegative():
		s += fmt.Sprintf(" Its AI costs %s %% more for each lead.", percent.Neg())
	}
	return s
}

func percentWords(ratio float64) string { return fmt.Sprintf("%.0f %%", math.Floor(100*ratio)) }
func timesWords(ratio float64) string   { return fmt.Sprintf("%.2f times", math.Floor(100*ratio)/100) }

func (e *Experiment) headline(r *ExperimentReport) string {
	switch {
	case e.State == ExperimentDraft:
		return "It has not been started."
	case !r.SampleRatioOK:
		return "The leads are not spread as the weights say, so nothing here can be trusted: look for leads of one arm that are not seen, such as those without AI that nobody told Bursar of."
	}
	s := ""
	for i := range r.Comparisons {
		if i > 0 {
			s += " "
		}
		s += r.Comparisons[i].Headline
	}
	return s
}
