# shellcheck shell=bash
# Sourced by the examples' scripts, never run by itself: servers in a directory,
# and the words start and stop.
#
# A script defines start_example, further words as functions named word_WORD,
# stop_example where more than processes is to be undone, and calls
# run_example "$@" at its end.  Everything it starts keeps its files
# below DIR, and its sockets in DIR/socket; nothing else is touched.  Where
# something that the example wants is not installed, the script exits with 77
# and its last line says what.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

EXAMPLE_SCRIPT=$(realpath "$0")

# want FILE-OR-PROGRAM PACKAGE
want()
{
	if [[ $1 == /* ]]; then [ -e "$1" ] && return; else have "$1" && return; fi
	echo "$1 is not there (on Debian: apt-get install $2, or scripts/setup.sh examples)"
	exit 77
}

# want_extension NAME PACKAGE
want_extension()
{
	want "$("$PG_CONFIG" --sharedir)/extension/$1.control" "$2"
}

# want_library NAME PACKAGE
want_library()
{
	want "$("$PG_CONFIG" --pkglibdir)/$1.so" "$2"
}

# PostgreSQL as named by PG_CONFIG, or the newest; the extension must be in it.
# Sets BIN, and MAJOR for what differs between versions.
find_server()
{
	PG_CONFIG=$(find_pg_config)
	[ -n "$PG_CONFIG" ] || die "no PostgreSQL server was found; name one with PG_CONFIG=/path/to/pg_config"
	BIN=$("$PG_CONFIG" --bindir)
	# shellcheck disable=SC2034  # for the scripts
	MAJOR=$(pg_major "$PG_CONFIG")
	[ -e "$("$PG_CONFIG" --pkglibdir)/snowflake.so" ] ||
		die "snowflake is not installed in $("$PG_CONFIG" --pkglibdir); run: make install PG_CONFIG=$PG_CONFIG"
}

# ---- The directory ----------------------------------------------------------

# DIR must be new or empty: stop removes it.
make_directory()
{
	local longest=$DIR/socket/.s.PGSQL.65535

	[ "${#longest}" -le 107 ] || die "the path of $DIR is too long for a socket"
	[[ $DIR =~ ^[A-Za-z0-9/._+-]*$ ]] || die "the path of $DIR has unusual characters"
	if [ -e "$DIR" ] && [ -n "$(ls -A "$DIR" 2>&1)" ]; then die "$DIR is not empty"; fi
	mkdir -p "$DIR"
	chmod 0700 "$DIR"
	if am_root; then chown postgres: "$DIR"; fi
	can_use "$DIR" || die "the user that runs the servers may not use $DIR"
	as_server mkdir "$DIR/socket"
	as_server touch "$DIR/example" "$DIR/servers"
}

# write FILE: standard input to a file of the user that runs the servers.
write()
{
	as_server tee "$1" >/dev/null
}

append()
{
	as_server tee -a "$1" >/dev/null
}

# ---- Servers ----------------------------------------------------------------

# DIR/servers has a line "name host port node_id" for each.
server_field()
{
	local name host port node

	while read -r name host port node; do
		[ "$name" != "$1" ] || { printf '%s\n' "${!2}"; return; }
	done <"$DIR/servers"
	die "there is no server $1"
}

# conninfo NAME [DATABASE]
conninfo()
{
	echo "host=$(server_field "$1" host) port=$(server_field "$1" port) user=postgres dbname=${2:-postgres}"
}

# A port of 127.0.0.1 that nobody listens on, below those that the kernel gives
# to outgoing connections.
free_port()
{
	local port

	for _ in {1..100}; do
		port=$((10000 + RANDOM % 20000))
		(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
	done
	die "no free port was found"
}

# make_server NAME NODE_ID [LINE...]: a server with these lines in its
# postgresql.conf, running, with the extension.  Without a node ID: -.  It
# listens on a socket only, or with TCP=PORT also on 127.0.0.1.
make_server()
{
	local name=$1 node=$2 data=$DIR/$1 port

	shift 2
	port=${TCP:-$((5432 + $(wc -l <"$DIR/servers")))}
	as_server "$BIN/initdb" -D "$data" -U postgres -A trust --encoding=UTF8 --locale=C --no-sync \
		>"$DIR/initdb.log" 2>&1 </dev/null || { cat "$DIR/initdb.log" >&2; return 1; }
	{
		printf '%s\n' "listen_addresses = '${TCP:+127.0.0.1}'" "port = $port" \
			"unix_socket_directories = '$DIR/socket'" "cluster_name = '$name'" \
			"shared_preload_libraries = 'snowflake'"
		[ "$node" = - ] || printf '%s\n' "snowflake.node_id = $node"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | append "$data/postgresql.conf"
	printf '%s\n' "$name $DIR/socket $port $node" | append "$DIR/servers"
	start_server "$name"
	sql "$name" "CREATE EXTENSION snowflake"
}

start_server()
{
	# In the background of nobody: the script's own output must come to an end.
	as_server "$BIN/pg_ctl" -D "$DIR/$1" -l "$DIR/$1.log" -w -s start </dev/null >/dev/null 2>&1 || {
		as_server tail -n 20 "$DIR/$1.log" >&2
		die "the server $1 does not start"
	}
}

# sql NAME [STATEMENT...]: each in a transaction of its own; or standard input.
sql()
{
	local name=$1 statement args=()

	shift
	for statement in "$@"; do args+=(-c "$statement"); done
	as_server "$BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$(conninfo "$name")" "${args[@]}"
}

# until_true NAME QUERY: it must come true, however slow the machine.
until_true()
{
	local deadline=$((SECONDS + ${PG_TEST_TIMEOUT_DEFAULT:-180}))

	until [ "$(sql "$1" "$2")" = t ]; do
		((SECONDS < deadline)) || die "the server $1 did not come to: $2"
		sleep 0.1
	done
}

# ---- The words --------------------------------------------------------------

usage()
{
	sed -n '2,/^$/s/^# \{0,1\}//p' "$EXAMPLE_SCRIPT" >&2
	exit 2
}

how_to_connect()
{
	local name host port node

	say "Running in $DIR; to connect:"
	while read -r name host port node; do
		printf '    %-12s %s -h %s -p %s -U postgres      (node ID %s)\n' "$name" "$BIN/psql" "$host" "$port" "$node"
	done <"$DIR/servers"
	say "To stop it and remove its files: $EXAMPLE_SCRIPT stop $DIR"
}

word_start()
{
	make_directory
	start_example
	how_to_connect
}

# Processes that are not servers have their numbers in DIR/*.pid.
stop_others()
{
	local file pid

	for file in "$DIR"/*.pid; do
		[ -e "$file" ] || continue
		pid=$(as_server cat "$file")
		[[ $pid =~ ^[0-9]+$ ]] || continue
		# Another process may have that number by now.
		as_server find "/proc/$pid/cwd" -maxdepth 0 -lname "$DIR*" 2>/dev/null | grep -q . || continue
		as_server bash -c 'kill "$@"' bash "${1:--TERM}" "$pid" 2>/dev/null || true
	done
}

word_stop()
{
	[ -e "$DIR" ] || return 0
	stop_others -TERM
	stop_servers_below "$DIR" || die "a server in $DIR does not stop"
	stop_others -KILL
	if declare -F stop_example >/dev/null; then stop_example; fi
	rm -rf "$DIR"
}

run_example()
{
	local word=${1:-}

	if [ $# -lt 2 ] || ! declare -F "word_$word" >/dev/null; then usage; fi
	DIR=$(realpath -m "$2")
	shift 2
	[ "$word" = start ] || [ -e "$DIR/example" ] || [ ! -e "$DIR" ] || die "$DIR is not the directory of an example"
	find_server
	cd /
	"word_$word" "$@"
}
