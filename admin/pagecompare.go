package admin

import (
	"context"
	"errors"
)

// comparedPage is a comparison as pages show it.
type comparedPage struct {
	*comparison
	Wrong string // why there is none, empty: there is one
}

// readComparison compares a with b; nil where one of them is not chosen yet.
func (e *economics) readComparison(ctx context.Context, months MonthsInput, kind, a, b string) (*comparedPage, error) {
	if a == "" || b == "" {
		return nil, nil
	}
	found, err := e.compare(ctx, &compareInput{MonthsInput: months, Kind: kind, A: a, B: b})
	// What was chosen may have cost nothing in these months, which is no
	// reason to hide all else of the page.
	var p *problem
	if errors.As(err, &p) {
		return &comparedPage{Wrong: p.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	return &comparedPage{comparison: &found.Body.Data}, nil
}

// Sides are the two, to be shown one beside the other.
func (c *comparedPage) Sides() []comparedSide { return []comparedSide{c.A, c.B} }

// Cheaper is the side that probably pays less for a meeting.
func (c *comparedPage) Cheaper() string {
	if *c.Probability < 0.5 {
		return c.B.Name
	}
	return c.A.Name
}

// Likely is how probable that is; what is all but certain is not rounded to
// certainty.
func (c *comparedPage) Likely() string {
	if p := max(*c.Probability, 1-*c.Probability); p <= 0.99 {
		return statistic(100*p).Round(0).String() + " %"
	}
	return "over 99 %"
}
