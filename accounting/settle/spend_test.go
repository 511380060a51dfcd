package settle

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestSpendRisesAndCorrectionsThatTakeBackAreCountedApart(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, err := NewSpend(reg, 0)
	require.NoError(t, err)
	tags := accounting.Tags{CampaignID: "q4", Purpose: "follow_up"}
	s.Add([]accounting.Posting{
		{Tags: tags, Model: "m", Amount: usd("0.5")},
		{Tags: tags, Model: "m", Amount: usd("0.25")},
		{Tags: tags, Model: "m", Amount: usd("-0.125")},
		{Tags: tags, Model: "m", Amount: usd("0")},
		{Model: "m", Amount: usd("1")},
	})
	labels := []string{"campaign", "q4", "purpose", "follow_up", "model", "m"}
	assert.Equal(t, 0.75, metric(t, reg, "bursar_spend_usd_total", labels...))
	assert.Equal(t, 0.125, metric(t, reg, "bursar_spend_corrections_usd_total", labels...))
	assert.Equal(t, 1.0, metric(t, reg, "bursar_spend_usd_total", "campaign", "untagged", "purpose", "untagged"))
}

func TestClientsCannotMakeLabelsWithoutBound(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, err := NewSpend(reg, 10)
	require.NoError(t, err)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for i := range 50 {
				s.Add([]accounting.Posting{{Tags: accounting.Tags{CampaignID: fmt.Sprint("c", i)}, Model: "bad \xff utf-8", Amount: usd("1")}})
			}
		})
	}
	clients.Wait()
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	assert.Len(t, families[0].GetMetric(), 11)
	assert.Equal(t, 4*40.0, metric(t, reg, "bursar_spend_usd_total", "campaign", "other"))
	assert.Equal(t, 200.0, metric(t, reg, "bursar_spend_usd_total", "model", "bad \uFFFD utf-8"))
}

func TestOptionsOfSpendAreChecked(t *testing.T) {
	_, err := NewSpend(nil, -1)
	assert.Error(t, err)
}
