package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// get asks the admin port. A status of 0: nobody answered.
func (b *binary) get(path string) (status int, body string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.admin+path, nil)
	require.NoError(b.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return response.StatusCode, string(text)
}

// metric is the value of one series, named as the exposition format writes it.
func (b *binary) metric(series string) float64 {
	b.t.Helper()
	status, body := b.get("/metrics")
	require.Equal(b.t, http.StatusOK, status, body)
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			require.NoError(b.t, err)
			return number
		}
	}
	b.t.Fatalf("/metrics has no %s", series)
	return 0
}

// until waits for a state of the program.
func (b *binary) until(what string, reached func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			_, ready := b.get("/readyz")
			b.t.Fatalf("after a minute: not %s; /readyz: %s", what, ready)
		}
	}
}

// untilReady waits until /readyz says that all is well.
func (b *binary) untilReady() {
	b.t.Helper()
	b.until("ready", func() bool { status, _ := b.get("/readyz"); return status == http.StatusOK })
}

// untilNotReady waits until /readyz says why not.
func (b *binary) untilNotReady(why string) {
	b.t.Helper()
	b.until("unready because "+why, func() bool {
		status, body := b.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, why)
	})
}
