package settle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"bursar/accounting"
)

// maxHandedKey bounds a key in bytes, as net/http bounds the header that
// brought it.
const maxHandedKey = 1 << 20

// errNotAPipe protects keys from a file that somebody meant well with.
var errNotAPipe = errors.New("keys in clear go through a pipe to another process, and nowhere else")

// HandOver writes the held keys, in clear, to the process that replaces this
// one. pipe must be a pipe: anything that could keep what is written to it, or
// show it to somebody, is refused. It may be called again, when more keys have
// come. The caller bounds the time with pipe.SetWriteDeadline.
//
// For each key: its length in bytes as an unsigned varint, the key, and the
// time of its last use in Unix seconds as a signed varint.
func (k *Keyring) HandOver(pipe *os.File) error {
	info, err := pipe.Stat()
	if err != nil {
		return fmt.Errorf("hand over keys: %w", err)
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		return fmt.Errorf("hand over keys: %w", errNotAPipe)
	}
	frames := k.frames()
	defer clear(frames)
	if _, err := pipe.Write(frames); err != nil {
		return fmt.Errorf("hand over keys: %w", err)
	}
	return nil
}

// frames is what [Keyring.HandOver] writes.
func (k *Keyring) frames() []byte {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var frames []byte
	for _, h := range k.byFingerprint {
		frames = binary.AppendUvarint(frames, uint64(len(h.key)))
		frames = append(frames, h.key...)
		frames = binary.AppendVarint(frames, h.used.Load())
	}
	return frames
}

// TakeOver holds the keys that another process hands over, until that has
// closed its end of the pipe, and returns how many were new here. No error
// shows what was read.
func (k *Keyring) TakeOver(pipe io.Reader) (added int, err error) {
	r := bufio.NewReader(pipe)
	for {
		key, used, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			return added, nil
		}
		if err != nil {
			return added, fmt.Errorf("take over keys: %w", err)
		}
		if _, held := k.Key(accounting.Fingerprint(key)); held {
			continue
		}
		k.add(key, min(used, time.Now().Unix()), false)
		added++
	}
}

// readFrame reads one key; io.EOF means that there is none left.
func readFrame(r *bufio.Reader) (key string, used int64, err error) {
	n, err := binary.ReadUvarint(r)
	switch {
	case err != nil:
		return "", 0, err // io.EOF only before the first byte
	case n == 0 || n > maxHandedKey:
		return "", 0, fmt.Errorf("a key cannot be %d bytes long", n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return "", 0, cutShort(err)
	}
	if used, err = binary.ReadVarint(r); err != nil {
		return "", 0, cutShort(err)
	}
	return string(raw), used, nil
}

// cutShort tells the end in the middle of a frame from the end after one.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
