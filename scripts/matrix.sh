#!/bin/bash
# The tests under newer PostgreSQLs than this machine has, in a chroot.
#
#   scripts/matrix.sh [MAJOR...] [STEP...]    all majors and steps, or the named ones
#   scripts/matrix.sh MAJOR -- COMMAND...     runs that there, in a copy of the tree
#   scripts/matrix.sh clean                   removes the chroot
#
# The majors are 17, 18 and 19, from Debian's trixie, sid and experimental; a
# suite that the mirror has not, or that does not install today, is reported and
# is no failure, except for 17.  15 is there to be upgraded from: unless it is
# named, only that is tested.  The steps are those of scripts/test.sh: build unit
# regress isolation tap, and model when it is named.  Also when it is named:
#
#   packages   the Debian packages for all majors at once, built, installed beside
#              each other and tested by scripts/package.sh, in a copy of the chroot
#              with the compilers that the headers ask for; 5 GB while it runs
#
# A command has the major's PG_CONFIG, and /out to write to, where OUT=DIRECTORY names one.
#
#   PROVE_TESTS="test/t/001_preload.pl ..."   chooses TAP files
#   MATRIX_DIR=/some/where                    for the chroot, about 1 GB that is used
#                                             again; else below XDG_CACHE_HOME or /var/cache
#
# It must be run by root, on a Debian machine: its apt says which mirror to use.
# Where the chroot cannot be made the exit status is 77, and the last line why.

. "$(dirname "$0")/common.sh"

MAJORS=(19 18 17)		# the newest first, so that it is there to be upgraded to
OLD=15
STEPS=(build unit regress isolation tap)
CHROOT=${MATRIX_DIR:-${XDG_CACHE_HOME:-/var/cache}/snowflake-matrix}
MARK=etc/snowflake-matrix	# says that a directory is a chroot of this script
UPGRADE=test/t/114_horizon_upgrade.pl

skip()
{
	printf '%s\n' "$*"
	exit 77
}

# ---- The chroot -------------------------------------------------------------

mirror_has()
{
	/usr/lib/apt/apt-helper -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root \
		download-file "${MIRROR%/}/dists/$1/InRelease" "$TEMPORARY/InRelease" >/dev/null 2>&1
}

# Runs inside while the chroot is made.  The headers' packages ask for a clang
# and an LLVM each, which only bitcode needs: so they are unpacked, and no more.
install_majors()
{
	cat <<-'END'
		cd /tmp
		for major in 17 18 19 15; do
			for suite in "" "-t experimental"; do
				apt-get install -q -y --no-install-recommends $suite postgresql-$major && break
			done || continue
			rm -f postgresql-server-dev-*.deb
			apt-get download -q postgresql-server-dev-$major=$(dpkg-query -W -f '${Version}' postgresql-$major) ||
				apt-get download -q postgresql-server-dev-$major || continue
			dpkg -x postgresql-server-dev-$major*.deb /
		done
		rm -f postgresql-server-dev-*.deb
		exit 0
	END
}

# make_chroot DIRECTORY SUITE...: the first suite is what it consists of.
make_chroot()
{
	local dir=$1 suite sources=()

	shift
	for suite in "$@"; do sources+=("deb $MIRROR $suite main"); done
	install_majors >"$TEMPORARY/install"
	# shellcheck disable=SC2016  # $1 is for mmdebstrap's shell
	run_logged "$TEMPORARY/log" mmdebstrap --mode=root --variant=apt --format=directory \
		--include=make,gcc,libc6-dev,libpq-dev,libipc-run-perl,tini,libfaketime,libcmocka-dev,spin,libzookeeper-st-dev,locales \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--essential-hook='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
		--customize-hook="upload $TEMPORARY/install /tmp/install" \
		--customize-hook='chroot "$1" env DEBIAN_FRONTEND=noninteractive sh /tmp/install' \
		--customize-hook="echo '$*' >\"\$1/$MARK\"" \
		"$1" "$dir" "${sources[@]}" </dev/null
}

# Made beside its place and renamed, so that what is there is whole.
prepare_chroot()
{
	local suite suites=()

	[ ! -e "$CHROOT/$MARK" ] || return 0
	[ ! -e "$CHROOT" ] || die "$CHROOT is not a chroot of this script; choose another directory with MATRIX_DIR"
	"$ROOT/scripts/setup.sh" matrix || skip "mmdebstrap, which makes the chroot, cannot be installed"
	MIRROR=$(mirror)
	if [ -z "$MIRROR" ]; then
		apt-get update -q >/dev/null 2>&1 || true
		MIRROR=$(mirror)
	fi
	[ -n "$MIRROR" ] || skip "apt knows no mirror of Debian on this machine"
	for suite in sid experimental trixie bookworm; do
		if mirror_has "$suite"; then suites+=("$suite"); else say "The mirror has no suite $suite"; fi
	done
	[ "${#suites[@]}" -gt 0 ] || skip "the mirror of Debian that apt has cannot be reached"

	say "Making a chroot in $CHROOT from ${suites[*]}"
	if ! make_chroot "$CHROOT.new" "${suites[@]}"; then
		[[ " ${suites[*]} " == *" trixie "* ]] || skip "no chroot could be made from ${suites[*]}"
		say "Making it from trixie alone"
		rm -rf --one-file-system "$CHROOT.new"
		make_chroot "$CHROOT.new" trixie || skip "no chroot could be made from trixie"
	fi
	mv "$CHROOT.new" "$CHROOT"
}

# in_root DIRECTORY COMMAND...: the command has mounts and processes of its own;
# both end with it.
in_root()
{
	# shellcheck disable=SC2016  # that is the inner shell's to expand
	unshare --mount --pid --fork --kill-child --propagation private sh -ec '
		# A mount, so that what runs inside can have its own of the root directory.
		mount --bind "$1" "$1"
		cd "$1"
		shift
		mount -t proc proc proc
		mount -t tmpfs -o mode=755 tmpfs dev
		for n in null zero full random urandom tty; do
			: >dev/$n
			mount --bind /dev/$n dev/$n
		done
		ln -s /proc/self/fd dev/fd
		ln -s /proc/self/fd/0 dev/stdin
		ln -s /proc/self/fd/1 dev/stdout
		ln -s /proc/self/fd/2 dev/stderr
		mkdir dev/shm dev/pts
		mount -t tmpfs -o mode=1777 tmpfs dev/shm
		if [ -n "${OUT:-}" ]; then
			mkdir -p out
			mount --bind "$OUT" out
		fi
		exec chroot . tini -- "$@"' sh "$@" </dev/null
}

in_chroot()
{
	in_root "$CHROOT" "$@"
}

# ---- The tests --------------------------------------------------------------

pg_config_of()
{
	printf '/usr/lib/postgresql/%s/bin/pg_config' "$1"
}

# Is there a server with headers of this major in the chroot?
available()
{
	[ -x "$CHROOT/usr/lib/postgresql/$1/bin/postgres" ] &&
		[ -e "$CHROOT/usr/include/postgresql/$1/server/postgres.h" ] &&
		[ -e "$CHROOT/usr/lib/postgresql/$1/lib/pgxs/src/makefiles/pgxs.mk" ]
}

# row MAJOR RESULT...: a line of the table.
row()
{
	local line

	printf -v line '%-12s' "$1"
	shift
	printf -v line '%s%-17s' "$line" "$1"
	shift
	[ $# -eq 0 ] || printf -v line '%s%s' "$line" "$(printf ' %-16s' "$@")"
	TABLE+=("${line%"${line##*[! ]}"}")
}

# Runs scripts/test.sh for one major, shows and keeps its output, and adds the
# results of its steps to the table.
test_major()
{
	local major=$1 log=$TEMPORARY/$1.log version step line results=()

	shift
	printf '\n##### PostgreSQL %s\n\n' "$major"
	version=$(chroot "$CHROOT" "$(pg_config_of "$major")" --version </dev/null | awk '{ print $2 }')
	in_chroot env CI=true PG_CONFIG="$(pg_config_of "$major")" ${PROVE_TESTS:+"PROVE_TESTS=$PROVE_TESTS"} \
		"$INSIDE/scripts/test.sh" "$@" 2>&1 | tee -i "$log" || true
	for step in "${STEPS[@]}" leftovers; do
		line=$(sed -n '/^=== summary/,$p' "$log" | grep "^$step " || true)
		case $line in
			*" passed "*) PASSED=$((PASSED + 1)) ;;
			*" skipped "*) SKIPPED=$((SKIPPED + 1)) ;;
			*" FAILED "*) FAILED=$((FAILED + 1)) ;;
			*) line= ;;
		esac
		[ "$step" = leftovers ] || results+=("$(awk '{ print NF ? $2 " " $3 " " $4 : "-" }' <<<"$line")")
	done
	if ! grep -q '^[0-9]* passed, [0-9]* failed' "$log"; then
		results=("broke off")
		FAILED=$((FAILED + 1))
	fi
	row "$major" "$version" "${results[@]}"
}

run_command()
{
	local status=0

	available "$1" || die "there is no PostgreSQL $1 with headers in $CHROOT"
	# shellcheck disable=SC2016  # that is the inner shell's to expand
	in_chroot env PG_CONFIG="$(pg_config_of "$1")" sh -ec 'cd "$1"; shift; exec "$@"' sh "$INSIDE" \
		"${COMMAND[@]}" || status=$?
	exit "$status"
}

tests_upgrade()
{
	[[ " ${WANTED[*]} " == *" tap "* ]] && [[ "${PROVE_TESTS:-$UPGRADE}" == *"$UPGRADE"* ]]
}

# The packages that are built want all that the headers' packages ask for.  A
# major for which that is not to be had loses its headers, and is left out.
install_headers()
{
	cat <<-'END'
		apt-get update -q
		for major in 15 17 18 19; do
			[ -e /usr/include/postgresql/$major/server/postgres.h ] || continue
			apt-get install -q -y --no-install-recommends \
				postgresql-server-dev-$major=$(dpkg-query -W -f '${Version}' postgresql-$major) ||
				apt-get install -q -y --no-install-recommends postgresql-server-dev-$major ||
				rm -rf /usr/include/postgresql/$major
		done
	END
}

test_packages()
{
	local log=$TEMPORARY/packages.log check line major failed=$FAILED

	printf '\n##### packages\n\n'
	COPY=$CHROOT.packages
	rm -rf --one-file-system "$COPY"
	cp -a "$CHROOT" "$COPY"
	run_logged "$log" in_root "$COPY" env DEBIAN_FRONTEND=noninteractive sh -c "$(install_headers)"
	in_root "$COPY" env TMPDIR=/tmp "$INSIDE/scripts/package.sh" deb installed 2>&1 | tee -i "$log" || true
	for check in deb installed; do
		line=$(sed -n '/^=== summary/,$p' "$log" | grep "^$check " || echo "$check broke off")
		case $line in
			*" passed") PASSED=$((PASSED + 1)) ;;
			*" skipped "*) SKIPPED=$((SKIPPED + 1)) ;;
			*) FAILED=$((FAILED + 1)) ;;
		esac
		row packages "$line"
	done
	# The others must not be missed only because fewer were tried.
	for major in "${MAJORS[@]}" "$OLD"; do
		if grep -q "^postgresql-$major-snowflake-zookeeper_.*\.deb$" "$log"; then
			row "  for $major" "made"
		elif [ "$major" = 17 ]; then
			row "  for $major" "not made"
			FAILED=$((FAILED + 1))
		else
			row "  for $major" "not made"
			SKIPPED=$((SKIPPED + 1))
		fi
	done
	if [ "$FAILED" -gt "$failed" ]; then
		row packages "The files are kept below $COPY/tmp"
		COPY=
	fi
}

# What an older tree has left there must not be taken for the library of this one.
forget_libraries()
{
	rm -f "$CHROOT"/usr/lib/postgresql/*/lib/snowflake*.so \
		"$CHROOT"/usr/share/postgresql/*/extension/snowflake*
}

finish()
{
	local status=$?

	trap - EXIT
	rm -rf "$TEMPORARY"
	[ -z "$COPY" ] || rm -rf --one-file-system "$COPY"
	[ -z "$INSIDE" ] || rm -rf "${CHROOT:?}$INSIDE"
	exit "$status"
}

# ---- The run ----------------------------------------------------------------

INSIDE=
COPY=
PACKAGES=no
WANTED=()
NAMED=()
COMMAND=()
for word in "$@"; do
	if [ "${#COMMAND[@]}" -gt 0 ]; then
		COMMAND+=("$word")
	elif [ "$word" = -- ]; then
		COMMAND=(env)
	elif [[ " ${MAJORS[*]} $OLD " == *" $word "* ]]; then
		NAMED+=("$word")
	elif [[ " ${STEPS[*]} model clean " == *" $word "* ]]; then
		WANTED+=("$word")
	elif [ "$word" = packages ]; then
		PACKAGES=yes
	else
		die "there is no major or step $word; the majors are ${MAJORS[*]} $OLD, the steps ${STEPS[*]} model packages"
	fi
done

[ "${#COMMAND[@]}" -ne 1 ] || die "no command after --"
[ "${#COMMAND[@]}" -eq 0 ] || { [ "${#NAMED[@]}" -eq 1 ] && [ "${#WANTED[@]}" -eq 0 ]; } ||
	die "a command wants one major, and no steps"
OUT=${OUT:+$(realpath "$OUT")}
export OUT

am_root || skip "this needs root, since it makes a chroot and mounts in it"
if [ "${WANTED[*]}" = clean ]; then
	[ ! -e "$CHROOT" ] || [ -e "$CHROOT/$MARK" ] || die "$CHROOT is not a chroot of this script"
	rm -rf --one-file-system "$CHROOT" "$CHROOT.packages"
	exit
fi
have apt-get || skip "this machine has no apt-get, whose mirror the chroot would be made from"
unshare --mount --pid --fork true 2>/dev/null || skip "this machine does not let root have mounts of its own"

mkdir -p "${CHROOT%/*}"
exec 9>"$CHROOT.lock"
flock 9
TEMPORARY=$(mktemp -d)
chmod 755 "$TEMPORARY"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
TESTED=("${MAJORS[@]}" "$OLD")
if [ "${#WANTED[@]}" -gt 0 ]; then
	[[ " ${WANTED[*]} " != *" model "* ]] || STEPS+=(model)
elif [ "$PACKAGES" = yes ]; then
	TESTED=()
else
	WANTED=("${STEPS[@]}")
fi

prepare_chroot
say "The chroot is $CHROOT ($(cat "$CHROOT/$MARK"))"
cat /etc/resolv.conf >"$CHROOT/etc/resolv.conf"
forget_libraries
INSIDE=/tmp/$(basename "$(mktemp -d "$CHROOT/tmp/snowflake-matrix.XXXXXX")")
chmod 755 "$CHROOT$INSIDE"
pack_sources | tar -C "$CHROOT$INSIDE" -xf - --no-same-owner
[ "${#COMMAND[@]}" -eq 0 ] || run_command "${NAMED[0]}"

TABLE=()
PASSED=0
FAILED=0
SKIPPED=0
[ "${#TESTED[@]}" -eq 0 ] || row PostgreSQL "" "${STEPS[@]}"
for major in "${TESTED[@]}"; do
	named=no
	[[ " ${NAMED[*]} " != *" $major "* ]] || named=yes
	if [ "$named" = no ] && [ "${#NAMED[@]}" -gt 0 ]; then
		# one that may be upgraded to
		if [ "$major" -gt "${NAMED[0]}" ] && available "$major" && tests_upgrade; then test_major "$major" build; fi
	elif ! available "$major"; then
		row "$major" "not available"
		if [ "$major" = 17 ]; then FAILED=$((FAILED + 1)); else SKIPPED=$((SKIPPED + 1)); fi
	elif [ "$major" = "$OLD" ] && [ "$named" = no ]; then
		if tests_upgrade; then PROVE_TESTS=$UPGRADE test_major "$major" build tap; fi
	else
		test_major "$major" "${WANTED[@]}"
	fi
done

tests_failed=$FAILED
[ "$PACKAGES" = no ] || test_packages

printf '\n##### summary\n\n'
printf '%s\n' "${TABLE[@]}"
[ "${#NAMED[@]}" -gt 0 ] || ! tests_upgrade || printf '(tap under %s: only the upgrade to a newer one)\n' "$OLD"
if [ "$tests_failed" -gt 0 ]; then printf '\nThe files of what failed are kept below %s\n' "$CHROOT/tmp"; fi
printf '\n%d passed, %d failed' "$PASSED" "$FAILED"
if [ "$SKIPPED" -gt 0 ]; then printf ', %d skipped' "$SKIPPED"; fi
printf '\n'
[ "$FAILED" -eq 0 ]
