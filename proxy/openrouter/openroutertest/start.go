package openroutertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Protocol is how an Instance is spoken to.
type Protocol uint8

// The protocols.
const (
	HTTP1 Protocol = iota // plain HTTP/1.1
	H2C                   // plain HTTP/2 with prior knowledge, and HTTP/1.1
	TLS                   // HTTP/2 and HTTP/1.1 over TLS, with a certificate of its own
)

// Instance is a Server that listens.
type Instance struct {
	*Server
	// URL is the base address, without a path: http://127.0.0.1:40123
	URL string
	// Roots trusts the certificate of a TLS instance; nil for the others.
	Roots *x509.CertPool

	server *http.Server
	served chan error
}

// Start makes a Server with opts and serves it on a free port of 127.0.0.1.
func Start(opts Options, protocol Protocol) (*Instance, error) {
	return Serve(New(opts), "127.0.0.1:0", protocol)
}

// Serve listens on addr, a loopback address, and serves s until Close. A Server
// keeps its ledger when it is closed and served again.
func Serve(s *Server, addr string, protocol Protocol) (*Instance, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	i := &Instance{
		Server: s, URL: "http://" + listener.Addr().String(), served: make(chan error, 1),
		server: &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols),
			ErrorLog: log.New(io.Discard, "", 0)}, // it would complain of every connection that a Behavior cuts
	}
	i.server.Protocols.SetHTTP1(true)
	switch protocol {
	case H2C:
		i.server.Protocols.SetUnencryptedHTTP2(true)
	case TLS:
		i.server.Protocols.SetHTTP2(true)
		certificate, err := selfSigned()
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		i.URL = "https://" + listener.Addr().String()
		i.Roots = x509.NewCertPool()
		i.Roots.AddCert(certificate.Leaf)
		i.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	go func() {
		if protocol == TLS {
			i.served <- i.server.ServeTLS(listener, "", "")
		} else {
			i.served <- i.server.Serve(listener)
		}
	}()
	return i, nil
}

// Close stops listening and cuts all connections, as a machine that dies does.
// The requests in flight are billed as aborted.
func (i *Instance) Close() error {
	err := i.server.Close()
	if served := <-i.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Client is an HTTP client that trusts the instance, speaks its best protocol
// and changes nothing: it asks for no compression by itself.
func (i *Instance) Client() *http.Client {
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 100, Protocols: new(http.Protocols),
		TLSClientConfig: &tls.Config{RootCAs: i.Roots, MinVersion: tls.VersionTLS12},
	}
	switch {
	case i.Roots != nil:
		transport.Protocols.SetHTTP1(true)
		transport.Protocols.SetHTTP2(true)
	case i.server.Protocols.UnencryptedHTTP2():
		transport.Protocols.SetUnencryptedHTTP2(true)
	default:
		transport.Protocols.SetHTTP1(true)
	}
	return &http.Client{Transport: transport}
}

// selfSigned makes a certificate for 127.0.0.1 and localhost, good for a day.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "fake OpenRouter"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the certificate back: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
