package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end when asked to.
const stopTimeout = 30 * time.Second

// process is a child of the harness. Its owner stops it; nobody else signals
// it.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with what it wrote to standard error
	in   io.Closer     // standard input, with which processes of our own end; nil for the others
	done chan struct{} // closed when it has ended
}

// startProcess starts cmd with its standard error in a file under dir.
func startProcess(dir, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	file, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer file.Close() // the child has its own
	cmd.Stderr = file
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended matters only to await, which shows its log
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end, and ends it if it does not.
func (p *process) stop() error {
	if p.in != nil {
		_ = p.in.Close()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
}

// await calls probe until it succeeds.
func (p *process) await(ctx context.Context, probe func(context.Context) error) error {
	deadline := time.After(stopTimeout)
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.name, p.lastWords())
		case <-deadline:
			return fmt.Errorf("%s is not ready after %s: %w: %s", p.name, stopTimeout, err, p.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords are the last lines of its log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// own is a process that runs this program with a subcommand. It ends with its
// standard input, so it never outlives the harness.
type own struct {
	*process
	words []string // what it said when it was ready
}

// startOwn starts a subcommand and waits until it says that it is ready.
func startOwn(dir, name string, env []string, args ...string) (*own, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	defer read.Close()
	cmd.Stdout = write
	p, err := startProcess(dir, name, cmd)
	_ = write.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	p.in = in
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s has ended: %s", name, p.lastWords()), p.stop())
	}
	return &own{p, strings.Fields(line)}, nil
}

// untilParentEnds says on stdout that the process is ready, and returns when
// its parent has closed its standard input.
func untilParentEnds(stdin io.Reader, stdout io.Writer, words ...string) error {
	if _, err := fmt.Fprintln(stdout, strings.Join(words, " ")); err != nil {
		return fmt.Errorf("tell the parent: %w", err)
	}
	_, _ = io.Copy(io.Discard, stdin) // any end is the end
	return nil
}

// freeAddr is a loopback address that nobody listens on. Somebody might before
// it is used; then the process that wanted it says so.
func freeAddr(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
