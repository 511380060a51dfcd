//go:build race

package journal

// raceEnabled: sync.Pool drops items at random under the race detector.
const raceEnabled = true
