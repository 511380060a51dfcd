package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"bursar/accounting"
)

// The two ways of showing the token, either of which will do.
var needsToken = []map[string][]string{{"bearer": {}}, {"session": {}}}

// schemaPrefix stands before a schema's name in references.
const schemaPrefix = "#/components/schemas/"

const apiDescription = `What every AI call through Bursar cost, whom it was for and what came of it.

Answers are ` + "`" + `{"success": true, "data": …}` + "`" + `. Errors are problem documents (RFC 9457,
` + "`application/problem+json`" + `) with ` + "`" + `"success": false` + "`" + `.

Amounts are JSON numbers with all their digits: read them into a decimal, not into a
floating-point number. What is not known is null, which is not zero. Times are RFC 3339.

Where no token is configured, none is needed, and only loopback addresses are served.`

// newAPI returns the JSON API, without operations yet. Its routes go to h.mux.
func (h *Handler) newAPI() huma.API {
	schemas := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[accounting.Amount](), reflect.TypeFor[amountSchema]())
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[problem]())
	return humago.New(h.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Bursar admin API",
				Version:     h.version,
				Description: apiDescription,
			},
			Tags: []*huma.Tag{
				{Name: "usage", Description: "Calls and their costs."},
				{Name: "audit", Description: "What people changed."},
				{Name: "health", Description: "Whether this process lives and may be sent work."},
			},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer":  {Type: "http", Scheme: "bearer", Description: "The value of BURSAR_ADMIN_TOKEN."},
					"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "The cookie that POST /login sets."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{ownProblem(schemas)},
		// No CreateHooks: they would add $schema to every answer. No
		// DocsPath: that page loads scripts from elsewhere. No OpenAPIPath:
		// huma marshals on first use, without a lock.
	})
}

// amountSchema describes [accounting.Amount], which may not know huma.
type amountSchema struct{}

// Schema implements [huma.SchemaProvider].
func (amountSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Examples: []any{json.Number("0.00012345")}}
}

// describe completes the description of the API with what the domain's types
// cannot say themselves, and fixes it.
func (h *Handler) describe(api huma.API) error {
	schema := describeType(api, reflect.TypeFor[accounting.UsageRow](), usageColumns)
	schema.Properties["id"].Format = "uuid"
	for _, s := range statuses {
		schema.Properties["status"].Enum = append(schema.Properties["status"].Enum, string(s.Name))
	}

	entry := describeType(api, reflect.TypeFor[accounting.AuditEntry](), auditColumns)
	for _, name := range []string{"before", "after"} {
		entry.Properties[name].Type, entry.Properties[name].Nullable = huma.TypeObject, true
		entry.Properties[name].AdditionalProperties = true
	}

	admitUnknown(api.OpenAPI().Components.Schemas)
	completeExamples(api.OpenAPI())
	var err error
	h.openAPI, err = json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	h.docs = sync.OnceValues(func() ([]byte, error) { return renderDocs(api.OpenAPI()) })
	return nil
}

// describeType describes the members of one of the domain's types, which may
// not know huma, and returns its schema.
func describeType(api huma.API, t reflect.Type, descriptions map[string]string) *huma.Schema {
	schema := api.OpenAPI().Components.Schemas.Map()[huma.DefaultSchemaNamer(t, "")]
	describeProperties(schema, t, descriptions)
	return schema
}

// describeProperties describes those properties of a schema that are the
// members of t.
func describeProperties(schema *huma.Schema, t reflect.Type, descriptions map[string]string) {
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		property := schema.Properties[name]
		property.Description = descriptions[name]
		// An object that is a schema of its own is never null here.
		property.Nullable = property.Ref == "" && (field.Type.Kind() == reflect.Pointer || field.Type.Kind() == reflect.Map)
	}
}

// serveOpenAPI answers GET /openapi.json.
func (h *Handler) serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(h.openAPI) // the client may have gone; nobody is left to be told
	return nil
}
