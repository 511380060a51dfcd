package postgres

import (
	"bytes"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// row is one row of openrouter_usage as the writers need it. A nil pointer, an
// empty text and a nil map are SQL NULL: not known, or not sent.
type row struct {
	id        requestID
	createdAt time.Time

	generationID text
	jobID        text

	campaignID text
	emailID    text
	leadID     text
	sequenceID text
	purpose    text
	platform   text
	leadValue  text
	metadata   metadata

	keyFingerprint text
	endpoint       text
	requestedModel text
	model          text // never empty, see modelOf
	provider       text

	status       text
	httpStatus   *int32
	finishReason text
	error        text

	promptTokens     *int64
	completionTokens *int64
	totalTokens      *int64
	cachedTokens     *int64
	cacheWriteTokens *int64
	reasoningTokens  *int64

	isBYOK         *bool
	cost           *decimal.Decimal // see price
	costSource     text
	inlineCost     *decimal.Decimal
	generationCost *decimal.Decimal
	upstreamCost   *decimal.Decimal
	verifiedAt     *time.Time

	durationMS         *int64 // nil: the call's end was never seen
	timeToFirstTokenMS *int64
	streamed           bool
	cancelled          bool
	repeatedBy         *requestID

	estimatedCost *decimal.Decimal // by the price list, of a call that is still unsettled
	reservation   *reservation     // what budgets held for the call; nil: nothing
	usdToEUR      *decimal.Decimal // when the row was made

	settleNextAt *time.Time
	settleError  text
}

const unknownModel = "unknown"

// price sets what follows from the two recorded costs: OpenRouter's own record
// is what the bill is made from, so it goes before the response's figure.
func (r *row) price() {
	switch {
	case r.generationCost != nil:
		r.cost, r.costSource = r.generationCost, text(accounting.CostGeneration)
	case r.inlineCost != nil:
		r.cost, r.costSource = r.inlineCost, text(accounting.CostInline)
	default:
		r.cost, r.costSource = nil, ""
	}
}

// is reports whether the row's status is one of those.
func (r *row) is(statuses ...accounting.Status) bool {
	for _, s := range statuses {
		if r.status == text(s) {
			return true
		}
	}
	return false
}

// hasIdentity reports whether OpenRouter can be asked about the row.
func (r *row) hasIdentity() bool { return r.generationID != "" || r.jobID != "" }

// tags are the row's tags in the domain's form.
func (r *row) tags() accounting.Tags {
	return accounting.Tags{
		CampaignID: string(r.campaignID), EmailID: string(r.emailID), LeadID: string(r.leadID),
		SequenceID: string(r.sequenceID), Purpose: string(r.purpose), Platform: string(r.platform),
		LeadValue: string(r.leadValue), Metadata: r.metadata,
	}
}

// requestID, text and metadata are the domain's types as PostgreSQL takes and
// gives them.
type (
	requestID accounting.RequestID
	text      string            // "" is NULL
	metadata  map[string]string // nil is NULL
)

func (id requestID) before(other requestID) bool { return bytes.Compare(id[:], other[:]) < 0 }

// time is created_at of the row with this id.
func (id requestID) time() time.Time { return accounting.RequestID(id).Time() }

func (id requestID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: id, Valid: true}, nil }

func (id *requestID) ScanUUID(v pgtype.UUID) error {
	*id = v.Bytes
	return nil
}

func (t text) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: string(t), Valid: t != ""}, nil
}

func (t *text) ScanText(v pgtype.Text) error {
	*t = text(v.String)
	return nil
}
