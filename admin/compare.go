package admin

import (
	"context"
	"net/http"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// compareInput is the query of GET /api/compare.
type compareInput struct {
	MonthsInput
	Kind string `query:"kind" enum:"campaign,model" default:"campaign" doc:"What is compared." example:"campaign"`
	A    string `query:"a" required:"true" minLength:"1" maxLength:"200" doc:"The first." example:"q4-outreach"`
	B    string `query:"b" required:"true" minLength:"1" maxLength:"200" doc:"The second." example:"q3-outreach"`
}

// comparedSide is one side of a comparison.
type comparedSide struct {
	Name           string                  `json:"name" example:"q4-outreach"`
	Cost           accounting.Amount       `json:"cost" doc:"EUR."`
	Meetings       accounting.Amount       `json:"meetings" doc:"Of models a share, so it need not be whole."`
	CostPerMeeting *accounting.Amount      `json:"cost_per_meeting" doc:"EUR; null: no meeting."`
	Interval       *accounting.IntervalRow `json:"cost_per_meeting_interval" doc:"95 %."`
}

type comparison struct {
	From        accounting.Month `json:"from" example:"2026-11"`
	To          accounting.Month `json:"to" example:"2026-11"`
	A           comparedSide     `json:"a"`
	B           comparedSide     `json:"b"`
	Probability *float64         `json:"probability_a_cheaper" doc:"That a pays less for a meeting than b, 0 to 1; null: one of them has cost nothing, or has brought no meeting and has cost too little for that to say something."`
	Verdict     string           `json:"verdict" doc:"In words." example:"There is not enough to tell them apart."`
}

// compare answers GET /api/compare.
func (e *economics) compare(ctx context.Context, in *compareInput) (*answer[comparison], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	if in.A == in.B {
		return nil, invalid(fieldError{Field: "b", Value: shown(in.B), Message: "expected another than a"})
	}
	reading, cancel := limited(ctx)
	defer cancel()
	side := e.campaignSide
	if in.Kind == "model" {
		side = e.modelSide
	}
	c := comparison{From: w.from, To: w.to}
	if c.A, err = side(reading, in.A, w); err != nil {
		return nil, err
	}
	if c.B, err = side(reading, in.B, w); err != nil {
		return nil, err
	}
	p := accounting.ProbabilityCheaper(c.A.Cost.Decimal, c.A.Meetings.Decimal, c.B.Cost.Decimal, c.B.Meetings.Decimal)
	c.Probability = p.Pointer()
	switch {
	case p.Known:
		c.Verdict = verdict(in.A, in.B, p.Value)
	case !c.A.Cost.IsPositive() || !c.B.Cost.IsPositive():
		c.Verdict = "One of them has cost nothing: there is nothing to compare."
	default:
		c.Verdict = "There is not enough to tell them apart: one of them has brought no meeting, and has not cost so much that this says something."
	}
	return answered(c), nil
}

// verdict says what a probability means.
func verdict(a, b string, p float64) string {
	switch {
	case p >= 0.95:
		return shown(a) + " is cheaper per meeting."
	case p <= 0.05:
		return shown(b) + " is cheaper per meeting."
	case p >= 0.8:
		return shown(a) + " is probably cheaper per meeting; wait for more meetings before you act on it."
	case p <= 0.2:
		return shown(b) + " is probably cheaper per meeting; wait for more meetings before you act on it."
	}
	return "There is not enough to tell them apart."
}

func (e *economics) campaignSide(ctx context.Context, id string, w monthWindow) (comparedSide, error) {
	row, err := e.campaign(ctx, id, w)
	return comparedSide{
		Name: id, Cost: row.Cost, Meetings: accounting.Amount{Decimal: decimal.NewFromInt(row.Meetings)},
		CostPerMeeting: row.CostPerMeeting, Interval: row.CostPerMeetingInterval,
	}, err
}

func (e *economics) modelSide(ctx context.Context, name string, w monthWindow) (comparedSide, error) {
	from, to := w.days()
	models, err := e.Store.Models(ctx, from, to)
	if err != nil {
		return comparedSide{}, err
	}
	for i := range models {
		if m := &models[i]; m.Name == name {
			return comparedSide{
				Name: name, Cost: m.CostEUR, Meetings: m.Meetings, CostPerMeeting: m.CostPerMeeting,
				Interval: accounting.IntervalOf(accounting.CostPerEventInterval(m.CostEUR.Decimal, m.Meetings.Decimal)),
			}, nil
		}
	}
	return comparedSide{}, newProblem(http.StatusNotFound, "No call was served by %s from %s to %s.", shown(name), w.from, w.to)
}
