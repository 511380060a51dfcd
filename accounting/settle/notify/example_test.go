package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"bursar/accounting/settle/notify"
)

// verify reports whether a delivery is Bursar's and not older than five minutes.
func verify(secret, header string, body []byte, now time.Time) error {
	stamp, signature, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil {
		return errors.New("no signature")
	}
	if now.Sub(time.Unix(unix, 0)).Abs() > 5*time.Minute {
		return errors.New("too old, or a clock is wrong")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	got, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) { // in constant time
		return errors.New("wrong signature")
	}
	return nil
}

// A receiver verifies the body as it came, then drops what it has seen, then
// reads the document.
func Example_receiver() {
	const secret = "a-secret-of-16-or-more"
	seen := map[string]bool{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "unreadable", http.StatusBadRequest)
			return
		}
		if err := verify(secret, r.Header.Get("X-Bursar-Signature"), body, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if id := r.Header.Get("X-Bursar-Delivery"); !seen[id] {
			seen[id] = true
			fmt.Println(string(body))
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	host := strings.TrimPrefix(receiver.URL, "http://")
	right, _ := notify.Parse("webhook+http://" + secret + "@" + host + "/alerts")
	wrong, _ := notify.Parse("webhook+http://another-secret-of-16@" + host + "/alerts")
	m := notify.Message{ID: "42", Kind: "test", Severity: notify.SeverityInfo, Title: "Hello", At: time.Unix(1795327201, 0), Test: true}
	fmt.Println(right.Send(context.Background(), m))
	fmt.Println(right.Send(context.Background(), m))

	var failed *notify.SendError
	if errors.As(wrong.Send(context.Background(), m), &failed) {
		fmt.Println("permanent:", failed.Permanent())
	}
	// Output:
	// {"id":"42","kind":"test","severity":"info","title":"Hello","text":"","link":"","at":"2026-11-22T06:00:01Z","fields":[],"test":true}
	// <nil>
	// <nil>
	// permanent: true
}
