package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	_ = os.RemoveAll(buildDir)
	os.Exit(code)
}

// running is a whole Bursar in front of a fake OpenRouter.
type running struct {
	*program
	t    testing.TB
	fake *openroutertest.Instance
	stop func() error // idempotent
}

// startFake starts a fake OpenRouter that publishes its records quickly.
func startFake(t testing.TB, adjust ...func(*openroutertest.Options)) *openroutertest.Instance {
	opts := openroutertest.Options{GenerationDelay: 100 * time.Millisecond}
	for _, f := range adjust {
		f(&opts)
	}
	fake, err := openroutertest.Start(opts, openroutertest.HTTP1)
	require.NoError(t, err)
	t.Cleanup(func() { fake.Close() })
	return fake
}

// testConfig is the default configuration on free ports, on a database of its
// own, with short delays.
func testConfig(t testing.TB, fake *openroutertest.Instance) config.Config {
	cfg, err := config.Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	cfg.Proxy.Addr, cfg.Admin.Addr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Proxy.DisconnectGrace = 100 * time.Millisecond
	cfg.Proxy.ShutdownTimeout = 10 * time.Second
	cfg.Upstream.URL = fake.URL
	cfg.Data.Dir = t.TempDir()
	cfg.Database.URL = config.NewSecret(postgrestest.New(t))
	cfg.Settle.FirstLookup = 50 * time.Millisecond
	cfg.Settle.VerifyDelay = 200 * time.Millisecond
	cfg.Settle.VerifyRate = 2000
	cfg.Settle.MaxBackoff = 2 * time.Second
	return cfg
}

// startProgram starts Bursar in front of fake and stops it when the test ends.
func startProgram(t testing.TB, fake *openroutertest.Instance, adjust ...func(*config.Config)) *running {
	cfg := testConfig(t, fake)
	for _, f := range adjust {
		f(&cfg)
	}
	return startConfigured(t, fake, cfg)
}

func startConfigured(t testing.TB, fake *openroutertest.Instance, cfg config.Config) *running {
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	p, err := newProgram(context.Background(), cfg, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	r := &running{program: p, t: t, fake: fake}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	r.waitReady()
	return r
}

func (r *running) waitReady() {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		response, err := http.Get(r.adminURL() + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond, "not ready")
}

// call posts body to path and returns the answer's status and body.
func (r *running) call(path, body string, header ...string) (int, string) {
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
	answer, _ := io.ReadAll(response.Body) // a broken answer is part of some tests
	return response.StatusCode, string(answer)
}
