package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watchedOutput ends the run that writes to it once enough has been said.
type watchedOutput struct {
	enough func(said string) bool
	end    func()

	mu   sync.Mutex
	said bytes.Buffer
}

func (w *watchedOutput) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.said.Write(p)
	if w.enough(w.said.String()) {
		w.end()
	}
	return n, err
}

func (w *watchedOutput) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

func TestTheDemoMovesMoneyAndItsTwoLedgersAgree(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out := &watchedOutput{end: cancel, enough: func(said string) bool { return strings.Count(said, "in the answer") >= 5 }}
	code := run(ctx, &env{out, io.Discard, []string{"BURSAR_PROXY_ADDR=127.0.0.1:0", "BURSAR_ADMIN_ADDR=127.0.0.1:0", "BURSAR_DATA_DIR=" + t.TempDir()}, t.TempDir()}, []string{"demo", "--history=false"})
	require.Equal(t, 0, code, out.String())
	require.Contains(t, out.String(), "in the answer")
	sums := regexp.MustCompile(`(?:since the start|fake OpenRouter): +\$(\S+)`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, sums, 2, out.String())
	assert.NotEqual(t, "0", sums[0][1])
	assert.Equal(t, sums[1][1], sums[0][1], "recorded and billed")
}
