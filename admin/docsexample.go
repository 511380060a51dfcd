package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// completeExamples gives every body that has no example one that is made of the
// examples of its members.
func completeExamples(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas
	for _, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			if op.RequestBody != nil {
				completeContent(schemas, op.RequestBody.Content)
			}
			for status, response := range op.Responses {
				if media := response.Content["application/problem+json"]; media != nil {
					media.Example = problemExample(status)
				}
				completeContent(schemas, response.Content)
			}
		}
	}
}

// operationsOf are the operations of a path by their methods.
func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func completeContent(schemas huma.Registry, content map[string]*huma.MediaType) {
	for name, media := range content {
		if strings.HasSuffix(name, "json") && media.Example == nil && len(media.Examples) == 0 && media.Schema != nil {
			media.Example = exampleOf(schemas, media.Schema, 0)
		}
	}
}

// problemExample is a problem document of that status.
func problemExample(status string) any {
	code, err := strconv.Atoi(status)
	if err != nil {
		code = http.StatusInternalServerError
	}
	example := map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code, "success": false, "detail": "What is wrong, and the way out."}
	if code == http.StatusUnprocessableEntity {
		example["detail"] = "1 parameter is not usable."
		example["errors"] = []any{map[string]any{"field": "limit", "value": "5000", "message": "expected 1000 or less", "allowed": "a whole number from 1 to 1000"}}
	}
	return example
}

// exampleDepth bounds how deep an example goes: a schema may contain itself.
const exampleDepth = 8

// exampleOf is a value that the schema admits: its own example, else one made of
// the examples of its members.
func exampleOf(schemas huma.Registry, s *huma.Schema, depth int) any {
	if s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case s == nil || depth > exampleDepth:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == huma.TypeObject:
		object := make(map[string]any, len(s.Properties))
		for _, name := range shownProperties(s) {
			object[name] = exampleOf(schemas, s.Properties[name], depth+1)
		}
		return object
	case len(s.AnyOf) > 0:
		return exampleOf(schemas, s.AnyOf[0], depth+1)
	case s.Type == huma.TypeArray:
		return []any{exampleOf(schemas, s.Items, depth+1)}
	case s.Nullable:
		return nil
	}
	return plainExample(s)
}

// shownProperties are the members of an object that its description shows. Huma
// keeps others, and tells them apart only in what it marshals.
func shownProperties(s *huma.Schema) (names []string) {
	var shown struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &shown)
	}
	if err != nil {
		return nil // the description as a whole cannot be marshalled either, and that is an error
	}
	return slices.Sorted(maps.Keys(shown.Properties))
}

// plainExample is a value of a simple type.
func plainExample(s *huma.Schema) any {
	switch s.Type {
	case huma.TypeBoolean:
		return false
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 0
	case huma.TypeString:
		switch s.Format {
		case "date-time":
			return "2026-11-22T10:00:00Z"
		case "date":
			return "2026-11-22"
		case "uuid":
			return "019acd2e-7c10-7abc-8def-0123456789ab"
		}
		return "text"
	}
	return map[string]any{} // anything goes
}
