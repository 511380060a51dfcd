package openroutertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"bursar/proxy/openrouter/openroutertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-or-v1-test-key"

// fake is a server with a client, ended with the test.
type fake struct {
	*openroutertest.Instance
	t      *testing.T
	client *http.Client
}

func start(t *testing.T, opts openroutertest.Options) *fake {
	return startWith(t, opts, openroutertest.HTTP1)
}

func startWith(t *testing.T, opts openroutertest.Options, protocol openroutertest.Protocol) *fake {
	t.Helper()
	instance, err := openroutertest.Start(opts, protocol)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{Instance: instance, t: t, client: instance.Client()}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// request makes a POST (a GET if body is empty) with extra headers "Name: value".
func (f *fake) request(ctx context.Context, path, body string, headers ...string) *http.Request {
	f.t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, f.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// do sends a request and returns the answer with its body read.
func (f *fake) do(path, body string, headers ...string) (*http.Response, []byte) {
	f.t.Helper()
	response, err := f.client.Do(f.request(f.t.Context(), path, body, headers...))
	if err != nil {
		f.t.Fatalf("%s: %v", path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatalf("%s: read the body: %v", path, err)
	}
	return response, text
}

// behave sends a request with a behavior.
func (f *fake) behave(behavior, path, body string, headers ...string) (*http.Response, []byte) {
	f.t.Helper()
	return f.do(path, body, append(headers, "X-Fake-Behavior: "+behavior)...)
}

// only is the one bill there is.
func (f *fake) only() openroutertest.Bill {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	if err := f.WaitIdle(ctx); err != nil {
		f.t.Fatalf("requests still in flight: %d", f.InFlight())
	}
	bills := f.Ledger()
	if len(bills) != 1 {
		f.t.Fatalf("%d bills, want 1: %+v", len(bills), bills)
	}
	return bills[0]
}

// event is a server-sent event as a browser would see it.
type event struct {
	name string
	data string
}

// events parses a stream by the rules of the HTML standard.
func events(t *testing.T, text []byte) []event {
	t.Helper()
	s := strings.TrimPrefix(string(text), "\uFEFF")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	var out []event
	for block := range strings.SplitSeq(s, "\n\n") {
		var e event
		var data []string
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				e.name = value
			case "data":
				data = append(data, value)
			}
		}
		if data != nil {
			e.data = strings.Join(data, "\n")
			out = append(out, e)
		}
	}
	return out
}

// usageIn is the usage object of a document, of itself or of the response or
// message in it.
type usageIn struct {
	ID       string
	Usage    *usage
	Response *struct {
		ID    string
		Usage *usage
	}
	Message *struct{ ID string }
	Error   json.RawMessage
}

type usage struct {
	Cost    *json.Number
	IsBYOK  *bool `json:"is_byok"`
	Details *struct {
		Upstream *json.Number `json:"upstream_inference_cost"`
	} `json:"cost_details"`
	TotalTokens *int64 `json:"total_tokens"`
}

// told is what an answer says about itself: its id and the last usage.
func told(t *testing.T, response *http.Response, body []byte) (id string, last *usage) {
	t.Helper()
	documents := []string{string(bytes.TrimSpace(body))}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		documents = nil
		for _, e := range events(t, body) {
			if e.data != "[DONE]" {
				documents = append(documents, e.data)
			}
		}
	}
	for _, document := range documents {
		var u usageIn
		if err := json.Unmarshal([]byte(document), &u); err != nil {
			t.Fatalf("not JSON: %v\n%s", err, document)
		}
		if u.Response != nil {
			u.ID, u.Usage = u.Response.ID, u.Response.Usage
		}
		if u.Message != nil {
			u.ID = u.Message.ID
		}
		if u.ID != "" {
			id = u.ID
		}
		if u.Usage != nil {
			last = u.Usage
		}
	}
	return id, last
}

// generation asks for a record; the status is 200 if there is one.
func (f *fake) generation(id string, headers ...string) (status int, data map[string]json.RawMessage) {
	f.t.Helper()
	response, body := f.do("/api/v1/generation?id="+id, "", headers...)
	var doc struct{ Data map[string]json.RawMessage }
	if err := json.Unmarshal(body, &doc); err != nil {
		f.t.Fatalf("generation: %v\n%s", err, body)
	}
	return response.StatusCode, doc.Data
}

func amount(t *testing.T, literal string) decimal.Decimal {
	t.Helper()
	d, err := decimal.NewFromString(literal)
	if err != nil {
		t.Fatalf("%q is no amount: %v", literal, err)
	}
	return d
}

// dig follows a dotted path into a JSON document; nil if there is nothing.
func dig(t *testing.T, body []byte, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	for step := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[step]
	}
	return v
}

func chooseCost(*http.Request, []byte) openroutertest.Behavior {
	return openroutertest.Behavior{CostLiteral: "0.1"}
}
