package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "bursar"

// room is a folder with a rule on what of ours it may import. Folders below it
// that are no room themselves belong to it.
type room struct {
	path     string
	may      []string // rooms; its own folders are always allowed
	anything bool
}

// rooms is the table of rooms. A new folder at the top, or below store, belongs
// to none of them and has to be entered here, with its rule.
var rooms = []room{
	{path: "accounting"},
	{path: "accounting/guard", may: []string{"accounting"}},
	{path: "accounting/settle", may: []string{"accounting"}},
	{path: "accounting/settle/notify", may: []string{"accounting"}},
	{path: "proxy", may: []string{"accounting", "proxy/openrouter"}},
	{path: "proxy/openrouter", may: []string{"accounting"}},
	{path: "store/journal", may: []string{"accounting"}},
	{path: "store/postgres", may: []string{"accounting"}},
	{path: "admin", may: []string{"accounting", "admin/chart"}},
	{path: "admin/webhook", may: []string{"accounting"}},
	{path: "admin/chart", may: []string{"accounting"}},
	{path: "config"},
	{path: "cmd/bursar", anything: true},
}

// roomOf returns the innermost room that holds the package, nil if there is
// none. The path is relative to the module.
func roomOf(pkg string) *room {
	var found *room
	for i := range rooms {
		r := &rooms[i]
		if (pkg == r.path || strings.HasPrefix(pkg, r.path+"/")) && (found == nil || len(r.path) > len(found.path)) {
			found = r
		}
	}
	return found
}

// isTestPackage reports whether a package exists to be tested with, as
// net/http/httptest does.
func isTestPackage(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// listed is what go list says about a package.
type listed struct {
	ImportPath, Name                   string
	Imports, TestImports, XTestImports []string
}

func (p *listed) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// check returns one sentence for each import that breaks a rule.
func (p *listed) check() []string {
	from := roomOf(p.path())
	if from == nil {
		return []string{fmt.Sprintf("%s is in no room: enter it, with what it may import, in the table of rooms (imports_test.go, CONTRIBUTING.md)", p.path())}
	}
	if from.anything {
		return nil
	}
	var broken []string
	refuse := func(format string, args ...any) {
		broken = append(broken, p.path()+" "+fmt.Sprintf(format, args...))
	}
	for _, to := range p.ours(p.Imports) {
		if !from.mayImport(to) {
			refuse("imports %s: %s", to, from.rule())
		} else if isTestPackage(to) && !isTestPackage(p.path()) && p.Name != "main" {
			refuse("imports %s outside of a test: packages named …test are for tests and for programs", to)
		}
	}
	for _, to := range p.ours(slices.Concat(p.TestImports, p.XTestImports)) {
		if !from.mayImport(to) && !isTestPackage(to) {
			refuse("imports %s in a test: %s, and in tests the packages named …test", to, from.rule())
		}
	}
	if p.path() == "accounting" {
		for _, to := range p.Imports {
			if !isPure(to) {
				refuse("imports %s: the domain is pure, it does no I/O and knows no library but the decimal one", to)
			}
		}
	}
	return broken
}

// ours keeps the imports of this module, relative to it.
func (p *listed) ours(imports []string) []string {
	var own []string
	for _, to := range imports {
		if rest, ok := strings.CutPrefix(to, module+"/"); ok && to != p.ImportPath {
			own = append(own, rest)
		}
	}
	return own
}

func (r *room) mayImport(pkg string) bool {
	to := roomOf(pkg)
	return to == r || to != nil && slices.Contains(r.may, to.path)
}

func (r *room) rule() string {
	if len(r.may) == 0 {
		return r.path + " imports nothing else of ours"
	}
	return fmt.Sprintf("%s imports only %s of ours; what else it needs it declares as an interface, and cmd/bursar passes it in",
		r.path, strings.Join(r.may, " and "))
}

// isPure reports whether the domain may import a package: the decimal library
// and what of the standard library does no I/O.
func isPure(pkg string) bool {
	if pkg == "github.com/shopspring/decimal" {
		return true
	}
	first, _, _ := strings.Cut(pkg, "/")
	if strings.Contains(first, ".") {
		return false
	}
	return !slices.Contains([]string{"os", "net", "syscall", "database", "log", "plugin", "testing"}, first) || pkg == "net/url" || pkg == "net/netip"
}

func TestEveryPackageImportsOnlyWhatItsRoomAllows(t *testing.T) {
	packages := goList(t)
	require.Greater(t, len(packages), 2)
	seen := map[string]bool{}
	for _, p := range packages {
		seen[p.path()] = true
		for _, sentence := range p.check() {
			t.Error(sentence)
		}
	}
	for _, must := range []string{"accounting", "config", "cmd/bursar"} {
		assert.True(t, seen[must], "go list did not show %s, so nothing was checked", must)
	}
}

// goList lists all packages of the module, broken ones too: whether they
// compile is for their own tests to say.
func goList(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	require.NoError(t, err)
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else {
			require.NoError(t, err)
		}
		packages = append(packages, p)
	}
}

func TestTheImportRulesHoldAndBreakWhereTheyShould(t *testing.T) {
	for name, tt := range map[string]struct {
		pkg    listed
		broken string // part of the sentence; empty: the import is fine
	}{
		"a leaf imports the domain":       {listed{ImportPath: "bursar/admin", Imports: []string{"bursar/accounting", "fmt"}}, ""},
		"a leaf imports a leaf":           {listed{ImportPath: "bursar/admin", Imports: []string{"bursar/store/postgres"}}, "admin imports store/postgres: admin imports only accounting and admin/chart of ours"},
		"a leaf imports the loops":        {listed{ImportPath: "bursar/store/postgres", Imports: []string{"bursar/accounting/settle"}}, "imports accounting/settle"},
		"the domain imports a leaf":       {listed{ImportPath: "bursar/accounting", Imports: []string{"bursar/config"}}, "imports nothing else of ours"},
		"config imports the domain":       {listed{ImportPath: "bursar/config", Imports: []string{"bursar/accounting"}}, "imports nothing else of ours"},
		"the proxy imports OpenRouter":    {listed{ImportPath: "bursar/proxy", Imports: []string{"bursar/proxy/openrouter"}}, ""},
		"OpenRouter imports the proxy":    {listed{ImportPath: "bursar/proxy/openrouter", Imports: []string{"bursar/proxy"}}, "imports proxy"},
		"a folder below imports its room": {listed{ImportPath: "bursar/store/postgres/private", Imports: []string{"bursar/store/postgres"}}, ""},
		"a folder below imports a leaf":   {listed{ImportPath: "bursar/store/postgres/private", Imports: []string{"bursar/store/journal"}}, "imports store/journal"},
		"the program imports all":         {listed{ImportPath: "bursar/cmd/bursar", Imports: []string{"bursar/admin", "bursar/proxy"}}, ""},
		"a new folder at the top":         {listed{ImportPath: "bursar/util"}, "util is in no room"},
		"a new folder below store":        {listed{ImportPath: "bursar/store/redis"}, "store/redis is in no room"},
		"a name that begins like a room":  {listed{ImportPath: "bursar/adminui"}, "adminui is in no room"},
		"a test uses a test package":      {listed{ImportPath: "bursar/admin", XTestImports: []string{"bursar/store/postgres/postgrestest"}}, ""},
		"a test uses a leaf":              {listed{ImportPath: "bursar/admin", TestImports: []string{"bursar/store/postgres"}}, "in a test"},
		"code uses a test package":        {listed{ImportPath: "bursar/proxy", Imports: []string{"bursar/proxy/openrouter/openroutertest"}}, "outside of a test"},
		"a program uses a test package":   {listed{ImportPath: "bursar/proxy/proxybench", Name: "main", Imports: []string{"bursar/proxy/openrouter/openroutertest"}}, ""},
		"the domain opens files":          {listed{ImportPath: "bursar/accounting", Imports: []string{"os"}}, "the domain is pure"},
		"the domain uses a library":       {listed{ImportPath: "bursar/accounting", Imports: []string{"github.com/rs/zerolog"}}, "the domain is pure"},
		"the domain counts":               {listed{ImportPath: "bursar/accounting", Imports: []string{"github.com/shopspring/decimal", "time", "net/url"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.pkg.check()
			if tt.broken == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], tt.broken)
		})
	}
}
