package guard

import "time"

// pace is how fast an account's money is used: what the size of its lease goes
// by.
type pace struct {
	at                time.Time
	charged, consumed amount // as of then
	gross             amount // charges a second, smoothed
	net               amount // used up a second, smoothed
	peak              amount // largest charge, halved about every ten seconds
}

// horizon is for how many seconds of spending a lease should last.
const horizon = 10

// measure looks at what was charged and consumed since the last time.
func (p *pace) measure(a *account, now time.Time) {
	p.sawLargest(a)
	charged, consumed := a.charged.Load(), a.consumed.Load()
	elapsed := now.Sub(p.at).Milliseconds()
	if p.at.IsZero() {
		elapsed = 0
	}
	if elapsed > 0 {
		p.gross += (perSecond(charged-p.charged, elapsed) - p.gross) / 4
		p.net += (perSecond(consumed-p.consumed, elapsed) - p.net) / 8
		p.peak -= p.peak / 64
	}
	if elapsed > 0 || p.at.IsZero() {
		p.at, p.charged, p.consumed = now, charged, consumed
	}
}

func perSecond(sum amount, millis int64) amount { return min(max(0, sum/millis), most/1000) * 1000 }

// sawLargest takes the largest charge into account without waiting for the next
// measurement.
func (p *pace) sawLargest(a *account) { p.peak = max(p.peak, a.largest.Swap(0)) }

// target is how much money should be in hand: ten seconds of spending, one of
// charges, two of the largest calls.
func (p *pace) target() amount {
	return min(max(2*min(p.peak, most/2), horizon*min(p.net, most/horizon), p.gross), most)
}

// low is when more is asked for: early enough for half a second of charges.
func (p *pace) low() amount { return max(p.peak, p.gross/2) }
