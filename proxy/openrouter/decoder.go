package openrouter

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxDecoded bounds the work that a compressed body can cause. Past it the
// body is no longer read, and the cost comes from GET /generation.
const maxDecoded = 1 << 30

// decoder undoes a Content-Encoding for the meter's copy of a body, in step
// with the bytes: when Write returns, everything that could be decoded has
// reached the sink, so that an id is known before the bytes that hold it go
// on. The decompressors pull and we push, so they run as a coroutine.
type decoder struct {
	input  []byte
	ended  bool
	sink   func([]byte)
	resume func() (struct{}, bool)
	stop   func()
	err    error
}

// newDecoder returns nil if encodings names one that we do not know.
func newDecoder(encodings []string, sink func([]byte)) *decoder {
	for _, name := range encodings {
		if !knownEncoding(name) {
			return nil
		}
	}
	d := &decoder{sink: sink}
	d.resume, d.stop = iter.Pull(func(yield func(struct{}) bool) {
		d.err = d.decode(encodings, source{d, yield})
	})
	return d
}

// Write decodes p and what is left of earlier bytes. Errors end the decoding,
// not the call.
func (d *decoder) Write(p []byte) {
	d.input = p
	d.resume()
	d.input = nil
}

// Close decodes what was held back and frees the decompressors.
func (d *decoder) Close() {
	d.ended = true
	d.resume()
	d.stop()
}

func (d *decoder) decode(encodings []string, src source) (err error) {
	defer func() {
		if r := recover(); r != nil { // a decompressor tripped over hostile bytes
			err = fmt.Errorf("decode response: %v", r)
		}
	}()
	reader, closers, err := openAll(encodings, src)
	defer func() {
		for _, closeReader := range closers {
			closeReader()
		}
	}()
	if err != nil {
		return err
	}
	buf := make([]byte, 8<<10)
	for total := 0; total < maxDecoded; {
		n, err := reader.Read(buf)
		d.sink(buf[:n])
		total += n
		if err != nil {
			return err
		}
	}
	return io.ErrShortBuffer
}

// source gives the decompressor the bytes at hand and, when they are used up,
// returns control to Write until there are more.
type source struct {
	d     *decoder
	yield func(struct{}) bool
}

func (s source) Read(p []byte) (int, error) {
	for len(s.d.input) == 0 {
		if s.d.ended {
			return 0, io.EOF
		}
		if !s.yield(struct{}{}) {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, s.d.input)
	s.d.input = s.d.input[n:]
	return n, nil
}

// contentEncodings splits the header into the encodings to undo, outermost
// last applied first undone.
func contentEncodings(values []string) []string {
	var names []string
	for name := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
			names = append([]string{name}, names...)
		}
	}
	return names
}

func knownEncoding(name string) bool {
	switch name {
	case "gzip", "x-gzip", "br", "zstd", "deflate":
		return true
	}
	return false
}

func openAll(encodings []string, src io.Reader) (reader io.Reader, closers []func(), err error) {
	reader = src
	for _, name := range encodings {
		switch name {
		case "gzip", "x-gzip":
			reader, err = openGzip(reader)
		case "br":
			reader = brotli.NewReader(reader)
		case "deflate":
			reader, err = openDeflate(reader)
		case "zstd":
			var z *zstd.Decoder
			// One goroutine and a bounded window: the defaults would keep
			// megabytes and several goroutines for each response.
			z, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
			if err == nil {
				reader = z
				closers = append(closers, z.Close)
			}
		}
		if err != nil {
			return nil, closers, fmt.Errorf("read %s header: %w", name, err)
		}
	}
	return reader, closers, nil
}

// gzipMembers reads a gzip body, of one member or several. A gzip.Reader alone looks
// for the next one before it returns the end of the last, and so would hold that
// until the body's end is known: by then the client has it.
type gzipMembers struct {
	source *bufio.Reader
	gzip   *gzip.Reader
	ended  bool // a member has, and another may follow
}

func openGzip(src io.Reader) (io.Reader, error) {
	m := &gzipMembers{source: bufio.NewReader(src), gzip: new(gzip.Reader), ended: true}
	return m, m.next()
}

// next returns io.EOF if there is no further member.
func (m *gzipMembers) next() error {
	if err := m.gzip.Reset(m.source); err != nil {
		return err
	}
	m.gzip.Multistream(false)
	m.ended = false
	return nil
}

// Read returns what is decoded next.
func (m *gzipMembers) Read(p []byte) (int, error) {
	if m.ended {
		if err := m.next(); err != nil {
			return 0, err
		}
	}
	n, err := m.gzip.Read(p)
	if errors.Is(err, io.EOF) {
		m.ended, err = true, nil
	}
	return n, err
}

// openDeflate tells zlib, which "deflate" means (RFC 9110 §8.4.1.2), from the
// bare deflate that some servers send.
func openDeflate(src io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(src)
	head, err := buffered.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}
