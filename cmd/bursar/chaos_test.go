package main

import (
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres/postgrestest"
)

func TestChaosKillNineOfBursarLosesNothing(t *testing.T) {
	onlyInFull(t, "TestKillNineInTheMiddleOfStreamsLosesNothing")
	t.Parallel()
	c := newChaos(t, postgrestest.New(t))
	b := c.addBursar("BURSAR_JOURNAL_SEGMENT_BYTES=8MiB") // the default, for once
	c.startTraffic()
	for range c.rounds(5) {
		c.pause(100, 700)
		b.kill()
		b.start()
		c.faults++
	}
	c.requireNothingLost(afterKill)
}

func TestChaosPostgresKilledAndAbsentForSecondsLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.NewCluster(t)
	c := newChaos(t, cluster.URL())
	c.addBursar()
	c.startTraffic()
	for round := range c.rounds(3) {
		c.pause(200, 900)
		if round%3 == 2 {
			cluster.Stop()
			c.pause(2500, 4000)
		} else {
			cluster.KillNine()
			c.pause(0, 500)
		}
		cluster.Start()
		c.faults++
	}
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
}

func TestChaosBursarKilledWhilePostgresIsAbsentLosesNothing(t *testing.T) {
	onlyInFull(t, "TestChaosPostgresKilledAndAbsentForSecondsLosesNothing")
	t.Parallel()
	cluster := postgrestest.NewCluster(t)
	c := newChaos(t, cluster.URL())
	b := c.addBursar()
	c.startTraffic()
	for range c.rounds(2) {
		c.pause(200, 500)
		cluster.KillNine()
		c.pause(300, 900)
		b.kill() // its journal holds all that was closed since
		cluster.Start()
		b.start()
		c.faults += 2
	}
	c.requireNothingLost(afterKill)
}

func TestChaosANetworkThatFailsTowardsPostgresLosesNothing(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	network := newLink(t, database)
	c := newChaos(t, database)
	c.addBursar("DATABASE_URL=" + network.url(t, database))
	c.startTraffic()
	for round := range c.rounds(3) {
		c.pause(100, 600)
		network.set([]linkState{linkDown, linkDeaf, linkHung}[round%3])
		c.pause(200, 1000)
		network.set(linkUp)
		c.faults++
	}
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
}

func TestChaosGenerationLookupsDownForSecondsLoseNothing(t *testing.T) {
	t.Parallel()
	var fault atomic.Pointer[openroutertest.LookupFault]
	c := newChaos(t, postgrestest.New(t), func(o *openroutertest.Options) {
		o.Lookup = func(string, int) openroutertest.LookupFault {
			if f := fault.Load(); f != nil {
				return *f
			}
			return openroutertest.LookupFault{}
		}
	})
	c.addBursar()
	c.startTraffic()
	// The last is not reached in the short form: a key that was answered 429 by
	// several lookups at once rests for up to a minute.
	faults := []openroutertest.LookupFault{{Status: 500}, {Hang: true}, {WrongID: true}, {Status: 429}}
	for round := range c.rounds(3) {
		fault.Store(&faults[round%len(faults)])
		c.pause(400, 1200)
		fault.Store(nil)
		c.pause(100, 300)
		c.faults++
	}
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
}

func TestChaosAReplicaAdoptsTheJournalOfAKilledOne(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	c := newChaos(t, database)
	dies := c.addBursar()
	c.addBursar()
	for range c.rounds(1) {
		c.startTraffic()
		c.pause(500, 1200)
		dies.kill()
		c.faults++
		c.pause(200, 500)
		c.traffic.stop()
		c.requireLedgersAgree(afterKill) // while it is still dead
		dies.start()
	}
	c.requireNothingLost(afterKill)
}

func TestChaosSIGTERMUnderLoadFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	c := newChaos(t, postgrestest.New(t))
	b := c.addBursar()
	c.startTraffic()
	for range c.rounds(2) {
		c.pause(200, 800)
		c.terminate(b)
		assert.Empty(t, c.journals(), "the last batch was shipped before the end")
		b.start()
		c.faults++
	}
	c.traffic.stop()
	assert.Zero(t, c.traffic.broken.Load(), "an answer that began is complete: %v", c.traffic.examples)
	c.requireNothingLost(nothingKilled)
}

// pause waits for a random time between two numbers of milliseconds.
func (c *chaos) pause(least, most int) {
	time.Sleep(time.Duration(least+c.random.IntN(most-least)) * time.Millisecond)
}

// terminate ends a Bursar in order.
func (c *chaos) terminate(b *binary) {
	c.t.Helper()
	require.NoError(c.t, b.cmd.Process.Signal(syscall.SIGTERM))
	err := <-b.exited
	b.exited <- err
	require.NoError(c.t, err, b.log.String())
}

// onlyInFull leaves a scenario to make chaos, where a sibling covers most of it
// and it takes long: what a killed Bursar was looking up waits for the end of
// its lease.
func onlyInFull(t *testing.T, sibling string) {
	t.Helper()
	if os.Getenv("CHAOS_ROUNDS") == "" {
		t.Skipf("in full with make chaos; %s is the short form", sibling)
	}
}

// newRandom is a source of random numbers of its own.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
