package openrouter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ReplaceModel returns body with another "model" and every other byte as it
// was; a body without one gets it as its first member. Fallbacks that the
// request names stay. It fails on what is not a JSON object, and where "model"
// is there twice.
func ReplaceModel(body []byte, model string) ([]byte, error) {
	c := cursor{body: body}
	top, err := c.find("model")
	if err != nil {
		return nil, fmt.Errorf("replace the model: %w", err)
	}
	quoted, err := json.Marshal(model)
	if err != nil {
		return nil, fmt.Errorf("replace the model by %q: %w", model, err)
	}
	var e edits
	e.set(&top, map[int]string{0: string(quoted)})
	return e.apply(body), nil
}

// MaxPrice is what [AddMaxPrice] puts into a request.
type MaxPrice = accounting.PriceLimits

// AddMaxPrice returns body with provider.max_price, so that OpenRouter itself
// refuses dearer endpoints, and with a limit of completion tokens if there is
// one, the endpoint knows such a member and the body has none. A price there already stays if it
// is as low; every other byte stays as it was. It fails on what is not a JSON
// object, where a member that it needs is there twice, and where provider or
// max_price is no object.
func AddMaxPrice(class Class, body []byte, limit MaxPrice) ([]byte, error) {
	changed, err := addMaxPrice(class, body, limit)
	if err != nil {
		return nil, fmt.Errorf("add provider.max_price: %w", err)
	}
	return changed, nil
}

func addMaxPrice(class Class, body []byte, limit MaxPrice) ([]byte, error) {
	prompt, completion := limit.Prompt.String(), limit.Completion.String()
	prices := fmt.Sprintf(`{"prompt":%s,"completion":%s}`, prompt, completion)

	c := cursor{body: body}
	top, err := c.find("provider", "max_tokens", "max_completion_tokens", "max_output_tokens")
	if err != nil {
		return nil, err
	}
	var e edits
	set := map[int]string{}
	if i := limitMember(class); i > 0 && limit.MaxTokens > 0 && !top.limited(class, body) {
		set[i] = strconv.FormatInt(limit.MaxTokens, 10)
	}
	switch provider := top.values[0]; provider.kind(body) {
	case 0, 'n':
		set[0] = `{"max_price":` + prices + `}`
	default:
		if err := e.extendProvider(body, provider, limit, prices); err != nil {
			return nil, err
		}
	}
	e.set(&top, set)
	return e.apply(body), nil
}

// extendProvider edits the provider that is there.
func (e *edits) extendProvider(body []byte, at span, limit MaxPrice, prices string) error {
	c := cursor{body: body[:at.end], pos: at.start}
	provider, err := c.find("max_price")
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	switch highest := provider.values[0]; highest.kind(body) {
	case 0, 'n':
		e.set(&provider, map[int]string{0: prices})
		return nil
	default:
		c := cursor{body: body[:highest.end], pos: highest.start}
		prices, err := c.find("prompt", "completion")
		if err != nil {
			return fmt.Errorf("provider.max_price: %w", err)
		}
		set := map[int]string{}
		for i, most := range [...]decimal.Decimal{limit.Prompt, limit.Completion} {
			if there := prices.values[i].amount(body); !there.Known || there.Value.GreaterThan(most) {
				set[i] = most.String()
			}
		}
		e.set(&prices, set)
		return nil
	}
}

// limitMember is which of the members looked for limits the completion tokens
// of an endpoint, 0 if none does.
func limitMember(class Class) int {
	switch class.Name {
	case "chat/completions", "completions", "messages":
		return 1
	case "responses":
		return 3
	}
	return 0
}

// limited reports whether a limit that the endpoint honours is there.
func (o *object) limited(class Class, body []byte) bool {
	there := func(i int) bool { return o.values[i].kind(body) != 0 && o.values[i].kind(body) != 'n' }
	return there(limitMember(class)) || class.Name == "chat/completions" && there(2)
}

// span is where a value stands in the body; an empty one stands nowhere.
type span struct{ start, end int }

// kind is the first byte of the value, 0 if there is none.
func (s span) kind(body []byte) byte {
	if s.end == 0 {
		return 0
	}
	return body[s.start]
}

func (s span) amount(body []byte) accounting.Optional[decimal.Decimal] {
	return accounting.ParseCost(string(bytes.Trim(body[s.start:s.end], `"`)))
}

// object is where members of an object stand.
type object struct {
	open   int // after the brace
	empty  bool
	names  []string
	values []span // by name
}

// find takes an object and notes the values of the named members.
func (c *cursor) find(names ...string) (object, error) {
	o := object{empty: true, names: names, values: make([]span, len(names))}
	var twice error
	if c.peek() == '{' {
		o.open = c.pos + 1
	}
	for more := c.enterObject(); more; more = c.nextMember() {
		o.empty = false
		i, start := slices.Index(names, string(c.key)), c.pos
		c.skip()
		if i < 0 {
			continue
		}
		if o.values[i].end > 0 {
			twice = fmt.Errorf("%q is there twice", names[i])
		}
		o.values[i] = span{start, c.pos}
	}
	if c.err == nil && c.peek() != 0 {
		c.fail("something follows the object")
	}
	return o, cmp.Or(c.err, twice)
}

// edits are replacements of spans, none of which overlap.
type edits []edit

type edit struct {
	span
	text string
}

// set gives members of an object new values, by their place among its names:
// those there are replaced, the others become its first members.
func (e *edits) set(o *object, values map[int]string) {
	var added []byte
	for i, name := range o.names {
		text, ok := values[i]
		switch {
		case !ok:
		case o.values[i].end > 0:
			*e = append(*e, edit{o.values[i], text})
		default:
			if len(added) > 0 {
				added = append(added, ',')
			}
			added = fmt.Appendf(added, "%q:%s", name, text)
		}
	}
	if len(added) > 0 && !o.empty {
		added = append(added, ',')
	}
	if len(added) > 0 {
		*e = append(*e, edit{span{o.open, o.open}, string(added)})
	}
}

func (e edits) apply(body []byte) []byte {
	slices.SortFunc(e, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	size := len(body)
	for _, change := range e {
		size += len(change.text)
	}
	out, from := make([]byte, 0, size), 0
	for _, change := range e {
		out = append(append(out, body[from:change.start]...), change.text...)
		from = change.end
	}
	return append(out, body[from:]...)
}
