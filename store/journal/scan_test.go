package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// segmentImage is the content of a segment with the given events, and where each
// frame begins (and, last, where the file ends).
func segmentImage(t testing.TB, name segmentName, events ...*accounting.Event) (image []byte, offsets []int64) {
	t.Helper()
	image = name.header()
	for _, e := range events {
		offsets = append(offsets, int64(len(image)))
		frame, err := appendFrame(nil, e)
		require.NoError(t, err)
		saltFrames(frame, name.salt)
		image = append(image, frame...)
	}
	return image, append(offsets, int64(len(image)))
}

// scanAll returns the offsets of all frames in an image.
func scanAll(image []byte, salt uint32) (offsets []int64, scan *scanner) {
	scan = &scanner{src: bytes.NewReader(image), salt: salt, off: headerSize, limit: int64(len(image))}
	for {
		_, off, ok := scan.next()
		if !ok {
			return offsets, scan
		}
		offsets = append(offsets, off)
	}
}

// deadJournal puts segment files where a dead process would have left them.
func deadJournal(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	instance := filepath.Join(dir, "dead")
	require.NoError(t, os.MkdirAll(instance, dirMode))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(instance, name), content, fileMode))
	}
}

func quarantined(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, quarantineDir, "*"))
	require.NoError(t, err)
	return files
}

func TestATailTornAtAnyByteLosesOnlyTheFrameItCut(t *testing.T) {
	name := segmentName{shard: 0, seq: 1, salt: rand.Uint32()}
	events := []*accounting.Event{closed(newID()), closed(newID()), closed(newID())}
	image, offsets := segmentImage(t, name, events...)
	for cut := range len(image) {
		whole := 0
		for whole < len(events) && offsets[whole+1] <= int64(cut) {
			whole++
		}
		got, scan := scanAll(image[:cut], name.salt)
		require.Len(t, got, whole, "cut at %d", cut)
		require.False(t, scan.damaged(true), "an unfinished write is normal (cut at %d)", cut)
	}
	// And through the whole journal, at some of them.
	for _, cut := range []int64{0, 1, headerSize - 1, headerSize, offsets[1] - 1, offsets[1], offsets[1] + 1, offsets[1] + frameHeader, offsets[2] + 50} {
		dir := t.TempDir()
		deadJournal(t, dir, map[string][]byte{name.String(): image[:cut]})
		j := mustOpen(t, testOptions(dir))
		got := drainAndAck(t, j)
		whole := 0
		for offsets[whole+1] <= cut {
			whole++
		}
		requireEvents(t, got, events[:whole]...)
		settle(t, j)
		requireInstances(t, dir, j.Instance())
		require.Empty(t, quarantined(t, dir))
		require.NoError(t, j.Close())
	}
}

func TestATailOfZerosOrRubbishIsNotAFrame(t *testing.T) {
	name := segmentName{salt: rand.Uint32(), seq: 1}
	image, offsets := segmentImage(t, name, closed(newID()))
	other, _ := segmentImage(t, segmentName{salt: name.salt + 1}, closed(newID()))
	rubbish := make([]byte, 5000)
	for i := range rubbish {
		rubbish[i] = byte(rand.Uint32())
	}
	for what, tail := range map[string][]byte{
		"zeros": make([]byte, 5000), "rubbish": rubbish, "frames of another segment": other[headerSize:],
	} {
		got, _ := scanAll(append(bytes.Clone(image), tail...), name.salt)
		assert.Equal(t, offsets[:1], got, what)
	}
}

func TestAFlippedBitCostsOneFrameAndNoOther(t *testing.T) {
	name := segmentName{seq: 1, salt: rand.Uint32()}
	var events []*accounting.Event
	for range 4 {
		events = append(events, closed(newID()))
	}
	image, offsets := segmentImage(t, name, events...)
	for bit := headerSize * 8; bit < len(image)*8; bit++ {
		damaged := bytes.Clone(image)
		damaged[bit/8] ^= 1 << (bit % 8)
		got, scan := scanAll(damaged, name.salt)
		var want []int64
		hit := 0
		for i := range events {
			if at := int64(bit / 8); at >= offsets[i] && at < offsets[i+1] {
				hit = i
				continue
			}
			want = append(want, offsets[i])
		}
		require.Equal(t, want, got, "bit %d", bit)
		// The length of the last frame may be flipped so that it seems cut off.
		inLength := int64(bit/8) < offsets[hit]+4
		require.True(t, scan.damaged(true) || hit == len(events)-1 && inLength, "bit %d", bit)
	}
}

func TestADamagedSegmentIsSetAsideAndWhatIsGoodInItIsDelivered(t *testing.T) {
	name := segmentName{seq: 7, salt: rand.Uint32()}
	events := []*accounting.Event{closed(newID()), closed(newID()), closed(newID())}
	image, offsets := segmentImage(t, name, events...)
	for what, at := range map[string]int64{
		"magic": 0, "version": 8, "salt in the header": 24,
		"length": offsets[1], "checksum": offsets[1] + 4, "kind": offsets[1] + 8, "text": offsets[1] + 40,
		"last frame": offsets[2] + 20,
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			damaged := bytes.Clone(image)
			damaged[at] ^= 0x10
			deadJournal(t, dir, map[string][]byte{name.String(): damaged})
			j := mustOpen(t, testOptions(dir))
			got := drainAndAck(t, j)
			switch {
			case at < headerSize:
				requireEvents(t, got, events...)
			case at < offsets[2]:
				requireEvents(t, got, events[0], events[2])
			default:
				requireEvents(t, got, events[0], events[1])
			}
			settle(t, j)
			requireInstances(t, dir, j.Instance())
			assert.Positive(t, j.Stats().Damages)
			assert.EqualValues(t, 1, j.Stats().Quarantined)
			files := quarantined(t, dir)
			require.Len(t, files, 1)
			kept, err := os.ReadFile(files[0])
			require.NoError(t, err)
			assert.Equal(t, damaged, kept)
			assert.Equal(t, "dead-"+name.String()+".damaged", filepath.Base(files[0]))
		})
	}
}

func TestASegmentThatEndsEarlyBeforeAnotherIsSetAside(t *testing.T) {
	first, second := segmentName{seq: 1, salt: 1}, segmentName{seq: 2, salt: 2}
	a, b, c := closed(newID()), closed(newID()), closed(newID())
	image1, _ := segmentImage(t, first, a, b)
	image2, _ := segmentImage(t, second, c)
	dir := t.TempDir()
	deadJournal(t, dir, map[string][]byte{first.String(): image1[:len(image1)-9], second.String(): image2})
	j := mustOpen(t, testOptions(dir))
	requireEvents(t, drainAndAck(t, j), a, c)
	settle(t, j)
	assert.Len(t, quarantined(t, dir), 1)
}

func TestASegmentOfANewerVersionIsSetAsideUnread(t *testing.T) {
	name := segmentName{seq: 1, salt: 3}
	image, _ := segmentImage(t, name, closed(newID()))
	image[8] = formatVersion + 1
	sum := newerHeaderSum(image)
	copy(image[headerSize-4:], sum)
	dir := t.TempDir()
	deadJournal(t, dir, map[string][]byte{name.String(): image})
	j := mustOpen(t, testOptions(dir))
	assert.Empty(t, drain(t, j))
	settle(t, j)
	assert.Len(t, quarantined(t, dir), 1)
}

func TestAnEventKindOfANewerVersionIsKeptForIt(t *testing.T) {
	name := segmentName{seq: 1, salt: 3}
	strange := closed(newID())
	strange.Kind = 77
	good := closed(newID())
	image, _ := segmentImage(t, name, strange, good)
	dir := t.TempDir()
	deadJournal(t, dir, map[string][]byte{name.String(): image})
	j := mustOpen(t, testOptions(dir))
	requireEvents(t, drainAndAck(t, j), good)
	settle(t, j)
	assert.EqualValues(t, 1, j.Stats().Unknown)
	assert.Len(t, quarantined(t, dir), 1)
}

func TestAPageTheDiskCannotReadHidesNothingBehindIt(t *testing.T) {
	name := segmentName{seq: 1, salt: rand.Uint32()}
	var events []*accounting.Event
	for range 60 {
		events = append(events, closed(newID()))
	}
	image, offsets := segmentImage(t, name, events...)
	require.Greater(t, len(image), 3*pageSize)
	src := brokenPage{bytes.NewReader(image), headerSize + pageSize, headerSize + 2*pageSize}
	scan := scanner{src: src, salt: name.salt, off: headerSize, limit: int64(len(image))}
	var got []int64
	for {
		_, off, ok := scan.next()
		if !ok {
			break
		}
		got = append(got, off)
	}
	var want []int64
	for i := range events {
		if offsets[i+1] <= src.from || offsets[i] >= src.to {
			want = append(want, offsets[i])
		}
	}
	assert.Equal(t, want, got)
	assert.True(t, scan.damaged(true))
}

type brokenPage struct {
	*bytes.Reader
	from, to int64
}

func (b brokenPage) ReadAt(p []byte, off int64) (int, error) {
	if off < b.to && off+int64(len(p)) > b.from {
		n, _ := b.Reader.ReadAt(p[:max(0, b.from-off)], off)
		return n, fmt.Errorf("input/output error")
	}
	return b.Reader.ReadAt(p, off)
}

func FuzzScanFindsOnlyWhatIsIntact(f *testing.F) {
	name := segmentName{seq: 1, salt: 0x12345678}
	image, _ := segmentImage(f, name, closed(newID()), opened(newID()))
	f.Add(image[headerSize:])
	f.Add(append([]byte{0, 1, 2}, image[headerSize:]...))
	f.Fuzz(func(t *testing.T, body []byte) {
		image := append(name.header(), body...)
		scan := scanner{src: bytes.NewReader(image), salt: name.salt, off: headerSize, limit: int64(len(image))}
		at := int64(headerSize)
		for {
			payload, off, ok := scan.next()
			if !ok {
				break
			}
			if off < at || !intact(image[off:off+frameHeader+int64(len(payload))], name.salt) {
				t.Fatalf("frame at %d", off)
			}
			at = off + frameHeader + int64(len(payload))
		}
		if cap(scan.buf) > windowSize+frameHeader+maxPayload {
			t.Fatalf("the window grew to %d bytes", cap(scan.buf))
		}
	})
}
