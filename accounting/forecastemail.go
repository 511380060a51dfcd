package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// EmailPaceDays are the whole days before today by which [EmailsAtMonthEnd]
// judges the pace: a week, so that each weekday counts once.
const EmailPaceDays = 7

// EmailsAtMonthEnd is how many emails a month will have sent at the pace of the
// latest week: sent so far + the mean of that week's days × the days that are
// left, of which the present one counts by what is left of it. recent are the
// emails of the EmailPaceDays whole UTC days before the one of now. It is a
// pace and no forecast with an interval; it divides one.
func EmailsAtMonthEnd(sent, recent int64, now time.Time) decimal.Decimal {
	left := decimal.NewFromInt(int64(MonthOf(now).End().Sub(now) / time.Second))
	day := decimal.NewFromInt(int64(24 * time.Hour / time.Second))
	pace := decimal.NewFromInt(recent).Mul(left).DivRound(day.Mul(decimal.NewFromInt(EmailPaceDays)), QuotientPlaces)
	return decimal.NewFromInt(sent).Add(pace)
}

// CostPerEmailAtMonthEnd is what an email will have cost when the month is over:
// the month's expected total ÷ [EmailsAtMonthEnd]. Fixed costs count whole from
// the first day on, so the figure of a young month is too high until enough was
// sent; this is what it will come down to. Unknown without a forecast, or where
// nothing is sent.
func (m *MonthForecast) CostPerEmailAtMonthEnd(sent, recent int64, now time.Time) Optional[decimal.Decimal] {
	if !m.Expected.Known {
		return Optional[decimal.Decimal]{}
	}
	return Quotient(m.Expected.Value, EmailsAtMonthEnd(sent, recent, now))
}
