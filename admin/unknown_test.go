package admin

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDescriptionSaysWhichAmountsMayBeUnknown(t *testing.T) {
	res := request(newEconomicsHandler(t, &fakeEconomics{}, nil), "GET", "/openapi.json", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, res)), &doc))
	kind := func(schema, property string) any {
		return at(t, doc, "components", "schemas", schema, "properties", property, "type")
	}
	for _, unknown := range []string{"costPerEmail", "costPerMeeting", "remainingCredits", "efficiencyScore"} {
		require.Equal(t, []any{"number", "null"}, kind("DashboardMetrics", unknown), unknown)
	}
	require.Equal(t, "number", kind("DashboardMetrics", "totalMonthlySpend"), "is always known")
	require.Equal(t, []any{"number", "null"}, kind("WasteRow", "share"), "beside an embedded struct")
	require.Equal(t, "number", kind("RecordInputBody", "value"), "is left out, not sent as null")
}
