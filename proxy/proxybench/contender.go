package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// contender is a proxy that runs.
type contender struct {
	*process
	name    string
	addr    string // of its data port
	metrics string // URL where it counts its allocations; empty: it is not in Go
}

// startContenders starts all that are wanted and installed, in front of u. What
// has started is returned along with an error, for the caller to stop.
func (b *bench) startContenders(ctx context.Context, u *upstream) ([]*contender, error) {
	var started []*contender
	add := func(c *contender, err error) error {
		if err == nil {
			started = append(started, c)
		}
		return err
	}
	for _, name := range contenderNames {
		if !b.opts.only.contender(name) {
			continue
		}
		var err error
		switch name {
		case nameBare, namePool:
			err = add(b.startBare(name, u))
		case nameNginx, nameHAProxy:
			err = add(b.startInstalled(ctx, name, u))
		default:
			err = add(b.startBursar(ctx, name, b.bursar, u))
		}
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(b.progress, "%s is not installed and is left out\n", name)
		} else if err != nil {
			return started, err
		}
	}
	for _, name := range sortedKeys(b.opts.also) {
		if err := add(b.startBursar(ctx, name, b.opts.also[name], u)); err != nil {
			return started, err
		}
	}
	return started, nil
}

func stopContenders(contenders []*contender) error {
	var errs []error
	for _, c := range slices.Backward(contenders) {
		errs = append(errs, c.stop())
	}
	return errors.Join(errs...)
}

// buildBursar builds the program as "make build" does.
func (b *bench) buildBursar(ctx context.Context) error {
	if b.bursar = b.opts.bursar; b.bursar != "" {
		return nil
	}
	b.bursar = filepath.Join(b.dir, "bursar")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", b.bursar, "bursar/cmd/bursar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build bursar: %w\n%s", err, out)
	}
	return nil
}

// startBursar starts the real program with a data directory of its own, and so
// with a private Postgres.
func (b *bench) startBursar(ctx context.Context, name, binary string, u *upstream) (*contender, error) {
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, fmt.Errorf("make the data directory of %s: %w", name, err)
	}
	if err := os.Chmod(data, 0o755); err != nil { // its Postgres may run as another user
		return nil, fmt.Errorf("open the data directory of %s: %w", name, err)
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve")
	cmd.Dir = data // no .env and no bursar.yaml but ours, which is none
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + data,
		"BURSAR_PROXY_ADDR=" + addr, "BURSAR_ADMIN_ADDR=" + admin, "BURSAR_DATA_DIR=" + data,
		"BURSAR_UPSTREAM_URL=" + u.url, "BURSAR_UPSTREAM_CA_FILE=" + u.caFile,
		// The settler's work begins while we look, not 8 s later.
		"BURSAR_SETTLE_ENABLED=" + fmt.Sprint(name == nameSettler), "BURSAR_SETTLE_VERIFY_DELAY=1s",
	}
	p, err := startProcess(b.dir, name, cmd)
	if err != nil {
		return nil, err
	}
	c := &contender{process: p, name: name, addr: addr, metrics: "http://" + admin + "/metrics"}
	if err := p.await(ctx, func(ctx context.Context) error { return get(ctx, "http://"+admin+"/readyz") }); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return c, nil
}

// get reports anything but a 200 as an error.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}
