#!/bin/bash
# A server behind PgBouncer in transaction mode, on one machine.
#
#   examples/pgbouncer/run.sh start DIR     start both
#   examples/pgbouncer/run.sh stop DIR      stop them and remove DIR

. "$(dirname "$0")/../lib/example.sh"

SERVER_CONNECTIONS=20
CLIENT_CONNECTIONS=600

start_example()
{
	want pgbouncer pgbouncer
	make_server server 1 "max_connections = 50"
	sql server "CREATE TABLE orders (id snowflake PRIMARY KEY, item text, backend integer DEFAULT pg_backend_pid())"

	write "$DIR/pgbouncer.ini" <<-END
		[databases]
		* = host=$(server_field server host) port=$(server_field server port)

		[pgbouncer]
		pool_mode = transaction
		default_pool_size = $SERVER_CONNECTIONS
		max_client_conn = $CLIENT_CONNECTIONS
		listen_addr =
		listen_port = 6432
		unix_socket_dir = $DIR/socket
		auth_type = trust
		auth_file = $DIR/users
		admin_users = postgres
		pidfile = $DIR/pgbouncer.pid
		logfile = $DIR/pgbouncer.log
	END
	write "$DIR/users" <<<'"postgres" ""'
	# It keeps its working directory, by which stop knows it again.
	(cd "$DIR" && as_server pgbouncer -q -d pgbouncer.ini </dev/null)
	printf '%s\n' "pgbouncer $DIR/socket 6432 1" | append "$DIR/servers"
	until as_server "$BIN/pg_isready" -q -h "$DIR/socket" -p 6432; do
		((SECONDS < 60)) || die "PgBouncer does not start; see $DIR/pgbouncer.log"
		sleep 0.1
	done
}

run_example "$@"
