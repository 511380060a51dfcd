package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// kind is how values of one Go type are written by users.
type kind struct {
	name    string                    // in help: --proxy-drain-timeout duration
	allowed string                    // ends the sentence "… is not …"
	parse   func(string) (any, error) // nil for lists, whose items are strings
	sign    func(any) int             // of numbers; nil: the type has no order
}

var errSyntax = errors.New("bad syntax")

// kinds has an entry for the type of every leaf of [Config].
var kinds = map[reflect.Type]kind{
	reflect.TypeFor[string](): {name: "string", parse: func(s string) (any, error) { return s, nil }},
	reflect.TypeFor[Secret](): {name: "secret", parse: func(s string) (any, error) { return NewSecret(s), nil }},
	reflect.TypeFor[bool](): {
		name: "bool", allowed: "true or false",
		parse: func(s string) (any, error) { return strconv.ParseBool(s) },
	},
	reflect.TypeFor[int](): {
		name: "int", allowed: "a whole number such as 10",
		parse: func(s string) (any, error) { return strconv.Atoi(s) },
		sign:  func(v any) int { return cmp.Compare(v.(int), 0) },
	},
	reflect.TypeFor[float64](): {
		name: "number", allowed: "a number such as 10 or 0.5",
		parse: parseFloat,
		sign:  func(v any) int { return cmp.Compare(v.(float64), 0) },
	},
	reflect.TypeFor[time.Duration](): {
		name: "duration", allowed: "a duration with a unit, such as 500ms, 10s, 5m or 168h",
		parse: func(s string) (any, error) { return time.ParseDuration(s) },
		sign:  func(v any) int { return cmp.Compare(v.(time.Duration), 0) },
	},
	reflect.TypeFor[ByteSize](): {
		name: "bytes", allowed: "a size such as 512KiB, 8MiB or 4GiB",
		parse: func(s string) (any, error) { return ParseByteSize(s) },
		sign:  func(v any) int { return cmp.Compare(v.(ByteSize), 0) },
	},
	reflect.TypeFor[decimal.Decimal](): {
		name: "amount", allowed: "an amount such as 75 or 0.92",
		parse: parseAmount,
		sign:  func(v any) int { return v.(decimal.Decimal).Sign() },
	},
	reflect.TypeFor[[]string](): {name: "list"},
	reflect.TypeFor[[]Secret](): {name: "list"},
}

// parseFloat refuses the infinities and NaN that strconv accepts.
func parseFloat(s string) (any, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, errSyntax
	}
	return f, nil
}

// maxAmountDigits is far above any amount of money, and small enough that no
// later calculation with it takes noticeable time.
const maxAmountDigits = 40

// parseAmount reads a plain decimal literal. Exponents are refused: nobody
// writes an amount that way on purpose.
func parseAmount(s string) (any, error) {
	if len(s) > maxAmountDigits || strings.ContainsAny(s, "eE") {
		return nil, errSyntax
	}
	return decimal.NewFromString(s)
}

// splitList reads "a, b,c". Empty items are dropped, so that a trailing comma
// never makes an empty token that everyone knows.
func splitList(s string) []string {
	return cleanList(strings.Split(s, ","))
}

func cleanList(items []string) []string {
	list := make([]string, 0, len(items))
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// decode is the mapstructure hook that turns what a source wrote (a string, or
// []string for a list) into the leaf's type.
func decode(_, to reflect.Type, data any) (any, error) {
	switch raw := data.(type) {
	case string:
		if k, ok := kinds[to]; ok && k.parse != nil {
			return k.parse(raw)
		}
	case []string:
		if to == reflect.TypeFor[[]Secret]() {
			secrets := make([]Secret, len(raw))
			for i, s := range raw {
				secrets[i] = NewSecret(s)
			}
			return secrets, nil
		}
	}
	return data, nil
}

// checkValue applies a key's tags to a parsed value. Its error ends a sentence
// whose subject is the key and its value.
func (k *Key) checkValue(v any) error {
	switch {
	case len(k.Allowed) > 0 && !k.allows(v.(string)):
		return fmt.Errorf("is not one of %s", strings.Join(k.Allowed, ", "))
	case k.kind.sign != nil && k.kind.sign(v) < 0:
		return errors.New("is negative; it has to be at least 0")
	case k.kind.sign != nil && k.positive && k.kind.sign(v) == 0:
		return errors.New("has to be more than 0")
	}
	if k.check != nil {
		return k.check(v)
	}
	return nil
}
