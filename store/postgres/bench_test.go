package postgres

import (
	"testing"

	"bursar/accounting"
)

// BenchmarkShip measures the whole transaction for a batch of new calls.
func BenchmarkShip(b *testing.B) {
	s := newStore(b)
	batch := make([]accounting.Event, 500)
	for b.Loop() {
		b.StopTimer()
		for i := range batch {
			batch[i] = closed(noon, "", "0.000123")
			batch[i].GenerationID = "gen-" + batch[i].ID.String()
		}
		b.StartTimer()
		ship(b, s, batch...)
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "calls/s")
}
