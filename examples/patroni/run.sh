#!/bin/bash
# A primary and two standbys under Patroni, with three ZooKeeper servers, on one
# machine.
#
#   examples/patroni/run.sh start DIR [OPTION...]
#       --same-node-id     one node ID for all, which is wrong: see README.md
#       --leased           node IDs leased from ZooKeeper
#       --network          a host for each member; only within network.sh
#       --clocks "A B C"   set the members' clocks ahead by so many seconds
#   examples/patroni/run.sh fail DIR MEMBER server|patroni|machine|network
#                                            kill -9 of the server, of Patroni, of both, or cut the host off
#   examples/patroni/run.sh mend DIR MEMBER  bring it back
#   examples/patroni/run.sh list DIR         patronictl list
#   examples/patroni/run.sh stop DIR         stop all and remove DIR

. "$(dirname "$0")/../lib/example.sh"

MEMBERS=(n1 n2 n3)
JARS=/usr/share/java
ZOOKEEPER_PORT=2181
REST_PORT=8008

# on_host MEMBER COMMAND...
on_host()
{
	local member=$1

	shift
	if [ -e "$DIR/network" ]; then ip netns exec "$member" "$@"; else as_server "$@"; fi
}

# ---- Hosts ------------------------------------------------------------------

# A bridge, and a host with an address of its own for each member.
make_network()
{
	local member

	am_root && die "--network wants the network that network.sh makes"
	ip link add sf0 type bridge 2>/dev/null || die "--network wants the network that network.sh makes"
	ip address add 10.77.0.254/24 dev sf0
	ip link set sf0 up
	for member in "${MEMBERS[@]}"; do
		ip netns add "$member"
		ip link add "to_$member" type veth peer name eth0 netns "$member"
		ip link set "to_$member" master sf0 up
		ip -n "$member" address add "10.77.0.${member#n}/24" dev eth0
		ip -n "$member" link set eth0 up
		ip -n "$member" link set lo up
	done
	touch "$DIR/network"
	write "$DIR/network_address" <<<10.77.0
}

# Without it: addresses of the loopback device that nobody else has.
choose_loopback()
{
	write "$DIR/network_address" <<<"127.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))"
}

address()
{
	echo "$(cat "$DIR/network_address").${1#n}"
}

# ---- ZooKeeper --------------------------------------------------------------

configure_zookeeper()
{
	local member=$1 other dir=$DIR/zookeeper_$1

	as_server mkdir "$dir" "$dir/data"
	write "$dir/data/myid" <<<"${member#n}"
	{
		# The members' clocks say nothing here: ZooKeeper counts in ticks.
		printf '%s\n' tickTime=200 initLimit=25 syncLimit=10 "dataDir=$dir/data" \
			"clientPort=$ZOOKEEPER_PORT" "clientPortAddress=$(address "$member")" \
			minSessionTimeout=400 maxSessionTimeout=60000 admin.enableServer=false 4lw.commands.whitelist=srvr
		for other in "${MEMBERS[@]}"; do echo "server.${other#n}=$(address "$other"):2888:3888"; done
	} | write "$dir/zoo.cfg"
}

# start_process MEMBER NAME COMMAND...: in the background, on the member's host.
start_process()
{
	local member=$1 name=$2

	shift 2
	(
		cd "$DIR"
		# shellcheck disable=SC2016  # for the inner shell
		on_host "$member" setsid bash -c 'echo $$ >"$1"; log=$2; shift 2; exec "$@" >>"$log" 2>&1' start \
			"$DIR/$name.pid" "$DIR/$name.log" "$@" </dev/null >/dev/null 2>&1 &
	)
}

start_zookeeper()
{
	start_process "$1" "zookeeper_$1" java -Xms32m -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		-cp "$JARS/slf4j-simple.jar:$JARS/zookeeper.jar" \
		org.apache.zookeeper.server.quorum.QuorumPeerMain "$DIR/zookeeper_$1/zoo.cfg"
}

zookeeper_serves()
{
	# shellcheck disable=SC2016  # for the inner shell
	on_host "$1" bash -c 'exec 3<>"/dev/tcp/$0/$1" && echo srvr >&3 && grep -q "^Mode: [lf]" <&3' \
		"$(address "$1")" "$ZOOKEEPER_PORT" 2>/dev/null
}

# ---- Patroni ----------------------------------------------------------------

# What differs between members is in their own files: above all the node ID.
# What is below "dcs" is the same for all, and ZooKeeper keeps it.
configure_patroni()
{
	local member=$1 number=${1#n} password hosts

	as_server mkdir "$DIR/$member"
	chmod 0700 "$DIR/$member"
	password=$(cat "$DIR/password")
	hosts=$(for other in "${MEMBERS[@]}"; do printf '"%s", ' "$(address "$other"):$ZOOKEEPER_PORT"; done)
	write "$DIR/$member.yml" <<-END
		scope: snowflake
		name: $member
		restapi: {listen: "$(address "$member"):$REST_PORT", connect_address: "$(address "$member"):$REST_PORT"}
		zookeeper: {hosts: [${hosts%, }]}
		bootstrap:
		  dcs:
		    ttl: $TTL
		    loop_wait: 1
		    retry_timeout: 2
		    maximum_lag_on_failover: 1048576
		    synchronous_mode: true
		    primary_start_timeout: 0
		    postgresql:
		      use_pg_rewind: true
		      use_slots: true
		      parameters:
		        shared_preload_libraries: $PRELOAD
		        max_connections: 50
		        wal_keep_size: 128MB
		        wal_sender_timeout: 5s
		        snowflake.max_lead: 2s
		  initdb: [{encoding: UTF8}, {locale: C}, data-checksums, no-sync]
		  pg_hba:
		    - local all all trust
		    - host all all $(cat "$DIR/network_address").0/24 scram-sha-256
		    - host replication all $(cat "$DIR/network_address").0/24 scram-sha-256
		postgresql:
		  listen: $(address "$member"):$((5431 + number))
		  connect_address: $(address "$member"):$((5431 + number))
		  data_dir: $DIR/$member/data
		  bin_dir: $(programs "$member")
		  pgpass: $DIR/$member/pgpass
		  authentication:
		    superuser: {username: postgres, password: $password}
		    replication: {username: replicator, password: $password}
		    rewind: {username: rewinder, password: $password}
		  basebackup: [{checkpoint: fast}]
		  parameters:
		    unix_socket_directories: $DIR/socket
	END
	printf '    %s\n' "${OWN_PARAMETERS[@]//NUMBER/$number}" | append "$DIR/$member.yml"
	echo "$member $DIR/socket $((5431 + number)) $([ "$NODE_ID" = NUMBER ] && echo "$number" || echo "$NODE_ID")" |
		append "$DIR/servers"
}

# The member's programs; a clock that is ahead is that of its server only, since
# Patroni does not run under libfaketime.
programs()
{
	local member=$1 ahead dir=$DIR/$1/bin

	ahead=$(sed -n "s/^$member //p" "$DIR/clocks")
	if [ "$ahead" = 0 ]; then
		echo "$BIN"
		return
	fi
	as_server mkdir "$dir"
	as_server ln -s "$BIN"/* "$dir"
	as_server rm "$dir/postgres"
	# Other clocks than that of the time of day are never set on a real host either.
	write "$dir/postgres" <<-END
		#!/bin/sh
		export LD_PRELOAD=$(faketime_library) FAKETIME=$(printf '%+.3f' "$ahead")s FAKETIME_DONT_FAKE_MONOTONIC=1
		exec $BIN/postgres "\$@"
	END
	as_server chmod +x "$dir/postgres"
	echo "$dir"
}

faketime_library()
{
	compgen -G '/usr/lib/*/faketime/libfaketime.so.1' | head -n 1
}

start_patroni()
{
	start_process "$1" "$1" patroni "$DIR/$1.yml"
}

# ---- The words --------------------------------------------------------------

# until_succeeds WHAT COMMAND...
until_succeeds()
{
	local what=$1 deadline=$((SECONDS + ${PG_TEST_TIMEOUT_DEFAULT:-180}))

	shift
	until "$@"; do
		((SECONDS < deadline)) || die "timed out waiting for $what; see the logs in $DIR"
		sleep 0.2
	done
}

is_primary()
{
	[ "$(sql "$1" "SELECT pg_is_in_recovery()" 2>/dev/null)" = f ]
}

# What a member's Patroni says of all.
cluster()
{
	# shellcheck disable=SC2016  # for the inner shell
	on_host "$1" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /cluster HTTP/1.0\r\n\r\n" >&3 && cat <&3' \
		"$(address "$1")" "$REST_PORT" 2>/dev/null
}

# The primary with both standbys streaming, one of them synchronous and known to
# Patroni as that: before, none may take over.
is_complete()
{
	local member

	for member in "${MEMBERS[@]}"; do
		is_primary "$member" || continue
		[ "$(sql "$member" "SELECT count(*) = 2 AND bool_or(sync_state = 'sync') AND bool_and(state = 'streaming')
			FROM pg_stat_replication WHERE application_name LIKE 'n_'" 2>/dev/null)" = t ] || continue
		cluster "$member" | grep -q '"role": "sync_standby"' && return
	done
	return 1
}

start_example()
{
	local member

	for member in "${MEMBERS[@]}"; do start_zookeeper "$member"; done
	for member in "${MEMBERS[@]}"; do until_succeeds "ZooKeeper" zookeeper_serves "$member"; done
	start_patroni n1
	until_succeeds "a primary" is_primary n1
	sql n1 "CREATE EXTENSION snowflake" "CREATE TABLE orders (id snowflake PRIMARY KEY, item text)"
	start_patroni n2
	start_patroni n3
	until_succeeds "two standbys" is_complete
}

stop_example()
{
	local member

	[ -e "$DIR/network" ] || return 0
	for member in "${MEMBERS[@]}"; do
		ip link delete "to_$member" || true
		ip netns delete "$member" || true
	done
	ip link delete sf0 || true
}

word_start()
{
	local network=no leased=no clocks="0 0 0" member

	NODE_ID=NUMBER
	PRELOAD=snowflake
	# In seconds; how long the leader may be silent.
	TTL=6
	while [ $# -gt 0 ]; do
		case $1 in
			--same-node-id) NODE_ID=1 ;;
			--leased) leased=yes ;;
			--network) network=yes ;;
			--clocks) clocks=$2; shift ;;
			*) usage ;;
		esac
		shift
	done
	want patroni patroni
	want /usr/lib/python3/dist-packages/kazoo python3-kazoo
	want java default-jre-headless
	want "$JARS/zookeeper.jar" zookeeper
	want "$JARS/slf4j-simple.jar" libslf4j-java
	[ "$clocks" = "0 0 0" ] || [ -n "$(faketime_library)" ] || want libfaketime.so.1 libfaketime

	make_directory
	if [ "$network" = yes ]; then make_network; else choose_loopback; fi
	paste -d ' ' <(printf '%s\n' "${MEMBERS[@]}") <(tr ' ' '\n' <<<"$clocks") | write "$DIR/clocks"
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | write "$DIR/password"
	write "$DIR/passwords" <<<"*:*:*:postgres:$(cat "$DIR/password")"
	as_server chmod 0600 "$DIR/passwords"
	OWN_PARAMETERS=("snowflake.node_id: $NODE_ID")
	if [ "$leased" = yes ]; then
		want_library snowflake_zookeeper "the package of this extension's lease module"
		PRELOAD="'snowflake, snowflake_zookeeper'"
		NODE_ID=leased
		OWN_PARAMETERS=("snowflake.zookeeper_hosts: '$(for member in "${MEMBERS[@]}"; do
			printf '%s:%s,' "$(address "$member")" "$ZOOKEEPER_PORT"; done | sed 's/,$//')'")
		# Clocks that are further apart than by default they may be; real ones are to be synchronized.
		[ "$clocks" = "0 0 0" ] || OWN_PARAMETERS+=("snowflake.zookeeper_max_skew: 3s")
	fi
	for member in "${MEMBERS[@]}"; do
		configure_zookeeper "$member"
		configure_patroni "$member"
	done
	start_example
	how_to_connect
	say "For clients, the primary wherever it is:"
	for_clients | write "$DIR/for_clients"
	sed 's/^/    /' "$DIR/for_clients"
}

# A client goes on only with what is now the primary, and gives up soon on a host
# that is silent.
for_clients()
{
	local member hosts ports

	hosts=$(for member in "${MEMBERS[@]}"; do printf '%s,' "$(address "$member")"; done)
	ports=$(for member in "${MEMBERS[@]}"; do printf '%s,' "$((5431 + ${member#n}))"; done)
	echo "host=${hosts%,} port=${ports%,} user=postgres dbname=postgres passfile=$DIR/passwords" \
		"target_session_attrs=primary connect_timeout=2 keepalives_idle=1 keepalives_interval=1" \
		"keepalives_count=3 tcp_user_timeout=3000"
}

kill_hard()
{
	as_server bash -c 'kill -KILL "$@"' bash "$@"
}

word_fail()
{
	local member=$1 postmaster=$DIR/$1/data/postmaster.pid

	case ${2:-} in
		server) kill_hard "$(head -n 1 "$postmaster")" ;;
		patroni) kill_hard "$(cat "$DIR/$member.pid")" ;;
		machine) kill_hard "$(cat "$DIR/$member.pid")" "$(head -n 1 "$postmaster")" ;;
		network) ip link set "to_$member" down ;;
		*) usage ;;
	esac
}

word_mend()
{
	local member=$1

	if [ -e "$DIR/network" ]; then ip link set "to_$member" up; fi
	until_succeeds "ZooKeeper" zookeeper_serves "$member"
	as_server test -e "/proc/$(cat "$DIR/$member.pid")" || start_patroni "$member"
	until_succeeds "$member to follow" is_complete
}

word_list()
{
	local member

	for member in "${MEMBERS[@]}"; do
		on_host "$member" env PATRONICTL_CONFIG_FILE="$DIR/$member.yml" patronictl list 2>/dev/null && return
	done
}

run_example "$@"
