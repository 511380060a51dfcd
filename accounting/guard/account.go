package guard

import (
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// pot tells two kinds of leased money apart. A budget that keeps a share for
// essential calls has money that was granted below that share, which every call
// may spend, and money that was granted without regard to it, which only
// essential ones may. All other budgets use the common pot alone.
type pot int

const (
	common    pot = iota
	essential pot = 1
	pots          = 2
)

// account is one period of a budget, for one value of its tag, as this replica
// sees it: the money it holds, and what is known of all the rest.
//
// Calls move money by atomic instructions. At any moment that no call is
// between two of them,
//
//	free[common] + free[essential] + reserved = book.granted − consumed
type account struct {
	key        accounting.LeaseKey
	start, end int64 // of the period, Unix nanoseconds; end is not included
	currency   accounting.Currency

	// A user has a charge here, or is about to. Only an account without users
	// is retired, and a retired one takes no users: it has left the table, and
	// its money goes back.
	users   atomic.Int64
	retired atomic.Bool

	free     [pots]atomic.Int64 // leased, not reserved; below 0 after a bill above its charge
	reserved atomic.Int64       // charges of calls in flight
	consumed atomic.Int64       // what ended calls have used up, since the account was made; it may wrap
	charged  atomic.Int64       // all charges so far; it may wrap
	largest  atomic.Int64       // charge since the leaser last looked

	lastUsed    atomic.Int64                             // start of the latest call, Unix nanoseconds
	refreshedAt atomic.Int64                             // when figures were last asked for, Unix nanoseconds
	loading     atomic.Bool                              // they are being asked for
	figures     atomic.Pointer[accounting.PeriodFigures] // never written to

	// room is what is left to the limit: settled spend of which the database
	// has told, less calls that ended here since. The smaller of two views
	// holds, since each is at least what there really is; next begins again
	// with each renewal, so that a correction downwards is believed in the end.
	room, next atomic.Int64
	limit      atomic.Int64 // of which room is left
	renewedAt  atomic.Int64

	low    atomic.Int64 // with less free money than this the leaser is called
	tight  atomic.Bool  // somebody is short of this budget: nothing is kept in hand
	queued atomic.Bool  // the leaser has been called
	latest atomic.Int32 // pot of the latest call
	asked  atomic.Bool  // the bank has been asked for this account

	book book // the leaser's; nobody else touches it
	pace pace // the leaser's
}

func newAccount(key accounting.LeaseKey, w window, currency accounting.Currency, limit amount) *account {
	a := &account{key: key, start: w.start, end: w.end, currency: currency}
	a.limit.Store(limit)
	a.room.Store(limit)
	a.next.Store(limit)
	return a
}

// pin makes the caller a user, unless the account is retired.
func (a *account) pin() bool {
	a.users.Add(1)
	if a.retired.Load() {
		a.users.Add(-1)
		return false
	}
	return true
}

func (a *account) unpin() { a.users.Add(-1) }

// retire ends the account, unless it has users. Of pin and retire at the same
// time, one sees the other.
func (a *account) retire() bool {
	a.retired.Store(true)
	if a.users.Load() != 0 {
		a.retired.Store(false)
		return false
	}
	return true
}

// take reserves c for a call of a user, false if there is not enough.
func (a *account) take(p pot, c amount) bool {
	a.reserved.Add(c)
	if !a.draw(p, c) {
		a.reserved.Add(-c)
		return false
	}
	a.charged.Add(c)
	a.latest.Store(int32(p))
	a.noteLargest(c)
	return true
}

func (a *account) noteLargest(c amount) {
	for l := a.largest.Load(); l < c; l = a.largest.Load() {
		if a.largest.CompareAndSwap(l, c) {
			return
		}
	}
}

// draw takes c out of the pot. What the essential pot lacks comes from the
// common one and never goes back there.
func (a *account) draw(p pot, c amount) bool {
	for {
		f := a.free[p].Load()
		if f >= c {
			if a.free[p].CompareAndSwap(f, f-c) {
				return true
			}
			continue
		}
		if p == common || !a.draw(common, c-f) {
			return false
		}
		a.free[essential].Add(c - f)
	}
}

// settle ends a reservation of c, of which a call has used up consumed; the
// rest, which may be negative, goes to the pot.
func (a *account) settle(p pot, c, consumed amount) {
	a.consumed.Add(consumed)
	a.free[p].Add(c - consumed)
	a.reserved.Add(-c)
}

// inHand is the money that a call of the pot's kind could reserve now.
func (a *account) inHand(p pot) amount {
	if p == common {
		return a.free[common].Load()
	}
	return a.free[common].Load() + a.free[essential].Load()
}

// empty takes what is in both pots and returns it.
func (a *account) empty() (money [pots]amount) {
	for p := range money {
		money[p] = a.free[p].Swap(0)
	}
	return money
}

// withdraw takes what the pot holds beyond keep.
func (a *account) withdraw(p pot, keep amount) amount {
	for {
		f := a.free[p].Load()
		if f <= keep {
			return 0
		}
		if a.free[p].CompareAndSwap(f, keep) {
			return f - keep
		}
	}
}

// spent notes the cost of a call that ended here.
func (a *account) spent(cost amount) {
	a.room.Add(-cost)
	a.next.Add(-cost)
}

// renewal is how long a view of the room lasts.
const renewal = 10 * time.Second

// observe takes what the database says of the account.
func (a *account) observe(f accounting.PeriodFigures, limit decimal.Decimal, now time.Time) {
	a.figures.Store(&f)
	a.tight.Store(f.Short || f.Total.GreaterThan(limit))
	room := floor(limit.Sub(f.Settled).Sub(f.Estimated))
	if now.UnixNano()-a.renewedAt.Load() >= int64(renewal) {
		a.renewedAt.Store(now.UnixNano())
		a.room.Store(min(a.next.Load(), room))
		a.next.Store(room)
		return
	}
	lower(&a.room, room)
	lower(&a.next, room)
}

// relimit starts the room anew, since the limit has changed.
func (a *account) relimit(limit decimal.Decimal, now time.Time) {
	room := floor(limit)
	if f := a.figures.Load(); f != nil {
		a.renewedAt.Store(now.UnixNano())
		a.tight.Store(f.Short || f.Total.GreaterThan(limit))
		room = floor(limit.Sub(f.Settled).Sub(f.Estimated))
	}
	a.limit.Store(floor(limit))
	a.room.Store(room)
	a.next.Store(room)
}

func lower(v *atomic.Int64, to amount) {
	for old := v.Load(); to < old; old = v.Load() {
		if v.CompareAndSwap(old, to) {
			return
		}
	}
}
