package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

const (
	// liveInterval is how often the figures are read while a browser looks.
	liveInterval = time.Second
	// liveRows is how many of the newest calls are looked at for changes.
	liveRows = 50
	// liveBeat is after how long without news a browser is told that there is
	// none, which also tells us that it is gone.
	liveBeat = 15 * time.Second
	// liveRead bounds one reading; browsers are then told that the database is
	// away.
	liveRead = 5 * time.Second
	// liveLife is how long one connection lasts: the browser comes back by
	// itself, and has to be signed in still.
	liveLife = 30 * time.Minute
	// liveWrite bounds the writing of one event to a browser that does not read.
	liveWrite = 10 * time.Second
	// maxLive bounds the browsers that look at once.
	maxLive = 500
)

// live reads what moves once for all browsers that look, and not at all while
// none does.
type live struct {
	read func(context.Context) (liveState, error)
	log  zerolog.Logger

	mu       sync.Mutex
	watchers map[chan struct{}]struct{} // each is told that there is something new
	state    liveState
	version  int // rises with each change of state
	cancel   context.CancelFunc
	closed   bool
	running  sync.WaitGroup
}

// liveState is what moves: the month's figures and the newest calls.
type liveState struct {
	Figures *dashboardMetrics // nil: costs have no routes
	Calls   []accounting.UsageRow
	Broken  bool // the database does not answer
}

func (l *live) same(a, b *liveState) bool {
	if a.Broken != b.Broken || len(a.Calls) != len(b.Calls) || (a.Figures == nil) != (b.Figures == nil) {
		return false
	}
	for i := range a.Calls {
		if a.Calls[i].ID != b.Calls[i].ID || !a.Calls[i].UpdatedAt.Equal(b.Calls[i].UpdatedAt) {
			return false
		}
	}
	if a.Figures == nil {
		return true
	}
	before, after := *a.Figures, *b.Figures
	before.LastUpdated = after.LastUpdated
	x, errX := json.Marshal(before)
	y, errY := json.Marshal(after)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// watch registers a browser; false: there are too many, or the server stops.
func (l *live) watch() (news chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.watchers) >= maxLive {
		return nil, false
	}
	news = make(chan struct{}, 1)
	l.watchers[news] = struct{}{}
	if l.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		l.cancel = cancel
		l.running.Go(func() { l.follow(ctx) })
	}
	if l.version > 0 {
		news <- struct{}{}
	}
	return news, true
}

// leave forgets a browser; with the last one the reading ends.
func (l *live) leave(news chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.watchers[news]; !ok {
		return
	}
	delete(l.watchers, news)
	if len(l.watchers) == 0 && l.cancel != nil {
		l.cancel()
		l.cancel, l.version = nil, 0
	}
}

// close sends every browser away and waits for the reading to end.
func (l *live) close() {
	l.mu.Lock()
	l.closed = true
	for news := range l.watchers {
		delete(l.watchers, news)
		close(news)
	}
	if l.cancel != nil {
		l.cancel()
		l.cancel = nil
	}
	l.mu.Unlock()
	l.running.Wait()
}

// follow reads until ctx ends.
func (l *live) follow(ctx context.Context) {
	tick := time.NewTicker(liveInterval)
	defer tick.Stop()
	for {
		reading, cancel := context.WithTimeout(ctx, liveRead)
		state, err := l.read(reading)
		cancel()
		if ctx.Err() != nil {
			return
		}
		l.publish(state, err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *live) publish(state liveState, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !l.state.Broken {
			l.log.Warn().Err(err).Msg("read what browsers follow")
		}
		state = l.state
		state.Broken = true
	}
	if l.version > 0 && l.same(&l.state, &state) {
		return
	}
	l.state = state
	l.version++
	for news := range l.watchers {
		select {
		case news <- struct{}{}:
		default: // has not taken the last news yet, and will find this with it
		}
	}
}

// latest is the newest state.
func (l *live) latest() liveState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// readLive reads what moves.
func (h *Handler) readLive(ctx context.Context) (liveState, error) {
	var state liveState
	page, err := h.usage.ListUsage(ctx, accounting.UsageFilter{Limit: liveRows})
	if err != nil {
		return state, fmt.Errorf("read the newest calls: %w", err)
	}
	state.Calls = page.Rows
	if h.economics != nil {
		figures, err := h.economics.readDashboard(ctx)
		if err != nil {
			return state, fmt.Errorf("read the month's figures: %w", err)
		}
		state.Figures = figures
		h.economics.dashboard.outdate(figures) // or a page and the API would tell two figures for up to a minute
	}
	return state, nil
}

// liveEvent is what a browser is told.
type liveEvent struct {
	Figures map[string]string `json:"figures"` // by the name in the page's data-live, as text
	Calls   []liveCall        `json:"calls"`   // that are new or have changed, the oldest first
	Broken  bool              `json:"broken"`  // the database does not answer; these are the last known
}

// liveCall is a row of the table of calls.
type liveCall struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// serveLive answers GET /live with server-sent events: one at once, and one
// after each change.
func (h *Handler) serveLive(w http.ResponseWriter, r *http.Request) error {
	news, ok := h.live.watch()
	if !ok {
		w.Header().Set("Retry-After", "5")
		return newProblem(http.StatusServiceUnavailable, "Too many pages follow the figures, or Bursar is stopping.")
	}
	defer h.live.leave(news)
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	stream := &liveStream{w: w, control: http.NewResponseController(w), money: h.moneyOf(r), seen: make(map[accounting.RequestID]time.Time)}
	if stream.send("retry: 2000\n\n") != nil {
		return nil
	}
	end, beat := time.NewTimer(liveLife), time.NewTicker(liveBeat)
	defer end.Stop()
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-beat.C:
			if !h.open && h.actor(r) == "" { // signed out meanwhile
				return nil
			}
			if stream.send(": still here\n\n") != nil {
				return nil
			}
		case _, open := <-news:
			if !open || stream.tell(h.live.latest()) != nil {
				return nil
			}
		}
	}
}

// liveStream is one browser's events.
type liveStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	money   moneyFormat
	seen    map[accounting.RequestID]time.Time // when each of the newest calls last changed, as the browser knows it
}

// tell sends what the browser does not know yet.
func (s *liveStream) tell(state liveState) error {
	event := liveEvent{Broken: state.Broken, Figures: liveFigures(state.Figures, s.money), Calls: []liveCall{}}
	seen := make(map[accounting.RequestID]time.Time, len(state.Calls))
	for i := len(state.Calls) - 1; i >= 0; i-- {
		row := &state.Calls[i]
		seen[row.ID] = row.UpdatedAt
		if known, ok := s.seen[row.ID]; ok && known.Equal(row.UpdatedAt) {
			continue
		}
		var html bytes.Buffer
		if err := pages["calls"].ExecuteTemplate(&html, "callrow", row); err != nil {
			return fmt.Errorf("render call %s: %w", row.ID, err)
		}
		event.Calls = append(event.Calls, liveCall{ID: row.ID.String(), HTML: html.String()})
	}
	s.seen = seen
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return s.send("data: " + string(data) + "\n\n")
}

func (s *liveStream) send(event string) error {
	// Each event has its own time: the server's limit is for whole answers.
	if err := s.control.SetWriteDeadline(time.Now().Add(liveWrite)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(event)); err != nil {
		return err
	}
	return s.control.Flush()
}

// liveFigures are the texts of the elements that move.
func liveFigures(d *dashboardMetrics, m moneyFormat) map[string]string {
	if d == nil {
		return map[string]string{}
	}
	return map[string]string{
		"cost-per-email":   m.Text(d.CostPerEmail),
		"cost-per-meeting": m.Text(d.CostPerMeeting),
		"month-total":      m.Text(d.TotalMonthlySpend),
		"month-fixed":      m.Text(d.CostBreakdown.Fixed.Total),
		"month-variable":   m.Text(d.CostBreakdown.Variable.Total),
		"emails-sent":      groupThousands(d.EmailsSent),
		"meetings-booked":  groupThousands(d.MeetingsBooked),
		"efficiency":       scoreText(d.EfficiencyScore),
	}
}

// scoreText shows a score from 0 to 100.
func scoreText(score *accounting.Amount) string {
	if score == nil {
		return "–"
	}
	return score.RoundDown(0).String() // 89.6 is below a band that begins at 90
}
