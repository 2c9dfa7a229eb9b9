#!/bin/bash
# Four shards behind a coordinator with postgres_fdw, on one machine.
#
#   examples/shards/run.sh start DIR        start the five servers
#   examples/shards/run.sh add-shard DIR    start a fifth shard and move a fifth of the
#                                           partitions to it, while inserts go on
#   examples/shards/run.sh stop DIR         stop them and remove DIR

. "$(dirname "$0")/../lib/example.sh"

# More partitions than shards, so that a shard can be added without splitting one.
PARTITIONS=20
SHARDS=4
COORDINATOR_NODE=100			# a shard's node ID is its number

# The row's shard follows from the customer; its ID is unique over all of them.
COLUMNS="customer_id bigint NOT NULL, id snowflake NOT NULL, item text"

# Its own partitions are all that a shard has of the table, so a row that belongs
# elsewhere is refused.
make_shard()
{
	local shard=$1

	# The workers are for moving partitions.
	make_server "shard$shard" "$shard" "wal_level = logical" "max_worker_processes = 20" \
		"max_logical_replication_workers = 10"
	sql "shard$shard" "CREATE TABLE orders ($COLUMNS, PRIMARY KEY (customer_id, id)) PARTITION BY HASH (customer_id)"
	sql coordinator "CREATE SERVER shard$shard FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
			host '$(server_field "shard$shard" host)', port '$(server_field "shard$shard" port)', dbname 'postgres',
			extensions 'snowflake', async_capable 'true', fetch_size '1000')" \
		"CREATE USER MAPPING FOR postgres SERVER shard$shard OPTIONS (user 'postgres')"
}

remainder()
{
	echo "WITH (MODULUS $PARTITIONS, REMAINDER $1)"
}

foreign_partition()
{
	echo "CREATE FOREIGN TABLE orders_$1 PARTITION OF orders FOR VALUES $(remainder "$1")
		SERVER shard$2 OPTIONS (table_name 'orders_$1')"
}

start_example()
{
	local shard partition

	want_extension postgres_fdw postgresql-contrib
	make_server coordinator "$COORDINATOR_NODE"
	sql coordinator "CREATE EXTENSION postgres_fdw" \
		"CREATE TABLE orders ($COLUMNS) PARTITION BY HASH (customer_id)"
	for ((shard = 1; shard <= SHARDS; shard++)); do make_shard "$shard"; done
	for ((partition = 0; partition < PARTITIONS; partition++)); do
		shard=$((partition % SHARDS + 1))
		sql "shard$shard" "CREATE TABLE orders_$partition PARTITION OF orders FOR VALUES $(remainder "$partition")" \
			"CREATE UNIQUE INDEX ON orders_$partition (id)"
		sql coordinator "$(foreign_partition "$partition" "$shard")"
	done
}

# ---- A further shard --------------------------------------------------------

# ask STATEMENT: in the one session that the coordinator's lock belongs to.
ask()
{
	local answer

	printf '%s;\n\\echo done\n' "$1" >&"${SESSION[1]}"
	read -r answer <&"${SESSION[0]}" || true
	[ "$answer" = "done" ] || die "this failed on the coordinator: $1"
}

# copy_partition PARTITION FROM TO: while both ways to insert are open.
copy_partition()
{
	local table=orders_$1

	sql "$3" "CREATE TABLE $table ($COLUMNS, PRIMARY KEY (customer_id, id))" "CREATE UNIQUE INDEX ON $table (id)"
	sql "$2" "CREATE PUBLICATION move_$1 FOR TABLE $table"
	PGOPTIONS="-c client_min_messages=warning" \
		sql "$3" "CREATE SUBSCRIPTION move_$1 CONNECTION '$(conninfo "$2")' PUBLICATION move_$1"
}

# switch_partition PARTITION FROM TO: inserts through the coordinator wait for
# its lock, and those on the old shard are refused from then on, while the last
# rows arrive on the new one.
switch_partition()
{
	local partition=$1 from=$2 to=$3 table=orders_$1 lsn

	until_true "$to" "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel WHERE srrelid = '$table'::regclass"
	ask "BEGIN"
	ask "ALTER TABLE orders DETACH PARTITION $table"
	sql "$from" "ALTER TABLE orders DETACH PARTITION $table"
	lsn=$(sql "$from" "SELECT pg_current_wal_lsn()")
	until_true "$from" "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'move_$partition'"
	PGOPTIONS="-c client_min_messages=warning" sql "$to" "DROP SUBSCRIPTION move_$partition"
	sql "$to" "ALTER TABLE orders ATTACH PARTITION $table FOR VALUES $(remainder "$partition")"
	ask "DROP FOREIGN TABLE $table"
	ask "$(foreign_partition "$partition" "${to#shard}")"
	ask "COMMIT"
	sql "$from" "DROP PUBLICATION move_$partition" "DROP TABLE $table"
	say "Partition $partition moved from $from to $to"
}

word_add-shard()
{
	local new=$((SHARDS + 1)) step partition

	make_shard "$new"
	coproc SESSION { sql coordinator 2>&1; }
	for step in copy_partition switch_partition; do
		for ((partition = PARTITIONS - PARTITIONS / new; partition < PARTITIONS; partition++)); do
			"$step" "$partition" "shard$((partition % SHARDS + 1))" "shard$new"
		done
	done
}

run_example "$@"
