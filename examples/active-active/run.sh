#!/bin/bash
# Two servers that both take writes and replicate the same table to each other,
# on one machine: with logical replication's "origin = none" on PostgreSQL 16 and
# newer, with pglogical on 15.
#
#   examples/active-active/run.sh start DIR         start servers a and b
#   examples/active-active/run.sh add-server DIR    join a third, c, while writes go on
#   examples/active-active/run.sh stop DIR          stop them and remove DIR

. "$(dirname "$0")/../lib/example.sh"

COMMON=("wal_level = logical" "max_worker_processes = 20")

# ---- Two ways to replicate --------------------------------------------------
#
# publish SERVER; subscribe SERVER PROVIDER yes|no: and copy what is there or
# not; wait_ready SERVER PROVIDER: until its changes come in.  Neither way passes
# on what came from another server.

publish_native()
{
	sql "$1" "CREATE PUBLICATION orders FOR TABLE orders"
}

subscribe_native()
{
	local copy=false

	[ "$3" = no ] || copy=true
	PGOPTIONS="-c client_min_messages=error" sql "$1" "CREATE SUBSCRIPTION $1_from_$2 CONNECTION '$(conninfo "$2")'
		PUBLICATION orders WITH (origin = none, copy_data = $copy)"
}

wait_ready_native()
{
	until_true "$1" "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel r
		JOIN pg_subscription s ON s.oid = srsubid WHERE subname = '$1_from_$2'"
	until_true "$2" "SELECT bool_or(active) FROM pg_replication_slots WHERE slot_name = '$1_from_$2'"
}

publish_pglogical()
{
	sql "$1" "CREATE EXTENSION pglogical" \
		"SELECT FROM pglogical.create_node('$1', '$(conninfo "$1")')" \
		"SELECT FROM pglogical.replication_set_add_table('default', 'orders')"
}

subscribe_pglogical()
{
	local copy=false

	[ "$3" = no ] || copy=true
	sql "$1" "SELECT FROM pglogical.create_subscription('$1_from_$2', '$(conninfo "$2")',
		synchronize_structure := false, synchronize_data := $copy, forward_origins := '{}')"
}

wait_ready_pglogical()
{
	sql "$1" "SELECT FROM pglogical.wait_for_subscription_sync_complete('$1_from_$2')"
	until_true "$1" "SELECT status = 'replicating' FROM pglogical.show_subscription_status('$1_from_$2')"
	until_true "$2" "SELECT bool_or(active) FROM pg_replication_slots WHERE slot_name LIKE '%$1_from_$2'"
}

choose_way()
{
	if [ "$MAJOR" -ge 16 ]; then
		WAY=native
		PRELOAD=snowflake
	else
		WAY=pglogical
		PRELOAD='snowflake, pglogical'
		want_extension pglogical "postgresql-$MAJOR-pglogical"
		# A conflict is not to be settled silently, it is to stop replication.
		COMMON+=("pglogical.conflict_resolution = 'error'")
	fi
}

# ---- The servers ------------------------------------------------------------

# make_member NAME NODE_ID
make_member()
{
	make_server "$1" "$2" "${COMMON[@]}" "shared_preload_libraries = '$PRELOAD'"
	sql "$1" "CREATE TABLE orders (id snowflake PRIMARY KEY, item text)"
	"publish_$WAY" "$1"
}

start_example()
{
	choose_way
	make_member a 1
	make_member b 2
	"subscribe_$WAY" a b no
	"subscribe_$WAY" b a no
	"wait_ready_$WAY" a b
	"wait_ready_$WAY" b a
}

# The new server gets what is there from a, and from then on what each makes from
# that one.  What b made must all be in a's copy or come from b: so b's writers
# wait, from before b's changes are kept for c until the copy is there.
word_add-server()
{
	local answer lsn server

	choose_way
	make_member c 3
	coproc SESSION { sql b 2>&1; }
	printf 'BEGIN;\nLOCK TABLE orders IN EXCLUSIVE MODE;\n\\echo locked\n' >&"${SESSION[1]}"
	read -r answer <&"${SESSION[0]}" || true
	[ "$answer" = locked ] || die "b does not lock its table: $answer"

	"subscribe_$WAY" c b no
	"wait_ready_$WAY" c b
	lsn=$(sql b "SELECT pg_current_wal_lsn()")
	until_true b "SELECT bool_and(confirmed_flush_lsn >= '$lsn') FROM pg_replication_slots"
	"subscribe_$WAY" c a yes
	"wait_ready_$WAY" c a
	printf 'COMMIT;\n\\echo done\n' >&"${SESSION[1]}"
	read -r answer <&"${SESSION[0]}" || true
	[ "$answer" = "done" ] || die "b does not release its table: $answer"

	# Nothing was written on c so far.
	for server in a b; do
		"subscribe_$WAY" "$server" c no
		"wait_ready_$WAY" "$server" c
	done
	say "Server c has joined"
}

run_example "$@"
