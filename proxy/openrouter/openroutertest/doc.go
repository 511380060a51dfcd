/*
Package openroutertest is a fake OpenRouter that knows what it billed.

It answers the HTTP API of OpenRouter as a proxy sees it (shapes, headers,
streams, errors, delays) and keeps a [Server.Ledger] of every generation,
against which what a proxy recorded can be compared to the last digit. It needs
no network, no *testing.T and no httptest: end-to-end tests, benchmarks, SDK
checks and bursar demo run on it.

	fake, err := openroutertest.Start(openroutertest.Options{}, openroutertest.HTTP1)
	…
	defer fake.Close()
	// point a proxy or a client at fake.URL, then:
	for _, bill := range fake.Ledger() { … bill.ID, bill.Cost, bill.CostLiteral … }

# What it answers

	POST /api/v1/chat/completions          JSON or SSE, tool calls, json_schema
	POST /api/v1/completions               legacy text, JSON or SSE
	POST /api/v1/responses                 JSON or SSE
	POST /api/v1/messages                  JSON or SSE
	POST /api/v1/embeddings                floats or base64
	POST /api/v1/rerank                    gen-rerank-… ids, search units
	POST /api/v1/images                    JSON or SSE
	POST /api/v1/audio/speech              sound; the id in the header only
	POST /api/v1/audio/transcriptions      JSON or multipart
	POST /api/v1/videos                    202, then GET /videos/{id} and …/content
	POST /api/beta/batches (/api/v1/batches) 202, then GET …/{id}; half the price
	POST /api/alpha/decisions
	POST /api/v1/interns/{id}/chat/completions, /api/v1/systemone
	POST /api/v1/holograms                 unknown to everyone, makes a generation all the same
	GET  /api/v1/generation?id=            the account's record, after a delay
	GET  models, models/{a}/{s}/endpoints, model/{a}/{s}, key, keys, credits, activity, …
	POST analytics/query, messages/count_tokens, generation/feedback, presets/{slug}/… (free)
	any  /echo/…                           describes the request, see below
	OPTIONS                                204; everything else is a 404 in JSON

Every answer to inference has X-Generation-Id before its first byte, the same id
in the body and a usage object with the cost. JSON is gzip where the client
accepts it, streams are not compressed. A key is a Bearer token or x-api-key;
without one the answer is 401.

A stream of messages ends as recorded from OpenRouter in August and September
2026, with "event: data" and "data: [DONE]". Anthropic's TypeScript SDK takes
that for JSON and throws since 0.136 (October 2026); the behavior no-done
leaves it out.

# What it costs

Tokens times the price list of Options.Models, as decimals, rounded once to the
17 significant digits that OpenRouter's JavaScript can send, and spelt as
JavaScript spells them (below 1e-6 with an exponent). The text, its length and
with them the cost follow from Options.Seed, the model and the body: a quarter of
the body's bytes are prompt tokens, each piece of a stream is a completion
token. The literal on the wire is Bill.CostLiteral; GET /generation repeats it.

A generation is billed exactly once: just before the usage is sent, or when the
client is seen to leave. A stream's abort is billed as Behavior.Abort says, by
default as the model's provider does it: for the tokens so far (cancelled, free
without a token), or in full where it runs on. Without a stream the model always
runs on. What is refused with an error status is not billed and has no id; an
error under status 200 has an id and a bill of zero. [Server.WaitIdle] waits until
the bills of aborted requests are written. Bill.Announced tells the bills that a
client can know of (headers left) from those it cannot.

# Behaviors

How a request is answered is a [Behavior]. It comes from the request itself, by
header or by model, or else from Options.Choose. On free endpoints a status, html,
delay and the faults before the headers work, by header or Choose:

	X-Fake-Behavior: crlf,comments,byok
	{"model":"fake/crlf,comments,byok", …}            anthropic/claude-sonnet-4.6
	{"model":"fake/slow/google/gemini-2.5-flash", …}   that model

The names, which combine with commas; "=" takes a value (counts may end in kb
or mb, durations are Go's):

	ok                     nothing special
	400 … 599              refused with this status: nothing billed. 429 brings X-RateLimit-*
	                       and Retry-After, 503 Retry-After, 402 limit_source
	cloudflare             403 with an HTML page; "502,html" for other statuses
	html                   the page instead of the JSON envelope
	error-id               the refusal has an X-Generation-Id that names nothing
	retry-after=30s        with 402: the in-flight budget

	cut-before-headers     the connection closes before the model ran: not billed
	lose-answer            … after it ran: billed, unknown to the client
	hang-before-headers    no answer until the client leaves: not billed
	cut                    the connection closes in the middle of the body: as an abort
	cut-in-usage           … inside the usage object of a stream: billed in full
	hang                   silence in the middle until the client leaves: as an abort
	error-first            an error under 200, first event or whole JSON: billed zero
	blank                  200 with white space and a dot, or a stream without events: billed zero
	error-midway           an error event in mid-stream: the tokens so far, told by /generation only
	error-midway-billed    … with its usage
	fault-after=3          pieces before cut, hang and error-midway; default half
	stops-on-abort, runs-on  whatever the provider is

	id-in-header, id-in-body, id-nowhere   where the id stands
	cache-hit              the response cache: cost 0, new id, X-OpenRouter-Cache-Status: HIT
	                       (X-OpenRouter-Cache: true on equal requests does the same)
	tool                   a tool call though no tools were sent

	cost=0.1               this amount, with this literal
	cost-17-digits         0.0004970133333333333
	cost-exponent          1.2e-7
	cost-tiny              4.0000000000000003e-15
	cost-zero, cost-zero-point, cost-whole   0, 0.0, 3
	cost-plain, cost-scientific, cost-capital, cost-padded   the computed amount as 0.00009,
	                       9e-5, 9E-5, 0.00009000000
	cost-null, cost-absent the inline usage does not say; /generation does
	inline-cost=0.5        the inline usage says this, the bill is another
	byok, byok-fee         is_byok: cost 0 or 5 %, upstream the list price
	no-is-byok             is_byok left out
	server-tools           a web search folded into cost, is_byok left out, upstream smaller
	discount               cost a quarter below upstream
	no-usage               no usage in the answer; /generation has it
	cached=9, cache-write=9, reasoning=9   tokens

	usage-repeats-finish   the usage chunk of chat since May 2026 (the default)
	usage-empty-delta      until January 2026
	usage-no-choices       around March 2026: choices is []
	usage-twice            the usage sent twice, alike
	usage-growing          a usage of half the tokens first
	usage-null-later       a further chunk with "usage":null
	no-done                no [DONE]
	crlf, cr, bom          line ends, byte-order mark
	multi-line             an event's JSON over several data lines
	comments               keep-alives between events and inside them
	event-names            "event: message" where OpenRouter has no event line
	chunks=100, chunk-size=1kb, interval=5ms   the content
	slow                   50 chunks, 20 ms apart

	decoy-text             the text quotes usage objects and data lines
	decoy-tool             so do the arguments of a tool call
	decoy-nested           usage objects in choices, items, blocks and router metadata
	escaped-keys           "usage", "cost", "id" and others with \u escapes
	usage-first            the keys of every document in reverse order

	size=100mb             an image, a sound or a last event this large, made while it is written
	huge                   size=10mb
	gzip, br, zstd, deflate, deflate-raw   this coding if the client accepts it, of streams too
	identity               no coding
	dribble                one byte at a time, each flushed
	split                  flushed inside each rune and inside each "usage"
	trickle, trickle=9, trickle-interval=5ms   white space before the JSON, each flushed
	declare                Content-Length on a JSON answer
	early-hints            a 103 first
	trailers               X-Fake-Trailer: complete
	delay=2s               the model takes this long before the headers

	publish-delay=5s       /generation answers 404 for this long
	never-published        … for good
	lookup-hang, lookup-status=500, lookup-delay=1s, lookup-wrong-id   what it does instead
	lookup-times=2         … to so many lookups, then it is well

	job-polls=5, job-time=1s   a video or batch ends no earlier than after both
	job-failed             it ends without a result and without a charge

A name that is not in the table is answered 400: a misspelt test must not pass.

# Echo

Any method on /echo/… answers with JSON that says what arrived: method, request
URI byte for byte, protocol, host, all header values, trailers, the body's
length and SHA-256. The query steers status, headers, trailers and body of the
answer; see the comment on echo.

# Benchmarks

With Options.Lean, POSTs to chat/completions, completions, responses and
messages are answered with constant texts rendered beforehand, each with a
fresh id, and neither billed nor counted. A body is a stream's if it holds
"stream":true.
*/
package openroutertest
