package admin

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// wholeHandler has every route there is.
func wholeHandler(t *testing.T) *Handler {
	t.Helper()
	return newHandler(t, &fakeUsage{}, func(o *Options) {
		o.Exports = &fakeExports{}
		o.Reconciliations = &fakeReconciliations{}
		o.Budgets = &BudgetOptions{Store: &fakeBudgets{}}
		o.Economics = &EconomicsOptions{Store: &fakeEconomics{}, Targets: accounting.DefaultTargets(), UnsentAfter: 14, Rate: decimal.RequireFromString("0.92")}
		o.Economics.AlertRules, o.Economics.Reports = &fakeRules{}, &fakeReports{}
		o.Economics.Experiments = &fakeExperiments{}
		o.Economics.Plans = &PlanOptions{Planner: &fakePlans{}, Plans: &fakePlans{}}
	})
}

// wholeDescription is /openapi.json of a handler with every route.
func wholeDescription(t *testing.T) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(wholeHandler(t).openAPI))
	require.NoError(t, err)
	return doc.(map[string]any)
}

// eachOperation visits the operations of a description.
func eachOperation(t *testing.T, doc map[string]any, visit func(name string, operation map[string]any)) {
	t.Helper()
	for path, item := range at(t, doc, "paths").(map[string]any) {
		for method, operation := range item.(map[string]any) {
			visit(strings.ToUpper(method)+" "+path, operation.(map[string]any))
		}
	}
}

func TestEveryRouteOfTheAPIIsDescribed(t *testing.T) {
	h := wholeHandler(t)
	described := map[string]bool{}
	eachOperation(t, wholeDescription(t), func(name string, _ map[string]any) { described[name] = true })
	routes := 0
	for _, pattern := range h.mux.patterns {
		if _, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, "/api") {
			require.True(t, described[pattern], "%s is not in /openapi.json", pattern)
			routes++
		}
	}
	require.Greater(t, routes, 40, "the mux was not listed")
	require.Contains(t, h.mux.patterns, "GET /docs", "nor what does not come from the API's own registration")
}

func TestEveryOperationHasATagWithAMeaningAndDescribedParameters(t *testing.T) {
	doc := wholeDescription(t)
	tags := map[string]bool{}
	for _, tag := range at(t, doc, "tags").([]any) {
		require.NotEmpty(t, at(t, tag, "description"))
		tags[at(t, tag, "name").(string)] = true
	}
	ids := map[string]bool{}
	eachOperation(t, doc, func(name string, operation map[string]any) {
		require.True(t, tags[at(t, operation, "tags").([]any)[0].(string)], "%s: its tag is not explained", name)
		id := at(t, operation, "operationId").(string)
		require.False(t, ids[id], "%s: the id %s is taken", name, id)
		ids[id] = true
		require.NotEmpty(t, operation["summary"], name)
		require.NotEmpty(t, operation["description"], name)
		parameters, _ := operation["parameters"].([]any)
		for _, p := range parameters {
			require.NotEmpty(t, at(t, p, "description"), "%s: %v", name, p)
			require.NotEmpty(t, at(t, p, "schema", "examples"), "%s: %v has no example", name, p)
		}
	})
}

// pointer is a JSON pointer.
func pointer(parts ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + escape.Replace(part))
	}
	return b.String()
}

// examples visits every schema of a description that has examples, and every
// body that has one.
func examples(v any, path []string, visit func(schema string, example any)) {
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["examples"].([]any); ok {
			for _, example := range list {
				visit(pointer(path...), example)
			}
		}
		if example, ok := v["example"]; ok && v["schema"] != nil {
			visit(pointer(append(path, "schema")...), example)
		}
		for name, inner := range v {
			if name != "example" && name != "examples" {
				examples(inner, append(path[:len(path):len(path)], name), visit)
			}
		}
	case []any:
		for i, inner := range v {
			examples(inner, append(path[:len(path):len(path)], strconv.Itoa(i)), visit)
		}
	}
}

func TestEveryExampleIsValidAgainstItsSchema(t *testing.T) {
	doc := wholeDescription(t)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020) // the dialect of OpenAPI 3.1
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("http://bursar/openapi.json", doc))
	seen := 0
	examples(doc, nil, func(place string, example any) {
		schema, err := compiler.Compile("http://bursar/openapi.json#" + place)
		require.NoError(t, err, place)
		if err := schema.Validate(example); err != nil {
			t.Errorf("the example of %s: %v", place, err)
		}
		seen++
	})
	require.Greater(t, seen, 200)
}

func TestEveryOperationShowsAnExampleOfItsBodies(t *testing.T) {
	eachOperation(t, wholeDescription(t), func(name string, operation map[string]any) {
		bodies := map[string]any{}
		for status, response := range at(t, operation, "responses").(map[string]any) {
			bodies[status] = response
		}
		if body, ok := operation["requestBody"]; ok {
			bodies["request"] = body
		}
		for which, body := range bodies {
			content, _ := body.(map[string]any)["content"].(map[string]any)
			for mediaType, media := range content {
				if strings.HasSuffix(mediaType, "json") {
					require.NotNil(t, media.(map[string]any)["example"], "%s: %s %s", name, which, mediaType)
				}
			}
		}
	})
}

func TestTheDocumentationShowsEveryOperationUnderItsAnchor(t *testing.T) {
	h := wholeHandler(t)
	res := get(h, "/docs")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	page := bodyOf(t, res)
	eachOperation(t, wholeDescription(t), func(name string, operation map[string]any) {
		id := at(t, operation, "operationId").(string)
		require.Contains(t, page, `<article id="`+id+`">`, name)
		require.Contains(t, page, `href="#`+id+`"`, name)
	})
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		require.False(t, targets[m[1]], "the anchor %s is there twice", m[1])
		targets[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		require.True(t, targets[m[1]], "the link to %s leads nowhere", m[1])
	}
	require.Contains(t, page, "curl -X POST")
	require.NotContains(t, page, "ZgotmplZ")
}

func TestTheDocumentationLoadsNothingAndRunsNothing(t *testing.T) {
	res := get(wholeHandler(t), "/docs")
	page := bodyOf(t, res)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
	require.NotNil(t, style)
	policy := res.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "style-src 'sha256-"+hashOf(style[1])+"'", "a browser would refuse the style")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, " style=")
	require.NotRegexp(t, `(src|href)="(https?:)?//`, page)
	require.Contains(t, page, "prefers-color-scheme: dark")
}

func TestTheDocumentationNeedsTheTokenLikeTheRest(t *testing.T) {
	h := wholeHandler(t)
	problemIn(t, request(h, "GET", "/docs", ""), http.StatusUnauthorized)
	res := request(h, "GET", "/docs", "", "Accept", "text/html")
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "/login?back=%2Fdocs", res.Header.Get("Location"))
}
