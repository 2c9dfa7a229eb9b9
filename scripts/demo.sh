#!/bin/bash
# A tour of the extension on a private server, from nothing.
#
#   scripts/demo.sh          install what is missing, build, run the tour, stop
#   KEEP=1 scripts/demo.sh   the same, but leave the server running
#   scripts/demo.sh clean    stop that server and remove its files
#
# Servers that are there are not touched: this one listens on a socket in its
# own directory and on no TCP port.

. "$(dirname "$0")/common.sh"

DEMO=$ROOT/tmp_demo				# where a run is looked for
ELSEWHERE=$DEMO/moved_to		# names the directory that is used instead
CLIENTS=8
ROWS_PER_CLIENT=500

# ---- The private directory --------------------------------------------------

# A socket's path holds at most 107 bytes, and make and PostgreSQL's list of
# directories dislike blanks and quotes.
tree_is_suitable()
{
	local socket=$DEMO/socket/.s.PGSQL.5432

	[ "$(printf %s "$socket" | wc -c)" -le 107 ] &&
		[[ $DEMO =~ ^[A-Za-z0-9/._+-]*$ ]] && can_use "$ROOT"
}

# Sets DIR to the directory of an earlier run, if there is one.
find_earlier()
{
	DIR=
	[ -d "$DEMO" ] || return 0
	DIR=$DEMO
	if [ -f "$ELSEWHERE" ]; then
		DIR=$(cat "$ELSEWHERE")
		[[ $DIR =~ ^/tmp/snowflake-demo\.[A-Za-z0-9]+$ && -d $DIR ]] || DIR=$DEMO
	fi
}

# Another user's run may have left files and a server that only root can remove.
clean_as_root()
{
	can_be_root || die "$DIR is of $(stat -c %U "$DIR")'s run of the demo; let root run: make clean-demo"
	flock -u 9
	as_root "$ROOT/scripts/demo.sh" clean
	flock -n 9
}

clean()
{
	find_earlier
	[ -n "$DIR" ] || return 0
	if ! am_root && ! { [ -O "$DIR" ] && [ -O "$DEMO" ]; }; then
		clean_as_root
		return
	fi
	if [ -n "$(servers_below "$DIR")" ]; then
		say "Stopping the demo server in $DIR"
		stop_servers_below "$DIR" || die "the server in $DIR does not stop"
	fi
	rm -rf "$DIR" "$DEMO"
}

make_directory()
{
	mkdir -p "$DEMO" 2>/dev/null ||
		die "the demo keeps its files in this tree, and $(id -un) may not write to it"
	DIR=$DEMO
	if ! tree_is_suitable; then
		DIR=$(mktemp -d /tmp/snowflake-demo.XXXXXX)
		printf '%s\n' "$DIR" >"$ELSEWHERE"
		say "The server's files go to $DIR, since this tree's path does not suit a server (too long, unusual, or closed to the user that runs it)"
	fi
	mkdir "$DIR/socket"
	chmod 0700 "$DIR" "$DIR/socket"
	if am_root; then chown postgres: "$DIR" "$DIR/socket"; fi
}

# ---- The server -------------------------------------------------------------

start_server()
{
	run_logged "$DIR/initdb.log" as_server "$BIN/initdb" -D "$DIR/data" -U postgres -A trust \
		--encoding=UTF8 --locale=C --no-sync || return 1
	as_server tee -a "$DIR/data/postgresql.conf" >/dev/null <<-END
		listen_addresses = ''
		port = 5432
		unix_socket_directories = '$DIR/socket'
		cluster_name = 'snowflake demo'
		shared_preload_libraries = 'snowflake'
		snowflake.node_id = 37
	END
	# The lock on this script must not outlive it in a server that is kept.
	run_logged "$DIR/start.log" as_server "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/data/server.log" -w start 9>&- || {
		as_server tail -n 20 "$DIR/data/server.log" >&2
		return 1
	}
}

client()
{
	local program=$1

	shift
	as_server "$BIN/$program" -h "$DIR/socket" -p 5432 -U postgres "$@"
}

sql()
{
	client psql -X -q -P pager=off -v ON_ERROR_STOP=1 -d demo "$@"
}

# ---- The tour ---------------------------------------------------------------

title()
{
	printf '\n--- %s\n\n' "$1"
}

# show TITLE SQL [PSQL-OPTION...]: the statement as one would type it, and its result.
show()
{
	local title=$1 statement=$2

	shift 2
	title "$title"
	printf '%s\n' "$statement" | sed 's/^/    /'
	echo
	sql "$@" -c "$statement"
}

insert_concurrently()
{
	title "$CLIENTS clients insert $ROWS_PER_CLIENT rows each, at once"
	printf "    INSERT INTO orders (item) VALUES ('order of client ' || :client_id);\n\n"
	printf "INSERT INTO orders (item) VALUES ('order of client ' || :client_id);\n" |
		as_server tee "$DIR/data/insert.pgbench" >/dev/null
	run_logged "$DIR/pgbench.log" client pgbench -n -c "$CLIENTS" -j 2 -t "$ROWS_PER_CLIENT" \
		-M prepared -f "$DIR/data/insert.pgbench" demo || return 1
	grep -E '^(number of transactions actually|tps)' "$DIR/pgbench.log"
}

# What the tour claims is checked, not only shown.
check_distinct()
{
	local found expected=$((CLIENTS * ROWS_PER_CLIENT + 3))

	found=$(sql -At -c "SELECT count(DISTINCT id) FROM orders")
	[ "$found" -eq "$expected" ] ||
		die "$expected rows were inserted, but $found distinct IDs were found"
}

tour()
{
	client createdb demo
	show "The extension, and a table whose primary key makes itself" \
"CREATE EXTENSION snowflake;
CREATE TABLE orders (id snowflake PRIMARY KEY, item text);"
	show "The first IDs" \
"INSERT INTO orders (item) VALUES ('tea'), ('coffee'), ('cocoa') RETURNING *;"
	insert_concurrently
	show "No ID came twice" \
"SELECT count(*) AS rows, count(DISTINCT id) AS distinct_ids FROM orders;"
	check_distinct
	show "What an ID says: when and where it was made" \
"SELECT o.id, d.*
  FROM orders o, snowflake_decode(o.id) d
  ORDER BY o.id DESC LIMIT 5;"
	show "IDs sort by time, so the primary key answers questions about time" \
"SELECT count(*) AS rows_of_the_last_minute
  FROM orders
  WHERE id <@@ tstzrange(now() - interval '1 minute', NULL);"
	show "How many rows were made, second by second and node by node" \
"SELECT date_trunc('second', snowflake_timestamp(id)) AS second,
       snowflake_node(id) AS node, count(*)
  FROM orders GROUP BY 1, 2 ORDER BY 1, 2;"
	show "What the server knows about its generator" \
"SELECT * FROM snowflake_status;" -x
	[ "$KEEP" = yes ] || { echo; return; }
	title "How to connect"
	printf '    %s%s -h %s -U postgres demo\n\n' "${SUDO_USER:+sudo }" "$BIN/psql" "$DIR/socket"
}

# ---- The run ----------------------------------------------------------------

# Runs at the end, however that came about.
finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	if [ "$status" -eq 0 ] && [ "$KEEP" = yes ]; then
		say "The server keeps running; stop it and remove its files with: make clean-demo"
		exit 0
	fi
	[ -n "$DIR" ] || exit "$status"
	stop_servers_below "$DIR" || die "the server in $DIR does not stop"
	if [ "$status" -eq 0 ]; then
		rm -rf "$DIR" "$DEMO"
		say "The server was stopped and its files removed; make demo KEEP=1 leaves it running. The extension stays installed in $("$PG_CONFIG" --pkglibdir)."
	elif [ "$status" -gt 128 ]; then
		rm -rf "$DIR" "$DEMO"
		say "Interrupted; the server was stopped and its files removed"
	else
		rm -rf "$DIR/data/base"
		say "The demo failed; the logs are in $DIR (make clean-demo removes them)"
	fi
	exit "$status"
}

exec 9<"${BASH_SOURCE[0]}"
flock -n 9 || die "another run of the demo is under way in this tree"

case ${1:-} in
	'') ;;
	clean) clean; exit 0 ;;
	*) die "usage: scripts/demo.sh [clean]" ;;
esac
case ${KEEP:-} in '' | 0 | no) KEEP=no ;; *) KEEP=yes ;; esac

PG_CONFIG=$("$ROOT/scripts/setup.sh" demo)
BIN=$("$PG_CONFIG" --bindir)
cd /
say "Using $("$PG_CONFIG" --version) ($PG_CONFIG)"
clean
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_directory
say "Building and installing the extension"
copy_sources "$DIR/build"
build_and_install "$DIR/build" "$DIR/build.log"
say "Starting a private server in $DIR"
start_server
tour
