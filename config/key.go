package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "BURSAR_"

// Key describes one setting, for help texts and for the sources that set it.
type Key struct {
	Name    string   // in YAML: proxy.drain_timeout
	Env     string   // BURSAR_PROXY_DRAIN_TIMEOUT
	Alias   string   // a second variable, such as DATABASE_URL; mostly empty
	Flag    string   // proxy-drain-timeout, without the dashes
	Type    string   // of the value: string, secret, bool, int, number, duration, bytes, amount, list
	Default string   // as a user would write it; empty: not set
	Allowed []string // the only values, if they can be listed
	Help    string   // one line, without a full stop
	Secret  bool     // the value is never shown

	section, name string
	index         []int // of the field in Config
	kind          kind
	positive      bool
	check         func(any) error // from the tag check; nil: none
}

// section is a field of [Config].
type section struct {
	name, help string
	keys       []Key
}

// Keys returns every setting in the order of [Config].
func Keys() []Key {
	var keys []Key
	for _, s := range sections() {
		keys = append(keys, s.keys...)
	}
	return keys
}

// sections reads the tags of [Config]. A tag that makes no sense panics: it is
// a mistake in this package, and every test of it calls this.
var sections = sync.OnceValue(func() []section {
	var list []section
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		s := section{name: f.Tag.Get("mapstructure"), help: f.Tag.Get("help")}
		for _, leaf := range reflect.VisibleFields(f.Type) {
			s.keys = append(s.keys, newKey(s.name, leaf, append(slices.Clone(f.Index), leaf.Index...)))
		}
		list = append(list, s)
	}
	return list
})

func newKey(section string, f reflect.StructField, index []int) Key {
	name := f.Tag.Get("mapstructure")
	k := Key{
		Name:     section + "." + name,
		Env:      envPrefix + strings.ToUpper(section+"_"+name),
		Alias:    f.Tag.Get("alias"),
		Flag:     section + "-" + strings.ReplaceAll(name, "_", "-"),
		Default:  f.Tag.Get("default"),
		Help:     f.Tag.Get("help"),
		Secret:   f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[[]Secret](),
		section:  section,
		name:     name,
		index:    index,
		positive: f.Tag.Get("range") == "positive",
	}
	var ok bool
	if k.kind, ok = kinds[f.Type]; !ok {
		panic(fmt.Sprintf("config: %s has type %s, for which there is no kind", k.Name, f.Type))
	}
	k.Type = k.kind.name
	if allowed := f.Tag.Get("allowed"); allowed != "" {
		k.Allowed = strings.Split(allowed, ",")
	}
	if check := f.Tag.Get("check"); check != "" {
		if k.check, ok = checks[check]; !ok {
			panic(fmt.Sprintf("config: %s asks for the unknown check %s", k.Name, check))
		}
	}
	return k
}

func (k *Key) isList() bool { return k.kind.parse == nil }

func (k *Key) allows(v string) bool { return slices.Contains(k.Allowed, v) }

// viperName is the key as viper splits it. The delimiter is not a dot because a
// later key may hold one (model names do).
func (k *Key) viperName() string { return k.section + keyDelimiter + k.name }

const keyDelimiter = "::"
