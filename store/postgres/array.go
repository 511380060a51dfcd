package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

// array is an array parameter of one of pgtype's own types. pgx asks for its
// elements one by one, as any: a pointer goes into one without an allocation.
type array[T any] []T

// Dimensions implements pgtype.ArrayGetter.
func (a array[T]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a)), LowerBound: 1}} //nolint:gosec // a batch has thousands
}

// Index implements pgtype.ArrayGetter.
func (a array[T]) Index(i int) any { return &a[i] }

// IndexType implements pgtype.ArrayGetter.
func (a array[T]) IndexType() any { return new(T) }

// parameterArray gives the values of a column in pgtype's own types. In any
// others pgx finds its way for each value anew: for a pointer by reflection, for
// a decimal by trying it as a database/sql value, as text and by scanning that
// again, with an error made and thrown away on the way.
func parameterArray(values any) any {
	switch values := values.(type) {
	case []text:
		return convert(values, func(v text) pgtype.Text { return pgtype.Text{String: string(v), Valid: v != ""} })
	case []*decimal.Decimal:
		return convert(values, optional(func(v decimal.Decimal) pgtype.Numeric {
			return pgtype.Numeric{Int: v.Coefficient(), Exp: v.Exponent(), Valid: true}
		}))
	case []*int64:
		return convert(values, optional(func(v int64) pgtype.Int8 { return pgtype.Int8{Int64: v, Valid: true} }))
	case []*int32:
		return convert(values, optional(func(v int32) pgtype.Int4 { return pgtype.Int4{Int32: v, Valid: true} }))
	case []*bool:
		return convert(values, optional(boolean))
	case []bool:
		return convert(values, boolean)
	case []*time.Time:
		return convert(values, optional(timestamp))
	case []time.Time:
		return convert(values, timestamp)
	case []*requestID:
		return convert(values, optional(uuid))
	case []requestID:
		return convert(values, uuid)
	}
	return values
}

func boolean(v bool) pgtype.Bool { return pgtype.Bool{Bool: v, Valid: true} }

func timestamp(v time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: v, Valid: true} }

func uuid(v requestID) pgtype.UUID { return pgtype.UUID{Bytes: v, Valid: true} }

func convert[T, P any](values []T, to func(T) P) array[P] {
	converted := make(array[P], len(values))
	for i, v := range values {
		converted[i] = to(v)
	}
	return converted
}

// optional makes nil pgtype's NULL, which is the zero value of its types.
func optional[T, P any](to func(T) P) func(*T) P {
	return func(v *T) (null P) {
		if v == nil {
			return null
		}
		return to(*v)
	}
}
