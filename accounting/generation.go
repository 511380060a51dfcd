package accounting

import (
	"crypto/sha256"
	"encoding/hex"
)

// Generation is OpenRouter's own record of a generation (GET /generation), or
// the final state of a polled job: the figure that the bill is made from.
type Generation struct {
	ID           string
	Model        string
	Provider     string
	FinishReason string
	Cancelled    Optional[bool]
	Streamed     Optional[bool]
	Usage        Usage // Cost is total_cost; tokens are the native_* ones
}

// Fingerprint is the hex SHA-256 of an OpenRouter key: how a key is named
// wherever it must not stand itself. OpenRouter uses the same form (the hash
// of GET /keys), so the two can be matched.
func Fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
