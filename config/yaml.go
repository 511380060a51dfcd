package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const yamlFile = "bursar.yaml"

// fromYAML reads name, or bursar.yaml in dir if name is empty; only the latter
// may be missing.
func fromYAML(dir, name string) ([]setting, []error) {
	path := name
	if path == "" {
		path = yamlFile
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{fmt.Errorf("read settings: %w", err)}
	}
	r := &yamlReader{file: filepath.Base(path)}
	r.read(string(text))
	return r.settings, r.problems
}

// yamlReader collects the settings of one file. It reads the literals that the
// user wrote from the syntax tree instead of decoded values, because decoding
// makes a float64 of an unquoted 0.92, and forgets the line.
type yamlReader struct {
	file     string
	settings []setting
	problems []error
}

func (r *yamlReader) read(text string) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return // empty, or comments only
	} else if err != nil {
		r.problems = append(r.problems, fmt.Errorf("%s is not YAML: %s", r.file, withoutQuotes(err)))
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problems = append(r.problems, fmt.Errorf("%s holds more than one YAML document; Bursar reads one", r.file))
	}
	r.mapping(doc.Content[0], "the file", func(name string, key, value *yaml.Node) {
		for _, s := range sections() {
			if s.name == name {
				r.section(s, value)
				return
			}
		}
		r.problem(key, "%s is not a section%s", name, didYouMean(name, yamlNames()))
	})
}

// section reads the settings of one section. r.mapping has seen to it that each
// stands there once.
func (r *yamlReader) section(sec section, node *yaml.Node) {
	r.mapping(node, sec.name, func(name string, key, value *yaml.Node) {
		for i := range sec.keys {
			if sec.keys[i].name == name {
				r.value(&sec.keys[i], value)
				return
			}
		}
		full := sec.name + "." + name
		r.problem(key, "%s is not a setting%s", full, didYouMean(full, yamlNames()))
	})
}

// mapping calls visit for each entry of a mapping. Nothing at all, as in a
// section whose settings are commented out, is an empty mapping.
func (r *yamlReader) mapping(node *yaml.Node, what string, visit func(name string, key, value *yaml.Node)) {
	node = resolve(node)
	switch {
	case isNull(node):
		return
	case node.Kind != yaml.MappingNode:
		r.problem(node, "%s has to hold names and values, indented below it", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if seen[key.Value] {
			r.problem(key, "%s is there twice", key.Value)
			continue
		}
		seen[key.Value] = true
		visit(key.Value, key, node.Content[i+1])
	}
}

// value reads one setting: a scalar, or for lists also a sequence of scalars.
func (r *yamlReader) value(k *Key, node *yaml.Node) {
	node = resolve(node)
	from := r.at(node)
	switch {
	case isNull(node):
	case node.Kind == yaml.ScalarNode:
		if s, ok := newSetting(k, k.Name, from, node.Value); ok {
			r.settings = append(r.settings, s)
		}
	case node.Kind == yaml.SequenceNode && k.isList():
		var items []string
		for _, item := range node.Content {
			if item = resolve(item); item.Kind != yaml.ScalarNode {
				r.problem(item, "%s takes a list of plain values", k.Name)
				return
			}
			if !isNull(item) {
				items = append(items, item.Value)
			}
		}
		if items = cleanList(items); len(items) > 0 {
			r.settings = append(r.settings, setting{k, k.Name, from, items})
		}
	default:
		r.problem(node, "%s takes a single value", k.Name)
	}
}

func (r *yamlReader) problem(node *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s: %s", r.at(node), fmt.Sprintf(format, args...)))
}

func (r *yamlReader) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", r.file, node.Line) }

// resolve follows an alias (*name) to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// yamlNames are all sections and settings, to suggest.
func yamlNames() map[string]string {
	names := map[string]string{}
	for _, s := range sections() {
		names[s.name] = s.name
		for _, k := range s.keys {
			names[k.Name] = k.Name
		}
	}
	return names
}

var quoted = regexp.MustCompile(`'[^']*'|"[^"]*"|` + "`[^`]*`")

// withoutQuotes takes quotations of the file out of a parser's message: they
// may be parts of a secret.
func withoutQuotes(err error) string {
	return quoted.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "…")
}
