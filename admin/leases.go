package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// Leases is the money of hard budgets that replicas hold. It is called
// concurrently and must return when ctx ends.
type Leases interface {
	// ListLeases returns what replicas hold of a budget, or of all.
	ListLeases(ctx context.Context, budget string) ([]accounting.LeaseRow, error)
	// ListReplicas returns those that live, and the limit latest of the others.
	ListReplicas(ctx context.Context, limit int) ([]accounting.Replica, error)
	// ReleaseLease takes back what a dead replica held, audited in the same
	// transaction. A replica that holds nothing is [accounting.ErrNoLease], one
	// that lives is [accounting.ErrReplicaAlive].
	ReleaseLease(ctx context.Context, replica, actor, reason string) error
}

var listLeasesOperation = huma.Operation{
	OperationID: "list-leases",
	Method:      http.MethodGet,
	Path:        budgetsPath + "/leases",
	Summary:     "Money of budgets in the hands of replicas",
	Description: "What each replica holds of each hard budget: unspent, or reserved for calls that are not recorded yet. " +
		"A replica that stops returns what it holds; that of a dead one returns when its journal is settled by the next Bursar with its data directory.",
	Tags:                         []string{"budgets"},
	Security:                     needsToken,
	Errors:                       withoutNotFound(budgetErrors),
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var releaseLeasesOperation = huma.Operation{
	OperationID: "release-leases",
	Method:      http.MethodPost,
	Path:        budgetsPath + "/leases/{replica}/release",
	Summary:     "Take back what a dead replica held",
	Description: "Returns the money that a replica holds of hard budgets, when its disk will not come back. " +
		"Otherwise do nothing: the next Bursar with its data directory settles its journal and returns the money. " +
		"Whoever releases it accepts the risk that calls of that replica, which nobody has recorded, were billed. " +
		"404 if the replica holds nothing, 409 if it lives. Audited.",
	Tags:         []string{"budgets"},
	Security:     needsToken,
	MaxBodyBytes: maxDecisionBytes,
	Errors:       append([]int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge}, budgetErrors...),
}

func (h *Handler) leaseRoutes(api huma.API) {
	huma.Register(api, listLeasesOperation, operation(h.listLeases))
	huma.Register(api, releaseLeasesOperation, operation(h.releaseLeases))
	huma.Register(api, listReplicasOperation, operation(h.listReplicas))
	describeType(api, reflect.TypeFor[accounting.Replica](), replicaColumns)
}

// leasesInput is the query of GET /api/budgets/leases.
type leasesInput struct {
	Budget string `query:"budget" maxLength:"100" doc:"Money of this budget only." example:"q4-outreach"`
}

// Resolve checks what no single parameter's schema can say.
func (in *leasesInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

type leasesOutput struct {
	Body envelope[leaseList]
}

// leaseList is the data of GET /api/budgets/leases.
type leaseList struct {
	Leases []accounting.LeaseRow `json:"leases" nullable:"false" doc:"By budget, value, period and replica."`
}

// listLeases answers GET /api/budgets/leases.
func (h *Handler) listLeases(ctx context.Context, in *leasesInput) (*leasesOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	list, err := h.budgets.Store.ListLeases(limited, in.Budget)
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	return &leasesOutput{envelope[leaseList]{Success: true, Data: leaseList{Leases: orEmpty(list)}}}, nil
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
		return nil, releaseProblem(in.Replica, lateOr(ctx, limited, err))
	}
	return &releasedOutput{envelope[releasedLeases]{Success: true, Data: releasedLeases{Replica: in.Replica}}}, nil
}

// releaseProblem is what is told of the store's answer about a release.
func releaseProblem(replica string, err error) error {
	switch {
	case errors.Is(err, accounting.ErrNoLease):
		return newProblem(http.StatusNotFound, "No replica %s holds money of a budget. GET %s/leases lists those that do.", shown(replica), budgetsPath)
	case errors.Is(err, accounting.ErrReplicaAlive):
		return newProblem(http.StatusConflict, "The replica %s lives. Stop it: it then returns what it holds by itself.", shown(replica))
	}
	return err
}

// endedReplicas is how many replicas that live no longer are listed.
const endedReplicas = 20

var listReplicasOperation = huma.Operation{
	OperationID:                  "list-replicas",
	Method:                       http.MethodGet,
	Path:                         "/api/replicas",
	Summary:                      "Bursar processes that share the database",
	Description:                  "Those that live, and the latest 20 that do no longer. Each start of a process is a replica of its own; one that is silent for ten seconds is taken to live no longer.",
	Tags:                         []string{"health"},
	Security:                     needsToken,
	Errors:                       withoutNotFound(budgetErrors),
	RejectUnknownQueryParameters: true,
}

var replicaColumns = map[string]string{
	"replica":    "As decisions and leases name it.",
	"started_at": "When it was first heard of.",
	"seen_at":    "When it was last heard of.",
	"ended_at":   "When it stopped, or its journal was settled; null: neither.",
	"alive":      "Heard of lately.",
}

type replicasOutput struct {
	Body envelope[replicaList]
}

type replicaList struct {
	Replicas []accounting.Replica `json:"replicas" nullable:"false" doc:"Those that live first."`
}

// listReplicas answers GET /api/replicas.
func (h *Handler) listReplicas(ctx context.Context, _ *noInput) (*replicasOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	list, err := h.budgets.Store.ListReplicas(limited, endedReplicas)
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	return &replicasOutput{envelope[replicaList]{Success: true, Data: replicaList{Replicas: orEmpty(list)}}}, nil
}
