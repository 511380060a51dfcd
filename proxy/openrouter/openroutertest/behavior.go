package openroutertest

import "time"

// Behavior says how one request is answered. The zero value is a well-behaved
// OpenRouter of the newest documented shape: the id in header and body, one
// usage object with the cost, everything billed as sent.
//
// The fields combine freely; where two exclude each other, the one that ends
// the request earlier wins. [ParseBehavior] makes one from names.
type Behavior struct {
	// Refusals: answered before a generation exists, so nothing is billed.

	Status       int           // answer this error status (400 to 599)
	HTML         bool          // with Cloudflare's page instead of the JSON envelope
	ErrorMessage string        // instead of the status's usual message
	ErrorID      bool          // and with an X-Generation-Id that names nothing
	RetryAfter   time.Duration // of 429, 503 and 402; 0: two seconds on 429 and 503

	// What breaks, and where.

	Fault      Fault
	FaultAfter int       // pieces sent before a mid-stream fault; 0: half of them
	Abort      AbortMode // what a client's leaving does to the bill

	// Identity.

	ID          IDPlacement
	CacheHit    bool // the response cache answers: cost 0, no tokens, a new id
	AlwaysTools bool // answer with a tool call though the request may not have tools

	// Money. The ledger and GET /generation always hold what is billed; these
	// fields change the amount, its spelling, or what the inline usage says.

	CostLiteral  string     // the amount, as this JSON number; "": computed from the price list
	CostForm     CostForm   // the spelling of a computed amount
	InlineCost   InlineCost // whether the inline usage has the cost
	InlineAmount string     // the inline cost where it differs from what is billed
	NoIsBYOK     bool       // is_byok is left out
	BYOK         bool       // the customer's provider key paid: cost 0, upstream the list price
	BYOKFee      bool       // with BYOK: OpenRouter's fee of 5 % instead of 0
	ServerTools  bool       // a web search by a server tool folded into the cost, is_byok left out
	Discount     bool       // cost a quarter below the upstream cost
	NoUsage      bool       // the inline answer has no usage at all

	CachedTokens     int64
	CacheWriteTokens int64
	ReasoningTokens  int64 // reported beside the completion tokens, never priced

	// The stream's shape.

	Usage         UsageShape // of the chunk of chat and text streams
	UsageTwice    bool       // the usage is sent twice, alike
	UsageGrowing  bool       // a partial usage of a smaller amount comes first
	UsageNull     bool       // a later chunk has "usage":null
	NoDone        bool       // no [DONE]
	LineEnd       string     // "\n" if empty; "\r\n", "\r"
	BOM           bool       // a byte-order mark first
	MultiLine     bool       // an event's JSON over several data lines
	Comments      bool       // comment lines between events and inside them
	EventNames    bool       // an event: line on chat and responses streams too
	Chunks        int        // pieces of text; 0: by the prompt
	ChunkSize     int        // bytes of each at least; 0: a word
	ChunkInterval time.Duration

	// The text and the keys around it.

	Decoy      Decoy
	EscapeKeys bool // "usage", "cost", "id" … spelt with \u escapes
	UsageFirst bool // the keys of every document in reverse order

	// The body.

	Size            int64  // of the image, the audio or the last event, in bytes at least; 0: small
	Encoding        string // gzip, br, zstd, deflate or deflate-raw if the client accepts it, of streams too; "": gzip of JSON only; identity
	Dribble         bool   // one byte at a time, each flushed
	Split           bool   // flushed inside each rune and inside each "usage"
	Trickle         int    // so many flushes of white space before the JSON
	TrickleInterval time.Duration
	Declare         bool // Content-Length on a JSON answer, which OpenRouter never sends

	// Headers and time.

	EarlyHints bool          // a 103 first
	Trailers   bool          // X-Fake-Trailer after the body
	Delay      time.Duration // the model takes so long before the headers

	// The record in GET /generation.

	PublishDelay   time.Duration // 404 for so long instead of Options' delay
	NeverPublished bool          // 404 for good
	Lookup         LookupFault   // what happens to the lookups

	// Jobs (videos, batches).

	JobPolls  int           // polls that are answered "not yet"; 0: two, negative: none
	JobTime   time.Duration // and a job ends no earlier
	JobFailed bool          // it ends without a result and without a charge
}

// Fault is what goes wrong with an answer.
type Fault uint8

// The faults. What they cost stands beside them; "as an abort" is Behavior.Abort.
const (
	NoFault           Fault = iota
	CutBeforeHeaders        // the connection closes before the model ran: nothing
	LoseAnswer              // the model ran, then the connection closes without headers: in full
	HangBeforeHeaders       // no answer until the client leaves: nothing
	CutMidway               // the connection closes in the middle of the body: as an abort
	CutInUsage              // it closes inside the usage object of a stream: in full
	HangMidway              // silence after half of it, until the client leaves: as an abort
	BlankAnswer             // status 200 and nothing in it: white space and a dot, or a stream without events: zero
	ErrorFirst              // an error under status 200, the first and only event or the whole JSON: zero
	ErrorMidway             // an error event in mid-stream: the tokens so far, told by GET /generation only
	ErrorMidwayBilled       // and its event has the usage
)

// AbortMode is what happens to the model, and so to the bill, when the client
// of a stream leaves. Without a stream the model always runs on.
type AbortMode uint8

// The abort modes.
const (
	AbortByProvider AbortMode = iota // as the model's StopsOnAbort says
	AbortStops                       // billed for the tokens so far, cancelled: true, published later
	AbortRunsOn                      // billed in full
)

// IDPlacement is where the generation's id stands.
type IDPlacement uint8

// The places.
const (
	IDEverywhere IDPlacement = iota
	IDInHeader               // not in the body
	IDInBody                 // not in the header
	IDNowhere
)

// InlineCost is what the inline usage says about the cost.
type InlineCost uint8

// The ways to say it.
const (
	CostSent   InlineCost = iota
	CostNull              // "cost":null
	CostAbsent            // no such key
)

// UsageShape is the form of the chunk that carries the usage of a chat stream.
// It has changed over time and may do so again.
type UsageShape uint8

// The shapes.
const (
	UsageRepeatsFinish UsageShape = iota // since May 2026: a choice without content that repeats finish_reason
	UsageEmptyDelta                      // until January 2026: a choice with an empty delta and finish_reason null
	UsageNoChoices                       // around March 2026: choices is []
)

// Decoy is something in the answer that looks like the usage and is not.
type Decoy uint8

// The decoys.
const (
	NoDecoy     Decoy = iota
	DecoyText         // the completion's text quotes a usage object
	DecoyTool         // the arguments of a tool call are one
	DecoyNested       // a choice, an output item or the router metadata holds one
)

// LookupFault is what happens to GET /generation.
type LookupFault struct {
	Times      int           // to so many lookups of an id; 0: to all of them
	Status     int           // answer this error status
	RetryAfter time.Duration // of 429 and 503; 0: one second
	Hang       bool          // never answer
	Delay      time.Duration // answer late
	WrongID    bool          // answer with a record of another id
}
