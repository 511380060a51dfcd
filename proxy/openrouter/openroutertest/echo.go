package openroutertest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// echo describes the request that it gets, so that a test can compare what
// left a client with what arrived. The answer is JSON:
//
//	{"method":"POST","uri":"/echo/x?a=1","proto":"HTTP/1.1","host":"127.0.0.1:1",
//	 "headers":[["Accept","*/*"],…],"trailers":[["X-T","v"]],
//	 "transfer_encoding":["chunked"],"content_length":-1,
//	 "body_sha256":"…","body_length":12}
//
// uri is the request line's, byte for byte; headers are sorted by name, an item
// for each value in the order of arrival. The query steers the answer:
//
//	status=204         the status
//	header=Name:value  a response header, as often as wanted
//	body=text          this body instead of the description
//	mirror=1           the request's body instead, with its Content-Type
//	trailer=Name:value a response trailer
func echo(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	mirror := query.Get("mirror") != ""
	hash := sha256.New()
	into := io.Writer(hash)
	var kept strings.Builder
	if mirror {
		into = &kept
	}
	n, err := io.Copy(into, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client left: nobody reads an answer
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	addPairs(h, "", query["header"])
	addPairs(h, http.TrailerPrefix, query["trailer"])
	body := query.Get("body")
	switch {
	case mirror:
		h.Set("Content-Type", r.Header.Get("Content-Type"))
		body = kept.String()
	case !query.Has("body"):
		body = string(describe(r, hex.EncodeToString(hash.Sum(nil)), n).bytes())
	}
	status, err := strconv.Atoi(query.Get("status"))
	if err != nil || status < 200 || status > 599 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // fails where the status forbids a body
}

// addPairs adds "Name:value" items to h. Trailers wait under their prefix
// until the body has been written.
func addPairs(h http.Header, prefix string, pairs []string) {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, ":")
		name = http.CanonicalHeaderKey(name)
		h[prefix+name] = append(h[prefix+name], value)
	}
}

func describe(r *http.Request, sum string, length int64) object {
	encoding := list{}
	for _, e := range r.TransferEncoding {
		encoding = append(encoding, e)
	}
	return object{
		{"method", r.Method}, {"uri", r.RequestURI}, {"proto", r.Proto}, {"host", r.Host},
		{"headers", pairs(r.Header)}, {"trailers", pairs(r.Trailer)},
		{"transfer_encoding", encoding}, {"content_length", r.ContentLength},
		{"body_sha256", sum}, {"body_length", length},
	}
}

// pairs is a header as [name, value] items sorted by name.
func pairs(h http.Header) list {
	out := list{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, list{name, value})
		}
	}
	return out
}
