package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

const (
	sessionLife = 12 * time.Hour // a working day; the token is asked for again each morning
	maxSessions = 1000           // browsers signed in at once; the oldest goes
)

// sessions are the browsers that are signed in. They live in memory: a restart
// signs everybody out, and each replica has its own.
type sessions struct {
	life time.Duration
	max  int

	mu   sync.Mutex
	ends map[[sha256.Size]byte]time.Time // by hash, so that memory holds no usable session
}

func newSessions(life time.Duration, limit int) *sessions {
	return &sessions{life: life, max: limit, ends: make(map[[sha256.Size]byte]time.Time)}
}

// start opens a session and returns its secret, 128 random bits.
func (s *sessions) start() string {
	secret := rand.Text()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) >= s.max {
		s.makeRoom(now)
	}
	s.ends[sha256.Sum256([]byte(secret))] = now.Add(s.life)
	return secret
}

// makeRoom drops the sessions that have ended, or else the one that ends first.
// The caller holds s.mu.
func (s *sessions) makeRoom(now time.Time) {
	var first [sha256.Size]byte
	var firstEnd time.Time
	for id, end := range s.ends {
		if !now.Before(end) {
			delete(s.ends, id)
		} else if firstEnd.IsZero() || end.Before(firstEnd) {
			first, firstEnd = id, end
		}
	}
	if len(s.ends) >= s.max {
		delete(s.ends, first)
	}
}

// sessionName tells one session from another in the audit log, and is of no use
// for anything else.
func sessionName(secret string) string {
	id := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(id[:4])
}

// live reports whether the secret is that of a session that has not ended.
func (s *sessions) live(secret string) bool {
	id := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.ends[id]
	if ok && !time.Now().Before(end) {
		delete(s.ends, id)
		return false
	}
	return ok
}

// end closes the session, if there is one.
func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, sha256.Sum256([]byte(secret)))
}
