package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/spf13/pflag"

	"bursar/accounting"
	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
)

// demoConfig is the configuration for a fake OpenRouter: whatever it was meant
// for, nothing of it leads out of the machine or into the real data.
func demoConfig(cfg config.Config, upstream string) config.Config {
	cfg.Upstream.URL = upstream
	cfg.Upstream.APIKey = config.NewSecret(sampleKey)
	cfg.Proxy.ClientTokens = nil
	cfg.Database.URL = config.Secret{}
	cfg.Alerts.URLs = nil
	cfg.Proxy.DisconnectGrace = 200 * time.Millisecond // so that some costs have to be asked for
	cfg.Data.Dir = filepath.Join(cfg.Data.Dir, "demo")
	return cfg
}

// demoOrder is what "bursar demo" was asked for.
type demoOrder struct {
	history bool // load a history of three months at the first start
	traffic bool // run the sample campaign
}

// demoCommand defines the flags of "bursar demo", and returns what runs it.
func demoCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	o := demoOrder{traffic: true}
	flags.BoolVar(&o.history, "history", true, "at the first start, load three months of invented history; later, what is missing since the last day; --history=false starts without")
	return o.run
}

// startFakeOpenRouter starts the fake that the demo spends invented money at.
func startFakeOpenRouter() (*openroutertest.Instance, error) {
	fake, err := openroutertest.Start(openroutertest.Options{
		GenerationDelay: time.Second, CancelledDelay: 3 * time.Second,
	}, openroutertest.HTTP1)
	if err != nil {
		return nil, fmt.Errorf("start the fake OpenRouter: %w", err)
	}
	return fake, nil
}

// run runs a whole Bursar in front of a fake OpenRouter, with a sample campaign
// that spends invented money. Its data stands beside the real one, never in it,
// and nothing leaves the machine.
func (o *demoOrder) run(ctx context.Context, e *env, cfg config.Config) error {
	fake, err := startFakeOpenRouter()
	if err != nil {
		return err
	}
	defer fake.Close()
	cfg = demoConfig(cfg, fake.URL)
	till := &till{out: e.stdout, fake: fake}
	p, err := o.open(ctx, e.stdout, cfg, newLogger(e.stderr, cfg), till.posted)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, `
Bursar demo. A fake OpenRouter and a sample campaign run inside this process;
nothing leaves the machine and no money is spent.

  dashboard  %[1]s          (open it in a browser)
  try it     curl %[2]s/api/v1/chat/completions -H 'X-Campaign-ID: mine' \
               -d '{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}'
  the API    curl %[1]s/api/campaigns          (all of it: %[1]s/docs)
  stop       Ctrl-C

`, p.adminURL(), p.proxyURL())
	return o.serve(ctx, cfg, p, till)
}

// open is a Bursar with the history in its database. The history comes first:
// whoever sees the dashboard sees all of it.
func (o *demoOrder) open(ctx context.Context, out io.Writer, cfg config.Config, log zerolog.Logger, posted ...func([]accounting.Posting)) (*program, error) {
	if !o.history {
		return newProgram(ctx, cfg, log, posted...)
	}
	// What it warns of has happened in the story.
	leave, err := loadHistory(ctx, cfg, zerolog.Nop(), out, time.Now())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the demo's history: %w", err), leave())
	}
	p, err := newProgram(ctx, cfg, log, posted...)
	return p, errors.Join(err, leave())
}

// serve runs the program and the sample campaign until ctx ends.
func (o *demoOrder) serve(ctx context.Context, cfg config.Config, p *program, till *till) (err error) {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.run(serving) }()
	campaign, stopCampaign := context.WithCancel(ctx)
	defer stopCampaign()
	var wg sync.WaitGroup
	if o.traffic {
		wg.Go(func() {
			newSampleCampaign(p.proxyURL(), p.adminURL(), cfg.Admin.Token.Reveal(), time.Now()).run(campaign)
		})
	}
	select {
	case err = <-ended:
		stopCampaign()
		wg.Wait()
	case <-ctx.Done():
		wg.Wait()
		// The fake forgets with this process, so the last costs are asked for
		// now rather than at the next start.
		till.say("\nwaiting for the costs of the calls that were cut off (Ctrl-C again ends at once)")
		till.wait(20 * time.Second)
		stop()
		err = <-ended
	}
	return errors.Join(err, till.close())
}

// till prints every change of the ledger as it is committed, beside what the
// fake OpenRouter has billed.
type till struct {
	out  io.Writer
	fake *openroutertest.Instance

	mu       sync.Mutex
	recorded decimal.Decimal
}

func (t *till) posted(postings []accounting.Posting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	table := tabwriter.NewWriter(t.out, 0, 0, 1, ' ', 0)
	for _, posting := range postings {
		if posting.Amount.IsZero() {
			continue
		}
		t.recorded = t.recorded.Add(posting.Amount)
		source := "in the answer"
		if posting.Verified {
			source = "from GET /generation"
		}
		fmt.Fprintf(table, "%s  %-16.16s %-20.20s %-30.30s $%-20s %-20s so far: recorded $%s, billed $%s\n", time.Now().Format(time.TimeOnly),
			orDash(posting.Tags.CampaignID), orDash(posting.Tags.Purpose), posting.Model, posting.Amount, source, t.recorded, t.fake.Total())
	}
	_ = table.Flush() // a terminal that went away is no reason to stop
}

// say prints a line between two changes of the ledger.
func (t *till) say(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, line)
}

// wait returns when what was recorded equals what was billed, or after limit.
func (t *till) wait(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && !t.agrees(); {
		time.Sleep(50 * time.Millisecond)
	}
}

func (t *till) agrees() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fake.InFlight() == 0 && t.recorded.Equal(t.fake.Total())
}

// close says how the two ledgers compare at the end.
func (t *till) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := fmt.Fprintf(t.out, "\nrecorded by Bursar since the start: $%s\nbilled by the fake OpenRouter:       $%s\n", t.recorded, t.fake.Total())
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
