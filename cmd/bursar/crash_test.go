package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres/postgrestest"
)

// binary is the real program as a process of its own, which can be killed.
type binary struct {
	t         testing.TB
	path      string
	env       []string
	base      string
	admin     string
	cmd       *exec.Cmd
	log       *bytes.Buffer
	exited    chan error
	directory string
}

// built is the program, built once for all tests that run it.
var built = onceBuilt("bursar", func(string) ([]string, error) { return nil, nil })

// onceBuilt builds the program at the first call, with more arguments for go
// build, which may name files that args makes in a directory.
func onceBuilt(name string, args func(dir string) ([]string, error)) func() (path string, err error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := makeBuildDir()
		if err != nil {
			return "", err
		}
		more, err := args(dir)
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		command := append([]string{"build", "-buildvcs=false", "-pgo=off", "-o", path}, more...)
		if out, err := exec.Command("go", append(command, ".")...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return path, nil
	})
}

var makeBuildDir = sync.OnceValues(func() (dir string, err error) {
	buildDir, err = os.MkdirTemp("", "bursar-build")
	return buildDir, err
})

var buildDir string // removed at the end

func newBinary(t testing.TB, env ...string) *binary {
	t.Helper()
	return newBinaryOf(t, built, env...)
}

// newBinaryOf is a program of a certain build.
func newBinaryOf(t testing.TB, build func() (string, error), env ...string) *binary {
	t.Helper()
	b := &binary{t: t, path: filepath.Join(t.TempDir(), "bursar"), directory: t.TempDir(), log: new(bytes.Buffer)}
	path, err := build()
	require.NoError(t, err)
	require.NoError(t, os.Link(path, b.path)) // a path of its own, which an upgrade may replace
	proxy, admin := freeAddr(t), freeAddr(t)
	b.base, b.admin = "http://"+proxy, "http://"+admin
	b.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"BURSAR_PROXY_ADDR=" + proxy, "BURSAR_ADMIN_ADDR=" + admin, "BURSAR_DATA_DIR=" + filepath.Join(b.directory, "data"),
		"BURSAR_SETTLE_FIRST_LOOKUP=50ms", "BURSAR_SETTLE_VERIFY_DELAY=200ms", "BURSAR_SETTLE_VERIFY_RATE=1000",
		"BURSAR_SETTLE_MAX_BACKOFF=1s", "BURSAR_SETTLE_LOOKUP_TIMEOUT=1s", "BURSAR_PROXY_DISCONNECT_GRACE=100ms", "BURSAR_PROXY_SHUTDOWN_TIMEOUT=5s",
	}, env...)
	t.Cleanup(b.kill)
	return b
}

func freeAddr(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// start runs the program and waits until it serves.
func (b *binary) start() {
	b.t.Helper()
	b.log.Reset()
	b.cmd = exec.Command(b.path, "serve")
	b.cmd.Env, b.cmd.Dir, b.cmd.Stderr = b.env, b.directory, b.log
	require.NoError(b.t, b.cmd.Start())
	b.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(b.cmd, b.exited)
	for began := time.Now(); time.Since(began) < time.Minute; {
		select {
		case err := <-b.exited:
			b.exited <- err
			b.t.Fatalf("bursar ended: %v\n%s", err, b.log)
		case <-time.After(10 * time.Millisecond):
		}
		if response, err := http.Get(b.admin + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	b.t.Fatal("bursar is not ready after a minute")
}

func (b *binary) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		err := <-b.exited
		b.exited <- err
	}
}

func TestKillNineInTheMiddleOfStreamsLosesNothing(t *testing.T) {
	kills, workers := 4, 24
	if testing.Short() {
		kills, workers = 1, 8
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	fake := startFake(t, func(o *openroutertest.Options) {
		o.Choose = func(*http.Request, []byte) openroutertest.Behavior {
			return openroutertest.Behavior{Chunks: 20, ChunkInterval: 15 * time.Millisecond}
		}
	})
	address := postgrestest.New(t)
	b := newBinary(t, "BURSAR_UPSTREAM_URL="+fake.URL, "DATABASE_URL="+address, "OPENROUTER_API_KEY=sk-or-crash")
	b.start()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)+1))
			for ctx.Err() == nil {
				send(b.base, random, "/api/v1/chat/completions", fmt.Sprintf(`{"model":"openai/gpt-5-mini","stream":%t,"messages":[{"role":"user","content":"hi"}]}`, random.IntN(4) > 0))
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(200+random.IntN(900)) * time.Millisecond)
		b.kill()
		b.start()
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	wg.Wait()

	conn := connect(t, address)
	idle, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, fake.WaitIdle(idle))
	var problem string
	assert.Eventually(t, func() bool {
		problem = compareAfterCrash(fake.Ledger(), books(t, conn), len(unidentified(t, conn)))
		return problem == ""
	}, 60*time.Second, 100*time.Millisecond)
	require.Empty(t, problem)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	err := <-b.exited
	b.exited <- err
	require.NoError(t, err, b.log.String())
	left, err := filepath.Glob(filepath.Join(b.directory, "data", "journal", "*", "*"))
	require.NoError(t, err)
	assert.Empty(t, left, "the journal is empty")
	t.Logf("%d generations over %d kills", len(fake.Ledger()), kills)
}

// compareAfterCrash is compare, but a bill may be without a row if the process
// died before the headers reached it; then there is a row without an id.
func compareAfterCrash(bills []openroutertest.Bill, rows map[string]booked, nameless int) string {
	var missing int
	var known []openroutertest.Bill
	for _, bill := range bills {
		if _, ok := rows[bill.ID]; !ok {
			missing++
			continue
		}
		known = append(known, bill)
	}
	if missing > nameless {
		return fmt.Sprintf("%d bills have no row, and only %d calls are listed as interrupted", missing, nameless)
	}
	for i := range known {
		known[i].Announced = true
	}
	return compare(known, rows)
}

func TestASignalEndsTheProgramInOrder(t *testing.T) {
	fake := startFake(t)
	b := newBinary(t, "BURSAR_UPSTREAM_URL="+fake.URL) // on its private Postgres
	b.start()
	answered := make(chan int)
	go func() {
		request, _ := http.NewRequest(http.MethodPost, b.base+"/api/v1/chat/completions", bytes.NewReader([]byte(`{"model":"fake/delay=700ms","messages":[]}`)))
		request.Header.Set("Authorization", "Bearer k")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	require.Eventually(t, func() bool { return fake.InFlight() > 0 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM), "the same signal once more, as a terminal and a parent send it")
	assert.Equal(t, http.StatusOK, <-answered, "a call in flight finishes")
	err := <-b.exited
	b.exited <- err
	assert.NoError(t, err, "exit code 0")
	assert.NotContains(t, b.log.String(), `"level":"error"`)
	sockets, _ := filepath.Glob(filepath.Join(b.directory, "data", "postgres", ".s.PGSQL*"))
	assert.Empty(t, sockets, "the private Postgres was stopped")
}

func TestExitCodesAndMessages(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		code      int
		says      []string
	}{
		"help":                 {args: []string{"help"}, code: 0, says: []string{"serve", "demo", "migrate", "Exit codes"}},
		"help of serve":        {args: []string{"serve", "--help"}, code: 0, says: []string{"BURSAR_PROXY_ADDR", "DATABASE_URL", "--settle-verify-rate"}},
		"version":              {args: []string{"version"}, code: 0, says: []string{"bursar "}},
		"an unknown command":   {args: []string{"server"}, code: 2, says: []string{`"server"`, "serve"}},
		"an unknown flag":      {args: []string{"serve", "--nope"}, code: 2, says: []string{"--nope"}},
		"a stray argument":     {args: []string{"serve", "now"}, code: 2, says: []string{`"now"`}},
		"an unknown variable":  {env: []string{"BURSAR_PROXY_ADR=x"}, code: 2, says: []string{"BURSAR_PROXY_ADR", "BURSAR_PROXY_ADDR"}},
		"an exposed key":       {env: []string{"BURSAR_PROXY_ADDR=0.0.0.0:8080", "OPENROUTER_API_KEY=k"}, code: 2, says: []string{"BURSAR_PROXY_CLIENT_TOKENS"}},
		"an exposed admin":     {env: []string{"BURSAR_ADMIN_ADDR=:8081"}, code: 2, says: []string{"BURSAR_ADMIN_TOKEN"}},
		"a key with a break":   {env: []string{"OPENROUTER_API_KEY=sk-or-a\nb"}, code: 2, says: []string{"upstream.api_key", "header"}},
		"no certificates":      {env: []string{"BURSAR_UPSTREAM_CA_FILE=/dev/null"}, code: 2, says: []string{"BURSAR_UPSTREAM_CA_FILE", "/dev/null"}},
		"nobody to ask health": {args: []string{"healthcheck", "--admin-addr", "127.0.0.1:1"}, code: 1, says: []string{"127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(context.Background(), &env{&out, &out, c.env, t.TempDir()}, c.args)
			assert.Equal(t, c.code, code, out.String())
			for _, words := range c.says {
				assert.Contains(t, out.String(), words)
			}
		})
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var out bytes.Buffer
	code := run(context.Background(), &env{&out, &out, []string{"BURSAR_PROXY_ADDR=" + listener.Addr().String()}, t.TempDir()}, nil)
	assert.Equal(t, 1, code)
	assert.Contains(t, out.String(), "BURSAR_PROXY_ADDR")
	assert.Contains(t, out.String(), "address already in use")
	assert.Contains(t, out.String(), "set BURSAR_PROXY_ADDR to another port")
}

func TestADatabaseURLThatCannotBeReadIsAWrongSettingAndKeepsItsPassword(t *testing.T) {
	for _, command := range []string{"serve", "migrate"} {
		var out bytes.Buffer
		code := run(context.Background(), &env{&out, &out, []string{"DATABASE_URL=postgres://u:hunter2@db/x?sslmode=nonsense"}, t.TempDir()}, []string{command})
		assert.Equal(t, 2, code, command)
		assert.Contains(t, out.String(), "configuration: DATABASE_URL: ")
		assert.Contains(t, out.String(), "sslmode is invalid")
		assert.NotContains(t, out.String(), "hunter2")
	}
}

func TestHealthcheckAsksARunningBursar(t *testing.T) {
	r := startProgram(t, startFake(t))
	var out bytes.Buffer
	code := run(context.Background(), &env{&out, &out, []string{"BURSAR_ADMIN_ADDR=" + r.adminListener.Addr().String()}, t.TempDir()}, []string{"healthcheck"})
	assert.Equal(t, 0, code, out.String())
	assert.Equal(t, "ok\n", out.String())
}
