#!/bin/bash
# The clients that people use, each a small program, on one machine.
#
#   examples/clients/run.sh start DIR              start two servers and build the programs
#   examples/clients/run.sh client DIR NAME WORD [ARGUMENT...]
#                                                  run one of them; its file says what WORD can be
#   examples/clients/run.sh stop DIR               stop the servers and remove DIR
#
# DIR/clients tells which programs there are, and what the others want.

. "$(dirname "$0")/../lib/example.sh"

HERE=$(dirname "$EXAMPLE_SCRIPT")
PYTHON=/usr/bin/python3
JARS=/usr/share/java

# Each needs what its name_wants says, and is built by name_build.  The last line
# of what that writes is why the client is not there.
CLIENTS=(libpq psycopg copy sqlalchemy django jdbc node-postgres knex)

want_python()
{
	"$PYTHON" -c "import $1" 2>/dev/null && return
	echo "Python's $1 is not there (on Debian: apt-get install $2, or scripts/setup.sh examples)"
	exit 77
}

prepare_libpq()
{
	want cc gcc
	want "$("$PG_CONFIG" --includedir)/libpq-fe.h" libpq-dev
	as_server cc -Wall -O2 -o "$DIR/build/orders" -x c - -I"$("$PG_CONFIG" --includedir)" \
		-L"$("$PG_CONFIG" --libdir)" -lpq <"$HERE/orders.c"
}

prepare_psycopg()
{
	want_python psycopg python3-psycopg
}

prepare_copy()
{
	want_python psycopg python3-psycopg
}

prepare_sqlalchemy()
{
	want_python psycopg2 python3-psycopg2
	want_python sqlalchemy python3-sqlalchemy
}

# Also makes the table, as a migration would.
prepare_django()
{
	want_python psycopg2 python3-psycopg2
	want_python django python3-django
	word_client django create
	SERVER='unset' word_client django create
}

prepare_jdbc()
{
	want javac default-jdk-headless
	want "$JARS/postgresql.jar" libpostgresql-jdbc-java
	as_server javac -cp "$JARS/postgresql.jar" -d "$DIR/build" "$DIR/build/Orders.java"
}

# The modules are in the versions of package-lock.json.
prepare_node-postgres()
{
	want node nodejs
	want npm npm
	as_server env "npm_config_cache=$DIR/build/npm" npm ci --prefix "$DIR/build" --ignore-scripts \
		--no-audit --no-fund --no-update-notifier
}

prepare_knex()
{
	[ -d "$DIR/build/node_modules/knex" ] || { echo "npm did not install knex"; exit 77; }
}

prepare()
{
	local status=0 log=$DIR/build-$1.log

	# A subshell of its own, not in a condition, so that set -e holds in it.
	set +e
	(set -e; "prepare_$1") 2>&1 </dev/null | write "$log"
	status=${PIPESTATUS[0]}
	set -e
	if [ "$status" -eq 0 ]; then
		echo "$1 ready"
	else
		echo "$1 skipped: $(grep -v '^ *$' "$log" | tail -n 1)"
	fi
}

start_example()
{
	local password client server

	password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	write "$DIR/password" <<<"$password"
	# JDBC knows no Unix sockets, so these listen on 127.0.0.1, with a password.
	for server in "server 1" "unset -"; do
		# shellcheck disable=SC2086  # name and node ID
		TCP=$(free_port) make_server $server
		write "$DIR/${server% *}/pg_hba.conf" <<-END
			local all all trust
			host all all 127.0.0.1/32 scram-sha-256
		END
		sql "${server% *}" "ALTER USER postgres PASSWORD '$password'" "SELECT FROM pg_reload_conf()" \
			"CREATE TABLE orders (id snowflake PRIMARY KEY, item text)"
	done

	# Not every user may read where this tree is.
	as_server mkdir "$DIR/build"
	tar -C "$HERE" -cf - --exclude=./t . | as_server tar -C "$DIR/build" -xf - --no-same-owner
	for client in "${CLIENTS[@]}"; do prepare "$client"; done | write "$DIR/clients"
	cat "$DIR/clients"
}

# The client's program with the connection in its environment.
word_client()
{
	local name=$1 server=${SERVER:-server} command

	shift
	case $name in
		libpq) command=("$DIR/build/orders") ;;
		psycopg | copy | sqlalchemy | django) command=("$PYTHON" "$DIR/build/orders_$name.py") ;;
		jdbc) command=(java -XX:TieredStopAtLevel=1 -cp "$JARS/postgresql.jar:$DIR/build" Orders) ;;
		node-postgres) command=(node "$DIR/build/orders_pg.js") ;;
		knex) command=(node "$DIR/build/orders_knex.js") ;;
		*) die "there is no client $name" ;;
	esac
	# Without its node ID no server makes IDs.
	[ "${1:-}" != unset ] || server='unset'
	as_server env PGHOST=127.0.0.1 "PGPORT=$(server_field "$server" port)" PGUSER=postgres PGDATABASE=postgres \
		"PGPASSWORD=$(cat "$DIR/password")" "${command[@]}" "$@"
}

run_example "$@"
