package config

import (
	"fmt"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Load reads the configuration from flags (defined by [Flags] and parsed; may
// be nil), environ (as os.Environ gives it), and the files .env and bursar.yaml
// in workdir, or the YAML file that --config names, relative to workdir.
//
// An error that is about the configuration is an [*Error] with everything that
// is wrong; the Config is then of no use.
func Load(flags *pflag.FlagSet, environ []string, workdir string) (Config, error) {
	var file string
	if flags != nil {
		if f := flags.Lookup(configFlag); f != nil {
			file = f.Value.String()
		}
	}
	// From the weakest source to the strongest.
	inYAML, yamlProblems := fromYAML(workdir, file)
	inDotenv, dotenvProblems := fromDotenv(workdir)
	inEnviron, environProblems := fromVariables(environMap(environ), "environment")
	layers := [][]setting{inYAML, inDotenv, inEnviron}
	if flags != nil {
		layers = append(layers, fromFlags(flags))
	}

	var problems Error
	problems.add(yamlProblems...)
	problems.add(dotenvProblems...)
	problems.add(environProblems...)
	cfg, err := merge(layers, &problems)
	if err != nil {
		return Config{}, err
	}
	problems.add(cfg.crossChecks()...)
	if err := problems.orNil(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// merge lays the layers over the defaults and decodes the result. A value that
// is not allowed is added to problems and otherwise left out, so that the rest
// is still judged.
func merge(layers [][]setting, problems *Error) (Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter))
	for _, k := range Keys() {
		if s, ok := newSetting(&k, k.Name, "default", k.Default); ok {
			v.SetDefault(k.viperName(), s.raw)
		}
	}
	for _, layer := range layers {
		tree := map[string]any{}
		for _, s := range layer {
			if err := s.check(); err != nil {
				problems.add(err)
				continue
			}
			sec, ok := tree[s.key.section].(map[string]any)
			if !ok {
				sec = map[string]any{}
				tree[s.key.section] = sec
			}
			sec[s.key.name] = s.raw
		}
		if err := v.MergeConfigMap(tree); err != nil {
			return Config{}, fmt.Errorf("merge settings: %w", err)
		}
	}
	var cfg Config
	if err := v.UnmarshalExact(&cfg, viper.DecodeHook(mapstructure.DecodeHookFuncType(decode))); err != nil {
		return Config{}, fmt.Errorf("decode settings: %w", err)
	}
	return cfg, nil
}
