# Fifty servers that start at once, and sixteen node IDs: sixteen get one each,
# nobody gets another's, and when those go, others have their turn.
#
# SNOWFLAKE_SERVERS is how many servers there are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time);

skip_without_zookeeper(module => 1);

my $count = $ENV{SNOWFLAKE_SERVERS} // 50;
my $ids = 16;
my $zk = start_ensemble('zk', 3);

# Leases are given back, and last long enough for what so many processes take.
my @settings = (
	zookeeper_hosts => $zk->hosts,
	zookeeper_node_range => '0-' . ($ids - 1),
	zookeeper_session_timeout => '20s',
	zookeeper_window => '30s');

# As small as servers can be; copies of one, which has made no ID yet.
my $first = lease_server('s1', '', init => ['--wal-segsize=1']);
$first->append_conf('postgresql.conf', q{
shared_buffers = '1MB'
max_connections = 10
max_worker_processes = 2
max_wal_senders = 0
autovacuum = off
max_logical_replication_workers = 0
min_wal_size = '2MB'
wal_level = minimal});
$first->start;
$first->safe_psql('postgres', 'CREATE EXTENSION snowflake_zookeeper CASCADE');
foreach my $unused (qw(template0 template1))
{
	$first->safe_psql('postgres', "ALTER DATABASE $unused IS_TEMPLATE false");
	$first->safe_psql('postgres', "DROP DATABASE $unused");
}
$first->stop;
$first->backup_fs_cold('copy');
lease_settings($first, @settings);

my @nodes = ($first);
foreach my $i (2 .. $count)
{
	my $node = PostgreSQL::Test::Cluster->new("s$i");

	$node->init_from_backup($first, 'copy');
	lease_settings($node, @settings);
	keep_session($node);
	push @nodes, $node;
}

my $begin = time;
is(start_together(@nodes), 0, "all of $count servers are up");
diag sprintf('%d servers were up after %.1f s', $count, time - $begin);

my $history = lease_history(@nodes);
my (%number, @lines);

# An ID of each of these servers that makes one.  Returns which do.
sub draw
{
	my ($round, @from) = @_;
	my @run = map {
		my ($stdout, $stderr) = ('', '');
		my $draw = {
			node => $_, begin => history_us(), stdout => \$stdout, stderr => \$stderr,
			run => IPC::Run::start(
				[ $_->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $_->connstr('postgres'),
					'-c', 'SELECT snowflake_next() FROM generate_series(1, 20)' ],
				'<', \undef, '>', \$stdout, '2>', \$stderr)
		};
		$draw;
	} @from;
	my @drew;

	foreach my $draw (@run)
	{
		my $name = $draw->{node}->name;

		$draw->{run}->finish;
		my @drawn = split /\n/, ${ $draw->{stdout} };
		$history->add_calls($name, [ join ' ', 'test', ++$number{$name}, $draw->{begin}, history_us(), @drawn ]);
		push @drew, $draw->{node} if @drawn;
		push @lines, ${ $draw->{stderr} } unless @drawn;
	}
	return @drew;
}

poll_until(sub { keys %{ holders($zk) } == $ids }, "$ids holders");
diag sprintf('all %d node IDs were held after %.1f s', $ids, time - $begin);
my @holders;
poll_until(sub { @holders = grep { status($_, 'lease_state') eq 'held' } @nodes; @holders == $ids }, 'all of them to know');
is(scalar(@holders), $ids, "$ids servers have a node ID");
my %node_ids = map { status($_, 'node_id') => 1 } @holders;
is(scalar(keys %node_ids), $ids, 'each another one');
my @drew = draw(1, @nodes);
is_deeply([ sort map { $_->name } @drew ], [ sort map { $_->name } @holders ], 'those make IDs');
is(scalar(grep { !/ERROR:  SF006:/ } @lines), 0, 'the others say that they have no lease');

# Half of them go: as many others have their turn.
my @gone = @holders[ 0 .. $ids / 2 - 1 ];
my %gone = map { $_->name => 1 } @gone;
stop_together('fast', @gone);
$begin = time;
my @rest = grep { !$gone{ $_->name } } @nodes;
poll_until(sub { $ids == grep { status($_, 'lease_state') eq 'held' } @rest }, 'others to take over');
diag sprintf('%d others took over after %.1f s', scalar(@gone), time - $begin);
is(scalar(draw(2, @rest)), $ids, 'others have their turn');

history_of_leases_ok($history, $zk, \@nodes, 20 * $ids + 20 * $ids, 'what all of them issued');
my ($claims) = claims($zk);
is(scalar(@$claims), $ids + @gone, 'nobody claimed in vain');

stop_together('immediate', @rest);
done_testing();
