package journal

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"bursar/accounting"
)

// callEvents are the three frames that a call costs.
func callEvents() [3]*accounting.Event {
	id := newID()
	return [3]*accounting.Event{opened(id), identified(id), closed(id)}
}

func benchJournal(b *testing.B, mode SyncMode) *Journal {
	opts := Options{Dir: b.TempDir(), Sync: mode, MaxBytes: 64 << 30}
	opts.Logger = testOptions("").Logger
	j := mustOpen(b, opts)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { // the shipper, or the disk would fill
		for {
			events, err := j.Next(ctx, 1000)
			if err != nil {
				return
			}
			_ = j.Ack(events)
		}
	})
	b.Cleanup(func() { cancel(); wg.Wait() })
	return j
}

// BenchmarkAppend measures whole calls: Opened, Identified, Closed, with the
// reader running. ns/op is for one append.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []SyncMode{SyncBackground, SyncWait} {
		for _, goroutines := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", mode, goroutines), func(b *testing.B) {
				j := benchJournal(b, mode)
				b.ReportAllocs()
				b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					events, n := callEvents(), 0
					for pb.Next() {
						if err := j.Append(events[n%3]); err != nil {
							b.Fatal(err)
						}
						if n++; n%3 == 0 {
							id := newID()
							events[0].ID, events[1].ID, events[2].ID = id, id, id
						}
					}
				})
			})
		}
	}
}

// BenchmarkNextAck measures the shipper's side: reading events back from the
// files, in batches of 1000, and acknowledging them.
func BenchmarkNextAck(b *testing.B) {
	opts := Options{Dir: b.TempDir()}
	opts.Logger = testOptions("").Logger
	j := mustOpen(b, opts)
	for b.Loop() {
		b.StopTimer()
		for range 1000 {
			mustAppend(b, j, closed(newID()))
		}
		b.StartTimer()
		for n := 0; n < 1000; {
			events, err := j.Next(context.Background(), 1000)
			if err != nil {
				b.Fatal(err)
			}
			n += len(events)
			if err := j.Ack(events); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
}

func BenchmarkEncode(b *testing.B) {
	e := closed(newID())
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = appendFrame(buf[:0], e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	payload, err := appendEvent(nil, closed(newID()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeEvent(payload); err != nil {
			b.Fatal(err)
		}
	}
}
