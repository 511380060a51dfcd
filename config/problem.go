package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Error is everything that is wrong with a configuration. Each problem is a
// sentence that names the setting, its value unless that is secret, and what is
// allowed.
type Error struct{ Problems []error }

// Error is one line for one problem, else a list.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration has %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  - " + p.Error())
	}
	return b.String()
}

// Unwrap gives the problems to errors.Is and errors.As.
func (e *Error) Unwrap() []error { return e.Problems }

func (e *Error) add(problems ...error) { e.Problems = append(e.Problems, problems...) }

// orNil is e as an error, or nil if there is no problem.
func (e *Error) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// didYouMean ends a sentence about an unknown name with the known one that is
// nearest, if one is near enough to be meant. names maps what is compared to
// what is suggested.
func didYouMean(name string, names map[string]string) string {
	best, bestDistance := "", 1+min(max(2, len(name)/4), len(name)/2) // of "foo" two letters are most of it
	for _, known := range slices.Sorted(maps.Keys(names)) {
		if len(name) > 2*len(known) {
			continue // no typo; and a name may be a megabyte long
		}
		if d := distance(name, known); d < bestDistance {
			best, bestDistance = names[known], d
		}
	}
	if best == "" {
		return "; deploy/bursar.example.yaml and deploy/.env.example list all there are"
	}
	return "; did you mean " + best + "?"
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
