package accounting

import (
	"errors"
	"time"
)

// Stop blocks every call in its scope until it is lifted: the emergency stop,
// or the hold that the spike brake puts on a campaign.
type Stop struct {
	ID         string     `json:"id"`
	Kind       StopKind   `json:"kind"`
	Scope      Scope      `json:"scope"` // empty: everything
	Reason     string     `json:"reason"`
	Actor      string     `json:"actor"`       // who gave it
	CutStreams bool       `json:"cut_streams"` // calls in flight are cut as well
	Drill      bool       `json:"drill"`       // blocks nothing: its reach is measured
	CreatedAt  time.Time  `json:"created_at"`
	LiftedAt   *time.Time `json:"lifted_at"`
	LiftedBy   *string    `json:"lifted_by"`

	// Reach is how each living replica stands to it, as far as Postgres knows.
	Reach []StopReach `json:"reach"`
}

// StopKind is where a stop comes from.
type StopKind string

// The kinds.
const (
	StopEmergency StopKind = "emergency"
	StopSpike     StopKind = "spike" // of a campaign, by the spike brake
)

// StopReach is one replica's part in a stop.
type StopReach struct {
	Replica  string     `json:"replica"`
	SeenAt   time.Time  `json:"seen_at"`  // when it was last heard of
	ActiveAt *time.Time `json:"acked_at"` // when it obeyed; null: not yet
	After    *float64   `json:"after_seconds"`
}

// ErrUnknownStop is the answer to an id of which there is no stop, or which was
// lifted before.
var ErrUnknownStop = errors.New("there is no active stop with that id")

// The actions of budgets and stops in the audit log.
const (
	ActionBudgetCreate = "budget.create"
	ActionBudgetChange = "budget.change"
	ActionBudgetDelete = "budget.delete"
	ActionLeaseRelease = "budget.release_lease"
	ActionStop         = "guard.stop"
	ActionResume       = "guard.resume"
	ActionAlertAck     = "alert.acknowledge"
)
