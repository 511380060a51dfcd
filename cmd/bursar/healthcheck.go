package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"bursar/config"
)

// healthcheck asks the admin port of a running Bursar whether it is alive.
func healthcheck(ctx context.Context, e *env, cfg config.Config) error {
	address, err := adminAddress(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s for its health: %w", request.URL, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", request.URL, response.Status)
	}
	fmt.Fprintln(e.stdout, "ok")
	return nil
}

// adminAddress is the URL of the admin port of the configuration, as somebody
// on the same machine reaches it.
func adminAddress(cfg config.Config) (string, error) {
	host, port, err := net.SplitHostPort(cfg.Admin.Addr)
	if err != nil {
		return "", fmt.Errorf("read BURSAR_ADMIN_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
