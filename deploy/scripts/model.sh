#!/bin/sh
# model.sh lets Spin visit every interleaving of accounting/guard/model.
set -eu
model=$(cd "$(dirname "$0")/../.." && pwd)/accounting/guard/model/guard.pml
for program in spin cc; do
	command -v $program >/dev/null || {
		echo "$program is missing: install it (on Debian: apt-get install spin gcc)" >&2
		exit 1
	}
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
spin -a "$model"
cc -O2 -DSAFETY -o pan pan.c
./pan -m100000 | tee pan.out
grep -q 'errors: 0' pan.out
