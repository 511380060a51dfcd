package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

type stopsOutput struct {
	Body envelope[stopList]
}

// stopList is the data of GET /api/guard/emergency-stop.
type stopList struct {
	Stops    []stopView `json:"stops" nullable:"false" doc:"Those that are active."`
	Complete bool       `json:"complete" doc:"false: the database does not answer, and these are the stops that hold on this replica."`
}

// listStops answers GET /api/guard/emergency-stop.
func (h *Handler) listStops(ctx context.Context, _ *noInput) (*stopsOutput, error) {
	list, err := h.activeStops(ctx)
	if err != nil {
		return nil, err
	}
	return &stopsOutput{envelope[stopList]{Success: true, Data: list}}, nil
}

// activeStops are the stops that the database has, and those that only this
// replica knows.
func (h *Handler) activeStops(ctx context.Context) (stopList, error) {
	limited, cancel := context.WithTimeout(ctx, stopWriteTimeout)
	defer cancel()
	known, err := h.budgets.Store.ListStops(limited, false)
	if err != nil && h.budgets.Guard == nil {
		return stopList{}, lateOr(ctx, limited, err)
	}
	list := stopList{Stops: []stopView{}, Complete: err == nil}
	seen := map[string]bool{}
	for _, s := range known {
		list.Stops, seen[s.ID] = append(list.Stops, viewOf(s, true)), true
	}
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Msg("emergency stops are listed as this replica knows them")
	}
	if h.budgets.Guard == nil {
		return list, nil
	}
	for _, s := range h.budgets.Guard.Stops() {
		if !seen[s.ID] {
			list.Stops = append(list.Stops, viewOf(s, false))
		}
	}
	return list, nil
}

// liftStopsInput is the query of DELETE /api/guard/emergency-stop.
type liftStopsInput struct {
	Kind string `query:"kind" enum:"emergency,spike" default:"emergency" doc:"Which to lift: emergency stops, or the holds of the spike brake." example:"emergency"`
}

// Resolve checks what no single parameter's schema can say.
func (in *liftStopsInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// liftedStops is the data of both DELETEs.
type liftedStops struct {
	Lifted []stopView `json:"lifted" nullable:"false" doc:"What is lifted. written false: on this replica only, until the database is back."`
	Active []stopView `json:"active" nullable:"false" doc:"What is stopped all the same."`
}

type liftedOutput struct {
	Body envelope[liftedStops]
}

// liftStops answers DELETE /api/guard/emergency-stop.
func (h *Handler) liftStops(ctx context.Context, in *liftStopsInput) (*liftedOutput, error) {
	list, err := h.activeStops(ctx)
	if err != nil {
		return nil, err
	}
	answer := liftedStops{Lifted: []stopView{}, Active: []stopView{}}
	for _, s := range list.Stops {
		if string(s.Kind) != in.Kind {
			answer.Active = append(answer.Active, s)
			continue
		}
		lifted, err := h.lift(ctx, s.Stop, list.Complete)
		switch {
		case err == nil:
			answer.Lifted = append(answer.Lifted, lifted)
		case !errors.Is(err, accounting.ErrUnknownStop): // somebody else was quicker
			return nil, err
		}
	}
	return &liftedOutput{envelope[liftedStops]{Success: true, Data: answer}}, nil
}

// stopInput names a stop in the path.
type stopInput struct {
	ID string `path:"id" maxLength:"100" doc:"The stop." example:"stop-20261122-061500-3f9ac2"`
}

// liftStop answers DELETE /api/guard/emergency-stop/{id}.
func (h *Handler) liftStop(ctx context.Context, in *stopInput) (*liftedOutput, error) {
	list, err := h.activeStops(ctx)
	if err != nil {
		return nil, err
	}
	answer := liftedStops{Lifted: []stopView{}, Active: []stopView{}}
	for _, s := range list.Stops {
		if s.ID != in.ID {
			answer.Active = append(answer.Active, s)
			continue
		}
		lifted, err := h.lift(ctx, s.Stop, list.Complete)
		if errors.Is(err, accounting.ErrUnknownStop) {
			continue // somebody else was quicker
		}
		if err != nil {
			return nil, err
		}
		answer.Lifted = append(answer.Lifted, lifted)
	}
	switch {
	case len(answer.Lifted) > 0:
		return &liftedOutput{envelope[liftedStops]{Success: true, Data: answer}}, nil
	case !list.Complete:
		return nil, newProblem(http.StatusServiceUnavailable, "The database does not answer, and this replica knows no stop %s.", shown(in.ID))
	}
	return nil, newProblem(http.StatusNotFound, "There is no active stop %s. GET %s lists those there are.", shown(in.ID), stopPath)
}

// lift ends a stop everywhere, or here as long as the database does not answer.
func (h *Handler) lift(ctx context.Context, stop accounting.Stop, database bool) (stopView, error) {
	actor, now := actorOf(ctx), time.Now().UTC()
	lifted, err := stop, errNoDatabase
	if database {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWriteTimeout)
		defer cancel()
		lifted, err = h.budgets.Store.LiftStop(limited, stop.ID, actor, now)
	}
	here := h.liftHere(ctx, stop.ID, actor, now)
	switch {
	case err == nil:
		return viewOf(lifted, true), nil
	case here:
		// A database that answered knew of nothing to lift: it had not been
		// told of the stop, or somebody else was quicker.
		answered := errors.Is(err, accounting.ErrUnknownStop)
		if !answered {
			zerolog.Ctx(ctx).Warn().Err(err).Str("stop", stop.ID).Msg("a stop is lifted on this replica and not in the database yet")
		}
		stop.LiftedAt, stop.LiftedBy = &now, &actor
		return viewOf(stop, answered), nil
	}
	return stopView{}, fmt.Errorf("lift %s: %w", stop.ID, err)
}

// errNoDatabase stands for the answer of a database that is known not to give
// one.
var errNoDatabase = errors.New("the database does not answer")

// liftHere has this replica obey a stop no longer, and reports whether it did.
func (h *Handler) liftHere(ctx context.Context, id, actor string, now time.Time) bool {
	if h.budgets.Guard == nil {
		return false
	}
	err := h.budgets.Guard.LiftStop(id, actor, now)
	if errors.Is(err, accounting.ErrUnknownStop) {
		return false
	}
	if err != nil {
		zerolog.Ctx(ctx).Error().Err(err).Str("stop", id).Msg("a stop is lifted in memory only")
	}
	return true
}
