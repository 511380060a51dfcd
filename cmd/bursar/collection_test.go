package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestASmallHeapGrowsToTheTargetAndALargeOneByHalf(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 1000, 2 << 20: 1000, 8 << 20: 400, 10 << 20: 300, 20 << 20: 100, 25 << 20: 60, 39 << 20: 50, 40 << 20: 50, 1 << 30: 50,
	} {
		assert.Equal(t, want, collectionPercent(live), "%d MB live", live>>20)
	}
}
