package settle

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// recordingRig is a Recorder on a journal and a ledger that can fail.
type recordingRig struct {
	*Recorder
	t        *testing.T
	journal  *fakeJournal
	ledger   *fakeLedger
	log      *logBook
	registry *prometheus.Registry
	full     bool
}

func newRecordingRig(t *testing.T, whenFull WhenFull) *recordingRig {
	rig := &recordingRig{t: t, journal: newFakeJournal(), ledger: newFakeLedger(), log: new(logBook), registry: prometheus.NewRegistry()}
	var err error
	rig.Recorder, err = NewRecorder(RecorderOptions{
		Journal: rig.journal, Full: func() bool { return rig.full }, WhenFull: whenFull, Ledger: rig.ledger, Overflow: 2,
		Registerer: rig.registry, Logger: rig.log.logger(),
	})
	require.NoError(t, err)
	return rig
}

// open records the opening of a new call.
func (r *recordingRig) open() error {
	e := closed("")
	e.Kind = accounting.Opened
	return r.Record(e)
}

// requireMode checks what the metric and the readiness say.
func (r *recordingRig) requireMode(m Mode) {
	r.t.Helper()
	require.Equal(r.t, m.String(), r.Mode().String())
	for other := range modes {
		want := 0.0
		if other == m {
			want = 1
		}
		require.Equal(r.t, want, metric(r.t, r.registry, "bursar_recording_mode", "mode", other.String()), "%s", other)
	}
	if m == ModeJournal {
		require.NoError(r.t, r.Trouble())
		return
	}
	require.ErrorContains(r.t, r.Trouble(), m.means())
}

func TestEachModeOfRecordingShowsInMetricReadinessAndOneLineOfLog(t *testing.T) {
	errAway := errors.New("no route to host")
	for name, c := range map[string]struct {
		whenFull WhenFull
		away     bool // Postgres
		mode     Mode
		refuses  bool // the opening has an error
		counts   string
	}{
		"commit":                    {WhenFullCommit, false, ModeDatabase, false, ""},
		"commit, Postgres is away":  {WhenFullCommit, true, ModeUnaccounted, true, "bursar_unaccounted_calls_total"},
		"refuse":                    {WhenFullRefuse, false, ModeDatabase, false, ""},
		"refuse, Postgres is away":  {WhenFullRefuse, true, ModeRefused, true, "bursar_unrecorded_refusals_total"},
		"pass":                      {WhenFullPass, false, ModeMemory, false, "bursar_events_kept_in_memory_total"},
		"pass, though it is absent": {WhenFullPass, true, ModeMemory, false, "bursar_journal_overflow_events"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRecordingRig(t, c.whenFull)
				require.NoError(t, r.open())
				r.requireMode(ModeJournal)
				r.journal.appendErr = errDisk
				if c.away {
					r.ledger.err = errAway
				}
				for range 2 {
					err := r.open()
					assert.Equal(t, c.refuses, errors.Is(err, errDisk) && errors.Is(err, errAway), "%v", err)
				}
				r.requireMode(c.mode)
				assert.Equal(t, 1, r.log.lines(c.mode.means()))
				assert.Equal(t, 1, r.log.lines(errDisk.Error()), "the reason is in the same line")
				if c.counts != "" {
					assert.Equal(t, 2.0, metric(t, r.registry, c.counts))
				}

				r.journal.appendErr = nil
				pass(2 * time.Second)
				require.NoError(t, r.open())
				assert.Equal(t, 1, r.log.lines("recorded in the journal again"))
				r.requireMode(ModeJournal)
			})
		})
	}
}

func TestCallsBeyondTheMemoryAreCountedAsLostAndUnaccounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecordingRig(t, WhenFullPass)
		r.journal.appendErr = errDisk
		for range 5 {
			require.NoError(t, r.open(), "the call goes on")
		}
		r.requireMode(ModeLosing)
		assert.Equal(t, 1, r.log.lines(ModeLosing.means()))
		assert.Equal(t, 3.0, metric(t, r.registry, "bursar_events_lost_total"))
		assert.Equal(t, 3.0, metric(t, r.registry, "bursar_unaccounted_calls_total"))
	})
}

func TestAFullJournalIsNamedBeforeACallMeetsIt(t *testing.T) {
	for whenFull, mode := range map[WhenFull]Mode{WhenFullCommit: ModeDatabase, WhenFullRefuse: ModeDatabase, WhenFullPass: ModeMemory} {
		bubble(t, func(t *testing.T) {
			r := newRecordingRig(t, whenFull)
			r.full = true
			r.requireMode(mode)
			require.ErrorContains(t, r.Trouble(), "BURSAR_JOURNAL_MAX_BYTES")
			r.full = false
			r.requireMode(ModeJournal)
		})
	}
}

func TestAProcessBecomesReadyAgainWithoutACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecordingRig(t, WhenFullCommit)
		r.journal.appendErr = errDisk
		require.NoError(t, r.open())
		r.requireMode(ModeDatabase)
		pass(modeMemory)
		r.requireMode(ModeJournal)
	})
}

// While the journal refuses only new calls, those under way go on being
// journaled in between.
func TestOverlappingCallsDoNotLogAChangeEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecordingRig(t, WhenFullCommit)
		for i := range 100 {
			r.journal.appendErr = errDisk
			r.ledger.err = nil
			if i%2 == 1 {
				r.ledger.err = errors.New("too many clients")
			}
			_ = r.open()
			r.journal.appendErr = nil
			require.NoError(t, r.Record(closed("0.1")))
			require.NoError(t, r.open())
			pass(modeCalm / 10)
		}
		assert.Equal(t, 2, r.log.lines("the journal takes no new calls"), "database, unaccounted: %s", r.log)
		pass(modeCalm)
		require.NoError(t, r.open())
		assert.Equal(t, 1, r.log.lines("recorded in the journal again"))
	})
}

func TestARecorderKnowsItsModes(t *testing.T) {
	_, err := NewRecorder(RecorderOptions{Journal: newFakeJournal(), WhenFull: "drop"})
	require.ErrorContains(t, err, `"drop"`)
	require.ErrorContains(t, err, "commit, refuse or pass")
}
