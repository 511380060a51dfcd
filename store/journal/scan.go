package journal

import "io"

// windowSize is how much of a file a scanner reads ahead. Together with the
// largest frame it bounds the reader's memory.
const windowSize = 64 << 10

// pageSize is the unit in which a file that cannot be read in one go is tried.
const pageSize = 4 << 10

// scanner reads the frames of one segment file in order, from off to limit. It
// steps over what is not a frame, and remembers that it did.
type scanner struct {
	src   io.ReaderAt
	salt  uint32
	off   int64 // of the next frame
	limit int64

	buf  []byte // the window: file bytes [base, base+len(buf))
	base int64

	gaps       int   // places where something was stepped over
	gapBytes   int64 // their size
	tail       int64 // bytes before limit in which no frame begins
	wholeTail  bool  // the tail holds a frame of full length with a wrong checksum
	unreadable int   // pages the disk refused
}

// next returns the payload of the next frame and its offset. The payload is
// valid until the next call. ok is false when no frame begins before limit; off
// then equals limit, and limit may be raised to go on.
func (s *scanner) next() (payload []byte, off int64, ok bool) {
	if s.off >= s.limit {
		return nil, s.off, false
	}
	if frame := s.frameAt(s.off); frame != nil {
		off = s.off
		s.off += int64(len(frame))
		return frame[frameHeader:], off, true
	}
	bad := s.off
	whole := s.wholeAt(bad)
	for at := bad + 1; at+frameHeader+minPayload <= s.limit; at++ {
		if frame := s.frameAt(at); frame != nil {
			s.gaps++
			s.gapBytes += at - bad
			s.off = at + int64(len(frame))
			return frame[frameHeader:], at, true
		}
	}
	s.tail += s.limit - bad
	s.wholeTail = s.wholeTail || whole
	s.off = s.limit
	return nil, s.off, false
}

// frameAt returns the frame that begins at off, nil if none does.
func (s *scanner) frameAt(off int64) []byte {
	if off+frameHeader+minPayload > s.limit {
		return nil
	}
	n, ok := plausible(s.window(off, frameHeader))
	if !ok || off+frameHeader+int64(n) > s.limit {
		return nil
	}
	frame := s.window(off, frameHeader+n)
	if !intact(frame, s.salt) {
		return nil
	}
	return frame
}

// wholeAt reports whether there is room at off for the frame that its length
// promises: a wrong checksum then is damage, and not merely an unfinished write.
func (s *scanner) wholeAt(off int64) bool {
	if off+frameHeader+minPayload > s.limit {
		return false
	}
	n, ok := plausible(s.window(off, frameHeader))
	return ok && off+frameHeader+int64(n) <= s.limit
}

// window returns the n bytes at off, all of which lie before limit.
func (s *scanner) window(off int64, n int) []byte {
	if off < s.base || off+int64(n) > s.base+int64(len(s.buf)) {
		s.fill(off, n)
	}
	at := off - s.base
	return s.buf[at : at+int64(n)]
}

func (s *scanner) fill(off int64, n int) {
	size := int(min(int64(max(n, windowSize)), s.limit-off))
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	s.buf, s.base = s.buf[:size], off
	if got, err := s.src.ReadAt(s.buf, off); err != nil && got < size {
		s.fillByPage(got)
	}
}

// fillByPage reads what a single read did not give. Pages the disk refuses are
// taken for zeros, which are never a frame, so that the search goes on behind
// them.
func (s *scanner) fillByPage(from int) {
	for from < len(s.buf) {
		page := s.buf[from:min(from+pageSize, len(s.buf))]
		if got, err := s.src.ReadAt(page, s.base+int64(from)); err != nil && got < len(page) {
			clear(page[got:])
			s.unreadable++
		}
		from += len(page)
	}
}

// damaged reports whether the file holds something that an orderly writer does
// not leave behind. last says that the file is the last of its chain, where the
// process may have died in the middle of a write.
func (s *scanner) damaged(last bool) bool {
	if s.gaps > 0 || s.unreadable > 0 {
		return true
	}
	return s.tail > 0 && (s.wholeTail || !last)
}
