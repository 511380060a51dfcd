package proxy

import (
	"crypto/tls"
	"log"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// ServerOptions configure the data port's server.
type ServerOptions struct {
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
	Certificate       *tls.Certificate // nil: plain HTTP
	Logger            zerolog.Logger
}

// NewServer returns the data port's server: HTTP/1.1 and HTTP/2, over TLS or
// in clear text. It sets no limit on the length of a call; a client that
// stalls is the handler's business.
func NewServer(handler http.Handler, opts ServerOptions) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: opts.ReadHeaderTimeout,
		IdleTimeout:       opts.IdleTimeout,
		ErrorLog:          log.New(debugWriter{opts.Logger}, "", 0),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ConnContext:       withClientConn,
		// "OPTIONS *" is forwarded like everything else.
		DisableGeneralOptionsHandler: true,
	}
	if opts.Certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*opts.Certificate}}
	}
	return server
}
