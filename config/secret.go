package config

import (
	"encoding/base64"
	"fmt"
	"io"
)

const redacted = "[redacted]"

// Secret is a value that must not be seen: a token, a key, a URL with a
// password. However it is printed, marshalled or logged it reads "[redacted]",
// or nothing at all when it is not set; only [Secret.Reveal] tells it.
//
// It is a struct so that no conversion to string reveals it unnoticed.
type Secret struct{ value string }

// NewSecret wraps a value. An empty one is a secret that is not set.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value itself.
func (s Secret) Reveal() string { return s.value }

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != "" }

// String is "[redacted]", or empty when the secret is not set.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// Format prints as String whatever the verb. Without it %d and %#v, which do
// not ask String, would print the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText keeps the value out of JSON, YAML and log fields.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// sealingKeyBytes is the length of an AES-256 key.
const sealingKeyBytes = 32

// SealingKey decodes the key. It is nil when none is set.
func (s Secrets) SealingKey() ([]byte, error) {
	if !s.Key.IsSet() {
		return nil, nil
	}
	for _, enc := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if key, err := enc.DecodeString(s.Key.Reveal()); err == nil && len(key) == sealingKeyBytes {
			return key, nil
		}
	}
	// The decoder's own error would quote a byte of the key.
	return nil, fmt.Errorf("secrets.key is not %d bytes in base64", sealingKeyBytes)
}
