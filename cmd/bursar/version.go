package main

import "runtime/debug"

// version is set by the linker; see the Makefile.
var version string

// buildVersion names the build: the linker's version, else the commit that Go
// recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "devel"
}
