package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// The numbers of the fields of a decision and of a budget's share in it. They
// are part of the format, as those of the event are.
const (
	decisionVerdict = iota + 1
	decisionReason
	decisionField
	decisionDetail
	decisionModel
	decisionDowngradedTo
	decisionBound
	decisionBoundBy
	decisionReplica
	decisionRate
	decisionStop
	decisionShare
	decisionCount
	decisionCalls
	decisionExperiment
	decisionArm
	decisionArmModel
	decisionFieldCount
)

const (
	shareBudget = iota + 1
	shareEach
	sharePeriodStart
	shareVerdict
	shareReason
	shareLimit
	shareSettled
	shareReserved
	shareCharge
	shareFieldCount
)

// maxShares bounds the budgets of one decision, so that its frame stays well
// below the largest one. Shares that hold money are never left out for it.
const maxShares = 256

// requestIDSize is that of one of a decision's calls.
const requestIDSize = len(accounting.RequestID{})

// decisionTexts are the places of a decision's texts, by number.
func decisionTexts(d *accounting.BudgetDecision) [decisionFieldCount]*string {
	return [decisionFieldCount]*string{
		decisionVerdict: (*string)(&d.Verdict), decisionReason: (*string)(&d.Reason), decisionField: &d.Field,
		decisionDetail: &d.Detail, decisionModel: &d.Model, decisionDowngradedTo: &d.DowngradedTo,
		decisionBoundBy: (*string)(&d.BoundBy), decisionReplica: &d.Replica, decisionStop: &d.Stop,
		decisionExperiment: &d.Experiment, decisionArm: &d.Arm, decisionArmModel: &d.ArmModel,
	}
}

func shareTexts(s *accounting.BudgetShare) [shareFieldCount]*string {
	return [shareFieldCount]*string{
		shareBudget: &s.BudgetID, shareEach: &s.EachValue,
		shareVerdict: (*string)(&s.Verdict), shareReason: (*string)(&s.Reason),
	}
}

func shareAmounts(s *accounting.BudgetShare) [shareFieldCount]*decimal.Decimal {
	return [shareFieldCount]*decimal.Decimal{
		shareLimit: &s.Limit, shareSettled: &s.Settled, shareReserved: &s.Reserved, shareCharge: &s.Charge,
	}
}

// appendDecision appends d as one field. It fails for an amount that no decoder
// would accept, and for more charged budgets than one takes.
func appendDecision(b []byte, d *accounting.BudgetDecision) (_ []byte, err error) {
	begin := len(b)
	for n, s := range decisionTexts(d) {
		if s != nil && *s != "" {
			b = appendText(b, n, *s)
		}
	}
	if d.Bound.Known {
		if b, err = appendAmount(b, decisionBound, d.Bound.Value); err != nil {
			return nil, err
		}
	}
	if !d.Rate.IsZero() {
		if b, err = appendAmount(b, decisionRate, d.Rate); err != nil {
			return nil, err
		}
	}
	shares, err := journaledShares(d.Budgets)
	if err != nil {
		return nil, err
	}
	for i := range shares {
		if b, err = appendShare(b, &shares[i]); err != nil {
			return nil, err
		}
	}
	if d.Count != 0 {
		b = appendNumber(b, decisionCount, int64(d.Count))
	}
	if calls := d.Calls[:min(len(d.Calls), accounting.MaxMergedCalls)]; len(calls) > 0 {
		ids := len(b)
		for i := range calls {
			b = append(b, calls[i][:]...)
		}
		b = enclose(b, ids, decisionCalls)
	}
	return enclose(b, begin, fieldDecision), nil
}

// journaledShares leaves out what is beyond the bound: of the shares that hold
// no money, the last.
func journaledShares(shares []accounting.BudgetShare) ([]accounting.BudgetShare, error) {
	if len(shares) <= maxShares {
		return shares, nil
	}
	spare := maxShares
	for i := range shares {
		if !shares[i].Charge.IsZero() {
			spare--
		}
	}
	if spare < 0 {
		return nil, fmt.Errorf("decision with %d charged budgets: want at most %d", maxShares-spare, maxShares)
	}
	return slices.DeleteFunc(slices.Clone(shares), func(s accounting.BudgetShare) bool {
		if !s.Charge.IsZero() {
			return false
		}
		spare--
		return spare < 0
	}), nil
}

func appendShare(b []byte, s *accounting.BudgetShare) (_ []byte, err error) {
	begin := len(b)
	for n, text := range shareTexts(s) {
		if text != nil && *text != "" {
			b = appendText(b, n, *text)
		}
	}
	if !s.PeriodStart.IsZero() {
		b = appendNumber(b, sharePeriodStart, s.PeriodStart.UnixMicro())
	}
	for n, amount := range shareAmounts(s) {
		if amount == nil || amount.IsZero() {
			continue
		}
		if b, err = appendAmount(b, n, *amount); err != nil {
			return nil, err
		}
	}
	return enclose(b, begin, decisionShare), nil
}

// enclose makes what stands in b from begin on the value of field n: the key and
// the length, which is known only now, are put before it.
func enclose(b []byte, begin, n int) []byte {
	size := len(b) - begin
	end := len(b)
	b = appendKey(b, n, size)
	var head [24]byte
	header := head[:copy(head[:], b[end:])]
	copy(b[begin+len(header):], b[begin:end])
	copy(b[begin:], header)
	return b
}

// decodeDecision reads the value of the event's decision.
func decodeDecision(value string) (*accounting.BudgetDecision, error) {
	decision := new(accounting.BudgetDecision)
	texts := decisionTexts(decision)
	err := eachField(value, func(number uint64, v int64) {
		if number == decisionCount {
			decision.Count = int(v)
		}
	}, func(number uint64, text string) (err error) {
		switch {
		case number >= decisionFieldCount:
		case number == decisionBound:
			decision.Bound.Known = true
			decision.Bound.Value, err = parseAmount(text)
		case number == decisionRate:
			decision.Rate, err = parseAmount(text)
		case number == decisionShare:
			err = decodeShare(decision, text)
		case number == decisionCalls:
			err = decodeCalls(decision, text)
		case texts[number] != nil:
			*texts[number] = text
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return decision, nil
}

func decodeShare(decision *accounting.BudgetDecision, value string) error {
	if len(decision.Budgets) == maxShares {
		return errPayload
	}
	var share accounting.BudgetShare
	texts, amounts := shareTexts(&share), shareAmounts(&share)
	err := eachField(value, func(number uint64, v int64) {
		if number == sharePeriodStart {
			share.PeriodStart = time.UnixMicro(v).UTC()
		}
	}, func(number uint64, text string) (err error) {
		switch {
		case number >= shareFieldCount:
		case texts[number] != nil:
			*texts[number] = text
		case amounts[number] != nil:
			*amounts[number], err = parseAmount(text)
		}
		return err
	})
	if err != nil {
		return err
	}
	decision.Budgets = append(decision.Budgets, share)
	return nil
}

func decodeCalls(decision *accounting.BudgetDecision, value string) error {
	if len(value)%requestIDSize != 0 || len(value) > accounting.MaxMergedCalls*requestIDSize {
		return errPayload
	}
	decision.Calls = make([]accounting.RequestID, len(value)/requestIDSize)
	for i := range decision.Calls {
		copy(decision.Calls[i][:], value[i*requestIDSize:])
	}
	return nil
}
