package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// script waits for the end of its input, which comes when the test process ends
// or lets go. Then it stops the server in its folder at once, without
// ceremony, and removes the folder. It tries for a while: an initdb that was
// interrupted may still be writing. The number in postmaster.pid may be stale,
// so it must belong to a process that works in our data directory (where there
// is a /proc to ask).
const script = `
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
	if [ -n "$pid" ] && { [ ! -e /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; }; then
		kill -QUIT "$pid" 2>/dev/null
		sleep 0.2
	fi
	rm -rf "$1" 2>/dev/null
	[ -e "$1" ] || exit 0
	sleep 0.3
done
exit 1
`

// watchdog is a process that cleans up after us.
type watchdog struct {
	cmd   *exec.Cmd
	input *os.File // nothing is ever written: its end is the message
}

// watch starts the watchdog over dir.
func watch(dir string) (*watchdog, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to the watchdog: %w", err)
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", script, "postgrestest-watchdog", dir)
	cmd.Dir = "/"
	cmd.Stdin = read
	// A session of its own: Ctrl-C ends the test, and the watchdog's work
	// begins then. No output of ours is inherited: go test would wait for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("start the watchdog of the test server: %w", err)
	}
	return &watchdog{cmd: cmd, input: write}, nil
}

// release tells the watchdog to clean up and waits until it has.
func (w *watchdog) release() error {
	_ = w.input.Close()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("clean up the test server: %w", err)
	}
	return nil
}
