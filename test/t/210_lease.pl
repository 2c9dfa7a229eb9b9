# Leasing a node ID: the first ID after a start, what snowflake_status says, what
# is in ZooKeeper, stopping and starting, which node ID is taken, how often
# ZooKeeper is written to, and the module where it has nothing to do.
#
# SNOWFLAKE_SLOWNESS is how many times as long that first ID may take.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);

sub node_of
{
	my ($node, $id) = @_;

	return $node->safe_psql('postgres', "SELECT snowflake_node($id)");
}

#
# One server
#

my $one = lease_server('one', $zk->hosts);
my $first = start_leasing($one);
my $id = $one->safe_psql('postgres', 'SELECT snowflake_next()');
is(node_of($one, $id), $first, 'the ID has the node ID of snowflake_status');
is(status($one, q{node_source, lease_state, lease_fenced, lease_last_error IS NULL}), 'lease|held|0|t', 'the status');
is(status($one, q{lease_claim, lease_left > '0' AND lease_left <= '3s', lease_round_trip > '0'}), '1|t|t', 'and more of it');

my $entry = ledger($zk)->{$first};
is($entry->{claim}, 1, 'the ledger has the claim');
like($entry->{owner}, qr{:${\ $one->port}/}, 'and whose it is');
my $now = time * 1000;
cmp_ok($entry->{high}, '>', $now, 'its end is ahead');
cmp_ok($entry->{high}, '<=', $now + 3500, 'by the window and no more');
is_deeply([ keys %{ holders($zk) } ], [$first], 'it is held');
my $tree = $zk->tree($SnowflakeLease::root);
is(scalar(grep { m{/nodes/$first$} && $tree->{$_}{owner} } keys %$tree), 1, 'the server is registered');
is_deeply(
	[ grep { m{/holder$|/nodes/\d+$|/election/} && !$tree->{$_}{owner} } keys %$tree ],
	[], 'all that goes with a server goes with its session');

# A lease is extended, and only so often.
my $writes = writes_of($one, $zk);
my $high = ledger($zk)->{$first}{high};
foreach my $i (1 .. 3)
{
	poll_until(sub { ledger($zk)->{$first}{high} > $high }, 'an extension');
	$high = ledger($zk)->{$first}{high};
}
cmp_ok(writes_ok($writes, 3, 'extensions'), '>=', 3, 'the extensions are there');
is(status($one, 'lease_claim, lease_fenced'), '1|0', 'it is still the same claim');

#
# Stopping and starting
#

# A clean stop gives the lease back, so nothing needs to be waited for.
$one->stop;
$entry = ledger($zk)->{$first};
is($entry->{nonce}, 'none', 'stopped, the lease was given back');
cmp_ok($entry->{high}, '<', time * 1000, 'and ends in the past');
is_deeply(holders($zk), {}, 'nobody holds it');
my @seconds;
foreach my $i (1 .. 3)
{
	my ($seconds, $again) = first_id_s($one);
	push @seconds, $seconds;
	cmp_ok($again, '>', $id, "start $i: a later ID");
	is(node_of($one, $again), $first, 'with the same node ID');
	$id = $again;
	is(ledger($zk)->{$first}{claim}, $i + 1, 'by another claim');
	# a smart stop waits for sessions
	session($one)->disconnect;
	$one->stop($i == 3 ? 'fast' : 'smart');
}
diag sprintf('first ID after the server accepts connections, in seconds: %s', join ', ', map { sprintf '%.3f', $_ } @seconds);
# Not the slowest: a machine may be busy once.
cmp_ok((sort { $a <=> $b } @seconds)[1], '<=', 2 * ($ENV{SNOWFLAKE_SLOWNESS} // 1), 'the first ID comes within two seconds');

#
# Several servers
#

my @nodes = ($one, map { lease_server($_, $zk->hosts) } qw(two three));
my %id_of = map { start_leasing($_) => $_ } @nodes;
is(scalar(keys %id_of), 3, 'three servers have three node IDs');
is_deeply([ sort { $a <=> $b } keys %{ holders($zk) } ], [ sort { $a <=> $b } keys %id_of ], 'and hold those');

my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 2) } @nodes;
$_->wait_for_more(300) foreach values %clients;

# One more, of a server that was never there, takes one never used.
my $four = lease_server('four', $zk->hosts);
my $fresh = start_leasing($four);
ok(!exists $id_of{$fresh}, 'another server takes another node ID');
is(ledger($zk)->{$fresh}{claim}, 1, 'one that was never used');
$four->stop;

# Stopped at once, a server gives nothing back; started again, it has an ID
# nevertheless.
$nodes[1]->stop('immediate');
my ($seconds) = first_id_s($nodes[1]);
diag sprintf('first ID after a stop without giving the lease back: %.3f s', $seconds);
cmp_ok($seconds, '<', 30, 'the first ID comes soon after such a stop as well');
$_->wait_for_more(300) foreach values %clients;
$_->stop foreach values %clients;
foreach my $node (@nodes)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
history_of_leases_ok($history, $zk, [ @nodes, $four ], 2000, 'what three servers issued at the same time');

#
# Which node IDs
#

$_->stop foreach @nodes;
lease_settings($one, zookeeper_hosts => $zk->hosts, zookeeper_node_range => '700-701');
lease_settings($nodes[1], zookeeper_hosts => $zk->hosts, zookeeper_node_range => '700-701');
lease_settings($nodes[2], zookeeper_hosts => $zk->hosts, zookeeper_node_range => '700-701');
my @two = sort { $a <=> $b } map { start_leasing($_) } @nodes[ 0, 1 ];
is("@two", '700 701', 'two servers take what is in the range');
$nodes[2]->start;
fails_with($nodes[2], 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*\b(?:700|701)\b/ ],
	'a third one gets none, and is told why');
like(status($nodes[2], 'lease_state'), qr/^(?:claiming|refused)$/, 'as the status says');
is(status($nodes[2], 'node_id IS NULL AND lease_left IS NULL'), 't', 'it has no node ID');
$one->stop;
my $given = wait_for_lease($nodes[2]);
like($given, qr/^(?:700|701)$/, 'when one is given back, it takes that by itself');
is(node_of($nodes[2], $nodes[2]->safe_psql('postgres', 'SELECT snowflake_next()')), $given, 'and makes IDs with it');
$_->stop foreach @nodes[ 1, 2 ];

#
# Nothing to do, and nobody there
#

settings($one, node_id => 77);
$one->start;
is(node_of($one, $one->safe_psql('postgres', 'SELECT snowflake_next()')), 77,
	'without hosts the node ID is the one that is set');
is(status($one, 'lease_state, node_source, lease_claim IS NULL'), 'off|snowflake.node_id|t', 'and there is no lease');
$one->stop;

lease_settings($one, zookeeper_hosts => '127.0.0.1:1');
$one->start;
fails_with($one, 'SELECT snowflake_next()', 'SF006', [qr/lease/], 'with nobody there no ID is made');
is(status($one, 'lease_state, node_id IS NULL'), 'connecting|t', 'the status says that it tries to connect');
isnt(status($one, 'lease_last_error'), '', 'and what went wrong');
$one->stop;

done_testing();
