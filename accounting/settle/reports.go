package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
	"bursar/accounting/settle/report"
)

// ReportBook is the database as [Reports] needs it.
type ReportBook interface {
	// ReportsSince is when the database has learnt to send reports.
	ReportsSince(ctx context.Context) (time.Time, error)
	// ReportSent reports whether the report of a span was sent at its time.
	ReportSent(ctx context.Context, span accounting.ReportSpan) (bool, error)
	// SendReport keeps a report and raises the alert that it travels as, once
	// for its span over all replicas.
	SendReport(ctx context.Context, r *accounting.PeriodReport, a accounting.Alert) (sent bool, err error)
	// SendReportNow raises it in any case, in the name of by; audited in the same
	// transaction.
	SendReportNow(ctx context.Context, r *accounting.PeriodReport, a accounting.Alert, by string) (accounting.Alert, error)

	// AlertsOf are the alerts that were raised on some days.
	AlertsOf(ctx context.Context, from, to accounting.Day) (accounting.ReportAlerts, error)
	// OpenOf counts what of some days may still move.
	OpenOf(ctx context.Context, from, to accounting.Day) (accounting.ReportOpen, error)
	// BudgetStatuses says how a budget stands. One that is not there is
	// [accounting.ErrUnknownBudget].
	BudgetStatuses(ctx context.Context, id string, now time.Time, limit int) ([]accounting.BudgetStatus, error)
}

// ReportsOptions configure [Reports]. A zero duration stands for its default.
type ReportsOptions struct {
	Book      ReportBook
	Figures   Figures
	Economics Economics
	Threshold accounting.Optional[accounting.Amount] // EUR a month, above which there is an alert

	Periods  []accounting.ReportPeriod // those that are sent by themselves
	Hour     int                       // at which they are, in Zone
	Zone     *time.Location            // nil: UTC
	Channels int                       // how many there are; none: nothing is sent

	Interval time.Duration // between two looks; default 1 min
	Timeout  time.Duration // of one look; default 2 min
	Logger   zerolog.Logger
}

// Reports sends what a week and a month have cost and brought, through the
// channels of alerts and once over all replicas. A replica that comes late makes
// up for the latest period, and for no earlier one.
type Reports struct {
	opts   ReportsOptions
	outage outage
	sent   map[accounting.ReportPeriod]string // the latest span that needs no look any more
	since  time.Time                          // zero: not read yet
}

// NewReports checks the options. It starts nothing.
func NewReports(o ReportsOptions) (*Reports, error) {
	if o.Book == nil || o.Figures == nil {
		return nil, errors.New("reports: they need a book and figures")
	}
	if o.Hour < 0 || o.Hour > 23 {
		return nil, fmt.Errorf("reports at hour %d: want 0 to 23", o.Hour)
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("reports: durations must not be negative")
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	setDefault(&o.Interval, time.Minute)
	setDefault(&o.Timeout, 2*time.Minute)
	return &Reports{opts: o, sent: make(map[accounting.ReportPeriod]string), outage: outage{log: o.Logger, what: "sending reports; they are made up for"}}, nil
}

// Run sends what is due until ctx ends; it returns nil.
func (r *Reports) Run(ctx context.Context) error {
	every(ctx, r.opts.Interval, r.opts.Timeout, &r.outage, r.Check)
	return nil
}

// Check sends what is due at now and was not sent. It must not be called by two
// goroutines at once; any number of processes may.
func (r *Reports) Check(ctx context.Context, now time.Time) error {
	if r.opts.Channels == 0 {
		return nil
	}
	var errs []error
	for _, period := range r.opts.Periods {
		span := accounting.DueSpan(period, now, r.opts.Hour, r.opts.Zone)
		if r.sent[period] == span.String() {
			continue
		}
		if err := r.send(ctx, span, now); err != nil {
			errs = append(errs, err)
			continue
		}
		r.sent[period] = span.String()
	}
	return errors.Join(errs...)
}

// send sends the report of a span unless it was sent, or was due before there
// were reports.
func (r *Reports) send(ctx context.Context, span accounting.ReportSpan, now time.Time) error {
	if r.since.IsZero() {
		since, err := r.opts.Book.ReportsSince(ctx)
		if err != nil {
			return err
		}
		r.since = since
	}
	if span.Due(r.opts.Hour, r.opts.Zone).Before(r.since) {
		return nil
	}
	if sent, err := r.opts.Book.ReportSent(ctx, span); err != nil || sent {
		return err
	}
	made, err := r.Build(ctx, span, now)
	if err != nil {
		return err
	}
	alert, err := r.alert(&made, "")
	if err != nil {
		return err
	}
	sent, err := r.opts.Book.SendReport(ctx, &made, alert)
	if err == nil && sent {
		r.opts.Logger.Info().Str("period", string(span.Period)).Str("of", span.String()).Msg("a report is on its way")
	}
	return err
}

// SendNow sends the report of a span to all channels in the name of by, whether
// or not it was sent before, and returns the alert that it travels as. It can
// be called at any time. Without channels there are no deliveries.
func (r *Reports) SendNow(ctx context.Context, span accounting.ReportSpan, by string, now time.Time) (accounting.Alert, error) {
	made, err := r.Build(ctx, span, now)
	if err != nil {
		return accounting.Alert{}, err
	}
	alert, err := r.alert(&made, "/"+now.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return accounting.Alert{}, err
	}
	return r.opts.Book.SendReportNow(ctx, &made, alert, by)
}

// Render writes a report as it is sent: its title, its text, and the document
// for mail.
func (r *Reports) Render(made *accounting.PeriodReport) (title, text string, document []byte, err error) {
	if document, err = report.HTML(made); err != nil {
		return "", "", nil, fmt.Errorf("write the report of %s: %w", made.Of, err)
	}
	return report.Title(made), report.Text(made), document, nil
}

// alert is what a report travels as. Its severity is that of good news, and it
// goes to every channel: it was asked for.
func (r *Reports) alert(made *accounting.PeriodReport, occasion string) (accounting.Alert, error) {
	title, text, document, err := r.Render(made)
	if err != nil {
		return accounting.Alert{}, err
	}
	data, err := json.Marshal(map[string]any{"period": made.Period, "of": made.Of})
	if err != nil {
		return accounting.Alert{}, fmt.Errorf("write the report of %s: %w", made.Of, err)
	}
	name := fmt.Sprintf("%s/%s", made.Period, made.Of)
	return accounting.Alert{
		Key: "report/" + name + occasion, Kind: accounting.AlertReport, Subject: "reports/" + name,
		Severity: accounting.SeverityInfo, DeliverAs: accounting.SeverityCritical,
		Title: title, Text: text, HTML: string(document), Data: data,
	}, nil
}

// HasChannels reports whether there is anywhere to send a report to.
func (r *Reports) HasChannels() bool { return r.opts.Channels > 0 }
