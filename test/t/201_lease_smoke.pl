# Node IDs that are leased from ZooKeeper, from the start to the stop: one
# ZooKeeper server, two PostgreSQL servers; then settings that cannot work, and
# who may do what.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time usleep);

my $jar = '/usr/share/java/zookeeper.jar';
plan skip_all => "this needs ZooKeeper ($jar is not there; package zookeeper)"
  unless -e $jar && grep { -x "$_/java" } split /:/, $ENV{PATH};
chomp(my $libraries = `pg_config --pkglibdir`);
plan skip_all => 'this needs snowflake_zookeeper, which is built where libzookeeper-st-dev is installed'
  unless -e "$libraries/snowflake_zookeeper.so";

#
# A ZooKeeper server
#

my $zookeeper_dir = PostgreSQL::Test::Utils::tempdir();
my $zookeeper_port = PostgreSQL::Test::Cluster::get_free_port();
my $zookeeper;

sub ask_zookeeper
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $zookeeper_port, Timeout => 5)
	  or return '';

	my $answer = '';

	print $socket 'srvr';
	$socket->flush;
	# One that is just starting may take the connection and say nothing.
	while (IO::Select->new($socket)->can_read(5))
	{
		last unless sysread $socket, $answer, 4096, length $answer;
	}
	return $answer;
}

sub start_zookeeper
{
	PostgreSQL::Test::Utils::append_to_file("$zookeeper_dir/zoo.cfg", <<"END") unless -e "$zookeeper_dir/zoo.cfg";
tickTime=200
minSessionTimeout=400
dataDir=$zookeeper_dir/data
clientPort=$zookeeper_port
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
END
	$zookeeper = IPC::Run::start(
		[
			'java', '-Xms32m', '-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
			'-Dzookeeper.forceSync=no', '-cp', "$zookeeper_dir:/usr/share/java/slf4j-simple.jar:$jar",
			'org.apache.zookeeper.server.quorum.QuorumPeerMain', "$zookeeper_dir/zoo.cfg"
		],
		'<', \undef, '>>', "$zookeeper_dir/log", '2>&1');
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if ask_zookeeper() =~ /Mode/;
		usleep(100_000);
	}
	die 'ZooKeeper does not come up: ' . slurp_file("$zookeeper_dir/log");
}

sub stop_zookeeper
{
	$zookeeper->kill_kill if $zookeeper;
	undef $zookeeper;
	return;
}

END { my $status = $?; stop_zookeeper(); $? = $status; }

#
# The servers
#

sub leased_node
{
	my ($name, @lines) = @_;
	my $node = snowflake_node($name,
		"snowflake.zookeeper_hosts = '127.0.0.1:$zookeeper_port'",
		q{snowflake.zookeeper_session_timeout = '2s'},
		q{snowflake.zookeeper_window = '3s'},
		@lines);

	$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'snowflake, snowflake_zookeeper'});
	return $node;
}

sub lease_is
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $state, $name) = @_;

	return ok($node->poll_query_until('postgres', "SELECT lease_state = '$state' FROM snowflake_status"), $name);
}

start_zookeeper();
my $one = leased_node('one');
my $two = leased_node('two');

#
# From the start to the stop
#

$one->start;
$one->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE EXTENSION snowflake_zookeeper');
ok($one->safe_psql('postgres', 'SELECT snowflake_next()'), 'an ID at once');
is(status($one, 'lease_state, node_source, lease_claim, lease_fenced'), 'held|lease|1|0', 'the lease is held');
is(status($one, q{lease_left > '0', lease_left <= '3.1s', lease_round_trip > '0'}), 't|t|t', 'for as long as it says');
my $first = status($one, 'node_id');
is($one->safe_psql('postgres', 'SELECT DISTINCT snowflake_node(snowflake_next()) FROM generate_series(1, 1000)'),
	$first, 'the IDs have the node ID');

$two->start;
$two->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE EXTENSION snowflake_zookeeper');
ok($two->safe_psql('postgres', 'SELECT snowflake_next()'), 'an ID of another server');
my $second = status($two, 'node_id');
isnt($second, $first, 'with another node ID');

my $high = $one->safe_psql('postgres', "SELECT high FROM snowflake_zookeeper_ledger() WHERE node_id = $first");
ok($one->poll_query_until('postgres',
		"SELECT high > '$high' FROM snowflake_zookeeper_ledger() WHERE node_id = $first"),
	'the lease is extended');
ok( $one->poll_query_until('postgres',
		'SELECT count(*) = 2 AND count(*) FILTER (WHERE leader) = 1 FROM snowflake_nodes'),
	'both servers are in the registry, and one leads');

# Each minute of logs would tell more; this is what a reader wants to see.
like(slurp_file($one->logfile), qr/LOG:  snowflake: node ID $first was claimed/, 'the claim is in the log');

$one->restart;
ok($one->safe_psql('postgres', 'SELECT snowflake_next()'), 'an ID at once after a restart');
is(status($one, 'node_id, lease_claim'), "$first|2", 'of the same node ID, claimed anew');
like(slurp_file($one->logfile), qr/node ID $first was given back/, 'which was given back');

#
# ZooKeeper goes away and comes back
#

stop_zookeeper();
ok($one->safe_psql('postgres', 'SELECT snowflake_next()'), 'without ZooKeeper the lease is good up to its end');
ok($one->poll_query_until('postgres', q{SELECT lease_left < '0' FROM snowflake_status}), 'it ends');
fails_with(
	$one,
	'SELECT snowflake_next()',
	'SF006',
	[ qr/the lease of node ID $first has run out/, qr/DETAIL:  .*"connecting"/, qr/HINT:/ ],
	'and there are no IDs then');
start_zookeeper();
lease_is($one, 'held', 'it is held again when ZooKeeper is back');
ok($one->safe_psql('postgres', 'SELECT snowflake_next()'), 'and there are IDs again');
is(status($one, 'lease_fenced'), 0, 'nobody else has claimed it');

#
# By hand
#

$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
is(status($one, 'lease_state, node_id'), 'released|', 'given back by hand');
fails_with(
	$one,
	'SELECT snowflake_next()',
	'SF006',
	[ qr/no node ID is leased to this server/, qr/"released"/ ],
	'there are no IDs then');
is($one->safe_psql('postgres', "SELECT held, high < now() FROM snowflake_zookeeper_ledger() WHERE node_id = $first"),
	'f|t', 'the ledger says that it is free at once');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($first)");
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
lease_is($one, 'held', 'claimed by hand');
isnt(status($one, 'node_id'), $first, 'another node ID, since that one was retired');

$two->stop;
$one->stop;

#
# Settings that cannot work, and no preloading
#

my %bad = (
	'zookeeper_hosts' => [ 'zk1', 'zk1:', 'zk1:0', 'zk1:2181,', 'zk1:2181, zk2:2181', 'zk1:2181/chroot', ':2181' ],
	'zookeeper_path' => [ '', '/', 'a', '/a/', '/a//b', '/a/../b', '/a b', '/zookeeper/a', '/' . 'x' x 180 ],
	'zookeeper_node_range' => [ '5-', '-5', '7-5', '05', '1,2', '99999999999' ],
	'zookeeper_window' => [ '0', '2h', 'long' ],
	'zookeeper_session_timeout' => ['1ms'],
	'zookeeper_max_skew' => ['0']);
foreach my $name (sort keys %bad)
{
	foreach my $value (@{ $bad{$name} })
	{
		my $offset = -s $one->logfile;

		settings($one, $name => $value);
		is($one->start(fail_ok => 1), 0, "snowflake.$name = '$value': the server does not start");
		like(slurp_file($one->logfile, $offset),
			qr/FATAL:  invalid value for parameter "snowflake\.$name": "\Q$value\E"\n.*DETAIL:  \S/, 'and says why');
	}
}

# A setting that nobody knows is a mistake, although other libraries have some
# with the same prefix.
settings($one, zookeper_hosts => 'zk1:2181');
$one->start;
like(slurp_file($one->logfile), qr/WARNING:  invalid configuration parameter name "snowflake\.zookeper_hosts"/, 'a name that is misspelt is found');
$one->stop;

settings($one);
$one->append_conf('postgresql.conf', q{shared_preload_libraries = 'snowflake'});
$one->start;
fails_with(
	$one, "SELECT $_", '55000',
	[ qr/snowflake_zookeeper must be loaded via "shared_preload_libraries"/, qr/HINT:/ ],
	"$_ without the module preloaded")
  foreach 'snowflake_nodes()', 'snowflake_zookeeper_ledger()', 'snowflake_zookeeper_release()';
$one->stop;

# Nobody but superusers, and the view for those who watch over servers.
$two->append_conf('postgresql.conf', q{snowflake.zookeeper_hosts = ''});
settings($two, node_id => 3);
$two->start;
is($two->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 3, 'without hosts the node ID is that of the settings');
is(status($two, 'lease_state, lease_left IS NULL, lease_fenced IS NULL'), 'off|t|t', 'and there is no lease');
is($two->safe_psql('postgres', 'SELECT count(*) FROM snowflake_nodes'), 0, 'nor a registry');
fails_with($two, 'SELECT snowflake_zookeeper_ledger()', '55000',
	[ qr/the worker that leases the node ID is not running/, qr/HINT:  Set "snowflake\.zookeeper_hosts"/ ], 'nor a worker');
$two->safe_psql('postgres', q{
	CREATE ROLE somebody LOGIN;
	CREATE ROLE watcher LOGIN;
	GRANT pg_monitor TO watcher;
	CREATE ROLE misled LOGIN;
	GRANT EXECUTE ON FUNCTION snowflake_zookeeper_release(), snowflake_zookeeper_ledger() TO misled});
is($two->psql('postgres', 'SELECT * FROM snowflake_nodes', extra_params => [ '-U', 'watcher' ]), 0, 'pg_monitor sees the view');
fails_with($two, "SELECT * FROM $_", '42501', [qr/permission denied/], "$_ is not for everybody", user => 'somebody')
  foreach 'snowflake_nodes', 'snowflake_nodes()', 'snowflake_zookeeper_ledger()', 'snowflake_zookeeper_retire(1)',
  'snowflake_zookeeper_release()', 'snowflake_zookeeper_claim()';
fails_with($two, "SELECT $_", '42501', [qr/must be superuser to call/], "$_ needs more than a grant", user => 'misled')
  foreach 'snowflake_zookeeper_release()', 'snowflake_zookeeper_ledger()';
$two->stop;
done_testing();
