package openroutertest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
)

// plainError is the envelope of the endpoints that follow chat.
func plainError(_ *call, e *apiError) object { return e.envelope() }

var (
	// embeddingsSkin is POST /embeddings.
	embeddingsSkin = &skin{apiType: "embeddings", idPrefix: "gen-", errorBody: plainError,
		measure: func(a *answer) { a.tokens.completion = 0 }, whole: embeddingsWhole}
	// rerankSkin is POST /rerank.
	rerankSkin = &skin{apiType: "rerank", idPrefix: "gen-rerank-", errorBody: plainError,
		measure: measureRerank, whole: rerankWhole}
	// imagesSkin is POST /images.
	imagesSkin = &skin{apiType: "image", idPrefix: "gen-", comment: ": OPENROUTER PROCESSING", errorBody: plainError,
		measure: measureImages, whole: imagesWhole, head: func(*answer) []frame { return nil },
		piece: imagesPiece, tail: imagesTail, broken: imagesBroken}
	// transcriptionSkin is POST /audio/transcriptions.
	transcriptionSkin = &skin{apiType: "stt", idPrefix: "gen-", errorBody: plainError,
		measure: measureAudio, whole: transcriptionWhole}
	// decisionsSkin is POST /api/alpha/decisions.
	decisionsSkin = &skin{apiType: "decisions", idPrefix: "gen-", errorBody: plainError, whole: decisionsWhole}
	// hologramSkin is an endpoint that no proxy knows yet. It makes a
	// generation all the same, and says so in the header.
	hologramSkin = &skin{apiType: "completions", idPrefix: "gen-", errorBody: plainError, whole: func(a *answer) object {
		return a.identified(member{"object", "hologram"}, member{"model", a.model.served()},
			member{"usage", object{{"photons", a.tokens.completion}}.with(a.shortMoney()...)})
	}}
)

// shortMoney is cost and is_byok, where an endpoint says no more.
func (a *answer) shortMoney() object {
	var o object
	for _, m := range a.money(a.charge, "in", "out") {
		if m.key == "cost" || m.key == "is_byok" {
			o = append(o, m)
		}
	}
	return o
}

func embeddingsWhole(a *answer) object {
	var inputs []json.RawMessage
	if json.Unmarshal(a.c.req.Input, &inputs) != nil || len(inputs) == 0 {
		inputs = []json.RawMessage{a.c.req.Input}
	}
	var tokenIDs []int
	if json.Unmarshal(a.c.req.Input, &tokenIDs) == nil {
		inputs = inputs[:1] // one input, already cut into tokens
	}
	data := make(list, len(inputs))
	for i, input := range inputs {
		data[i] = object{{"object", "embedding"}, {"index", i}, {"embedding", a.vector(input)}}
	}
	if a.c.b.Size > 0 {
		data[0] = object{{"object", "embedding"}, {"index", 0}, {"embedding", filler}}
	}
	usage := object{{"prompt_tokens", a.tokens.prompt}, {"total_tokens", a.tokens.prompt}}.
		with(a.money(a.charge, "upstream_inference_prompt_cost", "upstream_inference_completions_cost")...).
		with(member{"prompt_tokens_details", object{{"text_tokens", a.tokens.prompt}, {"image_tokens", 0}, {"audio_tokens", 0}}})
	return a.identified(member{"object", "list"}, member{"model", a.model.served()},
		member{"provider", a.model.Provider}, member{"data", data}, member{"usage", usage})
}

// vector is an embedding, as numbers or as base64 of little-endian float32,
// which the OpenAI SDKs ask for.
func (a *answer) vector(input []byte) any {
	n := a.c.req.Dimensions
	if n <= 0 || n > 4096 {
		n = 8
	}
	random := rand.New(rand.NewPCG(draw(a.c.s.opts.Seed, a.model.ID, input), 1))
	if a.c.req.EncodingFormat == "base64" {
		raw := make([]byte, 0, 4*n)
		for range n {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(random.Float32()-0.5))
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	numbers := make(list, n)
	for i := range numbers {
		numbers[i] = literal(strconv.FormatFloat(random.Float64()-0.5, 'g', -1, 64))
	}
	return numbers
}

// searchUnits is what a rerank is charged for: one for each hundred documents.
func (a *answer) searchUnits() int64 { return int64(len(a.c.req.Documents)+99) / 100 }

func measureRerank(a *answer) {
	a.tokens.completion = 0
	a.extra = a.model.Pricing.SearchUnit.Mul(decimal.NewFromInt(a.searchUnits()))
}

func rerankWhole(a *answer) object {
	documents := a.c.req.Documents
	n := len(documents)
	if top := a.c.req.TopN; top > 0 {
		n = min(n, top)
	}
	results := make(list, n)
	for i := range results {
		document := object{{"text", documents[i]}}
		if documents[i][0] == '{' {
			document = nil
		}
		results[i] = object{{"index", i}, {"relevance_score", literal("0." + strconv.Itoa(99-i%90))}, {"document", document}}
	}
	usage := object{{"search_units", a.searchUnits()}, {"total_tokens", a.tokens.prompt}}.with(a.shortMoney()...)
	return a.identified(member{"model", a.model.served()}, member{"provider", a.model.Provider},
		member{"results", results}, member{"usage", usage})
}

// imageTokens is what an image counts as.
const imageTokens = 1290

func measureImages(a *answer) {
	a.tokens.completion = imageTokens * max(a.c.req.N, 1)
	a.pieces, a.tool = []string{""}, nil // one partial image in a stream
	a.extra = a.model.Pricing.Image.Mul(decimal.NewFromInt(max(a.c.req.N, 1)))
}

// onePixel is the smallest image that decodes.
const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func (a *answer) image() string {
	if a.c.b.Size > 0 {
		return filler
	}
	return onePixel
}

func imagesWhole(a *answer) object {
	data := make(list, max(a.c.req.N, 1))
	for i := range data {
		data[i] = object{{"b64_json", onePixel}, {"media_type", "image/png"}}
	}
	data[0] = object{{"b64_json", a.image()}, {"media_type", "image/png"}}
	return object{{"created", a.c.started.Unix()}, {"data", data}, {"usage", a.chatUsage()}}
}

func imagesPiece(_ *answer, i int) frame {
	return frame{doc: object{
		{"type", "image_generation.partial_image"}, {"partial_image_index", i}, {"b64_json", onePixel},
	}}
}

func imagesTail(a *answer) []frame {
	return []frame{{usage: true, doc: object{
		{"type", "image_generation.completed"}, {"created", a.c.started.Unix()}, {"media_type", "image/png"},
		{"b64_json", a.image()}, {"usage", a.chatUsage()},
	}}, done}
}

func imagesBroken(_ *answer, e *apiError, _ bool) []frame {
	return []frame{{doc: object{{"type", "error"}, {"error", object{
		{"code", strconv.Itoa(e.status)}, {"message", e.message}, {"type", e.kind}, {"param", nil},
	}}}}}
}

func measureAudio(a *answer) {
	a.seconds = 1 + int64(len(a.c.body))/16000
	a.extra = a.model.Pricing.Second.Mul(decimal.NewFromInt(a.seconds))
}

func transcriptionWhole(a *answer) object {
	usage := object{
		{"seconds", a.seconds}, {"input_tokens", a.tokens.prompt}, {"output_tokens", a.tokens.completion},
		{"total_tokens", a.tokens.prompt + a.tokens.completion},
	}.with(a.shortMoney()...)
	return object{{"text", a.text()}, {"usage", usage}}
}

func decisionsWhole(a *answer) object {
	answers := object{}
	for _, name := range slices.Sorted(maps.Keys(a.c.req.Questions)) {
		question := a.c.req.Questions[name]
		var q struct {
			Type    string
			Choices []json.RawMessage
		}
		_ = json.Unmarshal(question, &q) // an odd question gets the plain answer
		one := object{{"type", "score"}, {"score", literal("0.5")}}
		if q.Type == "choice" {
			one = object{{"type", "choice"}, {"choice", "yes"}, {"confidence", literal("0.9")}}
		}
		answers = append(answers, member{name, one})
	}
	usage := object{{"input_tokens", a.tokens.prompt}, {"output_tokens", a.tokens.completion}}.with(a.shortMoney()...)
	return a.identified(member{"model", a.model.served()}, member{"provider", a.model.Provider},
		member{"answers", answers}, member{"usage", usage})
}
