package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	checkTimeout = 2 * time.Second // below the 5 s after which common probes give up
	checkCache   = time.Second     // however many ask, nothing is checked more often
)

// Check is one condition for being ready.
type Check struct {
	Name string
	// Probe returns nil if all is well, else a sentence for whoever looks:
	// anybody may read it, so it names no secrets. Its context ends after two
	// seconds. It is not called again before it has returned.
	Probe func(ctx context.Context) error
}

// checkReadiness reports checks that cannot be run or told apart.
func checkReadiness(checks []Check) error {
	var errs []error
	seen := make(map[string]bool)
	for i, c := range checks {
		if c.Name == "" || c.Probe == nil || seen[c.Name] {
			errs = append(errs, fmt.Errorf("admin: readiness check %d %q: want a name of its own and a probe", i, c.Name))
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

var healthzOperation = huma.Operation{
	OperationID: "healthz",
	Method:      http.MethodGet,
	Path:        "/healthz",
	Summary:     "Is the process alive?",
	Description: "200 as long as this process answers at all. A process that fails this should be restarted.",
	Tags:        []string{"health"},
	Security:    []map[string][]string{},
}

var readyzOperation = huma.Operation{
	OperationID: "readyz",
	Method:      http.MethodGet,
	Path:        "/readyz",
	Summary:     "May it be sent work?",
	Description: "200 if every check passes, 503 if one does not or the process is stopping. " +
		"A process that fails this should be sent no new work, and not be restarted for it. " +
		"Where whoever asks takes calls away from every process at once, ?exclude=database keeps them coming while Postgres is away.",
	Tags:     []string{"health"},
	Security: []map[string][]string{},
	Errors:   []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
}

type healthzOutput struct {
	Body envelope[health]
}

type health struct {
	Status  string `json:"status" enum:"alive" doc:"Always alive." example:"alive"`
	Version string `json:"version" doc:"Bursar's version." example:"1.0.0"`
}

// healthz answers GET /healthz.
func (h *Handler) healthz(context.Context, *struct{}) (*healthzOutput, error) {
	return &healthzOutput{Body: envelope[health]{Success: true, Data: health{Status: "alive", Version: h.version}}}, nil
}

type readyzOutput struct {
	Body envelope[readyState]
}

type readyState struct {
	Ready   bool          `json:"ready" doc:"Whether it may be sent work."`
	Version string        `json:"version" doc:"Bursar's version." example:"1.0.0"`
	Checks  []checkResult `json:"checks" nullable:"false" doc:"Each condition and how it stands."`
}

type checkResult struct {
	Name    string `json:"name" doc:"What was checked." example:"postgres"`
	OK      bool   `json:"ok" doc:"Whether it passed."`
	Message string `json:"message" doc:"How it stands, in a sentence." example:"ok"`
}

type readyzInput struct {
	Exclude []string `query:"exclude" doc:"Checks that are shown but do not count, divided by commas." example:"database"`
}

// readyz answers GET /readyz.
func (h *Handler) readyz(ctx context.Context, in *readyzInput) (*readyzOutput, error) {
	if names := h.ready.names(); slices.ContainsFunc(in.Exclude, func(name string) bool { return !slices.Contains(names, name) }) {
		return nil, invalid(fieldError{Field: "exclude", Value: shown(strings.Join(in.Exclude, ",")),
			Message: "expected names of checks", Allowed: strings.Join(names, ", ")})
	}
	state := readyState{Ready: true, Version: h.version, Checks: h.ready.state(ctx)}
	var reasons []string
	for _, c := range state.Checks {
		if !c.OK && !slices.Contains(in.Exclude, c.Name) {
			state.Ready = false
			reasons = append(reasons, c.Name+": "+c.Message)
		}
	}
	if !state.Ready {
		p := newProblem(http.StatusServiceUnavailable, "Not ready. %s", strings.Join(reasons, "; "))
		p.Data = &state
		return nil, p
	}
	return &readyzOutput{Body: envelope[readyState]{Success: true, Data: state}}, nil
}

// readiness runs the checks and remembers what they said.
type readiness struct {
	checks   []Check
	running  []atomic.Bool // by check: a probe has not returned yet
	draining func() bool

	turn    chan struct{} // full while the checks run: who asks meanwhile shares the result
	last    []checkResult // as lastEnd, of whoever has filled turn
	lastEnd time.Time
}

func newReadiness(checks []Check, draining func() bool) *readiness {
	if draining == nil {
		draining = func() bool { return false }
	}
	return &readiness{
		checks:   checks,
		running:  make([]atomic.Bool, len(checks)),
		draining: draining,
		turn:     make(chan struct{}, 1),
	}
}

// names are those of the checks that may be left out of account, which the
// process's own stopping is not.
func (r *readiness) names() []string {
	names := make([]string, len(r.checks))
	for i := range r.checks {
		names[i] = r.checks[i].Name
	}
	return names
}

// state is how every check stands, at most checkCache ago, and first whether
// the process is stopping, as of now.
func (r *readiness) state(ctx context.Context) []checkResult {
	drain := checkResult{Name: "serving", OK: true, Message: "taking requests"}
	if r.draining() {
		drain.OK, drain.Message = false, "stopping: calls in flight are finished, new ones belong elsewhere"
	}
	return append([]checkResult{drain}, r.run(ctx)...)
}

// run returns the checks' results, asking again if they are too old.
func (r *readiness) run(ctx context.Context) []checkResult {
	r.turn <- struct{}{} // for at most checkTimeout, so no need to look at ctx
	defer func() { <-r.turn }()
	if !r.lastEnd.IsZero() && time.Since(r.lastEnd) < checkCache {
		return r.last
	}
	// Others share the result, so the first asker's leaving must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	results := make([]checkResult, len(r.checks))
	var all sync.WaitGroup
	for i := range r.checks {
		all.Go(func() { results[i] = r.ask(ctx, i) })
	}
	all.Wait()
	r.last, r.lastEnd = results, time.Now()
	return results
}

// ask runs one check. It returns in time even if the probe does not, and then
// does not start another beside it.
func (r *readiness) ask(ctx context.Context, i int) checkResult {
	check := r.checks[i]
	if !r.running[i].CompareAndSwap(false, true) {
		return checkResult{Name: check.Name, Message: "no answer yet to an earlier check"}
	}
	answer := make(chan error, 1)
	go func() {
		defer r.running[i].Store(false)
		answer <- probe(ctx, check)
	}()
	select {
	case err := <-answer:
		if err != nil {
			return checkResult{Name: check.Name, Message: err.Error()}
		}
		return checkResult{Name: check.Name, OK: true, Message: "ok"}
	case <-ctx.Done():
		return checkResult{Name: check.Name, Message: fmt.Sprintf("no answer within %s", checkTimeout)}
	}
}

// probe runs the check's own code, whose panic must not end the process.
func probe(ctx context.Context, check Check) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the check itself broke")
		}
	}()
	return check.Probe(ctx)
}
