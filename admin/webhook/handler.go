package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Activities records what happened in campaigns.
type Activities interface {
	// RecordActivities records them all or none; one whose id is known changes
	// nothing. It is called concurrently and must return when ctx ends.
	RecordActivities(ctx context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error)
}

// Options are what a [Handler] is made from.
type Options struct {
	Store    Activities         // required
	Secret   string             // required; see [Handler]
	Mappings map[string]Mapping // by the last part of the address; nil: [DefaultMappings]
	MaxBytes int64              // of a body; 0: 256 KiB
	Now      func() time.Time   // nil: time.Now

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Handler takes in events. A request is trusted that shows the secret, as
// Authorization: Bearer or in X-Webhook-Secret, or that is signed with it: then
// X-Webhook-Signature is sha256= and the hex HMAC-SHA256 of the body.
//
//	200 recorded, or known     401 no or another secret     422 the body cannot be used: why
//	202 no activity belongs    413 too large                503 the database is away: send it again
type Handler struct {
	opts   Options
	secret [sha256.Size]byte
	events *prometheus.CounterVec
}

const (
	defaultMaxBytes = 256 << 10
	storeTimeout    = 10 * time.Second
)

// New returns the handler. Without a secret there is none.
func New(o Options) (*Handler, error) {
	if o.Store == nil {
		return nil, errors.New("webhooks: Options.Store is nil")
	}
	if o.Secret == "" {
		return nil, errors.New("webhooks: there is no secret, and anybody could write: set BURSAR_WEBHOOKS_SECRET")
	}
	if o.Mappings == nil {
		o.Mappings = DefaultMappings()
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{
		opts: o, secret: sha256.Sum256([]byte(o.Secret)),
		events: promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_webhook_events_total",
			Help: "Events of sending platforms by what became of them: recorded, known, unknown, bad, unauthorized, failed.",
		}, []string{"platform", "outcome"}),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, found := strings.CutPrefix(r.URL.Path, "/webhooks/")
	mapping, known := h.opts.Mappings[name]
	switch {
	case !found || !known:
		respond(w, http.StatusNotFound, "there is no such webhook")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed, "a webhook is a POST")
		return
	}
	status, outcome, message := h.take(r, w, name, &mapping)
	h.events.WithLabelValues(name, outcome).Inc()
	respond(w, status, message)
}

// take reads and records one event.
func (h *Handler) take(r *http.Request, w http.ResponseWriter, name string, m *Mapping) (status int, outcome, message string) {
	shown := h.shows(r)
	if !shown && r.Header.Get("X-Webhook-Signature") == "" {
		return http.StatusUnauthorized, "unauthorized", "the secret is missing or another one"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, "bad", "the body is too large"
	}
	if err != nil {
		return http.StatusBadRequest, "bad", "the body could not be read"
	}
	if !shown && !h.signed(r, body) {
		return http.StatusUnauthorized, "unauthorized", "the signature is not the body's"
	}
	activity, err := m.Activity(name, body, h.opts.Now())
	if errors.Is(err, errUnknownEvent) {
		return http.StatusAccepted, "unknown", err.Error()
	}
	if err != nil {
		return http.StatusUnprocessableEntity, "bad", err.Error()
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	recorded, err := h.opts.Store.RecordActivities(ctx, []accounting.CampaignActivity{activity})
	if err != nil {
		h.opts.Logger.Error().Err(err).Str("platform", name).Msg("an event of a sending platform was not recorded; it is for the platform to send it again")
		return http.StatusServiceUnavailable, "failed", "the event could not be recorded: send it again"
	}
	if !recorded[0].New {
		return http.StatusOK, "known", "known"
	}
	return http.StatusOK, "recorded", "recorded"
}

// shows reports whether the request shows the secret, in a time that tells
// neither the secret nor its length.
func (h *Handler) shows(r *http.Request) bool {
	candidate := r.Header.Get("X-Webhook-Secret")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		candidate = bearer
	}
	sum := sha256.Sum256([]byte(candidate))
	return subtle.ConstantTimeCompare(sum[:], h.secret[:]) == 1
}

func (h *Handler) signed(r *http.Request, body []byte) bool {
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Webhook-Signature"), "sha256="))
	mac := hmac.New(sha256.New, []byte(h.opts.Secret))
	_, _ = mac.Write(body)
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}

func respond(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The platform may have gone; nobody is left to be told.
	_ = json.NewEncoder(w).Encode(map[string]any{"success": status < http.StatusMultipleChoices, "message": message})
}
