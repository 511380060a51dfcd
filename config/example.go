package config

import (
	"bytes"
	"fmt"
	"strings"
)

// ExampleYAML is a bursar.yaml with every setting at its default, commented
// out: what it does not set follows the defaults of the version that reads it.
func ExampleYAML() []byte {
	var b bytes.Buffer
	b.WriteString(`# Settings of Bursar. Copy this to bursar.yaml in the directory that Bursar is
# started in, or name it with --config. Every setting is shown at its default:
# take the "#" away to change one. Flags, environment variables and .env come
# before this file. Made by "go test ./config -update".
`)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n# %s\n%s:\n", s.help, s.name)
		for _, k := range s.keys {
			fmt.Fprintf(&b, "  # %s\n  #%s: %s\n", exampleHelp(&k), k.name, yamlLiteral(&k))
		}
	}
	return b.Bytes()
}

// ExampleEnv is a .env with every setting at its default, commented out.
func ExampleEnv() []byte {
	var b bytes.Buffer
	b.WriteString(`# Settings of Bursar. Copy this to .env in the directory that Bursar is started
# in. Every setting is shown at its default: take the "#" away to change one.
# Flags and the environment come before this file, bursar.yaml after it.
# A value that holds $, # or spaces stands in 'single quotes'.
# Made by "go test ./config -update".
`)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n# %s\n", s.help)
		for _, k := range s.keys {
			name := k.Env
			help := exampleHelp(&k)
			if k.Alias != "" {
				name, help = k.Alias, help+" (also "+k.Env+")"
			}
			fmt.Fprintf(&b, "# %s\n#%s=%s\n", help, name, k.Default)
		}
	}
	return b.Bytes()
}

func exampleHelp(k *Key) string {
	if len(k.Allowed) > 0 {
		return k.Help + "; one of " + strings.Join(k.Allowed, ", ")
	}
	return k.Help
}

func yamlLiteral(k *Key) string {
	switch {
	case k.isList():
		return "[" + k.Default + "]"
	case k.Default == "":
		return `""`
	case strings.ContainsAny(k.Default, ":#"):
		return fmt.Sprintf("%q", k.Default)
	}
	return k.Default
}
