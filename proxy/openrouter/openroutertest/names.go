package openroutertest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bursar/accounting"
)

// ParseBehavior reads a comma-separated list of names, some with a value:
//
//	crlf,comments,byok
//	chunks=1000,interval=5ms
//
// They are the names of the package's table. An unknown one is an error that
// names it.
func ParseBehavior(list string) (Behavior, error) {
	var b Behavior
	for item := range strings.SplitSeq(list, ",") {
		name, value, valued := strings.Cut(strings.TrimSpace(item), "=")
		if name == "" {
			continue
		}
		if err := b.apply(name, value, valued); err != nil {
			return Behavior{}, fmt.Errorf("behavior %q: %w", item, err)
		}
	}
	return b, nil
}

func (b *Behavior) apply(name, value string, valued bool) error {
	if set, ok := plainNames[name]; ok && !valued {
		set(b)
		return nil
	}
	if set, ok := valuedNames[name]; ok && valued {
		return set(b, value)
	}
	if status, err := strconv.Atoi(name); err == nil && status >= 400 && status <= 599 && !valued {
		b.Status = status
		return nil
	}
	return fmt.Errorf("no such name; known are 400 to 599, %s", strings.Join(BehaviorNames(), ", "))
}

// BehaviorNames lists the names that [ParseBehavior] knows, sorted; those that
// want a value end in "=".
func BehaviorNames() []string {
	var names []string
	for name := range plainNames {
		names = append(names, name)
	}
	for name := range valuedNames {
		names = append(names, name+"=")
	}
	slices.Sort(names)
	return names
}

var plainNames = map[string]func(*Behavior){
	"ok": func(*Behavior) {},

	"cloudflare": func(b *Behavior) { b.HTML, b.Status = true, 403 },
	"html":       func(b *Behavior) { b.HTML = true },
	"error-id":   func(b *Behavior) { b.ErrorID = true },

	"cut-before-headers":   func(b *Behavior) { b.Fault = CutBeforeHeaders },
	"lose-answer":          func(b *Behavior) { b.Fault = LoseAnswer },
	"hang-before-headers":  func(b *Behavior) { b.Fault = HangBeforeHeaders },
	"cut":                  func(b *Behavior) { b.Fault = CutMidway },
	"cut-in-usage":         func(b *Behavior) { b.Fault = CutInUsage },
	"hang":                 func(b *Behavior) { b.Fault = HangMidway },
	"blank":                func(b *Behavior) { b.Fault = BlankAnswer },
	"error-first":          func(b *Behavior) { b.Fault = ErrorFirst },
	"error-midway":         func(b *Behavior) { b.Fault = ErrorMidway },
	"error-midway-billed":  func(b *Behavior) { b.Fault = ErrorMidwayBilled },
	"stops-on-abort":       func(b *Behavior) { b.Abort = AbortStops },
	"runs-on":              func(b *Behavior) { b.Abort = AbortRunsOn },
	"id-in-header":         func(b *Behavior) { b.ID = IDInHeader },
	"id-in-body":           func(b *Behavior) { b.ID = IDInBody },
	"id-nowhere":           func(b *Behavior) { b.ID = IDNowhere },
	"cache-hit":            func(b *Behavior) { b.CacheHit = true },
	"tool":                 func(b *Behavior) { b.AlwaysTools = true },
	"cost-17-digits":       func(b *Behavior) { b.CostLiteral = "0.0004970133333333333" },
	"cost-exponent":        func(b *Behavior) { b.CostLiteral = "1.2e-7" },
	"cost-tiny":            func(b *Behavior) { b.CostLiteral = "4.0000000000000003e-15" },
	"cost-zero":            func(b *Behavior) { b.CostLiteral = "0" },
	"cost-zero-point":      func(b *Behavior) { b.CostLiteral = "0.0" },
	"cost-whole":           func(b *Behavior) { b.CostLiteral = "3" },
	"cost-plain":           func(b *Behavior) { b.CostForm = CostPlain },
	"cost-scientific":      func(b *Behavior) { b.CostForm = CostExponent },
	"cost-capital":         func(b *Behavior) { b.CostForm = CostCapital },
	"cost-padded":          func(b *Behavior) { b.CostForm = CostPadded },
	"cost-null":            func(b *Behavior) { b.InlineCost = CostNull },
	"cost-absent":          func(b *Behavior) { b.InlineCost = CostAbsent },
	"no-is-byok":           func(b *Behavior) { b.NoIsBYOK = true },
	"byok":                 func(b *Behavior) { b.BYOK = true },
	"byok-fee":             func(b *Behavior) { b.BYOK, b.BYOKFee = true, true },
	"server-tools":         func(b *Behavior) { b.ServerTools = true },
	"discount":             func(b *Behavior) { b.Discount = true },
	"no-usage":             func(b *Behavior) { b.NoUsage = true },
	"usage-repeats-finish": func(b *Behavior) { b.Usage = UsageRepeatsFinish },
	"usage-empty-delta":    func(b *Behavior) { b.Usage = UsageEmptyDelta },
	"usage-no-choices":     func(b *Behavior) { b.Usage = UsageNoChoices },
	"usage-twice":          func(b *Behavior) { b.UsageTwice = true },
	"usage-growing":        func(b *Behavior) { b.UsageGrowing = true },
	"usage-null-later":     func(b *Behavior) { b.UsageNull = true },
	"no-done":              func(b *Behavior) { b.NoDone = true },
	"crlf":                 func(b *Behavior) { b.LineEnd = "\r\n" },
	"cr":                   func(b *Behavior) { b.LineEnd = "\r" },
	"bom":                  func(b *Behavior) { b.BOM = true },
	"multi-line":           func(b *Behavior) { b.MultiLine = true },
	"comments":             func(b *Behavior) { b.Comments = true },
	"event-names":          func(b *Behavior) { b.EventNames = true },
	"decoy-text":           func(b *Behavior) { b.Decoy = DecoyText },
	"decoy-tool":           func(b *Behavior) { b.Decoy, b.AlwaysTools = DecoyTool, true },
	"decoy-nested":         func(b *Behavior) { b.Decoy = DecoyNested },
	"escaped-keys":         func(b *Behavior) { b.EscapeKeys = true },
	"usage-first":          func(b *Behavior) { b.UsageFirst = true },
	"gzip":                 func(b *Behavior) { b.Encoding = "gzip" },
	"br":                   func(b *Behavior) { b.Encoding = "br" },
	"zstd":                 func(b *Behavior) { b.Encoding = "zstd" },
	"deflate":              func(b *Behavior) { b.Encoding = "deflate" },
	"deflate-raw":          func(b *Behavior) { b.Encoding = "deflate-raw" },
	"identity":             func(b *Behavior) { b.Encoding = "identity" },
	"dribble":              func(b *Behavior) { b.Dribble = true },
	"split":                func(b *Behavior) { b.Split = true },
	"trickle":              func(b *Behavior) { b.Trickle, b.TrickleInterval = 4, 5*time.Millisecond },
	"declare":              func(b *Behavior) { b.Declare, b.Encoding = true, "identity" },
	"early-hints":          func(b *Behavior) { b.EarlyHints = true },
	"trailers":             func(b *Behavior) { b.Trailers = true },
	"slow":                 func(b *Behavior) { b.Chunks, b.ChunkInterval = 50, 20*time.Millisecond },
	"huge":                 func(b *Behavior) { b.Size = 10 << 20 },
	"never-published":      func(b *Behavior) { b.NeverPublished = true },
	"lookup-hang":          func(b *Behavior) { b.Lookup.Hang = true },
	"lookup-wrong-id":      func(b *Behavior) { b.Lookup.WrongID = true },
	"job-failed":           func(b *Behavior) { b.JobFailed = true },
}

var valuedNames = map[string]func(*Behavior, string) error{
	"retry-after":      duration(func(b *Behavior, d time.Duration) { b.RetryAfter = d }),
	"fault-after":      number(func(b *Behavior, n int64) { b.FaultAfter = int(n) }),
	"cost":             amount(func(b *Behavior, s string) { b.CostLiteral = s }),
	"inline-cost":      amount(func(b *Behavior, s string) { b.InlineAmount = s }),
	"cached":           number(func(b *Behavior, n int64) { b.CachedTokens = n }),
	"cache-write":      number(func(b *Behavior, n int64) { b.CacheWriteTokens = n }),
	"reasoning":        number(func(b *Behavior, n int64) { b.ReasoningTokens = n }),
	"chunks":           number(func(b *Behavior, n int64) { b.Chunks = int(n) }),
	"chunk-size":       number(func(b *Behavior, n int64) { b.ChunkSize = int(n) }),
	"interval":         duration(func(b *Behavior, d time.Duration) { b.ChunkInterval = d }),
	"size":             number(func(b *Behavior, n int64) { b.Size = n }),
	"trickle":          number(func(b *Behavior, n int64) { b.Trickle = int(n) }),
	"trickle-interval": duration(func(b *Behavior, d time.Duration) { b.TrickleInterval = d }),
	"delay":            duration(func(b *Behavior, d time.Duration) { b.Delay = d }),
	"publish-delay":    duration(func(b *Behavior, d time.Duration) { b.PublishDelay = d }),
	"lookup-status":    number(func(b *Behavior, n int64) { b.Lookup.Status = int(n) }),
	"lookup-delay":     duration(func(b *Behavior, d time.Duration) { b.Lookup.Delay = d }),
	"lookup-times":     number(func(b *Behavior, n int64) { b.Lookup.Times = int(n) }),
	"job-polls":        number(func(b *Behavior, n int64) { b.JobPolls = cmp.Or(int(n), -1) }),
	"job-time":         duration(func(b *Behavior, d time.Duration) { b.JobTime = d }),
}

func duration(set func(*Behavior, time.Duration)) func(*Behavior, string) error {
	return func(b *Behavior, value string) error {
		d, err := time.ParseDuration(value)
		if err == nil {
			set(b, d)
		}
		return err
	}
}

// number reads a count; kb and mb after it stand for 2^10 and 2^20.
func number(set func(*Behavior, int64)) func(*Behavior, string) error {
	return func(b *Behavior, value string) error {
		shift := 0
		for suffix, bits := range map[string]int{"kb": 10, "mb": 20} {
			if digits, ok := strings.CutSuffix(value, suffix); ok {
				value, shift = digits, bits
			}
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil {
			set(b, n<<shift)
		}
		return err
	}
}

// amount reads the literal of a JSON number.
func amount(set func(*Behavior, string)) func(*Behavior, string) error {
	return func(b *Behavior, value string) error {
		if !accounting.ParseCost(value).Known {
			return fmt.Errorf("%q is not an amount of money as JSON writes it", value)
		}
		set(b, value)
		return nil
	}
}
