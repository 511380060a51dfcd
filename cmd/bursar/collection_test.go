package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestASmallHeapGrowsToTheTargetAndALargeOneAsGoHasIt(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 1000, 2 << 20: 1000, 8 << 20: 400, 10 << 20: 300, 20 << 20: 100, 39 << 20: 100, 40 << 20: 100, 1 << 30: 100,
	} {
		assert.Equal(t, want, collectionPercent(live), "%d MB live", live>>20)
	}
}
