#!/bin/bash
# Installs what is missing on a Debian machine, and nothing where all is there.
#
#   scripts/setup.sh demo    what building and running the extension wants
#   scripts/setup.sh test    that, and what the tests want
#   scripts/setup.sh examples that, and what the examples want: poolers, drivers, Java
#   scripts/setup.sh lint    what building and looking at the sources wants
#   scripts/setup.sh fuzz    what fuzzing wants, which is no PostgreSQL
#   scripts/setup.sh compare what building and the comparison want
#   scripts/setup.sh checked what building a server from sources wants
#   scripts/setup.sh matrix  what making a chroot with other PostgreSQLs wants
#   scripts/setup.sh package what making and testing packages wants
#
# Prints the pg_config to use, where a PostgreSQL is wanted; everything else it
# says goes to standard error.
# PG_CONFIG in the environment chooses the PostgreSQL, and OPTIONAL_PACKAGES=no
# leaves out the packages without which only some tests are skipped.

. "$(dirname "$0")/common.sh"

exec 3>&1 >&2

MISSING=()		# packages to install
OPTIONAL=()		# packages without which a test is skipped
declare -A OPTIONAL_WHY=()
REASONS=()		# a line for each package that is missing

# want PACKAGE WHY CHECK...: the package is missing when the check fails.
want()
{
	local package=$1 why=$2

	shift 2
	"$@" >/dev/null 2>&1 && return
	MISSING+=("$package")
	REASONS+=("$package: $why")
}

# The same for a package that may be missing where it is not to be had.
want_optional()
{
	local package=$1 why=$2

	shift 2
	[ "${OPTIONAL_PACKAGES:-yes}" = yes ] || return 0
	"$@" >/dev/null 2>&1 && return
	OPTIONAL+=("$package")
	OPTIONAL_WHY[$package]=$why
}

want_for_build()
{
	want gcc "compiles the library" have gcc
	want libc6-dev "headers of the C library" test -e /usr/include/stdlib.h
	want make "runs the build" have make
}

want_for_test()
{
	want tini "reaps the servers that the tests kill" have tini
	want perl "runs the TAP tests" have prove
	want libipc-run-perl "used by PostgreSQL's TAP modules" perl -MIPC::Run -e 1
	want libfaketime "sets the clock of a test's server" \
		bash -c 'compgen -G "/usr/lib/*/faketime/libfaketime.so.1"'
	want libcmocka-dev "framework of the unit tests" test -e /usr/include/cmocka.h
	[[ " ${WITH:-} " != *" coverage "* ]] || want lcov "says which lines were run" have lcov
	want_optional spin "checks the model of the generator" have spin
	want_optional zookeeper "servers for the tests of leased node IDs" \
		bash -c 'command -v java && test -e /usr/share/java/zookeeper.jar'
	want_optional python3-kazoo "a ZooKeeper client for those tests" \
		/usr/bin/python3 -c 'import kazoo'
	# Not beside the other flavour, which it would replace.
	want_optional libzookeeper-st-dev "builds the module that leases node IDs" \
		test -e /usr/include/zookeeper/zookeeper.h
}

# Each is there for one example or one client.
want_for_examples()
{
	local jars=/usr/share/java python=/usr/bin/python3

	want_for_test
	want_optional pgbouncer "pools connections" have pgbouncer
	want_optional patroni "lets a standby take over" have patroni
	want_optional libslf4j-java "writes ZooKeeper's log" test -e "$jars/slf4j-simple.jar"
	want_optional iproute2 "cuts a host off the network" have ip
	want_optional python3-psycopg "a client: psycopg, and the load of PgBouncer" "$python" -c 'import psycopg'
	want_optional python3-psycopg2 "driver of SQLAlchemy and Django" "$python" -c 'import psycopg2'
	want_optional python3-sqlalchemy "a client: SQLAlchemy" "$python" -c 'import sqlalchemy'
	want_optional python3-django "a client: Django" "$python" -c 'import django'
	want_optional libpq-dev "a client: libpq" test -e /usr/include/postgresql/libpq-fe.h
	want_optional libpostgresql-jdbc-java "a client: JDBC" test -e "$jars/postgresql.jar"
	want_optional default-jdk-headless "compiles the client of JDBC" have javac
	want_optional nodejs "clients: node-postgres and Knex" have node
	want_optional npm "installs node-postgres and Knex where the example runs" have npm
}

want_for_lint()
{
	want perl "used by the formatter" have perl
	want pg-bsd-indent "formats C as PostgreSQL does" have pg_bsd_indent
	want shellcheck "looks at shell scripts" have shellcheck
	want cppcheck "looks at C files" have cppcheck
	want clang-tidy "looks at C files" have clang-tidy
	want libcmocka-dev "headers that the unit tests include" test -e /usr/include/cmocka.h
	# Not beside the other flavour, which it would replace.
	want libzookeeper-st-dev "headers of the module that leases node IDs" \
		test -e /usr/include/zookeeper/zookeeper.h
}

want_for_fuzz()
{
	want clang "compiles the fuzz targets" fuzzing_clang
	want libclang-rt-dev "libFuzzer, which runs them" fuzzing_clang
}

want_for_compare()
{
	want tini "reaps the servers that the comparison kills" have tini
	want python3 "makes the tables" have python3
	want gnuplot-nox "draws the charts" have gnuplot
	want util-linux-extra "says what is in the cache of the system" have fincore
}

want_for_checked()
{
	want valgrind "headers for the server, and what looks at it" test -e /usr/include/valgrind/memcheck.h
	want bzip2 "unpacks the sources" have bzip2
	want perl "used by the build" have perl
	# from PostgreSQL 17 on
	want bison "used by the build" have bison
	want flex "used by the build" have flex
}

want_for_matrix()
{
	want mmdebstrap "makes a chroot" have mmdebstrap
	want util-linux "runs commands in it" have unshare
}

want_for_package()
{
	want git "makes the archive" have git
	want perl "checks META.json" have perl
	want python3 "looks into the archive" have python3
	want dpkg-dev "builds Debian packages" have dpkg-buildpackage
	want build-essential "asked for by dpkg-buildpackage" dpkg --verify build-essential
	want debhelper "builds Debian packages" have dh
	want lintian "looks at Debian packages" have lintian
	want autopkgtest "tests Debian packages" have autopkgtest
	want mount "mounts the layer that they are installed in" have mount
	want postgresql-server-dev-all "builds Debian packages for each PostgreSQL" \
		dpkg --verify postgresql-server-dev-all
	# Not beside the other flavour, which it would replace.
	want libzookeeper-st-dev "builds the module that leases node IDs" \
		test -e /usr/include/zookeeper/zookeeper.h
}

# want_postgresql MAJOR: the server and its headers, as Debian packages them.
want_postgresql()
{
	local bin=/usr/lib/postgresql/$1/bin

	want "postgresql-$1" "the PostgreSQL server" pg_has_server "$bin/pg_config"
	want "postgresql-server-dev-$1" "headers of the server, and the clang that they ask for" \
		pg_has_headers "$bin/pg_config"
}

# Extensions of others that tests and examples use, for a server that a package
# brought.
want_extensions()
{
	want_optional "postgresql-$1-partman" "makes partitions by time" \
		test -e "/usr/share/postgresql/$1/extension/pg_partman.control"
	[ "$MODE" = examples ] || return 0
	want_optional "postgresql-$1-wal2json" "writes changes as JSON" test -e "/usr/lib/postgresql/$1/lib/wal2json.so"
	# Later versions replicate both ways by themselves.
	[ "$1" -ge 16 ] || want_optional "postgresql-$1-pglogical" "replicates both ways" \
		test -e "/usr/share/postgresql/$1/extension/pglogical.control"
}

# A PostgreSQL that no package brought cannot be completed by one.
check_foreign()
{
	pg_has_server "$PG_CONFIG" ||
		die "PG_CONFIG=$PG_CONFIG does not lead to a PostgreSQL server with psql and pgbench"
	pg_has_headers "$PG_CONFIG" ||
		die "the PostgreSQL of PG_CONFIG=$PG_CONFIG has no server headers or no PGXS; install its server development files"
}

# The major that this Debian release packages, by its meta-package.
packaged_major()
{
	apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1
}

# Before the package lists are read, the major that they hold is not known.
all_missing()
{
	local names=("${MISSING[@]}" "${OPTIONAL[@]}")

	[[ $MODE =~ ^(fuzz|matrix|checked)$ ]] || [ -n "$PG_CONFIG" ] ||
		names+=("postgresql-NN postgresql-server-dev-NN (NN is the major version, $OLDEST_MAJOR or newer)")
	printf '%s' "${names[*]}"
}

update_apt()
{
	[ -z "${UPDATED:-}" ] || return 0
	UPDATED=yes
	have apt-get ||
		die "this machine has no apt-get; install these (the names are Debian's) by hand, and run this again: $(all_missing)"
	can_be_root ||
		die "installing needs root, and there is no sudo for this user; let root install: $(all_missing)"
	say "Reading the package lists (apt-get update)"
	run_logged "$LOG" as_root apt-get update -q ||
		say "The package lists could not be refreshed; trying with the old ones"
}

apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none \
		apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"
}

# On a machine that never had PostgreSQL the package would create and start a
# system-wide server, which nobody asked for.
DROP_IN=/etc/postgresql-common/createcluster.d/snowflake-setup.conf

forbid_system_server()
{
	say "No system-wide PostgreSQL server is created (later, if you want one: pg_createcluster $1 main)"
	as_root mkdir -p "${DROP_IN%/*}"
	echo "create_main_cluster = false" | as_root tee "$DROP_IN" >/dev/null
}

clean_up()
{
	rm -f "$LOG"
	if [ -e "$DROP_IN" ]; then
		as_root rm -f "$DROP_IN"
		as_root rmdir --ignore-fail-on-non-empty "${DROP_IN%/*}"
	fi
}

refuse_unknown()
{
	local package unknown=()

	for package in "$@"; do
		apt-cache show "$package" >/dev/null 2>&1 || unknown+=("$package")
	done
	[ "${#unknown[@]}" -eq 0 ] ||
		die "not in this machine's package lists: ${unknown[*]}"
}

# Sets PACKAGES to what apt-get is given.  apt upgrades all packages of one
# source together, and an upgrade restarts the servers in use: so a server that
# is installed stays at its version, and its headers are taken in that version
# where they are still to be had.
choose_versions()
{
	local i server version headers

	PACKAGES=("${MISSING[@]}")
	while IFS='=' read -r server version; do
		PACKAGES+=("$server=$version")
		headers=postgresql-server-dev-${server#postgresql-}
		apt-cache madison "$headers" 2>/dev/null | grep -qF " $version " || continue
		for i in "${!PACKAGES[@]}"; do
			[ "${PACKAGES[i]}" != "$headers" ] || PACKAGES[i]=$headers=$version
		done
	done < <(dpkg-query -W -f '${db:Status-Status} ${Package}=${Version}\n' 'postgresql-*' 2>/dev/null |
		sed -n 's/^installed \(postgresql-[0-9]*=.*\)/\1/p')
}

add_optional()
{
	local package

	for package in "${OPTIONAL[@]}"; do
		if have apt-get && can_be_root && apt-cache show "$package" >/dev/null 2>&1; then
			want "$package" "${OPTIONAL_WHY[$package]}" false
		else
			say "$package cannot be installed here (${OPTIONAL_WHY[$package]}); the tests that want it will be skipped"
		fi
	done
}

install_missing()
{
	local line server

	if [ "${#MISSING[@]}" -gt 0 ] ||
		{ [ "${#OPTIONAL[@]}" -gt 0 ] && have apt-get && can_be_root; }; then
		update_apt
	fi
	add_optional
	[ "${#MISSING[@]}" -gt 0 ] || return 0
	refuse_unknown "${MISSING[@]}"
	choose_versions
	for line in "${REASONS[@]}"; do say "Installing $line"; done
	server=$(printf '%s\n' "${MISSING[@]}" | sed -n 's/^postgresql-\([0-9]*\)$/\1/p')
	if [ -n "$server" ] && ! compgen -G '/etc/postgresql/*/*' >/dev/null; then
		forbid_system_server "$server"
	fi
	run_logged "$LOG" apt_install "${PACKAGES[@]}" ||
		die "installing ${MISSING[*]} failed"
}

MODES="demo test examples lint fuzz compare matrix checked package"
MODE=${1:-}
case " $MODES " in
	*" ${MODE:-none} "*) ;;
	*) die "usage: scripts/setup.sh ${MODES// / | }" ;;
esac

LOG=$(mktemp)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

want_for_build
if declare -F "want_for_$MODE" >/dev/null; then "want_for_$MODE"; fi
if [[ $MODE =~ ^(fuzz|matrix|checked)$ ]]; then
	install_missing
	exit
fi

PG_CONFIG=$(find_pg_config)
if [[ $PG_CONFIG =~ ^/usr/lib/postgresql/([0-9]+)/bin/pg_config$ ]]; then
	major=${BASH_REMATCH[1]}
	want_postgresql "$major"
elif [ -n "$PG_CONFIG" ]; then
	check_foreign
	major=$(pg_major "$PG_CONFIG")
else
	update_apt
	major=$(packaged_major)
	[ -n "$major" ] || die "no package of PostgreSQL was found (apt-cache depends postgresql)"
	PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
	want_postgresql "$major"
fi
[ "$major" -ge "$OLDEST_MAJOR" ] ||
	die "PostgreSQL $OLDEST_MAJOR or newer is needed, and $PG_CONFIG is of $major; name another with PG_CONFIG=/path/to/pg_config"
if [[ $MODE =~ ^(test|examples)$ && $PG_CONFIG == /usr/lib/postgresql/* ]]; then want_extensions "$major"; fi
if am_root; then
	want postgresql-common "the user postgres, since a server refuses to run as root" id postgres
fi

install_missing
printf '%s\n' "$PG_CONFIG" >&3
