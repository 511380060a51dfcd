package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/pflag"

	"bursar/accounting"
	"bursar/config"
)

// resumeAnswer is what the admin port has lifted.
type resumeAnswer struct {
	Lifted []stopAnswer `json:"lifted"`
	Active []stopAnswer `json:"active"`
}

// resumeCommand returns what runs "bursar resume [id]".
func resumeCommand(flags *pflag.FlagSet) func(context.Context, *env, config.Config) error {
	return func(ctx context.Context, e *env, cfg config.Config) error {
		path := stopPath
		if id := flags.Arg(0); id != "" {
			path += "/" + url.PathEscape(id)
		}
		var answer resumeAnswer
		if err := askAdmin(ctx, cfg, http.MethodDelete, path, nil, &answer); err != nil {
			return err
		}
		return reportResume(e.stdout, cfg.Admin.Addr, &answer)
	}
}

// reportResume says what is lifted and what is stopped all the same.
func reportResume(out io.Writer, addr string, answer *resumeAnswer) error {
	here := 0
	for i := range answer.Lifted {
		s := &answer.Lifted[i]
		fmt.Fprintf(out, "Lifted: the %s of %s (%s), given because: %s\n", kindWords(s.Kind), inWords(s.Scope), s.ID, s.Reason)
		if !s.Written {
			here++
		}
	}
	if len(answer.Lifted) == 0 {
		fmt.Fprintln(out, "There was no emergency stop to lift.")
	}
	for i := range answer.Active {
		s := &answer.Active[i]
		fmt.Fprintf(out, "Still stopped: %s, by the %s given because: %s\n  lift it with: bursar resume %s\n", inWords(s.Scope), kindWords(s.Kind), s.Reason, s.ID)
	}
	if here > 0 {
		return fmt.Errorf("the database does not answer: %d of %d stops are lifted at %s only, and elsewhere once it is back", here, len(answer.Lifted), addr)
	}
	return nil
}

func kindWords(kind accounting.StopKind) string {
	if kind == accounting.StopSpike {
		return "spike brake's hold"
	}
	return "stop"
}
