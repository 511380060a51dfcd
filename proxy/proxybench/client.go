package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// requestBytes renders a call as the OpenAI client for Python sends it, with
// the tags of a campaign. interval is the upstream's pause between the events
// of a stream; 0: no stream.
func requestBytes(promptBytes int, interval time.Duration) []byte {
	body := `{"model":"anthropic/claude-sonnet-4.6","messages":[{"role":"system","content":"You write short, friendly emails."},{"role":"user","content":"` +
		strings.Repeat("Write to Ada about our offer. ", promptBytes/30) + `"}],"max_tokens":400`
	headers := ""
	if interval > 0 {
		body += `,"stream":true`
		headers = intervalHeader + ": " + interval.String() + "\r\n"
	}
	body += "}"
	return []byte("POST " + chatPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\n" +
		"User-Agent: OpenAI/Python 1.99.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.99.1\r\n" +
		"X-Stainless-Os: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Retry-Count: 0\r\n" +
		"Authorization: Bearer sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n" +
		"X-Campaign-ID: q4-launch\r\nX-Email-ID: email-20417\r\nX-Lead-ID: lead-99312\r\nX-Sequence-ID: seq-3\r\n" +
		"X-Purpose: email_generation\r\nX-Platform: instantly\r\n" + headers +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// connection is a client's keep-alive connection to one target. It does as
// little as possible: the generator shares the machine with what it measures.
type connection struct {
	net.Conn
	addr   string
	reader *bufio.Reader
	buf    []byte
}

func dial(ctx context.Context, addr string) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return &connection{conn, addr, bufio.NewReaderSize(conn, 4<<10), make([]byte, 4<<10)}, nil
}

// callTimeout is far beyond anything that is measured: it keeps a proxy that
// hangs from hanging the run.
const callTimeout = time.Minute

// call sends one request and reads the answer to its end. events, if not nil,
// counts the events of the stream as they come: each ends in an empty line, and
// there are no others.
func (c *connection) call(request []byte, events *atomic.Int64) error {
	if err := c.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return fmt.Errorf("send a call: %w", err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("answered %s: %s", response.Status, text)
	}
	lines := int64(0)
	for {
		n, err := response.Body.Read(c.buf)
		if events != nil {
			lines += int64(bytes.Count(c.buf[:n], []byte{'\n'}))
			events.Add(lines / 2)
			lines %= 2
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
	}
}

// tally counts the calls of a load.
type tally struct {
	answered, failed atomic.Int64
	cause            atomic.Value // an error of a call that failed
}

// mostFailures of a hundred calls may fail. The bare proxy loses one now and
// then: its transport reads the request's body once more, to see its end, and
// breaks the call off if net/http has closed that body because the answer began
// (golang/go#40747). A proxy that fails more often is not worth measuring.
const mostFailures = 1

// verdict is an error if too many calls failed, to be asked for at the end.
func (t *tally) verdict() error {
	if failed := t.failed.Load(); failed > 0 && failed*100 > t.answered.Load()*mostFailures {
		return fmt.Errorf("%d calls failed and %d did not: %w", failed, t.answered.Load(), t.cause.Load().(failure).error)
	}
	return nil
}

// failure makes errors of all types one type, as atomic.Value asks for.
type failure struct{ error }

// try makes a call that may fail, and connects again if it did.
func (c *connection) try(ctx context.Context, request []byte, events *atomic.Int64, t *tally) error {
	err := c.call(request, events)
	if err == nil {
		t.answered.Add(1)
		return nil
	}
	t.failed.Add(1)
	t.cause.Store(failure{err})
	_ = c.Close()
	fresh, err := dial(ctx, c.addr)
	if err != nil {
		return err
	}
	*c = *fresh
	return nil
}

// dialAll opens n connections and warms each up with a small call.
func dialAll(ctx context.Context, addr string, n int) ([]*connection, error) {
	small := requestBytes(60, 0)
	var all []*connection
	var t tally
	for range n {
		c, err := dial(ctx, addr)
		if err == nil {
			all = append(all, c)
			err = c.try(ctx, small, nil, &t)
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
	}
	return all, nil
}

func closeAll(all []*connection) {
	for _, c := range all {
		_ = c.Close()
	}
}

// warmUp makes n calls.
func warmUp(ctx context.Context, addr string, n int) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	request := requestBytes(60, 0)
	for range n {
		if err := c.call(request, nil); err != nil {
			return err
		}
	}
	return nil
}
