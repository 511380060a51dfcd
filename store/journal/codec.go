package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// The numbers of the fields. They are part of the format: a number is never
// used for anything else, and a field that goes leaves its number unused.
const (
	fieldCampaign = iota + 1
	fieldEmail
	fieldLead
	fieldSequence
	fieldPurpose
	fieldPlatform
	fieldLeadValue
	fieldMetadata
	fieldFingerprint
	fieldEndpoint
	fieldRequestedModel
	fieldGeneration
	fieldJob
	fieldModel
	fieldProvider
	fieldHTTPStatus
	fieldFinishReason
	fieldError
	fieldCost
	fieldUpstreamCost
	fieldIsBYOK
	fieldPromptTokens
	fieldCompletionTokens
	fieldTotalTokens
	fieldCachedTokens
	fieldCacheWriteTokens
	fieldReasoningTokens
	fieldDuration
	fieldTimeToFirstToken
	fieldStreamed
	fieldCancelled
	fieldTruncated
	fieldDecision
	fieldCount
)

// The wire types, as in Protocol Buffers: a field is uvarint(number<<3|type)
// and then its value. The last two are never written, only skipped.
const (
	wireVarint  = 0 // zigzag varint
	wireBytes   = 2 // uvarint length, bytes
	wireFixed64 = 1
	wireFixed32 = 5
)

// prefixSize is what stands before the fields: the kind and the request id.
const prefixSize = 1 + 16

// The places of the fields in an event, by number. Encoder and decoder read the
// same tables, so they cannot disagree.
type (
	textTable   [fieldCount]*string
	countTable  [fieldCount]*accounting.Optional[int64]
	amountTable [fieldCount]*accounting.Optional[decimal.Decimal]
	flagTable   [fieldCount]*bool
)

func textsOf(e *accounting.Event) textTable {
	return textTable{
		fieldCampaign: &e.Tags.CampaignID, fieldEmail: &e.Tags.EmailID, fieldLead: &e.Tags.LeadID,
		fieldSequence: &e.Tags.SequenceID, fieldPurpose: &e.Tags.Purpose, fieldPlatform: &e.Tags.Platform,
		fieldLeadValue: &e.Tags.LeadValue, fieldFingerprint: &e.KeyFingerprint, fieldEndpoint: &e.Endpoint,
		fieldRequestedModel: &e.RequestedModel, fieldGeneration: &e.GenerationID, fieldJob: &e.JobID,
		fieldModel: &e.Model, fieldProvider: &e.Provider, fieldFinishReason: &e.FinishReason, fieldError: &e.Error,
	}
}

func countsOf(u *accounting.Usage) countTable {
	return countTable{
		fieldPromptTokens: &u.PromptTokens, fieldCompletionTokens: &u.CompletionTokens,
		fieldTotalTokens: &u.TotalTokens, fieldCachedTokens: &u.CachedTokens,
		fieldCacheWriteTokens: &u.CacheWriteTokens, fieldReasoningTokens: &u.ReasoningTokens,
	}
}

func amountsOf(u *accounting.Usage) amountTable {
	return amountTable{fieldCost: &u.Cost, fieldUpstreamCost: &u.UpstreamCost}
}

func flagsOf(e *accounting.Event) flagTable {
	return flagTable{fieldStreamed: &e.Streamed, fieldCancelled: &e.Cancelled, fieldTruncated: &e.Truncated}
}

// appendEvent appends the payload of e to b: its kind, its id, and the fields
// that are set. It fails only for an amount that no decoder would accept.
func appendEvent(b []byte, e *accounting.Event) ([]byte, error) {
	b = append(b, byte(e.Kind))
	b = append(b, e.ID[:]...)
	texts := textsOf(e)
	for n, s := range texts {
		if s != nil && *s != "" {
			b = appendText(b, n, *s)
		}
	}
	for name, value := range e.Tags.Metadata {
		b = appendMetadata(b, name, value)
	}
	counts := countsOf(&e.Usage)
	for n, c := range counts {
		if c != nil && c.Known {
			b = appendNumber(b, n, c.Value)
		}
	}
	amounts := amountsOf(&e.Usage)
	for n, a := range amounts {
		if a == nil || !a.Known {
			continue
		}
		var err error
		if b, err = appendAmount(b, n, a.Value); err != nil {
			return nil, err
		}
	}
	flags := flagsOf(e)
	for n, f := range flags {
		if f != nil && *f {
			b = appendNumber(b, n, 1)
		}
	}
	b = appendSingular(b, e)
	if e.Decision != nil {
		return appendDecision(b, e.Decision)
	}
	return b, nil
}

// appendSingular appends the fields that have a type to themselves.
func appendSingular(b []byte, e *accounting.Event) []byte {
	if e.HTTPStatus != 0 {
		b = appendNumber(b, fieldHTTPStatus, int64(e.HTTPStatus))
	}
	if e.Usage.IsBYOK.Known {
		var v int64
		if e.Usage.IsBYOK.Value {
			v = 1
		}
		b = appendNumber(b, fieldIsBYOK, v)
	}
	if e.Duration != 0 {
		b = appendNumber(b, fieldDuration, int64(e.Duration))
	}
	if e.TimeToFirstToken.Known {
		b = appendNumber(b, fieldTimeToFirstToken, int64(e.TimeToFirstToken.Value))
	}
	return b
}

func appendNumber(b []byte, n int, v int64) []byte {
	b = binary.AppendUvarint(b, uint64(n)<<3|wireVarint)
	return binary.AppendVarint(b, v)
}

func appendText(b []byte, n int, s string) []byte { return append(appendKey(b, n, len(s)), s...) }

// appendKey begins a field of size bytes.
func appendKey(b []byte, n, size int) []byte {
	b = binary.AppendUvarint(b, uint64(n)<<3|wireBytes)
	return binary.AppendUvarint(b, uint64(size))
}

// appendMetadata writes one entry as the length of the name, the name and, up
// to the end of the field, the value.
func appendMetadata(b []byte, name, value string) []byte {
	b = appendKey(b, fieldMetadata, uvarintSize(uint64(len(name)))+len(name)+len(value))
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	return append(b, value...)
}

func uvarintSize(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// appendAmount writes d as its exact text, coefficient and exponent
// ("4970133e-10"), so that not even trailing zeros are lost. Decimal.String
// would drop them, and would write out every zero of a large exponent.
func appendAmount(b []byte, n int, d decimal.Decimal) ([]byte, error) {
	exponent := int64(d.Exponent())
	if exponent > int64(decimal.MaxDecodeExponent) || exponent < -int64(decimal.MaxDecodeExponent) {
		return nil, fmt.Errorf("amount with exponent %d: want at most %d", exponent, decimal.MaxDecodeExponent)
	}
	var scratch [48]byte
	text := scratch[:0]
	if d.NumDigits() <= 18 {
		text = strconv.AppendInt(text, d.CoefficientInt64(), 10)
	} else {
		text = d.Coefficient().Append(text, 10)
	}
	if exponent != 0 {
		text = append(text, 'e')
		text = strconv.AppendInt(text, exponent, 10)
	}
	return append(appendKey(b, n, len(text)), text...), nil
}

// errPayload is a payload that passed its checksum and still is not an event:
// it was written by something else, or the checksum was made over a fault.
var errPayload = errors.New("malformed payload")

// decodeEvent reads a payload back. Fields of unknown numbers are skipped, so
// an old binary reads what a newer one wrote. The result shares no memory with
// payload, and is not much larger than it.
func decodeEvent(payload []byte) (accounting.Event, error) {
	var e accounting.Event
	if len(payload) < prefixSize {
		return e, errPayload
	}
	e.Kind = accounting.Kind(payload[0])
	copy(e.ID[:], payload[1:prefixSize])
	d := decoder{
		event: &e, texts: textsOf(&e), counts: countsOf(&e.Usage), amounts: amountsOf(&e.Usage), flags: flagsOf(&e),
	}
	r := fieldReader{string(payload[prefixSize:])} // one allocation for all strings
	for r.rest != "" {
		number, wire, v, text, err := r.next()
		switch {
		case err != nil:
		case wire == wireVarint:
			d.number(number, v)
		case wire == wireBytes:
			err = d.text(number, text)
		}
		if err != nil {
			return accounting.Event{}, err
		}
	}
	return e, nil
}

type decoder struct {
	event   *accounting.Event
	texts   textTable
	counts  countTable
	amounts amountTable
	flags   flagTable
}

func (d *decoder) number(number uint64, v int64) {
	switch number {
	case fieldHTTPStatus:
		d.event.HTTPStatus = int(v)
	case fieldIsBYOK:
		d.event.Usage.IsBYOK = accounting.Some(v != 0)
	case fieldDuration:
		d.event.Duration = time.Duration(v)
	case fieldTimeToFirstToken:
		d.event.TimeToFirstToken = accounting.Some(time.Duration(v))
	default:
		if number >= fieldCount {
			return
		}
		if c := d.counts[number]; c != nil {
			*c = accounting.Some(v)
		}
		if f := d.flags[number]; f != nil {
			*f = v != 0
		}
	}
}

func (d *decoder) text(number uint64, value string) error {
	switch {
	case number >= fieldCount:
		return nil
	case number == fieldMetadata:
		return d.metadata(value)
	case number == fieldDecision:
		decision, err := decodeDecision(value)
		if err == nil {
			d.event.Decision = decision
		}
		return err
	case d.texts[number] != nil:
		*d.texts[number] = value
	case d.amounts[number] != nil:
		amount, err := parseAmount(value)
		if err != nil {
			return err
		}
		*d.amounts[number] = accounting.Some(amount)
	}
	return nil
}

func (d *decoder) metadata(entry string) error {
	inner := fieldReader{entry}
	size, ok := inner.uvarint()
	if !ok || size > uint64(len(inner.rest)) {
		return errPayload
	}
	if d.event.Tags.Metadata == nil {
		d.event.Tags.Metadata = make(map[string]string)
	}
	d.event.Tags.Metadata[inner.rest[:size]] = inner.rest[size:]
	return nil
}

// maxAmountText bounds the work that a decoder does for one amount.
const maxAmountText = 4096

func parseAmount(text string) (decimal.Decimal, error) {
	if len(text) > maxAmountText {
		return decimal.Decimal{}, errPayload
	}
	coefficient, exponent := text, int64(0)
	for i := range len(text) {
		if text[i] != 'e' {
			continue
		}
		var err error
		if exponent, err = strconv.ParseInt(text[i+1:], 10, 32); err != nil {
			return decimal.Decimal{}, errPayload
		}
		coefficient = text[:i]
		break
	}
	if exponent > int64(decimal.MaxDecodeExponent) || exponent < -int64(decimal.MaxDecodeExponent) {
		return decimal.Decimal{}, errPayload
	}
	if v, err := strconv.ParseInt(coefficient, 10, 64); err == nil {
		return decimal.New(v, int32(exponent)), nil
	}
	v, ok := new(big.Int).SetString(coefficient, 10)
	if !ok {
		return decimal.Decimal{}, errPayload
	}
	return decimal.NewFromBigInt(v, int32(exponent)), nil
}
