# Processes of a server that leases are killed: the worker, which brings all of
# the server down and up again; and the postmaster, when a session goes on making
# IDs without it, while another server claims the node ID.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLease;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);
my @nodes = map {
	my $node = lease_server($_, $zk->hosts, zookeeper_node_range => '0-3');
	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node;
} qw(one two);
my ($one, $two) = @nodes;

#
# The worker
#

start_leasing($one);
my $history = lease_history($one);
my $clients = lease_clients($one, 3);
$clients->wait_for_more(200);

foreach my $signal (qw(KILL TERM KILL SEGV TERM))
{
	my $worker = lease_worker($one);

	kill $signal, $worker;
	poll_until(
		sub {
			my ($new) = eval { lease_worker($one) };
			return $new && $new != $worker;
		},
		'another worker');
	poll_until(
		sub {
			my ($code, $state) = $one->psql('postgres', 'SELECT lease_state FROM snowflake_status', stderr => \my $ignored);
			return $code == 0 && $state eq 'held';
		},
		'a lease');
	$clients->wait_for_more(200);
	pass("after a $signal of the worker the server has a lease again, and IDs flow");
}
$clients->stop;
$history->add_calls('one', $_->file) foreach @$clients;
history_of_leases_ok($history, $zk, [$one], 1200, 'what was issued over all that');
$one->stop;

#
# The postmaster, while a session is busy
#

$SnowflakeLease::root .= '/orphan';
foreach my $node (@nodes)
{
	lease_settings($node, zookeeper_hosts => $zk->hosts, zookeeper_path => $SnowflakeLease::root,
		zookeeper_node_range => '5', zookeeper_window => '4s');
}
is(start_leasing($one), 5, 'the first server has the node ID');
start_waiting($two);
$history = lease_history(@nodes);
my $others = lease_clients($two, 2);

# It never waits for anything that tells it of the postmaster's death.  One ID
# in a millisecond is enough to see.
my $file = $one->basedir . '/orphan';
my $began = history_us();
my $orphan = IPC::Run::start(
	[
		$one->installed_command('psql'), '-XAtq', '-d', $one->connstr('postgres'), '-c',
		q{COPY (SELECT id
			FROM (SELECT snowflake_next() AS id FROM (SELECT generate_series(1, 2000000000)) AS calls) AS made
			WHERE id & 4095 < 2) TO STDOUT}
	],
	'<', \undef, '>', $file, '2>', \my $complaint);
poll_until(sub { (-s $file // 0) > 20_000 }, 'IDs of the session');
my $killed_ms = time * 1000;
$one->kill9;
note 'the postmaster is dead';
is(wait_for_lease($two), 5, 'the other server has the node ID');
my $claimed_ms = time * 1000;
$others->wait_for_more(200);
$orphan->finish;
my $ended = history_us();
note "the session's end: $complaint";
poll_until(sub { !server_processes($one) }, 'the end of the last process');

my @ids = split /\n/, slurp_file($file);
pop @ids unless slurp_file($file) =~ /\n\z/;
my ($last_ms) = $history->time_of($ids[-1]) / 1000;
note sprintf('%d IDs seen; the last is of %.3f s after the death of the postmaster; claimed after %.3f s',
	scalar(@ids), ($last_ms - $killed_ms) / 1000, ($claimed_ms - $killed_ms) / 1000);
cmp_ok($last_ms, '>', $killed_ms + 200, 'the session made IDs without the postmaster');
my ($before, $after) = grep { $_->{node_id} == 5 } @{ (claims($zk))[0] }[ -2, -1 ];
cmp_ok($last_ms, '<', $before->{high}, 'up to the end of the lease and no further');
cmp_ok($after->{low}, '>=', $before->{high}, 'where the other lease begins');

$others->stop;
$history->add_calls('one', [ join ' ', 'orphan', 1, $began, $ended, @ids ]);
$history->add_calls('two', $_->file) foreach @$others;
history_of_leases_ok($history, $zk, \@nodes, 500, 'what both issued');

# And up again.
$two->stop;
$one->start;
is(wait_for_lease($one), 5, 'started again, the first server has the node ID again');
is($one->safe_psql('postgres', "SELECT snowflake_next() > $ids[-1]"), 't', 'and makes later IDs');
$one->stop;

done_testing();
