#!/bin/bash
# The quick benchmark: what an ID costs, beside other ways to make one.
#
#   bench/run.sh [OPTION...]
#     --rounds N         how often everything is measured (default 5)
#     --save FILE        also write the figures to FILE, as JSON
#     --set NAME=VALUE   a setting for the servers; may be given again
#     --wait SECONDS     before each round, wait up to so long for an idle machine
#
# It measures the installed extension, in private servers on sockets in a
# directory of its own.  It fails only where it cannot measure, never because
# of a figure.

. "$(dirname "$0")/../scripts/common.sh"

WIDE='time:40 node:3 sequence:20'
DEFAULT_CAPACITY=4096000		# IDs per second
SETTINGS=("fsync = 'off'" "autovacuum = 'off'" "jit = 'off'" "work_mem = '512MB'")
ROUNDS=5
WAIT=0
SAVE=

usage()
{
	sed -n '4,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

# ---- The servers ------------------------------------------------------------

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

build_module()
{
	local pgxs

	as_server mkdir "$DIR/module"
	# Through a pipe, since that user need not be able to read this tree.
	tar -C "$ROOT/bench" -cf - bench.c setup.sql report.sql |
		as_server tar -C "$DIR/module" -xf - --no-same-owner
	pgxs=$("$PG_CONFIG" --pgxs)
	run_logged "$DIR/module.log" as_server make -C "$DIR/module" -f "$pgxs" \
		"PGXS=$pgxs" "PG_CONFIG=$PG_CONFIG" MODULES=bench with_llvm=no all
}

# start SERVER LAYOUT MAX_LEAD
start()
{
	local server=$1 log=$DIR/$1.log

	as_server mkdir -m 0700 "$DIR/$server"
	as_server cp -r "$DIR/data" "$DIR/$server/data"
	{
		cat <<-END
			listen_addresses = ''
			port = 5432
			unix_socket_directories = '$DIR/$server'
			shared_preload_libraries = 'snowflake'
			snowflake.node_id = 1
			snowflake.layout = '$2'
			snowflake.max_lead = '$3'
		END
		printf '%s\n' "${SETTINGS[@]}"
	} | as_server tee -a "$DIR/$server/data/postgresql.conf" >/dev/null
	run_logged "$log" as_server "$BIN/pg_ctl" -D "$DIR/$server/data" -w start || return 1
	sql "$server" -v module="$DIR/module/bench" -f "$DIR/module/setup.sql"
}

start_all()
{
	run_logged "$DIR/initdb.log" as_server "$BIN/initdb" -D "$DIR/data" -U postgres -A trust \
		--encoding=UTF8 --locale=C --no-sync
	start wide "$WIDE" 0
	start default twitter 0
	start lead twitter 1s
}

# ---- Measuring --------------------------------------------------------------

# record COMMAND...: the rows (what, value) that it prints are samples of this round.
record()
{
	run "$@" >"$DIR/rows"
	sed "s/^/$ROUND,/" "$DIR/rows" >>"$DIR/samples"
}

measure()
{
	record sql "$1" --csv -t -c "SELECT what, value FROM $2"
}

# Cores that are busy now.  Between rounds that is the work of others.
busy_cores()
{
	{ grep '^cpu ' /proc/stat; sleep 1; grep '^cpu ' /proc/stat; } |
		awk -v hz="$(getconf CLK_TCK)" '
			{ busy = $2 + $3 + $4 + $7 + $8 + $9; if (NR == 1) before = busy }
			END { printf "%.2f\n", (busy - before) / hz }'
}

other_work()
{
	local busy deadline=$((SECONDS + WAIT))

	busy=$(busy_cores)
	while [ "$SECONDS" -lt "$deadline" ] && awk "BEGIN { exit !($busy > 0.1) }"; do
		busy=$(busy_cores)
	done
	echo "other work,$busy"
}

# draw SERVER STATEMENT OPTION...: pgbench with that statement.
draw()
{
	local server=$1 script=$DIR/module/draw.sql

	printf '%s;\n' "$2" | as_server tee "$script" >/dev/null
	shift 2
	client "$server" pgbench -n -M prepared -f "$script" "$@" postgres
}

# tps NAME EXPRESSION: statements per second that draw 1,000 IDs each.
tps()
{
	run_logged "$DIR/pgbench.log" \
		draw wide "SELECT count($2) FROM generate_series(1, 1000)" -c 8 -j 2 -T 2
	sed -n "s/^tps = \([0-9.]*\).*/tps $1,\1/p" "$DIR/pgbench.log"
}

# Clients draw until the watcher ends them.  Their rows are made one by one,
# not all before the first ID is drawn, so the drawing never pauses.
saturate()
{
	local pgbench

	draw default "SELECT count(snowflake_next()) FROM (SELECT generate_series(1, 50000)) s" \
		-c "$1" -T 60 >"$DIR/pgbench.log" 2>&1 &
	pgbench=$!
	measure default "bench.saturation($1, 1.5, $DEFAULT_CAPACITY)"
	wait "$pgbench" || true
}

one_round()
{
	local clients

	record other_work
	measure wide "bench.calls(1)"
	measure lead "bench.burst('default', 30)"
	measure wide "bench.burst('wide', 30)"
	measure lead "bench.burst('long', 80)"
	record tps snowflake_next "snowflake_next()"
	record tps nextval "nextval('bench.cache_1')"
	for clients in 1 8 64; do saturate "$clients"; done
}

# ---- Reporting --------------------------------------------------------------

facts()
{
	printf '%s\t%s\n' \
		date "$(date -u '+%Y-%m-%d %H:%M UTC')" \
		processor "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		kernel "$(uname -sr), clock source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" \
		server "$(sql wide -At -c 'SHOW server_version')" \
		extension "snowflake $(sql wide -At -c 'SELECT version FROM snowflake_status')" \
		layouts "wide: $WIDE; default: twitter" \
		settings "$(IFS=,; echo "${SETTINGS[*]}" | sed "s/ = /=/g; s/,/, /g")" \
		rounds "$ROUNDS"
}

report()
{
	sql wide -f "$DIR/module/report.sql"
	facts | sql wide -c "\copy bench.fact (name, value) FROM pstdin"
	sql wide -c "\copy bench.sample FROM pstdin CSV" <"$DIR/samples"
	sql wide -P pager=off -P footer=off -c "TABLE bench.facts" -c "TABLE bench.lines"
	[ -z "$SAVE" ] || sql wide -At -c "TABLE bench.json" >"$SAVE"
}

# ---- The run ----------------------------------------------------------------

finish()
{
	local status=$?

	trap - EXIT
	trap '' INT TERM HUP
	stop_servers_below "$DIR" || say "A server in $DIR does not stop"
	rm -rf "$DIR"
	exit "$status"
}

while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
		--rounds) ROUNDS=$2 ;;
		--save) SAVE=$(realpath "$2") ;;
		--set) SETTINGS+=("${2%%=*} = '${2#*=}'") ;;
		--wait) WAIT=$2 ;;
		*) usage ;;
	esac
	shift 2
done

PG_CONFIG=$(find_pg_config)
[ -n "$PG_CONFIG" ] || die "no PostgreSQL server was found; name one with PG_CONFIG=/path/to/pg_config"
pg_has_server "$PG_CONFIG" ||
	die "PG_CONFIG=$PG_CONFIG does not lead to a PostgreSQL server with psql and pgbench"
pg_has_headers "$PG_CONFIG" || die "the PostgreSQL of PG_CONFIG=$PG_CONFIG has no server headers or no PGXS"
BIN=$("$PG_CONFIG" --bindir)
[ -e "$("$PG_CONFIG" --pkglibdir)/snowflake.so" ] ||
	die "the extension is not installed in $("$PG_CONFIG" --pkglibdir); run \"make install\" first"
cmp -s "$ROOT/snowflake.so" "$("$PG_CONFIG" --pkglibdir)/snowflake.so" ||
	say "The installed extension is not the one that was built in this tree; \"make install\" installs that"

cd /
for parent in "${TMPDIR:-/tmp}" /tmp; do
	if can_use "$parent"; then break; fi
done
DIR=$(mktemp -d "$parent/snowflake-bench.XXXXXX")
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if am_root; then chown postgres: "$DIR"; fi

say "Starting three private servers of $("$PG_CONFIG" --version) in $DIR"
build_module
start_all
run sql wide -c "SELECT bench.calls(0.1)" >/dev/null
for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
	say "Round $ROUND of $ROUNDS"
	one_round
done
report
