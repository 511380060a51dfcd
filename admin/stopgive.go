package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

// stopID is a name that a person can read out: the time and some chance.
func stopID(now time.Time) string {
	var chance [3]byte
	_, _ = rand.Read(chance[:]) // never returns an error
	return "stop-" + now.Format("20060102-150405-") + hex.EncodeToString(chance[:])
}

// giveStop has a stop hold here, and then everywhere. What was asked for is
// carried out even if whoever asked has gone.
func (h *Handler) giveStop(ctx context.Context, stop accounting.Stop) (stopView, error) {
	holds := false
	if guard := h.budgets.Guard; guard != nil && !stop.Drill {
		if err := guard.PutStop(stop); err != nil {
			zerolog.Ctx(ctx).Error().Err(err).Str("stop", stop.ID).Msg("an emergency stop holds in memory only")
		}
		holds = true
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWriteTimeout)
	defer cancel()
	written, err := h.budgets.Store.CreateStop(limited, stop)
	switch {
	case err == nil:
		return viewOf(written, true), nil
	case !holds:
		zerolog.Ctx(ctx).Error().Err(err).Msg("an emergency stop could not be given")
		return stopView{}, newProblem(http.StatusServiceUnavailable, "%s", undone(stop.Drill))
	}
	zerolog.Ctx(ctx).Error().Err(err).Str("stop", stop.ID).Msg("an emergency stop holds here and is not written yet")
	return viewOf(stop, false), nil
}

// undone says why there is no stop.
func undone(drill bool) string {
	if drill {
		return "The database does not answer, so that there is nothing to measure. A stop that is no drill would hold on this replica."
	}
	return "The database does not answer, so that nothing was stopped. Try again."
}

// awaitReach waits until every living replica obeys, and returns how they stand
// then.
func (h *Handler) awaitReach(ctx context.Context, view stopView) stopView {
	limited, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	ticker := time.NewTicker(reachPoll)
	defer ticker.Stop()
	for !view.Obeyed {
		list, err := h.budgets.Store.ListStops(limited, false)
		if err != nil {
			return view
		}
		for i := range list {
			if list[i].ID == view.ID {
				view = viewOf(list[i], true)
			}
		}
		if view.Obeyed {
			return view
		}
		select {
		case <-limited.Done():
			return view
		case <-ticker.C:
		}
	}
	return view
}

// endDrill lifts a drill, whose reach is known.
func (h *Handler) endDrill(ctx context.Context, view stopView) stopView {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWriteTimeout)
	defer cancel()
	lifted, err := h.budgets.Store.LiftStop(limited, view.ID, view.Actor, time.Now().UTC())
	if err != nil {
		// It blocks nothing, and whoever lists the stops sees it.
		zerolog.Ctx(ctx).Error().Err(err).Str("stop", view.ID).Msg("a drill could not be lifted")
		return view
	}
	view.LiftedAt, view.LiftedBy = lifted.LiftedAt, lifted.LiftedBy
	return view
}
