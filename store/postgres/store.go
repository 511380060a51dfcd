package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	pgxdecimal "github.com/jackc/pgx-shopspring-decimal"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Options say where the ledger is and by which rules it is kept.
type Options struct {
	URL        string                // a PostgreSQL connection string, URL or keyword form
	MaxConns   int                   // connections at most; 0: 10
	Registerer prometheus.Registerer // may be nil: durations are then not exported

	// What a month of monthly_costs starts with when its first call arrives.
	InstantlyCost decimal.Decimal // EUR a month
	WorkspaceCost decimal.Decimal // EUR a month
	USDToEURRate  decimal.Decimal // EUR for one USD, until a dated rate exists

	// BudgetRate is EUR for one USD just now, at which a call whose decision does
	// not say otherwise counts towards budgets in EUR for good; nil: USDToEURRate.
	BudgetRate func() decimal.Decimal

	// FirstLookup is how long after its end a call without a cost is looked up
	// for the first time: OpenRouter publishes its record some seconds later.
	FirstLookup time.Duration
	// VerifyDelay is how long after its end a cost that came with the response
	// is compared with OpenRouter's own record.
	VerifyDelay time.Duration

	// Channels are the names of those to which every alert is delivered.
	Channels []string
	// MinSeverity is the least severity that is delivered to them; empty: every
	// one is.
	MinSeverity accounting.Severity
	// Raised is told of new alerts, once, after the commit that made them. It
	// must not block; nil: nobody is told.
	Raised func([]accounting.Alert)
	// CostTolerance is by how much, as a share of OpenRouter's own record, a
	// call's cost may differ from what its answer said before an alert says so.
	CostTolerance decimal.Decimal
	// CostAlertThreshold is what a month may cost in EUR, fixed and variable
	// together, before an alert says so; 0: there is none.
	CostAlertThreshold decimal.Decimal

	// Now decides in which month a correction of a closed one is booked, from
	// when on a new budget counts, and when an alert was raised; nil: the clock
	// of this machine, of alerts that of the database.
	Now func() time.Time
}

const defaultMaxConns = 10

func (o Options) validate() error {
	var errs []error
	if o.URL == "" {
		errs = append(errs, errors.New("no database URL"))
	}
	if o.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("%d database connections: want 0 (the default) or more", o.MaxConns))
	}
	if o.InstantlyCost.IsNegative() || o.WorkspaceCost.IsNegative() {
		errs = append(errs, fmt.Errorf("fixed costs of %s and %s EUR a month: want 0 or more", o.InstantlyCost, o.WorkspaceCost))
	}
	if !o.USDToEURRate.IsPositive() {
		errs = append(errs, fmt.Errorf("exchange rate of %s EUR for one USD: want more than 0", o.USDToEURRate))
	}
	if o.CostAlertThreshold.IsNegative() {
		errs = append(errs, fmt.Errorf("cost alert threshold of %s EUR: want 0 (none) or more", o.CostAlertThreshold))
	}
	if o.CostTolerance.IsNegative() {
		errs = append(errs, fmt.Errorf("cost tolerance of %s: want 0 or more", o.CostTolerance))
	}
	if o.MinSeverity != "" && !slices.Contains(severities, o.MinSeverity) {
		errs = append(errs, fmt.Errorf("least severity %q: want one of %q", o.MinSeverity, severities))
	}
	if o.FirstLookup < 0 || o.VerifyDelay < 0 {
		errs = append(errs, fmt.Errorf("delays of %s before the first lookup and %s before verification: want 0 or more", o.FirstLookup, o.VerifyDelay))
	}
	return errors.Join(errs...)
}

// Store is the ledger. Its methods may be called by many goroutines, and by
// many processes on one database. Each that writes does so in one transaction:
// after an error nothing has changed, except where the connection broke during
// COMMIT, and then calling again is safe.
type Store struct {
	pool *pgxpool.Pool
	opts Options

	book   atomic.Pointer[book] // the budgets as last read; see readBook
	raised knownAlerts
}

// Open prepares a pool of connections to the database. It does not connect:
// calls must go on while PostgreSQL is away, so that is for [Store.Ping] to
// find out. The caller ends it with Close.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	cfg, err := poolConfig(opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return &Store{pool: pool, opts: opts}, nil
}

// CheckURL tells what is wrong with a database's URL or connection string,
// without its password; nothing is connected to. Empty is right.
func CheckURL(url string) error {
	_, err := pgxpool.ParseConfig(url)
	return err
}

func poolConfig(opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err) // pgx leaves the password out
	}
	cfg.MaxConns = defaultMaxConns
	if opts.MaxConns > 0 {
		cfg.MaxConns = int32(min(opts.MaxConns, 1<<15))
	}
	// The fast default keeps named statements on the server, which PgBouncer
	// in transaction mode may give to somebody else. This mode asks for a
	// query's types once per connection and sends it whole from then on: one
	// round trip, nothing kept, binary NUMERIC and arrays both ways. PostgreSQL
	// plans it each time with the values at hand, which the listing relies on.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxdecimal.Register(conn.TypeMap())
		return nil
	}
	if cfg.ConnConfig.Tracer, err = newTracer(opts.Registerer); err != nil {
		return nil, fmt.Errorf("register database metrics: %w", err)
	}
	return cfg, nil
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.pool.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

func (s *Store) now() time.Time {
	if s.opts.Now == nil {
		return time.Now()
	}
	return s.opts.Now()
}

// budgetRate is the rate at which calls count towards budgets in EUR.
func (s *Store) budgetRate() decimal.Decimal {
	if s.opts.BudgetRate == nil {
		return s.opts.USDToEURRate
	}
	return s.opts.BudgetRate()
}

// givenTime is the time by the clock of the options, nil if they name none.
func (s *Store) givenTime() *time.Time {
	if s.opts.Now == nil {
		return nil
	}
	now := s.opts.Now()
	return &now
}

// errRaced means that another transaction took an id between our looking for
// it and our claiming it: the next attempt sees what it wrote.
var errRaced = errors.New("another transaction wrote the same call")

const maxAttempts = 10

// inTx runs do in a transaction, again from the start if PostgreSQL ended it
// for the sake of another one. do must therefore set what it returns, not add
// to it.
func (s *Store) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		// Row locks under READ COMMITTED are all the isolation that is needed;
		// said explicitly, since a database may have another default.
		made := new(transaction)
		err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			made.Tx = tx
			return do(made)
		})
		if err == nil {
			s.tellRaised(made.raised)
		}
		if err == nil || attempt == maxAttempts || !retryable(err) {
			return err
		}
		pause := time.Duration(rand.Int64N(int64(attempt) * int64(10*time.Millisecond)))
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func retryable(err error) bool {
	if errors.Is(err, errRaced) {
		return true
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	case "23514":
		// A check_violation without a constraint's name is a row on its way
		// into the DEFAULT partition whose month was attached meanwhile.
		return pgErr.ConstraintName == ""
	}
	return false
}
