package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres/postgrestest"
)

// lineage is the real program through its upgrades: one process after another.
type lineage struct {
	*binary
	pid  int   // of the process that serves
	old  []int // those before it
	logs *os.File
}

// newLineage starts the first process.
func newLineage(t *testing.T, env ...string) *lineage {
	t.Helper()
	becomeParentOfOrphans(t)
	l := &lineage{binary: newBinary(t, env...)}
	var err error
	l.logs, err = os.Create(filepath.Join(l.directory, "log"))
	require.NoError(t, err)
	// Not binary.start: it collects the log through a pipe, which never ends
	// while a later process holds it.
	cmd := exec.Command(l.path, "serve")
	cmd.Env, cmd.Dir, cmd.Stderr = l.env, l.directory, l.logs
	require.NoError(t, cmd.Start())
	l.pid = cmd.Process.Pid
	t.Cleanup(func() {
		for _, pid := range append(l.old, l.pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Log(l.log())
		}
		l.logs.Close()
	})
	l.awaitReady()
	return l
}

// becomeParentOfOrphans lets the test wait for the processes that its own
// processes leave behind.
func becomeParentOfOrphans(t *testing.T) {
	const setChildSubreaper = 36
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
	require.Zero(t, errno)
	t.Cleanup(func() { _, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 0, 0) })
}

func (l *lineage) awaitReady() {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		response, err := http.Get(l.admin + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "not ready")
}

// log is what all of them wrote.
func (l *lineage) log() string {
	text, err := os.ReadFile(l.logs.Name())
	require.NoError(l.t, err)
	return string(text)
}

// logged are the lines of the log with this message.
func (l *lineage) logged(message string) (lines []map[string]any) {
	for _, line := range strings.Split(l.log(), "\n") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && strings.Contains(fmt.Sprint(fields["message"]), message) {
			lines = append(lines, fields)
		}
	}
	return lines
}

// await waits until the log has n lines with this message, and returns the last.
func (l *lineage) await(n int, message string) map[string]any {
	l.t.Helper()
	require.Eventually(l.t, func() bool { return len(l.logged(message)) >= n }, time.Minute, 10*time.Millisecond, message)
	return l.logged(message)[n-1]
}

func (l *lineage) signal(pid int, signal syscall.Signal) {
	l.t.Helper()
	require.NoError(l.t, syscall.Kill(pid, signal))
}

// upgrade has the serving process replaced, in another try where the machine is
// slower than the configured timeout.
func (l *lineage) upgrade() {
	l.t.Helper()
	const done, failed = "upgraded", "the upgrade did not happen"
	failures := len(l.logged(failed))
	l.signal(l.pid, syscall.SIGUSR2)
	require.Eventually(l.t, func() bool {
		if n := len(l.logged(failed)); n > failures {
			failures = n
			l.signal(l.pid, syscall.SIGUSR2)
		}
		return len(l.logged(done)) > len(l.old)
	}, 2*time.Minute, 10*time.Millisecond, done)
	line := l.logged(done)[len(l.old)]
	l.old = append(l.old, l.pid)
	l.pid = int(line["pid"].(float64))
}

// install puts another binary in the place of the program's.
func (l *lineage) install(content []byte) {
	l.t.Helper()
	require.NoError(l.t, os.WriteFile(l.path+".new", content, 0o755))
	require.NoError(l.t, os.Rename(l.path+".new", l.path))
}

// requireExit waits for the end of a process and its exit code.
func (l *lineage) requireExit(pid, code int) {
	l.t.Helper()
	var status syscall.WaitStatus
	require.Eventually(l.t, func() bool {
		// An error: it is not our child before its parent has ended.
		ended, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		return err == nil && ended == pid
	}, time.Minute, 10*time.Millisecond, "process %d does not end", pid)
	require.True(l.t, status.Exited(), "process %d ended by %v", pid, status)
	require.Equal(l.t, code, status.ExitStatus(), "process %d", pid)
}

// load is traffic of one kind, of which no call may fail.
type load struct {
	name   string
	client *http.Client
	stream bool
	replay bool // the client may send a request again that was not processed

	calls  atomic.Int64
	mu     sync.Mutex
	failed []string
}

// newLoads are the ways in which applications connect.
func newLoads() []*load {
	client := func(adjust func(*http.Transport)) *http.Client {
		// A connection that was dialed and then not needed goes soon.
		transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 300 * time.Millisecond}
		adjust(transport)
		return &http.Client{Transport: transport, Timeout: time.Minute}
	}
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	return []*load{
		{name: "kept connections", client: client(func(*http.Transport) {})},
		{name: "fresh connections", client: client(func(tr *http.Transport) { tr.DisableKeepAlives = true })},
		{name: "streams", client: client(func(*http.Transport) {}), stream: true},
		{name: "HTTP/2", client: client(func(tr *http.Transport) { tr.Protocols = h2c }), replay: true},
		{name: "HTTP/2 streams", client: client(func(tr *http.Transport) { tr.Protocols = h2c }), stream: true, replay: true},
	}
}

// run makes calls one after another until ctx ends; the last one is finished.
func (l *load) run(ctx context.Context, base string) {
	for ctx.Err() == nil {
		l.calls.Add(1)
		if err := l.call(base); err != nil {
			l.mu.Lock()
			l.failed = append(l.failed, fmt.Sprintf("%s, call %d: %v", l.name, l.calls.Load(), err))
			l.mu.Unlock()
		}
	}
}

func (l *load) call(base string) error {
	body := fmt.Sprintf(`{"model":"openai/gpt-5-mini","stream":%t,"messages":[{"role":"user","content":"hi"}]}`, l.stream)
	request, err := http.NewRequest(http.MethodPost, base+"/api/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	if !l.replay {
		request.GetBody = nil // or the client hides a failure by a second try
	}
	request.Header.Set("Authorization", "Bearer sk-or-"+strings.ReplaceAll(l.name, " ", "-"))
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", response.Status, answer)
	case l.stream && !bytes.Contains(answer, []byte("[DONE]")):
		return fmt.Errorf("a stream ended after %d bytes", len(answer))
	}
	return nil
}

// poll asks for readiness as a load balancer does.
func poll(ctx context.Context, admin string) (failed []string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		response, err := client.Get(admin + "/readyz")
		if err != nil {
			failed = append(failed, err.Error())
			continue
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			failed = append(failed, string(text))
		}
		time.Sleep(5 * time.Millisecond)
	}
	return failed
}

func TestUpgradesUnderLoadFailNoCallAndLoseNoCost(t *testing.T) {
	upgrades, workers := 4, 4
	if testing.Short() {
		upgrades = 1
	}
	fake := startFake(t, func(o *openroutertest.Options) {
		o.Choose = func(r *http.Request, body []byte) openroutertest.Behavior {
			if bytes.Contains(body, []byte(`"stream":true`)) {
				return openroutertest.Behavior{Chunks: 40, ChunkInterval: 25 * time.Millisecond}
			}
			return openroutertest.Behavior{Chunks: 2}
		}
	})
	address := postgrestest.New(t)
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+fake.URL, "DATABASE_URL="+address)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	loads := newLoads()
	for _, load := range loads {
		for range workers {
			wg.Go(func() { load.run(ctx, l.base) })
		}
	}
	var unready []string
	wg.Go(func() { unready = poll(ctx, l.admin) })
	for range upgrades {
		time.Sleep(500 * time.Millisecond)
		l.upgrade()
	}
	for _, pid := range l.old { // though no client goes away
		l.requireExit(pid, exitOK)
	}
	stop()
	wg.Wait()

	assert.Empty(t, unready, "the service was ready all the time")
	for _, load := range loads {
		assert.Empty(t, load.failed, load.name)
		assert.Greater(t, load.calls.Load(), int64(upgrades), load.name)
		t.Logf("%s: %d calls", load.name, load.calls.Load())
		load.client.CloseIdleConnections()
	}
	conn := connect(t, address)
	var problem string
	assert.Eventually(t, func() bool {
		problem = compare(fake.Ledger(), books(t, conn))
		return problem == ""
	}, time.Minute, 100*time.Millisecond)
	require.Empty(t, problem)
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
	left, err := filepath.Glob(filepath.Join(l.directory, "data", "journal", "*", "*"))
	require.NoError(t, err)
	assert.Empty(t, left, "the journal is empty")
	assert.NotContains(t, l.log(), `"level":"error"`)
	assert.NotContains(t, l.log(), "sk-or-")
}

func TestKeysOfTheOldProcessSettleCallsInTheNewOne(t *testing.T) {
	fake := startFake(t, func(o *openroutertest.Options) { o.GenerationDelay = 2500 * time.Millisecond })
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+fake.URL) // on its private Postgres
	kept := &http.Client{Transport: &http.Transport{}}
	call := func(key string) *http.Response {
		request, err := http.NewRequest(http.MethodPost, l.base+"/api/v1/chat/completions", strings.NewReader(`{"model":"fake/no-usage","messages":[]}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := kept.Do(request)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		return response
	}
	assert.False(t, call("sk-or-before").Close)
	l.upgrade()
	time.Sleep(100 * time.Millisecond)
	assert.True(t, call("sk-or-meanwhile").Close, "the connection was left open, and its next answer is its last")
	l.requireExit(l.old[0], exitOK)
	settled := l.await(1, "the process before has gone")
	assert.EqualValues(t, 2, settled["keys"])

	// Only the new process is left, and it has seen neither key.
	conn := connect(t, privateURL(l))
	var problem string
	assert.Eventually(t, func() bool {
		problem = compare(fake.Ledger(), books(t, conn))
		return problem == ""
	}, time.Minute, 100*time.Millisecond)
	require.Empty(t, problem)
	require.Len(t, fake.Ledger(), 2)
	require.NoError(t, conn.Close(context.Background()))
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
	sockets, _ := filepath.Glob(filepath.Join(l.directory, "data", "postgres", ".s.PGSQL*"))
	assert.Empty(t, sockets, "the last one stops the private Postgres")
	files, err := exec.Command("grep", "-rl", "--exclude=log", "-e", "sk-or-before", "-e", "sk-or-meanwhile", l.directory).CombinedOutput()
	assert.Error(t, err, "grep finds nothing")
	assert.Empty(t, string(files), "no key is on the disk")
	assert.NotContains(t, l.log(), "sk-or-")
}

// post makes a call whose answer is of no interest.
func post(base, body string) {
	request, err := http.NewRequest(http.MethodPost, base+"/api/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer sk-or-post")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

// privateURL is the address of the private Postgres of a process.
func privateURL(l *lineage) string {
	return fmt.Sprintf("host=%s user=bursar dbname=bursar", filepath.Join(l.directory, "data", "postgres"))
}

func TestABrokenNewBinaryLeavesTheOldProcessServing(t *testing.T) {
	fake := startFake(t)
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+fake.URL, "DATABASE_URL="+postgrestest.New(t), "BURSAR_PROXY_UPGRADE_TIMEOUT=1s")
	good, err := os.ReadFile(l.path)
	require.NoError(t, err)
	real := filepath.Join(l.directory, "real")
	require.NoError(t, os.WriteFile(real, good, 0o755))
	load := newLoads()[0]
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { load.run(ctx, l.base) })
	}
	broken := []struct{ binary, says string }{
		{"#!/bin/sh\nexit 3\n", "exit status 3"},
		{"no program at all", "exec format error"},
		{"#!/bin/sh\necho hello >&6\n", "hello"},
		{"#!/bin/sh\nexec sleep 100\n", "not ready in time"},
		{"#!/bin/sh\nexec " + real + " serve --nonsense\n", "exit status 2"},
		{"#!/bin/sh\nDATABASE_URL=postgres://127.0.0.1:1/none exec " + real + " serve\n", "not ready in time"},
	}
	for i, b := range broken {
		l.install([]byte(b.binary))
		l.signal(l.pid, syscall.SIGUSR2)
		line := l.await(i+1, "the upgrade did not happen")
		assert.Contains(t, line["error"], b.says, b.binary)
	}
	require.NoError(t, os.Remove(l.path))
	l.signal(l.pid, syscall.SIGUSR2)
	line := l.await(len(broken)+1, "the upgrade did not happen")
	assert.Contains(t, line["error"], "no such file")

	l.install(good)
	l.upgrade()
	stop()
	wg.Wait()
	assert.Empty(t, load.failed)
	load.client.CloseIdleConnections()
	l.requireExit(l.old[0], exitOK)
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
}

func TestStoppingDuringAnUpgradeStopsBoth(t *testing.T) {
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+startFake(t).URL, "DATABASE_URL="+postgrestest.New(t))
	l.install([]byte("#!/bin/sh\nexec sleep 100\n"))
	l.signal(l.pid, syscall.SIGUSR2)
	next := int(l.await(1, "a new process is starting")["pid"].(float64))
	l.signal(l.pid, syscall.SIGUSR2)
	l.await(1, "under way already")
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
	require.ErrorIs(t, syscall.Kill(next, 0), syscall.ESRCH, "the new process has ended")
}

func TestAReplacedProcessCanBeStoppedBeforeItsCallsEnd(t *testing.T) {
	fake := startFake(t)
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+fake.URL, "DATABASE_URL="+postgrestest.New(t), "BURSAR_PROXY_SHUTDOWN_TIMEOUT=200ms")
	go post(l.base, `{"model":"fake/delay=15s","messages":[]}`)
	require.Eventually(t, func() bool { return fake.InFlight() > 0 }, time.Minute, 5*time.Millisecond)
	l.upgrade()
	l.signal(l.old[0], syscall.SIGUSR2)
	l.await(1, "was replaced already")
	l.signal(l.old[0], syscall.SIGTERM)
	l.requireExit(l.old[0], exitOK)
	assert.Len(t, l.logged("are cut"), 1)
	l.awaitReady()
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
}

func TestSystemdIsToldWhichProcessIsTheService(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	hear := func() string {
		buffer := make([]byte, 100)
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := socket.Read(buffer)
		require.NoError(t, err)
		return string(buffer[:n])
	}
	l := newLineage(t, "BURSAR_UPSTREAM_URL="+startFake(t).URL, "DATABASE_URL="+postgrestest.New(t), "NOTIFY_SOCKET="+path)
	assert.Equal(t, "READY=1", hear())
	l.upgrade()
	l.requireExit(l.old[0], exitOK)
	l.signal(l.pid, syscall.SIGTERM)
	l.requireExit(l.pid, exitOK)
	assert.Equal(t, fmt.Sprint("MAINPID=", l.pid), hear())
	assert.Equal(t, "STOPPING=1", hear(), "of the new one: the old one's end is not the service's")
}

func TestReadinessGoesFalseFirstAndASecondSignalEndsAtOnceAndLosesNothing(t *testing.T) {
	fake := startFake(t)
	address := postgrestest.New(t)
	b := newBinary(t, "BURSAR_UPSTREAM_URL="+fake.URL, "DATABASE_URL="+address, "OPENROUTER_API_KEY=sk-or-second", "BURSAR_PROXY_SHUTDOWN_TIMEOUT=30s")
	b.start()
	go post(b.base, `{"model":"fake/chunks=1000,interval=20ms","stream":true,"messages":[]}`)
	require.Eventually(t, func() bool { return fake.InFlight() > 0 }, time.Minute, 5*time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		response, err := http.Get(b.admin + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond)
	assert.Positive(t, fake.InFlight(), "the call goes on")
	time.Sleep(2 * sameSignal)
	second := time.Now()
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	err := <-b.exited
	b.exited <- err
	assert.Less(t, time.Since(second), 2*time.Second)
	var ended *exec.ExitError
	require.ErrorAs(t, err, &ended)
	assert.Equal(t, exitFailed, ended.ExitCode())
	b.start()
	conn := connect(t, address)
	var problem string
	assert.Eventually(t, func() bool {
		problem = compare(fake.Ledger(), books(t, conn))
		return problem == ""
	}, time.Minute, 100*time.Millisecond)
	require.Empty(t, problem)
	require.Len(t, fake.Ledger(), 1)
}
