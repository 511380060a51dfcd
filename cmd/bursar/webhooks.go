package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"bursar/admin/webhook"
)

const (
	webhookReadTimeout = 30 * time.Second
	webhookRetry       = time.Second
)

// startWebhooks starts the listener of webhooks, if one is configured.
func (p *program) startWebhooks() error {
	c := &p.cfg.Webhooks
	if c.Addr == "" {
		return nil
	}
	mappings := webhook.DefaultMappings()
	if c.MappingFile != "" {
		file, err := os.Open(c.MappingFile)
		if err != nil {
			return wrongSetting("read BURSAR_WEBHOOKS_MAPPING_FILE: %w", err)
		}
		defer func() { _ = file.Close() }()
		if mappings, err = webhook.ReadMappings(file); err != nil {
			return wrongSetting("BURSAR_WEBHOOKS_MAPPING_FILE %s: %w", c.MappingFile, err)
		}
	}
	handler, err := webhook.New(webhook.Options{
		Store: toldActivities{p.store, p.costsChanged}, Secret: c.Secret.Reveal(), Mappings: mappings, MaxBytes: int64(c.MaxBytes), Registerer: p.registry, Logger: p.log})
	if err != nil {
		return err
	}
	p.loop("webhooks", func(ctx context.Context) error { return p.serveWebhooks(ctx, handler) })
	return nil
}

// serveWebhooks serves until ctx ends. The port may still be held by the
// process that this one replaces: it is waited for, and platforms send again.
func (p *program) serveWebhooks(ctx context.Context, handler http.Handler) error {
	listener := p.listenWebhooks(ctx)
	if listener == nil {
		return nil
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: webhookReadTimeout, ReadTimeout: webhookReadTimeout, WriteTimeout: webhookReadTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	p.log.Info().Msgf("webhooks:   http://%s/webhooks/", listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve webhooks: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve webhooks: %w", err)
	}
	return nil
}

// listenWebhooks is nil if ctx ended before the port was free.
func (p *program) listenWebhooks(ctx context.Context) net.Listener {
	for tried := false; ; tried = true {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.Webhooks.Addr)
		if err == nil {
			return listener
		}
		if !tried && ctx.Err() == nil {
			p.log.Error().Err(err).Msg("open the webhooks' port (BURSAR_WEBHOOKS_ADDR); it is tried again until it is free")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(webhookRetry):
		}
	}
}
