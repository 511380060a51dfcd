//go:build !linux

package private

import "syscall"

// keepPassThrough: there are no capabilities here.
func keepPassThrough(*syscall.SysProcAttr) bool { return false }
