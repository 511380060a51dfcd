package main

import (
	"testing"

	"bursar/store/postgres/postgrestest"
)

// One of several replicas is killed again and again, and another one takes its
// place: another process, with a journal of its own. The traffic goes on at all
// of them.
func TestChaosReplicasKilledAndReplacedLoseNothing(t *testing.T) {
	onlyInFull(t, "TestChaosAReplicaAdoptsTheJournalOfAKilledOne")
	t.Parallel()
	for _, replicas := range []int{3, 4} {
		t.Run(map[int]string{3: "three", 4: "four"}[replicas], func(t *testing.T) {
			t.Parallel()
			c := newChaos(t, postgrestest.New(t))
			for range replicas {
				c.addBursar()
			}
			c.startTraffic()
			for range c.rounds(2) {
				c.pause(300, 900)
				dies := c.bursars[c.random.IntN(replicas)]
				dies.kill()
				c.pause(0, 2500) // a neighbour looks for dead journals every 2 s
				dies.start()
				c.faults++
			}
			c.requireNothingLost(afterKill)
		})
	}
}
