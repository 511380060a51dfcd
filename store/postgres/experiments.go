package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bursar/accounting"
)

// startDelay is from when on a started experiment counts: by then every replica
// knows of it, so that a lead is not treated in two ways.
const startDelay = time.Second

const experimentColumns = `id, name, coalesce(campaign_id, ''), coalesce(purpose, ''), arms, metric, margin, enforce, stop_on_verdict, max_days, max_leads,
		state, started_at, ended_at, ended_by, end_reason, created_at, updated_at`

func queryExperiments(ctx context.Context, db querier, rest string, args ...any) ([]accounting.Experiment, error) {
	rows, err := db.Query(ctx, `-- name: experiments_list
		SELECT `+experimentColumns+` FROM experiments `+rest, args...)
	if err == nil {
		var list []accounting.Experiment
		if list, err = pgx.CollectRows(rows, scanExperiment); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("read experiments: %w", err)
}

func scanExperiment(cr pgx.CollectableRow) (accounting.Experiment, error) {
	var e accounting.Experiment
	err := cr.Scan(&e.ID, &e.Name, &e.CampaignID, &e.Purpose, &e.Arms, &e.Metric, &e.Margin, &e.Enforce, &e.StopOnVerdict, &e.MaxDays, &e.MaxLeads,
		&e.State, &e.StartedAt, &e.EndedAt, &e.EndedBy, &e.EndReason, &e.CreatedAt, &e.UpdatedAt)
	e.StartedAt, e.EndedAt, e.CreatedAt, e.UpdatedAt = utc(e.StartedAt), utc(e.EndedAt), e.CreatedAt.UTC(), e.UpdatedAt.UTC()
	return e, err
}

// ListExperiments lists the experiments in a state, or all of them, the newest
// first.
func (s *Store) ListExperiments(ctx context.Context, state accounting.ExperimentState) ([]accounting.Experiment, error) {
	return queryExperiments(ctx, s.pool, `WHERE $1::text IS NULL OR state = $1 ORDER BY created_at DESC, id`, clean(string(state)))
}

// FindExperiment returns an experiment. Errors: [accounting.ErrUnknownExperiment].
func (s *Store) FindExperiment(ctx context.Context, id string) (accounting.Experiment, error) {
	e, err := findExperiment(ctx, s.pool, id)
	if err != nil {
		return e, fmt.Errorf("find experiment %s: %w", clean(id), err)
	}
	return e, nil
}

func findExperiment(ctx context.Context, db querier, id string) (accounting.Experiment, error) {
	found, err := queryExperiments(ctx, db, `WHERE id = $1`, string(clean(id)))
	if err == nil && len(found) == 0 {
		err = accounting.ErrUnknownExperiment
	}
	if err != nil {
		return accounting.Experiment{}, err
	}
	return found[0], nil
}

// CreateExperiment makes a draft in the name of actor; it is audited. Errors:
// [accounting.ErrExperimentExists].
func (s *Store) CreateExperiment(ctx context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error) {
	var made accounting.Experiment
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		arms, err := json.Marshal(e.Arms)
		if err != nil {
			return err
		}
		if err := roomForExperiment(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `-- name: experiments_insert
			INSERT INTO experiments (id, name, campaign_id, purpose, arms, metric, margin, enforce, stop_on_verdict, max_days, max_leads)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			string(clean(e.ID)), string(clean(e.Name)), clean(e.CampaignID), clean(e.Purpose), arms, string(e.Metric), e.Margin.Decimal, e.Enforce, e.StopOnVerdict, e.MaxDays, e.MaxLeads)
		var taken *pgconn.PgError
		if errors.As(err, &taken) && taken.Code == "23505" { // unique_violation
			return accounting.ErrExperimentExists
		}
		if err != nil {
			return err
		}
		if made, err = findExperiment(ctx, tx, e.ID); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionExperimentCreate, subject: accounting.ExperimentSubject(e.ID), after: auditedExperiment(&made)})
	})
	if err != nil {
		return accounting.Experiment{}, fmt.Errorf("create experiment %s: %w", clean(e.ID), err)
	}
	return made, nil
}

// experimentLock is the transaction advisory lock between those who make
// experiments, so that two at once count each other.
const experimentLock int64 = 0x6578706572

// roomForExperiment is an error where there are as many open experiments as
// there can be: every replica holds them in memory.
func roomForExperiment(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `-- name: experiments_lock
		SELECT pg_advisory_xact_lock($1)`, experimentLock); err != nil {
		return err
	}
	var open int
	err := tx.QueryRow(ctx, `-- name: experiments_open
		SELECT count(*) FROM experiments WHERE state IN ('draft', 'running')`).Scan(&open)
	if err == nil && open >= accounting.MaxOpenExperiments {
		return accounting.ErrTooManyExperiments
	}
	return err
}

// ReplaceExperiment puts a draft in place of the one with its id, in the name of
// actor; it is audited. Errors: [accounting.ErrUnknownExperiment], an
// [accounting.ExperimentConflictError] if it has been started.
func (s *Store) ReplaceExperiment(ctx context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error) {
	return s.changeExperiment(ctx, e.ID, "replace", func(tx pgx.Tx, before *accounting.Experiment) error {
		if before.State != accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: before.State}
		}
		arms, err := json.Marshal(e.Arms)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `-- name: experiments_replace
			UPDATE experiments SET name = $2, campaign_id = $3, purpose = $4, arms = $5, metric = $6, margin = $7, enforce = $8, stop_on_verdict = $9,
				max_days = $10, max_leads = $11, updated_at = now()
			WHERE id = $1`,
			string(clean(e.ID)), string(clean(e.Name)), clean(e.CampaignID), clean(e.Purpose), arms, string(e.Metric), e.Margin.Decimal, e.Enforce, e.StopOnVerdict, e.MaxDays, e.MaxLeads); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionExperimentChange, subject: accounting.ExperimentSubject(e.ID),
			before: auditedExperiment(before), after: auditedExperiment(&e)})
	})
}

// DeleteExperiment takes a draft away in the name of actor, and its id is free
// again; it is audited. Errors: [accounting.ErrUnknownExperiment], an
// [accounting.ExperimentConflictError] if it has been started.
func (s *Store) DeleteExperiment(ctx context.Context, id, actor, reason string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		before, err := s.findExperimentAlone(ctx, tx, id)
		if err != nil {
			return err
		}
		if before.State != accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: before.State}
		}
		if _, err := tx.Exec(ctx, `-- name: experiments_delete
			DELETE FROM experiments WHERE id = $1`, before.ID); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionExperimentDelete, subject: accounting.ExperimentSubject(id), reason: reason, before: auditedExperiment(&before)})
	})
	if err != nil {
		return fmt.Errorf("delete experiment %s: %w", clean(id), err)
	}
	return nil
}

// StartExperiment starts a draft in the name of actor; it is audited. Errors:
// [accounting.ErrUnknownExperiment], an [accounting.ExperimentConflictError] if it
// has been started before, or another enforced one holds some of the same calls.
func (s *Store) StartExperiment(ctx context.Context, id, actor, reason string) (accounting.Experiment, error) {
	return s.changeExperiment(ctx, id, "start", func(tx pgx.Tx, e *accounting.Experiment) error {
		if e.State != accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: e.State}
		}
		running, err := queryExperiments(ctx, tx, `WHERE state = 'running' AND enforce ORDER BY id`)
		if err != nil {
			return err
		}
		for i := range running {
			if e.Enforce && e.Overlaps(&running[i]) {
				return &accounting.ExperimentConflictError{State: e.State, Other: running[i].ID}
			}
		}
		started := s.now().Add(startDelay).UTC().Truncate(time.Millisecond) // as ids of calls have it
		if _, err := tx.Exec(ctx, `-- name: experiments_start
			UPDATE experiments SET state = 'running', started_at = $2, updated_at = now() WHERE id = $1`, e.ID, started); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionExperimentStart, subject: accounting.ExperimentSubject(e.ID), reason: reason,
			before: map[string]any{"state": e.State}, after: map[string]any{"state": accounting.ExperimentRunning, "started_at": started}})
	})
}

// EndExperiment stops an experiment, or rolls it back, in the name of actor; it
// is audited. One that was stopped can still be rolled back; one that is in the
// state already is returned as it is. Errors: [accounting.ErrUnknownExperiment],
// an [accounting.ExperimentConflictError] if it is in no state to end.
func (s *Store) EndExperiment(ctx context.Context, id string, to accounting.ExperimentState, actor, reason string) (accounting.Experiment, error) {
	return s.changeExperiment(ctx, id, "end", func(tx pgx.Tx, e *accounting.Experiment) error {
		return s.endExperiment(ctx, tx, e, to, actor, reason)
	})
}

func (s *Store) endExperiment(ctx context.Context, tx pgx.Tx, e *accounting.Experiment, to accounting.ExperimentState, actor, reason string) error {
	switch e.State {
	case to:
		return nil
	case accounting.ExperimentDraft, accounting.ExperimentRolledBack:
		return &accounting.ExperimentConflictError{State: e.State}
	}
	ended := s.now().UTC().Truncate(time.Millisecond)
	if ended.Before(*e.StartedAt) {
		ended = *e.StartedAt
	}
	if _, err := tx.Exec(ctx, `-- name: experiments_end
		UPDATE experiments SET state = $2, ended_at = coalesce(ended_at, $3), ended_by = $4, end_reason = $5, updated_at = now() WHERE id = $1`,
		e.ID, string(to), ended, string(clean(actor)), clean(reason)); err != nil {
		return err
	}
	action := accounting.ActionExperimentStop
	if to == accounting.ExperimentRolledBack {
		action = accounting.ActionExperimentRollback
	}
	return audit(ctx, tx, auditEntry{actor: actor, action: action, subject: accounting.ExperimentSubject(e.ID), reason: reason,
		before: map[string]any{"state": e.State}, after: map[string]any{"state": to}})
}

// findExperimentAlone finds an experiment, while nobody writes what experiments
// count.
func (s *Store) findExperimentAlone(ctx context.Context, tx pgx.Tx, id string) (accounting.Experiment, error) {
	if _, err := s.readBookAlone(ctx, tx); err != nil {
		return accounting.Experiment{}, err
	}
	return findExperiment(ctx, tx, id)
}

// changeExperiment runs do on an experiment, alone: while nobody writes what
// experiments count, and told to every replica at once.
func (s *Store) changeExperiment(ctx context.Context, id, verb string, do func(pgx.Tx, *accounting.Experiment) error) (accounting.Experiment, error) {
	var after accounting.Experiment
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		before, err := s.findExperimentAlone(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := do(tx, &before); err != nil {
			return err
		}
		if err := bumpVersion(ctx, tx); err != nil {
			return err
		}
		after, err = findExperiment(ctx, tx, id)
		return err
	})
	if err != nil {
		return accounting.Experiment{}, fmt.Errorf("%s experiment %s: %w", verb, clean(id), err)
	}
	return after, nil
}

// auditedExperiment is what the audit log keeps of an experiment.
func auditedExperiment(e *accounting.Experiment) map[string]any {
	return map[string]any{
		"name": e.Name, "campaign_id": e.CampaignID, "purpose": e.Purpose, "arms": e.Arms, "metric": e.Metric, "margin": e.Margin, "enforce": e.Enforce,
		"stop_on_verdict": e.StopOnVerdict, "max_days": e.MaxDays, "max_leads": e.MaxLeads,
	}
}
