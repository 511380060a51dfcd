package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"bursar/proxy/openrouter/openroutertest"
)

const (
	// streamChunks is the number of content chunks of a stream, each an event
	// of some 300 bytes. An opening, a closing one, the usage and [DONE] come
	// on top.
	streamChunks = 64
	chatPath     = "/api/v1/chat/completions"
	// intervalHeader asks the upstream for a pause before every event.
	intervalHeader = "X-Bench-Interval"
)

// upstream is the fake OpenRouter in its own process.
type upstream struct {
	*own
	url    string
	caFile string // PEM of its certificate; empty: plain HTTP
}

func startUpstream(dir, protocol string) (*upstream, error) {
	args := []string{"upstream"}
	u := &upstream{}
	if protocol == protocolTLS {
		u.caFile = filepath.Join(dir, "upstream.pem")
		args = append(args, "-tls", u.caFile)
	}
	var err error
	if u.own, err = startOwn(dir, "upstream", nil, args...); err != nil {
		return nil, err
	}
	u.url = u.words[0]
	return u, nil
}

// host is its address without the scheme.
func (u *upstream) host() string {
	_, host, _ := strings.Cut(u.url, "://")
	return host
}

// serveUpstream is the subcommand.
func serveUpstream(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("upstream", flag.ContinueOnError)
	caFile := flags.String("tls", "", "serve HTTP/2 over TLS and write the certificate to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler, err := upstreamHandler()
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(handler)
	defer server.Close()
	if *caFile == "" {
		server.Start()
	} else {
		server.EnableHTTP2 = true
		server.StartTLS()
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(*caFile, text, 0o644); err != nil {
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	return untilParentEnds(stdin, stdout, server.URL)
}

// upstreamHandler is the lean fake OpenRouter with two additions: streams that
// take their time, and records of the generations that it does not remember.
func upstreamHandler() (http.Handler, error) {
	lean := openroutertest.New(openroutertest.Options{Lean: true, LeanChunks: streamChunks})
	cost, err := constantCost(lean)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/generation" {
			answerGeneration(w, r.URL.Query().Get("id"), cost)
			return
		}
		if interval, err := time.ParseDuration(r.Header.Get(intervalHeader)); err == nil && interval > 0 {
			w = &pacedWriter{ResponseWriter: w, context: r.Context(), interval: interval}
		}
		lean.ServeHTTP(w, r)
	}), nil
}

// constantCost is the literal that all lean answers have as their cost.
func constantCost(lean http.Handler) (string, error) {
	recorder := httptest.NewRecorder()
	lean.ServeHTTP(recorder, httptest.NewRequestWithContext(context.Background(), http.MethodPost, chatPath, strings.NewReader(`{}`)))
	found := regexp.MustCompile(`"cost":([0-9.eE-]+)`).FindSubmatch(recorder.Body.Bytes())
	if found == nil {
		return "", errors.New("the fake OpenRouter's answer has no cost")
	}
	return string(bytes.Clone(found[1])), nil
}

func answerGeneration(w http.ResponseWriter, id, cost string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"data":{"id":%q,"model":"anthropic/claude-4.6-sonnet-20260217","provider_name":"Anthropic","total_cost":%s,"is_byok":false,"finish_reason":"stop","native_tokens_prompt":100,"native_tokens_completion":%d}}`,
		id, cost, streamChunks)
}

// pacedWriter waits before every flush, also before the first one: a model
// thinks before it speaks.
type pacedWriter struct {
	http.ResponseWriter
	context  context.Context
	interval time.Duration
}

// FlushError is what http.ResponseController calls.
func (w *pacedWriter) FlushError() error {
	select {
	case <-time.After(w.interval):
		return http.NewResponseController(w.ResponseWriter).Flush()
	case <-w.context.Done():
		return w.context.Err()
	}
}
