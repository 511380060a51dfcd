package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapTarget is what the heap may grow to before the garbage collector runs,
// however little of it is live. A proxy at work keeps a few megabytes alive, and
// with Go's default the collector would run ten times a second over them; see
// docs/performance.md.
const heapTarget = 40 << 20

// leastPercent is what a heap with many open streams may grow by. They allocate
// little, so a collection more costs less than the memory that Go's 100 % would
// hold: some 15 MB of 1,000 streams.
const leastPercent = 50

// collection is a value that nothing refers to: its finalizer runs after each
// garbage collection.
type collection struct{ percent int }

// followLiveHeap keeps the collector's percentage such that a small heap grows
// to heapTarget and a large one, with many open streams, by leastPercent.
func followLiveHeap() { adjustCollection(&collection{percent: 100}) }

func adjustCollection(c *collection) {
	percent := collectionPercent(liveHeap())
	// SetGCPercent stops the world; small changes are not worth it.
	if change := percent - c.percent; change*10 > c.percent || -change*10 > c.percent {
		debug.SetGCPercent(percent)
		c.percent = percent
	}
	runtime.SetFinalizer(&collection{c.percent}, adjustCollection)
}

// collectionPercent is by how much a heap with so many live bytes may grow.
func collectionPercent(live uint64) int {
	live = max(live, 1<<20)
	if live >= heapTarget {
		return leastPercent
	}
	return int(min(max((heapTarget-live)*100/live, leastPercent), 1000))
}

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
