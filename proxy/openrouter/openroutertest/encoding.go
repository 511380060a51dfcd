package openroutertest

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// encoder is a content coding. Flush ends a block, so that a reader can decode
// everything written before.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// plain is the coding "identity".
type plain struct{ io.Writer }

func (plain) Flush() error { return nil }
func (plain) Close() error { return nil }

// newEncoder writes to w in the named coding.
func newEncoder(w io.Writer, coding string) (encoder, error) {
	switch coding {
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstd.MinWindowSize))
	case "deflate": // RFC 9110: the zlib format
		return zlib.NewWriter(w), nil
	case "deflate-raw": // what some servers send instead
		return flate.NewWriter(w, flate.BestSpeed)
	default:
		return plain{w}, nil
	}
}

// coding chooses the content coding of an answer: what the Behavior wants, by
// default gzip of JSON only, if the client accepts it.
func (c *call) coding(stream bool) string {
	want := c.b.Encoding
	if want == "" && !stream {
		want = "gzip"
	}
	if !accepts(c.r.Header.Values("Accept-Encoding"), strings.TrimSuffix(want, "-raw")) {
		return "identity"
	}
	return want
}

// accepts reports whether Accept-Encoding names a coding with a weight above 0.
func accepts(values []string, coding string) bool {
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !found || err == nil && q > 0
	}
	return false
}
