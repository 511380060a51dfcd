// Package proxy is the data plane: a request in, bytes out, and the events of
// one call for the accounting.
//
//	client ──► Handler ──► exchange ──► Transport ──► OpenRouter
//	             │            │
//	           tags,        answer: meters the body as it passes,
//	           credentials  records identified and closed
//
// What passes is not changed: the raw path and query, header values and their
// number, bodies, trailers, 1xx answers. The few exceptions are listed in
// docs/transparency.md, and each has a test here.
//
// The request path does no database round trip and takes no lock that all
// calls share. Its one wait is the journal's append of "opened" before a
// billable call goes upstream.
package proxy
