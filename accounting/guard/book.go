package guard

import (
	"time"

	"github.com/shopspring/decimal"
)

// book is what the leaser knows of the money that the bank gave to an account.
// It is one goroutine's, which asks for one account one question at a time.
//
// A question whose answer was lost may have been obeyed or not. Money that it
// may have brought is not counted: it is the database's word against nothing.
// The next answers tell: what the database holds for this replica grows by
// grants alone, so where it holds more than it possibly could without the lost
// one, the difference is that one's, and is ours. Money that was to be returned
// by a lost question is another matter: the database may hold it now and obey
// the question later. It is in suspense until that cannot happen any more.
type book struct {
	granted amount // that we know of, less what was given back; it may wrap
	// ceiling is the most that the database can hold for us unless it granted
	// something that we were not told of; meaningless until known.
	ceiling amount
	known   bool

	// doubtUntil is not zero after an answer was lost: until then the question
	// may still be obeyed, and at least until then the database is asked what it
	// holds. clean: it is being asked with every ended call in it.
	doubtUntil time.Time
	clean      bool
	suspense   amount // that lost questions may have returned, or may still

	turn    pot // whose calls are asked for next, where both kinds wait
	refusal [pots]refusal
}

// refusal is the bank's word that it has not got need, which is believed for a
// moment: calls that are tried again and again are no reason to ask it again
// and again.
type refusal struct {
	need  amount
	until time.Time
}

const refusalLasts = 25 * time.Millisecond

func (r *refusal) holds(need amount, now time.Time) bool {
	return need >= r.need && now.Before(r.until)
}

// patience is how long after its client has given up a transaction may still
// commit. It is the one assumption about time that hard budgets rest on.
const patience = 10 * time.Second

// shipped notes that the database has every call that ended here up to the
// moment at which consumed was read. What it holds is then no more than what
// we hold, and what is in suspense.
func (b *book) shipped(consumed amount, now time.Time) {
	if !now.Before(b.doubtUntil) {
		b.suspense = 0
	}
	have := b.granted - consumed + b.suspense
	if !b.known || have < b.ceiling {
		b.ceiling, b.known = have, true
	}
	b.clean = true
}

// send gives money back, from this moment on: it is not ours while nobody knows
// whether the database has it.
func (b *book) send(back amount) {
	b.granted -= back
	if b.known {
		b.ceiling -= back
	}
}

// lost notes that the answer to a question that gave back money did not come.
func (b *book) lost(back amount, now time.Time) {
	b.suspense += back
	if b.known {
		b.ceiling += back
	}
	b.doubtUntil = now.Add(patience)
	b.clean = false
}

// answer takes granted, and held as the database knows it. consumed is what the
// account has used up by now. fresh is what was granted; found is what an
// answer that was lost had granted, negative if somebody took the lease away.
func (b *book) answer(granted, held decimal.Decimal, consumed amount, now time.Time) (fresh, found amount) {
	fresh = floor(granted)
	if b.known {
		found = max(0, floor(held.Sub(granted))-b.ceiling)
	}
	b.granted += fresh + found
	ceiling, ok := ceil(held) // beyond an amount it tells nothing
	if missing := b.granted - consumed - floor(held); ok && missing > 0 {
		b.granted -= missing
		found -= missing
	}
	b.ceiling, b.known = ceiling, ok
	if b.clean && !now.Before(b.doubtUntil) {
		b.doubtUntil = time.Time{}
	}
	b.clean = false
	return fresh, found
}

// doubtful reports whether the database should be asked what it holds.
func (b *book) doubtful() bool { return !b.doubtUntil.IsZero() }
