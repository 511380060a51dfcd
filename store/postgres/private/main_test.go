package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary is a Bursar that can be killed when these name its folder
// and its programs.
const (
	bursarDir    = "PRIVATE_TEST_BURSAR_DIR"
	bursarBinDir = "PRIVATE_TEST_BURSAR_BIN_DIR"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(bursarDir); dir != "" {
		actAsBursar(dir)
		return
	}
	code := m.Run()
	if used.dir != "" {
		_ = os.RemoveAll(filepath.Dir(used.dir))
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// actAsBursar starts the private Postgres, says so and waits to be killed, or
// for the end of its input.
func actAsBursar(dir string) {
	_, err := Start(context.Background(), Options{Dir: dir, BinDir: os.Getenv(bursarBinDir), Settings: unsafeSettings()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// bursar is another process that uses a cluster.
type bursar struct {
	*exec.Cmd
	input *os.File // its end is the end of the process, even if we are killed
	out   *os.File
}

// startBursar runs this test binary as a Bursar on dir.
func startBursar(t *testing.T, dir, binDir string) *bursar {
	t.Helper()
	stdin, input, err := os.Pipe()
	require.NoError(t, err)
	out, stdout, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bursarDir+"="+dir, bursarBinDir+"="+binDir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
	require.NoError(t, cmd.Start())
	require.NoError(t, errors.Join(stdin.Close(), stdout.Close()))
	b := &bursar{Cmd: cmd, input: input, out: out}
	t.Cleanup(func() {
		b.killNine()
		_ = errors.Join(input.Close(), out.Close())
	})
	return b
}

func (b *bursar) awaitReady(t *testing.T) {
	t.Helper()
	line := make([]byte, 1000)
	n, _ := b.out.Read(line)
	require.Equal(t, "ready\n", string(line[:n]))
}

func (b *bursar) killNine() {
	_ = b.Process.Kill()
	_ = b.Wait()
}

func unsafeSettings() map[string]string {
	return map[string]string{"fsync": "off", "dynamic_shared_memory_type": "mmap"}
}

// folder returns a new folder for a cluster. Unlike t.TempDir it can be reached by
// the server's account. Whatever runs in it at the end is killed.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := makeFolder()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(filepath.Dir(dir))) })
	t.Cleanup(func() { killWhatRunsIn(t, dir) })
	return dir
}

func makeFolder() (string, error) {
	parent, err := os.MkdirTemp("", "private-")
	if err != nil {
		return "", err
	}
	if parent, err = filepath.EvalSymlinks(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, "postgres"), os.Chmod(parent, 0o755)
}

// used is the folder of usedFolder. TestMain removes it.
var used struct {
	once sync.Once
	dir  string
	err  error
}

// usedFolder returns a folder with a cluster that was stopped in order. All tests
// that ask share it, one after the other: initdb is what takes the time.
func usedFolder(t *testing.T) string {
	t.Helper()
	used.once.Do(func() {
		if used.dir, used.err = makeFolder(); used.err != nil {
			return
		}
		var c *Cluster
		if c, used.err = Start(t.Context(), Options{Dir: used.dir, Settings: unsafeSettings()}); used.err == nil {
			used.err = c.Stop(t.Context())
		}
	})
	require.NoError(t, used.err)
	t.Cleanup(func() { killWhatRunsIn(t, used.dir) })
	return used.dir
}

func killWhatRunsIn(t *testing.T, dir string) {
	c := &Cluster{dir: dir}
	if pid, err := c.PID(); err == nil {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
	require.Eventually(t, func() bool { return !exists(dir) || !c.alive() }, 10*time.Second, pollInterval)
}

// start starts the cluster in dir for the length of the test.
func start(t *testing.T, dir string) *Cluster {
	t.Helper()
	return startWith(t, Options{Dir: dir, Settings: unsafeSettings()})
}

func startWith(t *testing.T, opts Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, c.Stop(ctx))
}

func pidOf(t *testing.T, c *Cluster) int {
	t.Helper()
	pid, err := c.PID()
	require.NoError(t, err)
	return pid
}

// query returns the one value of a query.
func query[T any](t *testing.T, c *Cluster, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var value T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

// remember commits a row that recall must find.
func remember(t *testing.T, c *Cluster, text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `DROP TABLE IF EXISTS memory; CREATE TABLE memory (text text)`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO memory VALUES ($1)`, text)
	require.NoError(t, err)
}

func recall(t *testing.T, c *Cluster) string {
	t.Helper()
	return query[string](t, c, `SELECT text FROM memory`)
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// count tells how often the log has the words.
func (b *safeBuffer) count(words string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), words)
}

func (b *safeBuffer) logger() zerolog.Logger { return zerolog.New(b) }

func write(t *testing.T, path, text string, perm fs.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), perm))
}
