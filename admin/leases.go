package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Leases is the money of hard budgets that replicas hold. It is called
// concurrently and must return when ctx ends.
type Leases interface {
	// ReleaseLease takes back what a dead replica held, audited in the same
	// transaction. What a living one holds is a [accounting.DecisionError].
	ReleaseLease(ctx context.Context, replica, actor, reason string) error
}

var releaseLeasesOperation = huma.Operation{
	OperationID: "release-leases",
	Method:      http.MethodPost,
	Path:        budgetsPath + "/leases/{replica}/release",
	Summary:     "Take back what a dead replica held",
	Description: "Returns the money that a replica holds of hard budgets, when its disk will not come back. " +
		"Otherwise do nothing: the next Bursar with its data directory settles its journal and returns the money. " +
		"Whoever releases it accepts the risk that calls of that replica, which nobody has recorded, were billed. " +
		"409 if the replica lives. Audited.",
	Tags:         []string{"budgets"},
	Security:     needsToken,
	MaxBodyBytes: maxDecisionBytes,
	Errors:       append([]int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge}, without(budgetErrors, http.StatusNotFound)...),
}

func (h *Handler) leaseRoutes(api huma.API) {
	huma.Register(api, releaseLeasesOperation, operation(h.releaseLeases))
}

// releaseInput is the request of POST /api/budgets/leases/{replica}/release.
type releaseInput struct {
	Replica string `path:"replica" maxLength:"100" doc:"The replica, as decisions and leases name it." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
	Body    struct {
		Reason string `json:"reason" maxLength:"500" doc:"Why, for the audit log." example:"its machine was lost with its disk"`
	}
}

type releasedOutput struct {
	Body envelope[releasedLeases]
}

// releasedLeases is the data of POST /api/budgets/leases/{replica}/release.
type releasedLeases struct {
	Replica string `json:"replica" doc:"The replica that holds nothing any longer." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
}

// releaseLeases answers POST /api/budgets/leases/{replica}/release.
func (h *Handler) releaseLeases(ctx context.Context, in *releaseInput) (*releasedOutput, error) {
	if err := problemIf(neededReason(in.Body.Reason, "expected why the replica will not come back")); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if err := h.budgets.Store.ReleaseLease(limited, in.Replica, actorOf(ctx), in.Body.Reason); err != nil {
		return nil, releaseProblem(lateOr(ctx, limited, err))
	}
	return &releasedOutput{envelope[releasedLeases]{Success: true, Data: releasedLeases{Replica: in.Replica}}}, nil
}

// releaseProblem is what is told of the store's answer about a release.
func releaseProblem(err error) error {
	var refused *accounting.DecisionError
	if errors.As(err, &refused) {
		return newProblem(http.StatusConflict, "%s", refused.Reason)
	}
	return err
}
