package settle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// vaultTimeout bounds one statement of the vault.
const vaultTimeout = 10 * time.Second

// Run loads the stored keys, stores newly held ones as they come and looks for
// those of other replicas now and then, until ctx ends; it returns nil. Without
// a secret it only waits.
func (k *Keyring) Run(ctx context.Context) error {
	if k.sealer == nil {
		<-ctx.Done()
		return nil
	}
	retry := backoff{first: min(time.Second, k.opts.ReloadInterval), most: k.opts.ReloadInterval}
	for failures := 0; ctx.Err() == nil; {
		err := k.load(ctx)
		if err == nil {
			err = k.store(ctx)
		}
		wait := k.opts.ReloadInterval
		switch {
		case err == nil:
			failures = 0
			k.vaulting.ended()
		case ctx.Err() == nil:
			k.vaulting.failed(err)
			wait = retry.delay(failures, rand.Float64())
			failures++
		}
		k.storeUntil(ctx, wait, err == nil)
	}
	return nil
}

// storeUntil waits for d or the end of ctx. Keys that are held meanwhile are
// stored at once, unless the vault is in trouble.
func (k *Keyring) storeUntil(ctx context.Context, d time.Duration, healthy bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	fresh := k.fresh
	if !healthy {
		fresh = nil
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-fresh:
			if k.store(ctx) != nil {
				return // Run tries again, and logs if that fails too
			}
		}
	}
}

// load holds the stored keys that this process can open, as far as there is
// room: it drives out none that is in use here. Those it cannot open belong to
// another secret; they are counted, and never deleted.
func (k *Keyring) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, vaultTimeout)
	defer cancel()
	sealed, err := k.opts.Vault.SealedKeys(ctx)
	if err != nil {
		return fmt.Errorf("load sealed keys: %w", err)
	}
	unreadable := 0
	for fingerprint, ciphertext := range sealed {
		if _, held := k.Key(fingerprint); held {
			continue
		}
		key, err := k.sealer.open(fingerprint, ciphertext)
		if err != nil {
			unreadable++
			continue
		}
		k.mu.RLock()
		full := len(k.byFingerprint) >= k.opts.Max
		k.mu.RUnlock()
		if !full {
			k.add(key, 0, true)
		}
	}
	k.noteUnreadable(unreadable)
	return nil
}

// noteUnreadable counts the stored keys of another secret, and logs when their
// number changes. Only Run's goroutine calls it.
func (k *Keyring) noteUnreadable(n int) {
	if n == k.lastUnreadable {
		return
	}
	k.lastUnreadable = n
	k.unreadable.Set(float64(n))
	if n > 0 {
		k.opts.Logger.Warn().Int("keys", n).
			Msg("stored keys were sealed with another BURSAR_SECRETS_KEY; the calls they made wait for them")
	}
}

// store seals and stores the held keys that are not stored yet.
func (k *Keyring) store(ctx context.Context) error {
	k.mu.RLock()
	var fresh []*heldKey
	for _, h := range k.byFingerprint {
		if !h.stored {
			fresh = append(fresh, h)
		}
	}
	k.mu.RUnlock()
	for _, h := range fresh {
		if err := k.storeOne(ctx, h); err != nil {
			return fmt.Errorf("store sealed key %.8s…: %w", h.fingerprint, err)
		}
	}
	return nil
}

func (k *Keyring) storeOne(ctx context.Context, h *heldKey) error {
	ctx, cancel := context.WithTimeout(ctx, vaultTimeout)
	defer cancel()
	if err := k.opts.Vault.SealKey(ctx, h.fingerprint, k.sealer.seal(h.fingerprint, h.key)); err != nil {
		return err
	}
	k.mu.Lock()
	h.stored = true
	k.mu.Unlock()
	return nil
}
