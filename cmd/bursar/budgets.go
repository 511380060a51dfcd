package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"bursar/accounting"
	"bursar/accounting/guard"
	"bursar/accounting/settle"
	"bursar/proxy/openrouter"
	"bursar/store/postgres"
)

// budgeting is what holds calls to their budgets.
type budgeting struct {
	replica string // whose leases this life of the process spends
	guard   *guard.Guard
	prices  *settle.Prices
	rules   *knownRules
	rate    budgetRate
}

// knownRules passes the guard's rules on and remembers the budgets in them, for
// the words of refusals.
type knownRules struct {
	*postgres.Store
	budgets atomic.Pointer[map[string]accounting.Budget]
}

// GuardRules reads the rules.
func (k *knownRules) GuardRules(ctx context.Context) (accounting.GuardRules, error) {
	rules, err := k.Store.GuardRules(ctx)
	if err != nil {
		return rules, err
	}
	budgets := make(map[string]accounting.Budget, len(rules.Budgets))
	for i := range rules.Budgets {
		budgets[rules.Budgets[i].ID] = rules.Budgets[i]
	}
	k.budgets.Store(&budgets)
	return rules, nil
}

func (k *knownRules) find(id string) (accounting.Budget, bool) {
	budgets := k.budgets.Load()
	if budgets == nil {
		return accounting.Budget{}, false
	}
	b, ok := (*budgets)[id]
	return b, ok
}

// openBudgets opens the guard and the price list that it bounds calls by.
func (p *program) openBudgets(context.Context) error {
	upstream, err := url.Parse(p.cfg.Upstream.URL)
	if err != nil {
		return fmt.Errorf("read BURSAR_UPSTREAM_URL: %w", err)
	}
	b := &p.budgeting
	if b.prices, err = settle.NewPrices(settle.PricesOptions{
		Lists: openrouter.NewClient(upstream, p.transport), Book: p.store, Keys: p.keyring,
		Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	b.rules = &knownRules{Store: p.store}
	var required []accounting.Each
	for _, tag := range p.cfg.Tags.Required {
		required = append(required, accounting.Each(tag))
	}
	if b.guard, err = guard.New(guard.Options{
		Replica: b.replica, Bank: p.store, Rules: b.rules, StopBook: p.store, Recorder: p.recorder,
		StopFile: filepath.Join(p.cfg.Data.Dir, "rules.json"), Required: required,
		Rate: b.rate.present, Shipped: p.allShipped,
		GrantWait: p.cfg.Budgets.GrantWait, RefreshInterval: p.cfg.Budgets.RefreshInterval,
		LeaseIdle: p.cfg.Budgets.LeaseIdle, MaxCached: p.cfg.Budgets.MaxCached,
		Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	p.listeners = append(p.listeners, func([]accounting.Posting) { b.guard.Wake() })
	return nil
}

// allShipped reports whether the database has every call that ended before.
func (p *program) allShipped() bool { return p.shipper.Idle() && p.journal.Stats().Depth == 0 }

// monthlyAI is the budget that exists from the first start.
func (p *program) monthlyAI() accounting.Budget {
	return accounting.Budget{
		ID: accounting.BudgetMonthlyAI, Name: "AI spend of the month", Period: accounting.PeriodMonth, Timezone: "UTC",
		Limit: accounting.Amount{Decimal: p.cfg.MonthlyAI()}, Currency: accounting.EUR, Mode: accounting.ModeSoft,
		OnExceed: accounting.ExceedBlock, NonessentialPurposes: []string{"testing", "research"}, Enabled: true,
	}
}

// closeDeadLeases gives back, from time to time, what dead processes held of
// hard budgets, once everything that they journaled is in Postgres.
func (p *program) closeDeadLeases(ctx context.Context) error {
	ticker := time.NewTicker(p.cfg.Journal.AdoptEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.closeSettledLeases(ctx)
		}
	}
}

func (p *program) closeSettledLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	for _, owner := range p.journal.Owners() {
		if err := p.closeLeases(ctx, owner); err != nil {
			p.log.Debug().Err(err).Str("replica", owner).Msg("the leases of a dead process could not be returned yet")
			continue
		}
		p.log.Info().Str("replica", owner).Msg("everything that a dead process journaled is in Postgres; its leases are returned")
	}
}

// closeLeases returns what a replica held. If this process dies between the two
// steps, the next one does both again.
func (p *program) closeLeases(ctx context.Context, replica string) error {
	if err := p.store.CloseLeases(ctx, replica); err != nil {
		return err
	}
	return p.journal.Disown(replica)
}

// returnLeases ends this replica after the last flush. What it cannot return
// now, whoever adopts its journal returns.
func (p *program) returnLeases() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := p.budgeting.guard.Close(ctx); err != nil {
		p.log.Warn().Err(err).Msg("not all leases were returned; the next start sees to it")
		return
	}
	for p.journal.Stats().AdoptedInstances > 0 && sleepWithin(ctx, 10*time.Millisecond) {
		p.closeSettledLeases(ctx)
	}
	if stats := p.journal.Stats(); stats.Depth > 0 || stats.Open > 0 || !p.shipper.Idle() {
		return // calls that it does not know the end of still hold money
	}
	if err := p.closeLeases(ctx, p.budgeting.replica); err != nil {
		p.log.Warn().Err(err).Msg("this replica's leases could not be closed; the next start sees to it")
	}
}

// sleepWithin reports whether d passed before ctx ended.
func sleepWithin(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
