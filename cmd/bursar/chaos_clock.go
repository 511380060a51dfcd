//go:build chaosclock

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// The build with this tag has a wall clock that steps as the file named by
// CHAOS_CLOCK says: by how many seconds it is ahead of the machine's. It needs
// a package time that can do that, which chaos_clock_test.go lays over Go's own.
func init() {
	control := os.Getenv("CHAOS_CLOCK")
	if control == "" {
		return
	}
	step := func() {
		text, err := os.ReadFile(control)
		if err != nil {
			return // it is being replaced
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			panic("CHAOS_CLOCK: " + err.Error())
		}
		time.ChaosStep(seconds)
	}
	step()
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			step()
		}
	}()
}
