# A copy of a server's data is started beside the original, as when a virtual
# machine is cloned: both have the same data, and the same memory of a node ID
# where there is one, but must not have the same node ID.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use SnowflakeLease;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);
my $original = lease_server('original', $zk->hosts);
$original->append_conf('postgresql.conf', "wal_level = replica\nmax_wal_senders = 5\n");

my $node_id = start_leasing($original);
my $history = lease_history($original);
my @nodes = ($original);
my %clients = (original => lease_clients($original, 2));
$clients{original}->wait_for_more(200);

sub copy_of
{
	my ($name, $backup) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($original, $backup);
	$history->leased($name);
	$history->clock_is($name, 0);
	push @nodes, $node;
	return $node;
}

# A base backup of the running server, which is also in the middle of a lease.
$original->backup('running');
my $clone = copy_of('clone', 'running');
$clone->start;
my $other_id = wait_for_lease($clone);
isnt($other_id, $node_id, 'the copy of a running server has a node ID of its own');
$clients{clone} = lease_clients($clone, 2);
$_->wait_for_more(200) foreach values %clients;
is(status($original, 'node_id, lease_claim, lease_fenced'), "$node_id|1|0", 'the original does not notice');

# Files copied while the server is down after a crash, and both started at once.
kill_server($original);
$original->backup_fs_cold('crashed');
my $twin = copy_of('twin', 'crashed');
is(start_together($original, $twin), 0, 'both are started after a crash');
isnt(wait_for_lease($twin), wait_for_lease($original), 'each has a node ID of its own');
$clients{twin} = lease_clients($twin, 2);
$_->wait_for_more(200) foreach values %clients;
my @ids = map { status($_, 'node_id') } @nodes;
my %ids = map { $_ => 1 } @ids;
is(scalar(keys %ids), 3, "the three of them have three node IDs (@ids)");

# And after a clean stop, when the lease was given back.
$_->stop foreach values %clients;
foreach my $node (@nodes)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
%clients = ();
$original->stop;
$original->backup_fs_cold('stopped');
my $second = copy_of('second', 'stopped');
is(start_together($original, $second), 0, 'both are started after a clean stop');
isnt(wait_for_lease($second), wait_for_lease($original), 'each has a node ID of its own');
$clients{$_} = lease_clients($_ eq 'second' ? $second : $original, 2, name => 'again') foreach qw(original second);
$_->wait_for_more(200) foreach values %clients;
$_->stop foreach values %clients;
$history->add_calls('original', $_->file) foreach @{ $clients{original} };
$history->add_calls('second', $_->file) foreach @{ $clients{second} };

history_of_leases_ok($history, $zk, \@nodes, 1500, 'what the copies and the original issued');

$_->stop foreach @nodes;
done_testing();
