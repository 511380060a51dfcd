package accounting

// Optional is a value that may be unknown. Unknown is not zero: a cost that
// OpenRouter did not send and a cost of 0 are two different facts.
type Optional[T any] struct {
	Value T
	Known bool
}

// Some returns a known value.
func Some[T any](v T) Optional[T] { return Optional[T]{Value: v, Known: true} }

// Or returns o if it is known, else other.
func (o Optional[T]) Or(other Optional[T]) Optional[T] {
	if o.Known {
		return o
	}
	return other
}

// Pointer returns the value's address, nil if it is unknown: the form in which
// SQL and JSON say "null".
func (o Optional[T]) Pointer() *T {
	if !o.Known {
		return nil
	}
	return &o.Value
}

// FromPointer is the inverse of [Optional.Pointer].
func FromPointer[T any](p *T) Optional[T] {
	if p == nil {
		return Optional[T]{}
	}
	return Some(*p)
}
