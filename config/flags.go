package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// configFlag names the YAML file instead of bursar.yaml in the working
// directory.
const configFlag = "config"

// Flags defines --config and one flag for every setting on fs. They take any
// text: [Load] judges it, so that all mistakes are reported together.
func Flags(fs *pflag.FlagSet) {
	fs.String(configFlag, "", "read settings from this YAML `file` instead of ./bursar.yaml")
	for _, k := range Keys() {
		f := fs.VarPF(&flagValue{text: k.Default, typ: k.Type}, k.Flag, "", usage(&k))
		if k.Type == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

func usage(k *Key) string {
	var b strings.Builder
	b.WriteString(k.Help)
	if len(k.Allowed) > 0 {
		b.WriteString(": " + strings.Join(k.Allowed, "|"))
	}
	b.WriteString(" [" + k.Env)
	if k.Alias != "" {
		b.WriteString(", " + k.Alias)
	}
	b.WriteString("]")
	return b.String()
}

// flagValue is a pflag.Value that keeps what was written.
type flagValue struct{ text, typ string }

func (v *flagValue) String() string     { return v.text }
func (v *flagValue) Set(s string) error { v.text = s; return nil }
func (v *flagValue) Type() string       { return v.typ }
