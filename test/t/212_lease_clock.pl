# A server whose clock is set, among others whose clocks are right: it may make
# no IDs for a time that it has not leased, may not claim while its clock is out
# by more than snowflake.zookeeper_max_skew, and needs no help when the clock is
# right again.

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
my %settings = (zookeeper_max_skew => '2s', max_jump => 0);
my @nodes = map { lease_server($_, $zk->hosts, %settings) } qw(skewed right other);
my $node = $nodes[0];
my $clock = fake_clock($node);

$clock->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION snowflake_zookeeper CASCADE;
	CREATE TABLE ids (client text, call int, id bigint DEFAULT snowflake_next())});
start_leasing($_) foreach @nodes[ 1, 2 ];
fake_clock_of_worker($node, $clock);

my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 2) } @nodes;

sub set_clock
{
	my ($ahead) = @_;

	$history->clock_is($node->name, $ahead, sub { $clock->set($ahead) });
	return;
}

sub flows
{
	my ($name) = @_;

	$clients{ $node->name }->wait_for_more(200);
	return pass($name);
}

flows('IDs with a clock that is right');

# By little.
set_clock(0.9);
poll_until(sub { abs((clock_told($node) || 0) - 0.9) < 0.3 }, 'the offset');
pass('a clock that is ahead is shown in snowflake_nodes');
flows('there are IDs with a clock that is ahead by less than allowed');
set_clock(0);
flows('and with one that is right again');

#
# By much, while it holds a lease
#

# Forward: the lease ends long before.  It is extended no more often for that.
my $writes = writes_of($node, $zk);
set_clock(600);
fails_with($node, 'SELECT snowflake_next()', 'SF006', [qr/lease/], 'ten minutes ahead: no ID');
my $high = ledger($zk)->{ status($node, 'node_id') }{high};
cmp_ok($high, '<', (time + 10) * 1000, 'nor is more time leased than by the clock of ZooKeeper');
foreach my $i (1 .. 3)
{
	my $before = ledger($zk)->{ status($node, 'node_id') }{high};
	poll_until(sub { ledger($zk)->{ status($node, 'node_id') }{high} > $before }, 'an extension');
}
set_clock(0);
await_id($node);
flows('set right, there are IDs at once, which are not of the future');

# Back: no ID is before an earlier one, and the lease is not lowered.
my $node_id = status($node, 'node_id');
$high = ledger($zk)->{$node_id}{high};
set_clock(-600);
fails_with($node, 'SELECT snowflake_next()', 'SF001', [qr/the clock is .* s behind the last ID/], 'ten minutes back: no ID');
my $mtime = $zk->get(ledger($zk)->{$node_id}{path})->{mtime};
poll_until(sub { $zk->get(ledger($zk)->{$node_id}{path})->{mtime} > $mtime + 1000 }, 'an extension');
cmp_ok(ledger($zk)->{$node_id}{high}, '>=', $high, 'the lease is not lowered');
set_clock(0);
flows('set right, there are IDs');

# To and fro.
foreach my $ahead (-30, 3, -0.3, 120, -5, 0.5)
{
	set_clock($ahead);
	usleep(700_000);
}
set_clock(0);
flows('after a clock that was set to and fro there are IDs');
writes_ok($writes, 3, 'a clock that was set');

#
# Without a lease
#

sub release
{
	return $node->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
}

sub claim
{
	return $node->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
}

foreach my $ahead (60, -60)
{
	my $name = abs($ahead) . ' s ' . ($ahead < 0 ? 'back' : 'ahead');

	release();
	set_clock($ahead);
	claim();
	poll_until(sub { status($node, 'lease_last_error') =~ /clock/ }, 'the reason');
	my $error = status($node, 'lease_last_error');
	my ($said) = $error =~ /([\d.]+) s (?:ahead|behind)/;
	cmp_ok(abs(($said // 0) - abs $ahead), '<', 1, "$name: it is told how far the clock is out") or diag $error;
	is(status($node, 'lease_state, node_id IS NULL'), 'refused|t', 'it may not claim a node ID');
	fails_with($node, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/DETAIL:.*clock/ ], 'and makes no ID');
	set_clock(0);
	wait_for_lease($node);
	flows('set right, it claims one by itself, and makes IDs');
}

foreach my $ahead (1.6, -1.6)
{
	release();
	set_clock($ahead);
	my $offset = -s $node->logfile;
	claim();
	wait_for_lease($node);
	like(slurp_file($node->logfile, $offset), qr/the clock of this server is at least 1\.[56]\d\d s /,
		"$ahead s: it may claim, and the log says how far the clock is out");
	set_clock(0);
	flows('set right, it makes IDs');
}

$_->stop foreach values %clients;
foreach my $n (@nodes)
{
	$history->add_calls($n->name, $_->file) foreach @{ $clients{ $n->name } };
}
history_of_leases_ok($history, $zk, \@nodes, 3000, 'what the three servers issued', clocks_set => 1);

$_->stop foreach @nodes;

#
# A lease begins where the last one ended, also for a clock that is set back
# before the first ID.  In a database without a horizon, which would keep that,
# too.
#

my $right = $nodes[1];
my $path = '/snowflake/low';
lease_settings($_, %settings, zookeeper_hosts => $zk->hosts, zookeeper_path => $path, zookeeper_node_range => 3)
  foreach $node, $right;
$clock->start;
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION snowflake');
wait_for_lease($node);
$node->stop;
$right->start;
wait_for_lease($right);
my $last = await_id($right);
$right->stop;
$clock->start;
wait_for_lease($node);
$clock->set(-60);
fails_with($node, 'SELECT snowflake_next()', 'SF001', [qr/the clock is .* s behind the last ID/],
	'no ID before the lease', dbname => 'fresh');
$clock->set(0);
my $next;
poll_until(sub { $node->psql('fresh', 'SELECT snowflake_next()', stdout => \$next, stderr => \my $ignored) == 0 }, 'an ID');
cmp_ok($next, '>', $last, 'set right, there is one after those of the last holder');
$node->stop;

done_testing();
