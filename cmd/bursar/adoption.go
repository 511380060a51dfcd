package main

import (
	"context"
	"sync"
	"time"
)

// deadProcesses are those whose journals were adopted and whose lookups were
// not yet taken back. Safe for concurrent use.
type deadProcesses struct {
	mu    sync.Mutex
	names []string
}

func (d *deadProcesses) add(instance string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = append(d.names, instance)
}

// each calls bury with every name, and forgets those for which it returns true.
func (d *deadProcesses) each(bury func(instance string) bool) {
	d.mu.Lock()
	names := d.names
	d.names = nil
	d.mu.Unlock()
	for _, name := range names {
		if !bury(name) {
			d.add(name)
		}
	}
}

// adopt takes over, from time to time, what died beside us: the journals, and
// the calls that were being looked up.
func (p *program) adopt(ctx context.Context) error {
	ticker := time.NewTicker(p.cfg.Journal.AdoptEvery)
	defer ticker.Stop()
	for {
		p.dead.each(func(instance string) bool { return p.releaseClaims(ctx, instance) })
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		adopted, err := p.journal.Adopt()
		if err != nil {
			p.log.Warn().Err(err).Msg("journals of dead processes could not all be adopted")
		}
		if adopted > 0 {
			p.log.Info().Int("journals", adopted).Msg("adopted journals of dead processes")
		}
	}
}

// releaseClaims has the rows that a dead process was looking up looked up
// again, without the wait for the end of their leases. It reports whether there
// is nothing left to do.
func (p *program) releaseClaims(ctx context.Context, instance string) bool {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	released, err := p.store.ReleaseClaims(ctx, instance, p.keyring.Fingerprints(), time.Now(), p.settler.Lease())
	if err != nil {
		p.log.Debug().Err(err).Msg("the lookups of a dead process could not be taken back yet")
		return false
	}
	if released > 0 {
		p.log.Info().Int64("calls", released).Str("from", instance).Msg("lookups of a dead process are made again")
		p.settler.Wake()
	}
	return true
}
