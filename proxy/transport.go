package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// TransportOptions configure the connections to OpenRouter.
type TransportOptions struct {
	DialTimeout           time.Duration // of one connection, TLS included
	ResponseHeaderTimeout time.Duration // until the answer's headers; 0: no limit
	RootCAs               *x509.CertPool
}

// NewTransport returns a transport for OpenRouter: HTTP/2 where the server
// speaks it, connections kept and TLS sessions resumed, and no header that the
// client did not send.
func NewTransport(opts TransportOptions) *http.Transport {
	dialer := dialer{net.Dialer{Timeout: opts.DialTimeout, KeepAlive: 30 * time.Second}, holdTime}
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            opts.RootCAs,
			ClientSessionCache: tls.NewLRUClientSessionCache(256),
		},
		TLSHandshakeTimeout:   opts.DialTimeout,
		ResponseHeaderTimeout: opts.ResponseHeaderTimeout,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // it would add an Accept-Encoding of its own
		MaxIdleConns:          0,
		MaxIdleConnsPerHost:   1024,
		IdleConnTimeout:       90 * time.Second,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, // a dead connection must not hold a thousand streams
			PingTimeout:     15 * time.Second,
		},
	}
	// The HTTP/2 inside net/http takes a PROTOCOL_ERROR for a sign that a request
	// was not looked at, and sends it again for as long as that is the answer:
	// OpenRouter would bill each. This one, from which it is copied, has learnt
	// to do so after REFUSED_STREAM and GOAWAY only.
	if err := http2.ConfigureTransport(transport); err != nil { //nolint:staticcheck // Protocols would choose net/http's own
		panic(err) // it was done before
	}
	markMultiplexed(transport)
	return transport
}

// What HTTP/2 makes of REFUSED_STREAM and GOAWAY where the call is not sent again
// are errors without a type. They begin so: the first where its body is gone, the
// second for the first stream of a connection that ends with an error.
const (
	cannotRetry = "http2: Transport: cannot retry err ["
	wentAway    = "http2: Transport received GOAWAY from server ErrCode:"
)

// timedTransport notes on the call when it went upstream and how long the
// answer took, so that our own share of the time can be told from
// OpenRouter's.
type timedTransport struct{ inner http.RoundTripper }

func (t timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := callOf(r)
	c.upstreamAt = c.handler.opts.Now()
	response, err := t.inner.RoundTrip(r)
	c.upstream = c.handler.opts.Now().Sub(c.upstreamAt)
	c.sent = err == nil || !neverSent(err)
	return response, err
}

// neverSent reports whether the call failed before a connection stood, or HTTP/2
// says that OpenRouter has not looked at it. In doubt it may have.
func neverSent(err error) bool {
	if isDeclined(err) {
		return true
	}
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "dial" {
		return true
	}
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &name) || errors.As(err, &certificate) || errors.As(err, &record)
}

// isDeclined reports whether HTTP/2 says that OpenRouter has not looked at the
// call: a stream that was refused, or came after the last that a GOAWAY names.
func isDeclined(err error) bool {
	var stream http2.StreamError
	if errors.As(err, &stream) && stream.Code == http2.ErrCodeRefusedStream {
		return true
	}
	return strings.HasPrefix(err.Error(), cannotRetry) || strings.HasPrefix(err.Error(), wentAway)
}
