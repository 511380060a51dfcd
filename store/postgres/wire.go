package postgres

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

// wireType is how the elements of a column travel in PostgreSQL's binary
// protocol. A batch has tens of thousands of elements; pgx would look for the
// way of each one anew, as an interface value, and make several of some.
type wireType[T any] struct {
	name string // in SQL
	oid  uint32
	list uint32 // OID of its array
	// put appends an element: its length and its bytes, or null.
	put func([]byte, *T) []byte
}

var (
	wireText         = wireType[text]{"text", pgtype.TextOID, pgtype.TextArrayOID, putText}
	wireID           = wireType[requestID]{"uuid", pgtype.UUIDOID, pgtype.UUIDArrayOID, putID}
	wireOptionalID   = wireType[*requestID]{"uuid", pgtype.UUIDOID, pgtype.UUIDArrayOID, optional(putID)}
	wireTime         = wireType[time.Time]{"timestamptz", pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, putTime}
	wireOptionalTime = wireType[*time.Time]{"timestamptz", pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, optional(putTime)}
	wireInteger      = wireType[*int32]{"integer", pgtype.Int4OID, pgtype.Int4ArrayOID, optional(putInteger)}
	wireBigint       = wireType[*int64]{"bigint", pgtype.Int8OID, pgtype.Int8ArrayOID, optional(putBigint)}
	wireBool         = wireType[bool]{"boolean", pgtype.BoolOID, pgtype.BoolArrayOID, putBool}
	wireOptionalBool = wireType[*bool]{"boolean", pgtype.BoolOID, pgtype.BoolArrayOID, optional(putBool)}
	wireAmount       = wireType[*decimal.Decimal]{"numeric", pgtype.NumericOID, pgtype.NumericArrayOID, optional(putAmount)}
	wireMetadata     = wireType[metadata]{"jsonb", pgtype.JSONBOID, pgtype.JSONBArrayOID, putMetadata}
	wireString       = wireType[string]{"text", pgtype.TextOID, pgtype.TextArrayOID, putString} // "" is itself, not NULL
	wireCount        = wireType[int64]{"bigint", pgtype.Int8OID, pgtype.Int8ArrayOID, putBigint}
	wireSum          = wireType[decimal.Decimal]{"numeric", pgtype.NumericOID, pgtype.NumericArrayOID, putAmount}
	wireDate         = wireType[time.Time]{"date", pgtype.DateOID, pgtype.DateArrayOID, putDate} // of midnight UTC
	wireReservation  = wireType[*reservation]{"jsonb", pgtype.JSONBOID, pgtype.JSONBArrayOID, optional(putJSON[reservation])}
)

// null is the length of an element that is NULL.
const null = math.MaxUint32

func putNull(b []byte) []byte { return binary.BigEndian.AppendUint32(b, null) }

// optional makes nil NULL.
func optional[T any](put func([]byte, *T) []byte) func([]byte, **T) []byte {
	return func(b []byte, v **T) []byte {
		if *v == nil {
			return putNull(b)
		}
		return put(b, *v)
	}
}

func putText(b []byte, v *text) []byte {
	if *v == "" {
		return putNull(b)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(*v)))
	return append(b, *v...)
}

func putString(b []byte, v *string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(*v)))
	return append(b, *v...)
}

func putID(b []byte, v *requestID) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v[:]...)
}

// postgresEpoch is 2000-01-01 UTC in microseconds of Unix time.
const postgresEpoch = 946_684_800_000_000

func putTime(b []byte, v *time.Time) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro()-postgresEpoch))
}

func putDate(b []byte, v *time.Time) []byte {
	const day, epoch = 24 * 60 * 60, postgresEpoch / 1_000_000
	b = binary.BigEndian.AppendUint32(b, 4)
	return binary.BigEndian.AppendUint32(b, uint32((v.Unix()-epoch)/day)) //nolint:gosec // days of four billion years
}

func putInteger(b []byte, v *int32) []byte {
	b = binary.BigEndian.AppendUint32(b, 4)
	return binary.BigEndian.AppendUint32(b, uint32(*v))
}

func putBigint(b []byte, v *int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(*v))
}

func putBool(b []byte, v *bool) []byte {
	return append(b, 0, 0, 0, 1, byte(count(*v)))
}

func putMetadata(b []byte, v *metadata) []byte {
	if *v == nil {
		return putNull(b)
	}
	return putJSON(b, v)
}

// putJSON writes a value of strings, times and decimals, whose encoding cannot
// fail.
func putJSON[T any](b []byte, v *T) []byte {
	document, _ := json.Marshal(v)
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(document)))
	b = append(b, 1) // version of jsonb's binary form
	return append(b, document...)
}

const (
	numericBase     = 4 // decimal digits in one of numeric's
	numericNegative = 0x4000
	// maxNumericScale is the most digits behind the point that PostgreSQL takes.
	maxNumericScale = 1<<14 - 1
)

// putAmount writes a numeric as numeric_recv of PostgreSQL reads it: how many
// digits of base 10,000 follow, the power of 10,000 that the first one counts,
// the sign, the decimal digits behind the point, and the digits. Every digit of
// v is kept, trailing zeros as well. An exponent beyond PostgreSQL's bounds is
// written as a scale that PostgreSQL refuses, and not as another number.
func putAmount(b []byte, v *decimal.Decimal) []byte {
	var scratch [32]byte
	digits := appendDigits(scratch[:0], v)
	exponent := int(v.Exponent())
	scale := max(0, -exponent)
	if exponent > maxNumericScale || scale > maxNumericScale {
		exponent, scale = 0, math.MaxInt16
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0) // the length, when it is known
	var sign uint16
	if v.Sign() < 0 {
		sign = numericNegative
	}
	first, last := floorDiv(exponent+len(digits)-1, numericBase), floorDiv(exponent, numericBase)
	groups := first - last + 1
	if v.IsZero() {
		first, groups, digits = 0, 0, nil
	}
	b = binary.BigEndian.AppendUint16(b, uint16(groups))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(first))) //nolint:gosec // within a quarter of the scale's bounds
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, uint16(scale))
	var group uint16
	for i, c := range digits {
		group = group*10 + uint16(c-'0')
		place := exponent + len(digits) - 1 - i // the power of ten that c counts
		within := place - floorDiv(place, numericBase)*numericBase
		if i == len(digits)-1 {
			for range within { // the zeros that the exponent stands for
				group *= 10
			}
		} else if within > 0 {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, group)
		group = 0
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// appendDigits appends the digits of v's coefficient.
func appendDigits(b []byte, v *decimal.Decimal) []byte {
	if v.NumDigits() > 18 {
		c := v.Coefficient()
		return c.Abs(c).Append(b, 10)
	}
	c := v.CoefficientInt64()
	return strconv.AppendInt(b, max(c, -c), 10)
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
