package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// budgetLock is the transaction advisory lock between those who write what
// budgets count (shared) and those who change what there is to count (alone).
// It is taken before anything else. (The digits spell "budget".)
const budgetLock int64 = 0x627564676574

// book holds the budgets and experiments of one version of guard_state, the deleted ones too,
// since the calls made before still settle. They are arranged so that a row
// finds its own among ten thousand.
type book struct {
	version int64
	byID    map[string]*booked

	// Each budget is in one of these: under the field of its scope that tells
	// most, or among those that have none.
	byCampaign, byKey, byModel, byPlatform, byPurpose map[string][]*booked
	rest                                              []*booked

	// The experiments that were ever started, by campaign; "" are those of all.
	experiments map[string][]*accounting.Experiment
}

// booked is a budget with its time zone.
type booked struct {
	accounting.Budget
	zone *time.Location
}

// readBook takes the lock for tx and returns the budgets as they are until it
// ends. They are read only when the version has moved.
func (s *Store) readBook(ctx context.Context, tx pgx.Tx) (*book, error) {
	// Two statements, since the version must be read after the lock was
	// waited for; one round trip.
	var (
		batch   pgx.Batch
		version int64
	)
	batch.Queue(`-- name: budgets_share
		SELECT pg_advisory_xact_lock_shared($1)`, budgetLock)
	batch.Queue(`-- name: guard_version
		SELECT version FROM guard_state`).QueryRow(func(r pgx.Row) error { return r.Scan(&version) })
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read version of budgets: %w", err)
	}
	if known := s.book.Load(); known != nil && known.version == version {
		return known, nil
	}
	b, err := s.loadBook(ctx, tx, version)
	if t, ok := tx.(*transaction); err == nil && (!ok || !t.bumped) {
		// What this transaction has changed itself is not kept: after a rollback
		// its version would be another's.
		s.book.Store(b)
	}
	return b, err
}

// readBookAlone is readBook for those who change budgets.
func (s *Store) readBookAlone(ctx context.Context, tx pgx.Tx) (*book, error) {
	if _, err := tx.Exec(ctx, `-- name: budgets_lock
		SELECT pg_advisory_xact_lock($1)`, budgetLock); err != nil {
		return nil, fmt.Errorf("lock budgets: %w", err)
	}
	return s.readBook(ctx, tx)
}

func (s *Store) loadBook(ctx context.Context, db querier, version int64) (*book, error) {
	budgets, err := queryBudgets(ctx, db, `ORDER BY id`)
	if err != nil {
		return nil, err
	}
	b, err := newBook(version, budgets)
	if err != nil {
		return nil, err
	}
	experiments, err := queryExperiments(ctx, db, `WHERE state <> 'draft' ORDER BY id`)
	if err != nil {
		return nil, err
	}
	b.experiments = make(map[string][]*accounting.Experiment, len(experiments))
	for i := range experiments {
		e := &experiments[i]
		b.experiments[e.CampaignID] = append(b.experiments[e.CampaignID], e)
	}
	return b, nil
}

// experimentsOf calls do for every experiment that calls of a campaign may
// belong to.
func (b *book) experimentsOf(campaign string, do func(*accounting.Experiment)) {
	if len(b.experiments) == 0 {
		return
	}
	for _, e := range b.experiments[campaign] {
		do(e)
	}
	if campaign != "" {
		for _, e := range b.experiments[""] {
			do(e)
		}
	}
}

func newBook(version int64, budgets []accounting.Budget) (*book, error) {
	b := &book{
		version: version, byID: make(map[string]*booked, len(budgets)),
		byCampaign: make(map[string][]*booked), byKey: make(map[string][]*booked), byModel: make(map[string][]*booked),
		byPlatform: make(map[string][]*booked), byPurpose: make(map[string][]*booked),
	}
	for _, budget := range budgets {
		zone, err := accounting.LoadZone(budget.Timezone)
		if err != nil {
			return nil, fmt.Errorf("budget %s: timezone: %w", budget.ID, err)
		}
		entry := &booked{Budget: budget, zone: zone}
		b.byID[budget.ID] = entry
		switch scope := budget.Scope; {
		case scope.CampaignID != "":
			b.byCampaign[scope.CampaignID] = append(b.byCampaign[scope.CampaignID], entry)
		case scope.Key != "":
			b.byKey[scope.Key] = append(b.byKey[scope.Key], entry)
		case scope.Model != "":
			b.byModel[scope.Model] = append(b.byModel[scope.Model], entry)
		case scope.Platform != "":
			b.byPlatform[scope.Platform] = append(b.byPlatform[scope.Platform], entry)
		case scope.Purpose != "":
			b.byPurpose[scope.Purpose] = append(b.byPurpose[scope.Purpose], entry)
		default:
			b.rest = append(b.rest, entry)
		}
	}
	return b, nil
}

// covering calls each for every budget towards which the row counts, with the
// period that it counts in.
func (b *book) covering(r *row, each func(*booked, periodKey)) {
	if len(b.byID) == 0 {
		return
	}
	tags := r.tags()
	models := [2]string{string(r.requestedModel), string(r.model)}
	lists := [...][]*booked{
		b.rest, b.byCampaign[tags.CampaignID], b.byKey[string(r.keyFingerprint)], b.byModel[models[0]],
		nil, b.byPlatform[tags.Platform], b.byPurpose[tags.Purpose],
	}
	if models[1] != models[0] {
		lists[4] = b.byModel[models[1]]
	}
	for _, list := range lists {
		for _, budget := range list {
			if key, ok := budget.keyOf(r, &tags, models[:]); ok {
				each(budget, key)
			}
		}
	}
}

// keyOf is the period of the budget that the row counts in, if it does.
func (b *booked) keyOf(r *row, tags *accounting.Tags, models []string) (periodKey, bool) {
	if b.DeletedAt != nil && !r.createdAt.Before(*b.DeletedAt) {
		return periodKey{}, false
	}
	value, ok := b.Covers(r.createdAt, tags, string(r.keyFingerprint), models, false)
	if !ok {
		return periodKey{}, false
	}
	start, _ := b.window(r.createdAt)
	return periodKey{budget: b.ID, each: value, start: start.Unix()}, true
}

// window is the budget's window that holds at. The end of a total one is the
// zero time.
func (b *booked) window(at time.Time) (start, end time.Time) { return b.Period.Window(at, b.zone) }

// grants reports whether money of the budget may be leased.
func (b *booked) grants() bool {
	return b != nil && b.DeletedAt == nil && b.Enabled && b.Mode == accounting.ModeHard
}
