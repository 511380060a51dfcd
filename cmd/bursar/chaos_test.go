package main

import (
	"math/rand/v2"
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
	c := newChaos(t, postgrestest.New(t))
	b := c.addBursar()
	c.startTraffic()
	for range c.rounds(5) {
		c.pause(100, 700)
		b.kill()
		b.start()
		c.faults++
	}
	c.requireNothingLost(afterKill)
}

func TestChaosPostgresKilledUnderLoadLosesNothing(t *testing.T) {
	cluster := postgrestest.NewCluster(t)
	c := newChaos(t, cluster.URL())
	c.addBursar()
	c.startTraffic()
	for range c.rounds(3) {
		c.pause(200, 900)
		cluster.KillNine()
		c.pause(0, 500)
		cluster.Start()
		c.faults++
	}
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
}

func TestChaosPostgresAbsentForSecondsLosesNothing(t *testing.T) {
	cluster := postgrestest.NewCluster(t)
	c := newChaos(t, cluster.URL())
	c.addBursar()
	c.startTraffic()
	for range c.rounds(1) {
		c.pause(200, 500)
		cluster.Stop()
		c.pause(3000, 5000)
		cluster.Start()
		c.faults++
	}
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
}

func TestChaosBursarKilledWhilePostgresIsAbsentLosesNothing(t *testing.T) {
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
	database := postgrestest.New(t)
	network := newLink(t, database)
	c := newChaos(t, database)
	c.addBursar("DATABASE_URL=" + network.url(t, database))
	c.startTraffic()
	for round := range c.rounds(6) {
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
	faults := []openroutertest.LookupFault{{Status: 500}, {Hang: true}, {Status: 429}, {WrongID: true}}
	for round := range c.rounds(len(faults)) {
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
	database := postgrestest.New(t)
	c := newChaos(t, database)
	dies, lives := c.addBursar(), c.addBursar()
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
	require.NotSame(t, dies, lives)
	c.requireNothingLost(afterKill)
}

func TestChaosSIGTERMUnderLoadFinishesWhatIsInFlight(t *testing.T) {
	c := newChaos(t, postgrestest.New(t))
	b := c.addBursar()
	c.startTraffic()
	for range c.rounds(3) {
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

// newRandom is a source of random numbers of its own.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
