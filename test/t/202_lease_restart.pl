# The worker that leases the node ID fails between any two steps of the
# protocol, while sessions make IDs and another server is after the same node
# ID.  The worker that is started in its place finds in shared memory and in
# ZooKeeper how matters stand: it goes on with a lease that is in force, and
# claims anew where one was given back.
#
# The module is built for this with places to fail at, the numbers being those
# of SF_ZK_FAIL_POINT in src/zookeeper; the installed one has none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Digest::SHA 'sha1_base64';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeBuild;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);
my ($build, $path) = build_with_places_to_fail('snowflake_zookeeper');
plan skip_all => $path unless defined $build;

my $zk = start_ensemble('zk', 3);
my $slowness = $ENV{SNOWFLAKE_SLOWNESS} // 1;

#
# Two servers that want the same node ID
#

sub leased_node
{
	my ($name, %params) = @_;
	my $node = snowflake_node($name);
	my $hosts = $zk->hosts;

	$node->append_conf('postgresql.conf', qq{
		shared_preload_libraries = 'snowflake, snowflake_zookeeper'
		dynamic_library_path = '$path'
		snowflake.max_wait = '1s'
		snowflake.zookeeper_hosts = '$hosts'
		snowflake.zookeeper_session_timeout = '${slowness}s'
		snowflake.zookeeper_window = '@{[ 2 * $slowness ]}s'
		snowflake.zookeeper_node_range = '5'});
	$node->append_conf('postgresql.conf', $params{settings} // '');
	$params{clock} = fake_clock($node) if $params{clock};
	($params{clock} || $node)->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');
	create_objects_of_build($node, $build, 'snowflake_zookeeper');
	$node->safe_psql('postgres', q{
		CREATE TABLE ids (id snowflake);
		CREATE TABLE stop ()});
	return $params{clock} ? ($node, $params{clock}) : $node;
}

my $one = leased_node('one');

# Makes IDs until there is a row in the table stop; errors are waited out.
my $load = q{
	DO $$
	BEGIN
		LOOP
			BEGIN
				INSERT INTO ids SELECT FROM generate_series(1, 20);
				PERFORM pg_sleep(0.002);
			EXCEPTION WHEN SQLSTATE 'SF006' OR SQLSTATE 'SF001' THEN
				PERFORM pg_sleep(0.01);
			END;
			COMMIT;
			EXIT WHEN EXISTS (SELECT FROM stop);
		END LOOP;
	END $$;
};

sub wait_for
{
	my ($node, $condition, $what) = @_;

	$node->poll_query_until('postgres', "SELECT $condition FROM snowflake_status") or die "$what did not come\n";
	return;
}

sub more_ids
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $name) = @_;
	my $last = $node->safe_psql('postgres', 'SELECT coalesce(max(id), 0) FROM ids');

	return ok($node->poll_query_until('postgres', "SELECT count(*) > 100 FROM ids WHERE id > $last"), $name);
}

sub fail_at
{
	my ($node, $point) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET snowflake.zookeeper_fail_point = $point");
	$node->reload;
	return;
}

# Waits until the worker has failed so often since that place in the log.
sub wait_for_failures
{
	my ($node, $offset, $count) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ((() = slurp_file($node->logfile, $offset) =~ /ERROR:  fail point/g) >= $count)
	{
		die "the worker does not fail\n" if time > $deadline;
		usleep(50_000);
	}
	return;
}

wait_for($one, "lease_state = 'held'", 'a lease');
my $two = leased_node('two', settings => 'snowflake.zookeeper_fail_point = 1');
my @loads = map { start_psql($_, 'postgres', $load) } $one, $two;
more_ids($one, 'one server has the node ID, and makes IDs');
is(status($two, 'node_id IS NULL'), 't', 'the other has none');

# Claimed, but the worker does not come to say so, each time.
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
wait_for($two, "lease_state = 'held'", 'the lease of the other');
more_ids($two, 'failed at 1: the next worker goes on with the claim');
my @claimed = slurp_file($two->logfile) =~ /fail point (1)|was (found claimed by an earlier worker|claimed)/g;
is_deeply([ grep { defined } @claimed ], [ 1, 'found claimed by an earlier worker' ], 'which it found');
is(status($two, 'node_id, lease_claim, lease_fenced'), '5|2|0', 'there was one claim');
fail_at($two, 0);
$two->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
$one->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
wait_for($one, "lease_state = 'held'", 'the lease');
$two->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');

# A lease that is extended, but the worker does not come to say so.
my $claim = status($one, 'lease_claim');
my $offset = -s $one->logfile;
fail_at($one, 3);
wait_for_failures($one, $offset, 4);
more_ids($one, 'workers that fail after each extension: IDs go on');
is(status($one, 'lease_claim, lease_fenced, node_id'), "$claim|0|5", 'it is the same lease');
fail_at($one, 0);
# Answered by a worker that is connected again.
$one->poll_query_until('postgres', 'SELECT count(*) > 0 FROM snowflake_zookeeper_ledger()')
  or die "no worker answers\n";
like(slurp_file($one->logfile, $offset), qr/node ID 5 was found claimed by an earlier worker/, 'as the log says');
is(status($one, 'lease_claim, lease_fenced, node_id'), "$claim|0|5", 'and again');

# Given back, but the worker does not come to tell ZooKeeper, or to know that
# it was told.  The other server waits for the node ID.
foreach my $point (4, 5)
{
	my ($holder, $other) = status($one, 'lease_state') eq 'held' ? ($one, $two) : ($two, $one);

	$offset = -s $holder->logfile;
	fail_at($holder, $point);
	$holder->poll_query_until('postgres', "SELECT current_setting('snowflake.zookeeper_fail_point') = '$point'")
	  or die 'the setting does not arrive';
	my $session = start_psql($holder, 'postgres', 'SELECT snowflake_zookeeper_release()');
	wait_for_failures($holder, $offset, 1);
	fail_at($holder, 0);
	ok($session->finish, "failed at $point: who has asked for it is answered by the next worker");
	is(status($holder, 'node_id IS NULL'), 't', 'the node ID is not used any more');
	wait_for($other, "lease_state = 'held'", 'the lease of the other');
	more_ids($other, 'the other server has it then');
	wait_for($holder, "lease_state = 'released'", 'the new worker');
	is(status($holder, 'lease_state, lease_fenced'), 'released|0', 'the worker that comes next does not claim it');
	$holder->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
	usleep(300_000);
	is(status($holder, 'node_id IS NULL'), 't', 'told to claim, it does not get what the other has');
}

# Claimed and published, but the worker does not come to know it.
my ($holder, $other) = status($one, 'lease_state') eq 'held' ? ($one, $two) : ($two, $one);
$offset = -s $other->logfile;
fail_at($other, 2);
$holder->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
wait_for_failures($other, $offset, 1);
wait_for($other, "lease_state = 'held'", 'the lease');
more_ids($other, 'failed at 2: the next worker goes on with the claim');
like(slurp_file($other->logfile, $offset), qr/found claimed by an earlier worker/, 'which it found');
fail_at($other, 0);

# Claimed, but not published, where a lease was given back before: that claim
# is left alone until its end, since it cannot be told from the other.
($holder, $other) = ($other, $holder);
$offset = -s $other->logfile;
fail_at($other, 1);
$other->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
$holder->safe_psql('postgres', 'SELECT snowflake_zookeeper_release()');
wait_for_failures($other, $offset, 1);
fail_at($other, 0);
wait_for($other, "lease_state = 'held'", 'the lease');
more_ids($other, 'failed at 1, in a server that had given a lease back: claimed anew');
unlike(slurp_file($other->logfile, $offset), qr/found claimed/, 'and not adopted');
($holder, $other) = ($other, $holder);

# A worker that is ended gives the lease back, and the next one claims anew.
my ($worker) = reverse slurp_file($holder->logfile) =~ /\[(\d+)\] LOG:  snowflake: connected to ZooKeeper/g;
$claim = status($holder, 'lease_claim');
kill 'TERM', $worker;
wait_for($holder, "lease_state = 'held' AND lease_claim > $claim", 'another claim');
more_ids($holder, 'a worker that is ended: the next one claims anew');

$_->safe_psql('postgres', 'INSERT INTO stop DEFAULT VALUES') foreach $one, $two;
ok($_->finish, 'all sessions went on to the end') foreach @loads;

my %seen;
my $count = 0;
foreach my $node ($one, $two)
{
	my @ids = split /\n/, $node->safe_psql('postgres', 'SELECT id FROM ids');

	$count += @ids;
	$seen{$_}++ foreach @ids;
}
cmp_ok($count, '>', 1000, 'IDs were made');
is(scalar(keys %seen), $count, 'and none of them twice');

$_->stop foreach $one, $two;

#
# What a worker that has found its lease does not know yet
#

my $proxy = $zk->proxy;
my $relayed = $proxy->hosts;
my ($three, $clock) = leased_node('three', clock => 1,
	settings => qq{snowflake.zookeeper_hosts = '$relayed'
		snowflake.zookeeper_path = '/snowflake/alone'
		snowflake.zookeeper_session_timeout = '4s'
		snowflake.zookeeper_window = '8s'});
wait_for($three, "lease_state = 'held'", 'a lease');
my ($cluster) = grep { /-/ } $zk->children('/snowflake/alone');
my $ledger = "/snowflake/alone/$cluster/ids/5";

# Has its worker fail just after an extension, once, and calls what is to be
# done before the next one can look for its lease.
sub replaced_worker
{
	my ($meanwhile) = @_;
	my $offset = -s $three->logfile;
	my $blind = $proxy->rule('lost', request => 'children', match => '/ids$', times => 1_000_000);

	fail_at($three, 3);
	wait_for_failures($three, $offset, 1);
	fail_at($three, 0);
	$meanwhile->();
	unlike(slurp_file($three->logfile, $offset), qr/found claimed/, 'the next worker has not found its lease yet');
	$proxy->drop($blind);
	return $offset;
}

sub wait_for_log
{
	my ($offset, $pattern) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until (slurp_file($three->logfile, $offset) =~ $pattern)
	{
		die "the log does not say $pattern\n" if time > $deadline;
		usleep(50_000);
	}
	return;
}

# Whether the ledger is its own, where it may not read it.
$claim = status($three, 'lease_claim');
my $stranger = $zk->client(auth => 'somebody:else');
my $everybody = [ { scheme => 'world', id => 'anyone', perms => 31 } ];
$offset = replaced_worker(sub {
	$zk->set_acl($ledger, [ { scheme => 'digest', id => 'somebody:' . sha1_base64('somebody:else') . '=', perms => 31 } ]);
});
wait_for_log($offset, qr/does not let this server read the ledger of node ID 5/);
wait_for($three, "lease_state = 'refused'", 'the state');
is(status($three, 'node_id, lease_fenced, lease_claim'), "5|0|$claim", 'a lease whose ledger cannot be read is not lost');
unlike(slurp_file($three->logfile, $offset), qr/found claimed/, 'nor taken for its own');
$stranger->set_acl($ledger, $everybody);
$stranger->stop;
wait_for_log($offset, qr/node ID 5 was found claimed by an earlier worker/);
is(status($three, 'lease_fenced, lease_claim'), "0|$claim", 'once it can be read, the lease goes on');

# ZooKeeper's time, when the clock is out, and ZooKeeper too slow to compare it.
sub version
{
	return $zk->get($ledger)->{version};
}

my $version;
$proxy->rule('answered late', request => 'create set multi', seconds => 1.3, times => 1_000_000);
$offset = replaced_worker(sub {
	$version = version();
	$clock->set(86400);
});
my $extended_by = time + $PostgreSQL::Test::Utils::timeout_default;
usleep(100_000) while version() == $version && time < $extended_by;
cmp_ok(version(), '>', $version, 'the next worker extends the lease');
my ($high) = $zk->get($ledger)->{data} =~ /^high (\d+)$/m;
cmp_ok($high / 1000, '<', time + 60, 'the lease is not extended by a clock that is out, also not at first');
$proxy->clear;
wait_for_log($offset, qr/clock of this server is at least 86\d+\.\d+ s ahead/);
unlike(slurp_file($three->logfile, $offset), qr/at least \d{6,}\./, 'it is held against ZooKeeper\'s clock and no other');
$clock->set(0);
wait_for($three, "lease_state = 'held'", 'the lease');

# Given back, before it has found its lease.  Where it soon will, that is waited for.
my $blind;
$offset = replaced_worker(sub { $blind = $proxy->rule('lost', request => 'children', match => '/ids$', times => 1_000_000) });
my $release = start_psql($three, 'postgres', 'SELECT snowflake_zookeeper_release()');
usleep(500_000);
$proxy->drop($blind);
$release->finish;
is($release->stderr, '', 'given back by a worker that has just begun');
like(slurp_file($three->logfile, $offset), qr/node ID 5 was given back/, 'and ZooKeeper knows');
$three->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
wait_for($three, "lease_state = 'held'", 'the lease');
$claim = status($three, 'lease_claim');
$offset = replaced_worker(sub { $zk->kill_all });
my $warned;
$three->psql('postgres', 'SELECT snowflake_zookeeper_release()', stderr => \$warned);
like($warned, qr/WARNING: .*node ID 5 is no longer used, but ZooKeeper was not told/, 'given back by a worker that has not found it: a warning');
is(status($three, 'lease_state, node_id IS NULL'), 'released|t', 'it is given back');
$zk->start_all;
$three->safe_psql('postgres', 'SELECT snowflake_zookeeper_claim()');
wait_for($three, "lease_state = 'held' AND lease_claim > $claim", 'another claim');
pass('it can be claimed anew');

$three->stop;
done_testing();
