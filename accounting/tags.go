package accounting

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tags say whom a call was for. An empty field was not sent.
type Tags struct {
	CampaignID string
	EmailID    string
	LeadID     string
	SequenceID string
	Purpose    string // one of the configured purposes
	Platform   string
	LeadValue  string
	Metadata   map[string]string // X-Meta-<Name>, names in lower case
}

// The purposes that exist without configuration.
const (
	PurposeEmailGeneration     = "email_generation"
	PurposeLeadPersonalization = "lead_personalization"
	PurposeSubjectLine         = "subject_line"
	PurposeFollowUp            = "follow_up"
	PurposeReplyHandling       = "reply_handling"
	PurposeResearch            = "research"
	PurposeTesting             = "testing"
	PurposeOther               = "other"
)

// DefaultPurposes lists them in the order in which help and docs show them.
func DefaultPurposes() []string {
	return []string{
		PurposeEmailGeneration, PurposeLeadPersonalization, PurposeSubjectLine, PurposeFollowUp,
		PurposeReplyHandling, PurposeResearch, PurposeTesting, PurposeOther,
	}
}

// Limits of what a client may send as tags: a call is never failed for them
// (unless configured so), the rest is cut and marked.
const (
	MaxTagBytes = 200 // of one value, UTF-8
	MaxMetadata = 32  // entries
)

// CleanTag returns v as it may be stored: printable UTF-8, at most MaxTagBytes
// long, cut at a rune. changed reports whether anything was taken away, beyond
// white space around the value.
func CleanTag(v string) (clean string, changed bool) {
	v = strings.TrimSpace(v)
	if len(v) <= MaxTagBytes && isPrintableASCII(v) {
		return v, false
	}
	clean = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, v)
	if len(clean) > MaxTagBytes {
		cut := MaxTagBytes
		for !utf8.RuneStart(clean[cut]) {
			cut--
		}
		clean = clean[:cut]
	}
	return clean, clean != v
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
