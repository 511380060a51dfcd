package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"bursar/accounting"
)

const (
	frameHeader = 8 // len u32, crc u32
	minPayload  = prefixSize
	maxPayload  = 256 << 10

	headerSize    = 32
	formatVersion = 1
)

var (
	magic      = [8]byte{'b', 'u', 'r', 's', 'a', 'r', 'J', '\n'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrTooLarge says that the event's text does not fit a frame (256 KiB). No event that
// the proxy makes from bounded tags comes near it.
var ErrTooLarge = errors.New("event is too large for the journal")

// keyOf reads the kind and the id off a payload.
func keyOf(payload []byte) eventKey {
	return eventKey{kind: accounting.Kind(payload[0]), id: accounting.RequestID(payload[1:prefixSize])}
}

// appendFrame appends the whole frame of e to b, with its checksum not yet
// salted: which segment it goes to is known only under the shard's lock.
func appendFrame(b []byte, e *accounting.Event) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b, err := appendEvent(b, e)
	if err != nil {
		return nil, err
	}
	payload := b[start+frameHeader:]
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(payload))
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start:]))
	return b, nil
}

// checksum is over the length and the payload of the frame, so that a damaged
// length is found out too.
func checksum(frame []byte) uint32 {
	crc := crc32.Update(0, castagnoli, frame[:4])
	return crc32.Update(crc, castagnoli, frame[frameHeader:])
}

// saltFrames lays a segment's salt over the checksums of frames that stand one
// behind the other, or takes it away again.
func saltFrames(frames []byte, salt uint32) {
	for len(frames) > 0 {
		crc := binary.LittleEndian.Uint32(frames[4:])
		binary.LittleEndian.PutUint32(frames[4:], crc^salt)
		frames = frames[frameHeader+int(binary.LittleEndian.Uint32(frames)):]
	}
}

// appendRaw appends a frame around a payload that is encoded already.
func appendRaw(b, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start:]))
	return b
}

// plausible reports whether a frame may begin with these eight bytes, and how
// long its payload would be.
func plausible(header []byte) (payload int, ok bool) {
	n := binary.LittleEndian.Uint32(header)
	return int(n), n >= minPayload && n <= maxPayload
}

// intact reports whether frame, whole, carries the checksum of its content.
func intact(frame []byte, salt uint32) bool {
	return binary.LittleEndian.Uint32(frame[4:])^salt == checksum(frame)
}

// segmentName is a segment's identity. It stands in the file's name and again
// in its header, so that either survives damage to the other.
type segmentName struct {
	shard uint32
	seq   uint64
	// salt is random, and laid over every checksum in the file. A frame that
	// a client smuggled into a tag, or that an earlier file left on the same
	// blocks, is therefore not taken for a frame of this file.
	salt uint32
}

const segmentSuffix = ".seg"

// String is the file's name: shard, sequence number, salt.
func (n segmentName) String() string {
	return fmt.Sprintf("%03d-%012d-%08x%s", n.shard, n.seq, n.salt, segmentSuffix)
}

// parseSegmentName is the inverse of String. ok is false for any other file.
func parseSegmentName(file string) (n segmentName, ok bool) {
	base, found := strings.CutSuffix(file, segmentSuffix)
	parts := strings.Split(base, "-")
	if !found || len(parts) != 3 {
		return n, false
	}
	shard, err1 := strconv.ParseUint(parts[0], 10, 32)
	seq, err2 := strconv.ParseUint(parts[1], 10, 64)
	salt, err3 := strconv.ParseUint(parts[2], 16, 32)
	n = segmentName{shard: uint32(shard), seq: seq, salt: uint32(salt)}
	return n, err1 == nil && err2 == nil && err3 == nil && n.String() == file
}

// header is the first 32 bytes of the file.
func (n segmentName) header() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint16(b, formatVersion)
	b = binary.LittleEndian.AppendUint16(b, headerSize)
	b = binary.LittleEndian.AppendUint32(b, n.shard)
	b = binary.LittleEndian.AppendUint64(b, n.seq)
	b = binary.LittleEndian.AppendUint32(b, n.salt)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A segment's header may be in one of these states.
type headerState int

const (
	headerGood  headerState = iota
	headerTorn              // shorter than a header: the process died while making it
	headerBad               // damaged; the file's name says what it should have said
	headerNewer             // intact, of a version that this binary cannot read
)

// checkHeader compares the first bytes of a file with what n says.
func (n segmentName) checkHeader(b []byte) headerState {
	if len(b) < headerSize {
		return headerTorn
	}
	b = b[:headerSize]
	if bytes.Equal(b, n.header()) {
		return headerGood
	}
	sum := crc32.Checksum(b[:headerSize-4], castagnoli)
	if [8]byte(b) == magic && binary.LittleEndian.Uint32(b[headerSize-4:]) == sum &&
		binary.LittleEndian.Uint16(b[8:]) > formatVersion {
		return headerNewer
	}
	return headerBad
}
