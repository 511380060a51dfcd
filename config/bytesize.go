package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written as 8MiB or 1048576.
type ByteSize int64

// byteUnits from large to small, so that String finds the largest that fits.
// Binary units come first among those of similar size: sizes here are mostly
// powers of two.
var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12},
	{"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"KB", 1e3},
	{"B", 1},
}

// ParseByteSize reads a whole number with one of the units B, KB, KiB, MB, MiB,
// GB, GiB, TB, TiB, in any case; without a unit it counts bytes. K, M and G
// alone are refused because people disagree on what they mean.
func ParseByteSize(s string) (ByteSize, error) {
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range byteUnits {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, unit = strings.TrimRight(number[:len(number)-len(u.name)], " "), u.size
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size in bytes", s)
	}
	if int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is more than fits into 63 bits", s)
	}
	return ByteSize(int64(n) * unit), nil
}

// String is the size in the largest unit that divides it; ParseByteSize reads
// it back.
func (b ByteSize) String() string {
	for _, u := range byteUnits {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return "0B"
}
