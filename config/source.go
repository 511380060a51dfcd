package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// setting is one value as a source wrote it.
type setting struct {
	key  *Key
	name string // as the source spells the key: --log-level, LOG_LEVEL, log.level
	from string // the source: "environment", "bursar.yaml:12"
	raw  any    // string, or []string for a list
}

// newSetting trims what files and secret stores tend to leave around a value.
// ok is false for an empty one, which counts as not set.
func newSetting(k *Key, name, from, text string) (s setting, ok bool) {
	s = setting{key: k, name: name, from: from}
	if text = strings.TrimSpace(text); text == "" {
		return s, false
	}
	if k.isList() {
		items := splitList(text)
		s.raw = items
		return s, len(items) > 0
	}
	s.raw = text
	return s, true
}

// check parses the value and applies the key's rules.
func (s setting) check() error {
	value := s.raw
	if text, ok := s.raw.(string); ok {
		var err error
		if value, err = s.key.kind.parse(text); err != nil {
			return s.problem("is not " + s.key.kind.allowed)
		}
	}
	if err := s.key.checkValue(value); err != nil {
		return s.problem(err.Error())
	}
	return nil
}

// problem says what is wrong with the value, which is shown unless it is
// secret.
func (s setting) problem(what string) error {
	if s.key.Secret {
		return fmt.Errorf("%s (%s) %s", s.name, s.from, what)
	}
	return fmt.Errorf("%s=%s (%s) %s", s.name, s.shown(), s.from, what)
}

// userinfo is the part of a URL that may hold a password.
var userinfo = regexp.MustCompile(`://[^/@\s]*@`)

func (s setting) shown() string {
	text, ok := s.raw.(string)
	if !ok {
		text = strings.Join(s.raw.([]string), ",")
	}
	return strconv.Quote(userinfo.ReplaceAllString(text, "://"+redacted+"@"))
}

// fromVariables reads settings from variables, by their prefixed name or else
// their alias. Variables with our prefix that nobody knows are problems: the
// value is left out, since a misspelt secret is still one.
func fromVariables(vars map[string]string, from string) ([]setting, []error) {
	var settings []setting
	known := map[string]bool{}
	keys := Keys()
	for i := range keys {
		k := &keys[i]
		for _, name := range []string{k.Env, k.Alias} {
			known[name] = true
		}
		for _, name := range []string{k.Env, k.Alias} {
			if s, ok := newSetting(k, name, from, vars[name]); ok {
				settings = append(settings, s)
				break
			}
		}
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if strings.HasPrefix(name, envPrefix) && !known[name] && !fromKubernetes(name) {
			problems = append(problems, fmt.Errorf("%s (%s) is not a setting%s", name, from,
				didYouMean(strings.TrimPrefix(name, envPrefix), variableNames())))
		}
	}
	return settings, problems
}

// fromKubernetes reports whether a variable is one of those that Kubernetes
// puts into every container for a Service that is called bursar.
func fromKubernetes(name string) bool {
	return strings.HasPrefix(name, envPrefix+"SERVICE_") || strings.HasPrefix(name, envPrefix+"PORT")
}

// variableNames are the names to suggest, by what is compared with the typo.
func variableNames() map[string]string {
	names := map[string]string{}
	for _, k := range Keys() {
		names[strings.TrimPrefix(k.Env, envPrefix)] = k.Env
		if k.Alias != "" {
			names[k.Alias] = k.Alias
		}
	}
	return names
}

// environMap turns os.Environ's form into a map. As in os.Getenv, the first of
// two equal names counts.
func environMap(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, dup := vars[name]; !dup {
			vars[name] = value
		}
	}
	return vars
}

// fromFlags reads the flags that were given. An explicitly empty flag is not
// set, like an empty variable.
func fromFlags(flags *pflag.FlagSet) []setting {
	var settings []setting
	keys := Keys()
	for i := range keys {
		f := flags.Lookup(keys[i].Flag)
		if f == nil || !f.Changed {
			continue
		}
		if s, ok := newSetting(&keys[i], "--"+f.Name, "flag", f.Value.String()); ok {
			settings = append(settings, s)
		}
	}
	return settings
}
