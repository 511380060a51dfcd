package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// shortChat is a chat call that can cost little.
func shortChat(model string) string {
	return fmt.Sprintf(`{"model":%q,"max_tokens":20,"messages":[{"role":"user","content":"Write a subject line."}]}`, model)
}

const cheapModel = "openai/gpt-5-mini"

// budget makes a budget and waits until the guard goes by it.
func (r *running) budget(body string) (id string) {
	r.t.Helper()
	made := data[accounting.Budget](r, http.StatusCreated, "POST", "/api/budgets", body)
	require.Eventually(r.t, func() bool {
		_, metrics := r.ask("GET", "/metrics", "")
		return strings.Contains(metrics, `bursar_budget_limit{budget="`+made.ID+`"`)
	}, time.Minute, 20*time.Millisecond, "the guard does not know budget %s", made.ID)
	return made.ID
}

// answer is what a client sees of a call.
type clientAnswer struct {
	status int
	header http.Header
	body   string
}

func (c *clientAnswer) verdict() string { return c.header.Get("X-Bursar-Verdict") }

func (r *running) send(path, body string, header ...string) clientAnswer {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.proxyURL()+path, strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer sk-or-test")
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return clientAnswer{response.StatusCode, response.Header, string(answer)}
}

// until sends the call until ok says so.
func (r *running) until(ok func(*clientAnswer) bool, path, body string, header ...string) (last clientAnswer) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		last = r.send(path, body, header...)
		return ok(&last)
	}, time.Minute, 20*time.Millisecond)
	return last
}

// refusedFor reports whether a call was blocked for the reason.
func refusedFor(reason accounting.BudgetReason) func(*clientAnswer) bool {
	return func(a *clientAnswer) bool {
		return a.status == http.StatusPaymentRequired && strings.Contains(a.body, fmt.Sprintf(`"reason":%q`, reason))
	}
}

// settled waits until the budget knows the cost of every call, and returns it.
func (r *running) settled(id string) decimal.Decimal {
	r.t.Helper()
	var standing accounting.BudgetStatus
	require.Eventually(r.t, func() bool {
		// The journal first: what it holds when the budget is asked may be in
		// Postgres a moment later.
		if stats := r.journal.Stats(); stats.Depth != 0 || stats.Open != 0 {
			return false
		}
		status := data[struct{ Status []accounting.BudgetStatus }](r, http.StatusOK, "GET", "/api/budgets/status?id="+id, "").Status
		if len(status) != 1 {
			return false
		}
		standing = status[0]
		return standing.Reserved.IsZero()
	}, time.Minute, 20*time.Millisecond)
	return standing.Settled.Decimal
}

// spend sends calls from 50 clients at once, until all of them are refused, and
// then single ones until the budget is used up to 95 %: what was reserved when
// the others were refused has come back since.
func (r *running) spend(id string, limit decimal.Decimal, header ...string) {
	r.t.Helper()
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for {
				if a := r.send(chatPath, shortChat(cheapModel), header...); a.status != http.StatusOK {
					assert.Equal(r.t, http.StatusPaymentRequired, a.status, a.body)
					return
				}
			}
		})
	}
	clients.Wait()
	enough := limit.Mul(decimal.RequireFromString("0.95"))
	require.Eventually(r.t, func() bool {
		a := r.send(chatPath, shortChat(cheapModel), header...)
		return a.status == http.StatusPaymentRequired && r.settled(id).GreaterThanOrEqual(enough)
	}, 2*time.Minute, 10*time.Millisecond, "%s of %s used", r.settled(id), limit)
}

func TestBudgetsHoldInFrontOfOpenRouter(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake, func(c *config.Config) { c.Tags.Required = []string{"email_id"} })
	billed := func() (sum decimal.Decimal) {
		for _, bill := range fake.Ledger() {
			sum = sum.Add(bill.Cost)
		}
		return sum
	}

	t.Run("a hard budget holds to the last digit at concurrency 50", func(t *testing.T) {
		limit := decimal.RequireFromString("0.01")
		id := r.budget(`{"name":"hard","scope":{"campaign_id":"hard"},"period":"month","limit":0.01,"mode":"hard"}`)
		before := billed()
		r.spend(id, limit, "X-Campaign-ID", "hard")
		spent := billed().Sub(before)
		require.True(t, spent.LessThanOrEqual(limit), "%s billed of %s", spent, limit)
		require.True(t, spent.Equal(r.settled(id)), "%s billed, %s settled", spent, r.settled(id))

		refused := r.until(refusedFor(accounting.ReasonNoRoom), chatPath, shortChat(cheapModel), "X-Campaign-ID", "hard")
		require.Equal(t, "false", refused.header.Get("X-Should-Retry"))
		var openAI struct {
			Error struct {
				Code     int
				Message  string
				Metadata map[string]any
			}
		}
		require.NoError(t, json.Unmarshal([]byte(refused.body), &openAI))
		require.Equal(t, http.StatusPaymentRequired, openAI.Error.Code)
		require.Contains(t, openAI.Error.Message, "0.01 USD a month")
		require.Equal(t, "bursar_budget", openAI.Error.Metadata["limit_source"])
		require.Equal(t, "USD", openAI.Error.Metadata["currency"])
		require.NotEmpty(t, openAI.Error.Metadata["resets_at"])
		refused = r.send("/api/v1/messages", shortChat("anthropic/claude-sonnet-4.6"), "X-Campaign-ID", "hard")
		require.Equal(t, http.StatusPaymentRequired, refused.status)
		require.Contains(t, refused.body, `"type":"error"`)
		require.Contains(t, refused.body, `"budget":"hard"`)
		require.Contains(t, r.explained(refused.header.Get("X-Bursar-Request-ID")), "hard")
	})

	t.Run("a soft budget blocks what is not essential once it is used up", func(t *testing.T) {
		r.budget(`{"name":"soft","scope":{"campaign_id":"soft"},"period":"month","limit":0.000001,"mode":"soft","essential_purposes":["follow_up"]}`)
		r.until(refusedFor(accounting.ReasonExceeded), chatPath, shortChat(cheapModel), "X-Campaign-ID", "soft", "X-Purpose", "testing")
		passes := r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "soft", "X-Purpose", "follow_up")
		require.Equal(t, http.StatusOK, passes.status)
		require.Equal(t, "warned", passes.verdict())
	})

	t.Run("a budget downgrades what it has no money for", func(t *testing.T) {
		r.budget(`{"name":"down","scope":{"campaign_id":"down"},"period":"month","limit":0.000001,"mode":"soft","nonessential_purposes":["testing"],"on_exceed":"downgrade","downgrade_to":"google/gemini-2.5-flash"}`)
		down := r.until(func(a *clientAnswer) bool { return a.verdict() == "downgraded" }, chatPath, shortChat(cheapModel), "X-Campaign-ID", "down", "X-Purpose", "testing")
		require.Equal(t, http.StatusOK, down.status)
		require.Equal(t, "google/gemini-2.5-flash", down.header.Get("X-Bursar-Model"))
		bills := fake.Ledger()
		require.Equal(t, "google/gemini-2.5-flash", bills[len(bills)-1].Model)
	})

	t.Run("each lead has the limit to itself, and a required tag is asked for", func(t *testing.T) {
		r.budget(`{"name":"leads","scope":{"campaign_id":"leads"},"each":"lead_id","period":"total","limit":0.0005,"mode":"hard"}`)
		r.until(refusedFor(accounting.ReasonNoRoom), chatPath, shortChat(cheapModel), "X-Campaign-ID", "leads", "X-Lead-ID", "a")
		other := r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "leads", "X-Lead-ID", "b")
		require.Equal(t, http.StatusOK, other.status, other.body)
		require.Equal(t, http.StatusOK, r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "leads").status, "without the tag it is outside")

		r.budget(`{"name":"emails","scope":{"campaign_id":"emails"},"each":"email_id","period":"total","limit":1,"mode":"hard"}`)
		refused := r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "emails")
		require.Contains(t, refused.body, `"field":"X-Email-ID"`)
	})

	t.Run("a budget in EUR is charged at the rate of the day", func(t *testing.T) {
		id := r.budget(`{"name":"euro","scope":{"campaign_id":"euro"},"period":"month","limit":0.001,"currency":"EUR","mode":"hard"}`)
		before := billed()
		r.until(refusedFor(accounting.ReasonNoRoom), chatPath, shortChat(cheapModel), "X-Campaign-ID", "euro")
		spent := billed().Sub(before).Mul(decimal.RequireFromString("0.92"))
		require.True(t, spent.IsPositive() && spent.LessThanOrEqual(decimal.RequireFromString("0.001")), "%s EUR", spent)
		require.True(t, spent.Equal(r.settled(id)), "%s billed, %s settled", spent, r.settled(id))
	})

	t.Run("what a call may cost has to be known, and what is not is named", func(t *testing.T) {
		r.budget(`{"name":"bound","scope":{"campaign_id":"bound"},"period":"month","limit":1,"mode":"hard"}`)
		for field, body := range map[string]string{
			"model":                            shortChat("nobody/knows-this"),
			"messages[0].content[0].image_url": `{"model":"openai/gpt-5-mini","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}]}]}`,
		} {
			refused := r.send(chatPath, body, "X-Campaign-ID", "bound")
			require.Equal(t, http.StatusPaymentRequired, refused.status, field)
			require.Contains(t, refused.body, `"reason":"no_bound"`)
			require.Contains(t, refused.body, fmt.Sprintf(`"field":"%s`, field))
		}
		require.Equal(t, http.StatusOK, r.send(chatPath, shortChat("meta-llama/llama-3.3-70b-instruct:free"), "X-Campaign-ID", "bound").status)
		require.Equal(t, http.StatusOK, r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "bound", "X-Fake-Behavior", "byok").status)
	})

	t.Run("OpenRouter is told the prices to hold where a budget wants that", func(t *testing.T) {
		r.budget(`{"name":"provider","scope":{"campaign_id":"provider"},"period":"month","limit":1,"mode":"hard","bound":"provider"}`)
		passes := r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "provider")
		require.Equal(t, http.StatusOK, passes.status, passes.body)
		require.Equal(t, "provider", passes.header.Get("X-Bursar-Bound"))
	})

	t.Run("a budget that is deleted while a call is open lets it end", func(t *testing.T) {
		id := r.budget(`{"name":"gone","scope":{"campaign_id":"gone"},"period":"month","limit":1,"mode":"hard"}`)
		ended := make(chan clientAnswer, 1)
		go func() {
			ended <- r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "gone", "X-Fake-Behavior", "delay=500ms")
		}()
		require.Eventually(t, func() bool { return fake.InFlight() > 0 || len(ended) > 0 }, time.Minute, time.Millisecond)
		data[any](r, http.StatusOK, "DELETE", "/api/budgets/"+id+"?reason=over", "")
		last := <-ended
		require.Equal(t, http.StatusOK, last.status, last.body)
	})

	r.requireLedgersAgree(time.Minute)
	require.Eventually(t, func() bool {
		differences, err := r.store.CheckBudgets(t.Context())
		return err == nil && len(differences) == 0
	}, time.Minute, 50*time.Millisecond, "what budgets count is what the rows say")
}

func TestAStopThatCutsStreamsEndsThemAndTheirCostIsSettledAsEver(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake)
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		request, err := http.NewRequest(http.MethodPost, r.proxyURL()+chatPath, strings.NewReader(`{"model":"openai/gpt-5-mini","stream":true,"messages":[{"role":"user","content":"Hi"}]}`))
		if err != nil {
			panic(err)
		}
		request.Header.Set("Authorization", "Bearer sk-or-test")
		request.Header.Set("X-Campaign-ID", "cut")
		request.Header.Set("X-Fake-Behavior", "chunks=100000,interval=10ms")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			close(began)
			ended <- err
			return
		}
		defer response.Body.Close()
		_, _ = io.ReadFull(response.Body, make([]byte, 10))
		close(began)
		_, err = io.Copy(io.Discard, response.Body)
		ended <- err
	}()
	<-began
	status, answer := r.ask("PUT", "/api/guard/emergency-stop", `{"scope":{"campaign_id":"cut"},"reason":"it runs in circles","cut_streams":true}`)
	require.Equal(t, http.StatusOK, status, answer)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "it does not look complete")
	case <-time.After(time.Minute):
		t.Fatal("the stream goes on")
	}
	refused := r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", "cut")
	require.Contains(t, refused.body, "bursar_emergency_stop")
	r.requireLedgersAgree(time.Minute)
	rows, err := r.store.ListUsage(t.Context(), accounting.UsageFilter{CampaignID: "cut", Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows.Rows, 1)
	require.Equal(t, "cut_by_operator", *rows.Rows[0].Error)
	require.Equal(t, accounting.StatusSettled, rows.Rows[0].Status)
}
