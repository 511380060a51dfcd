package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestInspectCountsWhatAJournalHoldsAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	good, bad, torn := segmentName{seq: 1, salt: 1}, segmentName{seq: 2, salt: 2}, segmentName{seq: 3, salt: 3}
	id := newID()
	image, _ := segmentImage(t, good, opened(id), identified(id), closed(id))
	badImage, offsets := segmentImage(t, bad, closed(newID()), closed(newID()))
	badImage[offsets[0]+20] ^= 1
	tornImage, _ := segmentImage(t, torn, closed(newID()), closed(newID()))
	tornImage = tornImage[:len(tornImage)-10]
	deadJournal(t, dir, map[string][]byte{good.String(): image, bad.String(): badImage, torn.String(): tornImage})
	require.NoError(t, os.MkdirAll(filepath.Join(dir, quarantineDir), dirMode))
	aside := filepath.Join(dir, quarantineDir, "some-name-"+bad.String()+damagedSuffix)
	require.NoError(t, os.WriteFile(aside, badImage, fileMode))

	seen := 0
	reports, err := Inspect(dir, func(_ string, e *accounting.Event) error { seen++; return nil })
	require.NoError(t, err)
	require.Len(t, reports, 4)
	assert.Equal(t, map[accounting.Kind]int{accounting.Opened: 1, accounting.Identified: 1, accounting.Closed: 1}, reports[0].Events)
	assert.EqualValues(t, len(image), reports[0].Bytes)
	assert.Zero(t, reports[0].Damages)
	assert.Equal(t, 1, reports[1].Damages)
	assert.Equal(t, offsets[1]-offsets[0], reports[1].DamagedBytes)
	assert.Positive(t, reports[2].TornBytes)
	assert.Zero(t, reports[2].Damages)
	assert.Equal(t, aside, reports[3].Path)
	assert.Equal(t, 1, reports[3].Events[accounting.Closed])
	assert.Equal(t, 6, seen)

	kept, err := os.ReadFile(filepath.Join(dir, "dead", bad.String()))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(badImage, kept))
}

func TestInspectReadsALivingJournal(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	id := newID()
	mustAppend(t, j, opened(id), closed(id))
	reports, err := Inspect(opts.Dir, nil)
	require.NoError(t, err)
	require.Len(t, reports, 1)
	assert.Equal(t, map[accounting.Kind]int{accounting.Opened: 1, accounting.Closed: 1}, reports[0].Events)
}
