package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"bursar/accounting"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		writeUntilKilled()
		return
	}
	goleak.VerifyTestMain(m)
}

// newID makes a request id; its last bytes, and so its shard, are random.
func newID() accounting.RequestID {
	return accounting.NewRequestID(time.Now(), rand.Uint64(), rand.Uint64())
}

// idOfShard makes one that falls to a shard of n.
func idOfShard(shard, n int) accounting.RequestID {
	id := newID()
	low := rand.IntN(1<<15/n)*n + shard
	id[14], id[15] = byte(low>>8), byte(low)
	return id
}

func opened(id accounting.RequestID) *accounting.Event {
	return &accounting.Event{
		Kind: accounting.Opened, ID: id,
		Tags:           accounting.Tags{CampaignID: "q4", Purpose: "follow_up", Metadata: map[string]string{"team": "north"}},
		KeyFingerprint: accounting.Fingerprint("key"), Endpoint: "/api/v1/chat/completions", RequestedModel: "openai/gpt-4o",
	}
}

func identified(id accounting.RequestID) *accounting.Event {
	return &accounting.Event{Kind: accounting.Identified, ID: id, GenerationID: "gen-" + id.String(), Model: "openai/gpt-4o-2024"}
}

func closed(id accounting.RequestID) *accounting.Event {
	e := *opened(id)
	e.Kind, e.GenerationID, e.HTTPStatus = accounting.Closed, "gen-"+id.String(), 200
	e.Usage.Cost = accounting.ParseCost("0.0004970133333333333")
	return &e
}

// testOptions have small segments and one shard, so that little happens at once.
func testOptions(dir string) Options {
	return Options{
		Dir: dir, Shards: 1, SegmentBytes: 4 << 10, ReserveBytes: 4 << 10,
		SyncInterval: time.Millisecond, Logger: zerolog.Nop(),
	}
}

func mustOpen(t testing.TB, opts Options) *Journal {
	t.Helper()
	j, err := Open(opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func mustAppend(t testing.TB, j *Journal, events ...*accounting.Event) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, j.Append(e))
	}
}

// crash ends a journal as kill -9 does: nothing is synced, nothing tidied.
func crash(j *Journal) {
	j.closeOnce.Do(func() {
		close(j.stop)
		j.wg.Wait()
		j.readMu.Lock()
		defer j.readMu.Unlock()
		for _, c := range j.cursors {
			c.release()
		}
		for _, s := range j.shards {
			s.mu.Lock()
			s.closed = true
			for _, seg := range s.segments {
				s.closeFile(seg)
			}
			s.mu.Unlock()
		}
		for _, a := range j.adopted {
			_ = a.lock.Close()
		}
		_ = j.lock.Close()
	})
}

// drain reads what is ready, without waiting for more.
func drain(t testing.TB, j *Journal) []accounting.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all []accounting.Event
	for {
		events, err := j.Next(ctx, 7)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			return all
		}
		all = append(all, events...)
	}
}

func drainAndAck(t testing.TB, j *Journal) []accounting.Event {
	t.Helper()
	events := drain(t, j)
	require.NoError(t, j.Ack(events))
	return events
}

// settle lets the janitor's work be done now: syncs and ticks as after a pause.
func settle(t testing.TB, j *Journal) {
	t.Helper()
	for range j.idleTicks + 3 {
		for _, s := range j.shards {
			require.NoError(t, s.syncPass())
		}
		require.NoError(t, j.tidyUp(time.Now().Add(time.Hour), true))
	}
}

func ids(events []accounting.Event) []accounting.RequestID {
	var out []accounting.RequestID
	for i := range events {
		out = append(out, events[i].ID)
	}
	return out
}

func requireEvents(t testing.TB, got []accounting.Event, want ...*accounting.Event) {
	t.Helper()
	var list []accounting.Event
	for _, e := range want {
		list = append(list, *e)
	}
	if diff := cmp.Diff(list, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
}

// segmentFiles lists the segments below dir, of all instances.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+segmentSuffix))
	require.NoError(t, err)
	return files
}

// instances lists the directories of instances below dir.
func instances(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != quarantineDir {
			names = append(names, e.Name())
		}
	}
	return names
}

// faultFS is the operating system's file system with a switch: fail is asked
// before each operation, and what it returns happens instead. For a write it
// may let some bytes through before the error.
type faultFS struct {
	osFS
	mu   sync.Mutex
	fail func(op, path string) (partial int, err error)
	ops  []string
}

func (f *faultFS) set(fail func(op, path string) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faultFS) check(op, path string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops = append(f.ops, op+" "+filepath.Base(path))
	if f.fail == nil {
		return 0, nil
	}
	return f.fail(op, path)
}

func (f *faultFS) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, o := range f.ops {
		if strings.HasPrefix(o, op+" ") {
			n++
		}
	}
	return n
}

func (f *faultFS) Create(path string) (File, error) {
	if _, err := f.check("create", path); err != nil {
		return nil, err
	}
	file, err := f.osFS.Create(path)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, path}, nil
}

func (f *faultFS) Open(path string) (File, error) {
	if _, err := f.check("open", path); err != nil {
		return nil, err
	}
	file, err := f.osFS.Open(path)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, path}, nil
}

func (f *faultFS) Remove(path string) error {
	if _, err := f.check("remove", path); err != nil {
		return err
	}
	return f.osFS.Remove(path)
}

func (f *faultFS) SyncDir(dir string) error {
	if _, err := f.check("syncdir", dir); err != nil {
		return err
	}
	return f.osFS.SyncDir(dir)
}

func (f *faultFS) Allocate(path string, size int64) error {
	if _, err := f.check("allocate", path); err != nil {
		return err
	}
	return f.osFS.Allocate(path, size)
}

type faultFile struct {
	File
	fs   *faultFS
	path string
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	partial, err := f.fs.check("write", f.path)
	if err == nil && partial == 0 {
		return f.File.WriteAt(b, off)
	}
	n, writeErr := f.File.WriteAt(b[:min(partial, len(b))], off)
	if writeErr != nil {
		panic(fmt.Sprintf("the disk under the test failed: %v", writeErr))
	}
	return n, err
}

func (f *faultFile) ReadAt(b []byte, off int64) (int, error) {
	if partial, err := f.fs.check("read", f.path); err != nil {
		n, _ := f.File.ReadAt(b[:min(partial, len(b))], off)
		return n, err
	}
	return f.File.ReadAt(b, off)
}

func (f *faultFile) Sync() error {
	if _, err := f.fs.check("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) Truncate(size int64) error {
	if _, err := f.fs.check("truncate", f.path); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// requireInstances waits until these directories, and no others, are below dir.
func requireInstances(t testing.TB, dir string, names ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(names, instances(t, dir)) }, 5*time.Second, time.Millisecond)
}

// newerHeaderSum is the checksum that a header has to carry.
func newerHeaderSum(image []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(image[:headerSize-4], castagnoli))
}

// flipByte damages a file in place.
func flipByte(path string, off int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	b[0] ^= 0xff
	_, writeErr := f.WriteAt(b[:], off)
	return errors.Join(err, writeErr, f.Close())
}
