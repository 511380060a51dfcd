package guard

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The exhaustive check visits every state that a small world can reach: two
// replicas, one budget, three calls, one crash, one answer that is lost (and a
// question that is obeyed long after its asker gave up). Each step is the
// guard's own code (account and book) on the one side and the bank's rules on
// the other; between any two steps, every other one may come.

const (
	exLimit = 3
	exBound = 2 // of each call; its bill is 1 or 2
	exCalls = 3
)

// exCall is a call. Replica and bill are chosen when it is sent.
type exCall struct {
	state exCallState
	at    int8 // replica
	bill  int8
}

type exCallState int8

const (
	exIdle     exCallState = iota
	exOpen                 // sent, charged
	exEnded                // its cost is known here, and not shipped
	exUnclear              // ended without a cost, not shipped
	exPending              // shipped without a cost
	exFinished             // Postgres has its cost
)

// exQuestion is a question to the bank on its way.
type exQuestion struct {
	asked              bool
	obeyed             bool // the bank has done it; granted and held are its answer
	need, want, back   int8
	granted, bankHolds int8
}

type exReplica struct {
	dead, closed     bool // closed: its lease is
	free, reserved   int8
	granted, ceiling int8 // of its book; granted less consumed
	suspense         int8
	known, doubt     bool // doubt: an answer was lost, and the patience is not over
	held             int8 // in Postgres
	question, zombie exQuestion
}

// exNow is when everything happens but what follows the end of a patience.
var exNow = time.Unix(1e9, 0)

// time is the replica's.
func (r *exReplica) time() time.Time {
	if r.doubt {
		return exNow
	}
	return exNow.Add(2 * patience)
}

// exState is one state of the world.
type exState struct {
	replicas                              [2]exReplica
	calls                                 [exCalls]exCall
	granted, settled, reserved, overshoot int8
	lost, crashed                         bool
}

// exRules are the steps of the guard's own code, so that a test can break one.
type exRules struct {
	withdraw func(*account) amount
	settle   func(a *account, charge, consumed amount)
	lost     func(a *account, q *exQuestion)
	answer   func(a *account, granted, held amount) (credit amount)
	unclear  amount // what a call without a cost has used up
}

func soundRules() exRules {
	return exRules{
		withdraw: func(a *account) amount { return a.withdraw(common, 0) },
		settle:   func(a *account, charge, consumed amount) { a.settle(common, charge, consumed) },
		lost:     func(a *account, q *exQuestion) { a.book.lost(amount(q.back), exNow) },
		answer: func(a *account, granted, held amount) amount {
			fresh, found := a.book.answer(exact(granted), exact(held), a.consumed.Load(), exNow)
			return fresh + found
		},
		unclear: exBound,
	}
}

// account is the guard's account in the state, to be put back by keep.
func (r *exReplica) account() *account {
	a := &account{}
	a.free[common].Store(amount(r.free))
	a.reserved.Store(amount(r.reserved))
	a.book = book{granted: amount(r.granted), ceiling: amount(r.ceiling), known: r.known, suspense: amount(r.suspense)}
	if r.doubt {
		a.book.doubtUntil = exNow.Add(patience)
	}
	return a
}

func (r *exReplica) keep(a *account) {
	// Of granted and consumed, only the difference matters.
	r.free, r.reserved, r.granted = int8(a.free[common].Load()), int8(a.reserved.Load()), int8(a.book.granted-a.consumed.Load())
	r.ceiling, r.known = int8(a.book.ceiling), a.book.known
	r.suspense, r.doubt = int8(a.book.suspense), exNow.Before(a.book.doubtUntil)

}

// speak moves what is spoken for, as the bank does.
func (s *exState) speak(delta int8) {
	spoken := s.granted + s.overshoot + delta
	s.granted = min(spoken, exLimit)
	s.overshoot = spoken - s.granted
}

// obey is the bank doing what a question of replica i asks.
func (s *exState) obey(i int, q *exQuestion) {
	r := &s.replicas[i]
	back := min(q.back, r.held)
	r.held -= back
	s.speak(-back)
	if left := exLimit - s.granted; q.want > 0 && q.need <= left {
		q.granted = min(q.want, left)
		r.held += q.granted
		s.granted += q.granted
	}
	q.obeyed, q.bankHolds = true, r.held
}

// ship writes a call of a replica that has ended.
func (s *exState) ship(c *exCall, known bool) {
	settled, reserved := int8(0), int8(exBound)
	if known {
		settled, reserved = c.bill, 0
	}
	s.settled += settled
	s.reserved += reserved
	r := &s.replicas[c.at]
	taken := min(settled+reserved, r.held)
	r.held -= taken
	s.speak(settled + reserved - taken)
	c.state = exFinished
	if !known {
		c.state = exPending
	}
}

// next calls visit with every state that can follow.
func (s *exState) next(rules exRules, visit func(what string, next exState)) {
	for i := range s.replicas {
		s.nextOfReplica(rules, i, visit)
	}
	for i := range s.calls {
		s.nextOfCall(rules, i, visit)
	}
}

func (s *exState) nextOfReplica(rules exRules, i int, visit func(string, exState)) {
	step := func(what string, change func(n *exState, r *exReplica)) {
		n := *s
		change(&n, &n.replicas[i])
		visit(what, n)
	}
	r := &s.replicas[i]
	if r.zombie.asked {
		step("is obeyed late", func(n *exState, r *exReplica) {
			n.obey(i, &r.zombie)
			r.zombie = exQuestion{}
		})
		step("is never obeyed", func(_ *exState, r *exReplica) { r.zombie = exQuestion{} })
	} else if r.doubt {
		step("has waited long enough", func(_ *exState, r *exReplica) { r.doubt = false })
	}
	if r.dead {
		if !r.closed && !slices.ContainsFunc(s.calls[:], func(c exCall) bool {
			return int(c.at) == i && c.state != exIdle && c.state < exPending
		}) {
			step("has its lease closed", func(n *exState, r *exReplica) {
				n.speak(-r.held)
				r.held, r.closed = 0, true
			})
		}
		return
	}
	if !s.crashed {
		step("crashes", func(n *exState, r *exReplica) {
			n.crashed, r.dead = true, true
			if r.question.asked && !r.question.obeyed {
				r.zombie = r.question
			}
			*r = exReplica{dead: true, zombie: r.zombie, held: r.held}
		})
	}
	if !r.question.asked {
		s.questions(rules, i, step)
		return
	}
	if !r.question.obeyed {
		step("is obeyed", func(n *exState, r *exReplica) { n.obey(i, &r.question) })
	} else {
		step("is answered", func(_ *exState, r *exReplica) {
			a := r.account()
			a.free[common].Add(rules.answer(a, amount(r.question.granted), amount(r.question.bankHolds)))
			r.question = exQuestion{}
			r.keep(a)
		})
	}
	if !s.lost && i == 0 { // the replicas are alike
		step("loses the answer", func(n *exState, r *exReplica) {
			n.lost = true
			a := r.account()
			rules.lost(a, &r.question)
			if !r.question.obeyed {
				r.zombie = r.question
			}
			r.question = exQuestion{}
			r.keep(a)
		})
	}
}

// questions are what a replica may ask: money for one call or for two, its free
// money to be taken back, or nothing but what the bank holds.
func (s *exState) questions(rules exRules, i int, step func(string, func(*exState, *exReplica))) {
	shipped := !slices.ContainsFunc(s.calls[:], func(c exCall) bool {
		return int(c.at) == i && (c.state == exEnded || c.state == exUnclear)
	})
	ask := func(what string, need, want int8, back bool) {
		step(what, func(_ *exState, r *exReplica) {
			a := r.account()
			if shipped {
				a.book.shipped(a.consumed.Load(), r.time())
			}
			r.question = exQuestion{asked: true, need: need, want: want}
			if back {
				money := rules.withdraw(a)
				r.question.back = int8(money)
				a.book.send(money)
			}
			r.keep(a)
		})
	}
	r := &s.replicas[i]
	idle := slices.ContainsFunc(s.calls[:], func(c exCall) bool { return c.state == exIdle })
	if need := exBound - r.free; need > 0 && idle {
		ask("asks for a call", need, need, false)
		ask("asks for more than that", need, need+1, false)
	}
	if r.free > 0 {
		ask("returns money", 0, 0, true)
	}
	if s.lost && i == 0 {
		ask("asks what it has", 0, 0, false)
	}
}

func (s *exState) nextOfCall(rules exRules, i int, visit func(string, exState)) {
	step := func(what string, change func(n *exState, c *exCall)) {
		n := *s
		change(&n, &n.calls[i])
		visit(what, n)
	}
	c := &s.calls[i]
	at := &s.replicas[c.at]
	switch c.state {
	case exIdle:
		for at := range s.replicas {
			if a := s.replicas[at].account(); !s.replicas[at].dead && a.take(common, exBound) {
				for _, bill := range []int8{1, exBound} {
					step("is sent", func(n *exState, c *exCall) {
						*c = exCall{exOpen, int8(at), bill}
						n.replicas[at].keep(a)
					})
				}
			}
		}
	case exOpen:
		if at.dead { // it is found in the journal
			step("is adopted", func(n *exState, c *exCall) { n.ship(c, false) })
			return
		}
		end := func(what string, state exCallState, consumed amount) {
			step(what, func(n *exState, c *exCall) {
				r := &n.replicas[c.at]
				a := r.account()
				rules.settle(a, exBound, consumed)
				r.keep(a)
				c.state = state
			})
		}
		end("ends", exEnded, amount(c.bill))
		end("ends without a cost", exUnclear, rules.unclear)
	case exEnded, exUnclear:
		step("is shipped", func(n *exState, c *exCall) { n.ship(c, c.state == exEnded) })
	case exPending:
		step("is settled", func(n *exState, c *exCall) {
			n.settled += c.bill
			n.reserved -= exBound
			n.speak(c.bill - exBound)
			c.state = exFinished
		})
	}
}

// check returns the rule that the state breaks.
func (s *exState) check(rules exRules) error {
	var billed, held int8
	for _, c := range s.calls {
		if c.state != exIdle {
			billed += c.bill
		}
	}
	for _, r := range s.replicas {
		held += r.held
		if r.held < 0 {
			return fmt.Errorf("a lease of %d", r.held)
		}
	}
	switch {
	case billed > exLimit:
		return fmt.Errorf("OpenRouter billed %d of %d", billed, exLimit)
	case s.settled > exLimit:
		return fmt.Errorf("%d are settled of %d", s.settled, exLimit)
	case s.overshoot != 0:
		return fmt.Errorf("an overshoot of %d", s.overshoot)
	case s.granted < 0 || s.granted > exLimit || s.granted != s.settled+s.reserved+held-s.overshoot:
		return fmt.Errorf("granted %d, settled %d, reserved %d, held %d", s.granted, s.settled, s.reserved, held)
	}
	return s.checkRest(rules)
}

// checkRest checks that a world at rest can give all money back: every replica
// asks what the bank holds, then returns what it has.
func (s *exState) checkRest(rules exRules) error {
	for _, c := range s.calls {
		if c.state != exIdle && c.state != exFinished {
			return nil
		}
	}
	rest := *s
	for i := range rest.replicas {
		r := &rest.replicas[i]
		if r.question.asked || r.zombie.asked || r.dead && !r.closed {
			return nil
		}
		if r.dead {
			continue
		}
		r.doubt = false
		a := r.account()
		a.book.shipped(a.consumed.Load(), r.time())
		a.free[common].Add(rules.answer(a, 0, amount(r.held)))
		rest.speak(-int8(min(a.withdraw(common, 0), amount(r.held))))
	}
	var late int8 // granted to a dead replica whose lease was closed: an operator's
	for _, r := range rest.replicas {
		if r.dead {
			late += r.held
		}
	}
	if rest.granted != rest.settled+late {
		return fmt.Errorf("at rest, %d of the granted %d came back to nobody", rest.granted-rest.settled-late, rest.granted)
	}
	return nil
}

// canonical orders the calls, which are all alike.
func (s exState) canonical() exState {
	for i := range s.calls {
		if c := &s.calls[i]; c.state == exFinished || c.state == exPending {
			c.at = 0 // no matter any more
		}
	}
	slices.SortFunc(s.calls[:], func(a, b exCall) int {
		return (int(a.state)*8 + int(a.at)*4 + int(a.bill)) - (int(b.state)*8 + int(b.at)*4 + int(b.bill))
	})
	return s
}

// explore visits every state that can be reached, and returns how many there
// are, and the steps to one that breaks a rule.
func explore(rules exRules, w exWorld) (states int, path []string, broken error) {
	var first exState
	for i := range first.replicas {
		first.replicas[i].known = true
	}
	first.lost, first.crashed = !w.loses, !w.crashes
	for i := w.calls; i < exCalls; i++ {
		first.calls[i] = exCall{state: exFinished}
	}
	type visited struct {
		from int32
		step string
	}
	seen := map[exState]int32{first: 0}
	queue := []exState{first}
	visits := []visited{{from: -1}}
	for i := int32(0); int(i) < len(queue); i++ {
		s := queue[i]
		if err := s.check(rules); err != nil {
			for at := i; at > 0; at = visits[at].from {
				path = append(path, visits[at].step)
			}
			slices.Reverse(path)
			return len(queue), path, err
		}
		s.next(rules, func(what string, n exState) {
			n = n.canonical()
			if _, ok := seen[n]; !ok {
				seen[n] = int32(len(queue))
				queue = append(queue, n)
				visits = append(visits, visited{i, what})
			}
		})
	}
	return len(queue), nil, nil
}

// exWorld is what can happen.
type exWorld struct {
	calls          int
	crashes, loses bool
}

// exWorlds are the worlds to explore: small ones that take a second, or the
// whole, which "make model" asks for.
func exWorlds() []exWorld {
	if os.Getenv("GUARD_MODEL") != "" {
		return []exWorld{{exCalls, true, true}}
	}
	return []exWorld{{2, false, true}, {2, true, false}}
}

func TestNoStateOfASmallWorldBreaksAHardBudget(t *testing.T) {
	worlds := exWorlds()
	if len(worlds) > 1 {
		worlds[0].calls = 1 // nothing ends the search early here
	}
	for _, w := range worlds {
		states, path, err := explore(soundRules(), w)
		require.NoError(t, err, "after %q", path)
		t.Logf("%+v: %d states", w, states)
		require.Greater(t, states, 1000)
	}
}

func TestTheExhaustiveCheckFindsBrokenRules(t *testing.T) {
	for name, broken := range map[string]func(*exRules){
		"returned money is spent until the answer": func(r *exRules) {
			r.withdraw = func(a *account) amount { return a.free[common].Load() }
		},
		"a return that may not have arrived is taken back": func(r *exRules) {
			r.lost = func(a *account, q *exQuestion) {
				a.book.granted += amount(q.back)
				a.free[common].Add(amount(q.back))
			}
		},
		"a grant that may not have been made is spent": func(r *exRules) {
			r.lost = func(a *account, q *exQuestion) {
				a.book.granted += amount(q.want)
				a.free[common].Add(amount(q.want))
			}
		},
		"all that the bank holds is taken for unspent": func(r *exRules) {
			r.answer = func(a *account, granted, held amount) amount {
				return max(granted, held-a.free[common].Load()-a.reserved.Load())
			}
		},
		"what a call left is given back twice": func(r *exRules) {
			r.settle = func(a *account, charge, consumed amount) {
				a.settle(common, charge, consumed)
				a.free[common].Add(charge - consumed)
			}
		},
		"a return that may be obeyed late is waited for no longer": func(r *exRules) {
			r.lost = func(a *account, q *exQuestion) { a.book.lost(0, exNow) }
		},
		"a call without a cost has cost nothing": func(r *exRules) { r.unclear = 0 },
		"a lost grant is never asked for again": func(r *exRules) {
			r.answer = func(a *account, granted, held amount) amount {
				a.book.known = false
				fresh, found := a.book.answer(exact(granted), exact(held), a.consumed.Load(), exNow)
				return fresh + found
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := soundRules()
			broken(&rules)
			for _, w := range exWorlds() {
				if states, path, err := explore(rules, w); err != nil {
					t.Logf("%+v: after %d states: %v: %q", w, states, err, path)
					return
				}
			}
			t.Fatal("it found nothing")
		})
	}
}
