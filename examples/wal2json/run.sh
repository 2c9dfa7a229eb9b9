#!/bin/bash
# A server whose changes come out as JSON, by wal2json.
#
#   examples/wal2json/run.sh start DIR      start the server
#   examples/wal2json/run.sh follow DIR     print the changes as they are made
#   examples/wal2json/run.sh stop DIR       stop it and remove DIR

. "$(dirname "$0")/../lib/example.sh"

start_example()
{
	want_library wal2json "postgresql-$MAJOR-wal2json"
	make_server server 1 "wal_level = logical"
	# An ID as the domain and as a plain bigint.
	sql server "CREATE TABLE orders (id snowflake PRIMARY KEY, parent bigint DEFAULT snowflake_next(), item text)"
	sql server "SELECT FROM pg_create_logical_replication_slot('changes', 'wal2json')"
}

word_follow()
{
	exec "$BIN/pg_recvlogical" -d "$(conninfo server)" --slot=changes --start --file=- --no-loop \
		--option=format-version=2 --option=add-tables=public.orders
}

run_example "$@"
