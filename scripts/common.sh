# shellcheck shell=bash
# Sourced by the other scripts; never run by itself.
#
# Who does what: the invoking user may be root or not.  as_root does what needs
# root (installing), as_server what must not be root (PostgreSQL's programs
# refuse it, and the tests start them).

set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
OLDEST_MAJOR=15

# Options of the make that called us, and a user's connection defaults, would
# change what is built or reach another server.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
for variable in "${!PG@}"; do
	case $variable in PG_*) ;; *) unset "$variable" ;; esac
done

say()
{
	printf '==> %s\n' "$*"
}

die()
{
	printf 'error: %s\n' "$*" >&2
	exit 1
}

am_root()
{
	[ "$EUID" -eq 0 ]
}

have()
{
	command -v "$1" >/dev/null
}

# sudo may ask for a password, but only where somebody can type one.
can_be_root()
{
	am_root || { have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

as_root()
{
	if am_root; then "$@"; else sudo "$@"; fi
}

# setpriv and not su or runuser: it replaces itself by the command, so signals
# and exit status are the command's own.
as_server()
{
	if am_root; then
		setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all \
			env HOME=/tmp TMPDIR=/tmp USER=postgres LOGNAME=postgres "$@"
	else
		"$@"
	fi
}

# run_logged FILE COMMAND...: quiet, but a failure shows the end of its output.
run_logged()
{
	local log=$1 status=0

	shift
	# A subshell, so that what a trap of the script says does not go to the log.
	("$@") >"$log" 2>&1 </dev/null || status=$?
	[ "$status" -ne 0 ] || return 0
	tail -n 40 "$log" >&2
	printf 'error: this failed (the lines above are the end of its output): %s\n' "$*" >&2
	return "$status"
}

# The mirror of Debian that apt has on this machine.
mirror()
{
	# shellcheck disable=SC2016  # that is apt's to expand
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null |
		head -n 1
}

# ---- Which PostgreSQL -------------------------------------------------------

pg_major()
{
	"$1" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'
}

pg_supported()
{
	[ "$(pg_major "$1")" -ge "$OLDEST_MAJOR" ] 2>/dev/null
}

pg_has_server()
{
	local bindir program

	bindir=$("$1" --bindir 2>/dev/null) || return 1
	for program in postgres initdb pg_ctl psql pgbench; do
		[ -x "$bindir/$program" ] || return 1
	done
}

pg_has_headers()
{
	[ -e "$("$1" --pgxs 2>/dev/null)" ] &&
		[ -e "$("$1" --includedir-server 2>/dev/null)/postgres.h" ]
}

# Debian's /usr/bin/pg_config is a wrapper that speaks for the newest major it
# finds, or for the client library alone.  The program beside the server is meant.
pg_resolve()
{
	local bindir

	bindir=$("$1" --bindir 2>/dev/null) || return 1
	if [ -x "$bindir/pg_config" ]; then
		printf '%s\n' "$bindir/pg_config"
	else
		command -v "$1"
	fi
}

pg_candidates()
{
	pg_resolve pg_config || true
	find /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV
}

# Prints the pg_config to use: the one the user named, else the first with
# server and headers, else the first with a server; nothing if there is none.
find_pg_config()
{
	local candidate also

	if [ -n "${PG_CONFIG:-}" ] && [ "$PG_CONFIG" != pg_config ]; then
		pg_resolve "$PG_CONFIG" || printf '%s\n' "$PG_CONFIG"
		return
	fi
	for also in pg_has_headers true; do
		while read -r candidate; do
			if pg_supported "$candidate" && pg_has_server "$candidate" && $also "$candidate"; then
				printf '%s\n' "$candidate"
				return
			fi
		done < <(pg_candidates)
	done
}

# ---- Building ---------------------------------------------------------------

# PostgreSQL's calling convention has parameters that a function does not use.
# shellcheck disable=SC2034  # for the scripts that source this
STRICT="-Wall -Wextra -Werror -Wno-unused-parameter"

# The C files of this tree, as seen from its top
c_files()
{
	cd "$ROOT"
	find src test bench -name build -prune -o -name '*.[ch]' -print | sort
}

# A copy, and not the tree: objects made for another PostgreSQL or by another
# user would be in the way here, and ours there.
pack_sources()
{
	tar -C "$ROOT" -cf - --anchored \
		--exclude=./.git --exclude='./tmp_*' --exclude=./results \
		--exclude=./output_iso --exclude=./log \
		--exclude='./regression.*' --exclude=./test/unit/build --exclude=./test/fuzz/build \
		--no-anchored --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude='*.gcno' --exclude='*.gcda' .
}

copy_sources()
{
	mkdir -p "$1"
	pack_sources | tar -C "$1" -xf - --no-same-owner
	if am_root; then chown -R postgres: "$1"; fi
}

# Debian's PGXS also makes bitcode for the JIT compiler, with the clang that
# the headers' package brings; other packages of the headers may come without.
llvm_flag()
{
	local makefile clang

	makefile=$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global
	clang=$(sed -n 's/^CLANG[[:space:]]*=[[:space:]]*//p' "$makefile")
	have "${clang:-clang}" || echo with_llvm=no
}

# build_and_install DIRECTORY LOG [VARIABLE=VALUE...]
build_and_install()
{
	local dir=$1 log=$2 root=as_root
	local make=(make -s --no-print-directory -C "$dir" "PG_CONFIG=$PG_CONFIG")

	shift 2
	mapfile -t -O "${#make[@]}" make < <(llvm_flag)
	run_logged "$log" as_server "${make[@]}" "-j$(nproc)" "$@" all || return 1
	if [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]; then
		root=
	elif ! can_be_root; then
		die "installing into $("$PG_CONFIG" --pkglibdir) needs root, and there is no sudo for this user; run this as root, or name a PostgreSQL of your own with PG_CONFIG=/path/to/pg_config"
	fi
	run_logged "$log.install" $root "${make[@]}" "$@" install
}

# Prints the clang that has libFuzzer and the sanitizers, if there is one.
fuzzing_clang()
{
	local candidate program status=1

	program=$(mktemp)
	while read -r candidate; do
		if echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
			"$candidate" -x c -fsanitize=fuzzer,address,undefined -o "$program" - 2>/dev/null; then
			printf '%s\n' "$candidate"
			status=0
			break
		fi
	done < <(compgen -c clang | grep -E '^clang(-[0-9]+)?$' | sort -u)
	rm -f "$program"
	return "$status"
}

# ---- Private directories and the servers in them ----------------------------

# can_use DIRECTORY: may the user that runs the server pass through it?
can_use()
{
	as_server test -x "$1" 2>/dev/null
}

# The owner of a server's files runs it, and may look at it and stop it; root in
# a container may not be allowed to.
as_owner()
{
	local owner

	owner=$(stat -c '--reuid=%u --regid=%g' "$1")
	shift
	# shellcheck disable=SC2086  # two options
	if am_root; then setpriv $owner --clear-groups "$@"; else "$@"; fi
}

# Prints the process IDs of the servers that work below a directory, PostgreSQL's
# and the ZooKeeper and Prometheus servers and scripts of the tests; by their working directory,
# which is a server's data directory, because a process ID in a file may be
# another process's by now.
servers_below()
{
	local process

	[ -d "$1" ] || return 0
	as_owner "$1" find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1/*" -printf '%h\n' 2>/dev/null |
		while read -r process; do
			as_owner "$1" find "$process/exe" -maxdepth 0 \
				\( -lname '*/postgres*' -o -lname '*/java' -o -lname '*/python3*' -o -lname '*/prometheus*' \) \
				-printf '%h\n' 2>/dev/null || true
		done | sed 's,^/proc/,,'
}

# Stops what servers_below lists, at once: what they hold is thrown away.
stop_servers_below()
{
	local signal pids tries

	for signal in QUIT KILL; do
		for ((tries = 0; tries < 100; tries++)); do
			mapfile -t pids < <(servers_below "$1")
			[ "${#pids[@]}" -gt 0 ] || return 0
			# The shell's own kill: a small machine has no program of that name.
			[ "$tries" -ne 0 ] ||
				as_owner "$1" bash -c 'kill "$@"' bash "-$signal" "${pids[@]}" 2>/dev/null || true
			sleep 0.1
		done
	done
	return 1
}
