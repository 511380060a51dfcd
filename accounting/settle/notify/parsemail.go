package notify

import (
	"crypto/tls"
	"errors"
	"net"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// localhosts are the hosts to which net/smtp sends a password without TLS.
var localhosts = []string{"localhost", "127.0.0.1", "::1"}

// plainAddress leaves out what few servers take: quoted names, and other
// characters than ASCII, for which domains have their xn-- form. The names in
// front of addresses may have all characters.
var plainAddress = regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$")

// maxRecipients is what every server has to take for one mail (RFC 5321,
// 4.5.3.1.8).
const maxRecipients = 100

func readMail(u *url.URL, o *options) (sender, error) {
	if err := checkHost(u); err != nil {
		return nil, err
	}
	if strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, errors.New("a path")
	}
	q, err := query(u, "from", "to", "tls", "helo")
	if err != nil {
		return nil, err
	}
	s := &mailer{
		host:        u.Hostname(),
		implicitTLS: u.Scheme == "smtps",
		plaintext:   q["tls"] == "none",
		user:        u.User.Username(),
		tls:         &tls.Config{ServerName: u.Hostname(), RootCAs: o.roots, MinVersion: tls.VersionTLS12},
		dial:        o.dial,
	}
	s.password, _ = u.User.Password()
	if s.dial == nil {
		s.dial = new(net.Dialer).DialContext
	}
	if v, ok := q["tls"]; ok && (v != "none" || s.implicitTLS) {
		return nil, errors.New("tls is not none, which smtp:// alone may have")
	}
	if (s.user == "") != (s.password == "") {
		return nil, errors.New("a user without a password, or the reverse")
	}
	if s.plaintext && s.user != "" && !slices.Contains(localhosts, s.host) {
		return nil, errors.New("a password, which tls=none would send in clear")
	}
	s.addr = net.JoinHostPort(s.host, mailPort(u))
	if s.helo, err = heloName(q["helo"]); err != nil {
		return nil, err
	}
	return s, s.readAddresses(q["from"], q["to"])
}

// readAddresses shows nothing of what it refuses: a wrong character earlier in
// the URL may have put a part of the password here.
func (s *mailer) readAddresses(from, to string) (err error) {
	if s.from, err = mail.ParseAddress(from); err != nil || !plainAddress.MatchString(s.from.Address) {
		return errors.New("from is not an address")
	}
	if s.to, err = mail.ParseAddressList(to); err != nil {
		return errors.New("to is not a list of addresses")
	}
	for _, a := range s.to {
		if !plainAddress.MatchString(a.Address) {
			return errors.New("to holds an address that every server may refuse")
		}
	}
	if len(s.to) > maxRecipients {
		return errors.New("more than 100 recipients")
	}
	return nil
}

func mailPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "smtps":
		return "465" // RFC 8314
	default:
		return "587" // RFC 6409
	}
}

// heloName is what Bursar calls itself to the server.
func heloName(given string) (string, error) {
	if given != "" {
		if !hostShown.MatchString(given) {
			return "", errors.New("helo is not the name of a host")
		}
		return given, nil
	}
	if name, err := os.Hostname(); err == nil && hostShown.MatchString(name) {
		return name, nil
	}
	return "localhost", nil
}
