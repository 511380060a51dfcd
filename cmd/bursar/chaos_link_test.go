package main

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// link is the network between a Bursar and its Postgres: a TCP port in front of
// the server's socket, which can fail in the ways a network does.
type link struct {
	listener net.Listener
	socket   string // of the server

	mu      sync.Mutex
	healed  *sync.Cond
	state   linkState
	clients map[net.Conn]bool // and the server's ends of the same connections
	closed  bool
}

type linkState uint8

const (
	linkUp   linkState = iota
	linkDown           // connections are reset, new ones too
	linkHung           // nothing passes, and nobody is told
	linkDeaf           // what is sent arrives, no answer comes back: a commit whose outcome is unknown
)

func newLink(t testing.TB, database string) *link {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	query := u.Query()
	l := &link{listener: listener, socket: filepath.Join(query.Get("host"), ".s.PGSQL."+query.Get("port")), clients: map[net.Conn]bool{}}
	l.healed = sync.NewCond(&l.mu)
	done := make(chan struct{})
	go func() { l.serve(); close(done) }()
	t.Cleanup(func() { l.close(); <-done })
	return l
}

// url is the address of the database over this network.
func (l *link) url(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	u.Host, u.RawQuery = l.listener.Addr().String(), "sslmode=disable"
	return u.String()
}

// set changes what the network does. Whatever has been swallowed is lost with
// its connection, as TCP would have it.
func (l *link) set(state linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == linkDown || l.state == linkDeaf {
		l.cut()
	}
	l.state = state
	l.healed.Broadcast()
}

// cut resets all connections. The caller holds the lock.
func (l *link) cut() {
	for conn := range l.clients {
		_ = conn.Close()
	}
	clear(l.clients)
}

func (l *link) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cut()
	l.healed.Broadcast()
}

func (l *link) serve() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { l.join(client) })
	}
}

// join carries one connection until either end closes it.
func (l *link) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", l.socket)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.admit(client, server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.carry(server, client, false) })
	wg.Go(func() { l.carry(client, server, true) })
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, client)
	delete(l.clients, server)
}

func (l *link) admit(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkDown || l.closed {
		return false
	}
	for _, end := range ends {
		l.clients[end] = true
	}
	return true
}

// carry copies one direction; answers is that from the server.
func (l *link) carry(to, from net.Conn, answers bool) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && l.passes(answers) {
			if _, err := to.Write(buffer[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passes waits while the network hangs and tells whether bytes get through.
func (l *link) passes(answers bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == linkHung && !l.closed {
		l.healed.Wait()
	}
	return l.state != linkDeaf || !answers
}
