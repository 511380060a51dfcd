package admin

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// alertRulePreview is the data of GET /api/alert-rules/{id}/preview.
type alertRulePreview struct {
	Rule     accounting.AlertRule  `json:"rule"`
	At       time.Time             `json:"at" doc:"When the figures were read."`
	Fires    bool                  `json:"fires" doc:"At least one reading would."`
	Unit     accounting.FigureUnit `json:"unit" doc:"Of the figure and the threshold: EUR, percent, share (0.3 is 30 %), points (0 to 100), count." example:"percent"`
	Formula  string                `json:"formula" doc:"Of the figure, in words." example:"100 × AI cost of leads unsent in time ÷ AI cost of the month"`
	Readings []ruleReadingRow      `json:"readings" nullable:"false" doc:"Those that fire first, 100 at most."`
	Read     int                   `json:"read" doc:"How many readings there are." example:"1"`
}

type ruleReadingRow struct {
	accounting.RuleReading
	Since      *time.Time `json:"since" doc:"Since when it has fired, by the last look; null: it does not."`
	NotifiedAt *time.Time `json:"notified_at" doc:"When it was last told; null: not within its quiet hours."`
}

// maxPreviewReadings bounds a preview.
const maxPreviewReadings = 100

// previewAlertRule answers GET /api/alert-rules/{id}/preview.
func (e *economics) previewAlertRule(ctx context.Context, in *alertRuleInput) (*answer[alertRulePreview], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	now := e.Now().UTC()
	rule, readings, states, err := e.AlertRules.Preview(reading, in.ID, now)
	if err != nil {
		return nil, ruleProblem(err, in.ID)
	}
	preview := alertRulePreview{Rule: rule, At: now, Unit: rule.Figure.Unit(), Formula: rule.Figure.Formula(), Readings: []ruleReadingRow{}, Read: len(readings)}
	slices.SortStableFunc(readings, func(a, b accounting.RuleReading) int { return cmp.Compare(rank(a), rank(b)) })
	for _, r := range readings[:min(len(readings), maxPreviewReadings)] {
		row := ruleReadingRow{RuleReading: r}
		if state, ok := states[r.Value]; ok {
			row.NotifiedAt = state.NotifiedAt
			if state.Firing {
				row.Since = &state.Since
			}
		}
		preview.Fires = preview.Fires || r.Fires
		preview.Readings = append(preview.Readings, row)
	}
	return answered(preview), nil
}

// rank orders readings: those that fire, those that do not, those that cannot.
func rank(r accounting.RuleReading) int {
	switch {
	case r.Fires:
		return 0
	case r.Reason == "":
		return 1
	}
	return 2
}

// describeAlertRules describes what the answers about rules hold.
func describeAlertRules(api huma.API) {
	rule := describeType(api, reflect.TypeFor[accounting.AlertRule](), map[string]string{
		"id":          "Name of the rule in addresses and alerts.",
		"name":        "Name for people.",
		"figure":      figureMeaning,
		"scope":       "What the figure is of; empty: everything.",
		"each":        "campaign_id: every campaign by itself; empty: the scope as a whole.",
		"comparison":  "On which side of the threshold the figure is an alert.",
		"threshold":   "In the figure's unit.",
		"severity":    "Of its alerts.",
		"min_leads":   "Of rates: processed leads below which the figure says nothing.",
		"quiet_hours": "At most one alert in so many hours, for each campaign.",
		"enabled":     "false: nobody looks at it.",
		"built_in":    "It comes with Bursar.",
		"setting":     "Of a built-in rule, the variable that holds its threshold; else empty.",
		"created_at":  "When it was made; null: built in.",
		"updated_at":  "When it was last changed; null: built in, and never switched.",
	})
	for name, values := range map[string][]any{
		"comparison": {"above", "below"}, "severity": {"info", "warning", "critical"},
	} {
		rule.Properties[name].Enum = values
	}
	for _, figure := range accounting.AlertFigures() {
		rule.Properties["figure"].Enum = append(rule.Properties["figure"].Enum, string(figure))
	}
	describeType(api, reflect.TypeFor[accounting.RuleScope](), map[string]string{
		"campaign_id": "A campaign.", "platform": "A platform.", "model": "A model.",
	})
	reading := api.OpenAPI().Components.Schemas.Map()[huma.DefaultSchemaNamer(reflect.TypeFor[ruleReadingRow](), "")]
	describeProperties(reading, reflect.TypeFor[accounting.RuleReading](), map[string]string{
		"value":  "Of a rule for each campaign, the campaign; else empty.",
		"name":   "Of the campaign; empty: it has none.",
		"figure": "In unit; null: not known.",
		"leads":  "Processed leads behind it; null: the figure needs none.",
		"fires":  "It would be an alert.",
		"reason": "Why it cannot fire, whatever the threshold; else empty.",
	})
}
