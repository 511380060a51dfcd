package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// legacy is what a process got from the one that it replaces.
type legacy struct {
	legacyFacts
	files map[int]*os.File // by descriptor; a socket until it is listened on
}

// orders brings the word to go, then keys, then the predecessor's end.
func (l *legacy) orders() *os.File { return l.files[fromOldFD] }

// addr is what the socket was configured as.
func (l *legacy) addr(fd int) string {
	if fd == adminSocketFD {
		return l.AdminAddr
	}
	return l.ProxyAddr
}

// legacyFacts is what the old process says of itself in handoverVariable.
type legacyFacts struct {
	DatabaseUp           bool   // its database answered: so ours has to
	ProxyAddr, AdminAddr string // as configured there
}

// String is the value of handoverVariable. Its first word is the version of
// everything that passes between the two.
func (f legacyFacts) String() string {
	return fmt.Sprintf("v1 %t %s %s", f.DatabaseUp, f.ProxyAddr, f.AdminAddr)
}

func parseLegacyFacts(s string) (f legacyFacts, err error) {
	var up string
	words := strings.Split(s, " ")
	if len(words) == 4 && words[0] == "v1" {
		up, f.ProxyAddr, f.AdminAddr = words[1], words[2], words[3]
	}
	if up != "true" && up != "false" {
		return f, fmt.Errorf("%s=%q is not of this version of Bursar: stop the old process and start this one", handoverVariable, s)
	}
	f.DatabaseUp = up == "true"
	return f, nil
}

// inherit returns what the process that this one replaces has passed on, nil
// if there is none.
func inherit(environ []string) (*legacy, error) {
	var value string
	var found bool
	for _, variable := range environ {
		if v, ok := strings.CutPrefix(variable, handoverVariable+"="); ok {
			value, found = v, true
		}
	}
	if !found {
		return nil, nil //nolint:nilnil // nothing is the usual case
	}
	facts, err := parseLegacyFacts(value)
	if err != nil {
		return nil, err
	}
	l := &legacy{facts, make(map[int]*os.File)}
	for fd := proxySocketFD; fd <= toOldFD; fd++ {
		// Not for the processes that we start, such as the private Postgres.
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil { // or reads could not be interrupted
			return nil, fmt.Errorf("take over descriptor %d of the process before: %w", fd, err)
		}
		l.files[fd] = os.NewFile(uintptr(fd), fmt.Sprint("inherited ", fd))
	}
	return l, nil
}

// listen opens a port, or goes on with the predecessor's if it is the same by
// configuration.
func (l *legacy) listen(ctx context.Context, fd int, addr string) (net.Listener, error) {
	if l == nil || l.addr(fd) != addr {
		var config net.ListenConfig
		return config.Listen(ctx, "tcp", addr)
	}
	socket := l.files[fd]
	delete(l.files, fd)
	listener, err := net.FileListener(socket)
	return listener, errors.Join(err, socket.Close())
}

// say tells the predecessor where we are. If it has gone, nobody needs to know.
func (l *legacy) say(word string) { _, _ = io.WriteString(l.files[toOldFD], word) }

func (l *legacy) close() {
	if l == nil {
		return
	}
	for _, file := range l.files {
		_ = file.Close()
	}
}

// awaitTurn returns when this process may serve: at once, or when its
// predecessor says so or has died. If the predecessor's database answers, ours
// has to before it is worth while.
func (p *program) awaitTurn(ctx context.Context) error {
	before := p.handover.inherited
	if before == nil {
		return nil
	}
	for before.DatabaseUp && !p.migrated.Load() {
		if err := p.migrate(ctx); err != nil {
			p.log.Warn().Err(err).Msg("the database is waited for")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the database: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
	before.say(wordReady)
	interruptible := context.AfterFunc(ctx, func() { _ = before.orders().SetReadDeadline(time.Unix(1, 0)) })
	defer interruptible()
	if _, err := before.orders().Read(make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the word to go: %w", ctx.Err())
		}
		p.log.Warn().Msg("the process that was to be replaced has died; its ports are served here now")
	}
	return nil
}

// succeed tells the predecessor that we serve, and takes its keys. systemd is
// told by the predecessor, since it listens to the service's main process.
func (p *program) succeed() {
	if p.handover.inherited == nil {
		p.notifySystemd("READY=1")
		return
	}
	p.handover.receiving.Store(true)
	p.loop("keys of the process before", p.receiveKeys)
	p.handover.inherited.say(wordServing)
}

// receiveKeys holds the keys of the predecessor, until it has gone or ctx ends.
func (p *program) receiveKeys(ctx context.Context) error {
	defer p.handover.receiving.Store(false)
	orders := p.handover.inherited.orders()
	interruptible := context.AfterFunc(ctx, func() { _ = orders.SetReadDeadline(time.Unix(1, 0)) })
	defer interruptible()
	added, err := p.keyring.TakeOver(orders)
	if err != nil && ctx.Err() == nil {
		p.log.Warn().Err(err).Msg("not all keys of the process before could be taken over")
		return nil
	}
	p.log.Info().Int("keys", added).Msg("the process before has gone; its keys are held here")
	return nil
}
