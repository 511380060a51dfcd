#!/bin/sh
# need.sh WHAT... makes sure that what the Makefile needs is there.
#
#   go, node   must be there: their version is the developer's choice
#   cc         a C compiler, for the race detector; installed if missing
#   postgres   the Postgres server's programs; installed if missing
#   chromium   a browser for the tests of pages; installed if missing
#   database   as postgres, unless a DATABASE_URL is set here or in .env
set -eu

# install NAME PACKAGE... installs Debian packages, or says in one line what to
# do where that is not possible.
install() {
	name=$1
	shift
	if ! command -v apt-get >/dev/null; then
		echo "$name is missing: install it (on Debian: apt-get install $*)" >&2
		exit 1
	elif [ "$(id -u)" = 0 ]; then
		as_root=
	elif command -v sudo >/dev/null; then
		as_root=sudo
	else
		echo "$name is missing and this user may not install it: run as root: apt-get install $*" >&2
		exit 1
	fi
	echo "$name is missing, installing $* ..." >&2
	# The package lists may be absent (a new container) or too old to fetch by.
	$as_root apt-get -qq update >&2 || true
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2
}

has_postgres() {
	command -v initdb >/dev/null && return
	for initdb in /usr/lib/postgresql/*/bin/initdb; do
		[ -x "$initdb" ] && return
	done
	return 1
}

has_chromium() {
	for browser in chromium chromium-browser google-chrome google-chrome-stable; do
		command -v "$browser" >/dev/null && return
	done
	return 1
}

has_database_url() {
	[ -n "${DATABASE_URL:-}${BURSAR_DATABASE_URL:-}" ] && return
	[ -f .env ] && grep -Eq '^[[:space:]]*(export[[:space:]]+)?(BURSAR_)?DATABASE_URL[[:space:]]*=[[:space:]]*[^[:space:]]' .env
}

for what in "$@"; do
	case $what in
	go)
		command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names, or later" >&2; exit 1; }
		;;
	node)
		if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
			echo "Node.js with npm is missing: the tests run real client libraries on it (on Debian: apt-get install nodejs npm)" >&2
			exit 1
		fi
		;;
	cc)
		command -v "${CC:-gcc}" >/dev/null || install "a C compiler" gcc libc6-dev
		;;
	postgres)
		has_postgres || install "the Postgres server" postgresql
		;;
	chromium)
		has_chromium || install "Chromium" chromium
		;;
	database)
		has_database_url || has_postgres || install "the Postgres server" postgresql
		;;
	*)
		echo "need.sh: unknown: $what" >&2
		exit 2
		;;
	esac
done
