# The tools that the tests of the lease stand on: the ensemble, the client, the
# record of writes, and the relay.  What a test would blame on the module must
# not be the fault of these.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(usleep);

skip_without_zookeeper();

sub error_of
{
	my ($code) = @_;

	return eval { $code->(); 1 } ? 'none' : $@;
}

#
# An ensemble of three
#

my $zk = start_ensemble('three', 3);
is_deeply([ sort map { $zk->mode($_) } 1 .. 3 ], [qw(follower follower leader)], 'three servers, one leads');

$zk->create('/a', 'first');
is($zk->get('/a')->{data}, 'first', 'what was written is there');
is($zk->set('/a', join('', map { chr } 0 .. 255), version => 0)->{version}, 1, 'any bytes can be written');
is($zk->get('/a')->{data}, join('', map { chr } 0 .. 255), 'and are read as they are');
like(error_of(sub { $zk->set('/a', 'x', version => 0) }), qr/^BadVersionError:/, 'an old version is refused');
like(error_of(sub { $zk->get('/b') }), qr/^NoNodeError:/, 'there is no other znode');

my $other = $zk->client;
$other->create('/a/e', 'mine', ephemeral => 1);
my $tree = $zk->tree('/a');
is_deeply([ sort keys %$tree ], [qw(/a /a/e)], 'the tree');
is($tree->{'/a/e'}{owner}, $other->session, 'an ephemeral znode names its session');
is($tree->{'/a'}{owner}, undef, 'another does not');
$other->stop;
ok(!$zk->exists('/a/e'), 'it goes with a session that is closed');

# With the leader killed, and back.
my $leader = $zk->leader;
$zk->kill9($leader);
is_deeply([ $zk->running ], [ grep { $_ != $leader } 1 .. 3 ], 'two are left');
isnt($zk->leader, $leader, 'another one leads');
$zk->set('/a', 'second');
$zk->start_all;
is($zk->get('/a')->{data}, 'second', 'written without the old leader');
is($zk->mode($leader), 'follower', 'which follows now');

# Frozen, a server does not answer; the others do.
my ($follower) = grep { $zk->mode($_) eq 'follower' } 1 .. 3;
$zk->freeze($follower);
is($zk->mode($follower), undef, 'a frozen server does not answer');
$zk->set('/a', 'third');
$zk->thaw($follower);
$zk->wait_serving;
is($zk->client(hosts => '127.0.0.1:' . $zk->port($follower))->request(op => 'tree', path => '/a')->{'/a'}{data},
	'third', 'thawed, it knows what was written meanwhile');

# All of them gone, and back.
$zk->kill_all;
is_deeply([ map { $zk->mode($_) } 1 .. 3 ], [ undef, undef, undef ], 'nobody answers');
like(error_of(sub { $zk->get('/a', once => 1) }), qr/^(?:ConnectionLoss|SessionExpiredError|ConnectionClosedError)/,
	'a client hears of it');
$zk->start_all;
is($zk->get('/a')->{data}, 'third', 'the data has survived that');

# The record of all writes.
my @changes = map { @{ $_->{changes} } } $zk->transactions;
is_deeply(
	[ map { [ @$_{qw(op path version)} ] } grep { $_->{path} eq '/a' } @changes ],
	[ [ 'create', '/a', undef ], map { [ 'set', '/a', $_ ] } 1 .. 3 ],
	'the record has each write of a znode once');
is_deeply([ map { $_->{data} } grep { $_->{path} eq '/a' } @changes ],
	[ 'first', join('', map { chr } 0 .. 255), 'second', 'third' ], 'with what was written');
is(scalar(grep { $_->{path} eq '/a/e' && $_->{op} eq 'create' && $_->{ephemeral} } @changes),
	1, 'and the ephemeral one');
is(scalar(grep { $_->{path} eq '/a/e' && $_->{op} eq 'delete' } @changes), 1, 'and that it went with its session');

# What only the leader has written has not happened.
$leader = $zk->leader;
my $asking = $zk->client(hosts => '127.0.0.1:' . $zk->port($leader));
$asking->session;
my @followers = grep { $_ != $leader } 1 .. 3;
$zk->freeze($_) foreach @followers;
print { $asking->{to} } qq({"op":"set","path":"/a","data":"alone"}\n);

sub written
{
	return scalar grep { ($_->{data} // '') eq 'alone' } map { @{ $_->{changes} } } $zk->transactions(@_);
}

foreach (1 .. 500)
{
	last if written($leader);
	usleep(20_000);
}
is(written($leader), 1, 'it is in the log of the leader');
is(written(), 0, 'the record does not have what only one server has');
$zk->thaw($_) foreach @followers;
ok(exists $asking->_answer->{ok}, 'when the others are back, it is done');
is(written(), 1, 'and the record has it');

#
# The relay
#

my $proxy = $zk->proxy;
my $client = $zk->client(hosts => $proxy->hosts);
$client->create('/p', '0');
my $session = $client->session;
is((grep { $_->{request} eq 'create' } $proxy->seen)[0]{told}, 'create /p 0', 'the relay sees requests');

sub data_and_version
{
	my $znode = $zk->get('/p');
	return "$znode->{data} $znode->{version}";
}

my $lost = $proxy->rule('lost', request => 'set', match => '^set /p version 0 1');
like(error_of(sub { $client->set('/p', '1', version => 0, once => 1) }), qr/^ConnectionLoss/, 'a lost request is told as such');
is($proxy->fired($lost), 1, 'the relay has lost it');
is(data_and_version(), '0 0', 'it did not reach the server');
is($client->set('/p', '1', version => 0)->{version}, 1, 'the client is back, and the rule used up');
is($client->session, $session, 'with the same session');

my $unanswered = $proxy->rule('unanswered', request => 'set');
like(error_of(sub { $client->set('/p', '2', version => 1, once => 1) }), qr/^ConnectionLoss/, 'a lost answer looks the same');
is($proxy->fired($unanswered), 1, 'the relay has lost it');
is(data_and_version(), '2 2', 'but the request has reached the server');
is($client->get('/p')->{data}, '2', 'as the client can see');

# A multi is told by its parts.
my @parts = ({ op => 'check', path => '/p', version => 2 }, { op => 'create', path => '/p/m', data => 'M' },
	{ op => 'set', path => '/p', data => '3', version => 2 });
$proxy->rule('lost', request => 'multi', match => 'create /p/n');
my $multi = $proxy->rule('unanswered', request => 'multi', match => 'check /p version 2; create /p/m M; set /p version 2 3');
like(error_of(sub { $client->multi(\@parts, once => 1) }), qr/^ConnectionLoss/, 'the answer to a multi is lost');
is($proxy->fired($multi), 1, 'by its rule');
is(data_and_version(), '3 3', 'it was done');
ok($zk->exists('/p/m'), 'wholly');
like(error_of(sub { $client->multi(\@parts) }), qr/^BadVersionError/, 'again it fails for its version');
$proxy->clear;
$client->create('/p/n', '');
pass('a rule that was taken back does nothing');

# A delay, on the way there and back.
foreach my $when ('delayed', 'answered late')
{
	my $begin = history_us();
	my $rule = $proxy->rule($when, request => 'set', seconds => 0.7);
	$client->set('/p', $when);
	cmp_ok(history_us() - $begin, '>', 700_000, "a request that is $when takes so long");
	is($proxy->fired($rule), 1, 'by the rule');
	is($zk->get('/p')->{data}, $when, 'and is done');
}
is($proxy->fired($proxy->rule('lost', request => 'delete'), 0.1), 0, 'a rule that was not used says so');
$proxy->clear;

# Nothing passes, but the connection stays; then all arrives.
$proxy->hold;
$proxy->request(op => 'seen');
print { $client->{to} } qq({"op":"set","path":"/p","data":"held","once":true}\n);
usleep(20_000) until grep { $_->{request} eq 'set' } $proxy->seen;
isnt($zk->get('/p')->{data}, 'held', 'what is held does not arrive');
$proxy->release;
ok(exists $client->_answer->{ok}, 'released, it is answered');
is($zk->get('/p')->{data}, 'held', 'and done');

$proxy->refuse;
like(error_of(sub { $client->get('/p', once => 1) }), qr/^(?:ConnectionLoss|SessionExpiredError|ConnectionClosedError)/,
	'refused, the client is cut off');
$proxy->accept;
is($client->get('/p')->{data}, 'held', 'accepted, it is back');
$proxy->cut;
is($client->get('/p')->{data}, 'held', 'and again after a cut');

# A client that dies leaves its session to time out.
my $dying = $zk->client;
$dying->create('/p/e', '', ephemeral => 1);
$dying->kill9;
ok($zk->exists('/p/e'), 'an ephemeral znode does not go with its process at once');

#
# The ensemble forgets everything
#

$zk->wipe;
ok(!$zk->exists('/a'), 'wiped, the ensemble knows of nothing');
$zk->create('/a', 'anew');
is($zk->get('/a')->{data}, 'anew', 'and serves');

#
# One server; and nothing is left of a test that dies
#

my $single = start_ensemble('single', 1);
is($single->mode(1), 'standalone', 'one server alone');
is($single->leader, 1, 'counts as leader');
$single->create('/s', 'x');
$single->stop(1);
$single->start_all;
is($single->get('/s')->{data}, 'x', 'stopped and started, it has its data');

# How it dies, and the processes that it had started.
foreach my $how ('die "so"', 'kill "KILL", $$', 'exit 3')
{
	my $directory = PostgreSQL::Test::Utils::tempdir();
	local $ENV{TESTDIR} = $directory;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run(
		[
			$^X, map({ ('-I', $_) } @INC), '-MTest::More', '-MSnowflakeZooKeeper', '-e', qq{
			my \$zk = start_ensemble('dying', 1);
			my \$proxy = \$zk->proxy;
			\$zk->create('/x', '');
			pass('processes ' . join ' ', sort keys %SnowflakeZooKeeper::running);
			$how;}
		],
		'>', \$stdout, '2>', \$stderr);
	my ($list) = $stdout =~ /processes ([\d ]+)/;
	my @pids = split ' ', $list // '';
	is(scalar(@pids), 3, "a test that ends by $how had three processes") or diag $stdout, $stderr;
	my $left = @pids;
	foreach (1 .. 500)
	{
		$left = kill 0, @pids;
		last unless $left;
		usleep(20_000);
	}
	is($left, 0, 'none is left');
}

done_testing();
