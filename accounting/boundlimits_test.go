package accounting

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimitsAreTheHighestThatTheRequestPermits(t *testing.T) {
	long := textOffer("Q", "q", "0.0000001", "0.000004")
	long.MaxCompletionTokens = Some(int64(900))
	c := catalogOf(textOffer("P", "p", "0.00000025", "0.000001"), long, textOffer("R", "r", "1", "1")).
		With(Model{Slug: "a/n", Endpoints: []Endpoint{textOffer("P", "p", "0.000003", "0")}})
	f := plain()
	f.Provider.Ignore = []string{"r"}
	limits, ok := LimitsOf(&f, c)
	require.True(t, ok)
	assert.Equal(t, "0.25", limits.Prompt.String())
	assert.Equal(t, "4", limits.Completion.String())
	assert.EqualValues(t, 100, limits.MaxTokens)
	f.Fallbacks = []string{"a/n:floor"}
	limits, ok = LimitsOf(&f, c)
	require.True(t, ok)
	assert.Equal(t, "3", limits.Prompt.String())
	for _, name := range []string{"a/unknown", "openrouter/auto", "a/m:nitro"} {
		f.Fallbacks = []string{name}
		_, ok := LimitsOf(&f, c)
		assert.False(t, ok, name)
	}
}
