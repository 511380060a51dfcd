package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"bursar/config"
)

const (
	// askTimeout is how long a running Bursar may take to answer a command:
	// more than it waits itself for the database and for other replicas.
	askTimeout = 20 * time.Second
	// maxAnswerBytes bounds its answer.
	maxAnswerBytes = 16 << 20
)

// adminClient asks the admin port directly, never through a proxy of the
// environment, which would see the token, and never somewhere else.
var adminClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// askAdmin asks the admin port of a running Bursar, with the token of the
// configuration, and reads the data of its answer into data. Errors say what
// to do.
func askAdmin(ctx context.Context, cfg config.Config, method, path string, body, data any) error {
	address, err := adminAddress(cfg)
	if err != nil {
		return err
	}
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return fmt.Errorf("write a request to the admin port: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address+path, bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("write a request to the admin port: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	if cfg.Admin.Token.IsSet() {
		request.Header.Set("Authorization", "Bearer "+cfg.Admin.Token.Reveal())
	}
	response, err := adminClient.Do(request)
	if err != nil {
		return fmt.Errorf("no Bursar answers at %s: is it running, and is its admin port there (BURSAR_ADMIN_ADDR or --admin-addr)? %w", address, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", address, err)
	}
	return readAnswer(address, response, answer, data)
}

// readAnswer reads data out of the envelope, or the problem that came instead.
func readAnswer(address string, response *http.Response, answer []byte, data any) error {
	if response.StatusCode == http.StatusUnauthorized {
		return wrongSetting("%s does not take the token: set BURSAR_ADMIN_TOKEN to the one it was started with", address)
	}
	var envelope struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Detail  string          `json:"detail"`
		Errors  []struct {
			Field, Message, Allowed string
		} `json:"errors"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil || envelope.Success != (response.StatusCode == http.StatusOK) {
		return fmt.Errorf("what answers at %s with status %d is not Bursar's admin port (BURSAR_ADMIN_ADDR or --admin-addr)", address, response.StatusCode)
	}
	if envelope.Success {
		if err := json.Unmarshal(envelope.Data, data); err != nil {
			return fmt.Errorf("read the answer of %s: %w", address, err)
		}
		return nil
	}
	problem := []string{envelope.Detail}
	for _, e := range envelope.Errors {
		problem = append(problem, fmt.Sprintf("%s: %s (%s)", e.Field, e.Message, e.Allowed))
	}
	text := strings.Join(problem, "\n  ")
	if response.StatusCode == http.StatusUnprocessableEntity {
		return wrongSetting("%s", text)
	}
	return fmt.Errorf("%s answers: %s", address, text)
}
