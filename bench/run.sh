#!/bin/bash
# The quick benchmark: what an ID costs, beside other ways to make one, and
# what it costs to ask for IDs by time.
#
#   bench/run.sh [OPTION...]
#     --rounds N         how often everything is measured (default 5)
#     --save FILE        also write the figures to FILE, as JSON
#     --baseline FILE    write what later runs are held against to FILE, not
#                        compare with bench/baseline.json
#     --set NAME=VALUE   a setting for the servers; may be given again
#     --wait SECONDS     before each round, wait up to so long for an idle machine
#     --only STEP        calls (what an ID costs), lease (with a node ID that is
#                        leased from ZooKeeper), time (asking by time) or storage
#                        (the ID in place of a column with the time), not all
#     --rows N           of the tables of time and storage (default 5000000)
#
# It measures the installed extension, in private servers on sockets in a
# directory of its own.  It fails only where it cannot measure, never because
# of a figure.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/zookeeper.sh"

WIDE='time:40 node:3 sequence:20'
DEFAULT_CAPACITY=4096000		# IDs per second
SETTINGS=("fsync = 'off'" "autovacuum = 'off'" "jit = 'off'" "work_mem = '512MB'")
ROUNDS=5
WAIT=0
SAVE=
BASELINE=
STEPS=(calls lease time storage)
ROWS=5000000

usage()
{
	sed -n '5,15s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

# ---- The servers ------------------------------------------------------------

STATIC=("shared_preload_libraries = 'snowflake'" "snowflake.node_id = 1")

# start SERVER LAYOUT MAX_LEAD LINE...: the lines say where its node ID comes from.
start()
{
	local server=$1 layout=$2 max_lead=$3

	shift 3
	add_server "$server" "$@" \
		"snowflake.layout = '$layout'" \
		"snowflake.max_lead = '$max_lead'"
	sql "$server" -v module="$DIR/module/bench" -f "$DIR/module/setup.sql"
	MAIN=$server
}

wanted()
{
	[[ " ${STEPS[*]} " == *" $1 "* ]]
}

start_leased()
{
	local why

	why=$(zookeeper_obstacle)
	if [ -n "$why" ]; then
		say "Not measured: a leased node ID: $why"
		mapfile -t STEPS < <(printf '%s\n' "${STEPS[@]}" | grep -vx lease)
		return
	fi
	start_zookeeper
	start leased "$WIDE" 0 \
		"shared_preload_libraries = 'snowflake, snowflake_zookeeper'" \
		"snowflake.zookeeper_hosts = '127.0.0.1:$ZOOKEEPER_PORT'"
}

start_all()
{
	init_data
	start default twitter 0 "${STATIC[@]}"
	if wanted calls; then start lead twitter 1s "${STATIC[@]}"; fi
	if wanted calls || wanted lease; then start wide "$WIDE" 0 "${STATIC[@]}"; fi
	if wanted lease; then start_leased; fi
	run sql default -v module="$DIR/module/bench" -f "$DIR/module/time.sql"
	if wanted time; then
		say "Making a table of $ROWS rows"
		run sql default -c "SELECT bench.make_orders($ROWS)" -c "VACUUM (FREEZE, ANALYZE) bench.orders" >/dev/null
	fi
}

# ---- Measuring --------------------------------------------------------------

# record COMMAND...: the rows (what, value) that it prints are samples of this round.
record()
{
	keep "$ROUND" "$@"
}

# measured SERVER FUNCTION: the samples that it returns.
measured()
{
	sql "$1" --csv -t -c "SELECT what, value FROM $2"
}

measure()
{
	record measured "$@"
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

measure_calls()
{
	local clients

	measure wide "bench.calls(1)"
	measure lead "bench.burst('default', 30)"
	measure wide "bench.burst('wide', 30)"
	measure lead "bench.burst('long', 80)"
	record tps snowflake_next "snowflake_next()"
	record tps nextval "nextval('bench.cache_1')"
	for clients in 1 8 64; do saturate "$clients"; done
}

# In turn, and often, since the difference is a small one.
measure_lease()
{
	local turn

	for turn in 1 2 3 4; do
		keep "$ROUND$turn" measured wide "bench.draws('static')"
		keep "$ROUND$turn" measured leased "bench.draws('leased')"
	done
}

measure_time()
{
	measure default "bench.ranges('short', 100, 5000)"
	measure default "bench.ranges('long', 50000, 50)"
	measure default "bench.expressions()"
}

# It takes long and varies little, so not in every round.  What it leaves to the
# checkpointer must not slow down the next one.
measure_storage()
{
	[ "$ROUND" -eq 1 ] || return 0
	measure default "bench.storage($ROWS)"
	run sql default -c CHECKPOINT
}

one_round()
{
	local step

	record other_work "$WAIT"
	for step in "${STEPS[@]}"; do "measure_$step"; done
}

# ---- Reporting --------------------------------------------------------------

facts()
{
	machine_facts "$MAIN"
	printf '%s\t%s\n' \
		extension "snowflake $(sql "$MAIN" -At -c 'SELECT version FROM snowflake_status')" \
		layouts "wide: $WIDE; default: twitter" \
		rows "$ROWS" \
		rounds "$ROUNDS"
}

report()
{
	sql "$MAIN" -f "$DIR/module/report.sql"
	facts | sql "$MAIN" -c "\copy bench.fact (name, value) FROM pstdin"
	sql "$MAIN" -c "\copy bench.sample FROM pstdin CSV" <"$DIR/samples"
	sql "$MAIN" -P pager=off -P footer=off -c "TABLE bench.facts" -c "TABLE bench.lines"
	[ -z "$SAVE" ] || sql "$MAIN" -At -c "TABLE bench.json" >"$SAVE"
	if [ -n "$BASELINE" ]; then
		sql "$MAIN" -At -c "TABLE bench.new_baseline" >"$BASELINE"
	elif [ -e "$ROOT/bench/baseline.json" ]; then
		against_baseline
	fi
}

against_baseline()
{
	local content left

	content=$(cat "$ROOT/bench/baseline.json")
	sql "$MAIN" -v content="$content" <<<"INSERT INTO bench.baseline VALUES (:'content')"
	sql "$MAIN" -P pager=off -P footer=off -c "TABLE bench.changes"
	left=$(sql "$MAIN" -At -c "SELECT count(*) FROM bench.against_baseline WHERE change = 'WORSE'")
	[ "$left" -eq 0 ] || say "$left figures are worse than the band of the baseline, bench/baseline.json"
}

# ---- The run ----------------------------------------------------------------

while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
		--rounds) ROUNDS=$2 ;;
		--save) SAVE=$(realpath "$2") ;;
		--baseline) BASELINE=$(realpath "$2") ;;
		--set) SETTINGS+=("${2%%=*} = '${2#*=}'") ;;
		--wait) WAIT=$2 ;;
		--only) case $2 in calls | lease | time | storage) STEPS=("$2") ;; *) usage ;; esac ;;
		--rows) ROWS=$2 ;;
		*) usage ;;
	esac
	shift 2
done

begin
check_installed
say "Starting private servers of $("$PG_CONFIG" --version) in $DIR"
build_module setup.sql time.sql report.sql ways
start_all
if wanted calls; then run sql wide -c "SELECT bench.calls(0.1)" >/dev/null; fi
for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
	say "Round $ROUND of $ROUNDS"
	one_round
done
report
