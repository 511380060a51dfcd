package accounting

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// RequestID names one call through Bursar. It is a UUIDv7 (RFC 9562 §5.7): its
// first 48 bits are the call's start in Unix milliseconds, so that a replay of
// the call's events always meets its own row in its own monthly partition.
type RequestID [16]byte

// NewRequestID makes the id of a call that starts at now. a and b are random
// bits; 74 of them are used. The caller brings them because this package does
// no I/O.
func NewRequestID(now time.Time, a, b uint64) RequestID {
	var id RequestID
	binary.BigEndian.PutUint64(id[0:], uint64(now.UnixMilli())<<16|a&0x0fff)
	binary.BigEndian.PutUint64(id[8:], b)
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // RFC 9562 variant
	return id
}

// ParseRequestID reads the 36-character form that [RequestID.String] writes.
func ParseRequestID(s string) (RequestID, error) {
	var id RequestID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("request id %q: want the form 01234567-89ab-7cde-8f01-23456789abcd", s)
	}
	compact := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(compact)); err != nil {
		return RequestID{}, fmt.Errorf("request id %q: %w", s, err)
	}
	return id, nil
}

// Time is the start of the call, in UTC, to the millisecond.
func (id RequestID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)).UTC()
}

// String is the canonical lower-case UUID form.
func (id RequestID) String() string {
	var buf [36]byte
	hex.Encode(buf[0:8], id[0:4])
	buf[8] = '-'
	hex.Encode(buf[9:13], id[4:6])
	buf[13] = '-'
	hex.Encode(buf[14:18], id[6:8])
	buf[18] = '-'
	hex.Encode(buf[19:23], id[8:10])
	buf[23] = '-'
	hex.Encode(buf[24:36], id[10:16])
	return string(buf[:])
}

// MarshalText writes the form of [RequestID.String], so that JSON and logs show
// the id and not its bytes.
func (id RequestID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what [RequestID.MarshalText] writes.
func (id *RequestID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseRequestID(string(text))
	return err
}

// IsZero reports whether the id was never set.
func (id RequestID) IsZero() bool { return id == RequestID{} }
