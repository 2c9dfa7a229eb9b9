# The registry of live servers, the one that leads and what it reports, and what
# an administrator can do: list the ledger, retire a node ID, release by hand.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeLease;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

# A layout with four node IDs.
my $zk = start_ensemble('zk', 3);
my %settings = (layout => 'time:41 node:2 sequence:12', max_jump => 0);
my @nodes = map { lease_server($_, $zk->hosts, %settings) } qw(one two three four);
my ($one, $two, $three, $four) = @nodes;
my $clock = fake_clock($three);

start_leasing($one);
start_leasing($two);
$clock->start;
$three->safe_psql('postgres', q{CREATE EXTENSION snowflake_zookeeper CASCADE});
fake_clock_of_worker($three, $clock);

#
# Registry
#

# What each of these servers says of all.
sub all_see
{
	my ($columns, $expected, $name, @asked) = @_;

	foreach my $node (@asked)
	{
		poll_until(
			sub {
				my $seen = $node->safe_psql('postgres', "SELECT $columns FROM (SELECT * FROM snowflake_nodes ORDER BY node_id) AS n");
				return $seen eq $expected;
			},
			$node->name . " to see: $expected");
	}
	return pass($name);
}

sub rows_of
{
	return join "\n", map { $_->[1] } sort { $a->[0] <=> $b->[0] }
	  map { my $id = status($_, 'node_id'); [ $id, "$id|" . $_->port ] } @_;
}

all_see('node_id, port', rows_of($one, $two, $three), 'each server sees all three', $one, $two, $three);
is( $one->safe_psql('postgres', q{
		SELECT bool_and(host <> '' AND n.version = s.version AND since BETWEEN now() - interval '10 min' AND now() + interval '1 s'
			AND horizon_left BETWEEN '-5 s' AND '4 s' AND abs(extract(epoch FROM clock_offset)) < 1 AND clock_error >= '0')
		FROM snowflake_nodes AS n, snowflake_status AS s}),
	't', 'with what there is to say of them');
all_see('count(*) FILTER (WHERE leader)', 1, 'and that one of them leads', $one, $two, $three);

# The first one leads, then the next one in turn.
sub leader
{
	my ($asked) = @_;

	return poll_until(
		sub { $asked->safe_psql('postgres', 'SELECT port FROM snowflake_nodes WHERE leader') }, 'a leader');
}
is(leader($three), $one->port, 'the first one leads');
$one->stop;
all_see('node_id, port', rows_of($two, $three), 'stopped, it is gone', $two, $three);
all_see('count(*) FILTER (WHERE leader)', 1, 'and again there is one that leads', $two, $three);
isnt(leader($two), $one->port, 'another one');
my ($leading) = grep { $_->port == leader($two) } $two, $three;
my ($other) = grep { $_ != $leading } $two, $three;
start_leasing($one);
all_see('node_id, port', rows_of($one, $two, $three), 'back, it is there again', $one, $two, $three);
is(leader($one), $leading->port, 'but does not lead');

if ($leading == $three) { $three->stop('immediate'); $clock->start; fake_clock_of_worker($three, $clock); }
else { kill_server($leading); $leading->start; }
wait_for_lease($leading);
# Its session may outlive it, and for so long it is still said to lead.
ok(poll_until(sub { leader($one) != $leading->port }, 'another leader'), 'after the leader was killed another one leads');
all_see('count(*), count(*) FILTER (WHERE leader)', '3|1', 'and is the only one', $one, $two, $three);

#
# Reports
#

sub report_comes
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($pattern, $name) = @_;
	my $report = '';

	foreach my $node ($one, $two)
	{
		poll_until(
			sub {
				$report = $node->safe_psql('postgres', q{SELECT coalesce(report, '') FROM snowflake_nodes WHERE leader});
				return $report =~ $pattern;
			},
			"a report: $pattern");
	}
	poll_until(sub { grep { -e $_->logfile && slurp_file($_->logfile) =~ $pattern } @nodes }, "$pattern in a log");
	return pass("$name: $report");
}

unlike($one->safe_psql('postgres', 'SELECT report FROM snowflake_nodes WHERE leader'), qr/clock|running out/, 'nothing to report');
$clock->set(2.5);
report_comes(qr/clock.*\b${\ status($three, 'node_id')}\b|\b${\ status($three, 'node_id')}\b.*clock/, 'a clock that is out');
$clock->set(0);

start_leasing($four);
report_comes(qr/running out: 0 of 4/, 'node IDs are running out');
$four->stop;

# Held last eight days ago.
my ($free) = grep { !exists holders($zk)->{$_} } 0 .. 3;
my $entry = ledger($zk)->{$free};
my $record = $zk->get($entry->{path})->{data};
my $then = int((time - 8 * 86400) * 1000);
$zk->set($entry->{path}, $record =~ s/^low .*$/low $then/mr =~ s/^high .*$/high $then/mr, version => $entry->{version});
report_comes(qr/7 days: $free\b/, 'a node ID that is long unheld');

#
# The administrator
#

$one->safe_psql('postgres', 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE ROLE somebody LOGIN');
foreach my $call ('snowflake_zookeeper_ledger()', 'snowflake_zookeeper_retire(1)', 'snowflake_zookeeper_release()', 'snowflake_zookeeper_claim()')
{
	fails_with($one, "SELECT * FROM $call", '42501', [qr/permission denied/], "$call is not for everybody", user => $_)
	  foreach qw(monitor somebody);
}
is($one->safe_psql('postgres', 'SELECT count(*) FROM snowflake_nodes', extra_params => [ '-U', 'monitor' ]), 3, 'the view is for monitoring');
fails_with($one, 'SELECT * FROM snowflake_nodes', '42501', [qr/permission denied/], 'and not for everybody', user => 'somebody');

my $ledger = ledger($zk);
is( $one->safe_psql('postgres', q{
		SELECT node_id, claim, owner, floor(extract(epoch FROM low) * 1000), held, retired
		FROM snowflake_zookeeper_ledger() ORDER BY node_id}),
	join("\n", map { join '|', $_, @{ $ledger->{$_} }{qw(claim owner low)}, exists holders($zk)->{$_} ? 't' : 'f', 'f' } sort keys %$ledger),
	'the ledger is what is in ZooKeeper');

# Used up by a wrong clock of ZooKeeper's
$entry = ledger($zk)->{$free};
$record = $zk->get($entry->{path})->{data};
$zk->set($entry->{path}, $record =~ s/^high .*$/high 253402300799999/mr, version => $entry->{version});
report_comes(qr/running out: 0 of 4 can be had; node IDs that are used up for more than a day to come: $free\b/, 'a node ID that is used up');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($free)");
poll_until(
	sub {
		my $report = $one->safe_psql('postgres', q{SELECT coalesce(report, '') FROM snowflake_nodes WHERE leader});
		return $report ne '' && $report !~ /used up/;
	},
	'a report without it');
pass('retired, it is not reported any more');
$entry = ledger($zk)->{$free};
$zk->set($entry->{path}, $record, version => $entry->{version});

# Retired
my $held = status($two, 'node_id');
fails_with($one, "SELECT snowflake_zookeeper_retire($held)", '55000', [qr/held/], 'a node ID that is held cannot be retired');
fails_with($one, "SELECT snowflake_zookeeper_retire(4)", '55000', [qr/from 0 to 3/], 'nor one that there is not');
fails_with($one, "SELECT snowflake_zookeeper_retire(-1)", '22003', [qr/negative/], 'nor a negative one');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($free)");
is($one->safe_psql('postgres', "SELECT retired FROM snowflake_zookeeper_ledger() WHERE node_id = $free"), 't', 'another one is retired');
start_waiting($four);
poll_until(sub { status($four, 'lease_last_error') =~ /1 retired/ }, 'the reason');
is(status($four, 'node_id IS NULL'), 't', 'no server takes it');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($free, false)");
is(wait_for_lease($four), $free, 'until that is taken back');
$four->stop;

# Retired while its holder is frozen, and seems to be gone.
freeze_server($two);
poll_until(sub { !exists holders($zk)->{$held} }, 'the end of its session');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($held)");
thaw_server($two);
poll_until(sub { status($two, 'node_id') =~ /^(?!$held$)\d/ }, 'another node ID');
pass('a frozen holder takes another node ID, when its own was retired meanwhile');
is(ledger($zk)->{$held}{retired}, 'yes', 'and that is retired still');
$one->safe_psql('postgres', "SELECT snowflake_zookeeper_retire($held, false)");

# Released by hand
my $claim = status($one, 'lease_claim');
$held = status($one, 'node_id');
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
is(status($one, 'lease_state, node_id IS NULL'), 'released|t', 'released by hand');
ok(!exists holders($zk)->{$held}, 'the node ID is free');
fails_with($one, 'SELECT snowflake_next()', 'SF006', [ qr/lease/, qr/HINT:.*claim/ ], 'there are no IDs');
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
my $worker = lease_worker($one);
kill 'TERM', $worker;
poll_until(sub { my $new = lease_worker($one); $new && $new != $worker }, 'another worker');
usleep(1_000_000);
is(status($one, 'lease_state'), 'released', 'it stays so when the worker is started again');
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
wait_for_lease($one);
await_id($one);
pass('claimed by hand, there are IDs again');
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
$one->restart;
wait_for_lease($one);
pass('a restart claims as well');

# A reload that changes nothing costs ZooKeeper nothing.
$held = status($one, 'node_id');
my $version = ledger($zk)->{$held}{version};
my $begin = time;
foreach (1 .. 40)
{
	$one->reload;
	usleep(20_000);
}
my $writes = ledger($zk)->{$held}{version} - $version;
cmp_ok($writes, '<', time - $begin + 4, 'a reload is no reason to write');

# A worker that does not answer
freeze_worker($one);
fails_with($one, 'SELECT snowflake_zookeeper_claim()', '58000', [qr/did not answer within 15 s/], 'a worker that is frozen');
thaw_server($one);
wait_for_lease($one);

$_->stop foreach $one, $two, $three;

# Where nothing is leased, these say so.
settings($one, layout => $settings{layout}, node_id => 1);
$one->start;
fails_with($one, "SELECT * FROM $_", '55000', [qr/not running/], "$_ without ensemble")
  foreach 'snowflake_zookeeper_ledger()', 'snowflake_zookeeper_release()';
is($one->safe_psql('postgres', 'SELECT count(*) FROM snowflake_nodes'), 0, 'and there are no other servers');
$one->stop;

done_testing();
