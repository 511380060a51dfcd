package admin

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

var (
	//go:embed docs.html
	docsSource string
	//go:embed docs.css
	docsStyle string

	docsTemplate = template.Must(template.New("docs").Parse(docsSource))

	// docsPolicy lets the page use its own style and nothing else: it has no
	// script, and loads nothing.
	docsPolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", hashOf(docsStyle))
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// serveDocs answers GET /docs: what /openapi.json describes, for people. The
// page is rendered when it is first asked for, and needs no network.
func (h *Handler) serveDocs(w http.ResponseWriter, _ *http.Request) error {
	page, err := h.docs()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", docsPolicy)
	_, _ = w.Write(page) // the client may have gone; nobody is left to be told
	return nil
}

// docsPage is what the template is given.
type docsPage struct {
	Style       template.CSS
	Title       string
	Version     string
	Description []docsParagraph
	Groups      []docsGroup
	Schemas     []docsSchema
}

type docsGroup struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary string
	Description               []docsParagraph
	Open                      bool // needs no token
	Parameters                []docsField
	Body                      *docsContent
	Responses                 []docsResponse
	Curl                      string
}

// docsField is a parameter, a header or a member of a schema.
type docsField struct {
	Name, In    string
	Type        docsType
	Required    bool
	Description string
	Allowed     string
	Example     string // JSON, a string without its quotes
}

// docsType is a type in words, or the name of a schema.
type docsType struct {
	Prefix, Schema string // "list of ", a schema's name; empty: Words
	Words          string
}

type docsContent struct {
	MediaType string
	Type      docsType
	Example   string // as it is sent
}

type docsResponse struct {
	Status, Description string
	Headers             []docsField
	Contents            []docsContent
	Problem             bool // its body is the problem document, shown once
}

type docsSchema struct {
	Name   string
	Fields []docsField
}

// docsParagraph is text with words in code.
type docsParagraph []docsSpan

type docsSpan struct {
	Text string
	Code bool
}

// prose cuts the little Markdown that descriptions use: paragraphs, and code in
// backticks.
func prose(text string) (list []docsParagraph) {
	for part := range strings.SplitSeq(text, "\n\n") {
		var p docsParagraph
		for i, span := range strings.Split(part, "`") {
			if span != "" {
				p = append(p, docsSpan{span, i%2 == 1})
			}
		}
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// renderDocs renders the page of an API.
func renderDocs(doc *huma.OpenAPI) ([]byte, error) {
	p := docsPage{
		Style: template.CSS(docsStyle), //nolint:gosec // our own file, embedded
		Title: doc.Info.Title, Version: doc.Info.Version, Description: prose(doc.Info.Description),
	}
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, Description: tag.Description}
		for path, item := range doc.Paths {
			for method, op := range operationsOf(item) {
				if len(op.Tags) > 0 && op.Tags[0] == tag.Name {
					group.Operations = append(group.Operations, docsOf(method, path, op))
				}
			}
		}
		slices.SortFunc(group.Operations, func(a, b docsOperation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		if len(group.Operations) > 0 {
			p.Groups = append(p.Groups, group)
		}
	}
	for name, schema := range doc.Components.Schemas.Map() {
		if len(schema.Properties) > 0 {
			p.Schemas = append(p.Schemas, docsSchema{name, docsMembers(schema)})
		}
	}
	slices.SortFunc(p.Schemas, func(a, b docsSchema) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	if err := docsTemplate.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("render the documentation of the API: %w", err)
	}
	return out.Bytes(), nil
}

func docsOf(method, path string, op *huma.Operation) docsOperation {
	d := docsOperation{
		ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: prose(op.Description), Open: len(op.Security) == 0,
	}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docsParam(p.Name, p))
	}
	if op.RequestBody != nil {
		if contents := docsContents(op.RequestBody.Content); len(contents) > 0 {
			d.Body = &contents[0]
		}
	}
	for status, r := range op.Responses {
		response := docsResponse{Status: status, Description: r.Description, Problem: r.Content["application/problem+json"] != nil}
		if !response.Problem {
			response.Contents = docsContents(r.Content)
		}
		for name, header := range r.Headers {
			response.Headers = append(response.Headers, docsParam(name, header))
		}
		slices.SortFunc(response.Headers, func(a, b docsField) int { return cmp.Compare(a.Name, b.Name) })
		d.Responses = append(d.Responses, response)
	}
	slices.SortFunc(d.Responses, func(a, b docsResponse) int { return cmp.Compare(a.Status, b.Status) })
	d.Curl = curlOf(&d)
	return d
}

// curlOf is a command that makes the request.
func curlOf(d *docsOperation) string {
	path := d.Path
	for _, p := range d.Parameters {
		if p.In == "path" && p.Example != "" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		}
	}
	command := "curl"
	if d.Method != http.MethodGet {
		command += " -X " + d.Method
	}
	if !d.Open {
		command += " \\\n  -H \"Authorization: Bearer $BURSAR_ADMIN_TOKEN\""
	}
	if d.Body != nil {
		command += " \\\n  -H 'Content-Type: " + d.Body.MediaType + "' \\\n  -d '" + strings.ReplaceAll(d.Body.Example, "'", `'\''`) + "'"
	}
	return command + " \\\n  'http://127.0.0.1:8081" + path + "'"
}

func docsParam(name string, p *huma.Param) docsField {
	f := docsField{Name: name, In: p.In, Required: p.Required, Description: p.Description}
	if p.Schema != nil {
		f.Type, f.Allowed, f.Example = typeOf(p.Schema), allowed(p.Schema), shownExample(p.Schema)
		f.Description = cmp.Or(f.Description, p.Schema.Description)
	}
	return f
}

// docsMembers are the members of an object: those that are always there first.
func docsMembers(s *huma.Schema) (fields []docsField) {
	for _, name := range shownProperties(s) {
		property := s.Properties[name]
		fields = append(fields, docsField{
			Name: name, Type: typeOf(property), Required: slices.Contains(s.Required, name),
			Description: property.Description, Allowed: allowed(property), Example: shownExample(property),
		})
	}
	slices.SortStableFunc(fields, func(a, b docsField) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return fields
}

func docsContents(content map[string]*huma.MediaType) (list []docsContent) {
	for name, media := range content {
		c := docsContent{MediaType: name}
		if media.Schema != nil {
			c.Type = typeOf(media.Schema)
		}
		switch example := media.Example.(type) {
		case nil:
		case string:
			c.Example = example
		default:
			c.Example = indented(example)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b docsContent) int { return cmp.Compare(a.MediaType, b.MediaType) })
	return list
}

func indented(v any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(v) != nil {
		return "" // what has no JSON form is no example
	}
	return strings.TrimSpace(out.String())
}

func shownExample(s *huma.Schema) string {
	if len(s.Examples) == 0 {
		return ""
	}
	if text, ok := s.Examples[0].(string); ok {
		return text
	}
	return indented(s.Examples[0])
}

// typeOf says what a schema is.
func typeOf(s *huma.Schema) docsType {
	switch {
	case s.Ref != "":
		return docsType{Schema: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case s.Type == huma.TypeArray && s.Items != nil:
		inner := typeOf(s.Items)
		return docsType{Prefix: "list of " + inner.Prefix, Schema: inner.Schema, Words: inner.Words}
	case len(s.AnyOf) > 0:
		return typeOf(s.AnyOf[0])
	}
	words := cmp.Or(s.Type, "any")
	if s.Format != "" && s.Format != "int64" && s.Format != "int32" && s.Format != "double" {
		words += " (" + s.Format + ")"
	}
	if s.Nullable {
		words += " or null"
	}
	return docsType{Words: words}
}
