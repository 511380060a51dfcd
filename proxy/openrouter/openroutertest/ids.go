package openroutertest

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newID makes the id of a generation: prefix, ten digits of Unix seconds,
// twenty letters and digits. They are never drawn from the seed: servers that
// share one and a database must not share ids.
func newID(prefix string, now time.Time) string {
	b := make([]byte, 0, 48)
	b = append(b, prefix...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, '-')
	return string(appendRandom(b, alphanumeric, 20))
}

func randomID(alphabet string, n int) string {
	return string(appendRandom(make([]byte, 0, n), alphabet, n))
}

func appendRandom(b []byte, alphabet string, n int) []byte {
	for range n {
		b = append(b, alphabet[rand.IntN(len(alphabet))])
	}
	return b
}
