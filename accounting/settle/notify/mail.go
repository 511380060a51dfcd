package notify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// compose writes the mail (RFC 5322): text/plain, and with HTML the two as
// multipart/alternative. Lines end in CRLF and none is longer than 998 bytes;
// dots are stuffed by net/smtp.
func (s *mailer) compose(m *Message, now time.Time) ([]byte, error) {
	plain := strings.TrimSpace(m.plain() + "\n\n-- \nBursar · " + m.At.UTC().Format("2006-01-02 15:04:05 MST") + " · " + m.ID)
	if m.HTML == "" {
		return s.composePlain(m, plain, now)
	}
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	for _, part := range []struct{ media, content string }{
		{"text/plain", plain},
		{"text/html", m.HTML},
	} {
		p, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Type":              {part.media + "; charset=utf-8"},
			"Content-Transfer-Encoding": {"quoted-printable"},
		})
		if err != nil {
			return nil, err
		}
		if _, err := p.Write(quoted(part.content)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	document := s.headers(m, now)
	fmt.Fprintf(document, "Content-Type: %s\r\n\r\n", mime.FormatMediaType("multipart/alternative", map[string]string{"boundary": w.Boundary()}))
	document.Write(parts.Bytes())
	return document.Bytes(), nil
}

func (s *mailer) composePlain(m *Message, plain string, now time.Time) ([]byte, error) {
	document := s.headers(m, now)
	document.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	document.Write(quoted(plain))
	return document.Bytes(), nil
}

// headers writes all but those of the content. Every value is an address that
// net/mail has parsed, encoded words, or made here: nothing of a message can end
// a line.
func (s *mailer) headers(m *Message, now time.Time) *bytes.Buffer {
	to := make([]string, len(s.to))
	for i, a := range s.to {
		to[i] = a.String()
	}
	var b bytes.Buffer
	for _, h := range []struct{ name, value string }{
		{"From", s.from.String()},
		{"To", strings.Join(to, ",\r\n ")}, // folded, a line has at most 998 bytes
		{"Subject", mime.QEncoding.Encode("utf-8", "[Bursar] "+clip(m.headline(), maxTitle))},
		{"Date", now.UTC().Format(time.RFC1123Z)},
		{"Message-ID", messageID(m.ID, s.from)},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: no vacation replies
		{"X-Auto-Response-Suppress", "All"},  // the same for Exchange
		{"Importance", importance(m.Severity)},
		{DeliveryHeader, m.ID},
		{"MIME-Version", "1.0"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	return &b
}

// messageID is the same in every attempt, so that a mailbox which has the
// message can tell. A message's id may hold what has a meaning there.
func messageID(id string, from *mail.Address) string {
	sum := sha256.Sum256([]byte(id))
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	return "<" + hex.EncodeToString(sum[:16]) + ".bursar@" + domain + ">"
}

func importance(s Severity) string {
	if s == SeverityCritical {
		return "high"
	}
	return "normal"
}

// quoted is s as quoted-printable, with CRLF at the ends of lines.
func quoted(s string) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // a buffer's Write returns no error
	_ = w.Close()
	return b.Bytes()
}
