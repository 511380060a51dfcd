package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// damagedJournal is what a dead process has left: a segment with a flipped bit,
// one that is torn though it is not the last, and one with a torn tail. It
// returns the events that can still be read, in their order.
func damagedJournal(t testing.TB, dir string) (readable []*accounting.Event, images map[string][]byte) {
	t.Helper()
	flipped, torn, last := segmentName{seq: 1, salt: 11}, segmentName{seq: 2, salt: 12}, segmentName{seq: 3, salt: 13}
	long := newID()
	one := []*accounting.Event{opened(long), closed(newID()), closed(newID())}
	two := []*accounting.Event{closed(newID()), identified(long), closed(newID())}
	three := []*accounting.Event{closed(newID()), closed(newID())}
	image1, offsets := segmentImage(t, flipped, one...)
	image1[offsets[1]+40] ^= 0x20
	image2, _ := segmentImage(t, torn, two...)
	image2 = image2[:len(image2)-10]
	image3, _ := segmentImage(t, last, three...)
	image3 = image3[:len(image3)-10]
	images = map[string][]byte{flipped.String(): image1, torn.String(): image2, last.String(): image3}
	deadJournal(t, dir, images)
	interrupted := *identified(long)
	interrupted.Kind = accounting.Interrupted
	return []*accounting.Event{one[2], two[0], three[0], &interrupted}, images
}

func TestRepairReplacesDamagedSegmentsAndTheNextStartShipsWhatCouldBeRead(t *testing.T) {
	dir := t.TempDir()
	readable, images := damagedJournal(t, dir)
	done, err := Repair(dir)
	require.NoError(t, err)
	require.Len(t, done, 2)
	assert.Equal(t, 2, done[0].Frames)
	assert.Equal(t, 2, done[1].Frames)
	for _, r := range done {
		name := filepath.Base(r.Path)
		kept, err := os.ReadFile(filepath.Join(dir, quarantineDir, "dead-"+name+damagedSuffix))
		require.NoError(t, err)
		assert.Equal(t, images[name], kept, "the damaged file is kept as it is")
		assert.Positive(t, r.LostBytes)
	}
	reports, err := Inspect(dir, nil)
	require.NoError(t, err)
	for _, r := range reports {
		assert.True(t, r.Aside || !r.Damaged(), r.Path)
	}
	again, err := Repair(dir)
	require.NoError(t, err)
	require.Empty(t, again, "there is nothing left to repair")

	j := mustOpen(t, testOptions(dir))
	got := drainAndAck(t, j)
	require.Len(t, got, len(readable))
	for i, want := range readable {
		assert.Equal(t, want.ID, got[i].ID)
		assert.Equal(t, want.Kind, got[i].Kind)
		assert.Equal(t, want.Usage, got[i].Usage)
	}
	assert.Equal(t, "q4", got[3].Tags.CampaignID, "the opened of the first segment is merged")
	settle(t, j)
	requireInstances(t, dir, j.Instance())
	assert.Zero(t, j.Stats().Quarantined, "nothing was damaged any more")
	assert.Len(t, quarantined(t, dir), 2)
}

func TestADamagedHeaderIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	name := segmentName{shard: 3, seq: 7, salt: 5}
	want := closed(newID())
	image, _ := segmentImage(t, name, want)
	whole := bytes.Clone(image)
	image[9] ^= 1
	deadJournal(t, dir, map[string][]byte{name.String(): image})
	done, err := Repair(dir)
	require.NoError(t, err)
	require.Len(t, done, 1)
	fresh, err := os.ReadFile(done[0].Path)
	require.NoError(t, err)
	assert.Equal(t, whole, fresh)
}

func TestASegmentOfManyFramesIsCopiedWhole(t *testing.T) {
	dir := t.TempDir()
	name := segmentName{seq: 1, salt: 9}
	var events []*accounting.Event
	for range 3000 {
		events = append(events, closed(newID()))
	}
	image, offsets := segmentImage(t, name, events...)
	require.Greater(t, len(image), 2*copyBytes)
	image[offsets[0]+30] ^= 1
	deadJournal(t, dir, map[string][]byte{name.String(): image})
	done, err := Repair(dir)
	require.NoError(t, err)
	require.Equal(t, 2999, done[0].Frames)
	fresh, err := os.ReadFile(done[0].Path)
	require.NoError(t, err)
	require.Equal(t, image[offsets[1]:], fresh[headerSize:])
}

func TestRepairLeavesHealthyTornAndNewerSegmentsAlone(t *testing.T) {
	dir := t.TempDir()
	good, newer, torn := segmentName{seq: 1, salt: 1}, segmentName{seq: 2, salt: 2}, segmentName{seq: 3, salt: 3}
	image, _ := segmentImage(t, good, closed(newID()))
	newerImage, _ := segmentImage(t, newer, closed(newID()))
	newerImage[8] = formatVersion + 1
	copy(newerImage[headerSize-4:], newerHeaderSum(newerImage))
	tornImage, _ := segmentImage(t, torn, closed(newID()))
	files := map[string][]byte{good.String(): image, newer.String(): newerImage, torn.String(): tornImage[:len(tornImage)-3]}
	deadJournal(t, dir, files)
	done, err := Repair(dir)
	require.NoError(t, err)
	require.Empty(t, done)
	for name, content := range files {
		kept, err := os.ReadFile(filepath.Join(dir, "dead", name))
		require.NoError(t, err)
		assert.Equal(t, content, kept)
	}
	assert.Empty(t, quarantined(t, dir))
}

func TestRepairRefusesAnInstanceThatALivingProcessHoldsAndNamesIt(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Instance = "replica-0"
	j := mustOpen(t, opts)
	mustAppend(t, j, closed(newID()), closed(newID()))
	done, err := Repair(opts.Dir)
	require.NoError(t, err, "there is nothing to repair in it")
	require.Empty(t, done)

	path := segmentFiles(t, opts.Dir)[0]
	require.NoError(t, flipByte(path, headerSize+30))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	done, err = Repair(opts.Dir)
	require.Empty(t, done)
	require.ErrorIs(t, err, ErrInUse)
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	assert.Equal(t, "replica-0", inUse.Name)
	assert.Contains(t, []int{os.Getpid(), 0}, inUse.PID, "0 where the system does not tell")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestInstancesTellWhoHoldsThem(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Instance = "living"
	j := mustOpen(t, opts)
	require.NoError(t, os.MkdirAll(filepath.Join(opts.Dir, "left~1234abcd"), dirMode))
	require.NoError(t, os.MkdirAll(filepath.Join(opts.Dir, quarantineDir), dirMode))
	found, err := Instances(opts.Dir)
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.Equal(t, Instance{Name: "left~1234abcd"}, found[0])
	assert.Equal(t, "living", found[1].Name)
	assert.True(t, found[1].InUse)
	n, err := j.Adopt()
	require.NoError(t, err)
	assert.Equal(t, 1, n, "asking has taken no lock away")

	_, err = Instances(filepath.Join(opts.Dir, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheHolderOfALockIsNamed(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("this system does not list its locks")
	}
	path := filepath.Join(t.TempDir(), lockFileName)
	lock, err := osFS{}.Lock(path)
	require.NoError(t, err)
	assert.Equal(t, os.Getpid(), lockHolder(path))
	require.NoError(t, lock.Close())
	assert.Zero(t, lockHolder(path))
}

// dyingFS dies, as a killed process does, before its operation number n.
type dyingFS struct {
	osFS
	left int
}

var errDied = errors.New("killed")

func (d *dyingFS) step() error {
	if d.left--; d.left < 0 {
		return errDied
	}
	return nil
}

func (d *dyingFS) Create(path string) (File, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.osFS.Create(path)
}

func (d *dyingFS) Remove(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.osFS.Remove(path)
}

func (d *dyingFS) Link(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.osFS.Link(from, to)
}

func (d *dyingFS) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.osFS.Rename(from, to)
}

func (d *dyingFS) SyncDir(dir string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.osFS.SyncDir(dir)
}

func TestARepairThatDiesAtAnyStepLosesNothing(t *testing.T) {
	for _, then := range []string{"repair again", "start"} {
		for steps := 0; ; steps++ {
			dir := t.TempDir()
			readable, images := damagedJournal(t, dir)
			disk := &dyingFS{left: steps}
			_, err := repair(disk, dir)
			if err == nil {
				require.Greater(t, steps, 8, "every step was cut once")
				break
			}
			require.ErrorIs(t, err, errDied)
			if then == "repair again" {
				_, err := Repair(dir)
				require.NoError(t, err)
			}
			j := mustOpen(t, testOptions(dir))
			got := drainAndAck(t, j)
			require.Len(t, got, len(readable), "%s after %d steps", then, steps)
			for i := range readable {
				require.Equal(t, readable[i].ID, got[i].ID)
			}
			settle(t, j)
			requireInstances(t, dir, j.Instance())
			require.NoError(t, j.Close())
			kept := 0
			for _, path := range quarantined(t, dir) {
				if name, ok := strings.CutPrefix(filepath.Base(path), "dead-"); ok && strings.HasSuffix(name, damagedSuffix) {
					content, err := os.ReadFile(path)
					require.NoError(t, err)
					require.Equal(t, images[strings.TrimSuffix(name, damagedSuffix)], content)
					kept++
				}
			}
			require.Equal(t, 2, kept, "%s after %d steps", then, steps)
		}
	}
}

func TestAFullDiskEndsARepairAndLeavesEverythingWhereItWas(t *testing.T) {
	dir := t.TempDir()
	_, images := damagedJournal(t, dir)
	disk := &faultFS{}
	disk.set(func(op, _ string) (int, error) {
		if op == "write" {
			return 5, errDisk
		}
		return 0, nil
	})
	_, err := repair(disk, dir)
	require.ErrorIs(t, err, errDisk)
	for name, content := range images {
		kept, err := os.ReadFile(filepath.Join(dir, "dead", name))
		require.NoError(t, err)
		assert.Equal(t, content, kept)
	}
	assert.Empty(t, quarantined(t, dir))
}
