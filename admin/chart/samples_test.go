package chart_test

import (
	"html/template"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/admin/chart"
)

func dec(literal string) decimal.Decimal { return decimal.RequireFromString(literal) }

func val(literal string) chart.Value { return accounting.Some(dec(literal)) }

// vals are values; an empty literal is one that is not known.
func vals(literals ...string) []chart.Value {
	values := make([]chart.Value, len(literals))
	for i, l := range literals {
		if l != "" {
			values[i] = val(l)
		}
	}
	return values
}

func november() []chart.Category {
	days := make([]chart.Category, 30)
	for i := range days {
		days[i] = chart.Category{Label: strconv.Itoa(i + 1), Name: strconv.Itoa(i+1) + " November"}
	}
	return days
}

func months(n int) []chart.Category {
	list := make([]chart.Category, n)
	for i := range list {
		m := time.Date(2026, time.Month(1+i), 1, 0, 0, 0, 0, time.UTC)
		list[i] = chart.Category{Label: m.Format("Jan"), Name: m.Format("January 2006")}
	}
	return list
}

// pseudo is a number from 0 to 99 that only its arguments decide.
func pseudo(a, b int) int64 { return int64((a*7919 + b*104729 + a*b*31) % 100) }

func stackedBars() chart.StackedBars {
	c := chart.StackedBars{
		Frame: chart.Frame{ID: "spend", Title: "Spend per day", Unit: "EUR"},
		Of:    "Day", Categories: november()[:22], Mean: val("1.42"), MeanName: "Mean of the month",
	}
	for i, name := range []string{
		"lead_personalization", "email_generation", "subject_line", "follow_up", "reply_handling", "research", "testing", "other", "translation",
	} {
		s := chart.Series{Name: name}
		for day := range 22 {
			s.Values = append(s.Values, accounting.Some(decimal.New(pseudo(day, i)*int64(60-6*i), -4)))
		}
		if i == 1 {
			s.Values[4] = chart.Value{}
		}
		s.Values[9] = chart.Value{}
		c.Series = append(c.Series, s)
	}
	return c
}

func burn() chart.Burn {
	c := chart.Burn{
		Frame: chart.Frame{ID: "burn", Title: "Spend against the budget", Unit: "EUR"},
		Days:  november(), Budget: val("50"),
		Forecast: make([]chart.Outlook, 30),
	}
	sum := dec("0")
	for day := range 22 {
		sum = sum.Add(decimal.New(pseudo(day, 3)*3, -2))
		c.Spent = append(c.Spent, accounting.Some(sum))
	}
	c.Forecast[29] = chart.Outlook{Expected: val("46.5"), Low80: val("42.25"), High80: val("51"), Low95: val("39"), High95: val("56.125")}
	return c
}

func sparkline() chart.Sparkline {
	return chart.Sparkline{Name: "Cost per email", Unit: "EUR", Values: vals("0.12", "0.14", "0.11", "", "0.2", "", "0.13", "0.09")}
}

func share() chart.Share {
	return chart.Share{
		Frame: chart.Frame{ID: "share", Title: "Fixed against variable costs", Unit: "EUR"},
		Of:    "Kind", Parts: []chart.Part{{"Fixed", val("43.25")}, {"AI", val("31.2034")}, {"Sending", val("7")}},
	}
}

func intervals() chart.Intervals {
	return chart.Intervals{
		Frame: chart.Frame{
			ID: "rates", Title: "Reply rate per campaign", Unit: "%",
			Format: func(v decimal.Decimal) string { return v.Shift(2).Round(2).String() },
		},
		Of: "Campaign", Level: "95 %", Target: val("0.05"),
		Rows: []chart.Interval{
			{"Founders in Austria", val("0.0712"), val("0.041"), val("0.1203")},
			{"A campaign with a name that is longer than its line", val("0.031"), val("0.0255"), val("0.038")},
			{"Nothing sent yet", chart.Value{}, chart.Value{}, chart.Value{}},
			{"Without an interval", val("0.05"), chart.Value{}, chart.Value{}},
		},
	}
}

func lines() chart.Lines {
	return chart.Lines{
		Frame: chart.Frame{ID: "trend", Title: "Cost per email", Unit: "EUR"},
		Of:    "Month", Categories: months(11), Target: val("0.10"),
		Series: []chart.Series{
			{"Founders in Austria", vals("0.21", "0.19", "0.17", "", "0.16", "0.12", "0.13", "0.11", "0.1", "0.09", "0.095")},
			{"Agencies", vals("", "", "0.3", "0.27", "0.22", "", "0.2", "", "0.17", "0.16", "0.155")},
			{"Refunds", vals("0", "0", "-0.02", "-0.04", "0", "0.01", "0", "0", "0", "-0.03", "0")},
			{"Dentists", vals("0.05", "0.06", "0.08", "0.07", "0.07", "0.09", "0.1", "0.12", "0.14", "0.13", "0.15")},
		},
	}
}

// samples are one of each chart, by the name of its golden file.
func samples() map[string]template.HTML {
	return map[string]template.HTML{
		"bars": stackedBars().HTML(), "burn": burn().HTML(), "sparkline": sparkline().HTML(),
		"share": share().HTML(), "intervals": intervals().HTML(), "lines": lines().HTML(),
	}
}
