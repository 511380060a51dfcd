package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
)

const clientDir = "clienttest"

// The tags that every client sends, besides its own name as the campaign and
// the scenario's as the email. clienttest/scenario.mjs sends the same.
var clientTags = accounting.Tags{
	LeadID: "lead-7", SequenceID: "sequence-2", Purpose: accounting.PurposeFollowUp, Platform: "instantly",
	LeadValue: "high", Metadata: map[string]string{"suite": "clients"},
}

// scenarioMark stands in the prompt of every scenario and says whose and which
// it is and how the fake answers it. A marked prompt, and not a header or a
// model of the fake's, so that the clients send what they always send.
var scenarioMark = regexp.MustCompile(`\[\[([^|\]]*)\|([^|\]]*)\|([^|\]]*)\]\]`)

// arrival is a request for inference as OpenRouter got it.
type arrival struct {
	client, scenario string
	refused          bool // answered with an error status: no generation
	via              int  // Via headers
	text             string
}

// arrivals are those of one fake. Its handlers add to it concurrently.
type arrivals struct {
	mu   sync.Mutex
	all  []arrival
	errs []error
}

// choose is the fake's [openroutertest.Options.Choose]. The clients only POST;
// a GET is Bursar looking up a generation.
func (a *arrivals) choose(r *http.Request, body []byte) openroutertest.Behavior {
	if r.Method == http.MethodGet {
		return openroutertest.Behavior{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	mark := scenarioMark.FindSubmatch(body)
	if mark == nil {
		a.errs = append(a.errs, fmt.Errorf("%s %s names no scenario", r.Method, r.RequestURI))
		return openroutertest.Behavior{}
	}
	behavior, err := openroutertest.ParseBehavior(string(mark[3]))
	if err != nil {
		a.errs = append(a.errs, fmt.Errorf("scenario %s: %w", mark[2], err))
	}
	a.all = append(a.all, arrival{
		client: string(mark[1]), scenario: string(mark[2]), refused: behavior.Status != 0,
		via: len(r.Header.Values("Via")), text: describe(r, body),
	})
	return behavior
}

// describe is all of a request that must not depend on a proxy in between: the
// target, every header that is not about one hop, the body.
func describe(r *http.Request, body []byte) string {
	var lines []string
	for name, values := range r.Header {
		if name != "Via" && name != "Connection" {
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s %s\n%s\nlength %d, sha256 %x", r.Method, r.RequestURI, strings.Join(lines, "\n"), r.ContentLength, sha256.Sum256(body))
}

// texts are the requests in an order that does not depend on time, each under
// the name of its scenario.
func (a *arrivals) texts() []string {
	var texts []string
	for _, arrival := range a.all {
		texts = append(texts, arrival.client+": "+arrival.scenario+"\n"+arrival.text)
	}
	slices.Sort(texts)
	return texts
}

// clientRig is two fakes of one seed: what one of them answers directly, the
// other answers through Bursar.
type clientRig struct {
	t                testing.TB
	direct           *openroutertest.Instance
	bursar           *running
	toDirect, toFake *arrivals
}

func startClientRig(t testing.TB) *clientRig {
	t.Helper()
	rig := &clientRig{t: t, toDirect: new(arrivals), toFake: new(arrivals)}
	fake := func(a *arrivals) *openroutertest.Instance {
		return startFake(t, func(o *openroutertest.Options) {
			o.Seed, o.GenerationDelay, o.Choose = 7, 200*time.Millisecond, a.choose
		})
	}
	rig.direct = fake(rig.toDirect)
	rig.bursar = startProgram(t, fake(rig.toFake))
	return rig
}

// requireTransparentAndBooked checks, after the clients have run, that
// OpenRouter got the same requests either way (so no tag, since none is sent
// without Bursar), and that Bursar's ledger is OpenRouter's bill, row by row,
// for whom the tags say.
func (rig *clientRig) requireTransparentAndBooked() {
	rig.t.Helper()
	idle, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(rig.t, rig.direct.WaitIdle(idle))
	require.NoError(rig.t, rig.bursar.fake.WaitIdle(idle))
	require.Empty(rig.t, rig.toDirect.errs)
	require.Empty(rig.t, rig.toFake.errs)

	assert.Equal(rig.t, rig.toDirect.texts(), rig.toFake.texts(), "OpenRouter gets the same requests without and with Bursar")
	for _, arrival := range rig.toFake.all {
		assert.Equal(rig.t, 1, arrival.via, "Via of %s: %s", arrival.client, arrival.scenario)
	}
	assert.Equal(rig.t, finalBills(rig.direct), finalBills(rig.bursar.fake), "Bursar does not change what is billed")
	rig.bursar.requireLedgersAgree(30 * time.Second)
	rig.requireRows()
}

// finalBills are the bills of calls that nobody left, without their ids. What
// one that was left costs depends on the moment.
func finalBills(fake *openroutertest.Instance) []string {
	var bills []string
	for _, bill := range fake.Ledger() {
		if !bill.Cancelled {
			bills = append(bills, fmt.Sprintf("%s %s %s", bill.Endpoint, bill.Model, bill.CostLiteral))
		}
	}
	slices.Sort(bills)
	return bills
}

// requireRows waits until every call is one row with its tags: those of
// refused calls failed and without a cost, all others settled.
func (rig *clientRig) requireRows() {
	rig.t.Helper()
	var want []string
	for _, arrival := range rig.toFake.all {
		status := accounting.StatusSettled
		if arrival.refused {
			status = accounting.StatusFailed
		}
		want = append(want, fmt.Sprintf("%s: %s: %s, cost known: %t", arrival.client, arrival.scenario, status, !arrival.refused))
	}
	slices.Sort(want)
	require.EventuallyWithT(rig.t, func(c *assert.CollectT) {
		page, err := rig.bursar.store.ListUsage(context.Background(), accounting.UsageFilter{Limit: accounting.MaxUsageRows})
		require.NoError(c, err)
		var got []string
		for _, row := range page.Rows {
			got = append(got, fmt.Sprintf("%s: %s: %s, cost known: %t", orNull(row.CampaignID), orNull(row.EmailID), row.Status, row.CostUSD != nil))
		}
		slices.Sort(got)
		require.Equal(c, want, got)
		for _, row := range page.Rows {
			requireClientRow(c, &row)
		}
	}, time.Minute, 100*time.Millisecond)
}

// requireClientRow checks what a row says beside its cost.
func requireClientRow(t require.TestingT, row *accounting.UsageRow) {
	client, scenario := orNull(row.CampaignID), orNull(row.EmailID)
	name := client + ": " + scenario
	tags := accounting.Tags{
		LeadID: orNull(row.LeadID), SequenceID: orNull(row.SequenceID), Purpose: orNull(row.Purpose),
		Platform: orNull(row.Platform), LeadValue: orNull(row.LeadValue), Metadata: row.Metadata,
	}
	require.Equal(t, clientTags, tags, name)
	require.Equal(t, accounting.Fingerprint("sk-or-v1-"+client), orNull(row.KeyFingerprint), name)
	require.NotNil(t, row.RequestedModel, name)
	if strings.Contains(scenario, "abort") {
		require.True(t, row.Cancelled != nil && *row.Cancelled, "%s: the client left", name)
	}
}

func orNull(text *string) string {
	if text == nil {
		return "NULL"
	}
	return *text
}

// of is the number of requests of one client.
func (a *arrivals) of(client string) int {
	n := 0
	for _, arrival := range a.all {
		if arrival.client == client {
			n++
		}
	}
	return n
}

func TestClientsForNodeSeeWithBursarWhatTheySeeWithoutIt(t *testing.T) {
	node := needNode(t)
	files, err := filepath.Glob(filepath.Join(clientDir, "*.test.mjs"))
	require.NoError(t, err)
	require.Len(t, files, 4)
	rig := startClientRig(t)
	t.Run("clients", func(t *testing.T) {
		for _, file := range files {
			client := strings.TrimSuffix(filepath.Base(file), ".test.mjs")
			t.Run(client, func(t *testing.T) {
				t.Parallel()
				rig.runNode(t, node, filepath.Base(file))
			})
		}
	})
	for _, client := range []string{"ai", "anthropic", "openai", "openrouter"} {
		require.Greater(t, rig.toFake.of(client), 15, "calls of %s", client)
	}
	rig.requireTransparentAndBooked()
}

// needNode finds Node.js and makes sure that the clients are installed.
func needNode(t testing.TB) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the clients' tests need Node.js 20 or later on the PATH; install it and run make clients")
	}
	if _, err := os.Stat(filepath.Join(clientDir, "node_modules", ".package-lock.json")); err != nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
		t.Fatal("the clients are not installed: run make clients")
	}
	return node
}

// runNode runs the scenarios of one client, each directly and through Bursar.
// The environment is a bare one: clients read their own variables from it.
func (rig *clientRig) runNode(t testing.TB, node, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "--test-reporter=spec", file)
	cmd.Dir = clientDir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NO_COLOR=1",
		"DIRECT_URL=" + rig.direct.URL, "PROXY_URL=" + rig.bursar.proxyURL(),
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
}
