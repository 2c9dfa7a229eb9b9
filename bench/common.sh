# shellcheck shell=bash
# Sourced by the benchmarks; never run by itself.
#
# A benchmark works in servers of its own, each in a directory below DIR with
# its data and its socket.  DIR goes, and all that runs in it, when the script
# ends.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

# Lines for the configuration of every server.
SETTINGS=()

# ---- Clients ----------------------------------------------------------------

# In the background and waited for, so that a signal is obeyed at once.
run()
{
	"$@" &
	wait $!
}

client()
{
	local server=$1 program=$2

	shift 2
	as_server "$BIN/$program" -h "$DIR/$server" -p 5432 -U postgres "$@"
}

sql()
{
	local server=$1

	shift
	client "$server" psql -X -q -v ON_ERROR_STOP=1 -d postgres "$@"
}

# ---- Servers ----------------------------------------------------------------

# build_module FILE...: bench.c, with these files beside it for psql to read.
build_module()
{
	local pgxs

	as_server mkdir "$DIR/module"
	# Through a pipe, since that user need not be able to read this tree.
	tar -C "$ROOT/bench" -cf - bench.c "$@" |
		as_server tar -C "$DIR/module" -xf - --no-same-owner
	pgxs=$("$PG_CONFIG" --pgxs)
	run_logged "$DIR/module.log" as_server make -C "$DIR/module" -f "$pgxs" \
		"PGXS=$pgxs" "PG_CONFIG=$PG_CONFIG" MODULES=bench with_llvm=no all
}

# The files that each server begins with.
init_data()
{
	run_logged "$DIR/initdb.log" as_server "$BIN/initdb" -D "$DIR/data" -U postgres -A trust \
		--encoding=UTF8 --locale=C --no-sync
}

start_server()
{
	run_logged "$DIR/$1.log" as_server "$BIN/pg_ctl" -D "$DIR/$1/data" -w start
}

stop_server()
{
	run_logged "$DIR/$1.stop.log" as_server "$BIN/pg_ctl" -D "$DIR/$1/data" -m fast -w stop
}

# add_server SERVER LINE...: a new server with these lines in its configuration.
add_server()
{
	local server=$1

	shift
	as_server mkdir -m 0700 "$DIR/$server"
	as_server cp -r "$DIR/data" "$DIR/$server/data"
	{
		cat <<-END
			listen_addresses = ''
			port = 5432
			unix_socket_directories = '$DIR/$server'
			client_min_messages = 'warning'
		END
		printf '%s\n' "${SETTINGS[@]}" "$@"
	} | as_server tee -a "$DIR/$server/data/postgresql.conf" >/dev/null
	start_server "$server"
}

# ---- Samples ----------------------------------------------------------------

# keep PREFIX COMMAND...: the rows (what, value) that the command prints are
# samples, with the prefix before them.
keep()
{
	local prefix=$1

	shift
	run "$@" >"$DIR/rows"
	sed "s/^/$prefix,/" "$DIR/rows" >>"$DIR/samples"
}

# Cores that are busy now.  Between rounds that is the work of others.
busy_cores()
{
	{ grep '^cpu ' /proc/stat; sleep 1; grep '^cpu ' /proc/stat; } |
		awk -v hz="$(getconf CLK_TCK)" '
			{ busy = $2 + $3 + $4 + $7 + $8 + $9; if (NR == 1) before = busy }
			END { printf "%.2f\n", (busy - before) / hz }'
}

# other_work SECONDS: waits up to so long for an idle machine.
other_work()
{
	local busy deadline=$((SECONDS + $1))

	busy=$(busy_cores)
	while [ "$SECONDS" -lt "$deadline" ] && awk "BEGIN { exit !($busy > 0.1) }"; do
		busy=$(busy_cores)
	done
	echo "other work,$busy"
}

# ---- The run ----------------------------------------------------------------

# Not there in a chroot.
CLOCK_SOURCE=/sys/devices/system/clocksource/clocksource0/current_clocksource

# machine_facts SERVER: what was measured on, as lines of name, tab and value.
machine_facts()
{
	printf '%s\t%s\n' \
		date "$(date -u '+%Y-%m-%d %H:%M UTC')" \
		processor "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		kernel "$(uname -sr), clock source $(cat "$CLOCK_SOURCE" 2>/dev/null || echo unknown)" \
		server "$(sql "$1" -At -c 'SHOW server_version')" \
		settings "$(IFS=,; echo "${SETTINGS[*]}" | sed "s/ = /=/g; s/,/, /g")"
}

finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	if declare -F stop_others >/dev/null; then stop_others; fi
	stop_servers_below "$DIR" || say "A server in $DIR does not stop"
	rm -rf "$DIR"
	exit "$status"
}

check_installed()
{
	local library

	library=$("$PG_CONFIG" --pkglibdir)/snowflake.so
	[ -e "$library" ] ||
		die "the extension is not installed in ${library%/*}; run \"make install\" first"
	[ ! -e "$ROOT/snowflake.so" ] || cmp -s "$ROOT/snowflake.so" "$library" ||
		say "The installed extension is not the one that was built in this tree; \"make install\" installs that"
}

# Sets PG_CONFIG and BIN, and makes DIR.
begin()
{
	local parent

	PG_CONFIG=$(find_pg_config)
	[ -n "$PG_CONFIG" ] || die "no PostgreSQL server was found; name one with PG_CONFIG=/path/to/pg_config"
	pg_has_server "$PG_CONFIG" ||
		die "PG_CONFIG=$PG_CONFIG does not lead to a PostgreSQL server with psql and pgbench"
	pg_has_headers "$PG_CONFIG" || die "the PostgreSQL of PG_CONFIG=$PG_CONFIG has no server headers or no PGXS"
	BIN=$("$PG_CONFIG" --bindir)

	cd /
	for parent in "${TMPDIR:-/tmp}" /tmp; do
		if can_use "$parent"; then break; fi
	done
	DIR=$(mktemp -d "$parent/snowflake-bench.XXXXXX")
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if am_root; then chown postgres: "$DIR"; fi
}
