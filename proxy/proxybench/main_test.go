package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The harness starts itself again for its own processes; here that is the test
// binary, which then does not run tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "upstream" || os.Args[1] == "bare") {
		if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestABareProxyIsMeasuredInFrontOfBothUpstreams(t *testing.T) {
	for _, protocol := range protocolNames {
		t.Run(protocol, func(t *testing.T) {
			only, err := parseSelection(nameBare + "," + protocol + "," + loadJSON + "," + loadLatency + "," + loadStreams)
			require.NoError(t, err)
			b := newBench(options{rounds: 1, only: only, window: 150 * time.Millisecond}, io.Discard, io.Discard)
			b.dir = t.TempDir()
			r, err := b.runProtocol(t.Context(), protocol)
			require.NoError(t, err)
			require.Equal(t, []string{nameBare}, r.names)
			f := r.rounds[nameBare][0]
			for _, m := range []metric{jsonCPU, jsonObjects, jsonBytes, jsonPeriod, chunkCPU} {
				assert.Positive(t, f[m], m)
			}
			assert.Contains(t, f, addedP50)
			assert.NotContains(t, f, promptCPU, "that load was not asked for")
		})
	}
}

func TestAProcessThatEndsAtOnceIsReportedWithItsLastWords(t *testing.T) {
	_, err := startOwn(t.TempDir(), "bare", nil, "bare", "-upstream", "://")
	require.ErrorContains(t, err, "missing protocol scheme")
}

func TestTheStreamsEventsAreCountedAsTheyCome(t *testing.T) {
	handler, err := upstreamHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	c, err := dial(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	var events atomic.Int64
	begun := time.Now()
	require.NoError(t, c.call(requestBytes(60, time.Millisecond), &events))
	assert.EqualValues(t, streamChunks+4, events.Load(), "an opening, a closing one, the usage and [DONE] come on top")
	assert.GreaterOrEqual(t, time.Since(begun), streamChunks*time.Millisecond, "the upstream takes its time")
}

func TestTheUpstreamKnowsTheCostOfEveryGeneration(t *testing.T) {
	handler, err := upstreamHandler()
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/generation?id=gen-1", nil))
	assert.Regexp(t, `"id":"gen-1".*"total_cost":0\.\d+,`, recorder.Body.String())
}

func TestACallThatFailsIsCountedAndTheConnectionMadeAnew(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	c, err := dial(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { c.Close() }()
	var counted tally
	for range 3 {
		require.NoError(t, c.try(t.Context(), requestBytes(60, 0), nil, &counted))
	}
	assert.EqualValues(t, 1, counted.failed.Load())
	assert.EqualValues(t, 2, counted.answered.Load())
	assert.ErrorContains(t, counted.verdict(), "1 calls failed and 2 did not", "that is more than one in a hundred")
	counted.answered.Store(100)
	assert.NoError(t, counted.verdict())
}

func TestARefusalIsAFailedCall(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusBadGateway)
	}))
	defer server.Close()
	c, err := dial(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	assert.ErrorContains(t, c.call(requestBytes(60, 0), nil), "502")
}

func TestCPUTimeAndMemoryAreThoseOfTheProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if now, err := cpuTime(os.Getpid()); err == nil && now-before >= 50*time.Millisecond {
			break
		}
	}
	after, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	assert.GreaterOrEqual(t, after-before, 50*time.Millisecond)
	resident, err := residentBytes(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, resident, int64(1<<20))
}

func TestAProgramsNameMayHoldAnything(t *testing.T) {
	got, err := parseCPUTime([]byte("7 (a) b ) R 1 2 3 4 5 6 7 8 9 10 150 25 0 0"))
	require.NoError(t, err)
	assert.Equal(t, 1750*time.Millisecond, got)
	_, err = parseCPUTime([]byte("7 (a) R 1"))
	assert.Error(t, err)
}

func TestTheInstalledProxiesForwardAndStop(t *testing.T) {
	for _, name := range []string{nameNginx, nameHAProxy} {
		t.Run(name, func(t *testing.T) {
			if _, err := findProgram(name); err != nil {
				t.Skip(err) // optional in a run too
			}
			dir, err := os.MkdirTemp("", "proxybench-test-") //nolint:usetesting // t.TempDir is closed to other users
			require.NoError(t, err)
			defer os.RemoveAll(dir)
			require.NoError(t, os.Chmod(dir, 0o755))
			b := &bench{dir: dir}
			u, err := startUpstream(dir, protocolTLS)
			require.NoError(t, err)
			defer u.stop()
			c, err := b.startInstalled(t.Context(), name, u)
			require.NoError(t, err)
			require.NoError(t, warmUp(t.Context(), c.addr, 3))
			require.NoError(t, c.stop())
			_, err = net.Dial("tcp", c.addr)
			assert.Error(t, err, "it has ended")
		})
	}
}

func TestOnlyNarrowsEachKindByItself(t *testing.T) {
	s, err := parseSelection("bursar, tls")
	require.NoError(t, err)
	assert.True(t, s.contender(nameBursar))
	assert.True(t, s.contender(nameBare), "all ratios are to it")
	assert.False(t, s.contender(nameNginx))
	assert.True(t, s.protocol(protocolTLS))
	assert.False(t, s.protocol(protocolHTTP1))
	assert.True(t, s.load(loadJSON), "no load was named")
	_, err = parseSelection("bursa")
	assert.ErrorContains(t, err, `no "bursa"`)
}

func TestAWrongCommandLineIsRefused(t *testing.T) {
	for _, args := range []string{"-rounds -1", "extra", "-only nobody", "-also x", "-also =y"} {
		_, err := parseOptions(strings.Fields(args), io.Discard)
		assert.Error(t, err, args)
	}
	o, err := parseOptions([]string{"-quick", "-also", "old=/bin/old"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"old": "/bin/old"}, o.also)
	assert.Equal(t, 2, o.rounds)
}

func TestARatioIsTakenWithinItsRound(t *testing.T) {
	// Bursar is at 0.5 of the bare proxy in each round, though the machine is
	// ten times slower in the second.
	r := results{names: []string{nameBare, nameBursar}, rounds: map[string][]figures{
		nameBare:   {{jsonCPU: 100}, {jsonCPU: 1000}, {jsonCPU: 120}},
		nameBursar: {{jsonCPU: 50, resident1k: 80}, {jsonCPU: 500}, {jsonCPU: 60}},
	}}
	ratio, ok := r.ratio(nameBursar, jsonCPU)
	require.True(t, ok)
	assert.InDelta(t, 0.5, ratio, 1e-9)
	median, ok := r.median(nameBursar, jsonCPU)
	require.True(t, ok)
	assert.InDelta(t, 60, median, 1e-9)
	_, ok = r.ratio(nameBursar, promptCPU)
	assert.False(t, ok, "what was not measured has no ratio")

	var out bytes.Buffer
	require.NoError(t, report(&out, protocolHTTP1, r))
	assert.Contains(t, out.String(), "| bursar | 60 (0.50)")
	assert.Contains(t, out.String(), "met, and the stretch of 0.6")
	assert.NotContains(t, out.String(), "chunk", "columns without figures are left out")
}

func TestTheMedianOfAnEvenNumberIsBetweenTheTwoInTheMiddle(t *testing.T) {
	median, ok := medianOf([]float64{4, 1, 3, 100})
	require.True(t, ok)
	assert.InDelta(t, 3.5, median, 1e-9)
	_, ok = medianOf(nil)
	assert.False(t, ok)
}
