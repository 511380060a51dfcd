package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Vault is the database as the [Keyring] needs it: it keeps keys that are
// sealed with a secret that it does not know.
type Vault interface {
	// SealKey stores a sealed key, in place of an earlier one of the same
	// fingerprint.
	SealKey(ctx context.Context, fingerprint string, sealed []byte) error
	// SealedKeys are all stored keys by fingerprint.
	SealedKeys(ctx context.Context) (map[string][]byte, error)
}

// KeyringOptions configure a [Keyring]. A zero number or duration stands for
// its default.
type KeyringOptions struct {
	Secret []byte // 32 bytes, BURSAR_SECRETS_KEY; empty: keys are held in memory only
	Vault  Vault  // needed with a secret

	Max            int           // keys held; default 10,000
	ReloadInterval time.Duration // between looks for keys that other replicas sealed; default 1 min
	Registerer     prometheus.Registerer
	Logger         zerolog.Logger
}

// Keyring holds the OpenRouter keys of the calls that went through, for as long
// as their costs may have to be asked for: in memory and, with a secret, sealed
// in the database, where a later process or another replica finds them. Beyond
// its bound it lets go of the keys that were used least recently.
//
// It never prints a key, whatever it is formatted with. Safe for concurrent
// use.
type Keyring struct {
	opts   KeyringOptions
	sealer *sealer // nil: without a secret
	seed   maphash.Seed

	// A call finds its key in one of the shards, under that shard's read lock
	// only. What is rare goes over mu, which is taken before a shard's lock.
	shards [keyShards]keyShard

	mu            sync.RWMutex
	byFingerprint map[string]*heldKey

	fresh      chan struct{} // capacity 1: a key is held that is not stored
	evicted    prometheus.Counter
	unreadable prometheus.Gauge
	vaulting   outage

	lastUnreadable int // belongs to Run
}

const keyShards = 32

type keyShard struct {
	sync.RWMutex
	held map[string]*heldKey // by key
	_    [64]byte            // keeps neighbours' locks out of one cache line
}

type heldKey struct {
	key, fingerprint string
	used             atomic.Int64 // Unix seconds
	stored           bool         // under Keyring.mu
}

// NewKeyring checks the options. It starts nothing and loads nothing:
// [Keyring.Run] does.
func NewKeyring(o KeyringOptions) (*Keyring, error) {
	if o.Max < 0 || o.ReloadInterval < 0 {
		return nil, errors.New("keyring: the number of keys and the interval must not be negative")
	}
	setDefault(&o.Max, 10_000)
	setDefault(&o.ReloadInterval, time.Minute)
	k := &Keyring{
		opts: o, seed: maphash.MakeSeed(),
		byFingerprint: make(map[string]*heldKey),
		fresh:         make(chan struct{}, 1),
		vaulting:      outage{log: o.Logger, what: "storing and loading sealed keys; they are held in memory"},
	}
	for i := range k.shards {
		k.shards[i].held = make(map[string]*heldKey)
	}
	if len(o.Secret) > 0 {
		if o.Vault == nil {
			return nil, errors.New("keyring: with a secret it needs a vault")
		}
		var err error
		if k.sealer, err = newSealer(o.Secret); err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		k.opts.Secret = nil // the sealer has it; one place less to leak from
	}
	k.register(o.Registerer)
	return k, nil
}

func (k *Keyring) register(reg prometheus.Registerer) {
	factory := promauto.With(reg)
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bursar_keys_held",
		Help: "OpenRouter keys in memory, for settling the calls they made.",
	}, func() float64 {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return float64(len(k.byFingerprint))
	})
	k.evicted = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_keys_evicted_total",
		Help: "Keys let go of because there were too many.",
	})
	k.unreadable = factory.NewGauge(prometheus.GaugeOpts{
		Name: "bursar_keys_unreadable",
		Help: "Stored keys that were sealed with another secret.",
	})
}

// Hold keeps the key and returns its fingerprint, see [accounting.Fingerprint].
// It is for every call: a known key costs a read lock of one shard and no
// allocation. The empty key has the empty fingerprint and is not held.
func (k *Keyring) Hold(key string) (fingerprint string) {
	if key == "" {
		return ""
	}
	shard, now := k.shard(key), time.Now().Unix()
	shard.RLock()
	h := shard.held[key]
	shard.RUnlock()
	if h == nil {
		h = k.add(strings.Clone(key), now, false)
	}
	if h.used.Load() != now { // or all cores would write to it all the time
		h.used.Store(now)
	}
	return h.fingerprint
}

// Key is the key with this fingerprint, false if it is not held.
func (k *Keyring) Key(fingerprint string) (string, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	h := k.byFingerprint[fingerprint]
	if h == nil {
		return "", false
	}
	return h.key, true
}

// Fingerprints lists the held keys, in no particular order.
func (k *Keyring) Fingerprints() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	list := make([]string, 0, len(k.byFingerprint))
	for f := range k.byFingerprint {
		list = append(list, f)
	}
	return list
}

// add holds a key that was not, if it has not appeared meanwhile.
func (k *Keyring) add(key string, now int64, stored bool) *heldKey {
	fingerprint := accounting.Fingerprint(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.byFingerprint[fingerprint]; h != nil {
		return h
	}
	h := &heldKey{key: key, fingerprint: fingerprint, stored: stored}
	h.used.Store(now)
	if len(k.byFingerprint) >= k.opts.Max {
		k.evict()
	}
	k.byFingerprint[fingerprint] = h
	shard := k.shard(key)
	shard.Lock()
	shard.held[key] = h
	shard.Unlock()
	if !stored && k.sealer != nil {
		select {
		case k.fresh <- struct{}{}:
		default:
		}
	}
	return h
}

// evict lets go of the hundredth of the keys, or the one, that were used least
// recently: a sweep over all is dear, so it makes room for many. The caller
// holds mu.
func (k *Keyring) evict() {
	all := make([]*heldKey, 0, len(k.byFingerprint))
	for _, h := range k.byFingerprint {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b *heldKey) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, h := range all[:max(1, len(all)/100)] {
		delete(k.byFingerprint, h.fingerprint)
		shard := k.shard(h.key)
		shard.Lock()
		delete(shard.held, h.key)
		shard.Unlock()
		k.evicted.Inc()
	}
}

func (k *Keyring) shard(key string) *keyShard {
	return &k.shards[maphash.String(k.seed, key)%keyShards]
}

// Format prints the number of keys for every verb, so that none can print a
// key.
func (k *Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String says how many keys are held.
func (k *Keyring) String() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return fmt.Sprintf("Keyring(%d keys)", len(k.byFingerprint))
}

// MarshalText is String, for encoding/json and the like.
func (k *Keyring) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
