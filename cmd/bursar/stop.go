package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"bursar/accounting"
	"bursar/config"
)

// stopPath is the emergency stop on the admin port.
const stopPath = "/api/guard/emergency-stop"

// stopAnswer is a stop as the admin port answers with it.
type stopAnswer struct {
	accounting.Stop
	Written bool `json:"written"` // false: only the replica that was asked obeys
	Obeyed  bool `json:"obeyed"`  // every living replica does
}

// stopRequest is what the admin port is asked.
type stopRequest struct {
	Scope      *accounting.Scope `json:"scope,omitempty"` // nil: everything
	Reason     string            `json:"reason"`
	CutStreams bool              `json:"cut_streams"`
	Drill      bool              `json:"drill"`
}

// stopCommand defines the flags of "bursar stop", and returns what runs it.
func stopCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	var ask stopRequest
	var scope scopeFlag
	flags.StringVar(&ask.Reason, "reason", "", "why; whoever is refused reads it, and the audit log keeps it")
	flags.Var(&scope, "scope", "stop only calls with this: campaign, purpose, platform, model or key (its SHA-256);\nmay be given several times, calls that have all of them are stopped; without it: every call")
	flags.BoolVar(&ask.CutStreams, "cut-streams", false, "end calls in flight as well; what they cost is recorded as ever")
	flags.BoolVar(&ask.Drill, "drill", false, "stop nothing: measure how long each replica would take")
	return func(ctx context.Context, e *env, cfg config.Config) error {
		if strings.TrimSpace(ask.Reason) == "" {
			return wrongSetting(`--reason is missing: say why calls are stopped, as in --reason "an agent runs in circles"`)
		}
		if !scope.IsZero() {
			ask.Scope = &scope.Scope
		}
		var answer stopAnswer
		if err := askAdmin(ctx, cfg, http.MethodPut, stopPath, ask, &answer); err != nil {
			return err
		}
		return reportStop(e.stdout, cfg.Admin.Addr, &answer)
	}
}

// scopeFlag is a pflag.Value that takes one part of a scope at a time.
type scopeFlag struct{ accounting.Scope }

// Set implements pflag.Value.
func (f *scopeFlag) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	field := map[string]*string{
		"campaign": &f.CampaignID, "campaign_id": &f.CampaignID, "campaign-id": &f.CampaignID,
		"purpose": &f.Purpose, "platform": &f.Platform, "model": &f.Model, "key": &f.Key,
	}[strings.ToLower(name)]
	switch {
	case !ok || field == nil || value == "":
		return errors.New("want campaign=…, purpose=…, platform=…, model=… or key=…")
	case *field != "":
		return fmt.Errorf("%s is given twice, and a call has only one", name)
	}
	*field = value
	return nil
}

// String implements pflag.Value.
func (f *scopeFlag) String() string {
	if f.IsZero() {
		return ""
	}
	return inWords(f.Scope)
}

// Type implements pflag.Value.
func (f *scopeFlag) Type() string { return "name=value" }

// inWords says which calls are in a scope.
func inWords(s accounting.Scope) string {
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"campaign", s.CampaignID}, {"purpose", s.Purpose}, {"platform", s.Platform}, {"model", s.Model}, {"key", s.Key},
	} {
		if part.value != "" {
			parts = append(parts, part.name+"="+part.value)
		}
	}
	if len(parts) == 0 {
		return "every call"
	}
	return "calls with " + strings.Join(parts, ", ")
}

// reportStop says what is stopped and which replicas obey. The error says what
// is missing from a stop that holds everywhere.
func reportStop(out io.Writer, addr string, s *stopAnswer) error {
	if s.Drill {
		fmt.Fprintf(out, "Drill: nothing was stopped. A stop of %s would have reached\n\n", inWords(s.Scope))
	} else {
		fmt.Fprintf(out, "Stopped: %s (%s), because: %s\n", inWords(s.Scope), s.ID, s.Reason)
		if s.CutStreams {
			fmt.Fprintln(out, "Calls in flight are cut; their costs are recorded as ever.")
		}
		fmt.Fprintf(out, "It holds until somebody lifts it: bursar resume %s\n\n", s.ID)
	}
	if !s.Written {
		return fmt.Errorf("the database does not answer: only the replica at %s obeys until it is back. Give the stop at each replica's admin port (--admin-addr)", addr)
	}
	missing := 0
	table := newTable(out)
	fmt.Fprintln(table, "REPLICA\tOBEYS")
	for _, r := range s.Reach {
		if r.After != nil {
			fmt.Fprintf(table, "%s\tafter %.2f s\n", r.Replica, *r.After)
			continue
		}
		missing++
		fmt.Fprintf(table, "%s\tnot yet; last heard of at %s\n", r.Replica, r.SeenAt.UTC().Format(time.RFC3339))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case len(s.Reach) == 0:
		return errors.New("no replica has reported to the database yet; \"obeys\" cannot be told")
	case missing > 0:
		return fmt.Errorf("%d of %d replicas have not obeyed yet; they do as soon as they reach the database", missing, len(s.Reach))
	}
	return nil
}
