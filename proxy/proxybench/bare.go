package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// startBare starts a bare ReverseProxy. The certificate of the upstream comes
// by the environment, as to any Go program, so that the code stays bare.
func (b *bench) startBare(name string, u *upstream) (*contender, error) {
	args := []string{"bare", "-upstream", u.url}
	if name == namePool {
		args = append(args, "-pool")
	}
	var env []string
	if u.caFile != "" {
		env = append(env, "SSL_CERT_FILE="+u.caFile)
	}
	p, err := startOwn(b.dir, name, env, args...)
	if err != nil {
		return nil, err
	}
	if len(p.words) != 2 {
		return nil, fmt.Errorf("%s said %q: want two addresses", name, p.words)
	}
	return &contender{name: name, addr: p.words[0], metrics: p.words[1], process: p.process}, nil
}

// serveBare is the subcommand.
func serveBare(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	target := flags.String("upstream", "", "where to forward")
	pool := flags.Bool("pool", false, "with a BufferPool")
	if err := flags.Parse(args); err != nil {
		return err
	}
	u, err := url.Parse(*target)
	if err != nil {
		return fmt.Errorf("read -upstream: %w", err)
	}
	server := httptest.NewServer(bareProxy(u, *pool))
	defer server.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	control := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer control.Close()
	return untilParentEnds(stdin, stdout, server.Listener.Addr().String(), control.URL)
}

// bareProxy is a ReverseProxy with default settings. Its transport is the
// default one but for the number of connections it keeps: with two of them it
// would open a connection for nearly every call, and lose to anybody.
func bareProxy(target *url.URL, pool bool) *httputil.ReverseProxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1024
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}
	if pool {
		proxy.BufferPool = &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}}
	}
	return proxy
}

// buffers is the plainest BufferPool.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte  { return b.pool.Get().(*[32 << 10]byte)[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }
