package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// sums is a table of sums, which deltas are added to: K is its key, V what is
// summed.
type sums[K comparable, V any] struct {
	name    string
	keys    []sumColumn[K]
	figures []sumColumn[V]
	compare func(a, b K) int // the order in which rows are locked
	isZero  func(V) bool
	sql     string
}

// sumColumn is a column of a table of sums.
type sumColumn[T any] struct {
	name string
	pg   string // type
	add  func(a *arrays, rows []T)
}

func sumOf[T, C any](name string, wire wireType[C], field func(*T) *C) sumColumn[T] {
	return sumColumn[T]{name: name, pg: wire.name, add: func(a *arrays, rows []T) {
		add(a, wire, len(rows), func(i int) *C { return field(&rows[i]) })
	}}
}

func textOf[T any](name string, field func(*T) *string) sumColumn[T] {
	return sumOf(name, wireString, field)
}
func dayOf[T any](field func(*T) *time.Time) sumColumn[T] { return sumOf("day", wireDate, field) }
func countOf[T any](name string, field func(*T) *int64) sumColumn[T] {
	return sumOf(name, wireCount, field)
}
func amountOf[T any](name string, field func(*T) *decimal.Decimal) sumColumn[T] {
	return sumOf(name, wireSum, field)
}

func newSums[K comparable, V any](name string, compare func(a, b K) int, isZero func(V) bool, keys []sumColumn[K], figures []sumColumn[V]) *sums[K, V] {
	t := &sums[K, V]{name: name, keys: keys, figures: figures, compare: compare, isZero: isZero}
	var columns, identity, parameters, additions []string
	for _, c := range keys {
		columns, identity = append(columns, c.name), append(identity, c.name)
		parameters = append(parameters, fmt.Sprintf("$%d::%s[]", len(columns), c.pg))
	}
	for _, c := range figures {
		columns = append(columns, c.name)
		parameters = append(parameters, fmt.Sprintf("$%d::%s[]", len(columns), c.pg))
		additions = append(additions, fmt.Sprintf("%s = t.%[1]s + excluded.%[1]s", c.name))
	}
	t.sql = fmt.Sprintf(`-- name: %[1]s_post
		INSERT INTO %[1]s AS t (%[2]s) SELECT * FROM unnest(%[3]s)
		ON CONFLICT (%[4]s) DO UPDATE SET %[5]s`,
		name, strings.Join(columns, ", "), strings.Join(parameters, ", "), strings.Join(identity, ", "), strings.Join(additions, ", "))
	return t
}

// post adds deltas to the table, without those that are zero, in the order of
// their keys.
func (t *sums[K, V]) post(ctx context.Context, tx pgx.Tx, deltas map[K]V) error {
	maps.DeleteFunc(deltas, func(_ K, v V) bool { return t.isZero(v) })
	if len(deltas) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(deltas), t.compare)
	figures := make([]V, len(keys))
	for i, k := range keys {
		figures[i] = deltas[k]
	}
	a := newArrays()
	defer a.release()
	for _, c := range t.keys {
		c.add(a, keys)
	}
	for _, c := range t.figures {
		c.add(a, figures)
	}
	if _, err := a.query(ctx, tx, t.sql, nil); err != nil {
		return fmt.Errorf("update %s: %w", t.name, err)
	}
	return nil
}

// sortedBy makes a comparison of the parts of a key, in their order.
func sortedBy[K any](parts ...func(a, b *K) int) func(a, b K) int {
	return func(a, b K) int {
		for _, compare := range parts {
			if c := compare(&a, &b); c != 0 {
				return c
			}
		}
		return 0
	}
}
