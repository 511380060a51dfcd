package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWebhookGetsTheMessageAsOneDocument(t *testing.T) {
	s := newService(t, answers(204, ""), "receiver.example")
	m := alert()
	m.Test = true
	require.NoError(t, parse(t, webhookURL, s.options...).Send(t.Context(), m))

	got := s.only(t)
	assert.Equal(t, []string{"receiver.example:443"}, s.dialed)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "/hooks/bursar", got.Path)
	assert.Equal(t, "tenant=7", got.Query)
	assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
	assert.Equal(t, "alert-01J9-3", got.Header.Get("X-Bursar-Delivery"))
	assert.Empty(t, got.Header.Get("Authorization"), "the secret is never sent")
	assert.JSONEq(t, `{"id":"alert-01J9-3","kind":"budget_threshold","severity":"critical","title":"Budget monthly-ai at 90 %",
		"text":"69.30 of 77.00 EUR are spent.\nIt resets on 1 December.","link":"https://bursar.example/budgets/monthly-ai?from=alert&x=1",
		"at":"2026-11-22T06:00:01Z","fields":[{"name":"Campaign","value":"q4-launch"},{"name":"Spent","value":"69.30 EUR"}],"test":true}`, string(got.Body))
}

func TestAWebhookKeepsItsNamesWhereAMessageHasNothing(t *testing.T) {
	s := newService(t, answers(200, ""), "receiver.example")
	require.NoError(t, parse(t, webhookURL, s.options...).Send(t.Context(),
		Message{ID: "1", Severity: SeverityInfo, Title: "t", At: time.Unix(1, 500).In(time.FixedZone("", 3600))}))
	assert.JSONEq(t, `{"id":"1","kind":"","severity":"info","title":"t","text":"","link":"","at":"1970-01-01T00:00:01.0000005Z","fields":[],"test":false}`,
		string(s.only(t).Body))
}

func TestASignatureIsThatOfTheSecretTheTimeAndTheBody(t *testing.T) {
	// Computed by: printf '1795327201.{"id":"1"}' | openssl dgst -sha256 -hmac 0123456789abcdef
	assert.Equal(t, "t=1795327201,v1=db50e1b93bb402457d2d0a6469817c0c23769d76e649f04eb764fba12e8c714f", Signature([]byte("0123456789abcdef"), time.Unix(1795327201, 0), []byte(`{"id":"1"}`)))
}

func TestAWebhookSignsWhatItSends(t *testing.T) {
	for raw, secret := range map[string]string{
		webhookURL: "0123456789abcdef",
		"webhook+https://:p%2Fss%3Aword-of-16%40@receiver.example/": "p/ss:word-of-16@",
	} {
		s := newService(t, answers(200, ""), "receiver.example")
		before := time.Now().Unix()
		require.NoError(t, parse(t, raw, s.options...).Send(t.Context(), alert()))

		got := s.only(t)
		unix, v1, ok := strings.Cut(strings.TrimPrefix(got.Header.Get("X-Bursar-Signature"), "t="), ",v1=")
		require.True(t, ok)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(unix + "." + string(got.Body)))
		assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), v1)
		at, err := strconv.ParseInt(unix, 10, 64)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, at, before)
		assert.LessOrEqual(t, at, time.Now().Unix())
	}
}

func TestAWebhookWithoutASecretIsNotSigned(t *testing.T) {
	s := newService(t, answers(200, ""), "receiver.example")
	require.NoError(t, parse(t, "webhook+https://receiver.example/", s.options...).Send(t.Context(), alert()))
	assert.NotContains(t, s.only(t).Header, "X-Bursar-Signature")
}

func TestAWebhookOverPlainHTTPReachesALoopbackReceiver(t *testing.T) {
	got := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	defer s.Close()
	require.NoError(t, parse(t, "webhook+"+s.URL+"/a%2Fb?c=%2F").Send(t.Context(), alert()))
	r := <-got
	assert.Equal(t, "/a%2Fb?c=%2F", r.RequestURI)
	assert.Equal(t, hostOf(t, s.URL), r.Host)
}

func TestARedirectIsAFailureAndNobodyElseIsCalled(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newService(t, answers(status, "", "Location", elsewhere.URL+"/0123456789abcdef"), "receiver.example")
		err := sendError(t, parse(t, webhookURL, s.options...), alert())
		assert.True(t, err.Permanent())
		assert.Contains(t, err.Error(), "redirects are not followed")
		assert.NotContains(t, err.Error(), "0123456789abcdef")
		s.only(t)
	}
}

func TestAnEndlessAnswerIsReadToABound(t *testing.T) {
	ended := make(chan struct{})
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for chunk := strings.Repeat("x", 4096); r.Context().Err() == nil; {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}, "receiver.example")
	require.NoError(t, parse(t, webhookURL, s.options...).Send(t.Context(), alert()))
	select {
	case <-ended: // the connection was closed, not drained
	case <-time.After(patience):
		t.Error("the answer is still being read")
	}
}

func TestEndlessHeadersAreReadToABound(t *testing.T) {
	s := newService(t, cuts(t, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 4<<20)), "receiver.example")
	err := sendError(t, parse(t, webhookURL, s.options...), alert())
	assert.Contains(t, err.Error(), "is not HTTP or too long")
}

func TestACertificateOfAnotherHostOrAuthorityIsRefused(t *testing.T) {
	s := newService(t, answers(200, "ok"), "another.example")
	err := sendError(t, parse(t, webhookURL, s.options...), alert())
	assert.Contains(t, err.Error(), "certificate is valid for another.example")

	err = sendError(t, parse(t, "webhook+"+s.URL), alert())
	assert.Contains(t, err.Error(), "unknown authority")
	assert.False(t, err.Permanent(), "a certificate can be renewed")
	assert.Empty(t, s.got())
}

func TestSendEndsWithTheTimeoutOfItsChannelAndWithItsContext(t *testing.T) {
	s := newService(t, hangs, "receiver.example")
	err := sendError(t, parse(t, webhookURL, append(s.options, WithTimeout(50*time.Millisecond))...), alert())
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.False(t, err.Permanent())

	s = newService(t, hangs, "receiver.example")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := parse(t, webhookURL, s.options...)
	go func() { done <- c.Send(ctx, alert()) }()
	require.Eventually(t, func() bool { return len(s.got()) == 1 }, patience, time.Millisecond)
	cancel()
	select {
	case err := <-done:
		assert.ErrorIs(t, err, context.Canceled)
	case <-time.After(patience):
		t.Fatal("Send outlives its context")
	}
}

func TestWhyADialFunctionRefusedIsSaid(t *testing.T) {
	refused := errors.New("egress to this host is not allowed")
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	for _, raw := range []string{webhookURL, mailURL, telegramURL} {
		err := sendError(t, parse(t, raw, WithDial(refuse)), alert())
		assert.ErrorIs(t, err, refused)
		assert.Contains(t, err.Error(), "egress to this host is not allowed")
	}
}

func TestAProxyOfTheEnvironmentIsUsedUnlessADialFunctionIsGiven(t *testing.T) {
	assert.NotNil(t, newTransport(&options{}).Proxy)
	assert.Nil(t, newTransport(&options{dial: new(net.Dialer).DialContext}).Proxy)
}

func TestAReceiverThatIsAwayMayComeBack(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	err := sendError(t, parse(t, "webhook+"+s.URL), alert())
	assert.Contains(t, err.Error(), "connection refused")
	assert.False(t, err.Permanent())
	assert.Zero(t, err.RetryAfter())
}
