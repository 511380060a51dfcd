package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/subosito/gotenv"
)

const dotenvFile = ".env"

// fromDotenv reads the .env file in dir, which may be missing. It goes into a
// map, never into the environment of the process: child processes (the private
// Postgres) have no business with the keys in it. Variables of the application
// that shares the file are skipped.
func fromDotenv(dir string) ([]setting, []error) {
	path := filepath.Join(dir, dotenvFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{fmt.Errorf("read settings: %w", err)}
	}
	vars, err := gotenv.StrictParse(bytes.NewReader(text))
	if err != nil {
		// gotenv's own message quotes the line, which may hold a key.
		return nil, []error{fmt.Errorf("%s:%d is not of the form NAME=value", path, badLine(text))}
	}
	return fromVariables(vars, dotenvFile)
}

// badLine finds the number of the line at which text stops being a valid .env
// file: the one after the longest prefix that is valid.
func badLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	valid, end := 0, 0
	for i, line := range lines {
		end += len(line)
		if _, err := gotenv.StrictParse(bytes.NewReader(text[:end])); err == nil {
			valid = i + 1
		}
	}
	return valid + 1
}
