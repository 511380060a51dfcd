package openrouter

import (
	"strings"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// readTools reads the tools. Those that the caller runs cost what their bytes
// cost; of those that run on the other side only Anthropic's web search has a
// listed price, and a cap if the request sets one.
func (r *factsReader) readTools(name string) {
	if r.peek() != '[' {
		r.skip()
		r.unbounded(name, "is not a list", "send a list")
		return
	}
	r.push(name)
	defer r.pop()
	i := 0
	for more := r.enterArray(); more; more = r.nextElement() {
		r.at(i)
		i++
		r.facts.Tools++
		r.tool()
	}
}

func (r *factsReader) tool() {
	if r.peek() != '{' {
		r.skip()
		return
	}
	var kind []byte
	kinds, uses, counted := 0, int64(0), 0
	for more := r.enterObject(); more; more = r.nextMember() {
		switch string(r.key) {
		case "type":
			if r.null() {
				continue
			}
			kinds++
			if kind, _ = r.text(); len(kind) == 0 {
				kind = []byte("?") // not the name of anything
			}
		case "max_uses":
			if r.null() {
				continue
			}
			counted++
			uses, _ = r.number()
		default:
			r.skip()
		}
	}
	switch {
	case kinds > 1:
		r.twice("type")
	case kinds == 0, runByTheCaller(string(kind)):
	case !strings.HasPrefix(string(kind), "web_search_2"):
		r.unbounded("", "is a tool that runs on the other side, without a listed cap or price", "leave it out, or run it in your own code")
	case counted != 1 || uses == 0:
		r.unbounded("", "searches the web without a limit", "set max_uses")
	default:
		r.facts.Searches += uses
	}
}

// runByTheCaller tells the tools whose calls come back to the caller.
func runByTheCaller(kind string) bool {
	switch kind {
	case "function", "custom", "local_shell", "apply_patch":
		return true
	}
	for _, own := range [...]string{"bash_2", "text_editor_2", "computer_2", "memory_2"} {
		if strings.HasPrefix(kind, own) {
			return true
		}
	}
	return false
}

// readFunctions reads the older spelling of tools.
func (r *factsReader) readFunctions(string) {
	if r.peek() != '[' {
		r.skip()
		return
	}
	for more := r.enterArray(); more; more = r.nextElement() {
		r.facts.Tools++
		r.skip()
	}
}

// readProvider reads which endpoints the request permits.
func (r *factsReader) readProvider(name string) {
	if r.peek() != '{' {
		r.skip()
		return // restricts nothing
	}
	r.push(name)
	defer r.pop()
	p, seen := &r.facts.Provider, uint8(0)
	once := func(bit uint8, member string) {
		if seen&bit != 0 {
			r.twice(member)
		}
		seen |= bit
	}
	for more := r.enterObject(); more; more = r.nextMember() {
		switch string(r.key) {
		case "only":
			once(1, "only")
			p.Only = r.names()
		case "order":
			once(2, "order")
			p.Order = r.names()
		case "ignore":
			once(4, "ignore")
			p.Ignore = r.names()
		case "allow_fallbacks":
			once(8, "allow_fallbacks")
			start := r.pos
			r.skip()
			p.NoFallbacks = string(r.body[start:r.pos]) == "false"
		case "max_price":
			once(16, "max_price")
			r.maxPrice()
		case "sort":
			once(32, "sort")
			r.sort()
		default:
			r.skip()
		}
	}
}

// names reads a list of names; one with anything else in it restricts nothing.
func (r *factsReader) names() []string {
	if r.peek() != '[' {
		r.skip()
		return nil
	}
	var names []string
	readable := true
	for more := r.enterArray(); more; more = r.nextElement() {
		name, ok := r.text()
		if !ok || len(name) > maxName || len(names) >= maxNames {
			readable = false
			continue
		}
		names = append(names, string(name))
	}
	if !readable {
		return nil
	}
	return names
}

// sort: by throughput is what the variant :nitro means, which may choose a
// dearer service tier (openrouter.md §8).
func (r *factsReader) sort() {
	if r.null() {
		return
	}
	by, ok := r.text()
	if ok && (string(by) == "price" || string(by) == "latency") {
		return
	}
	r.unbounded("sort", "may choose a dearer service tier, for which no price is listed", `sort by "price" or "latency"`)
}

func (r *factsReader) maxPrice() {
	if r.peek() != '{' {
		r.skip()
		return
	}
	p, twice := &r.facts.Provider, false
	for more := r.enterObject(); more; more = r.nextMember() {
		switch string(r.key) {
		case "prompt":
			twice = twice || p.MaxPromptPrice.Known
			p.MaxPromptPrice = r.amount()
		case "completion":
			twice = twice || p.MaxCompletionPrice.Known
			p.MaxCompletionPrice = r.amount()
		default:
			r.skip()
		}
	}
	if twice {
		r.twice("max_price")
	}
}

// amount takes a number, or a string that holds one.
func (r *factsReader) amount() accounting.Optional[decimal.Decimal] {
	switch r.peek() {
	case '"':
		text, _ := r.text()
		return accounting.ParseCost(string(text))
	case '{', '[':
		r.skip()
		return accounting.Optional[decimal.Decimal]{}
	}
	return accounting.ParseCost(string(r.literal()))
}
