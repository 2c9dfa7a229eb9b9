# Node IDs are given back and claimed again and again while sessions make IDs as
# fast as they can: three servers, and two node IDs that go round among them, or
# come back to the same server.
#
# In the second half of the rounds, backends pause between reading the two words
# of shared memory and the exchange that makes an ID.  That needs a build of the
# library with places to pause at.
#
# SNOWFLAKE_ROUNDS is how often that is done, SNOWFLAKE_SEED the start of the
# random numbers of an earlier run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use SnowflakeBuild;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(usleep);

skip_without_zookeeper(module => 1);
my ($build, $path) = build_with_places_to_fail(qw(snowflake snowflake_zookeeper));
plan skip_all => $path unless defined $build;

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 30;
my $seed = $ENV{SNOWFLAKE_SEED} // int(rand(2**31));
srand($seed);
note "$rounds rounds (SNOWFLAKE_ROUNDS), seed $seed (SNOWFLAKE_SEED)";

my $zk = start_ensemble('zk', 3);
my @nodes = map { lease_server($_, $zk->hosts, zookeeper_node_range => '6-7') } qw(one two three);

foreach my $node (@nodes)
{
	$node->append_conf('postgresql.conf', "dynamic_library_path = '$path'");
	$node->start;
	create_objects_of_build($node, $build, $_) foreach qw(snowflake snowflake_zookeeper);
}

# The last one has none.
poll_until(sub { 2 == grep { status($_, 'lease_state') eq 'held' } @nodes }, 'two holders');
@nodes = sort { status($a, 'node_id IS NULL') cmp status($b, 'node_id IS NULL') } @nodes;
my $history = lease_history(@nodes);
my @clients = map {
	my $node = $_;
	my @fast = (pause_us => 10_000);
	[ $node, lease_clients($node, 2, name => 'many', sql => 'SELECT snowflake_next() FROM generate_series(1, 20)', @fast) ],
	  [ $node, lease_clients($node, 1, name => 'batch', sql => 'SELECT snowflake_next_batch(50)', @fast) ],
	  [ $node, lease_clients($node, 1, name => 'one', sql => 'SELECT snowflake_next()', @fast) ];
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

	if ($round == int($rounds / 2) + 1)
	{
		foreach my $paused (@nodes)
		{
			$paused->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.pause = 50000');
			$paused->reload;
		}
		note 'from here on with pauses';
	}
	if (rand(3) < ($round * 2 > $rounds ? 2 : 1))
	{
		# At once, while backends have still in hand what they had read before.
		$node->safe_psql('postgres', 'SELECT snowflake_zookeeper_release(); SELECT snowflake_zookeeper_claim()');
	}
	else
	{
		release($node);
		usleep(rand(150_000)) if $round % 4 == 0;
		($node, $waiting) = ($waiting, $node) if rand(3) < 2;
		claim($node);
	}
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
