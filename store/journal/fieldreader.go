package journal

import "encoding/binary"

// fieldReader takes fields off the front of what is left of a payload.
type fieldReader struct{ rest string }

// next reads one field: v is its value if it is a varint, text if it is bytes.
// Fields of the other wire types are skipped, and only reported.
func (r *fieldReader) next() (number, wire uint64, v int64, text string, err error) {
	key, ok := r.uvarint()
	if !ok {
		return 0, 0, 0, "", errPayload
	}
	number, wire = key>>3, key&7
	switch wire {
	case wireVarint:
		raw, ok := r.uvarint()
		if !ok {
			return 0, 0, 0, "", errPayload
		}
		return number, wire, int64(raw>>1) ^ -int64(raw&1), "", nil
	case wireBytes:
		size, ok := r.uvarint()
		if !ok || size > uint64(len(r.rest)) {
			return 0, 0, 0, "", errPayload
		}
		text, r.rest = r.rest[:size], r.rest[size:]
		return number, wire, 0, text, nil
	case wireFixed64:
		return number, wire, 0, "", r.skip(8)
	case wireFixed32:
		return number, wire, 0, "", r.skip(4)
	default:
		return 0, 0, 0, "", errPayload
	}
}

func (r *fieldReader) skip(n int) error {
	if len(r.rest) < n {
		return errPayload
	}
	r.rest = r.rest[n:]
	return nil
}

func (r *fieldReader) uvarint() (uint64, bool) {
	var v uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			return 0, false
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v, true
		}
	}
	return 0, false
}

// eachField reads all fields of value: number is called for each varint, text
// for each that is bytes.
func eachField(value string, number func(uint64, int64), text func(uint64, string) error) error {
	r := fieldReader{value}
	for r.rest != "" {
		n, wire, v, s, err := r.next()
		switch {
		case err != nil:
		case wire == wireVarint:
			number(n, v)
		case wire == wireBytes:
			err = text(n, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
