package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bursar/accounting"
)

// storyStep is a moment of a call's life.
type storyStep struct {
	At   time.Time
	What string
}

// storyOf is what happened to a call, in order, as far as its row knows.
func storyOf(row *accounting.UsageRow) []storyStep {
	steps := []storyStep{{row.CreatedAt, "arrived, and was written to the journal before it went on"}}
	after := func(ms *int64, what string) {
		if ms != nil {
			steps = append(steps, storyStep{row.CreatedAt.Add(time.Duration(*ms) * time.Millisecond), what})
		}
	}
	after(row.TimeToFirstTokenMS, "the first content came back")
	switch {
	case value(row.Cancelled):
		after(row.DurationMS, "the client left before the answer was complete")
	case row.HTTPStatus != nil:
		after(row.DurationMS, fmt.Sprintf("the answer was complete, with HTTP status %d", *row.HTTPStatus))
	default:
		after(row.DurationMS, "it ended without an answer")
	}
	if row.VerifiedAt != nil {
		steps = append(steps, storyStep{*row.VerifiedAt, "OpenRouter's own record confirmed the cost"})
	}
	return steps
}

// whatComesNext says what Bursar does about a call whose cost is not certain.
func whatComesNext(row *accounting.UsageRow) string {
	switch {
	case row.Status == accounting.StatusPending:
		return "Bursar asks OpenRouter for the cost by the generation's id, again and again for up to seven days."
	case row.Status == accounting.StatusAwaitingKey:
		return "The cost can be asked for only with the key that made the call. It goes on with that key's next call."
	case row.Status.Undecided():
		return "Somebody has to look for it in OpenRouter's own activity, and decide below."
	case row.Status == accounting.StatusSettled && row.VerifiedAt == nil:
		return "The cost is the answer's own. OpenRouter's record will be asked to confirm it, as far as the rate of such questions allows."
	}
	return ""
}

// difference is the record's cost less the answer's, nil unless both are known.
func difference(row *accounting.UsageRow) *accounting.Amount {
	if row.InlineCostUSD == nil || row.GenerationCostUSD == nil {
		return nil
	}
	return &accounting.Amount{Decimal: row.GenerationCostUSD.Sub(row.InlineCostUSD.Decimal)}
}

// explained is what the guard decided about a call, nil where budgets are kept
// nowhere or nothing is recorded.
func (h *Handler) explained(ctx context.Context, id accounting.RequestID) (*explanation, error) {
	if h.budgets == nil {
		return nil, nil
	}
	found, err := h.explainCall(ctx, &callInput{ID: id.String()})
	if p := (*problem)(nil); errors.As(err, &p) && p.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found.Body.Data, nil
}
