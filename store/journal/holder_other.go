//go:build !linux

package journal

// lockHolder is the process that holds the lock on path: here nobody says.
func lockHolder(string) int { return 0 }
