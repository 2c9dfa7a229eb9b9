# shellcheck shell=bash
# Sourced by compare.sh: what happens when a node is lost or added.
#
# Each function prints samples (what, value); what was seen in words, such as
# an error message, goes to the file of seen().

# seen SET-UP EVENT TEXT
seen()
{
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$DIR/seen"
}

# signal_server SIGNAL SERVER: all processes of that server.
signal_server()
{
	local pids

	mapfile -t pids < <(servers_below "$DIR/$2")
	# Those that end when the first does are not there any more.
	as_owner "$DIR/$2" bash -c 'kill "$@"' bash "-$1" "${pids[@]}" 2>/dev/null || true
}

# Power off: nothing is written any more, and nobody is told.
kill_server()
{
	local tries

	signal_server KILL "$1"
	for ((tries = 0; tries < 100; tries++)); do
		[ -n "$(servers_below "$DIR/$1")" ] || return 0
		sleep 0.1
	done
	die "the server $1 cannot be killed"
}

milliseconds_since()
{
	echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000))
}

# draw_ids SERVER SET-UP COUNT: that many IDs, a line each.
draw_ids()
{
	sql "$1" -At -c "SELECT ${EXPRESSION[$2]} FROM generate_series(1, $3)"
}

# collisions FILE...: how many IDs are in them that were made before.
collisions()
{
	sort "$@" | uniq -c | awk '{ n += $1 - 1 } END { print n + 0 }'
}

# draw_together SET-UP COUNT SERVER...: all servers draw at the same time.
# Leaves the IDs in $DIR/together.SERVER.
draw_together()
{
	local name=$1 count=$2 server pids=()

	shift 2
	for server in "$@"; do
		draw_ids "$server" "$name" "$count" >"$DIR/together.$server" &
		pids+=($!)
	done
	wait "${pids[@]}"
}

# The server is killed at work and started again: when does the first row go
# in, and has its ID been there before?
loss_restart()
{
	local name=$1 server=$1.1 pgbench begun ready first

	sql "$server" -c "DROP TABLE IF EXISTS restarted" \
		-c "CREATE TABLE restarted (id ${COLUMN[$name]}, n integer)" -c CHECKPOINT
	pgbench_with "$server" "INSERT INTO restarted (n) VALUES (1) RETURNING id;" \
		-c 4 -T 60 >"$DIR/$server/pgbench.log" 2>&1 &
	pgbench=$!
	until [ "$(sql "$server" -At -c "SELECT count(*) > 20 FROM restarted")" = t ]; do sleep 0.05; done
	kill_server "$server"
	wait "$pgbench" || true

	begun=$EPOCHREALTIME
	start_server "$server"
	ready=$(milliseconds_since "$begun")
	begun=$EPOCHREALTIME
	sql "$server" -c "INSERT INTO restarted (n) VALUES (2)"
	first=$(milliseconds_since "$begun")
	echo "restart ready,$ready"
	echo "restart first,$first"
}

# ---- Increments: a third master ---------------------------------------------

set_increment()
{
	sql "$1" -c "ALTER SEQUENCE ids INCREMENT BY $2 RESTART WITH $3"
}

loss_increments()
{
	local nr last=0 begun start

	for nr in 1 2 3; do
		add_server "third.$nr"
		if [ "$nr" -lt 3 ]; then
			sql "third.$nr" -v masters=2 -v number="$nr" -f "$DIR/module/ways/increments.sql"
		else
			# It is set up rightly for three; the two others are forgotten.
			sql "third.$nr" -v masters=3 -v number=3 -f "$DIR/module/ways/increments.sql"
		fi
	done
	draw_together increments 10000 third.1 third.2 third.3
	echo "third forgotten,$(collisions "$DIR"/together.third.*)"

	# With writes stopped everywhere: above all IDs that there are, with steps
	# of three.
	begun=$EPOCHREALTIME
	last=$(cat "$DIR"/together.third.* | sort -n | tail -n 1)
	for nr in 1 2 3; do
		start=$((last + 3 - last % 3 + nr))
		set_increment "third.$nr" 3 "$start"
	done
	echo "third stopped,$(milliseconds_since "$begun")"
	draw_together increments 10000 third.1 third.2 third.3
	echo "third reconfigured,$(collisions "$DIR"/together.third.*)"
	for nr in 1 2 3; do remove_server "third.$nr"; done
	rm -f "$DIR"/together.third.*
}

# ---- The ticket server ------------------------------------------------------

# The longest time without an insert, in milliseconds, by pgbench's log.
longest_pause()
{
	cat "$DIR/$1"/tx.* | awk '{ printf "%d%06d\n", $5, $6 }' | sort -n |
		awk 'NR > 1 && $1 - last > longest { longest = $1 - last }
			{ last = $1 }
			END { printf "%.1f\n", longest / 1000 }'
	rm -f "$DIR/$1"/tx.*
}

# insert_while SECONDS COMMAND...: four clients insert; after a second the
# command is run.
insert_while()
{
	local seconds=$1 pgbench

	shift
	pgbench_with ticket.1 "INSERT INTO pause DEFAULT VALUES;" -c 4 -j 2 -T "$seconds" \
		-l --log-prefix "$DIR/ticket.1/tx" >"$DIR/ticket.1/pgbench.log" 2>&1 &
	pgbench=$!
	sleep 1
	"$@"
	wait "$pgbench" || true
}

freeze_odd()
{
	signal_server STOP ticket_odd
	sleep 2
	signal_server CONT ticket_odd
}

# What the odd server's clients drew before it died, and the even one's first.
step_back()
{
	sql ticket.1 -At -c "
		SELECT max(id) FILTER (WHERE id % 2 = 1) - min(id) FILTER (WHERE id % 2 = 0) FROM pause"
}

loss_ticket()
{
	local message

	sql ticket.1 -c "DROP TABLE IF EXISTS pause" -c "CREATE TABLE pause (id ${COLUMN[ticket]})"
	insert_while 3 true
	echo "ticket undisturbed pause,$(longest_pause ticket.1)"
	insert_while 4 freeze_odd
	echo "ticket frozen pause,$(longest_pause ticket.1)"
	insert_while 3 kill_server ticket_odd
	echo "ticket killed pause,$(longest_pause ticket.1)"
	echo "ticket killed aborted,$(grep -c 'aborted' "$DIR/ticket.1/pgbench.log" || true)"
	echo "ticket killed step back,$(step_back)"
	message=$(sql ticket.1 -c "SELECT ticket_alone()" 2>&1 | head -n 1 | sed 's/ on socket.*//') || true
	seen ticket "its server is killed, no standby" "$message"
	start_server ticket_odd

	run_logged "$DIR/ticket.1/pgbench.log" pgbench_with ticket.1 "SELECT ticket();" -c 1 -T 1
	tps_in "$DIR/ticket.1/pgbench.log" | awk '{ printf "ticket dblink latency,%.4f\n", 1e3 / $1 }'
	run_logged "$DIR/ticket.1/pgbench.log" pgbench_with ticket.1 "SELECT ticket_by_fdw();" -c 1 -T 1
	tps_in "$DIR/ticket.1/pgbench.log" | awk '{ printf "ticket fdw latency,%.4f\n", 1e3 / $1 }'
	run_logged "$DIR/ticket.1/pgbench.log" pgbench_with ticket.1 "SELECT ticket_by_fdw();" -c 8 -j 2 -T 2
	sed -n 's/^number of failed transactions: .*(\([0-9.]*\)%)/ticket fdw failed,\1/p' "$DIR/ticket.1/pgbench.log"
}

# ---- Two servers with the same number ---------------------------------------

same_number()
{
	local name=$1

	add_way "$name.same" "$name" 1
	draw_together "$name" 200000 "$name.1" "$name.same"
	echo "same number,$(collisions "$DIR/together.$name.1" "$DIR/together.$name.same")"
	remove_server "$name.same"
	rm -f "$DIR/together.$name".*
}

loss_instagram()
{
	same_number instagram
}

loss_snowflake()
{
	same_number snowflake
}

# ---- ZooKeeper --------------------------------------------------------------

# fails_within SECONDS / works_within SECONDS: until an ID is refused or made.
# What the last call said is in $DIR/answer.
fails_within()
{
	local deadline=$((SECONDS + $1))

	while sql leased.1 -At -c "SELECT snowflake_next()" >"$DIR/answer" 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || die "IDs are still made $1 s after ZooKeeper was killed"
		sleep 0.05
	done
}

works_within()
{
	local deadline=$((SECONDS + $1))

	until sql leased.1 -At -c "SELECT snowflake_next()" >"$DIR/answer" 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || die "no ID $1 s after ZooKeeper came back: $(cat "$DIR/answer")"
		sleep 0.05
	done
}

# How long IDs go on without ZooKeeper, and how soon they come again with it.
loss_leased()
{
	local begun

	works_within 60
	kill_zookeeper
	begun=$EPOCHREALTIME
	fails_within 60
	echo "zookeeper lost goes on,$(milliseconds_since "$begun")"
	seen leased "ZooKeeper is killed, after its lease" "$(head -n 1 "$DIR/answer")"
	run_zookeeper
	begun=$EPOCHREALTIME
	works_within 60
	echo "zookeeper back,$(milliseconds_since "$begun")"
	# Both servers ask for a number of their own, so none is the same.
	same_number leased
}
