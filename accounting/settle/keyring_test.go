package settle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const testKey = "sk-or-v1-0123456789abcdef"

var testSecret = bytes.Repeat([]byte{7}, 32)

// fakeVault keeps what it is given.
type fakeVault struct {
	mu     sync.Mutex
	sealed map[string][]byte
	err    error
	writes int
}

func newFakeVault() *fakeVault { return &fakeVault{sealed: make(map[string][]byte)} }

func (v *fakeVault) SealKey(_ context.Context, fingerprint string, sealed []byte) error {
	meet()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.writes++
		v.sealed[fingerprint] = sealed
	}
	return v.err
}

func (v *fakeVault) SealedKeys(context.Context) (map[string][]byte, error) {
	meet()
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.sealed), v.err
}

func (v *fakeVault) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

func newTestKeyring(t *testing.T, o KeyringOptions) *Keyring {
	t.Helper()
	k, err := NewKeyring(o)
	require.NoError(t, err)
	return k
}

func runKeyring(t *testing.T, k *Keyring) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return func() {
		cancel()
		assert.NoError(t, <-done)
	}
}

func TestAHeldKeyIsFoundByItsFingerprint(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{})
	fingerprint := k.Hold(testKey)
	assert.Equal(t, accounting.Fingerprint(testKey), fingerprint)
	assert.Equal(t, fingerprint, k.Hold(testKey))
	key, ok := k.Key(fingerprint)
	assert.True(t, ok)
	assert.Equal(t, testKey, key)
	assert.Equal(t, []string{fingerprint}, k.Fingerprints())

	assert.Empty(t, k.Hold(""))
	_, ok = k.Key("")
	assert.False(t, ok)
	assert.Len(t, k.Fingerprints(), 1)
}

func TestHoldingAKnownKeyAllocatesNothing(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{})
	k.Hold(testKey)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { k.Hold(testKey) }))
}

func TestTheKeysUsedLeastRecentlyAreLetGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		k := newTestKeyring(t, KeyringOptions{Max: 3, Registerer: reg})
		for i := range 3 {
			k.Hold(fmt.Sprint("key-", i))
			pass(time.Second)
		}
		k.Hold("key-0") // used again: key-1 is the oldest now
		pass(time.Second)
		k.Hold("key-3")
		_, ok := k.Key(accounting.Fingerprint("key-1"))
		assert.False(t, ok)
		for _, kept := range []string{"key-0", "key-2", "key-3"} {
			_, ok := k.Key(accounting.Fingerprint(kept))
			assert.True(t, ok, kept)
		}
		assert.Equal(t, 1.0, metric(t, reg, "bursar_keys_evicted_total"))
		assert.Equal(t, 3.0, metric(t, reg, "bursar_keys_held"))
		assert.Equal(t, accounting.Fingerprint("key-1"), k.Hold("key-1"), "and is held again when it comes back")
	})
}

func TestConcurrentCallsHoldKeysWithinTheBound(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{Max: 50})
	var calls sync.WaitGroup
	for g := range 8 {
		calls.Go(func() {
			for i := range 500 {
				key := fmt.Sprint("key-", (i*7+g)%120)
				if k.Hold(key) != accounting.Fingerprint(key) {
					t.Errorf("%s has another's fingerprint", key)
				}
			}
		})
	}
	calls.Wait()
	assert.LessOrEqual(t, len(k.Fingerprints()), 50)
	held := 0
	for i := range k.shards {
		held += len(k.shards[i].held)
	}
	assert.Len(t, k.Fingerprints(), held, "both indexes agree")
}

func TestNoWayOfPrintingAKeyringShowsAKey(t *testing.T) {
	k := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: newFakeVault()})
	k.Hold(testKey)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", struct{ K *Keyring }{k})
	}
	text, err := json.Marshal(map[string]any{"k": k})
	require.NoError(t, err)
	out.Write(text)
	logger := zerolog.New(&out)
	logger.Info().Interface("k", k).Stringer("s", k).Any("a", k).Msg("")
	for _, secret := range []string{testKey, fmt.Sprintf("%x", testKey), fmt.Sprintf("%X", testKey), fmt.Sprintf("%x", testSecret), "[7 7 7"} {
		assert.NotContains(t, out.String(), secret)
	}
	assert.Contains(t, out.String(), "Keyring(1 keys)")
}

func TestASealedKeyIsThereAfterARestartAndForOtherReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vault := newFakeVault()
		other := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault})
		stopOther := runKeyring(t, other)
		k := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault})
		stop := runKeyring(t, k)
		pass(10 * time.Second)
		fingerprint := k.Hold(testKey)
		pass(time.Millisecond)
		require.Contains(t, vault.sealed, fingerprint, "stored at once")
		assert.NotContains(t, string(vault.sealed[fingerprint]), testKey)
		stop()

		again := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault})
		defer runKeyring(t, again)()
		pass(time.Second)
		key, ok := again.Key(fingerprint)
		assert.True(t, ok)
		assert.Equal(t, testKey, key)
		pass(time.Minute)
		_, ok = other.Key(fingerprint)
		assert.True(t, ok, "a replica that was running finds it")
		stopOther()
		assert.Equal(t, 1, vault.writes, "a stored key is not stored again")
	})
}

func TestKeysOfAnotherSecretAreCountedLoggedOnceAndLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vault, log, reg := newFakeVault(), new(logBook), prometheus.NewRegistry()
		foreign, err := newSealer(bytes.Repeat([]byte{8}, 32))
		require.NoError(t, err)
		own, err := newSealer(testSecret)
		require.NoError(t, err)
		vault.sealed["f1"] = foreign.seal("f1", "sk-1")
		vault.sealed["f2"] = []byte("nonsense")
		vault.sealed["f3"] = nil
		moved := accounting.Fingerprint("sk-4")
		vault.sealed["f4"] = own.seal(moved, "sk-4") // another row's ciphertext
		before := maps.Clone(vault.sealed)
		k := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault, Registerer: reg, Logger: log.logger()})
		defer runKeyring(t, k)()
		pass(time.Hour)
		assert.Empty(t, k.Fingerprints())
		assert.Equal(t, 4.0, metric(t, reg, "bursar_keys_unreadable"))
		assert.Equal(t, 1, log.lines("sealed with another BURSAR_SECRETS_KEY"))
		assert.Equal(t, before, vault.sealed)
	})
}

func TestWithTheVaultAwayKeysAreHeldAndStoredLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vault, log := newFakeVault(), new(logBook)
		vault.err = errors.New("connection refused")
		k := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault, Logger: log.logger()})
		defer runKeyring(t, k)()
		fingerprint := k.Hold(testKey)
		pass(time.Hour)
		_, ok := k.Key(fingerprint)
		assert.True(t, ok)
		assert.Equal(t, 1, log.lines("trouble with storing and loading sealed keys"))
		vault.set(func() { vault.err = nil })
		pass(2 * time.Minute)
		assert.Contains(t, vault.sealed, fingerprint)
		assert.Equal(t, 1, log.lines("no more trouble with storing"))
		assert.NotContains(t, log.String(), testKey)
	})
}

func TestLoadedKeysDriveNoneOutThatIsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vault := newFakeVault()
		own, err := newSealer(testSecret)
		require.NoError(t, err)
		for i := range 10 {
			key := fmt.Sprint("stored-", i)
			f := accounting.Fingerprint(key)
			vault.sealed[f] = own.seal(f, key)
		}
		k := newTestKeyring(t, KeyringOptions{Secret: testSecret, Vault: vault, Max: 4})
		a, b := k.Hold("live-a"), k.Hold("live-b")
		defer runKeyring(t, k)()
		pass(time.Second)
		assert.Len(t, k.Fingerprints(), 4)
		c := k.Hold("live-c")
		for _, f := range []string{a, b, c} {
			_, ok := k.Key(f)
			assert.True(t, ok)
		}
	})
}

func TestWithoutASecretNothingIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		vault := newFakeVault()
		k := newTestKeyring(t, KeyringOptions{Vault: vault})
		stop := runKeyring(t, k)
		k.Hold(testKey)
		pass(time.Hour)
		stop()
		assert.Empty(t, vault.sealed)
	})
}

func TestOptionsOfAKeyringAreChecked(t *testing.T) {
	for _, o := range []KeyringOptions{
		{Max: -1},
		{Secret: testSecret},
		{Secret: testSecret[:31], Vault: newFakeVault()},
	} {
		_, err := NewKeyring(o)
		assert.Error(t, err)
		assert.NotContains(t, fmt.Sprint(err), "7 7")
	}
}

func BenchmarkHoldOfAKnownKey(b *testing.B) {
	k, err := NewKeyring(KeyringOptions{})
	require.NoError(b, err)
	k.Hold(testKey)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k.Hold(testKey)
		}
	})
}
