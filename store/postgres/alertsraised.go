package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// severities are those there are, the least one first.
var severities = []accounting.Severity{accounting.SeverityInfo, accounting.SeverityWarning, accounting.SeverityCritical}

// delivered are the severities that are sent to channels.
func (s *Store) delivered() []string {
	var sent []string
	for _, severity := range severities[max(0, slices.Index(severities, s.opts.MinSeverity)):] {
		sent = append(sent, string(severity))
	}
	return sent
}

// transaction is one attempt of inTx, with the alerts that it has made.
type transaction struct {
	pgx.Tx
	raised []accounting.Alert
	bumped bool // it has raised the version of budgets, which may yet be rolled back
}

// noteRaised keeps alerts until tx is committed.
func noteRaised(tx pgx.Tx, alerts []accounting.Alert) {
	if t, ok := tx.(*transaction); ok {
		t.raised = append(t.raised, alerts...)
	}
}

func (s *Store) tellRaised(alerts []accounting.Alert) {
	if s.opts.Raised != nil && len(alerts) > 0 {
		s.opts.Raised(alerts)
	}
}
