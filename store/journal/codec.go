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

// The places of the fields in an event, by number; nil for the numbers of other
// types. Encoder and decoder go by them both, so they cannot disagree.

func textOf(e *accounting.Event, n int) *string {
	switch n {
	case fieldCampaign:
		return &e.Tags.CampaignID
	case fieldEmail:
		return &e.Tags.EmailID
	case fieldLead:
		return &e.Tags.LeadID
	case fieldSequence:
		return &e.Tags.SequenceID
	case fieldPurpose:
		return &e.Tags.Purpose
	case fieldPlatform:
		return &e.Tags.Platform
	case fieldLeadValue:
		return &e.Tags.LeadValue
	case fieldFingerprint:
		return &e.KeyFingerprint
	case fieldEndpoint:
		return &e.Endpoint
	case fieldRequestedModel:
		return &e.RequestedModel
	case fieldGeneration:
		return &e.GenerationID
	case fieldJob:
		return &e.JobID
	case fieldModel:
		return &e.Model
	case fieldProvider:
		return &e.Provider
	case fieldFinishReason:
		return &e.FinishReason
	case fieldError:
		return &e.Error
	}
	return nil
}

func countOf(e *accounting.Event, n int) *accounting.Optional[int64] {
	u := &e.Usage
	switch n {
	case fieldPromptTokens:
		return &u.PromptTokens
	case fieldCompletionTokens:
		return &u.CompletionTokens
	case fieldTotalTokens:
		return &u.TotalTokens
	case fieldCachedTokens:
		return &u.CachedTokens
	case fieldCacheWriteTokens:
		return &u.CacheWriteTokens
	case fieldReasoningTokens:
		return &u.ReasoningTokens
	}
	return nil
}

func amountOf(e *accounting.Event, n int) *accounting.Optional[decimal.Decimal] {
	switch n {
	case fieldCost:
		return &e.Usage.Cost
	case fieldUpstreamCost:
		return &e.Usage.UpstreamCost
	}
	return nil
}

func flagOf(e *accounting.Event, n int) *bool {
	switch n {
	case fieldStreamed:
		return &e.Streamed
	case fieldCancelled:
		return &e.Cancelled
	case fieldTruncated:
		return &e.Truncated
	}
	return nil
}

// The numbers of each type, in their order.
var (
	textFields   = fieldsOf(textOf)
	countFields  = fieldsOf(countOf)
	amountFields = fieldsOf(amountOf)
	flagFields   = fieldsOf(flagOf)
)

func fieldsOf[T any](place func(*accounting.Event, int) *T) (numbers []int) {
	for n := range fieldCount {
		if place(new(accounting.Event), n) != nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// appendEvent appends the payload of e to b: its kind, its id, and the fields
// that are set. It fails only for an amount that no decoder would accept.
func appendEvent(b []byte, e *accounting.Event) ([]byte, error) {
	b = append(b, byte(e.Kind))
	b = append(b, e.ID[:]...)
	for _, n := range textFields {
		if s := textOf(e, n); *s != "" {
			b = appendText(b, n, *s)
		}
	}
	for name, value := range e.Tags.Metadata {
		b = appendMetadata(b, name, value)
	}
	for _, n := range countFields {
		if c := countOf(e, n); c.Known {
			b = appendNumber(b, n, c.Value)
		}
	}
	for _, n := range amountFields {
		a := amountOf(e, n)
		if !a.Known {
			continue
		}
		var err error
		if b, err = appendAmount(b, n, a.Value); err != nil {
			return nil, err
		}
	}
	for _, n := range flagFields {
		if *flagOf(e, n) {
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
	if err := decodeInto(&e, payload); err != nil {
		return accounting.Event{}, err
	}
	return e, nil
}

// decodeInto is decodeEvent for an event that has its place already. After an
// error e is in no useful state.
func decodeInto(e *accounting.Event, payload []byte) error {
	if len(payload) < prefixSize {
		return errPayload
	}
	e.Kind = accounting.Kind(payload[0])
	copy(e.ID[:], payload[1:prefixSize])
	r := fieldReader{string(payload[prefixSize:])} // one allocation for all strings
	for r.rest != "" {
		number, wire, v, text, err := r.next()
		switch {
		case err != nil:
		case number >= fieldCount:
		case wire == wireVarint:
			decodeNumber(e, int(number), v)
		case wire == wireBytes:
			err = decodeText(e, int(number), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func decodeNumber(e *accounting.Event, number int, v int64) {
	switch number {
	case fieldHTTPStatus:
		e.HTTPStatus = int(v)
	case fieldIsBYOK:
		e.Usage.IsBYOK = accounting.Some(v != 0)
	case fieldDuration:
		e.Duration = time.Duration(v)
	case fieldTimeToFirstToken:
		e.TimeToFirstToken = accounting.Some(time.Duration(v))
	default:
		if c := countOf(e, number); c != nil {
			*c = accounting.Some(v)
		}
		if f := flagOf(e, number); f != nil {
			*f = v != 0
		}
	}
}

func decodeText(e *accounting.Event, number int, value string) (err error) {
	switch number {
	case fieldMetadata:
		return decodeMetadata(e, value)
	case fieldDecision:
		e.Decision, err = decodeDecision(value)
		return err
	}
	if s := textOf(e, number); s != nil {
		*s = value
	} else if a := amountOf(e, number); a != nil {
		a.Value, err = parseAmount(value)
		a.Known = true
	}
	return err
}

func decodeMetadata(e *accounting.Event, entry string) error {
	inner := fieldReader{entry}
	size, ok := inner.uvarint()
	if !ok || size > uint64(len(inner.rest)) {
		return errPayload
	}
	if e.Tags.Metadata == nil {
		e.Tags.Metadata = make(map[string]string)
	}
	e.Tags.Metadata[inner.rest[:size]] = inner.rest[size:]
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
