package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/store/journal"
	"bursar/store/postgres"
)

// journalCollector shows the journal's own counts at each scrape.
type journalCollector struct {
	stats                                                     func() journal.Stats
	depth, open, bytes, segments, full, appends, syncErrors   *prometheus.Desc
	damages, interrupted, adopted, lost, appendErrors, unread *prometheus.Desc
	damagedBytes, tornTails, quarantined, rescued             *prometheus.Desc
}

func newJournalCollector(stats func() journal.Stats) *journalCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("bursar_journal_"+name, help, nil, nil)
	}
	return &journalCollector{
		stats:        stats,
		depth:        desc("depth", "Events in the journal that are not yet in Postgres."),
		open:         desc("open_calls", "Calls that were opened and not closed."),
		bytes:        desc("bytes", "Size of the journal on disk."),
		segments:     desc("segments", "Files of the journal."),
		full:         desc("full", "1 while new calls cannot be journaled."),
		appends:      desc("appends_total", "Events written."),
		appendErrors: desc("refused_appends_total", "Events that the journal did not take."),
		syncErrors:   desc("sync_errors_total", "Syncs to disk that failed."),
		lost:         desc("lost_total", "Events that could not be read back after a failed sync."),
		damages:      desc("damages_total", "Places in journal files that did not hold what was written."),
		damagedBytes: desc("damaged_bytes_total", "Their size."),
		tornTails:    desc("torn_tails_total", "Files of dead processes that end in an unfinished write, which is normal."),
		quarantined:  desc("quarantined_total", "Damaged files that were set aside."),
		rescued:      desc("rescued_total", "Events that were written again after a failed sync."),
		interrupted:  desc("interrupted_total", "Calls of dead processes that were never closed."),
		adopted:      desc("adopted_instances", "Journals of dead processes that are being shipped."),
		unread:       desc("adopted_unread_bytes", "Bytes in them that were not read yet."),
	}
}

// Describe implements prometheus.Collector.
func (c *journalCollector) Describe(out chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, out)
}

// Collect implements prometheus.Collector.
func (c *journalCollector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	full := 0.0
	if s.Full {
		full = 1
	}
	for desc, value := range map[*prometheus.Desc]float64{
		c.depth: float64(s.Depth), c.open: float64(s.Open), c.bytes: float64(s.Bytes), c.segments: float64(s.Segments),
		c.full: full, c.adopted: float64(s.AdoptedInstances), c.unread: float64(s.AdoptedUnread),
	} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	for desc, value := range map[*prometheus.Desc]uint64{
		c.appends: s.Appends, c.appendErrors: s.AppendErrors, c.syncErrors: s.SyncErrors, c.lost: s.Lost,
		c.damages: s.Damages, c.interrupted: s.Interrupted, c.damagedBytes: s.DamagedBytes, c.tornTails: s.TornTails,
		c.quarantined: s.Quarantined, c.rescued: s.Rescued,
	} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
}

// backlogCollector shows how much of the ledger is still open. It asks the
// database in a loop of its own, so that a scrape never waits for it.
type backlogCollector struct {
	store *postgres.Store
	log   zerolog.Logger
	calls *prometheus.Desc
	age   *prometheus.Desc

	mu    sync.Mutex
	known bool // the last look succeeded
	last  postgres.Backlog
}

const backlogInterval = 5 * time.Second

func newBacklogCollector(store *postgres.Store, log zerolog.Logger) *backlogCollector {
	return &backlogCollector{store: store, log: log,
		calls: prometheus.NewDesc("bursar_unsettled_calls", "Calls whose exact cost is missing or not verified, by state.", []string{"state"}, nil),
		age:   prometheus.NewDesc("bursar_oldest_pending_seconds", "Age of the oldest call whose cost is still being asked for.", nil, nil),
	}
}

// Run asks until ctx ends.
func (c *backlogCollector) Run(ctx context.Context) error {
	ticker := time.NewTicker(backlogInterval)
	defer ticker.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, backlogInterval)
		backlog, err := c.store.Backlog(look)
		cancel()
		c.mu.Lock()
		c.last, c.known = backlog, err == nil
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(out chan<- *prometheus.Desc) { out <- c.calls; out <- c.age }

// Collect implements prometheus.Collector. While the database is away there is
// nothing to show: unknown is not zero.
func (c *backlogCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return
	}
	for state, n := range map[string]int64{
		"pending": c.last.Pending, "awaiting_key": c.last.AwaitingKey, "unresolved": c.last.Unresolved,
		"interrupted": c.last.Interrupted, "unverified": c.last.Unverified,
	} {
		out <- prometheus.MustNewConstMetric(c.calls, prometheus.GaugeValue, float64(n), state)
	}
	out <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, c.last.OldestPending.Seconds())
}
