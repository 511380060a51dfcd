package settle

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// handedOver is what a keyring says to its successor.
func handedOver(t *testing.T, k *Keyring) []byte {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	said := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(read)
		said <- all
	}()
	require.NoError(t, k.HandOver(write))
	require.NoError(t, write.Close())
	return <-said
}

func TestKeysGoOverAPipeToTheNextProcess(t *testing.T) {
	old, next := newTestKeyring(t, KeyringOptions{}), newTestKeyring(t, KeyringOptions{})
	for i := range 5000 { // more than a pipe buffers
		old.Hold(fmt.Sprintf("sk-or-v1-%d-\xff\x00", i))
	}
	next.Hold("sk-or-v1-17-\xff\x00")
	next.Hold("its own")
	said := handedOver(t, old)
	said = append(said, said...) // a later hand-over repeats what came before
	added, err := next.TakeOver(iotest.HalfReader(bytes.NewReader(said)))
	require.NoError(t, err)
	assert.Equal(t, 4999, added)
	assert.Len(t, next.Fingerprints(), 5001)
	key, ok := next.Key(accounting.Fingerprint("sk-or-v1-4999-\xff\x00"))
	assert.True(t, ok)
	assert.Equal(t, "sk-or-v1-4999-\xff\x00", key)
}

func TestKeysThatWereTakenOverKeepTheTimeOfTheirLastUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old := newTestKeyring(t, KeyringOptions{})
		old.Hold("long ago")
		pass(time.Hour)
		old.Hold("just now")
		next := newTestKeyring(t, KeyringOptions{Max: 2})
		_, err := next.TakeOver(bytes.NewReader(old.frames()))
		require.NoError(t, err)
		next.Hold("a new one")
		_, ok := next.Key(accounting.Fingerprint("long ago"))
		assert.False(t, ok, "the least recently used makes room")
		_, ok = next.Key(accounting.Fingerprint("just now"))
		assert.True(t, ok)
	})
}

func TestKeysThatWereTakenOverAreSealed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old := newTestKeyring(t, KeyringOptions{})
		fingerprint := old.Hold(testKey)
		vault := newFakeVault()
		next := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault})
		defer runKeyring(t, next)()
		pass(time.Second)
		_, err := next.TakeOver(bytes.NewReader(old.frames()))
		require.NoError(t, err)
		pass(time.Second)
		assert.Contains(t, vault.sealed, fingerprint)
	})
}

func TestKeysAreHandedToNothingButAPipe(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{})
	k.Hold(testKey)
	path := filepath.Join(t.TempDir(), "keys")
	file, err := os.Create(path)
	require.NoError(t, err)
	require.ErrorIs(t, k.HandOver(file), errNotAPipe)
	require.NoError(t, file.Close())
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Empty(t, written)
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer device.Close()
	require.ErrorIs(t, k.HandOver(device), errNotAPipe)
}

func TestASuccessorThatIsGoneOrDoesNotReadIsAnError(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{})
	for i := range 5000 {
		k.Hold(fmt.Sprint("sk-or-v1-0123456789-", i))
	}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer write.Close()
	require.NoError(t, write.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, k.HandOver(write), os.ErrDeadlineExceeded)
	require.NoError(t, read.Close())
	require.NoError(t, write.SetWriteDeadline(time.Time{}))
	err = k.HandOver(write)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "0123456789")
}

func FuzzTakeOver(f *testing.F) {
	f.Add([]byte("\x03key\x02"))
	f.Add([]byte("\x03key\x02\x03"))
	f.Add([]byte("\x00\x02"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, said []byte) {
		k, err := NewKeyring(KeyringOptions{})
		require.NoError(t, err)
		added, err := k.TakeOver(bytes.NewReader(said))
		assert.Len(t, k.Fingerprints(), added)
		if err != nil {
			return
		}
		again, err := NewKeyring(KeyringOptions{})
		require.NoError(t, err)
		_, err = again.TakeOver(bytes.NewReader(k.frames()))
		require.NoError(t, err)
		assert.ElementsMatch(t, k.Fingerprints(), again.Fingerprints())
	})
}

func TestAHandOverThatBreaksOffKeepsWhatCameBefore(t *testing.T) {
	for said, complaint := range map[string]string{
		"\x03key\x02\x03ke":           "unexpected EOF",
		"\x03key\x02\x03key":          "unexpected EOF",
		"\x03key\x02\x00":             "0 bytes",
		"\x03key\x02\xff\xff\xff\x01": "bytes long",
	} {
		k := newTestKeyring(t, KeyringOptions{})
		added, err := k.TakeOver(bytes.NewReader([]byte(said)))
		assert.ErrorContains(t, err, complaint)
		assert.Equal(t, 1, added)
		_, ok := k.Key(accounting.Fingerprint("key"))
		assert.True(t, ok)
	}
}
