package settle

import (
	"context"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// maxRuleCampaigns is how many campaigns rules for each of them look at, those
// that cost most.
const maxRuleCampaigns = 1000

// facts reads what the rules ask for, and no more.
func (r *Rules) facts(ctx context.Context, rules []accounting.AlertRule, now time.Time) (*accounting.RuleFacts, error) {
	var wanted accounting.RuleSource
	for i := range rules {
		wanted |= rules[i].Sources()
	}
	facts := new(accounting.RuleFacts)
	today, month := accounting.DayOf(now), accounting.MonthOf(now)
	first := accounting.DayOf(month.Start())
	for _, read := range []struct {
		of   accounting.RuleSource
		from func() error
	}{
		{accounting.SourceMonth | accounting.SourceForecast | accounting.SourceCampaigns | accounting.SourcePlatforms, func() error {
			months, err := r.opts.Figures.Months(ctx, month, month)
			if err == nil {
				facts.Month = months[0].MonthFigures
			}
			return err
		}},
		{accounting.SourceSums, func() (err error) {
			facts.Sums, err = r.opts.Figures.KPISums(ctx, first, today, r.opts.Economics.wasteBefore(now), r.opts.Economics.value())
			return err
		}},
		{accounting.SourceForecast, func() error {
			forecast, err := forecastMonth(ctx, r.opts.Figures, &facts.Month, now)
			facts.Forecast = forecast.Expected
			return err
		}},
		{accounting.SourceCampaigns, func() error { return r.campaignFacts(ctx, facts, rules, first, today, now) }},
		{accounting.SourcePlatforms, func() error { return r.platformFacts(ctx, facts, first, today, now) }},
		{accounting.SourceModels, func() (err error) {
			facts.Models, err = r.opts.Figures.Models(ctx, first, today)
			return err
		}},
		{accounting.SourceToday, func() (err error) {
			facts.Today, err = r.opts.Figures.UsageReport(ctx, today, today)
			return err
		}},
	} {
		if wanted&read.of == 0 {
			continue
		}
		if err := read.from(); err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// forecastMonth is where the present month is heading.
func forecastMonth(ctx context.Context, figures Figures, m *accounting.MonthFigures, now time.Time) (accounting.MonthForecast, error) {
	today := accounting.DayOf(now)
	histories, err := figures.CostHistories(ctx, today.Add(-accounting.MaxForecastDays), today, accounting.EUR, []accounting.Scope{{}})
	if err != nil {
		return accounting.MonthForecast{}, err
	}
	return accounting.ForecastMonth(histories[0].Value, m.VariableEUR(), m.FixedEUR(), now), nil
}

// campaignFacts reads the month's dearest campaigns, if a rule is about each of
// them, and those that rules name.
func (r *Rules) campaignFacts(ctx context.Context, facts *accounting.RuleFacts, rules []accounting.AlertRule, first, today accounting.Day, now time.Time) error {
	emails, err := r.opts.Figures.EmailsByCampaign(ctx, first, today)
	if err != nil {
		return err
	}
	shares, _ := accounting.AllocateFixed(facts.Month.Fixed, emails)
	var named []*string
	for i := range rules {
		switch rule := &rules[i]; {
		case rule.Sources() != accounting.SourceCampaigns:
		case rule.Each != accounting.EachNone:
			named = append([]*string{nil}, slices.DeleteFunc(named, func(id *string) bool { return id == nil })...)
		case !slices.ContainsFunc(named, func(id *string) bool { return id != nil && *id == rule.Scope.CampaignID }):
			named = append(named, &rule.Scope.CampaignID)
		}
	}
	for _, id := range named {
		sums, err := r.opts.Figures.Campaigns(ctx, first, today, r.opts.Economics.wasteBefore(now), id, maxRuleCampaigns)
		if err != nil {
			return err
		}
		facts.Campaigns = append(facts.Campaigns, r.opts.Economics.rows(sums, shares)...)
	}
	return nil
}

// rows are campaigns as they are judged.
func (e *Economics) rows(sums []accounting.CampaignSums, shares map[string]decimal.Decimal) []accounting.CampaignRow {
	value := e.value()
	rows := make([]accounting.CampaignRow, len(sums))
	for i := range sums {
		rows[i] = e.Targets.ReportCampaign(&sums[i], shares[sums[i].ID], &value)
	}
	return rows
}

func (r *Rules) platformFacts(ctx context.Context, facts *accounting.RuleFacts, first, today accounting.Day, now time.Time) error {
	byCampaign, err := r.opts.Figures.EmailsByCampaign(ctx, first, today)
	if err != nil {
		return err
	}
	// What is split over campaigns by their emails is so over platforms by theirs.
	emails := make(accounting.EmailsByCampaign)
	for _, sent := range byCampaign {
		for platform, n := range sent {
			if emails[platform] == nil {
				emails[platform] = make(map[string]int64)
			}
			emails[platform][platform] += n
		}
	}
	shares, _ := accounting.AllocateFixed(facts.Month.Fixed, emails)
	platforms, err := r.opts.Figures.Platforms(ctx, first, today, r.opts.Economics.wasteBefore(now))
	if err != nil {
		return err
	}
	for _, p := range platforms {
		facts.Platforms = append(facts.Platforms, r.opts.Economics.rows([]accounting.CampaignSums{{
			ID: p.Platform, AICostUSD: p.AICostUSD, AICostEUR: p.AICostEUR, Calls: p.Calls, ProcessedLeads: p.ProcessedLeads, SentLeads: p.SentLeads,
			UnsentCostEUR: p.UnsentCostEUR, Emails: p.Emails, Meetings: p.Meetings, Replies: p.Replies, Bounces: p.Bounces,
			ValueEUR: p.ValueEUR, MeetingsValued: p.MeetingsValued,
		}}, shares)...)
	}
	return nil
}
