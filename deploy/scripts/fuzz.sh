#!/bin/sh
# fuzz.sh TIME runs every fuzz target of the repository for TIME each (10s).
# Go fuzzes one target of one package at a time.
set -eu
time=${1:-10s}

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func /:/' | sort)
[ -n "$targets" ] || { echo "there are no fuzz targets" >&2; exit 1; }
for target in $targets; do
	file=${target%%:*}
	name=${target##*:}
	echo "$(dirname "$file") $name"
	# Without the limit most of a short run goes into making inputs shorter.
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1x "$(dirname "$file")"
done
