#!/bin/bash
# The comparison: every way to make an ID, measured in servers of its own.
#
#   bench/compare.sh [OPTION...]
#     --quick            small sizes and two rounds, to see that it works
#     --rounds N         how often everything is measured (default 5)
#     --parts A,B,...    only these: calls load lookups singles range order loss
#     --ways A,B,...     only these set-ups; --list tells their names
#     --out DIR          where the results go (default tmp_compare)
#     --add              keep what the results there have of other parts
#     --publish          put them into doc/compare.md, doc/img and README.md too
#     --set NAME=VALUE   a setting for the servers; may be given again
#     --wait SECONDS     before each round, wait up to so long for an idle machine
#     --list             say what the set-ups are, and stop
#
# It builds and installs the extension, and starts and stops all that it needs
# on sockets in a directory of its own; what it measures and how is told in
# doc/compare.md.  A whole run takes about 40 minutes.  It fails only where it
# cannot measure, never because of a figure.

# A server that is killed must be gone before it is started again.
if [ -z "${SNOWFLAKE_REAPED:-}" ] && command -v tini >/dev/null; then
	SNOWFLAKE_REAPED=yes exec tini -s -g -- "$0" "$@"
fi
COMMAND="bench/compare.sh $*"

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/zookeeper.sh"
. "$(dirname "$0")/compare_loss.sh"

SETTINGS=("autovacuum = 'off'" "jit = 'off'" "max_connections = '200'"
	"checkpoint_timeout = '1h'" "max_wal_size = '8GB'" "min_wal_size = '512MB'")
ALL_PARTS=(calls load lookups singles range order loss)
PARTS=("${ALL_PARTS[@]}")
ROUNDS=5
WAIT=0
OUT=$ROOT/tmp_compare
ADD=no
PUBLISH=no
WANTED=()

ROWS=2000000
TICKET_ROWS=20000
CLIENTS=(1 2 4 8 16 32 64)
CALL_SECONDS=2
SINGLE_SECONDS=8
ORDER_SECONDS=2
KEYS=100000
COLD_KEYS=2000

quick()
{
	ROUNDS=2
	ROWS=100000
	TICKET_ROWS=1000
	CLIENTS=(1 8 64)
	CALL_SECONDS=1
	SINGLE_SECONDS=1
	ORDER_SECONDS=1
	KEYS=10000
	COLD_KEYS=200
}

# ---- The set-ups ------------------------------------------------------------

WAYS=()
declare -A TITLE EXPRESSION COLUMN LOWEST LINES FILE ONLY

# way NAME TITLE EXPRESSION COLUMN [LOWEST]: a new ID, the definition of a key,
# and the smallest key of a time as a format() of that time.
way()
{
	WAYS+=("$1")
	TITLE[$1]=$2
	EXPRESSION[$1]=$3
	COLUMN[$1]=$4
	LOWEST[$1]=${5:-}
	FILE[$1]=
	LINES[$1]=
	ONLY[$1]="${ALL_PARTS[*]}"
}

WIDE='time:40 node:3 sequence:20'
UNIX_MS='floor(extract(epoch FROM %L::timestamptz) * 1000)::bigint'

list_ways()
{
	way bigserial "bigserial" "nextval('ids')" "bigserial PRIMARY KEY"
	FILE[bigserial]=bigserial.sql

	way uuid4 "UUID v4" "gen_random_uuid()" "uuid DEFAULT gen_random_uuid() PRIMARY KEY"

	way uuid7 "UUID v7" "uuidv7()" "uuid DEFAULT uuidv7() PRIMARY KEY" \
		"rpad(lpad(to_hex($UNIX_MS), 12, '0') || '7', 32, '0')::uuid"

	way increments "increments, two masters" "nextval('ids')" "bigint DEFAULT nextval('ids') PRIMARY KEY"
	FILE[increments]=increments.sql

	way ticket "ticket server, dblink" "ticket()" "bigint DEFAULT ticket() PRIMARY KEY"
	FILE[ticket]=ticket.sql
	# Its keys are the same numbers as bigserial's, so is looking them up.
	ONLY[ticket]="calls load singles order loss"

	way instagram "Instagram's PL/pgSQL" "instagram_id()" "bigint DEFAULT instagram_id() PRIMARY KEY" \
		"(($UNIX_MS - 1314220021721) << 23)"
	FILE[instagram]=instagram.sql

	way snowflake "snowflake" "snowflake_next()" "snowflake PRIMARY KEY" "snowflake_lower(%L)"
	FILE[snowflake]=snowflake.sql
	LINES[snowflake]="shared_preload_libraries = 'snowflake'
snowflake.node_id = NUMBER"

	way wide "snowflake, wide layout" "snowflake_next()" "snowflake PRIMARY KEY" "snowflake_lower(%L)"
	FILE[wide]=snowflake.sql
	LINES[wide]="${LINES[snowflake]}
snowflake.layout = '$WIDE'"
	ONLY[wide]="calls"

	way leased "snowflake, leased" "snowflake_next()" "snowflake PRIMARY KEY" "snowflake_lower(%L)"
	FILE[leased]=leased.sql
	LINES[leased]="shared_preload_libraries = 'snowflake, snowflake_zookeeper'
snowflake.zookeeper_hosts = 'ZOOKEEPER'
snowflake.zookeeper_window = '6s'"
}

# Why a set-up cannot be measured here; nothing if it can.
obstacle()
{
	case $1 in
		uuid7)
			[ "$(sql first.0 -At -c "SELECT count(*) FROM pg_proc WHERE proname = 'uuidv7'")" -gt 0 ] ||
				echo "this server has no uuidv7(); PostgreSQL 18 has it"
			;;
		leased)
			zookeeper_obstacle
			;;
	esac
}

has_part()
{
	[[ " ${ONLY[$1]} " == *" $2 "* ]]
}

# add_way SERVER NAME NUMBER [VARIABLE=VALUE...]: one more server of a set-up.
add_way()
{
	local server=$1 name=$2 number=$3 lines=() variable options=()

	shift 3
	for variable in "module=$DIR/module/bench" "number=$number" "masters=2" \
		"odd=$DIR/ticket_odd" "even=$DIR/ticket_even" "$@"; do
		options+=(-v "$variable")
	done
	if [ -n "${LINES[$name]}" ]; then
		mapfile -t lines <<<"${LINES[$name]}"
		lines=("${lines[@]//NUMBER/$number}")
		lines=("${lines[@]//ZOOKEEPER/127.0.0.1:${ZOOKEEPER_PORT:-}}")
	fi
	add_server "$server" "${lines[@]}"
	if [ -n "${FILE[$name]}" ]; then
		sql "$server" "${options[@]}" -f "$DIR/module/ways/${FILE[$name]}"
	fi
	sql "$server" -v expression="${EXPRESSION[$name]}" -v column="${COLUMN[$name]}" \
		-v lowest="${LOWEST[$name]}" -f "$DIR/module/compare.sql"
}

remove_server()
{
	stop_server "$1"
	rm -rf "${DIR:?}/$1"
}

start_ticket_server()
{
	add_server "ticket_$1"
	sql "ticket_$1" -v number="$2" -f "$DIR/module/ways/ticket_server.sql"
}

start_all()
{
	local name why kept=()

	init_data
	add_server first.0
	for name in "${WAYS[@]}"; do
		[ "${#WANTED[@]}" -eq 0 ] || [[ " ${WANTED[*]} " == *" $name "* ]] || continue
		why=$(obstacle "$name")
		if [ -n "$why" ]; then
			say "Not measured: ${TITLE[$name]}: $why"
			printf '%s\t%s\n' "not measured" "${TITLE[$name]}: $why" >>"$DIR/notes"
			continue
		fi
		case $name in
			ticket) start_ticket_server odd 1; start_ticket_server even 2 ;;
			leased) start_zookeeper ;;
		esac
		add_way "$name.1" "$name" 1
		kept+=("$name")
	done
	WAYS=("${kept[@]}")
	[ "${#WAYS[@]}" -gt 0 ] || die "nothing is left to measure"
}

# ---- Measuring --------------------------------------------------------------

# pgbench_with SERVER SCRIPT OPTION...: pgbench with the text of that script.
pgbench_with()
{
	local server=$1 script=$DIR/$1/script.sql

	printf '%s\n' "$2" | as_server tee "$script" >/dev/null
	shift 2
	client "$server" pgbench -n -M prepared -f "$script" "$@" postgres
}

jobs_for()
{
	echo $(($1 < 2 ? 1 : 2))
}

tps_in()
{
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$1"
}

result_of()
{
	sql "$1" --csv -t -c "$2" -c "TABLE bench.result"
}

# IDs per second of so many clients, and what one of them takes from its client.
calls()
{
	local name=$1 clients=$2 per_statement=1000 log=$DIR/$1.1/pgbench.log

	[ "$name" != ticket ] || per_statement=1
	run_logged "$log" pgbench_with "$name.1" \
		"SELECT count(${EXPRESSION[$name]}) FROM generate_series(1, $per_statement);" \
		-c "$clients" -j "$(jobs_for "$clients")" -T "$CALL_SECONDS"
	tps_in "$log" | awk -v c="$clients" -v n="$per_statement" '
		{ printf "ids %d,%.1f\ncall time %d,%.3f\n", c, $1 * n, c, c / ($1 * n) * 1e9 }'
}

rows_of()
{
	if [ "$1" = ticket ]; then echo "$TICKET_ROWS"; else echo "$ROWS"; fi
}

load()
{
	sql "$1.1" -c CHECKPOINT
	result_of "$1.1" "CALL bench.load($(rows_of "$1"))"
}

need_loaded()
{
	[ "$(sql "$1.1" -At -c "SELECT to_regclass('loaded') IS NOT NULL")" = t ] || load "$1" >/dev/null
}

# Bytes of a server's data that the system's cache holds.
cached_bytes()
{
	as_server find "$DIR/$1/data/base" -type f -size +0 -exec fincore -b -n -o RES {} + |
		awk '{ n += $1 } END { print n + 0 }'
}

# A server with empty caches; says where the system's could not be emptied.
chill()
{
	local server=$1 before after

	stop_server "$server"
	before=$(cached_bytes "$server")
	# What is not on disk yet stays in the cache.
	as_server find "$DIR/$server/data/base" -type f -size +0 -exec sync {} +
	as_server find "$DIR/$server/data/base" -type f -size +0 \
		-exec dd if={} iflag=nocache count=0 status=none \;
	after=$(cached_bytes "$server")
	start_server "$server"
	if [ "$after" -gt $((before / 20)) ] || [ "$before" -eq 0 ]; then
		printf '%s\t%s\n' "cold cache" "cold shared_buffers only: the cache of the system could not be emptied" >>"$DIR/notes"
	fi
}

lookups()
{
	local name=$1 server=$1.1 log=$DIR/$1.1/pgbench.log i options=()

	need_loaded "$name"
	sql "$server" -c "VACUUM (ANALYZE) loaded" -c "CALL bench.choose_keys($KEYS)"
	chill "$server"
	sql "$server" --csv -t -c "SELECT * FROM bench.lookups('lookup cold', $COLD_KEYS)"
	sql "$server" -c "SELECT bench.lookups('', $KEYS)" >/dev/null
	sql "$server" --csv -t -c "SELECT * FROM bench.lookups('lookup warm', $KEYS)"

	# One row by its key, from a client.
	sql "$server" -At -c "SELECT format('SELECT n FROM loaded WHERE id = %L;', id) FROM bench.key WHERE nr <= 100" \
		>"$DIR/points"
	i=0
	while read -r line; do
		i=$((i + 1))
		printf '%s\n' "$line" | as_server tee "$DIR/$server/point.$i" >/dev/null
		options+=(-f "$DIR/$server/point.$i")
	done <"$DIR/points"
	run_logged "$log" client "$server" pgbench -n -M prepared "${options[@]}" -c 2 -j 2 \
		-T "$CALL_SECONDS" postgres
	tps_in "$log" | awk '{ printf "point,%.4f\n", 2 / $1 * 1e6 }'
}

wal_position()
{
	sql "$1" -At -c "SELECT pg_current_wal_insert_lsn() - '0/0'"
}

# latencies SERVER LABEL: percentiles, in milliseconds, of pgbench's log there.
latencies()
{
	cat "$DIR/$1"/tx.* | awk '{ print $3 }' | sort -n | awk -v label="$2" '
		{ v[NR] = $1 }
		END {
			printf "p50 %s,%.4f\n", label, v[int(NR * 0.50 + 0.999)] / 1000
			printf "p99 %s,%.4f\n", label, v[int(NR * 0.99 + 0.999)] / 1000
		}'
	rm -f "$DIR/$1"/tx.*
}

singles()
{
	local name=$1 server=$1.1 clients log=$DIR/$1.1/pgbench.log before after count

	need_loaded "$name"
	for clients in 2 8; do
		sql "$server" -c CHECKPOINT
		before=$(wal_position "$server")
		run_logged "$log" pgbench_with "$server" \
			$'\\set n random(1, 1000000)\nINSERT INTO loaded (n) VALUES (:n);' \
			-c "$clients" -j 2 -T "$SINGLE_SECONDS" -l --log-prefix "$DIR/$server/tx"
		after=$(wal_position "$server")
		count=$(cat "$DIR/$server"/tx.* | wc -l)
		printf 'tps %s,%s\n' "$clients" "$(tps_in "$log")"
		printf 'single wal %s,%s\n' "$clients" "$(((after - before) / count))"
		latencies "$server" "$clients"
	done
	sql "$server" --csv -t -c "SELECT 'single key', pg_relation_size('loaded_pkey')::float8 / count(*) FROM loaded"
}

range()
{
	local server=$1.1

	result_of "$server" "CALL bench.load_times($ROWS)"
	sql "$server" -c "VACUUM (ANALYZE) timed"
	sql "$server" --csv -t -c "SELECT * FROM bench.ranges(50)"
	sql "$server" -c "DROP TABLE timed"
}

# Two new servers of a set-up draw at the same time, the first with four clients
# and the other with one: do IDs come twice, and do they rise with the time?
order()
{
	local name=$1 nr clients pids=()

	for nr in 1 2; do add_way "$name.order.$nr" "$name" "$nr"; done
	for nr in 1 2; do
		clients=$((nr == 1 ? 4 : 1))
		pgbench_with "$name.order.$nr" "INSERT INTO drawn VALUES (${EXPRESSION[$name]}, clock_timestamp());" \
			-c "$clients" -T "$ORDER_SECONDS" >"$DIR/$name.order.$nr/pgbench.log" 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
	for nr in 1 2; do
		sql "$name.order.$nr" --csv -t -c "SELECT $nr, (extract(epoch FROM at) * 1000000)::bigint, id FROM drawn"
	done >"$DIR/drawn"
	python3 "$ROOT/bench/compare_order.py" <"$DIR/drawn"
	for nr in 1 2; do remove_server "$name.order.$nr"; done
}

loss()
{
	loss_restart "$1"
	if declare -F "loss_$1" >/dev/null; then "loss_$1"; fi
}

measure()
{
	local clients

	case $1 in
		calls) for clients in "${CLIENTS[@]}"; do calls "$2" "$clients"; done ;;
		*) "$1" "$2" ;;
	esac
}

one_round()
{
	local part name

	keep "$ROUND,all" other_work "$WAIT"
	for part in "${PARTS[@]}"; do
		for name in $(printf '%s\n' "${WAYS[@]}" | shuf); do
			has_part "$name" "$part" || continue
			printf '%5d s  round %d of %d  %-8s %s\n' "$SECONDS" "$ROUND" "$ROUNDS" "$part" "${TITLE[$name]}"
			keep "$ROUND,$name" measure "$part" "$name"
		done
	done
}

# Files of the write-ahead log that are there need not be made.
warm_up()
{
	local name

	for name in "${WAYS[@]}"; do
		has_part "$name" load || continue
		load "$name" >/dev/null
		sql "$name.1" -c CHECKPOINT
	done
}

# ---- Reporting --------------------------------------------------------------

flush_time()
{
	as_server "$BIN/pg_test_fsync" -s 1 -f "$DIR/first.0/fsync" 2>/dev/null |
		awk '$1 == "fdatasync" && $NF == "usecs/op" { print $(NF - 1) " microseconds (fdatasync of 8 kB)"; exit }'
}

# What must be the same in runs whose results are put together.
sizes()
{
	printf '%s\t%s\n' \
		"rounds" "$ROUNDS" \
		"rows" "$ROWS; ticket server: $TICKET_ROWS" \
		"sizes" "$([ "$QUICK" = no ] && echo full || echo "quick: too small to conclude from")"
}

facts()
{
	local before=

	if [ "$ADD" = yes ]; then before=$(sed -n 's/^command\t//p' "$OUT/facts.tsv"); fi
	machine_facts first.0
	printf '%s\t%s\n' \
		"shared_buffers" "$(sql first.0 -At -c 'SHOW shared_buffers')" \
		"flush of the disk" "$(flush_time)" \
		"extension" "snowflake $(sed -n "s/^default_version = '\(.*\)'/\1/p" "$ROOT/snowflake.control")" \
		"command" "${before:+$before; }$COMMAND"
	sizes
	if [ -e "$DIR/notes" ]; then sort -u "$DIR/notes"; fi
}

# Results of an earlier run are kept where this one has none.
begin_adding()
{
	[ -e "$OUT/samples.csv" ] || { ADD=no; return 0; }
	[ "$(sizes)" = "$(grep -P '^(rounds|rows|sizes)\t' "$OUT/facts.tsv")" ] ||
		die "the results in $OUT are of other sizes or rounds; nothing can be added to them"
}

report()
{
	local name options=()

	mkdir -p "$OUT"
	touch "$DIR/seen"
	facts >"$DIR/facts"
	if [ "$ADD" = yes ]; then
		# Not one set-up of now beside others of then: a ratio is of one round.
		awk -F, 'NR == FNR { new[$3]; next } !($3 in new)' "$DIR/samples" "$OUT/samples.csv" >"$DIR/old"
		cat "$DIR/old" >>"$DIR/samples"
		awk -F'\t' 'NR == FNR { new[$1, $2]; next } !(($1, $2) in new)' "$DIR/seen" "$OUT/seen.tsv" >"$DIR/old"
		cat "$DIR/old" >>"$DIR/seen"
	fi
	cp "$DIR/samples" "$OUT/samples.csv"
	cp "$DIR/facts" "$OUT/facts.tsv"
	for name in "${ALL_WAYS[@]}"; do
		if cut -d , -f 2 "$DIR/samples" | grep -qx "$name"; then printf '%s\t%s\n' "$name" "${TITLE[$name]}"; fi
	done >"$OUT/ways.tsv"
	sort -u "$DIR/seen" >"$OUT/seen.tsv"
	[ "$PUBLISH" = no ] || options+=(--publish "$ROOT")
	python3 "$ROOT/bench/compare_report.py" "${options[@]}" "$OUT"
	say "The results are in $OUT"
}

# ---- The run ----------------------------------------------------------------

usage()
{
	sed -n '4,14s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

QUICK=no
list_ways
ALL_WAYS=("${WAYS[@]}")
for option in "$@"; do
	if [ "$option" = --quick ]; then
		QUICK=yes
		quick
	fi
done
while [ $# -gt 0 ]; do
	case $1 in
		--quick) shift; continue ;;
		--add) ADD=yes; shift; continue ;;
		--publish) PUBLISH=yes; shift; continue ;;
		--list)
			for name in "${WAYS[@]}"; do printf '%-12s %s\n' "$name" "${TITLE[$name]}"; done
			exit 0
			;;
	esac
	[ $# -ge 2 ] || usage
	case $1 in
		--rounds) ROUNDS=$2 ;;
		--parts) IFS=, read -ra PARTS <<<"$2" ;;
		--ways) IFS=, read -ra WANTED <<<"$2" ;;
		--out) OUT=$(realpath -m "$2") ;;
		--set) SETTINGS+=("${2%%=*} = '${2#*=}'") ;;
		--wait) WAIT=$2 ;;
		*) usage ;;
	esac
	shift 2
done
for part in "${PARTS[@]}"; do
	[[ " ${ALL_PARTS[*]} " == *" $part "* ]] ||
		die "there is no part $part; the parts are: ${ALL_PARTS[*]}"
done
for name in "${WANTED[@]}"; do
	[ -n "${TITLE[$name]:-}" ] || die "there is no set-up $name; the set-ups are: ${WAYS[*]}"
done

if [ "$ADD" = yes ]; then begin_adding; fi
PG_CONFIG=$("$ROOT/scripts/setup.sh" compare)
begin
say "Building and installing the extension for $("$PG_CONFIG" --version)"
copy_sources "$DIR/tree"
build_and_install "$DIR/tree" "$DIR/make.log"
build_module compare.sql ways
say "Starting the set-ups in $DIR"
start_all
say "Warming up"
run warm_up
for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do one_round; done
report
