package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"bursar/accounting/settle"
)

// successor is the process that replaces this one.
type successor struct {
	cmd    *exec.Cmd
	exited chan error // one value, when it ends

	orders *os.File // to it: the word to go, then keys
	words  *os.File // of it
}

// startSuccessor starts the binary again, as it is on the disk now, and returns
// when that serves. If it does not come to that within
// BURSAR_PROXY_UPGRADE_TIMEOUT or before ctx ends, it is ended, and the error
// says what it lacked.
func (p *program) startSuccessor(ctx context.Context) (*successor, error) {
	if os.Getpid() == 1 {
		return nil, errors.New("process 1 of a container cannot be replaced, since the container ends with it: start another container")
	}
	s, err := p.spawn(ctx)
	if err != nil {
		return nil, err
	}
	p.log.Info().Str("binary", s.cmd.Path).Int("pid", s.pid()).Msg("upgrade: a new process is starting")
	if err := s.begin(ctx, p.cfg.Proxy.UpgradeTimeout); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// spawn starts the process, with our sockets and the ends of two pipes.
func (p *program) spawn(ctx context.Context) (_ *successor, err error) {
	path, err := p.handover.self.path()
	if err != nil {
		return nil, fmt.Errorf("find the new binary: %w", err)
	}
	s := &successor{exited: make(chan error, 1)}
	var passed []*os.File // closed here in any case
	defer func() {
		for _, file := range passed {
			_ = file.Close()
		}
		if err != nil {
			s.close()
		}
	}()
	for _, listener := range []net.Listener{p.proxyListener, p.adminListener} {
		socket, err := duplicate(listener)
		if err != nil {
			return nil, fmt.Errorf("pass the socket of %s on: %w", listener.Addr(), err)
		}
		passed = append(passed, socket)
	}
	fromUs, toIt, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	passed, s.orders = append(passed, fromUs), toIt
	fromIt, toUs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	passed, s.words = append(passed, toUs), fromIt

	probing, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	known := legacyFacts{DatabaseUp: p.probeDatabase(probing) == nil, ProxyAddr: p.cfg.Proxy.Addr, AdminAddr: p.cfg.Admin.Addr}
	s.cmd = &exec.Cmd{
		Path: path, Args: p.handover.self.args, Dir: p.handover.self.workdir,
		Env:   append(p.handover.self.environ, handoverVariable+"="+known.String()),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: passed,
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the new binary: %w", err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	return s, nil
}

// path is where the command that started this process leads now.
func (i *invocation) path() (string, error) {
	if strings.ContainsRune(i.args[0], os.PathSeparator) {
		return i.args[0], nil // a relative one is relative to workdir
	}
	return exec.LookPath(i.args[0])
}

// duplicate returns another descriptor of the listener's socket.
// TCPListener.File would do it too, but starting a process with that file turns
// the socket to blocking mode, ours included, and an accept that blocks in the
// kernel is woken by no Close.
func duplicate(listener net.Listener) (*os.File, error) {
	conn, ok := listener.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a %T has no descriptor", listener)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = raw.Control(func(original uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, dupErr = syscall.Dup(int(original)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), listener.Addr().String()), nil
}

// begin waits until the process could serve, tells it to, and waits until it
// does. Once told it is no more in our hands: it may have calls.
func (s *successor) begin(ctx context.Context, timeout time.Duration) error {
	opening, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.hear(opening, wordReady); err != nil {
		return err
	}
	if _, err := s.orders.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("tell the new process to serve: %w", err)
	}
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return s.hear(starting, wordServing)
}

// hear waits for a word of the process.
func (s *successor) hear(ctx context.Context, word string) error {
	stop := context.AfterFunc(ctx, func() { _ = s.words.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said := make([]byte, len(word))
	_, err := io.ReadFull(s.words, said)
	switch {
	case err == nil && string(said) == word:
		return nil
	case err == nil:
		return fmt.Errorf("the new process says %q in place of %q", said, word)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the new process was not %s in time (BURSAR_PROXY_UPGRADE_TIMEOUT)", strings.TrimSpace(word))
	case ctx.Err() != nil:
		return errors.New("the upgrade was given up, since this process stops")
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the new process ended before it was %s", strings.TrimSpace(word))
	}
	return fmt.Errorf("listen to the new process: %w", err)
}

// end ends a process that is not to take over: in order if it can, and its way
// of ending is part of the answer.
func (s *successor) end() error {
	defer s.close()
	s.terminate()
	select {
	case err := <-s.exited:
		return err
	case <-time.After(closeTimeout):
		_ = s.cmd.Process.Kill()
		return <-s.exited
	}
}

func (s *successor) terminate() { _ = s.cmd.Process.Signal(syscall.SIGTERM) }

func (s *successor) pid() int { return s.cmd.Process.Pid }

// give hands over the keys of the keyring.
func (s *successor) give(keys *settle.Keyring) error {
	if err := s.orders.SetWriteDeadline(time.Now().Add(closeTimeout)); err != nil {
		return err
	}
	return keys.HandOver(s.orders)
}

func (s *successor) close() {
	for _, file := range []*os.File{s.orders, s.words} {
		if file != nil {
			_ = file.Close()
		}
	}
}
