package accounting_test

import (
	"math"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var dec = decimal.RequireFromString

func TestTheGoldenMonth(t *testing.T) {
	m := accounting.MonthFigures{
		Fixed:         []accounting.FixedCost{{Name: "instantly", EUR: dec("75")}, {Name: "google_workspace", EUR: dec("48")}},
		OpenRouterUSD: dec("5.50"), USDToEUR: dec("0.92"), EmailsSent: 100, MeetingsBooked: 5,
	}
	assert.Equal(t, "5.06", m.VariableEUR().String())
	assert.Equal(t, "128.06", m.TotalEUR().String())
	assert.Equal(t, "1.2806", m.CostPerEmail().Value.String())
	assert.Equal(t, "25.612", m.CostPerMeeting().Value.String())
	targets := accounting.DefaultTargets()
	// (0.10/1.2806 + 5/25.612) / 2 in percent.
	assert.Equal(t, "13.6654693113", targets.DashboardScore(&m).Value.String())
}

func TestAMonthInWhichNothingWasSentHasNoCostPerEmailAndNoScore(t *testing.T) {
	m := accounting.MonthFigures{Fixed: []accounting.FixedCost{{EUR: dec("123")}}, USDToEUR: dec("0.92")}
	targets := accounting.DefaultTargets()
	assert.False(t, m.CostPerEmail().Known)
	assert.False(t, targets.DashboardScore(&m).Known)
	m.EmailsSent = 1230
	assert.Equal(t, "100", targets.DashboardScore(&m).Value.String(), "an unknown cost per meeting leaves the mean")
}

func TestACampaignIsScoredByItsThreeParts(t *testing.T) {
	targets := accounting.DefaultTargets()
	f := accounting.CampaignFigures{ProcessedLeads: 100, SentLeads: 90, EmailsSent: 200, Meetings: 5, AICost: dec("100"), FixedCost: dec("150")}
	a := targets.Assess(&f)
	assert.Equal(t, "90", a.SendPart.Value.String())
	assert.Equal(t, "50", a.ConversionPart.Value.String(), "2.5 % of 5 %")
	assert.Equal(t, "50", a.CostPart.Value.String(), "50 EUR a meeting, target 25")
	assert.Equal(t, "66", a.Score.Value.String(), "0.40 × 90 + 0.35 × 50 + 0.25 × 50")
	assert.Equal(t, accounting.BandFair, a.Band)
	assert.Equal(t, accounting.TierStandard, a.Tier, "90 % is not more than 90 %")
	assert.Equal(t, accounting.DecideTargeting, a.Decision)
}

func TestThreeSendsAreNotExcellent(t *testing.T) {
	targets := accounting.DefaultTargets()
	a := targets.Assess(&accounting.CampaignFigures{ProcessedLeads: 3, SentLeads: 3, EmailsSent: 3, Meetings: 2, AICost: dec("0.1")})
	require.True(t, a.Score.Known)
	assert.EqualValues(t, accounting.NotEnoughData, a.Band)
	assert.EqualValues(t, accounting.NotEnoughData, a.Tier)
	assert.EqualValues(t, accounting.NotEnoughData, a.Decision)
}

func TestTheDecisionTree(t *testing.T) {
	targets := accounting.DefaultTargets()
	for _, c := range []struct {
		sent, emails, meetings int64
		want                   accounting.CampaignDecision
		tier                   accounting.Tier
	}{
		{95, 100, 6, accounting.DecideInvest, accounting.TierPremium},
		{85, 100, 6, accounting.DecideInvest, accounting.TierStandard},
		{95, 100, 5, accounting.DecideTargeting, accounting.TierStandard},
		{80, 100, 6, accounting.DecideWorkflow, accounting.TierStandard},
		{50, 100, 6, accounting.DecideWorkflow, accounting.TierEfficiency},
		{49, 100, 6, accounting.DecideReduce, accounting.TierOptimization},
	} {
		a := targets.Assess(&accounting.CampaignFigures{ProcessedLeads: 100, SentLeads: c.sent, EmailsSent: c.emails, Meetings: c.meetings, AICost: dec("1")})
		assert.Equal(t, c.want, a.Decision, "%+v", c)
		assert.Equal(t, c.tier, a.Tier, "%+v", c)
		assert.NotEmpty(t, a.Advice)
	}
	assert.Equal(t, accounting.PersonalisePremium, accounting.Recommend(accounting.DecideInvest, ""))
	assert.Equal(t, accounting.PersonaliseStandard, accounting.Recommend(accounting.DecideReduce, accounting.LeadValueHigh))
	assert.Equal(t, accounting.PersonaliseNone, accounting.Recommend(accounting.DecideReduce, ""))
	assert.Equal(t, accounting.PersonaliseBasic, accounting.Recommend(accounting.NotEnoughData, ""))
}

func TestACampaignWithoutMeetingsScoresNothingForTheirCost(t *testing.T) {
	targets := accounting.DefaultTargets()
	a := targets.Assess(&accounting.CampaignFigures{ProcessedLeads: 50, SentLeads: 50, EmailsSent: 50, AICost: dec("1")})
	assert.True(t, a.CostPart.Known)
	assert.Equal(t, "40", a.Score.Value.String())
	assert.Equal(t, accounting.BandPoor, a.Band)
}

func TestIntervalsAndComparisonsAgreeWithKnownValues(t *testing.T) {
	// Wilson for 3 of 3: 0.4385 to 1 (R: binom::binom.wilson).
	three := accounting.RateInterval(3, 3).Value
	assert.InDelta(t, 0.4385, three.Low, 1e-4)
	assert.InDelta(t, 1, three.High, 0)
	assert.InDelta(t, 0, accounting.RateInterval(0, 17).Value.Low, 0, "none of many is no hair above zero")
	// Gamma(10.5): quantiles 5.1416 and 17.7394 (R: qgamma).
	interval := accounting.CostPerEventInterval(dec("100"), dec("10")).Value
	assert.InDelta(t, 100/17.7394, interval.Low, 2e-3)
	assert.InDelta(t, 100/5.1416, interval.High, 6e-3)
	assert.True(t, math.IsInf(accounting.CostPerEventInterval(dec("100"), dec("0")).Value.High, 1))
	assert.False(t, accounting.RateInterval(0, 0).Known)

	assert.InDelta(t, 0.5, accounting.ProbabilityCheaper(dec("100"), dec("7"), dec("100"), dec("7")).Value, 1e-9, "equals")
	better := accounting.ProbabilityCheaper(dec("50"), dec("20"), dec("100"), dec("20")).Value
	worse := accounting.ProbabilityCheaper(dec("100"), dec("20"), dec("50"), dec("20")).Value
	assert.Greater(t, better, 0.95)
	assert.InDelta(t, 1, better+worse, 1e-9)
	assert.False(t, accounting.ProbabilityCheaper(dec("0"), dec("1"), dec("1"), dec("1")).Known)
}

func TestWhoHasBroughtNothingIsNeverCalledCheaper(t *testing.T) {
	cheaper := accounting.ProbabilityCheaper
	assert.False(t, cheaper(dec("77.6"), dec("54"), dec("0.00006"), dec("0")).Known, "a call that has cost next to nothing")
	assert.False(t, cheaper(dec("0.00006"), dec("0.9"), dec("77.6"), dec("54")).Known, "less than a meeting")
	assert.False(t, cheaper(dec("1"), dec("0"), dec("2"), dec("0")).Known)
	assert.Greater(t, cheaper(dec("77.6"), dec("54"), dec("77.6"), dec("0")).Value, 0.99, "much was spent in vain, and that says something")
}

func TestSharesOfMeetingsCountAsWhatTheyAre(t *testing.T) {
	// By simulation: Gamma(54.28) ÷ 29.54 is above Gamma(2.80) ÷ 1.34 in 49.4 % of draws.
	assert.InDelta(t, 0.494, accounting.ProbabilityCheaper(dec("29.5352902251"), dec("53.777869949"), dec("1.341392876725"), dec("2.3037821272")).Value, 2e-3)
	part := accounting.CostPerEventInterval(dec("10"), dec("0.9")).Value
	assert.Greater(t, part.Low, accounting.CostPerEventInterval(dec("10"), dec("1")).Value.Low)
	assert.False(t, math.IsInf(part.High, 1))
}

func TestTheProbabilityOfBeingCheaperAgreesWithIntegration(t *testing.T) {
	// ∫ pdf_A(x) P(B < x) dx over a fine grid, with Gamma(3.5) and Gamma(8.5).
	pdf := func(shape, rate, x float64) float64 {
		lg, _ := math.Lgamma(shape)
		return math.Exp(shape*math.Log(rate) + (shape-1)*math.Log(x) - rate*x - lg)
	}
	const step = 0.0005
	below, sum := 0.0, 0.0
	for x := step / 2; x < 4; x += step {
		below += pdf(8.5, 12, x) * step
		sum += pdf(3.5, 6, x) * below * step
	}
	assert.InDelta(t, sum, accounting.ProbabilityCheaper(dec("6"), dec("3"), dec("12"), dec("8")).Value, 1e-3)
}

func TestWeightsBoundsAndTiersAreSettings(t *testing.T) {
	f := accounting.CampaignFigures{ProcessedLeads: 100, SentLeads: 90, EmailsSent: 200, Meetings: 5, AICost: dec("100"), FixedCost: dec("150")}
	targets := accounting.DefaultTargets()
	targets.Weights = accounting.ScoreWeights{SendRate: 100}
	targets.Bands.Excellent, targets.Bands.Good = dec("95"), dec("90")
	a := targets.Assess(&f)
	assert.Equal(t, "90", a.Score.Value.String(), "the send rate alone")
	assert.Equal(t, accounting.BandGood, a.Band)
	assert.Equal(t, accounting.TierStandard, a.Tier)
	assert.Equal(t, accounting.DecideTargeting, a.Decision)

	targets.Tiers = accounting.TierBounds{Premium: dec("0.97"), Standard: dec("0.95"), Efficiency: dec("0.9")}
	targets.InvestSendRate, targets.ReduceSendRate = dec("0.95"), dec("0.91")
	a = targets.Assess(&f)
	assert.Equal(t, accounting.TierEfficiency, a.Tier)
	assert.Equal(t, accounting.DecideReduce, a.Decision)
	targets.Tiers.Efficiency = dec("0.91")
	assert.Equal(t, accounting.TierOptimization, targets.Assess(&f).Tier)

	targets.Tiers.Premium, targets.Conversion = dec("0.8"), dec("0.02")
	assert.Equal(t, accounting.TierPremium, targets.Assess(&f).Tier)
}
