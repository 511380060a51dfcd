package settle

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// WhenFull says what becomes of a new billable call that the journal does not
// take: because it has reached its bound, its disk is full, or it fails.
type WhenFull string

const (
	// WhenFullCommit: the call waits for its row in Postgres. Without one it is
	// sent all the same, and counted.
	WhenFullCommit WhenFull = "commit"
	// WhenFullRefuse: the call waits for its row in Postgres. Without one it is
	// refused.
	WhenFullRefuse WhenFull = "refuse"
	// WhenFullPass: the call is sent at once. Its events wait in memory for
	// Postgres, and are lost with the process.
	WhenFullPass WhenFull = "pass"
)

// Mode is how new calls are recorded at the moment. The order is that of how
// much a death of this process would lose.
type Mode int32

// The modes.
const (
	ModeJournal     Mode = iota // as it should be
	ModeDatabase                // each waits for its row in Postgres
	ModeMemory                  // events wait in memory
	ModeRefused                 // recorded nowhere, and refused
	ModeUnaccounted             // recorded nowhere, and sent
	ModeLosing                  // not even the memory has room
	modes
)

// String is the mode's label in bursar_recording_mode.
func (m Mode) String() string {
	return [modes]string{"journal", "database", "memory", "refused", "unaccounted", "losing"}[m]
}

// means says what the mode does to calls. It completes "the journal takes no
// new calls: …".
func (m Mode) means() string {
	return [modes]string{
		"they are journaled",
		"each waits for its row in Postgres before it is sent",
		"events wait in memory for Postgres",
		"Postgres does not take them either, and they are refused with 503",
		"Postgres does not take them either, and they are sent unaccounted until they end",
		"the memory beside it is full as well, and their events are lost",
	}[m]
}

const (
	// modeCalm is for how long nothing worse may happen until a better mode is
	// believed: calls that overlap would otherwise log a change each.
	modeCalm = time.Second
	// modeMemory is for how long a mode stands without another call. Who is
	// not ready is sent none, and has to become ready without one.
	modeMemory = 5 * time.Second
)

// recording follows how new calls are recorded, and says it: one line of log
// per change, and a metric. It is safe for concurrent use.
type recording struct {
	log  zerolog.Logger
	full func() bool // the journal would not take a new call
	next Mode        // what a full journal means for it

	degraded atomic.Bool // spares the lock while all is well

	mu    sync.Mutex
	mode  Mode             // that was logged last
	since time.Time        // it left ModeJournal
	seen  [modes]time.Time // when each was last met
}

func newRecording(o *RecorderOptions) *recording {
	s := &recording{log: o.Logger, full: o.Full, next: ModeDatabase}
	if o.WhenFull == WhenFullPass {
		s.next = ModeMemory
	}
	if s.full == nil {
		s.full = func() bool { return false }
	}
	return s
}

// saw notes how an event was recorded; cause is the trouble that made it so. It
// is cheap while all is well.
func (s *recording) saw(m Mode, cause error) {
	if m == ModeJournal && !s.degraded.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.seen[m] = now
	for worse := modes - 1; worse > m; worse-- {
		if now.Sub(s.seen[worse]) < modeCalm {
			m = worse
		}
	}
	if m != s.mode {
		s.change(m, now, cause)
	}
}

func (s *recording) change(to Mode, now time.Time, cause error) {
	if to == ModeJournal {
		s.log.Info().Str("mode", to.String()).Dur("lasted_ms", now.Sub(s.since)).Msg("new calls are recorded in the journal again")
	} else {
		s.log.Error().Err(cause).Str("mode", to.String()).Msg("the journal takes no new calls: " + to.means())
	}
	if s.mode == ModeJournal {
		s.since = now
	}
	s.mode = to
	s.degraded.Store(to != ModeJournal)
}

// now is the mode at this moment.
func (s *recording) now() Mode {
	full := s.full()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mode
	if time.Since(s.seen[m]) >= modeMemory {
		m = ModeJournal
	}
	if full {
		m = max(m, s.next)
	}
	return m
}

// Mode is how new calls are recorded at the moment.
func (r *Recorder) Mode() Mode { return r.recording.now() }

// Trouble is nil while new calls are journaled; else it says what happens to
// them and what to do about it, for whoever asks whether this process is ready.
func (r *Recorder) Trouble() error {
	m := r.Mode()
	if m == ModeJournal {
		return nil
	}
	if r.recording.full() {
		return fmt.Errorf("the journal is full and takes no new calls: %s; make room on its disk, or raise BURSAR_JOURNAL_MAX_BYTES", m.means())
	}
	return fmt.Errorf("the journal does not take all events: %s; the log says why", m.means())
}

// register shows the mode as one series each, of which one is 1.
func (s *recording) register(registerer prometheus.Registerer) error {
	var errs []error
	for m := range modes {
		gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "bursar_recording_mode",
			Help:        "How new calls are recorded at the moment: the mode with the value 1.",
			ConstLabels: prometheus.Labels{"mode": m.String()},
		}, func() float64 {
			if s.now() == m {
				return 1
			}
			return 0
		})
		if registerer != nil {
			errs = append(errs, registerer.Register(gauge))
		}
	}
	return errors.Join(errs...)
}
