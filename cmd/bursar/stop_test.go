package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// adminPort answers every request in one way and remembers what it was asked.
type adminPort struct {
	status int
	answer string
	asked  []string
	token  string
}

func (a *adminPort) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.asked = append(a.asked, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
	a.token = r.Header.Get("Authorization")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.answer)
}

// command runs a command line against the port.
func (a *adminPort) command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	var out, errs bytes.Buffer
	environ := []string{"BURSAR_ADMIN_ADDR=" + strings.TrimPrefix(server.URL, "http://"), "BURSAR_ADMIN_TOKEN=a-token-of-some-length"}
	code = run(t.Context(), &env{&out, &errs, environ, t.TempDir()}, args)
	return code, out.String(), errs.String()
}

const stoppedAnswer = `{"success":true,"data":{"id":"stop-1","kind":"emergency","scope":{"campaign_id":"q4","model":"a/b"},"reason":"it runs in circles",
	"actor":"admin token","cut_streams":true,"drill":false,"created_at":"2026-11-22T10:00:00Z","lifted_at":null,"lifted_by":null,"reach":[
	{"replica":"r-1","seen_at":"2026-11-22T10:00:01Z","acked_at":"2026-11-22T10:00:00.25Z","after_seconds":0.254},
	{"replica":"r-2","seen_at":"2026-11-22T10:00:01Z","acked_at":"2026-11-22T10:00:00.25Z","after_seconds":0.01}],"written":true,"obeyed":true}}`

func TestStopSaysWhatIsStoppedAndWhichReplicasObey(t *testing.T) {
	port := &adminPort{status: http.StatusOK, answer: stoppedAnswer}
	code, stdout, stderr := port.command(t, "stop", "--reason", "it runs in circles", "--scope", "campaign=q4", "--scope", "model=a/b", "--cut-streams")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, []string{`PUT /api/guard/emergency-stop {"scope":{"campaign_id":"q4","model":"a/b"},"reason":"it runs in circles","cut_streams":true,"drill":false}`}, port.asked)
	require.Equal(t, "Bearer a-token-of-some-length", port.token)
	require.Equal(t, `Stopped: calls with campaign=q4, model=a/b (stop-1), because: it runs in circles
Calls in flight are cut; their costs are recorded as ever.
It holds until somebody lifts it: bursar resume stop-1

REPLICA  OBEYS
r-1      after 0.25 s
r-2      after 0.01 s
`, stdout)
	require.Empty(t, stderr)
}

func TestStopWithoutAScopeIsOfEveryCall(t *testing.T) {
	port := &adminPort{status: http.StatusOK, answer: strings.Replace(stoppedAnswer, `{"campaign_id":"q4","model":"a/b"}`, `{}`, 1)}
	_, stdout, _ := port.command(t, "stop", "--reason=x")
	require.Equal(t, []string{`PUT /api/guard/emergency-stop {"reason":"x","cut_streams":false,"drill":false}`}, port.asked)
	require.Contains(t, stdout, "Stopped: every call (stop-1)")
}

func TestADrillSaysThatNothingWasStopped(t *testing.T) {
	port := &adminPort{status: http.StatusOK, answer: strings.Replace(stoppedAnswer, `"drill":false`, `"drill":true`, 1)}
	code, stdout, _ := port.command(t, "stop", "--reason=x", "--drill")
	require.Equal(t, exitOK, code)
	require.Contains(t, stdout, "Drill: nothing was stopped.")
	require.Contains(t, stdout, "r-1      after 0.25 s")
	require.NotContains(t, stdout, "bursar resume")
}

func TestAStopThatDoesNotHoldEverywhereIsAFailure(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"not written": {strings.Replace(stoppedAnswer, `"written":true`, `"written":false`, 1), "the database does not answer: only the replica at 127.0.0.1:"},
		"not obeyed":  {strings.Replace(stoppedAnswer, `"after_seconds":0.01`, `"after_seconds":null`, 1), "1 of 2 replicas have not obeyed yet"},
		"no replicas": {stoppedAnswer[:strings.Index(stoppedAnswer, `"reach"`)] + `"reach":[],"written":true,"obeyed":false}}`, "no replica has reported"},
	} {
		port := &adminPort{status: http.StatusOK, answer: tt.answer}
		code, stdout, stderr := port.command(t, "stop", "--reason=x")
		require.Equal(t, exitFailed, code, name)
		require.Contains(t, stdout, "Stopped: calls with", name)
		require.Contains(t, stderr, tt.want, name)
	}
}

func TestResumeSaysWhatIsLiftedAndWhatIsNot(t *testing.T) {
	const answer = `{"success":true,"data":{"lifted":[{"id":"stop-1","kind":"emergency","scope":{},"reason":"x","written":true}],
		"active":[{"id":"hold-q4","kind":"spike","scope":{"campaign_id":"q4"},"reason":"9 USD in an hour","written":true}]}}`
	port := &adminPort{status: http.StatusOK, answer: answer}
	code, stdout, stderr := port.command(t, "resume")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, []string{"DELETE /api/guard/emergency-stop "}, port.asked)
	require.Equal(t, `Lifted: the stop of every call (stop-1), given because: x
Still stopped: calls with campaign=q4, by the spike brake's hold given because: 9 USD in an hour
  lift it with: bursar resume hold-q4
`, stdout)

	_, _, _ = port.command(t, "resume", "hold/q4")
	require.Equal(t, "DELETE /api/guard/emergency-stop/hold%2Fq4 ", port.asked[1])

	port.answer = `{"success":true,"data":{"lifted":[],"active":[]}}`
	code, stdout, _ = port.command(t, "resume")
	require.Equal(t, exitOK, code)
	require.Equal(t, "There was no emergency stop to lift.\n", stdout)

	port.answer = strings.Replace(answer, `"reason":"x","written":true`, `"reason":"x","written":false`, 1)
	code, _, stderr = port.command(t, "resume")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "1 of 1 stops are lifted at 127.0.0.1:")
}

func TestWhatTheAdminPortDoesNotTakeIsSaidWithTheWayOut(t *testing.T) {
	for name, tt := range map[string]struct {
		port *adminPort
		code int
		want []string
	}{
		"no token":     {&adminPort{status: 401, answer: `{"success":false}`}, exitUsage, []string{"BURSAR_ADMIN_TOKEN"}},
		"not found":    {&adminPort{status: 404, answer: `{"success":false,"detail":"There is no active stop x."}`}, exitFailed, []string{"There is no active stop x."}},
		"wrong":        {&adminPort{status: 422, answer: `{"success":false,"detail":"1 parameter is not usable.","errors":[{"field":"scope.purpose","message":"expected a purpose","allowed":"one of a, b"}]}`}, exitUsage, []string{"scope.purpose: expected a purpose (one of a, b)"}},
		"no database":  {&adminPort{status: 503, answer: `{"success":false,"detail":"The database does not answer."}`}, exitFailed, []string{"The database does not answer."}},
		"not Bursar":   {&adminPort{status: 200, answer: `<html>`}, exitFailed, []string{"is not Bursar's admin port"}},
		"a redirect":   {&adminPort{status: 302, answer: ``}, exitFailed, []string{"is not Bursar's admin port"}},
		"another JSON": {&adminPort{status: 200, answer: `{"ok":true}`}, exitFailed, []string{"is not Bursar's admin port"}},
	} {
		for _, args := range [][]string{{"stop", "--reason=x"}, {"resume", "x"}} {
			code, stdout, stderr := tt.port.command(t, args...)
			require.Equal(t, tt.code, code, "%s: %s", name, stderr)
			require.Empty(t, stdout, name)
			for _, want := range tt.want {
				require.Contains(t, stderr, want, name)
			}
			require.NotContains(t, stderr, "a-token-of-some-length")
		}
	}
}

func TestStopAndResumeWithoutBursarSayWhereTheyLooked(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // nobody listens there now
	addr := strings.TrimPrefix(server.URL, "http://")
	for _, args := range [][]string{{"stop", "--reason=x"}, {"resume"}} {
		code, _, stderr := bursar(t, append(args, "--admin-addr", addr)...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "no Bursar answers at http://"+addr)
		require.Contains(t, stderr, "BURSAR_ADMIN_ADDR")
	}
}

func TestStopAndResumeRefuseWhatTheyDoNotUnderstand(t *testing.T) {
	for line, want := range map[string]string{
		"stop":                              "--reason is missing",
		"stop --reason=x --scope=q4":        "want campaign=",
		"stop --reason=x --scope=campaign=": "want campaign=",
		"stop --reason=x --scope=lead=l-1":  "want campaign=",
		"stop --reason=x --scope=campaign=a --scope=campaign_id=b": "given twice",
		"stop everything --reason=x":                               `"everything" is not a flag`,
		"resume a b":                                               `"b" is not a flag`,
		"resume --all":                                             "unknown flag",
	} {
		code, stdout, stderr := bursar(t, strings.Fields(line)...)
		require.Equal(t, exitUsage, code, line)
		require.Contains(t, stderr, want, line)
		require.Empty(t, stdout, line)
	}
}

func TestHelpShowsTheFlagsOfACommand(t *testing.T) {
	_, stdout, _ := bursar(t, "--help")
	require.Contains(t, stdout, "\n  stop ")
	require.Contains(t, stdout, "\n  resume ")
	for command, flags := range map[string][]string{"stop": {"--reason", "--scope", "--cut-streams", "--drill"}, "reconcile": {"--from", "--to"}, "resume": {"--admin-addr"}} {
		code, stdout, _ := bursar(t, command, "--help")
		require.Equal(t, exitOK, code)
		for _, flag := range flags {
			require.Contains(t, stdout, flag, command)
		}
		require.Contains(t, stdout, "BURSAR_ADMIN_TOKEN")
	}
}
