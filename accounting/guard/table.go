package guard

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"bursar/accounting"
)

const shards = 64

// table holds the accounts, in shards so that no lock is everybody's.
type table struct {
	seed   maphash.Seed
	max    int // accounts of divided budgets in one shard
	shards [shards]shard
	// evicted: accounts with money have left the table before their period
	// was over. One that comes back does not know what the database may hold.
	evicted atomic.Bool
	// left takes accounts that have left the table with a lease in their books
	// or on the way.
	left func(*account)
}

type shard struct {
	mu       sync.RWMutex
	accounts map[tableKey]*account
	each     int      // of these, of divided budgets
	_        [40]byte // keeps neighbours off one cache line
}

type tableKey struct {
	budget, each string
	start        int64
}

func newTable(maxEach int, left func(*account)) *table {
	t := &table{seed: maphash.MakeSeed(), max: max(1, maxEach/shards), left: left}
	for i := range t.shards {
		t.shards[i].accounts = make(map[tableKey]*account)
	}
	return t
}

func (t *table) shard(k tableKey) *shard {
	h := maphash.String(t.seed, k.budget) ^ 31*maphash.String(t.seed, k.each) ^ uint64(k.start)>>32
	return &t.shards[h%shards]
}

// find is the account with this key, nil if there is none.
func (t *table) find(budget, each string, start int64) *account {
	k := tableKey{budget, each, start}
	s := t.shard(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.accounts[k]
}

// of is the account that a call of the rule counts towards, made if need be.
// pin makes the caller its user.
func (t *table) of(r *rule, each string, at time.Time, pin bool) *account {
	w := r.at(at)
	if each == "" {
		if a := r.current.Load(); a != nil && a.start == w.start && (!pin || a.pin()) {
			return a
		}
	}
	k := tableKey{r.budget.ID, each, w.start}
	s := t.shard(k)
	s.mu.RLock()
	a := s.accounts[k]
	ok := a != nil && (!pin || a.pin())
	s.mu.RUnlock()
	if !ok {
		a = t.add(s, k, r, w, pin)
	}
	if each == "" {
		r.current.Store(a)
	}
	return a
}

func (t *table) add(s *shard, k tableKey, r *rule, w window, pin bool) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[k]; a != nil && (!pin || a.pin()) {
		return a // retired ones leave the table under this lock
	}
	if k.each != "" && s.each >= t.max {
		t.evict(s)
	}
	key := accounting.LeaseKey{BudgetID: k.budget, EachValue: k.each, PeriodStart: time.Unix(0, w.start).UTC()}
	a := newAccount(key, w, r.budget.Currency, r.limit)
	// The database holds nothing of it for a replica that never asked.
	a.book.known = k.each == "" || !t.evicted.Load()
	if pin {
		a.pin()
	}
	s.accounts[k] = a
	if k.each != "" {
		s.each++
	}
	return a
}

// evictionSample is how many accounts are looked at to find one to evict: the
// least recently used of them goes.
const evictionSample = 16

func (t *table) evict(s *shard) {
	var oldest *account
	seen := 0
	for k, a := range s.accounts {
		if k.each == "" || a.users.Load() != 0 {
			continue
		}
		if oldest == nil || a.lastUsed.Load() < oldest.lastUsed.Load() {
			oldest = a
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	if oldest != nil {
		t.remove(s, oldest)
	}
}

// remove retires an account of the shard, whose lock is held, unless it has
// users.
func (t *table) remove(s *shard, a *account) {
	if !a.retire() {
		return
	}
	delete(s.accounts, tableKey{a.key.BudgetID, a.key.EachValue, a.start})
	if a.key.EachValue != "" {
		s.each--
		if a.asked.Load() {
			t.evicted.Store(true)
		}
	}
	t.left(a)
}

// prune removes the accounts for which it is asked to.
func (t *table) prune(drop func(*account) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, a := range s.accounts {
			if drop(a) {
				t.remove(s, a)
			}
		}
		s.mu.Unlock()
	}
}

// visit calls f for each account. f does not wait and does not use the table.
func (t *table) visit(f func(*account)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, a := range s.accounts {
			f(a)
		}
		s.mu.RUnlock()
	}
}
