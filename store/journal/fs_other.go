//go:build unix && !linux

package journal

import "os"

func dataSync(f *os.File) error { return f.Sync() }

func allocate(f *os.File, size int64) error { return writeZeros(f, size) }
