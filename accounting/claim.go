package accounting

import "time"

// ClaimRequest asks the store for rows to look up. A claimed row belongs to
// the claimer for the length of the lease; it is claimed again if the claimer
// dies.
type ClaimRequest struct {
	Now          time.Time
	Fingerprints []string // keys the claimer holds: only their rows are of use to it
	Missing      bool     // true: rows without an exact cost; false: costs to verify
	Limit        int
	Lease        time.Duration
	Claimer      string // the process: should it die, its claims are released by this name; empty: they run out
}
