package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDemoMovesMoneyAndItsTwoLedgersAgree(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	var out bytes.Buffer
	code := run(ctx, &env{&out, io.Discard, []string{"BURSAR_PROXY_ADDR=127.0.0.1:0", "BURSAR_ADMIN_ADDR=127.0.0.1:0", "BURSAR_DATA_DIR=" + t.TempDir()}, t.TempDir()}, []string{"demo"})
	require.Equal(t, 0, code, out.String())
	assert.Contains(t, out.String(), "in the answer")
	sums := regexp.MustCompile(`(?:since the start|fake OpenRouter): +\$(\S+)`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, sums, 2, out.String())
	assert.NotEqual(t, "0", sums[0][1])
	assert.Equal(t, sums[1][1], sums[0][1], "recorded and billed")
}
