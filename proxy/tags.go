package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"bursar/accounting"
)

const (
	tagPrefix  = "/tags/"
	metaPrefix = "X-Meta-"
)

// tagHeaders are the headers that carry tags, in canonical form, and the names
// by which the tag path knows them.
var tagHeaders = []struct {
	header, name string
	field        func(*accounting.Tags) *string
}{
	{"X-Campaign-Id", "campaign", func(t *accounting.Tags) *string { return &t.CampaignID }},
	{"X-Email-Id", "email", func(t *accounting.Tags) *string { return &t.EmailID }},
	{"X-Lead-Id", "lead", func(t *accounting.Tags) *string { return &t.LeadID }},
	{"X-Sequence-Id", "sequence", func(t *accounting.Tags) *string { return &t.SequenceID }},
	{"X-Purpose", "purpose", func(t *accounting.Tags) *string { return &t.Purpose }},
	{"X-Platform", "platform", func(t *accounting.Tags) *string { return &t.Platform }},
	{"X-Lead-Value", "lead_value", func(t *accounting.Tags) *string { return &t.LeadValue }},
}

// cutTagPath splits the tag path off a raw request target:
// "/tags/campaign=q4;purpose=follow_up/api/v1/x?y" is
// "campaign=q4;purpose=follow_up" and "/api/v1/x?y".
func cutTagPath(requestURI string) (tags, rest string) {
	after, ok := strings.CutPrefix(requestURI, tagPrefix)
	if !ok {
		return "", requestURI
	}
	end := strings.IndexAny(after, "/?")
	if end < 0 {
		return after, "/"
	}
	if after[end] == '?' {
		return after[:end], "/" + after[end:]
	}
	return after[:end], after[end:]
}

// readTags collects the tags of a request. A header stands above the path,
// which may be shared by many calls. problem says in one sentence what is
// wrong with them, if anything; the tags are good to store all the same.
func (h *Handler) readTags(header http.Header, path string) (tags accounting.Tags, problem string) {
	r := tagReader{tags: &tags}
	if path != "" {
		r.path(path)
	}
	for _, tag := range tagHeaders {
		if values := header[tag.header]; len(values) > 0 {
			r.set(tag.name, tag.field(&tags), values[0], len(values) > 1)
		}
	}
	for name, values := range header {
		if isMeta(name) && len(name) > len(metaPrefix) {
			r.meta(strings.ToLower(name[len(metaPrefix):]), values[0], len(values) > 1)
		}
	}
	if tags.Purpose != "" && !h.purposes[tags.Purpose] {
		if purpose := strings.ToLower(tags.Purpose); h.purposes[purpose] {
			tags.Purpose = purpose
		} else {
			r.bad("purpose %q is not one of the configured purposes", tags.Purpose)
			r.mark("purpose", tags.Purpose)
			tags.Purpose = accounting.PurposeOther
		}
	}
	return tags, r.problem
}

type tagReader struct {
	tags    *accounting.Tags
	problem string
	entries int // of metadata, remarks not counted
}

func (r *tagReader) bad(format string, args ...any) {
	if r.problem == "" {
		r.problem = "bad tag: " + fmt.Sprintf(format, args...)
	}
}

// mark keeps a remark in the metadata, where the limit does not apply: we
// make at most two a tag.
func (r *tagReader) mark(name, value string) {
	if r.tags.Metadata == nil {
		r.tags.Metadata = map[string]string{}
	}
	r.tags.Metadata[name] = value
}

// repeated remarks that a tag was sent again, after the value that counts.
func (r *tagReader) repeated(name string) {
	r.bad("%s was sent more than once", name)
	r.mark(name+"_changed", "repeated")
}

func (r *tagReader) set(name string, field *string, raw string, repeated bool) {
	value, changed := accounting.CleanTag(raw)
	if changed {
		r.bad("%s is longer than %d bytes or not printable UTF-8", name, accounting.MaxTagBytes)
		r.mark(name+"_changed", "cut")
	}
	if repeated {
		r.repeated(name)
	}
	if value != "" {
		*field = value
	}
}

func (r *tagReader) meta(name, raw string, repeated bool) {
	name, badName := accounting.CleanTag(name)
	value, badValue := accounting.CleanTag(raw)
	if r.entries >= accounting.MaxMetadata {
		r.bad("more than %d metadata entries", accounting.MaxMetadata)
		r.mark("metadata_changed", "cut")
		return
	}
	r.entries++
	r.mark(name, value)
	if badName || badValue {
		r.bad("metadata %s is longer than %d bytes or not printable UTF-8", name, accounting.MaxTagBytes)
		r.mark(name+"_changed", "cut")
	}
	if repeated {
		r.repeated(name)
	}
}

// path reads "name=value;name=value". A name that is no tag becomes metadata.
func (r *tagReader) path(raw string) {
	for pair := range strings.SplitSeq(raw, ";") {
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		name, err2 := url.PathUnescape(name)
		if !ok || err != nil || err2 != nil || name == "" {
			if pair != "" {
				r.bad("%q in the path is not name=value", pair)
			}
		} else if tag, field := r.field(name); field != nil {
			if *field == "" {
				r.set(tag, field, value, false)
			} else {
				r.repeated(tag)
			}
		} else if name = strings.ToLower(strings.TrimPrefix(name, "meta.")); r.tags.Metadata[name] == "" {
			r.meta(name, value, false)
		} else {
			r.repeated(name)
		}
	}
}

// field finds a tag, by the one name that remarks use, by its name in the path:
// campaign, campaign_id, campaign-id and X-Campaign-ID are the same.
func (r *tagReader) field(name string) (tag string, value *string) {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "x_"), "_id")
	for _, tag := range tagHeaders {
		if tag.name == name {
			return tag.name, tag.field(r.tags)
		}
	}
	return "", nil
}

func isMeta(header string) bool { return strings.HasPrefix(header, metaPrefix) }

// removeTags takes the tags out of what goes upstream.
func removeTags(header http.Header) {
	for _, tag := range tagHeaders {
		delete(header, tag.header)
	}
	for name := range header {
		if isMeta(name) {
			delete(header, name)
		}
	}
}
