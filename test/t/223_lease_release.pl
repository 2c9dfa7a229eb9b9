# Node IDs are given back and claimed again and again while sessions make IDs as
# fast as they can: three servers, and two node IDs that go round among them, or
# come back to the same server.
#
# SNOWFLAKE_ROUNDS is how often that is done, SNOWFLAKE_SEED the start of the
# random numbers of an earlier run.

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
use Time::HiRes qw(usleep);

skip_without_zookeeper(module => 1);

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 30;
my $seed = $ENV{SNOWFLAKE_SEED} // int(rand(2**31));
srand($seed);
note "$rounds rounds (SNOWFLAKE_ROUNDS), seed $seed (SNOWFLAKE_SEED)";

my $zk = start_ensemble('zk', 1);
my @nodes = map { lease_server($_, $zk->hosts, zookeeper_node_range => '6-7') } qw(one two three);

# The last one has none.
start_leasing($_) foreach @nodes[ 0, 1 ];
start_waiting($nodes[2]);
my $history = lease_history(@nodes);
my @clients = map {
	my $node = $_;
	[ $node, lease_clients($node, 2, name => 'many', sql => 'SELECT snowflake_next() FROM generate_series(1, 200)') ],
	  [ $node, lease_clients($node, 1, name => 'batch', sql => 'SELECT snowflake_next_batch(50)') ],
	  [ $node, lease_clients($node, 1, name => 'one', sql => 'SELECT snowflake_next()') ];
} @nodes;

sub release
{
	return $_[0]->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
}

sub claim
{
	return $_[0]->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
}

release($nodes[2]);
my @holders = @nodes[ 0, 1 ];
my $waiting = $nodes[2];
foreach my $round (1 .. $rounds)
{
	my $node = splice @holders, rand @holders, 1;

	release($node);
	usleep(rand(150_000)) if $round % 4 == 0;
	($node, $waiting) = ($waiting, $node) if rand(3) < 2;
	claim($node);
	wait_for_lease($node);
	push @holders, $node;
	usleep(rand(100_000));
}
claim($waiting);
release($holders[0]);
wait_for_lease($waiting);
$_->[1]->wait_for_more(10) foreach grep { $_->[0] != $holders[0] } @clients;
foreach my $client (@clients)
{
	my ($node, $processes) = @$client;

	$processes->stop;
	is_deeply(client_errors($processes, 'SF006'), {}, $node->name . ': no errors but for want of a lease');
	$history->add_calls($node->name, $_->file) foreach @$processes;
}
history_of_leases_ok($history, $zk, \@nodes, $rounds * 300, 'what they issued');
my ($claims) = claims($zk);
foreach my $id (6, 7)
{
	my %owners = map { $_->{owner} => 1 } grep { $_->{node_id} == $id } @$claims;
	cmp_ok(scalar(keys %owners), '>=', 2, "node ID $id was had by more than one of them");
}
cmp_ok(scalar(@$claims), '>=', $rounds, 'by as many claims');

$_->stop foreach @nodes;
done_testing();
