package main

import (
	"context"
	"errors"

	"bursar/config"
)

func demo(ctx context.Context, e *env, cfg config.Config) error { return errors.New("soon") }
