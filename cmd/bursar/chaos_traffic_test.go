package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chaosCalls are the requests of the fault suite, one per shape of answer.
var chaosCalls = []struct{ path, body string }{
	{"/api/v1/chat/completions", `{"model":"fake/%s","messages":[{"role":"user","content":"hello %d"}]}`},
	{"/api/v1/chat/completions", `{"model":"fake/%s","stream":true,"messages":[{"role":"user","content":"hello %d"}]}`},
	{"/api/v1/responses", `{"model":"fake/%s","stream":true,"input":"hello %d"}`},
	{"/api/v1/messages", `{"model":"fake/%s","stream":true,"max_tokens":99,"messages":[{"role":"user","content":"hello %d"}]}`},
	{"/api/v1/embeddings", `{"model":"fake/%s","input":"hello %d"}`},
	{"/api/v1/images", `{"model":"fake/%s","prompt":"hello %d"}`},
}

// chaosBehaviors all end in a complete answer under status 200, so that any
// other is Bursar's doing. Some take their time, to be in flight when something
// dies; some leave the cost, or the id, to be found out later.
var chaosBehaviors = []string{
	"ok", "ok", "ok", "slow", "chunks=40,interval=5ms", "delay=150ms", "delay=20ms", "trickle=9,trickle-interval=5ms", "gzip", "dribble",
	"cost-17-digits", "cost-exponent", "cost-tiny", "cost-zero", "byok-fee", "cost-null", "cost-absent", "inline-cost=0.5", "no-usage",
	"id-in-header", "usage-twice", "usage-growing", "crlf", "comments", "publish-delay=1s",
}

// chaosTraffic is mixed traffic at one or more Bursars until it is stopped. A
// quarter of the calls are left by the client at a random moment.
type chaosTraffic struct {
	bases  []string
	client http.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	answered atomic.Int64 // completely, with status 200
	left     atomic.Int64 // by the client
	refused  atomic.Int64 // no answer began: nobody listened, or the process died
	broken   atomic.Int64 // another status, or the answer ended early

	mu          sync.Mutex
	examples    []string // of the refused and the broken
	generations []string // whose ids reached a client, so Bursar before it
}

func startChaosTraffic(seed uint64, workers int, bases ...string) *chaosTraffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &chaosTraffic{bases: bases, cancel: cancel}
	tr.client.Transport = &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	for worker := range workers {
		tr.wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)+1))
			for i := 0; ctx.Err() == nil; i++ {
				tr.call(random, i)
				time.Sleep(time.Duration(random.IntN(15)) * time.Millisecond)
			}
		})
	}
	return tr
}

// stop lets the calls in flight end and returns when they have.
func (tr *chaosTraffic) stop() {
	tr.cancel()
	tr.wg.Wait()
	tr.client.CloseIdleConnections()
}

func (tr *chaosTraffic) call(random *rand.Rand, i int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	leaves := random.IntN(4) == 0
	if leaves {
		timer := time.AfterFunc(time.Duration(random.IntN(150))*time.Millisecond, cancel)
		defer timer.Stop()
	}
	kind, behavior := chaosCalls[random.IntN(len(chaosCalls))], chaosBehaviors[random.IntN(len(chaosBehaviors))]
	url := tr.bases[random.IntN(len(tr.bases))] + kind.path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(fmt.Sprintf(kind.body, behavior, i)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Campaign-ID", fmt.Sprintf("campaign-%d", random.IntN(5)))
	response, err := tr.client.Do(request)
	if err != nil {
		tr.count(ctx, &tr.refused, fmt.Errorf("%s %s: %w", kind.path, behavior, err))
		time.Sleep(20 * time.Millisecond) // a client that calls a dead server in a circle only heats the machine
		return
	}
	defer response.Body.Close()
	tr.saw(response.Header.Get("X-Generation-Id"))
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode == http.StatusOK {
		tr.answered.Add(1)
		return
	}
	tr.count(ctx, &tr.broken, fmt.Errorf("%s %s: status %d: %w", kind.path, behavior, response.StatusCode, err))
}

func (tr *chaosTraffic) saw(generation string) {
	if generation == "" {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.generations = append(tr.generations, generation)
}

// count counts a call without a complete answer, unless its client had left.
func (tr *chaosTraffic) count(ctx context.Context, counter *atomic.Int64, err error) {
	if ctx.Err() != nil {
		tr.left.Add(1)
		return
	}
	counter.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.examples) < 5 {
		tr.examples = append(tr.examples, err.Error())
	}
}

func (tr *chaosTraffic) String() string {
	return fmt.Sprintf("%d calls answered, %d left by the client, %d refused, %d broken",
		tr.answered.Load(), tr.left.Load(), tr.refused.Load(), tr.broken.Load())
}
