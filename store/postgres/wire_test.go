package postgres

import (
	"context"
	"math"
	"math/big"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyAmount has up to forty digits and any exponent that a cost may have.
func anyAmount(t *rapid.T) decimal.Decimal {
	coefficient, ok := new(big.Int).SetString(rapid.StringMatching(`-?[0-9]{1,40}`).Draw(t, "coefficient"), 10)
	require.True(t, ok)
	return decimal.NewFromBigInt(coefficient, rapid.Int32Range(-50, 50).Draw(t, "exponent"))
}

func TestAnAmountTravelsWithEveryDigit(t *testing.T) {
	numeric := pgtype.NumericCodec{}
	m := pgtype.NewMap()
	rapid.Check(t, func(t *rapid.T) {
		d := anyAmount(t)
		b := putAmount(nil, &d)
		v, err := numeric.DecodeDatabaseSQLValue(m, pgtype.NumericOID, pgtype.BinaryFormatCode, b[4:])
		require.NoError(t, err)
		got, err := decimal.NewFromString(v.(string))
		require.NoError(t, err)
		require.True(t, got.Equal(d), "%s became %s", d, got)
	})
}

func TestPostgresReadsWhatTheArraysSay(t *testing.T) {
	s := newStore(t)
	id := requestID{1, 2, 3}
	at := time.Date(1999, 12, 31, 23, 59, 59, 123_456_000, time.UTC)
	number, small := int64(math.MinInt64), int32(-7)
	amounts := []*decimal.Decimal{nil}
	for _, text := range []string{"0", "0.000", "1", "-1", "10000", "100000000", "0.0001", "0.00001", "123456789012345678901234567890.1230", "-0.00012345", "1e20", "9999e-9"} {
		d := decimal.RequireFromString(text)
		amounts = append(amounts, &d)
	}
	var got struct {
		text, uuid, time, integer, bigint, boolean, document, amounts string
	}
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		a := newArrays()
		defer a.release()
		addAll(a, wireText, []text{"", "it's", "ü"})
		addAll(a, wireOptionalID, []*requestID{nil, &id})
		addAll(a, wireOptionalTime, []*time.Time{nil, &at})
		addAll(a, wireInteger, []*int32{nil, &small})
		addAll(a, wireBigint, []*int64{nil, &number, nil})
		addAll(a, wireOptionalBool, []*bool{nil, nil})
		addAll(a, wireMetadata, []metadata{nil, {"a": `"`}})
		addAll(a, wireAmount, amounts)
		_, err := a.query(t.Context(), tx, `
			SELECT $1::text[]::text, $2::uuid[]::text, ARRAY(SELECT t AT TIME ZONE 'UTC' FROM unnest($3::timestamptz[]) t)::text, $4::int[]::text,
			       $5::bigint[]::text, $6::boolean[]::text, $7::jsonb[]::text, $8::numeric[]::text`,
			func(values [][]byte) {
				for i, to := range []*string{&got.text, &got.uuid, &got.time, &got.integer, &got.bigint, &got.boolean, &got.document, &got.amounts} {
					*to = string(values[i])
				}
			})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, `{NULL,it's,ü}`, got.text)
	require.Equal(t, `{NULL,01020300-0000-0000-0000-000000000000}`, got.uuid)
	require.Equal(t, `{NULL,"1999-12-31 23:59:59.123456"}`, got.time)
	require.Equal(t, `{NULL,-7}`, got.integer)
	require.Equal(t, `{NULL,-9223372036854775808}`, got.bigint, "NULLs at the end are left to unnest")
	require.Equal(t, `{}`, got.boolean)
	require.Equal(t, `{NULL,"{\"a\": \"\\\"\"}"}`, got.document)
	require.Equal(t, `{NULL,0,0.000,1,-1,10000,100000000,0.0001,0.00001,123456789012345678901234567890.1230,-0.00012345,100000000000000000000,0.000009999}`, got.amounts)
}

func TestAnAmountBeyondPostgresIsRefusedAndNotChanged(t *testing.T) {
	s := newStore(t)
	for _, exponent := range []int32{-20_000, 20_000} {
		d := decimal.New(1, exponent)
		err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			a := newArrays()
			defer a.release()
			addAll(a, wireAmount, []*decimal.Decimal{&d})
			_, err := a.query(t.Context(), tx, `SELECT $1::numeric[]`, nil)
			return err
		})
		require.ErrorContains(t, err, "invalid scale")
	}
}

func TestABufferThatTheConnectionMayHoldIsNotUsedAgain(t *testing.T) {
	s := newStore(t)
	texts := func(prefix string) []text {
		all := make([]text, 2000)
		for i := range all {
			all[i] = text(prefix + strconv.Itoa(i))
		}
		return all
	}
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		a := newArrays()
		addAll(a, wireText, texts("lost "))
		_, err := a.query(over, tx, "SELECT unnest($1::text[])", nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, a.room, "nothing was sent, and the connection has it still")
		a.release()
		for _, prefix := range []string{"first ", "second ", "third "} {
			a := newArrays()
			want := texts(prefix)
			addAll(a, wireText, want)
			var got []text
			_, err := a.query(t.Context(), tx, "SELECT unnest($1::text[])", func(values [][]byte) { got = append(got, text(values[0])) })
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NotNil(t, a.room)
			a.release()
		}
		return nil
	})
	require.NoError(t, err)
}
