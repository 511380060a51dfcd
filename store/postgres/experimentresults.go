package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// ExperimentSums are what the leads of each arm have cost and brought, of arms
// that have any. It reads one row for each arm and day.
func (s *Store) ExperimentSums(ctx context.Context, e *accounting.Experiment) ([]accounting.ArmSums, error) {
	if e.StartedAt == nil {
		return nil, nil
	}
	// Calls of the last day may be recorded by a clock that runs ahead.
	last := s.now()
	if e.EndedAt != nil {
		last = *e.EndedAt
	}
	rows, err := s.pool.Query(ctx, `-- name: experiment_sums
		WITH `+ratesSQL+`
		SELECT d.arm, sum(d.leads)::bigint, sum(d.sent_leads)::bigint, sum(d.replied_leads)::bigint, sum(d.converted_leads)::bigint, sum(d.meetings)::bigint,
			sum(d.calls)::bigint, sum(d.cost_usd), sum(d.cost_usd * r.rate)
		FROM experiment_daily d JOIN rates r USING (day) WHERE d.experiment_id = $4 GROUP BY d.arm ORDER BY d.arm`,
		accounting.DayOf(*e.StartedAt).Start(), accounting.DayOf(last).Add(1).Start(), s.opts.USDToEURRate, e.ID)
	if err == nil {
		var sums []accounting.ArmSums
		if sums, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.ArmSums]); err == nil {
			return sums, nil
		}
	}
	return nil, fmt.Errorf("sum up experiment %s: %w", clean(e.ID), err)
}

// EnrolLead has a lead of a campaign take part in a running experiment from now
// on, whether or not a call is made for it, and returns its arm. Doing so again
// changes nothing. Errors: [accounting.ErrUnknownExperiment], an
// [accounting.ExperimentConflictError] if it does not run.
func (s *Store) EnrolLead(ctx context.Context, id, lead, campaign string) (accounting.Assignment, error) {
	var assigned accounting.Assignment
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		book, err := s.readBook(ctx, tx)
		if err != nil {
			return err
		}
		e, err := findExperiment(ctx, tx, id)
		if err != nil {
			return err
		}
		if e.State != accounting.ExperimentRunning {
			return &accounting.ExperimentConflictError{State: e.State}
		}
		at := s.now().UTC().Truncate(time.Millisecond)
		if at.Before(*e.StartedAt) {
			at = *e.StartedAt
		}
		assigned = e.AssignmentOf(string(clean(lead)))
		t := newExperimentSums(book)
		t.see(t.lead(&e, string(clean(lead)), string(clean(campaign))), at)
		return t.post(ctx, tx)
	})
	if err != nil {
		return accounting.Assignment{}, fmt.Errorf("enrol a lead in experiment %s: %w", clean(id), err)
	}
	return assigned, nil
}

// ClaimExperiments claims running experiments that are due to be judged, for one
// replica alone until until; they are not due before. A replica that dies so
// holds nobody up.
func (s *Store) ClaimExperiments(ctx context.Context, now, until time.Time) ([]accounting.Experiment, error) {
	rows, err := s.pool.Query(ctx, `-- name: experiments_claim
		UPDATE experiments SET claimed_until = $2
		WHERE id IN (SELECT id FROM experiments WHERE state = 'running' AND claimed_until <= $1 ORDER BY id FOR UPDATE SKIP LOCKED)
		RETURNING `+experimentColumns, now, until)
	if err == nil {
		var list []accounting.Experiment
		if list, err = pgx.CollectRows(rows, scanExperiment); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("claim experiments: %w", err)
}

// judge is who ends an experiment by its own rules.
const judge = "bursar"

// ConcludeExperiment ends an experiment by its own rules, with an alert. One that
// has ended meanwhile stays as it is.
func (s *Store) ConcludeExperiment(ctx context.Context, id string, end accounting.ExperimentEnd) error {
	_, err := s.changeExperiment(ctx, id, "conclude", func(tx pgx.Tx, e *accounting.Experiment) error {
		if e.State != accounting.ExperimentRunning {
			return nil
		}
		if err := s.endExperiment(ctx, tx, e, end.State, judge, string(end.Reason)); err != nil {
			return err
		}
		alert, err := concludedAlert(e, end)
		if err != nil {
			return err
		}
		return s.raise(ctx, tx, []accounting.Alert{alert})
	})
	return err
}

// concludedAlert tells that an experiment has ended by itself.
func concludedAlert(e *accounting.Experiment, end accounting.ExperimentEnd) (accounting.Alert, error) {
	data, err := json.Marshal(map[string]any{"experiment": e.ID, "state": end.State, "reason": end.Reason})
	a := accounting.Alert{
		Key: "experiment_ended/" + e.ID, Kind: "experiment_ended", Severity: accounting.SeverityInfo, Subject: accounting.ExperimentSubject(e.ID),
		Title: fmt.Sprintf("Experiment %s has ended: %s", e.Name, end.Reason), Data: data,
		Text: end.Detail + " Calls are as the application asks again.",
	}
	if end.Reason == accounting.StopHarm {
		a.Severity = accounting.SeverityWarning
		a.Title = fmt.Sprintf("Experiment %s was rolled back: it does harm", e.Name)
	}
	return a, err
}
