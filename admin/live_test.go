package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// events follows /live and passes each event on.
func events(t *testing.T, url string) (<-chan liveEvent, *http.Response) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/live", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	told := make(chan liveEvent, 100)
	go func() {
		defer close(told)
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var event liveEvent
				if json.Unmarshal([]byte(data), &event) == nil {
					told <- event
				}
			}
		}
	}()
	return told, res
}

func next(t *testing.T, told <-chan liveEvent) liveEvent {
	t.Helper()
	select {
	case event, open := <-told:
		require.True(t, open, "the events ended")
		return event
	case <-time.After(time.Minute):
		require.Fail(t, "no event came")
		return liveEvent{}
	}
}

// movingUsage is a store whose newest calls can be changed.
type movingUsage struct {
	fakeUsage
	rows  atomic.Pointer[[]accounting.UsageRow]
	away  atomic.Bool
	reads atomic.Int64
}

func (m *movingUsage) ListUsage(_ context.Context, _ accounting.UsageFilter) (accounting.UsagePage, error) {
	m.reads.Add(1)
	if m.away.Load() {
		return accounting.UsagePage{}, errors.New("away")
	}
	return accounting.UsagePage{Rows: *m.rows.Load()}, nil
}

func TestBrowsersAreToldOfCallsAsTheyCome(t *testing.T) {
	usage := &movingUsage{}
	usage.rows.Store(&[]accounting.UsageRow{call(1, "q4", "0.1")})
	h := newHandler(t, usage, nil)
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	told, res := events(t, server.URL)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	first := next(t, told)
	require.Len(t, first.Calls, 1)
	require.Contains(t, first.Calls[0].HTML, "q4")

	second := call(2, `<script>alert(1)</script>`, "0.2")
	usage.rows.Store(&[]accounting.UsageRow{second, call(1, "q4", "0.1")})
	event := next(t, told)
	require.Len(t, event.Calls, 1, "the call that is known is not told again")
	require.Equal(t, second.ID.String(), event.Calls[0].ID)
	require.NotContains(t, event.Calls[0].HTML, "<script>")

	second.UpdatedAt = second.UpdatedAt.Add(time.Second)
	second.VerifiedAt = &second.UpdatedAt
	usage.rows.Store(&[]accounting.UsageRow{second, call(1, "q4", "0.1")})
	require.Contains(t, next(t, told).Calls[0].HTML, "✓", "a call that has changed is told again")

	usage.away.Store(true)
	require.True(t, next(t, told).Broken)
	usage.away.Store(false)
	require.False(t, next(t, told).Broken)
}

func TestOneReadingServesAllBrowsersAndEndsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		l := &live{watchers: make(map[chan struct{}]struct{}), read: func(context.Context) (liveState, error) {
			reads++
			return liveState{Calls: []accounting.UsageRow{call(uint64(reads), "q4", "0.1")}}, nil
		}}
		var all []chan struct{}
		for range 100 {
			news, ok := l.watch()
			require.True(t, ok)
			all = append(all, news)
		}
		time.Sleep(10*liveInterval + liveInterval/2)
		synctest.Wait()
		require.Equal(t, 11, reads, "one a second, however many look")
		for _, news := range all {
			require.Len(t, news, 1)
			l.leave(news)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 11, reads, "nobody looks, nothing is read")
		l.close()
	})
}

func TestAPageTooManyIsToldSo(t *testing.T) {
	l := &live{watchers: make(map[chan struct{}]struct{}), read: func(context.Context) (liveState, error) { return liveState{}, nil }}
	defer l.close()
	for range maxLive {
		_, ok := l.watch()
		require.True(t, ok)
	}
	_, ok := l.watch()
	require.False(t, ok)
}

func TestFollowersAreSentAwayWhenTheServerStops(t *testing.T) {
	usage := &movingUsage{}
	usage.rows.Store(&[]accounting.UsageRow{})
	h := newHandler(t, usage, nil)
	server := httptest.NewUnstartedServer(h)
	server.Config.RegisterOnShutdown(h.Close)
	server.Start()
	defer server.Close()
	told, res := events(t, server.URL)
	next(t, told)
	require.NoError(t, server.Config.Shutdown(t.Context()), "an open page does not hold the stop up")
	_, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, get(h, "/live").StatusCode)
}

// deadlineRecorder takes deadlines, as connections do.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetWriteDeadline(time.Time) error { return nil }

func TestAnOpenPageIsToldNothingOnceItsSessionHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, &fakeUsage{}, nil)
		cookie := signIn(t, h)
		left := make(chan struct{})
		go func() {
			defer close(left)
			r := httptest.NewRequest(http.MethodGet, "/live", nil)
			r.AddCookie(cookie)
			h.ServeHTTP(deadlineRecorder{httptest.NewRecorder()}, r)
		}()
		gone := func() bool {
			synctest.Wait()
			select {
			case <-left:
				return true
			default:
				return false
			}
		}
		time.Sleep(10 * liveBeat)
		require.False(t, gone())
		h.sessions.end(cookie.Value)
		time.Sleep(liveBeat)
		require.True(t, gone())
	})
}

func TestLiveFiguresNeedTheToken(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	require.Equal(t, http.StatusUnauthorized, request(h, http.MethodGet, "/live", "").StatusCode)
}
