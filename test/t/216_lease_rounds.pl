# Five servers stop and start, over and over: cleanly, at once, or killed, one or
# several at a time; there are eight node IDs for them.
#
# SNOWFLAKE_ROUNDS is how often one stops and starts again, SNOWFLAKE_SEED the
# start of the random numbers of an earlier run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLease;
use SnowflakeLoad;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 24;
my $seed = $ENV{SNOWFLAKE_SEED} // int(rand(2**31));
srand($seed);
diag "$rounds of 500 rounds (SNOWFLAKE_ROUNDS), seed $seed (SNOWFLAKE_SEED)";

my $zk = start_ensemble('zk', 3);
my @range = (zookeeper_node_range => '0-7', zookeeper_session_timeout => '1500ms', zookeeper_window => '2s');
my @nodes = map { lease_server("s$_", $zk->hosts, @range) } 1 .. 5;
start_leasing($_) foreach @nodes;

my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 1, pause_us => 10_000) } @nodes;
my (%seconds, %calls);

# An ID as of a client of the test, waiting for the lease.
sub first_id
{
	my ($node) = @_;
	my $begin = history_us();
	my $id = await_id($node);

	$history->add_calls($node->name, [ join ' ', 'test', ++$calls{ $node->name }, $begin, history_us(), $id ]);
	return;
}

my $stopped = 0;
while ($stopped < $rounds)
{
	my @some = grep { rand(3) < 1 } @nodes;
	@some = $nodes[ rand @nodes ] unless @some;
	my %how = map { $_->name => (qw(fast fast immediate kill))[ rand 4 ] } @some;

	foreach my $node (@some)
	{
		if ($how{ $node->name } eq 'kill') { kill_server($node); }
		else { $node->stop($how{ $node->name }); }
		$stopped++;
	}
	usleep(rand(1_500_000)) if rand(3) < 1;
	my $begin = time;
	start_together(@some) and die "servers did not start\n";
	foreach my $node (@some)
	{
		first_id($node);
		push @{ $seconds{ $how{ $node->name } } }, time - $begin;
	}
}
$_->stop foreach values %clients;

foreach my $how (sort keys %seconds)
{
	my @sorted = sort { $a <=> $b } @{ $seconds{$how} };
	note sprintf('%s: %d times, first ID %.2f to %.2f s after the start was ordered, median %.2f',
		$how, scalar(@sorted), @sorted[ 0, -1, @sorted / 2 ]);
}
foreach my $node (@nodes)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
	is_deeply(client_errors($clients{ $node->name }, 'SF006'), {}, $node->name . ': no errors but for want of a lease');
}
history_of_leases_ok($history, $zk, \@nodes, $stopped * 30, 'what all of them issued');
my ($claims) = claims($zk);
cmp_ok(scalar(@$claims), '>=', $stopped, "each of $stopped starts made a claim");
cmp_ok(scalar(@$claims), '<=', 2 * $stopped + @nodes, 'and hardly any in vain');
my %node_ids = map { $_->{node_id} => 1 } @$claims;
is(scalar(grep { $_ > 7 } keys %node_ids), 0, 'all in the range');

$_->stop foreach @nodes;
done_testing();
