package accounting

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestAnAmountIsABareNumberWithAllItsDigits(t *testing.T) {
	for literal, want := range map[string]string{
		"0":                             "0",
		"0.000000012345678901234567891": "0.000000012345678901234567891",
		"5e-11":                         "0.00000000005",
		"1.5e3":                         "1500",
		"123456789012345678901234.5":    "123456789012345678901234.5",
		"-0.25":                         "-0.25",
	} {
		body, err := json.Marshal(Amount{decimal.RequireFromString(literal)})
		require.NoError(t, err)
		require.Equal(t, want, string(body), "of %s", literal)

		var back Amount
		require.NoError(t, json.Unmarshal(body, &back))
		require.True(t, back.Equal(decimal.RequireFromString(literal)), "read back %s", body)
	}
}

func TestAnAmountScansWhatPostgresSends(t *testing.T) {
	var a Amount
	require.NoError(t, a.Scan("0.00000000005"))
	require.Equal(t, "0.00000000005", a.String())
	require.Error(t, a.Scan("NaN"))
}

func TestWhatARowDoesNotKnowIsNullAndNotZero(t *testing.T) {
	id := NewRequestID(time.UnixMilli(1_790_000_000_123), 1, 2)
	zero := Amount{}
	body, err := json.Marshal(UsageRow{ID: id, Status: StatusPending, InlineCostUSD: &zero})
	require.NoError(t, err)

	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &got))
	require.Equal(t, `"`+id.String()+`"`, string(got["id"]))
	require.Equal(t, `null`, string(got["cost_usd"]))
	require.Equal(t, `0`, string(got["inline_cost_usd"]))
	require.Equal(t, `null`, string(got["prompt_tokens"]))
	require.Equal(t, `null`, string(got["metadata"]))
	for name := range got {
		require.Equal(t, strings.ToLower(name), name, "columns are in lower case")
	}

	var back UsageRow
	require.NoError(t, json.Unmarshal(body, &back))
	require.Equal(t, id, back.ID)
	require.Nil(t, back.CostUSD)
}
