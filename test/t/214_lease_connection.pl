# The connection to ZooKeeper breaks while a claim, an extension or a release is
# under way: before it has reached ZooKeeper, or after it has and before the
# answer is back, so that the server cannot know what became of it.  Or the
# request, or the answer, comes very late.

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

my $zk = start_ensemble('zk', 3);
my $proxy = $zk->proxy;
my @range = (zookeeper_node_range => '3-4');

# One whose connection breaks, and one that wants what it has.
my $node = lease_server('broken', $proxy->hosts, @range);
my $other = lease_server('other', $zk->hosts, @range);
my @nodes = ($node, $other);

start_leasing($_) foreach @nodes;
my $history = lease_history(@nodes);
my %clients = map { $_->name => lease_clients($_, 2) } @nodes;

my @when = ('lost', 'unanswered', 'delayed', 'answered late');

sub rule
{
	my ($when, $what, %params) = @_;

	return $proxy->rule($when, lease_request($what), seconds => 1.2, %params);
}

# The server has a lease after that, and makes IDs; so does the other one.
sub goes_on
{
	my ($name) = @_;

	$proxy->clear;
	wait_for_lease($node);
	$_->wait_for_more(100) foreach values %clients;
	return pass("$name: both servers make IDs");
}

foreach my $when (@when)
{
	my $rule = rule($when, 'extension');
	is($proxy->fired($rule), 1, "extension $when");
	goes_on("extension $when");
}
is(status($node, 'lease_claim, lease_fenced'), '1|0', 'no lease was lost to that');

# Several in a row, until the lease has ended.
foreach my $when (@when[ 0, 1 ])
{
	my $rule = rule($when, 'extension', times => 3);
	is($proxy->fired($rule), 3, "three extensions $when");
	goes_on("three extensions $when");
}
like(slurp_file($node->logfile), qr/connection to ZooKeeper was lost/, 'the log says what went wrong');
poll_until(sub { status($node, 'lease_last_error') eq '' }, 'an end to the last error');
pass('when the lease has been extended again, nothing is wrong with it');

# Nothing is heard of it for as long as the lease lasts and longer; when it
# arrives, the lease may have gone to another.
foreach my $seconds (1, 4, 7)
{
	my $rule = $proxy->rule('delayed', lease_request('extension'), seconds => $seconds);
	is($proxy->fired($rule), 1, "an extension $seconds s late");
	usleep(($seconds + 0.5) * 1_000_000);
	goes_on("an extension $seconds s late");
}
$proxy->hold;
usleep(5_000_000);
$proxy->release;
goes_on('a connection that was silent for five seconds');
$proxy->hold;
usleep(5_000_000);
$proxy->cut;
$proxy->release;
goes_on('one that then broke');
$proxy->refuse;
usleep(4_000_000);
$proxy->accept;
goes_on('one that was refused');

# Stopping and starting; a clean stop gives the lease back with a multi.
foreach my $what ('claim', 'release')
{
	foreach my $when (@when)
	{
		my $rule = $what eq 'release' ? rule($when, $what) : undef;
		$node->stop;
		is($proxy->fired($rule, 1), 1, "release $when") if defined $rule;
		$proxy->clear;
		$rule = rule($when, $what) if $what eq 'claim';
		$node->start;
		is($proxy->fired($rule), 1, "claim $when") if $what eq 'claim';
		goes_on("$what $when");
	}
}

# Answers that ZooKeeper would never give, to each that has strings: what asked
# for them fails, and is tried again.
foreach my $below (qw(nodes election ids))
{
	my $rule = $proxy->rule('garbled', request => 'children', match => "/$below\$", times => 2);

	kill 'TERM', lease_worker($node);
	is($proxy->fired($rule), 2, "children of $below garbled, twice");
	goes_on("children of $below garbled");
}

$_->stop foreach values %clients;
foreach my $n (@nodes)
{
	$history->add_calls($n->name, $_->file) foreach @{ $clients{ $n->name } };
	is_deeply(client_errors($clients{ $n->name }, 'SF006'), {}, $n->name . ': no errors but for want of a lease');
}
history_of_leases_ok($history, $zk, \@nodes, 3000, 'what both issued');
$_->stop foreach @nodes;

#
# One node ID, which goes to the other server before the request arrives
#

$SnowflakeLease::root .= '/single';
foreach my $n (@nodes)
{
	lease_settings($n, zookeeper_hosts => $n == $node ? $proxy->hosts : $zk->hosts,
		zookeeper_path => $SnowflakeLease::root, zookeeper_node_range => 5);
}
start_leasing($node);
start_waiting($other);
$history = lease_history(@nodes);
%clients = map { $_->name => lease_clients($_, 2, name => 'single') } @nodes;
$clients{broken}->wait_for_more(100);

# The server whose connection breaks has its node ID again.
sub goes_back
{
	my ($name) = @_;
	my $fenced = status($other, 'lease_fenced');

	$clients{other}->wait_for_more(100);
	is($fenced, 0, "$name: the other one did not lose it");
	$other->stop;
	wait_for_lease($node);
	$clients{broken}->wait_for_more(100);
	$other->start;
	return;
}

# Releases or claims.  Returns what it says of that.
sub by_hand
{
	my ($what, $on) = (@_, $node);

	$on->psql('postgres', "SELECT snowflake_zookeeper_$what()", stderr => \my $stderr);
	return $stderr;
}

# Extensions: of a session that is over, and of one that lives.
$proxy->hold;
wait_for_lease($other);
$clients{other}->wait_for_more(100);
$proxy->release;
poll_until(sub { status($node, 'lease_fenced') > 0 }, 'the loss to be noticed');
pass('what was held up until another server had the node ID, does no harm');
goes_back('held up');

# Claims that are on their way for longer than a lease of the other one lasts.
# Their session lives, so only what the claim itself names can stop it: the
# holder, or where that is gone, the version of the ledger.  And one that never
# arrives, when the other's claim has the number that it would have had.
lease_settings($node, zookeeper_hosts => $proxy->hosts, zookeeper_path => $SnowflakeLease::root,
	zookeeper_node_range => 5, zookeeper_session_timeout => '20s');
my %end_of_other = (
	'goes on' => sub { },
	'goes on, and the connection breaks' => sub { $proxy->cut },
	'is killed' => sub { kill_server($other) },
	'gives its own back' => sub { $other->stop });
foreach my $end ('goes on', 'goes on, and the connection breaks', 'is killed', 'gives its own back')
{
	my $name = "a claim while another claims and $end";

	$node->stop;
	wait_for_lease($other);
	is(by_hand('release', $other), '', "$name: the other has none");
	$proxy->seen;
	my $late = $proxy->rule('delayed', lease_request('claim'), seconds => 7);
	$node->start;
	poll_until(sub { grep { $_->{told} =~ /holder/ && $_->{request} eq 'multi' } $proxy->seen }, 'the claim');
	by_hand('claim', $other);
	wait_for_lease($other);
	$clients{other}->wait_for_more(100);
	$end_of_other{$end}->();
	is($proxy->fired($late), 1, "$name: late");
	usleep(7_500_000);
	if ($end =~ /^goes on/)
	{
		goes_back($name);
	}
	else
	{
		wait_for_lease($node);
		$clients{broken}->wait_for_more(100);
		$other->start;
	}
}

# Given back by hand while ZooKeeper cannot be told, or cannot tell.  The session
# goes on, and must not keep the node ID from others.
sub other_has_it
{
	my ($name) = @_;
	my $deadline = time + 60;

	usleep(100_000) while status($other, 'lease_state') ne 'held' && time < $deadline;
	return is(status($other, 'node_id, lease_state'), '5|held', $name);
}

foreach my $when (@when[ 0, 1 ])
{
	my $rule = rule($when, 'release');

	like(by_hand('release'), qr/WARNING: .*node ID 5 is no longer used, but ZooKeeper could not be told/, "given back by hand, $when: a warning");
	is($proxy->fired($rule), 1, "a release by hand $when");
	is(status($node, 'lease_state, node_id IS NULL'), 'released|t', 'the node ID is no longer used');
	other_has_it('another server gets it');
	is(by_hand('claim'), '', 'claimed by hand');
	goes_back("given back by hand, $when");
}

# A clock cannot be compared by a write that is answered later than it may be
# out: another one is made.
$node->stop;
my $slow = $proxy->rule('answered late', request => 'create set', match => '/election/', seconds => 1.5, times => 3);
my $started = (-s $node->logfile) // 0;
$node->start;
is($proxy->fired($slow), 3, 'clocks compared with an answer that was late, three times');
is(status($node, 'node_id IS NULL'), 't', 'there is no lease meanwhile');
$proxy->clear;
like(slurp_file($node->logfile, $started), qr/takes too long to answer, [1-9]\.\d+ s, to compare clocks/, 'the log says so');
$other->stop;
wait_for_lease($node);
pass('a lease as soon as ZooKeeper answers in time');
$other->start;

# While it is not known what became of a claim.
is(by_hand('release'), '', 'given back by hand without trouble');
other_has_it('another server gets it at once');
$other->stop;
my $unanswered = rule('unanswered', 'claim');
$proxy->rule('lost', request => 'connect', times => 1_000_000);
by_hand('claim');
is($proxy->fired($unanswered), 1, 'a claim unanswered');
wait_for_state($node, 'connecting');
like(by_hand('release'), qr/WARNING: .*node ID 5 is not used, but may have been claimed/, 'given back by hand, before its fate is known: a warning');
ok(exists holders($zk)->{5}, 'it had been claimed');
$proxy->clear;
$other->start;
other_has_it('another server gets it then, too');

$_->stop foreach values %clients;
foreach my $n (@nodes)
{
	$history->add_calls($n->name, $_->file) foreach @{ $clients{ $n->name } };
}
history_of_leases_ok($history, $zk, \@nodes, 1000, 'what both issued with one node ID');

$_->stop foreach @nodes;
done_testing();
