package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// AttachGeneration tells which generation an undecided call was: the row is
// pending from then on, and due at once. A dismissed call may be given one too,
// since whoever dismissed it can have been wrong; and an unresolved one another,
// since an id that somebody typed can be. It is audited in the same transaction.
//
// Errors: [accounting.ErrUnknownCall], and an [accounting.DecisionError] if the
// generation is another call's, or the call's state does not admit it.
func (s *Store) AttachGeneration(ctx context.Context, d accounting.Decision, generation string) (accounting.UsageRow, error) {
	var decided accounting.UsageRow
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		budgets, err := s.readBook(ctx, tx)
		if err == nil {
			decided, err = s.attach(ctx, tx, budgets, d, clean(generation))
		}
		return err
	})
	if err != nil {
		return accounting.UsageRow{}, fmt.Errorf("attach generation to call %s: %w", d.Call, err)
	}
	return decided, nil
}

func (s *Store) attach(ctx context.Context, tx pgx.Tx, budgets *book, d accounting.Decision, generation text) (accounting.UsageRow, error) {
	if generation == "" {
		return accounting.UsageRow{}, errors.New("no generation id")
	}
	// The identities come before the row, as everywhere; so the row is looked
	// at twice, the first time without a lock.
	seen, err := findUsage(ctx, tx, d.Call)
	if err != nil {
		return accounting.UsageRow{}, err
	}
	if err := attachable(&seen); err != nil {
		return accounting.UsageRow{}, err
	}
	var former text
	if seen.GenerationID != nil {
		former = text(*seen.GenerationID)
	}
	if err := moveGeneration(ctx, tx, requestID(d.Call), former, generation); err != nil {
		return accounting.UsageRow{}, err
	}
	return s.decide(ctx, tx, budgets, d, accounting.ActionAttachGeneration, func(r *row) error {
		if accounting.Status(r.status) != seen.Status || r.generationID != former {
			return errRaced
		}
		r.generationID, r.status, r.settleError = generation, text(accounting.StatusPending), ""
		r.settleNextAt = s.firstDue(r)
		return nil
	})
}

// attachable says why a call may not be given a generation.
func attachable(r *accounting.UsageRow) error {
	switch {
	case !r.Status.Undecided() && r.Status != accounting.StatusDismissed:
		return decisionError("The call is %s: only one that is interrupted, unresolved or dismissed can be given a generation.", r.Status)
	case r.KeyFingerprint == nil:
		return decisionError("The call carried no key, so that nobody can ask what it cost, and OpenRouter has billed nobody for it. Dismiss it.")
	}
	return nil
}

// moveGeneration makes the call the owner of a generation, in place of the one
// that it had.
func moveGeneration(ctx context.Context, tx pgx.Tx, id requestID, former, generation text) error {
	generations := newIdentities("generations", "generation_id")
	if err := generations.find(ctx, tx, []text{generation}); err != nil {
		return fmt.Errorf("find generation: %w", err)
	}
	generations.claim(generation, id)
	if owner, _ := generations.ownerOf(generation); owner != id {
		return decisionError("Generation %s is that of call %s already.", string(generation), accounting.RequestID(owner).String())
	}
	if err := generations.save(ctx, tx); err != nil {
		return fmt.Errorf("insert generation: %w", err)
	}
	if former == "" || former == generation {
		return nil
	}
	_, err := tx.Exec(ctx, `-- name: generations_delete
		DELETE FROM generations WHERE generation_id = $1 AND usage_id = $2`, former, id)
	if err != nil {
		return fmt.Errorf("delete former generation: %w", err)
	}
	return nil
}

// DismissCall records that an undecided call was not billed: the row counts as
// open no longer. It is audited in the same transaction.
//
// Errors: [accounting.ErrUnknownCall], and an [accounting.DecisionError] if the
// call's state does not admit it, or its cost is known.
func (s *Store) DismissCall(ctx context.Context, d accounting.Decision) (accounting.UsageRow, error) {
	var decided accounting.UsageRow
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		budgets, err := s.readBook(ctx, tx)
		if err == nil {
			decided, err = s.decide(ctx, tx, budgets, d, accounting.ActionDismiss, dismiss)
		}
		return err
	})
	if err != nil {
		return accounting.UsageRow{}, fmt.Errorf("dismiss call %s: %w", d.Call, err)
	}
	return decided, nil
}

func dismiss(r *row) error {
	switch {
	case !accounting.Status(r.status).Undecided():
		return decisionError("The call is %s: only one that is interrupted or unresolved can be dismissed.", string(r.status))
	case r.cost != nil:
		return decisionError("The answer said that the call cost %s USD, so it was billed. It stays as it is, in the sums, until OpenRouter's own record confirms it.", r.cost.String())
	}
	r.status, r.settleNextAt = text(accounting.StatusDismissed), nil
	return nil
}

// decide changes a row, the sums and the audit log. The caller has dealt with
// the identities.
func (s *Store) decide(ctx context.Context, tx pgx.Tx, budgets *book, d accounting.Decision, action string, change func(*row) error) (accounting.UsageRow, error) {
	rows, err := lockRows(ctx, tx, []requestID{requestID(d.Call)})
	if err != nil {
		return accounting.UsageRow{}, fmt.Errorf("lock usage: %w", err)
	}
	if len(rows) == 0 {
		return accounting.UsageRow{}, accounting.ErrUnknownCall
	}
	after := rows[0]
	before := *after
	if err := change(after); err != nil {
		return accounting.UsageRow{}, err
	}
	moved := newDeltas(budgets)
	moved.budgets.step(&before, after, false)
	if _, err := s.write(ctx, tx, map[requestID]*entry{after.id: {stored: &before, now: after, absorbed: true}}, moved); err != nil {
		return accounting.UsageRow{}, err
	}
	was, is := differences(&before, after)
	err = audit(ctx, tx, auditEntry{d.Actor, action, accounting.UsageSubject(d.Call), d.Reason, was, is})
	if err != nil {
		return accounting.UsageRow{}, err
	}
	return findUsage(ctx, tx, d.Call)
}

// differences are the columns in which two states of a row differ, by name.
func differences(before, after *row) (was, is map[string]any) {
	was, is = make(map[string]any), make(map[string]any)
	for _, c := range columns {
		if !c.same(before, after) {
			was[c.name], is[c.name] = audited(c.field(before)), audited(c.field(after))
		}
	}
	return was, is
}

// audited is a field's value as JSON shows it.
func audited(field any) any {
	switch v := field.(type) {
	case *text:
		if *v == "" {
			return nil
		}
	case **time.Time:
		if *v != nil {
			return (*v).UTC()
		}
	}
	return field
}

func decisionError(format string, args ...any) error {
	return &accounting.DecisionError{Reason: fmt.Sprintf(format, args...)}
}
