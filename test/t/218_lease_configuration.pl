# A cluster has one layout: a server with another is refused, whatever it is that
# differs, and is told both.  And a node ID that is set is leased like another,
# so that no second server can have it.

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
use Time::HiRes qw(time);

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);
my $epoch = 'epoch:2020-01-01T00:00:00.000Z';
my $ours = "time:40 datacenter:4 worker:4 sequence:11 tick:1ms $epoch";
my $one = lease_server('one', $zk->hosts, layout => $ours);
my $two = lease_server('two', $zk->hosts, layout => $ours);

start_leasing($one);
$ours = status($one, 'layout');
my $entries = keys %{ ledger($zk) };

#
# Layouts
#

# A layout, and the names of what it has otherwise.
my %differs = (
	'bits of time' => [ "time:41 datacenter:4 worker:4 sequence:11 tick:1ms $epoch", 'time' ],
	'bits of the datacenter' => [ "time:40 datacenter:5 worker:4 sequence:11 tick:1ms $epoch", 'datacenter' ],
	'bits of the worker' => [ "time:40 datacenter:4 worker:3 sequence:11 tick:1ms $epoch", 'worker' ],
	'bits of the sequence' => [ "time:40 datacenter:4 worker:4 sequence:12 tick:1ms $epoch", 'sequence' ],
	'order' => [ "time:40 sequence:11 datacenter:4 worker:4 tick:1ms $epoch", 'order of the fields' ],
	'datacenter and worker' => [ "time:40 worker:4 datacenter:4 sequence:11 tick:1ms $epoch", 'order of the fields' ],
	'one field of the node ID' => [ "time:40 node:8 sequence:11 tick:1ms $epoch", 'node, datacenter, worker' ],
	'tick' => [ "time:40 datacenter:4 worker:4 sequence:11 tick:2ms $epoch", 'tick' ],
	'epoch' => [ 'time:40 datacenter:4 worker:4 sequence:11 tick:1ms epoch:2020-01-01T00:00:00.001Z', 'epoch' ],
	'several' => [ 'time:39 datacenter:4 worker:4 sequence:12 tick:1ms epoch:2021-01-01T00:00:00Z', 'time, sequence, epoch' ]);

foreach my $what (sort keys %differs)
{
	my ($layout, $names) = @{ $differs{$what} };

	lease_settings($two, zookeeper_hosts => $zk->hosts, layout => $layout);
	start_waiting($two);
	wait_for_state($two, 'refused');
	my $theirs = status($two, 'layout');
	isnt($theirs, $ours, "$what: another layout");
	fails_with($two, 'SELECT snowflake_next()', 'SF006',
		[ qr/lease/, qr/DETAIL:.*\($names\)/, qr/DETAIL:.*\Q$ours\E/, qr/DETAIL:.*\Q$theirs\E/ ],
		"$what: no ID, and the difference and both layouts are named");
	like(status($two, 'lease_last_error'), qr/\Q$ours\E/, 'also in the status');
	is(status($two, 'node_id IS NULL'), 't', 'there is no node ID');
	$two->stop;
}
is(scalar(keys %{ ledger($zk) }), $entries, 'nothing was claimed');
is(scalar(keys %{ holders($zk) }), 1, 'nothing is held');

lease_settings($two, zookeeper_hosts => $zk->hosts, layout => $ours);
$two->start;
isnt(wait_for_lease($two), status($one, 'node_id'), 'with the layout of the cluster it is let in');
is(status($one, 'lease_state, lease_claim'), 'held|1', 'the other server did not notice');

# Another path is another cluster.
$two->stop;
lease_settings($two, zookeeper_hosts => $zk->hosts, zookeeper_path => '/snowflake/other', layout => $differs{order}[0]);
$two->start;
wait_for_lease($two);
is(status($two, 'lease_claim'), 1, 'under another path it is in a cluster of its own');
$_->stop foreach $one, $two;

#
# Node IDs that are set
#

my %static = (zookeeper_hosts => $zk->hosts, zookeeper_path => '/snowflake/static');
lease_settings($one, %static, node_id => 42);
is(start_leasing($one), 42, 'a node ID that is set is leased');
is(status($one, 'node_source'), 'snowflake.node_id', 'and the status says where it is from');
my ($id) = $one->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())');
is($id, 42, 'IDs have it');
is_deeply([ keys %{ holders($zk, '/snowflake/static') } ], [42], 'it is held in ZooKeeper');

lease_settings($two, %static, datacenter_id => 1, worker_id => 10);
start_waiting($two);
my $port = $one->port;
poll_until(sub { status($two, 'lease_last_error') ne '' }, 'the reason');
fails_with($two, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*\b42\b.*:$port\b/ ],
	'a second server with the same one is refused, and told who has it');
like(status($two, 'lease_state'), qr/^(?:claiming|refused)$/, 'as the status says');

# It is not for those that take any.
my $three = lease_server('three', $zk->hosts, %static, zookeeper_node_range => '42-43');
is(start_leasing($three), 43, 'a server without one does not get it');

my $history = lease_history($one, $two, $three);
my %clients = map { $_->name => lease_clients($_, 1) } $one, $two, $three;
$clients{one}->wait_for_more(100);
$one->stop;
is(wait_for_lease($two), 42, 'given back, the second server takes it by itself');
$clients{two}->wait_for_more(100);
$one->start;
$two->stop('immediate');
my $begin = time;
is(wait_for_lease($one), 42, 'and after a crash of that, the first one again');
diag sprintf('that was %.1f s after the crash', time - $begin);
$clients{one}->wait_for_more(100);
$_->stop foreach values %clients;
foreach my $node ($one, $two, $three)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
history_of_leases_ok($history, $zk, [ $one, $two, $three ], 300, 'what they issued', path => '/snowflake/static');

# After a crash the ID is held by a session of the server itself, for a while.
my $path = ledger($zk, '/snowflake/static')->{42}{path};
my ($told, @states);

sub watch_states
{
	my ($until) = @_;

	@states = ();
	poll_until(
		sub {
			my $state = status($one, 'lease_state');
			push @states, $state unless @states && $states[-1] eq $state;
			$told = status($one, 'lease_last_error') if $state ne 'held';
			return $state eq $until;
		},
		"the state $until");
	return;
}

lease_settings($one, %static, node_id => 42, zookeeper_session_timeout => '6s');
$one->restart;
wait_for_lease($one);
$one->stop('immediate');
$one->start;
poll_until(sub { (status($one, 'lease_last_error') // '') =~ /earlier session of its own/ }, 'the reason');
watch_states('held');
is_deeply([ grep { !/^(?:claiming|held)$/ } @states ], [], 'after a crash a server does not take itself for another');
is(status($one, 'node_id'), 42, 'and has its node ID again');

# Somebody of the same name whose session does not end is another.
$one->stop;
lease_settings($one, %static, node_id => 42, zookeeper_session_timeout => '1s');
$zk->create("$path/holder", 'a clone', ephemeral => 1);
$one->start;
watch_states('refused');
like($told, qr/held by another/, 'one of the same name that lives on is another: refused');
is_deeply([ grep { !/^(?:connecting|claiming|refused)$/ } @states ], [], 'without an ID before that');
$zk->delete("$path/holder");
is(wait_for_lease($one), 42, 'when it is gone, the node ID can be had');

$_->stop foreach $one, $three;
done_testing();
