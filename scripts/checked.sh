#!/bin/bash
# The tests under a server that looks closer.
#
#   scripts/checked.sh assert [STEP...]      assertions of PostgreSQL and of the library
#   scripts/checked.sh asan [STEP...]        AddressSanitizer and UndefinedBehaviorSanitizer
#   scripts/checked.sh valgrind [STEP...]    valgrind, which is told of PostgreSQL's memory
#                                            contexts; everything takes many times as long
#
# The steps are those of scripts/test.sh, regress isolation tap if none is named;
# PROVE_TESTS chooses TAP files.  Without it, under asan, they are those that fake
# no clock, with which it does not go together, and build no library of their own.
# The server is PostgreSQL 15 or SOURCE_MAJOR, built from Debian's sources with
# assertions, and kept in CHECKED_DIR, else below XDG_CACHE_HOME or /var/cache.
# A finding makes the server abort, or is in the log of valgrind, and the run fails.
#
# From 17 on a server need not preload the library.  What concerns that:
#
#   SOURCE_MAJOR=18 PROVE_TESTS="test/t/001_preload.pl test/t/002_settings.pl
#       test/t/003_concurrent.pl test/t/011_replaced.pl" scripts/checked.sh asan tap
#   SOURCE_MAJOR=18 LATE=yes scripts/checked.sh valgrind regress isolation

. "$(dirname "$0")/common.sh"

MAJOR=${SOURCE_MAJOR:-15}
SERVER=${CHECKED_DIR:-${XDG_CACHE_HOME:-/var/cache}/snowflake-checked}/$MAJOR
SANITIZERS="-fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1"

# ---- The server -------------------------------------------------------------

# Sources of the packages that apt already knows, else of the first release of
# Debian that has this major, without changing apt's lists.
# shellcheck disable=SC2317  # called by run_logged
fetch_sources()
{
	local lists=$1/lists mirror suite file version versions=

	mkdir -p "$lists/state" "$lists/parts" "$lists/cache/archives/partial"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
		[ -e "$file" ] || continue
		sed -e 's/^Types: deb$/Types: deb-src/' -e 's/^deb /deb-src /' "$file" >"$lists/parts/${file##*/}"
	done
	apt_options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$lists/parts"
		-o "Dir::State::Lists=$lists/state" -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=root)
	mirror=$(mirror)
	for suite in "" ${mirror:+trixie sid experimental}; do
		[ -z "$suite" ] ||
			echo "deb-src [check-valid-until=no] $mirror $suite main" >"$lists/parts/$suite.list"
		apt-get "${apt_options[@]}" update -q
		versions=$(apt-cache "${apt_options[@]}" madison "postgresql-$MAJOR" |
			awk '/Sources/ { print $3 }' | sort -u -V -r)
		[ -z "$versions" ] || break
	done
	cd "$1"
	# The newest may be gone from where the lists say that it is.
	for version in $versions; do
		apt-get "${apt_options[@]}" source -q --download-only "postgresql-$MAJOR=$version" && break
	done
	mkdir tree
	tar -C tree --strip-components=1 -xf "postgresql-$MAJOR"_*.orig.tar.*
}

# shellcheck disable=SC2317  # called by run_logged
build_server()
{
	cd "$1/tree"
	./configure --quiet --prefix="$SERVER" --enable-cassert --enable-debug --enable-tap-tests \
		--without-readline --without-zlib --without-icu \
		CPPFLAGS=-DUSE_VALGRIND CFLAGS="-O1 -g -fno-omit-frame-pointer"
	make -s "-j$(nproc)"
	make -s install "DESTDIR=$SERVER.new"
	make -s -C src/test/isolation install "DESTDIR=$SERVER.new"
	cp src/tools/valgrind.supp "$SERVER.new$SERVER/"
}

# The program by which a server is started: chooses by SNOWFLAKE_CHECK what looks
# at it.  Under AddressSanitizer a program with libfaketime never begins.
# shellcheck disable=SC2317  # called by wrap
write_postgres()
{
	cat <<'END'
#!/bin/sh
bin=$(dirname "$0")
case "${SNOWFLAKE_CHECK:-}" in
	asan)
		case "${LD_PRELOAD:-}" in
			*libfaketime*)
				echo "the clock cannot be faked under AddressSanitizer" >&2
				exit 1
				;;
		esac
		LD_PRELOAD="$(gcc -print-file-name=libasan.so | xargs realpath)${LD_PRELOAD:+ $LD_PRELOAD}"
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
		UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
		export LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS
		exec "$bin/postgres-checked" "$@"
		;;
	valgrind)
		case "$*" in *--single* | *--boot* | *--check* | -V | -C*) exec "$bin/postgres-checked" "$@" ;; esac
		exec valgrind --quiet --leak-check=no --suppressions="$SNOWFLAKE_SUPPRESSIONS" --trace-children=yes \
			--log-file="$SNOWFLAKE_VALGRIND/%p.log" --error-markers=VALGRINDERROR-BEGIN,VALGRINDERROR-END \
			"$bin/postgres-checked" "$@"
		;;
esac
exec "$bin/postgres-checked" "$@"
END
}

# A restart starts what the server says that it is; let that be the wrapper.
# shellcheck disable=SC2317  # called by wrap
write_pg_ctl()
{
	cat <<'END'
#!/bin/sh
data=${PGDATA:-}
before=
for argument; do
	case $before in -D | --pgdata) data=$argument ;; esac
	before=$argument
done
[ ! -e "$data/postmaster.opts" ] || sed -i 's,/postgres-checked ,/postgres ,' "$data/postmaster.opts"
exec "$(dirname "$0")/pg_ctl-checked" "$@"
END
}

# wrap PROGRAM WRITER: puts what the writer prints in the program's place.
wrap()
{
	mv "$1" "$1-checked"
	"$2" >"$1"
	chmod 755 "$1"
}

# Installed beside its place and renamed; its programs look for libraries where
# it will be.
prepare_server()
{
	[ ! -x "$SERVER/bin/pg_ctl-checked" ] || return 0
	say "Building PostgreSQL $MAJOR with assertions in $SERVER"
	"$ROOT/scripts/setup.sh" checked
	rm -rf "$SERVER.new"
	mkdir -p "$SERVER.new"
	run_logged "$TEMPORARY/sources.log" fetch_sources "$TEMPORARY" || die "the sources cannot be had"
	run_logged "$TEMPORARY/build.log" build_server "$TEMPORARY" || die "the server cannot be built"
	wrap "$SERVER.new$SERVER/bin/postgres" write_postgres
	wrap "$SERVER.new$SERVER/bin/pg_ctl" write_pg_ctl
	mv "$SERVER.new$SERVER" "$SERVER"
	rm -rf "$SERVER.new"
}

# ---- The run ----------------------------------------------------------------

CHECK=${1:-}
case $CHECK in
	assert | asan | valgrind) shift ;;
	*) die "usage: scripts/checked.sh assert | asan | valgrind [STEP...]" ;;
esac
[ $# -gt 0 ] || set -- regress isolation tap

TEMPORARY=$(mktemp -d)
chmod 755 "$TEMPORARY"
trap 'rm -rf "$TEMPORARY"' EXIT
prepare_server

# Whoever runs the servers writes there.
mkdir -m 1777 "$TEMPORARY/valgrind"
export SNOWFLAKE_VALGRIND=$TEMPORARY/valgrind SNOWFLAKE_SUPPRESSIONS=$SERVER/valgrind.supp
export SNOWFLAKE_CHECK=$CHECK PG_CONFIG=$SERVER/bin/pg_config
if [ "$CHECK" = asan ]; then
	export COPT=$SANITIZERS
	if [ -z "${PROVE_TESTS:-}" ]; then
		cd "$ROOT"
		PROVE_TESTS=$(grep -LE 'fake_clock|snowflake(_zookeeper)?\.so' test/t/*.pl | tr '\n' ' ')
		export PROVE_TESTS
	fi
fi
[ "$CHECK" != valgrind ] || export PG_TEST_TIMEOUT_DEFAULT=1800 PGCTLTIMEOUT=600 SNOWFLAKE_SLOWNESS=4
status=0
"$ROOT/scripts/test.sh" "$@" || status=$?

if [ "$CHECK" = valgrind ]; then
	logs=$(find "$TEMPORARY/valgrind" -type f | wc -l)
	findings=$(cat "$TEMPORARY/valgrind"/* 2>/dev/null | grep -c VALGRINDERROR-BEGIN || true)
	[ "$findings" -eq 0 ] || cat "$TEMPORARY/valgrind"/*
	printf '\nvalgrind looked at %d processes and found %d errors\n' "$logs" "$findings"
	if [ "$findings" -gt 0 ] || [ "$logs" -eq 0 ]; then status=1; fi
fi
exit "$status"
