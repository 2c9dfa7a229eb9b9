# What happens to the ensemble: its leader is killed or frozen while servers
# claim and extend; all of it is gone, and back; it has forgotten everything.
#
# SNOWFLAKE_ROUNDS is how often its leader goes, SNOWFLAKE_SLOWNESS how many times as
# long a first ID may take.

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

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 4;
my $zk = start_ensemble('zk', 3);
my $window_s = 9;
my @nodes = map { lease_server($_, $zk->hosts, zookeeper_window => "${window_s}s") } qw(one two three);
my ($one, $two, $three) = @nodes;

start_leasing($_) foreach $one, $two;
start_waiting($three);
my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 2) } $one, $two;

#
# The leader goes, at a random moment
#

foreach my $round (1 .. $rounds)
{
	my $frozen = $round % 2 == 0;
	my %high = map { status($_, 'node_id') => 0 } $one, $two;

	# One server stops and claims anew meanwhile.
	$three->stop;
	usleep(rand(2_000_000));
	my $leader = $zk->leader;
	my $begin = time;
	my $later = $zk->signal_later($leader, $frozen ? 'STOP' : 'KILL', rand(1));
	$three->start;
	$later->finish;
	$zk->kill9($leader) unless $frozen;

	$high{$_} = ledger($zk)->{$_}{high} foreach keys %high;
	poll_until(sub { my $ledger = ledger($zk); !grep { $ledger->{$_}{high} <= $high{$_} } keys %high },
		'extensions without the old leader');
	wait_for_lease($three);
	my $after = time - $begin;
	if ($frozen) { $zk->thaw($leader); }
	else { $zk->start($leader); }
	$zk->wait_serving;
	pass(sprintf('round %d: the leader was %s, all had extended and one claimed after %.1f s',
		$round, $frozen ? 'frozen' : 'killed', $after));
}

#
# It is killed while a claim or an extension is on its way to the ensemble, or done
# and its answer on the way back
#

my $proxy = $zk->proxy;
$three->stop;
lease_settings($three, zookeeper_hosts => $proxy->hosts, zookeeper_window => "${window_s}s");
start_leasing($three);
foreach my $what ('claim', 'extension')
{
	foreach my $when ('delayed', 'answered late')
	{
		my $leader = $zk->leader;

		$three->stop if $what eq 'claim';
		my $before = $what eq 'claim' ? '' : status($three, 'node_id, lease_claim, lease_fenced');
		my $rule = $proxy->rule($when, lease_request($what), seconds => 3);
		$three->start if $what eq 'claim';
		# Its first IDs are made as soon as it believes that it may.
		my $drawing = lease_clients($three, 2, name => "$what $when" =~ s/ /-/gr);
		is($proxy->fired($rule), 1, "$what $when");
		my $node_id = status($three, 'node_id');
		my $high = $node_id eq '' ? 0 : ledger($zk)->{$node_id}{high};
		$zk->kill9($leader);
		$proxy->clear;
		$node_id = wait_for_lease($three);
		poll_until(sub { ledger($zk)->{$node_id}{high} > $high }, 'an extension without the old leader');
		$drawing->wait_for_more(100);
		$zk->start($leader);
		$zk->wait_serving;
		poll_until(sub { keys %{ holders($zk) } == 3 }, 'three holders');
		pass("$what $when, and its leader killed: the lease goes on, and it holds no other node ID");
		is(status($three, 'node_id, lease_claim, lease_fenced'), $before, 'it is the same lease') if $what ne 'claim';
		$drawing->stop;
		$history->add_calls('three', $_->file) foreach @$drawing;
	}
}
is_deeply(client_errors($clients{ $_->name }), {}, $_->name . ': no call has failed for that') foreach $one, $two;
is(status($_, 'lease_fenced, lease_claim'), '0|1', $_->name . ' has its first lease still') foreach $one, $two;

#
# A server of the ensemble is silent when one starts that knows it, and another
#

$three->stop;
my $silent = $zk->leader % 3 + 1;
lease_settings($three,
	zookeeper_hosts => join(',', map { '127.0.0.1:' . $zk->port($_) } $silent, $zk->leader),
	zookeeper_session_timeout => '20s');
$zk->freeze($silent);
my @seconds;
foreach my $start (1 .. 8)
{
	push @seconds, (first_id_s($three))[0];
	$three->stop;
}
$zk->thaw($silent);
$zk->wait_serving;
diag sprintf('with a silent server in the ensemble, the first ID after: %s s', join ', ', map { sprintf '%.1f', $_ } @seconds);
is(scalar(grep { $_ > 5 * ($ENV{SNOWFLAKE_SLOWNESS} // 1) } @seconds), 0, 'it does not wait for the one that is silent');
lease_settings($three, zookeeper_hosts => $zk->hosts, zookeeper_window => "${window_s}s");
$three->start;

#
# All of it goes
#

foreach my $how ('killed', 'frozen')
{
	my %claims = map { $_->name => status($_, 'node_id, lease_claim') } $one, $two;

	if ($how eq 'killed') { $zk->kill_all; }
	else { $zk->freeze($_) foreach 1 .. 3; }
	my $gone = time;
	my ($last, $made) = ($gone, 1);
	while ($made && time < $gone + 4 * $window_s)
	{
		usleep(20_000);
		my $now = time;
		(undef, $made) = session($one)->ask('SELECT snowflake_next()');
		$last = $now if $made;
	}
	$one->psql('postgres', 'SELECT snowflake_next()', stderr => \my $error, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	diag sprintf('with the ensemble %s, IDs were made for %.1f s of a window of %d s', $how, $last - $gone, $window_s);
	like($error, qr/ERROR:  SF006: .*lease/, 'then there is an error that says so');
	like($error, qr/DETAIL:  .+\nHINT:  /, 'and tells more');
	# It is extended each third of it.
	cmp_ok($last - $gone, '>', $window_s * 2 / 3 - 0.5, 'they were made for the window, but for the interval of extensions');
	cmp_ok($last - $gone, '<', $window_s + 1, 'and not beyond the window');
	like(status($one, 'lease_left'), qr/^-/, 'the lease has ended');
	isnt(status($one, 'lease_last_error'), '', 'the status says what is wrong');

	if ($how eq 'killed') { $zk->start_all; }
	else { $zk->thaw($_) foreach 1 .. 3; }
	my $back = time;
	$zk->revive;
	await_id($one);
	diag sprintf('and again %.1f s after it was back', time - $back);
	$_->wait_for_more(200) foreach values %clients;
	is(status($_, 'node_id, lease_claim'), $claims{ $_->name }, $_->name . ' goes on with the same lease, without a restart')
	  foreach $one, $two;
}
foreach my $node ($one, $two)
{
	is_deeply(client_errors($clients{ $node->name }, 'SF006'), {}, $node->name . ': no other errors');
}

# Before it forgets, what it knew.
$_->stop foreach values %clients;
foreach my $node ($one, $two)
{
	$history->add_calls($node->name, $_->file) foreach @{ $clients{ $node->name } };
}
history_of_leases_ok($history, $zk, \@nodes, 1000 + 200 * $rounds, 'what was issued through all that');

$_->stop foreach @nodes;
done_testing();
