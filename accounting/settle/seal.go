package settle

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"bursar/accounting"
)

// sealVersion is the first byte of a sealed key: AES-256-GCM, a random nonce in
// front, the fingerprint as additional data.
const sealVersion = 1

// errUnreadable says that a sealed key was sealed with another secret, for
// another fingerprint, or was changed.
var errUnreadable = errors.New("sealed with another secret, or damaged")

// sealer encrypts keys for their stay in the database.
type sealer struct{ aead cipher.AEAD }

// newSealer takes a secret of 32 bytes.
func newSealer(secret []byte) (*sealer, error) {
	if len(secret) != 32 {
		return nil, fmt.Errorf("the secret has %d bytes: it must have 32", len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make a cipher of the secret: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make a cipher of the secret: %w", err)
	}
	return &sealer{aead}, nil
}

// seal encrypts a key. Two results for one key differ.
func (s *sealer) seal(fingerprint, key string) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, []byte(key), []byte(fingerprint))
}

// open decrypts what seal made for this fingerprint; any error is
// errUnreadable.
func (s *sealer) open(fingerprint string, sealed []byte) (key string, err error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return "", errUnreadable
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(fingerprint))
	if err != nil || accounting.Fingerprint(string(plain)) != fingerprint {
		return "", errUnreadable
	}
	return string(plain), nil
}
