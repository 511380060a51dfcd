package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// description reads /openapi.json.
func description(t *testing.T) map[string]any {
	t.Helper()
	res := request(newHandler(t, &fakeUsage{}, nil), "GET", "/openapi.json", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "application/openapi+json", res.Header.Get("Content-Type"))
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, res)), &doc))
	return doc
}

// at walks down nested objects and lists.
func at(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, name := range path {
		object, ok := v.(map[string]any)
		require.True(t, ok, "%s of %v", name, v)
		v, ok = object[name]
		require.True(t, ok, "no %s in %v", name, object)
	}
	return v
}

func TestTheAPIIsDescribedByOpenAPI31(t *testing.T) {
	doc := description(t)
	require.Equal(t, "3.1.0", doc["openapi"])
	require.Equal(t, "Bursar admin API", at(t, doc, "info", "title"))
	require.Equal(t, "1.2.3", at(t, doc, "info", "version"))
	require.NotEmpty(t, at(t, doc, "info", "description"))
	require.Equal(t, "bearer", at(t, doc, "components", "securitySchemes", "bearer", "scheme"))
	require.Equal(t, cookieName, at(t, doc, "components", "securitySchemes", "session", "name"))

	for path, item := range at(t, doc, "paths").(map[string]any) {
		for method, operation := range item.(map[string]any) {
			operation := operation.(map[string]any)
			require.NotEmpty(t, operation["operationId"], "%s %s", method, path)
			require.NotEmpty(t, operation["summary"], "%s %s", method, path)
			require.NotEmpty(t, operation["description"], "%s %s", method, path)
			require.NotNil(t, operation["security"], "%s %s", method, path)
		}
	}
	require.Len(t, at(t, doc, "paths", "/api/usage", "get", "security"), 2)
	require.Empty(t, at(t, doc, "paths", "/healthz", "get", "security"))
}

func TestEveryParameterIsDescribedWithAnExampleThatIsValid(t *testing.T) {
	doc := description(t)
	parameters := at(t, doc, "paths", "/api/usage", "get", "parameters").([]any)
	require.Len(t, parameters, reflect.TypeFor[usageInput]().NumField())
	h := newHandler(t, &fakeUsage{}, nil)
	for _, p := range parameters {
		name := at(t, p, "name").(string)
		require.NotEmpty(t, at(t, p, "description"), name)
		examples := at(t, p, "schema", "examples").([]any)
		literal, err := json.Marshal(examples[0])
		require.NoError(t, err)
		res := get(h, "/api/usage?"+form(name, strings.Trim(string(literal), `"`)))
		require.Equal(t, http.StatusOK, res.StatusCode, "the example of %s: %s", name, bodyOf(t, res))
	}
}

func TestEveryColumnIsDescribedAsItIsSent(t *testing.T) {
	doc := description(t)
	schema := at(t, doc, "components", "schemas", "UsageRow")
	columns := reflect.TypeFor[accounting.UsageRow]()
	require.Len(t, at(t, schema, "properties"), columns.NumField())
	require.Len(t, at(t, schema, "required"), columns.NumField(), "null is sent, not left out")
	require.Len(t, usageColumns, columns.NumField())
	for field := range columns.Fields() {
		column := field.Tag.Get("json")
		property := at(t, schema, "properties", column).(map[string]any)
		require.NotEmpty(t, property["description"], column)
		nullable := false
		if types, ok := property["type"].([]any); ok {
			require.Contains(t, types, "null", column)
			nullable = true
		}
		require.Equal(t, field.Type.Kind() == reflect.Pointer || field.Type.Kind() == reflect.Map, nullable, column)
	}
	require.Equal(t, []any{"number", "null"}, at(t, schema, "properties", "cost_usd", "type"))
	require.NotContains(t, at(t, schema, "properties", "cost_usd"), "format", "it is no float")
	require.Equal(t, "string", at(t, schema, "properties", "id", "type"))
}

func TestTheStatesThatCanBeAskedForAreThoseThatAreExplained(t *testing.T) {
	field, ok := reflect.TypeFor[usageInput]().FieldByName("Status")
	require.True(t, ok)
	var names []string
	for _, s := range statuses {
		names = append(names, string(s.Name))
		require.Equal(t, s.Meaning, meaningOf(s.Name))
	}
	require.Equal(t, field.Tag.Get("enum"), strings.Join(names, ","))
	require.Len(t, at(t, description(t), "components", "schemas", "UsageRow", "properties", "status", "enum"), len(names))
}

func TestEveryReferenceInTheDescriptionLeadsSomewhere(t *testing.T) {
	doc := description(t)
	var follow func(v any) int
	follow = func(v any) (refs int) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if ref, ok := inner.(string); ok && name == "$ref" {
					at(t, doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
					refs++
				}
				refs += follow(inner)
			}
		case []any:
			for _, inner := range v {
				refs += follow(inner)
			}
		}
		return refs
	}
	require.Positive(t, follow(doc))
}

func TestErrorsAreDescribedAsProblems(t *testing.T) {
	doc := description(t)
	for _, status := range []string{"401", "422", "500", "503"} {
		ref := at(t, doc, "paths", "/api/usage", "get", "responses", status, "content", "application/problem+json", "schema", "$ref")
		require.Equal(t, "#/components/schemas/Problem", ref)
	}
	at(t, doc, "components", "schemas", "Problem", "properties", "success")
	at(t, doc, "components", "schemas", "FieldError", "properties", "allowed")
}
