package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// arrays are the parameters of a statement that unnests them, all of them in
// PostgreSQL's binary form.
type arrays struct {
	buf  []byte
	ends []int    // of each parameter in buf
	oids []uint32 // of their types
	room []byte   // for the messages that carry them
}

// arrayPool keeps the buffers: a large batch has half a megabyte.
var arrayPool = sync.Pool{New: func() any { return new(arrays) }}

func newArrays() *arrays {
	a := arrayPool.Get().(*arrays)
	a.buf, a.ends, a.oids = a.buf[:0], a.ends[:0], a.oids[:0]
	return a
}

func (a *arrays) release() { arrayPool.Put(a) }

// The head of an array of one dimension.
const (
	arrayHead     = 20
	arrayLengthAt = 12
)

// add appends the values of n elements as one parameter. NULLs at the end are
// left out: unnest fills its shorter arrays up with them, and many a column of a
// batch has nothing else.
func add[T any](a *arrays, w wireType[T], n int, at func(i int) *T) {
	start := len(a.buf)
	b := binary.BigEndian.AppendUint32(a.buf, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 1)      // there may be NULLs
	b = binary.BigEndian.AppendUint32(b, w.oid)  // of the elements
	b = binary.BigEndian.AppendUint32(b, 0)      // how many, when it is known
	b = binary.BigEndian.AppendUint32(b, 1)      // the first one's index
	length, end := 0, len(b)
	for i := range n {
		element := len(b)
		b = w.put(b, at(i))
		if binary.BigEndian.Uint32(b[element:]) != null {
			length, end = i+1, len(b)
		}
	}
	b = b[:end]
	binary.BigEndian.PutUint32(b[start+arrayLengthAt:], uint32(length))
	if length == 0 {
		binary.BigEndian.PutUint32(b[start:], 0) // an empty array has no dimension
		b = b[:start+arrayLengthAt]
	}
	a.buf = b
	a.ends, a.oids = append(a.ends, len(b)), append(a.oids, w.list)
}

// addAll appends values as one parameter.
func addAll[T any](a *arrays, w wireType[T], values []T) {
	add(a, w, len(values), func(i int) *T { return &values[i] })
}

// binaryFormat asks for all parameters, or results, in binary form.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// query runs sql with the arrays as its parameters, and calls visit, if there is
// one, with the values of each row, in binary form; they are valid during the
// call. It goes past pgx's own conversions, but not past its tracer.
func (a *arrays) query(ctx context.Context, tx pgx.Tx, sql string, visit func(values [][]byte)) (pgconn.CommandTag, error) {
	conn := tx.Conn()
	if tracer := conn.Config().Tracer; tracer != nil {
		ctx = tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: sql})
		defer tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{})
	}
	parameters := make([][]byte, len(a.ends))
	start := 0
	for i, end := range a.ends {
		parameters[i] = a.buf[start:end]
		start = end
	}
	a.makeRoom(conn.PgConn(), len(sql))
	result := conn.PgConn().ExecParams(ctx, sql, parameters, a.oids, binaryFormat, binaryFormat)
	for result.NextRow() {
		if visit != nil {
			visit(result.Values())
		}
	}
	tag, err := result.Close()
	if err != nil {
		a.room = nil // which the connection may hold still
	}
	return tag, err
}

// pgxKeeps is the most bytes of messages whose buffer pgx uses again. That of
// longer ones it lets go as soon as they are sent.
const pgxKeeps = 1 << 10

// makeRoom gives conn a buffer for the statement's messages if they are long.
// pgx would begin with a kilobyte and let it grow to the megabyte of a large
// batch, anew each time: a seventh of all that a busy Bursar allocates.
func (a *arrays) makeRoom(conn *pgconn.PgConn, sql int) {
	if len(a.buf) <= pgxKeeps {
		return
	}
	a.room = slices.Grow(a.room[:0], len(a.buf)+sql+16*len(a.ends)+512)
	conn.Frontend().Send(roomMessage(a.room))
}

// roomMessage is a message without bytes, whose encoding moves those that wait
// to be sent into its room.
type roomMessage []byte

// Frontend marks it as a client's.
func (roomMessage) Frontend() {}

// Decode is not for what is only sent.
func (roomMessage) Decode([]byte) error { return errors.ErrUnsupported }

// Encode returns the room with dst in it.
func (m roomMessage) Encode(dst []byte) ([]byte, error) { return append(m, dst...), nil }
