# shellcheck shell=bash
# Sourced by the benchmarks that want a ZooKeeper server of their own.

# Why no node ID can be leased here; nothing if one can.
zookeeper_obstacle()
{
	if [ ! -e "$("$PG_CONFIG" --pkglibdir)/snowflake_zookeeper.so" ]; then
		echo "the module snowflake_zookeeper is not installed"
	elif ! have java || [ ! -e /usr/share/java/zookeeper.jar ]; then
		echo "ZooKeeper is not installed (Debian's package zookeeper)"
	fi
}

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Prints what ZooKeeper answers to a command of four letters.
ask_zookeeper()
{
	{
		printf '%s' "$1" >&3
		timeout 2 cat <&3
	} 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$ZOOKEEPER_PORT"
}

run_zookeeper()
{
	local tries

	# It writes its own number: that of a job here is not of java itself.
	# shellcheck disable=SC2016
	as_server bash -c 'echo $$ >"$1/pid"; exec java -Xms32m -Xmx96m -XX:+UseSerialGC \
		-Dzookeeper.admin.enableServer=false \
		-cp "$1:/usr/share/java/slf4j-simple.jar:/usr/share/java/zookeeper.jar" \
		org.apache.zookeeper.server.quorum.QuorumPeerMain "$1/zoo.cfg"' \
		bash "$DIR/zookeeper" >"$DIR/zookeeper.log" 2>&1 &
	for ((tries = 0; tries < 300; tries++)); do
		if [ "$( (ask_zookeeper ruok) 2>/dev/null)" = imok ]; then return 0; fi
		sleep 0.1
	done
	tail -n 20 "$DIR/zookeeper.log" >&2
	die "ZooKeeper does not start"
}

start_zookeeper()
{
	ZOOKEEPER_PORT=$(free_port)
	as_server mkdir -p "$DIR/zookeeper/data"
	as_server tee "$DIR/zookeeper/zoo.cfg" >/dev/null <<-END
		tickTime=200
		initLimit=25
		syncLimit=10
		dataDir=$DIR/zookeeper/data
		clientPort=$ZOOKEEPER_PORT
		clientPortAddress=127.0.0.1
		minSessionTimeout=400
		maxSessionTimeout=60000
		4lw.commands.whitelist=ruok
	END
	run_zookeeper
}

kill_zookeeper()
{
	as_owner "$DIR/zookeeper" bash -c 'kill "$@"' bash -KILL "$(cat "$DIR/zookeeper/pid")" 2>/dev/null || true
}

stop_others()
{
	if [ -e "$DIR/zookeeper/pid" ]; then kill_zookeeper; fi
}
