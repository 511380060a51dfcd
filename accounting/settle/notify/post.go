package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxAnswer bounds what is read of an answer; all that matters is shorter.
const maxAnswer = 64 << 10

// hook delivers by one POST of a JSON document.
type hook struct {
	url       string // secret
	transport http.RoundTripper
	render    func(*Message) ([]byte, error)
	header    func(h http.Header, m *Message, body []byte) // may be nil
	judge     func(*answer) error                          // may be nil: any 2xx is a delivery
}

// answer is what a receiver said.
type answer struct {
	status int
	header http.Header
	body   []byte // the first maxAnswer bytes, or fewer if it was cut
}

// newTransport keeps no connections: messages are rare, and a channel then has
// nothing to close.
func newTransport(o *options) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: o.roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxAnswer,
	}
	if o.dial != nil {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := o.dial(ctx, network, address)
			if err != nil { // marked as what harmless may show
				return nil, &net.OpError{Op: "dial", Net: network, Err: err}
			}
			return conn, nil
		}
	}
	return t
}

func (h *hook) send(ctx context.Context, m *Message) error {
	body, err := h.render(m)
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("make a request for the channel's URL") // the cause would show it
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Bursar")
	if h.header != nil {
		h.header(req.Header, m, body)
	}
	a, err := h.roundTrip(req)
	if err != nil {
		return err
	}
	if h.judge != nil {
		return h.judge(a)
	}
	return a.verdict("")
}

// roundTrip goes below http.Client, which would follow redirects and put the
// URL into its errors.
func (h *hook) roundTrip(req *http.Request) (*answer, error) {
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("post: %w", harmless(err))
	}
	defer resp.Body.Close()
	// The status has come, so what is missing of the body changes no verdict.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// harmless is err, unless it may repeat what the receiver said: a server that
// returns what it was sent would have it show the URL.
func harmless(err error) error {
	var (
		network     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	if errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) ||
		errors.Is(err, http.ErrSchemeMismatch) {
		return err
	}
	return errors.New("the answer of the receiver, or of a proxy, is not HTTP or too long")
}

func (a *answer) delivered() bool { return a.status >= 200 && a.status <= 299 }

// verdict judges by the status alone. What the receiver said, if anything, is
// shown with it.
func (a *answer) verdict(said string) error {
	if a.delivered() {
		return nil
	}
	cause := fmt.Sprintf("answered %d", a.status)
	if name := http.StatusText(a.status); name != "" {
		cause += " " + name
	}
	if said = clip(line(said), maxTitle); said != "" {
		cause += ": " + said
	}
	if a.status >= 300 && a.status <= 399 {
		cause += "; redirects are not followed, configure the final URL"
	}
	return &SendError{
		cause:      errors.New(cause),
		permanent:  !a.mayPass(),
		retryAfter: retryAfter(a.header, time.Now()),
	}
}

// mayPass reports whether the status speaks of the moment, not of the request.
func (a *answer) mayPass() bool {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return a.status >= 500
	}
}
