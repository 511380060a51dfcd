package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

var (
	// ErrFull: the journal has reached its bound or the disk is full, and new
	// calls and refusals are not recorded. Calls in flight still are.
	ErrFull = errors.New("journal is full")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")
	// ErrInUse: another process writes in the instance's directory.
	ErrInUse = errors.New("journal instance is in use by another process")
	// ErrNotSynced: the event is in the journal and will be delivered, but the
	// disk would not confirm it ([SyncWait] only). It survives the death of
	// the process, perhaps not that of the machine.
	ErrNotSynced = errors.New("event recorded but not synced to disk")
)

// SyncMode says what an append waits for.
type SyncMode string

const (
	// SyncBackground: an append returns when the operating system has the
	// frame. It reaches the disk at most twice the sync interval later.
	SyncBackground SyncMode = "background"
	// SyncWait: an append returns when the frame is on the disk. Appends that
	// wait at the same time share a sync.
	SyncWait SyncMode = "wait"
)

// Options configure a journal. Only Dir is required.
type Options struct {
	Dir      string // holds the directories of all instances
	Instance string // this process's directory in it; empty: generated
	Owner    string // whose money its calls spend, see [Journal.Owners]; empty: nobody's

	SegmentBytes int64         // a segment is full at; default 8 MiB
	MaxBytes     int64         // Opened is refused above; default 4 GiB
	ReserveBytes int64         // kept for calls in flight when the disk is full; default 1 MiB
	Sync         SyncMode      // default SyncBackground
	SyncInterval time.Duration // between background syncs; default 50 ms
	Shards       int           // default GOMAXPROCS, at most 16; each has a sync of its own

	FS          FS // nil: the operating system's
	Logger      zerolog.Logger
	OnSyncError func(error) // called from the background after a failed sync; must not call the journal; may be nil
	// OnAdopt is told the name of each dead process whose journal was taken
	// over, by Open already. It must not call the journal. May be nil.
	OnAdopt func(instance string)
}

const (
	defaultSegmentBytes = 8 << 20
	defaultMaxBytes     = 4 << 30
	defaultReserveBytes = 1 << 20
	defaultSyncInterval = 50 * time.Millisecond
	maxShards           = 256
)

func (o *Options) setDefaults() {
	setDefault(&o.SegmentBytes, defaultSegmentBytes)
	setDefault(&o.MaxBytes, defaultMaxBytes)
	setDefault(&o.ReserveBytes, defaultReserveBytes)
	setDefault(&o.Sync, SyncBackground)
	setDefault(&o.SyncInterval, defaultSyncInterval)
	setDefault(&o.Shards, min(runtime.GOMAXPROCS(0), 16))
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.OnSyncError == nil {
		o.OnSyncError = func(error) {}
	}
	if o.OnAdopt == nil {
		o.OnAdopt = func(string) {}
	}
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (o *Options) validate() error {
	var errs []error
	reject := func(name string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("journal option %s is %v: want %s", name, value, allowed))
	}
	if o.Dir == "" {
		reject("Dir", `""`, "a directory")
	}
	if o.Instance != "" && !validInstance(o.Instance) {
		reject("Instance", fmt.Sprintf("%q", o.Instance), "letters, digits, dots, dashes and underscores, beginning with a letter or digit")
	}
	if o.Owner != "" && !validOwner(o.Owner) {
		reject("Owner", fmt.Sprintf("%q", o.Owner), "up to 127 printable ASCII characters without a space")
	}
	if o.SegmentBytes < headerSize {
		reject("SegmentBytes", o.SegmentBytes, "some kilobytes or more")
	}
	if o.MaxBytes < 0 {
		reject("MaxBytes", o.MaxBytes, "a number of bytes, or 0 for 4 GiB")
	}
	if o.ReserveBytes < 0 {
		reject("ReserveBytes", o.ReserveBytes, "a number of bytes, or 0 for 1 MiB")
	}
	if o.Sync != SyncBackground && o.Sync != SyncWait {
		reject("Sync", o.Sync, `"background" or "wait"`)
	}
	if o.SyncInterval < 0 {
		reject("SyncInterval", o.SyncInterval, "a positive duration")
	}
	if o.Shards < 1 || o.Shards > maxShards {
		reject("Shards", o.Shards, "1 to 256")
	}
	return errors.Join(errs...)
}

// Journal is the journal of one process. Its methods may be called from any
// goroutine, Next from one at a time.
type Journal struct {
	dir    string // of all instances
	own    string // of this one
	name   string
	fs     FS
	log    zerolog.Logger
	opts   Options
	lock   io.Closer
	shards []*shard
	count  counters

	bytes atomic.Int64 // of all segments, own and adopted

	// full: the disk refused a write. Opened is refused until the reserve
	// could be made again.
	full    atomic.Bool
	reserve reserve

	// ready holds a token when there may be something to read. Append and
	// adoption put it there, Next takes it.
	ready chan struct{}
	// kick wakes the janitor before its next tick.
	kick chan struct{}

	// readMu guards what the reader knows: the cursors (of this journal's
	// shards, then of the adopted chains) and what was delivered.
	readMu    sync.Mutex
	cursors   []*cursor
	turn      int // the cursor to begin with, so that no chain starves another
	delivered map[eventKey]delivery

	adoptMu sync.Mutex // one adoption at a time
	// adopted and owner are guarded by readMu.
	adopted []*adopted
	owner   string // of this journal; empty: none, or disowned

	stop      chan struct{} // closed by Close
	wg        sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	// The janitor's patience; tests have less of it.
	idleTicks  int
	carryAfter time.Duration
}

// Open makes or takes over the instance's directory, adopts what dead processes
// left beside it, and starts the background goroutines that sync and tidy up;
// Close ends them. The error wraps [ErrInUse] if a living process has the
// instance.
func Open(opts Options) (*Journal, error) {
	j, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	for _, s := range j.shards {
		j.wg.Go(s.syncLoop)
	}
	j.wg.Go(j.janitor)
	return j, nil
}

// newJournal is Open without the goroutines.
func newJournal(opts Options) (*Journal, error) {
	opts.setDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Instance == "" {
		opts.Instance = generateInstance(time.Now())
	}
	j := &Journal{
		dir: opts.Dir, own: filepath.Join(opts.Dir, opts.Instance), name: opts.Instance,
		fs: opts.FS, opts: opts,
		log:       opts.Logger.With().Str("instance", opts.Instance).Logger(),
		ready:     make(chan struct{}, 1),
		kick:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		delivered: make(map[eventKey]delivery),
		idleTicks: 3, carryAfter: 10 * time.Second,
	}
	if err := j.begin(); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", j.own, err)
	}
	for i := range opts.Shards {
		s := newShard(j, uint32(i))
		j.shards = append(j.shards, s)
		j.cursors = append(j.cursors, &cursor{chain: &s.chain})
	}
	if _, err := j.Adopt(); err != nil {
		// What the dead left behind is safe where it lies, and the next
		// Adopt tries again; it must not keep this process from working.
		j.log.Error().Err(err).Msg("adopt journals of dead processes")
	}
	return j, nil
}

// framePool holds encode buffers.
var framePool = sync.Pool{New: func() any {
	b := make([]byte, 0, 1<<10)
	return &b
}}

// maxPooled keeps a rare large event from staying in the pool for ever.
const maxPooled = 64 << 10

// Append records one event. When it returns nil the event is with the operating
// system (or, with [SyncWait], on the disk), and will be delivered, or merged
// into an Interrupted, whatever happens to this process.
//
// The events of a call are appended in their order, and nothing of a call is
// appended after its Closed. The error wraps [ErrFull] for an Opened or Refused
// there is no room for, [ErrTooLarge], [ErrNotSynced], [ErrClosed], or the error of the
// disk; after any of them but ErrNotSynced the event is not in the journal.
func (j *Journal) Append(e *accounting.Event) error {
	err := j.append(e)
	if err == nil {
		return nil
	}
	j.count.appendErrors.Add(1)
	return fmt.Errorf("journal call %s: %w", e.ID, err)
}

func (j *Journal) append(e *accounting.Event) error {
	if !journaled(e.Kind) {
		return fmt.Errorf("event of kind %d: only calls, polls and refusals are recorded", e.Kind)
	}
	s := j.shardOf(e.ID)
	if e.Kind == accounting.Identified && e.Decision != nil && s.isOpen(e.ID) {
		without := *e
		without.Decision = nil // which its Opened has told
		e = &without
	}
	buf := framePool.Get().(*[]byte)
	defer framePool.Put(buf)
	frame, err := appendFrame((*buf)[:0], e)
	if err != nil {
		return err
	}
	if cap(frame) <= maxPooled {
		*buf = frame[:0]
	}
	lsn, err := s.append(e.Kind, e.ID, frame)
	if err != nil {
		return err
	}
	if deliverable(e.Kind) {
		j.wake()
	}
	if j.opts.Sync == SyncWait {
		return s.waitSynced(lsn)
	}
	return nil
}

// shardOf chooses by the last bytes of the id, which are random, so that all
// frames of a call meet in one shard and the calls spread evenly.
func (j *Journal) shardOf(id accounting.RequestID) *shard {
	return j.shards[int(binary.BigEndian.Uint16(id[14:]))%len(j.shards)]
}

// wake tells Next that there may be something to read.
func (j *Journal) wake() {
	select {
	case j.ready <- struct{}{}:
	default:
	}
}

// tidy asks the janitor to look at once.
func (j *Journal) tidy() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// stopped reports whether Close was called.
func (j *Journal) stopped() bool {
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}

// Instance is the name of this process's directory.
func (j *Journal) Instance() string { return j.name }

// Close syncs what was written and gives up the locks. Own and adopted
// directories of which nothing is needed any more are removed; the others are
// adopted by whoever comes next. Next and Append fail with [ErrClosed] from
// then on.
func (j *Journal) Close() error {
	j.closeOnce.Do(func() { j.closeErr = j.close() })
	return j.closeErr
}

func (j *Journal) close() error {
	close(j.stop)
	j.wg.Wait()
	var errs []error
	for _, s := range j.shards {
		errs = append(errs, s.close())
	}
	errs = append(errs, j.finishAdopted())
	j.readMu.Lock()
	defer j.readMu.Unlock()
	for _, c := range j.cursors {
		c.release()
	}
	for _, a := range j.adopted {
		errs = append(errs, a.lock.Close())
	}
	j.adopted = nil
	errs = append(errs, j.end())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close journal %s: %w", j.own, err)
	}
	return nil
}

// Next returns up to max events that are ready to ship: at once if there are
// any, else as soon as there are, or with ctx's error. Within a shard they come
// in the order of their appends. An event is not returned again by this
// process; one that is never acknowledged is returned by the next. (Only what a
// dead process had to write twice, after a failed sync, may come again once it
// was acknowledged.)
//
// Only one goroutine may be in Next at a time.
func (j *Journal) Next(ctx context.Context, max int) ([]accounting.Event, error) {
	for {
		if j.stopped() {
			return nil, ErrClosed
		}
		if events := j.read(max); len(events) > 0 {
			return events, nil
		}
		select {
		case <-j.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-j.stop:
		}
	}
}
