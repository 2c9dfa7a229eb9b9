# ZooKeeper loses what it knew: all of it, or one ledger.  Servers that go on
# could repeat IDs, since nobody knows any more which ones were made.  They make
# no more than what they had leased, refuse to go on, and say what there is to
# do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);
my @nodes = map { lease_server($_, $zk->hosts, zookeeper_node_range => '0-2') } qw(one two three);
my ($one, $two, $three) = @nodes;

start_leasing($_) foreach $one, $two;
my $history = lease_history($one, $two);
$history->leased('three');
$history->clock_is('three', 0);
my %clients = map { $_->name => lease_clients($_, 2) } $one, $two;
$_->wait_for_more(200) foreach values %clients;
my ($config) = $zk->get("$SnowflakeLease::root/config")->{data};

# What each of them has leased up to then; it is lost with the data.
my %port = map { $_->port => $_->name } @nodes;

sub add_claims
{
	my ($claims, $wrong) = claims($zk);

	is_deeply($wrong, [], 'the ledger was written in order');
	foreach my $claim (@$claims)
	{
		my ($port) = $claim->{owner} =~ m{:(\d+)/};
		$history->add_lease($port{$port}, @$claim{qw(node_id low high)});
	}
	return;
}

$zk->kill_all;
add_claims();
$zk->wipe;
my $wiped = time;

# The first of them to notice is not to begin a new cluster.
foreach my $node ($one, $two)
{
	wait_for_state($node, 'refused');
	fails_with($node, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*(?:deleted|lost)/ ],
		$node->name . ' makes no more IDs, and says why');
}
diag sprintf('the last server had noticed %.1f s after the data was lost', time - $wiped);
is_deeply([ grep { m{^/snowflake.*/config$} } keys %{ $zk->tree('/') } ], [], 'none of them has made a new cluster');
$_->stop foreach values %clients;
foreach my $node ($one, $two)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
	is_deeply(client_errors($clients{ $node->name }, 'SF006'), {}, $node->name . ': no other errors');
}

# One that was never there, or is started again, begins a new cluster.
start_leasing($three);
isnt($zk->get("$SnowflakeLease::root/config")->{data}, $config, 'a new server begins a new cluster');
%clients = (three => lease_clients($three, 2));
$clients{three}->wait_for_more(200);
foreach my $node ($one, $two)
{
	fails_with($node, 'SELECT snowflake_next()', 'SF006', [qr/DETAIL:.*(?:deleted|lost|replaced)/],
		$node->name . ' does not join it by itself');
	$node->restart;
	isnt(wait_for_lease($node), status($three, 'node_id'), 'but after a restart');
	$clients{ $node->name } = lease_clients($node, 2, name => 'again');
	$clients{ $node->name }->wait_for_more(200);
}
$_->stop foreach values %clients;
foreach my $node (@nodes)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
history_of_leases_ok($history, $zk, \@nodes, 1000, 'what was issued before and after');

#
# What holds only what lives as long as sessions
#

my ($cluster) = grep { /-/ } $zk->children($SnowflakeLease::root);
my %claims = map { $_->name => status($_, 'lease_claim') } @nodes;
foreach my $parts ([ 'nodes', 'election' ], ['nodes'], ['election'])
{
	my $what = join(' and ', @$parts);

	$zk->delete("$SnowflakeLease::root/$cluster/$_", recursive => 1) foreach @$parts;
	poll_until(sub { 3 == grep { m{/nodes/\d+$} } keys %{ $zk->tree($SnowflakeLease::root) } }, "all servers in the registry, without $what");
	poll_until(sub { 3 == grep { m{/election/.} } keys %{ $zk->tree($SnowflakeLease::root) } }, "all servers in the election, without $what");
	usleep(3_500_000);
	is(status($_, 'lease_state, lease_fenced, lease_claim'), "held|0|$claims{$_->name}", "$what deleted: " . $_->name . ' goes on with its lease')
	  foreach @nodes;
	poll_until(sub { status($_, 'lease_last_error') eq '' }, 'an end to the trouble') foreach @nodes;
	$three->restart;
	wait_for_lease($three);
	$claims{three} = status($three, 'lease_claim');
	poll_until(sub { $one->safe_psql('postgres', 'SELECT count(*) FROM snowflake_nodes') == 3 }, 'all of them in the view');
	pass("$what deleted: a server that starts has a lease, and all see each other");
}
my $logs = join '', map { slurp_file($_->logfile) } @nodes;
like($logs, qr{/$_" in ZooKeeper was deleted, and has been made anew}, "the log says so of $_") foreach qw(nodes election);

#
# One ledger
#

my %ids = map { $_->name => status($_, 'node_id') } @nodes;
my $path = ledger($zk)->{ $ids{two} }{path};
$zk->delete($path, recursive => 1);
wait_for_state($two, 'refused');
is(status($two, 'lease_fenced'), 1, 'a server whose ledger was deleted has lost its lease');
poll_until(sub { $two->psql('postgres', 'SELECT snowflake_next()', stderr => \my $ignored) != 0 }, 'the end of the lease');
fails_with($two, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*\b1 ledger of a node ID was deleted/ ],
	'after the end of that it makes no IDs, and says why');
is(status($_, 'lease_state, node_id'), "held|$ids{$_->name}", $_->name . ' goes on') foreach $one, $three;

# All of them, and what they were in.
$zk->delete("$SnowflakeLease::root/$cluster/ids", recursive => 1);
$two->restart;
wait_for_state($two, 'refused');
fails_with($two, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*ids\\?" in ZooKeeper was deleted/ ],
	'no server makes them anew');

$_->stop foreach @nodes;
done_testing();
