package settle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARejectedEventIsKeptWithEveryDigit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejected", "rejects.jsonl")
	r, err := NewRejects(path)
	require.NoError(t, err)
	first, second := closed("0.0004970133333333333"), closed("12345678901234567890.000000000000000000001")
	require.NoError(t, r.Add(*first, poisonError{}))
	require.NoError(t, r.Add(*second, poisonError{}))

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	require.Len(t, lines, 2)
	for i, e := range []string{first.Usage.Cost.Value.String(), second.Usage.Cost.Value.String()} {
		var kept rejected
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &kept))
		assert.Equal(t, e, kept.Event.Usage.Cost.Value.String())
		assert.Equal(t, poisonError{}.Error(), kept.Cause)
		assert.Equal(t, kept.RequestID, kept.Event.ID.String())
		assert.Equal(t, "q4", kept.Event.Tags.CampaignID)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestARejectThatCannotBeWrittenIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r, err := NewRejects(filepath.Join(file, "rejects.jsonl")) // no folder can be there
	require.NoError(t, err)
	e := closed("0.1")
	assert.ErrorContains(t, r.Add(*e, poisonError{}), e.ID.String())
	_, err = NewRejects("")
	assert.Error(t, err)
}
