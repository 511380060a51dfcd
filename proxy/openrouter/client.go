package openrouter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bursar/accounting"
)

// maxRecord bounds the answer to a lookup. A generation's record has about
// 2 kB; a completed batch repeats its items.
const maxRecord = 16 << 20

// Client asks OpenRouter for its own records.
type Client struct {
	base *url.URL
	http *http.Client
	now  func() time.Time
}

// NewClient returns a client of the OpenRouter at base, e.g.
// https://openrouter.ai. Time limits are the callers' contexts.
func NewClient(base *url.URL, transport http.RoundTripper) *Client {
	return &Client{base: base, http: &http.Client{Transport: transport}, now: time.Now}
}

// Generation fetches the record of a generation with the key that made it. A
// record without a total_cost has an unknown cost.
//
// Errors: *[accounting.LookupError] for an error status (404: not published
// yet), otherwise the transport's.
func (c *Client) Generation(ctx context.Context, key, id string) (accounting.Generation, error) {
	reading, err := c.get(ctx, key, "/api/v1/generation?id="+url.QueryEscape(id), nodeRecord)
	if err != nil {
		return accounting.Generation{}, fmt.Errorf("look up generation %s: %w", id, err)
	}
	return reading.generation(), nil
}

// Job fetches the state of an asynchronous job that a POST to endpoint made.
//
// Errors: [accounting.ErrJobRunning] until the job has ended, else as
// [Client.Generation].
func (c *Client) Job(ctx context.Context, key, endpoint, jobID string) (accounting.Generation, error) {
	path := strings.TrimRight(endpoint, "/") + "/" + url.PathEscape(jobID)
	reading, err := c.get(ctx, key, path, nodeAnswer)
	if err != nil {
		return accounting.Generation{}, fmt.Errorf("look up job %s: %w", jobID, err)
	}
	ended, failed := reading.JobOutcome()
	if !ended {
		return accounting.Generation{}, fmt.Errorf("look up job %s: %w", jobID, accounting.ErrJobRunning)
	}
	generation := reading.generation()
	generation.ID = reading.GenerationID // the document's own id is the job's
	generation.Failed = failed
	return generation, nil
}

func (r *Reading) generation() accounting.Generation {
	return accounting.Generation{
		ID:           r.ID,
		Model:        r.Model,
		Provider:     r.Provider,
		FinishReason: r.FinishReason,
		Cancelled:    r.cancelled,
		Streamed:     r.streamed,
		Usage:        r.Usage,
	}
}

// get fetches one document and reads it with the same scanner as the meter.
func (c *Client) get(ctx context.Context, key, path string, root node) (*Reading, error) {
	body, err := c.fetch(ctx, key, path)
	if err != nil {
		return nil, err
	}
	reading := new(Reading)
	scan := scanner{out: reading, root: root}
	scan.Write(body)
	return reading, nil
}

// fetch gets one JSON document, and only a whole one: a record cut off in the
// middle of a number must not become another number.
func (c *Client) fetch(ctx context.Context, key, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.base.String(), "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if key != "" { // price lists are public
		request.Header.Set("Authorization", "Bearer "+key)
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRecord+1))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, &accounting.LookupError{Status: response.StatusCode, RetryAfter: c.retryAfter(response.Header)}
	}
	if err != nil {
		return nil, err
	}
	if len(body) > maxRecord {
		return nil, fmt.Errorf("the record is larger than %d bytes", maxRecord)
	}
	if !json.Valid(body) {
		return nil, errors.New("the record is not JSON")
	}
	return body, nil
}

// retryAfter reads both forms of the header: seconds, and a date.
func (c *Client) retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(c.now()))
	}
	return 0
}
