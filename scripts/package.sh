#!/bin/bash
# What is handed out: the archive of a release, and the Debian packages.
# Installs what is missing, and changes nothing else of the system.
#
#   scripts/package.sh [CHECK...]    all of these, or the named ones:
#
#   meta       META.json, as PGXN's specification has it
#   dist       the archive that make dist makes of the last commit is complete, and builds
#   destdir    make install DESTDIR=... and uninstall
#   elsewhere  PG_CONFIG of a PostgreSQL in another place, by a user who owns it
#   deb        Debian packages for each PostgreSQL that is here, seen by lintian
#   installed  these packages installed in a layer over the system that goes
#              away with it, and tested by autopkgtest; needs root
#
# KEEP=DIRECTORY in the environment keeps the archive and the packages there.

. "$(dirname "$0")/common.sh"

CHECKS=(meta dist destdir elsewhere deb installed)
SUMMARY=()
FAILED=0

# ---- Used by the checks -----------------------------------------------------

# Standard input must be as expected; shows what is not.
same_as()
{
	diff -u --label expected --label found <(printf '%s' "${1:+$1$'\n'}" | sort) <(sort)
}

make_in()
{
	local dir=$1

	shift
	as_server make -s --no-print-directory -C "$dir" "PG_CONFIG=$PG_CONFIG" "$@"
}

files_below()
{
	(cd "$1" && find . ! -type d -printf '%P\n')
}

# What make install installs, but for bitcode, as paths without the first slash.
installed_files()
{
	local name major library share doc

	library=$("$PG_CONFIG" --pkglibdir)
	share=$("$PG_CONFIG" --sharedir)
	doc=$("$PG_CONFIG" --docdir)
	for name in snowflake snowflake_zookeeper; do
		printf '%s\n' "$library/$name.so" "$share/extension/$name.control" \
			"$share/extension/$name--$VERSION.sql"
	done | sed 's,^/,,'
	echo "${doc#/}/extension/README.md"
}

# The PostgreSQLs of Debian's packages that are here with their headers
majors_here()
{
	local candidate

	for candidate in /usr/lib/postgresql/*/bin/pg_config; do
		if pg_supported "$candidate" && pg_has_server "$candidate" && pg_has_headers "$candidate"; then
			pg_major "$candidate"
		fi
	done | sort -n
}

# ---- The checks: each prints what is wrong and then fails; 77 skips ---------

check_meta()
{
	"$ROOT/scripts/check_meta.pl" "$ROOT"
}

check_dist()
{
	local dist=$DIR/dist name=snowflake-$VERSION

	if [ ! -e "$ROOT/.git" ]; then
		echo "this is no checkout of the repository"
		return 77
	fi
	mkdir "$dist"
	make -s -C "$ROOT" dist "DISTDIR=$dist"
	(cd "$dist" && find . -type f -printf '%P\n') | same_as "$name.tar.gz
$name.zip"
	tar -C "$dist" --no-same-owner -xzf "$dist/$name.tar.gz"
	if am_root; then chown -R postgres: "$dist"; fi
	files_below "$dist/$name" | same_as "$(git -C "$ROOT" ls-tree -r --name-only HEAD)"
	python3 -c 'import sys, zipfile; print("\n".join(n for n in zipfile.ZipFile(sys.argv[1]).namelist() if n[-1] != "/"))' \
		"$dist/$name.zip" | same_as "$(cd "$dist" && find "$name" -type f)"
	"$ROOT/scripts/check_meta.pl" "$dist/$name"

	# A tree without a repository builds, and a directory above it that is one does not count.
	run_logged "$DIR/dist.log" make_in "$dist/$name" with_llvm=no "-j$(nproc)" all install "DESTDIR=$dist/root"
	files_below "$dist/root" | same_as "$(installed_files)"
	! make_in "$dist/$name" dist 2>/dev/null || { echo "make dist works without a repository"; false; }
	echo "$name.tar.gz and $name.zip"
}

check_destdir()
{
	local root=$DIR/destdir

	run_logged "$DIR/destdir.log" make_in "$WORK" with_llvm=no "-j$(nproc)" all
	run_logged "$DIR/destdir.log" make_in "$WORK" with_llvm=no install "DESTDIR=$root"
	files_below "$root" | same_as "$(installed_files)"
	run_logged "$DIR/destdir.log" make_in "$WORK" with_llvm=no uninstall "DESTDIR=$root"
	files_below "$root" | same_as ''
}

# PostgreSQL finds its files from where its programs are, so a copy of it is a
# PostgreSQL in another place.
check_elsewhere()
{
	local major bindir prefix place=$DIR/elsewhere/usr

	major=$(pg_major "$PG_CONFIG")
	bindir=$("$PG_CONFIG" --bindir)
	prefix=${bindir%"/lib/postgresql/$major/bin"}
	if [ "$prefix" = "$bindir" ]; then
		echo "the PostgreSQL of $PG_CONFIG has not the places of Debian's"
		return 77
	fi
	mkdir -p "$place/lib/postgresql" "$place/share/postgresql"
	cp -a "$prefix/lib/postgresql/$major" "$place/lib/postgresql/"
	cp -a "$prefix/share/postgresql/$major" "$place/share/postgresql/"
	find "$place" -name 'snowflake*' -prune -exec rm -r {} +
	ln -s "$prefix/include" "$place/include"
	find "$prefix/lib" -maxdepth 1 -name '*-linux-gnu*' -exec ln -s -t "$place/lib" {} +
	if am_root; then chown -R -h postgres: "$DIR/elsewhere"; fi

	local PG_CONFIG=$place/lib/postgresql/$major/bin/pg_config
	run_logged "$DIR/elsewhere.log" make_in "$WORK" with_llvm=no clean
	run_logged "$DIR/elsewhere.log" make_in "$WORK" with_llvm=no "-j$(nproc)" all install
	(cd / && find "$place" ! -type d -name 'snowflake*' -printf '%P\n') |
		same_as "$(installed_files | grep -v '/README\.md$' | sed "s,^${place#/}/,,")"
	run_logged "$DIR/elsewhere.log" make_in "$WORK" installcheck REGRESS=setup ISOLATION= TAP_TESTS=
	grep -E '^ok 1 |^test setup .* ok ' "$DIR/elsewhere.log"
}

# The orig archive is of this tree, committed or not, so that what is being
# worked on is tested.
check_deb()
{
	local source=$DIR/deb/snowflake-$VERSION major package version

	version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$ROOT/debian/changelog")
	copy_sources "$source"
	if am_root; then chown postgres: "$DIR/deb"; fi
	as_server tar -C "$DIR/deb" --exclude="snowflake-$VERSION/debian" -czf "$DIR/deb/snowflake_$VERSION.orig.tar.gz" \
		"snowflake-$VERSION"

	cd "$source"
	# What is committed is for the PostgreSQL of Debian's stable release.
	[ "${MAJORS[*]}" != 15 ] ||
		as_server pg_buildext checkcontrol
	as_server pg_buildext updatecontrol
	run_logged "$DIR/deb.log" as_server dpkg-buildpackage -us -uc
	! grep -F 'warning: ' "$DIR/deb.log" | grep -vF 'dpkg-shlibdeps: warning: ' || false

	cd "$DIR/deb"
	for major in "${MAJORS[@]}"; do
		for package in "postgresql-$major-snowflake" "postgresql-$major-snowflake-zookeeper"; do
			ls -1 "${package}_${version}_$(dpkg --print-architecture).deb"
		done
	done
	# The version of the policy is the one that the oldest release knows.
	as_server lintian -I --fail-on error,warning,info --suppress-tags out-of-date-standards-version "snowflake_${version}_$(dpkg --print-architecture).changes"
}

# A layer over the root directory, in memory and in a namespace of its own: what
# is installed in it, and what runs in it, is gone when the command ends.
in_layer()
{
	# shellcheck disable=SC2016  # for the inner shell
	as_root unshare --mount --pid --fork --kill-child --propagation private sh -euc '
		shared=$1
		shift
		layer=$(mktemp -d)
		mount -t tmpfs layer "$layer"
		mkdir "$layer/upper" "$layer/work" "$layer/root"
		mount -t overlay layer -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
		mount -t proc proc "$layer/root/proc"
		mount --rbind /dev "$layer/root/dev"
		mkdir -p "$layer/root$shared"
		mount --bind "$shared" "$layer/root$shared"
		exec chroot "$layer/root" "$@"' sh "$DIR" "$@"
}

# A package like pgEdge's, with the file that both have, cannot come beside ours.
refused_beside()
{
	local major=$1 theirs=pgedge-postgresql-$1-snowflake dir=$DIR/theirs

	rm -rf "$dir"
	mkdir -p "$dir/DEBIAN" "$dir/usr/share/postgresql/$major/extension"
	echo "# another extension of this name" >"$dir/usr/share/postgresql/$major/extension/snowflake.control"
	printf '%s\n' "Package: $theirs" "Version: 2.4-1" "Architecture: all" "Maintainer: nobody <nobody@localhost>" \
		"Description: stands in for another package" >"$dir/DEBIAN/control"
	dpkg-deb --root-owner-group --build "$dir" "$DIR/$theirs.deb" >/dev/null
	if ! in_layer sh -ec "dpkg -i '$DIR/deb/postgresql-$major-snowflake_'*.deb && ! dpkg -i '$DIR/$theirs.deb'" \
		>"$DIR/theirs.log" 2>&1 ||
		! grep "postgresql-$major-snowflake conflicts with $theirs" "$DIR/theirs.log"; then
		tail -n 20 "$DIR/theirs.log"
		return 1
	fi
}

check_installed()
{
	local before status=0 major

	if ! compgen -G "$DIR/deb/*.deb" >/dev/null; then
		echo "the packages were not built"
		return 77
	fi
	if ! can_be_root || ! in_layer true 2>/dev/null; then
		echo "no layer can be mounted here; this needs root, and a kernel and container that allow it"
		return 77
	fi
	before=$(dpkg-query -W)
	rm -f "$DIR"/deb/*-dbgsym_*.deb
	run_logged "$DIR/installed.log" in_layer autopkgtest --no-built-binaries "$DIR"/deb/*.deb \
		"$DIR"/deb/snowflake_*.dsc -- null || status=$?
	sed -n '/@@ summary/,/^autopkgtest/p' "$DIR/installed.log" | grep -E '^(installcheck|smoke) ' || status=1
	for major in "${MAJORS[@]}"; do
		refused_beside "$major" || status=1
	done
	dpkg-query -W | same_as "$before" || status=1
	return "$status"
}

# ---- Running them -----------------------------------------------------------

finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	stop_servers_below "$DIR" || die "a server in $DIR does not stop"
	if [ -n "${KEEP:-}" ]; then
		find "$DIR/dist" "$DIR/deb" -maxdepth 1 -type f -exec cp -t "$KEEP" {} + 2>/dev/null || true
	fi
	if [ "$status" -eq 1 ]; then
		printf '\nThe files of this run are kept in %s\n' "$DIR"
	else
		rm -rf "$DIR" 2>/dev/null || as_root rm -rf "$DIR"
	fi
	exit "$status"
}

WANTED=("$@")
[ $# -gt 0 ] || WANTED=("${CHECKS[@]}")
for check in "${WANTED[@]}"; do
	[[ " ${CHECKS[*]} " == *" $check "* ]] || die "there is no check $check; the checks are: ${CHECKS[*]}"
done
if [ -n "${KEEP:-}" ]; then KEEP=$(realpath -e "$KEEP"); fi

PG_CONFIG=$("$ROOT/scripts/setup.sh" package)
VERSION=$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$ROOT/snowflake.control")
mapfile -t MAJORS < <(majors_here)
export DEB_PG_SUPPORTED_VERSIONS="${MAJORS[*]}"

DIR=$(mktemp -d "${TMPDIR:-/tmp}/snowflake-package.XXXXXX")
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
WORK=$DIR/tree
copy_sources "$WORK"
if am_root; then chown postgres: "$DIR"; fi

for check in "${WANTED[@]}"; do
	printf '\n=== %s\n\n' "$check"
	# A subshell of its own, not in a condition, so that set -e holds in the check.
	set +e
	(set -e; "check_$check") 2>&1 | tee -i "$DIR/$check.out"
	status=${PIPESTATUS[0]}
	set -e
	result=passed
	case $status in
		0) ;;
		77) result="skipped   $(tail -n 1 "$DIR/$check.out")" ;;
		*)
			result=FAILED
			FAILED=$((FAILED + 1))
			;;
	esac
	SUMMARY+=("$(printf '%-10s %s' "$check" "$result")")
done
printf '\n=== summary\n\n'
printf '%s\n' "${SUMMARY[@]}"
[ "$FAILED" -eq 0 ]
