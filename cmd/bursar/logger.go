package main

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"

	"bursar/config"
)

// newLogger writes to w in the configured format. Nothing that is logged holds
// a prompt, a completion or a key.
func newLogger(w io.Writer, cfg config.Config) zerolog.Logger {
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		level = zerolog.InfoLevel // the configuration allows only levels that parse
	}
	if cfg.Log.Format == "console" || cfg.Log.Format == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
