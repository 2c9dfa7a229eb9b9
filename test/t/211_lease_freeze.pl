# A holder is frozen for three session timeouts, as a paused virtual machine is;
# meanwhile another server claims its node ID.  Thawed, it knows nothing of that,
# and its clients go on inserting.  Also frozen: only its worker, while its
# clients draw IDs all the time; and the server thawed before its worker.
#
# SNOWFLAKE_ROUNDS is how often that is done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 4;
my $session_s = 1.5;
my $zk = start_ensemble('zk', 3);

# Two servers, and one node ID for both.
my @nodes = map {
	lease_server($_, $zk->hosts,
		zookeeper_node_range => 5,
		zookeeper_session_timeout => $session_s * 1000 . 'ms',
		zookeeper_window => '2s')
} qw(one two);
my ($holder, $other) = @nodes;
is(start_leasing($holder), 5, 'the first server has the node ID');
start_waiting($other);

my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 3) } @nodes;
$clients{ $holder->name }->wait_for_more(200);
is(status($other, 'node_id IS NULL'), 't', 'the second one has none');

foreach my $round (1 .. $rounds)
{
	my $how = ('the server', 'the server, its worker for longer', 'the worker')[ $round % 3 ];
	my $worker = lease_worker($holder);
	my $fenced = status($holder, 'lease_fenced');
	my $begin = time;

	if ($how eq 'the worker') { freeze_worker($holder); }
	else { freeze_server($holder); }
	wait_for_lease($other);
	my $claimed = time - $begin;
	$clients{ $other->name }->wait_for_more(300);
	usleep(20_000) until time > $begin + 3 * $session_s;

	my $asleep = time - $begin;
	if ($how =~ /for longer$/)
	{
		thaw_server($holder, but => $worker);

		# Now there is nobody who could tell them.
		fails_with($holder, 'SELECT snowflake_next()', 'SF006', [qr/lease/],
			'after the end of its lease the server makes no ID');
		like(status($holder, 'lease_left'), qr/^-/, 'as the status says');
	}
	elsif ($how eq 'the worker')
	{
		fails_with($holder, 'SELECT snowflake_next()', 'SF006', [qr/lease/],
			'without its worker the server makes no ID after the end of its lease');
	}
	thaw_server($holder);
	poll_until(sub { status($holder, 'lease_fenced') > $fenced }, 'the holder to notice');
	$clients{ $other->name }->wait_for_more(300);
	pass(sprintf('round %d: froze %s for %.1f s, the other had its node ID after %.1f s', $round, $how, $asleep, $claimed));
	is(status($other, 'lease_state'), 'held', 'which has it still');
	isnt(status($holder, 'lease_state'), 'held', 'the one that was frozen has not');
	($holder, $other) = ($other, $holder);
}

# The session outlives the lease, and somebody deletes the holder meanwhile: so
# the holder comes back with a session that is as good as before.
$_->stop foreach @nodes;
lease_settings($_, zookeeper_hosts => $zk->hosts, zookeeper_node_range => 5,
	zookeeper_session_timeout => '60s', zookeeper_window => '2s') foreach @nodes;
$holder->start;
wait_for_lease($holder);
$clients{ $holder->name }->wait_for_more(100);
$other->start;
freeze_server($holder);
$zk->delete(ledger($zk)->{5}{path} . '/holder');
wait_for_lease($other);
$clients{ $other->name }->wait_for_more(100);
thaw_server($holder);
poll_until(sub { status($holder, 'lease_fenced') > 0 }, 'the holder to notice');
$clients{ $other->name }->wait_for_more(300);
is(status($other, 'lease_state'), 'held', 'nor does a live session get back what another has claimed');

$_->stop foreach values %clients;
foreach my $node (@nodes)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
history_of_leases_ok($history, $zk, \@nodes, 500 * $rounds, 'what both issued');
my ($claims) = claims($zk);
cmp_ok(scalar(@$claims), '>=', $rounds + 1, 'claims of one node ID');

$_->stop foreach @nodes;
done_testing();
