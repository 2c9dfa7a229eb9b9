# No ID comes twice, and none comes late, when servers and single backends are
# killed under load, with the clock set back meanwhile, and with commits that
# are not waited for.
#
# SNOWFLAKE_ROUNDS is how often that is tried, SNOWFLAKE_SEED the start of the
# random numbers of an earlier run.
#
# The servers run with fsync off, like all servers of these tests: what a
# process has written is in the kernel, which survives the process.  What must
# be lost with it, and is, is what was not written yet.  To lose much of that,
# the WAL writer is kept from writing early.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time usleep);

my $rounds = $ENV{SNOWFLAKE_ROUNDS} // 8;
my $seed = $ENV{SNOWFLAKE_SEED} // int(rand(2**31));
srand($seed);

my $node_id = 613;

# A call waits for as long as the horizon and no longer: where one that should
# succeed would have to wait for more than that, it fails.
my $node = snowflake_node('main', "snowflake.node_id = $node_id",
	q{snowflake.horizon = '1s'}, q{snowflake.max_wait = '1s'},
	'restart_after_crash = on', 'wal_level = replica', q{wal_writer_delay = '10s'});
my $clock = fake_clock($node);
$clock->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION snowflake;
	CREATE TABLE ids (client text, call int, id bigint DEFAULT snowflake_next())});

my $history = SnowflakeHistory->new(layout => status($node, 'layout'), dir => $node->basedir);
$history->clock_is($node_id, 0);

sub set_clock
{
	my ($ahead) = @_;

	$history->clock_is($node_id, $ahead, sub { $clock->set($ahead) });
	return;
}

# A call of the test itself, as of a client of that name.  Returns the ID, and
# what was wrong if there is none.
my %calls;
my @lines;

sub call
{
	my ($client) = @_;
	my ($id, $error);
	my $begin = history_us();

	$node->psql('postgres', 'SELECT snowflake_next()',
		stdout => \$id, stderr => \$error, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	push @lines, join ' ', $client, ++$calls{$client}, $begin, history_us(), $id;
	return ($id, $error);
}

sub ms_of
{
	my ($id) = @_;

	return $history->time_of($id) / 1000;
}

# The horizon as it is in the database, and how far that is ahead of the clock.
sub horizon
{
	return split /\|/, $node->safe_psql('postgres',
		q{SELECT last_value, last_value - floor(extract(epoch FROM clock_timestamp()) * 1000) FROM snowflake_horizon});
}

# Makes durable what was written so far.
sub flush_wal
{
	$node->safe_psql('postgres', 'SET synchronous_commit = on; CREATE TABLE flush (); DROP TABLE flush');
	return;
}

#
# One restart, step by step
#

# The horizon is what the first call after a restart may have to wait for.
is( $node->safe_psql('postgres', q{
		CREATE TEMP TABLE seen (ahead numeric);
		DO $$
		BEGIN
			FOR i IN 1..150 LOOP
				PERFORM snowflake_next();
				INSERT INTO seen SELECT last_value - floor(extract(epoch FROM clock_timestamp()) * 1000)
					FROM snowflake_horizon;
				PERFORM pg_sleep(0.01);
			END LOOP;
		END
		$$;
		SELECT max(ahead) <= 1001 FROM seen}),
	't', 'the horizon is not further ahead of the clock than its setting');

# IDs that no commit follows: nothing but the horizon itself sees to it that it
# is on disk.
my $slowly = q{SELECT snowflake_next() || pg_sleep(0.01)::text FROM generate_series(1, 150)};
flush_wal();
my @drawn = split /\n/, $node->safe_psql('postgres', $slowly);
kill_server($node);
$clock->start;
cmp_ok((horizon())[0], '>', ms_of($drawn[-1]), 'after kill -9 the horizon is above IDs of a query that wrote nothing');

# The same where another session wrote the horizon ahead and had no need of it.
my $other = $node->background_psql('postgres');
$other->query_safe('SELECT snowflake_next()');
flush_wal();
my ($before) = horizon();
$other->query_safe(q{
	DO $$
	DECLARE deadline timestamptz := clock_timestamp() + interval '1 minute';
	BEGIN
		WHILE (SELECT last_value FROM snowflake_horizon) = } . $before . q{ AND clock_timestamp() < deadline LOOP
			PERFORM snowflake_next();
		END LOOP;
	END
	$$});
@drawn = split /\n/, $node->safe_psql('postgres', $slowly);
cmp_ok(ms_of($drawn[-1]), '>', $before, 'IDs beyond the horizon that the other session knew to be on disk');
kill_server($node);
$other->{run}->finish;
$clock->start;
cmp_ok((horizon())[0], '>', ms_of($drawn[-1]), 'after kill -9 the horizon is above those, too');

my ($last) = call('before');
flush_wal();
my ($horizon) = horizon();
cmp_ok($horizon, '>', ms_of($last), 'it lies beyond the last ID');
kill_server($node);
$clock->start;
is((horizon())[0], $horizon, 'it is there after kill -9 of the server');
is(status($node, q{last_id_time IS NULL AND horizon_raised_at IS NULL AND
		horizon = to_timestamp(0) + last_value * interval '1 ms' FROM snowflake_status, snowflake_horizon --}),
	't', 'nothing was made yet');

# A clock that is far behind: no ID, and none of the state is touched.
set_clock($horizon / 1000 - 1000 - time);
fails_with(
	$node,
	'SELECT snowflake_next()',
	'SF004',
	[
		qr/the horizon of this database is \d{3}\.\d{3} s ahead of the clock/,
		qr/DETAIL:  IDs up to that time may have been handed out before the server was started/,
		qr/HINT:  Set the clock right\..*snowflake_reset_horizon\(\)/
	],
	'no ID while the clock is far behind the horizon');
is(status($node, 'last_id_time IS NULL AND horizon_raised_at IS NULL'), 't', 'nothing was raised');
is((horizon())[0], $horizon, 'nothing was written');

# While the first call after a start waits for the horizon, the server dies
# again, and again: the horizon stays where it is.
foreach my $i (1 .. 3)
{
	kill_server($node);
	$node->append_conf('postgresql.conf', q{snowflake.max_wait = '1h'});
	$clock->start;
	my $waiting = start_psql($node, 'postgres', 'SELECT snowflake_next()');
	ok(comes_to($waiting, $node, 'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Extension'}),
		"start $i: the first call waits");
	flush_wal();
	is((horizon())[0], $horizon, 'the horizon does not run away from the clock');
	kill_server($node);
	$waiting->finish;
	is($waiting->stdout, '', 'there was no ID');
	$node->append_conf('postgresql.conf', q{snowflake.max_wait = '1s'});
	$clock->start;
}
($horizon) = horizon();
set_clock($horizon / 1000 - 0.9 - time);
my ($first, $error) = call('after');
is($error, '', 'the first call waits no longer than the horizon');
cmp_ok(ms_of($first), '>=', $horizon, 'and its ID is not below the horizon');
is(status($node, 'horizon_raised_at IS NOT NULL AND horizon_extensions > 0 AND horizon_time > 0'),
	't', 'snowflake_status shows it');
note 'it waited for ' . status($node, 'round(clock_wait_time)') . ' ms';

#
# Many restarts, at random moments under load
#

my @clients = (
	start_client($node, 'postgres', 'one', 'SELECT snowflake_next() FROM generate_series(1, 20)'),
	start_client($node, 'postgres', 'single', 'SELECT snowflake_next()'),
	start_client($node, 'postgres', 'batch', 'SELECT snowflake_next_batch(100)'),
	start_client($node, 'postgres', 'rows',
		q{INSERT INTO ids (client, call) SELECT ':client', :call FROM generate_series(1, 10) RETURNING id}),
	start_client($node, 'postgres', 'row', q{INSERT INTO ids (client, call) VALUES (':client', :call) RETURNING id}));

note "$rounds rounds (SNOWFLAKE_ROUNDS), seed $seed (SNOWFLAKE_SEED)";

# How far the clock is ahead of the true one when it is right, so to say.
my $right = $horizon / 1000 - time;
$right = 0 if $right < 0;
set_clock($right);

my ($set_back, $refused, $longest) = (0, 0, 0);
my @unexpected;
foreach my $round (1 .. $rounds)
{
	my $back = $round & 1;
	my $async = $round & 2;
	my $single = $round & 4;

	$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = ' . ($async ? 'off' : 'on'));
	$node->reload;
	usleep(100_000 + rand(1_100_000));

	# From a second to an hour; a small step leads back into what was just used.
	my $step = $round & 8 ? exp(rand(log(3600))) : 1 + rand(10);
	my $killed_at = time;
	my $what;
	if ($single)
	{
		my $offset = -s $node->logfile;
		my ($pid, $type) = split /\|/, $node->safe_psql('postgres', q{
			SELECT pid, backend_type FROM pg_stat_activity
			WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walwriter', 'checkpointer')
			ORDER BY random() LIMIT 1});
		$what = "one $type";
		kill_process($pid);
		set_clock($right - $step) if $back;
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
		wait_until_up($node);
	}
	else
	{
		$what = 'the postmaster';
		kill_server($node);
		$step += time - $killed_at;
		set_clock($right - $step) if $back;
		$clock->start;
	}
	my $down = time - $killed_at;
	$longest = $down if $down > $longest;
	note sprintf('round %d: killed %s, synchronous_commit = %s, back after %.1f s%s',
		$round, $what, $async ? 'off' : 'on', $down, $back ? sprintf(' with the clock set back %.1f s', $step) : '');

	my ($id, $error) = call('round');
	if ($back)
	{
		$set_back++ if $step > $down;
		$refused++ if $error =~ /ERROR:  SF004:/;
		push @unexpected, "round $round: $error" if $error !~ /^(?:.*ERROR:  SF004:.*)?$/s;
		$right += 2 if rand(2) < 1;
		set_clock($right);
	}
	elsif ($error ne '')
	{
		push @unexpected, "round $round, the clock was not set: $error";
	}

	# Then IDs flow again, without help.
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while ($error ne '' && time < $deadline)
	{
		usleep(10_000);
		($id, $error) = call('round');
	}
	die "no IDs any more: $error" if $error ne '';
}
$_->stop foreach @clients;

is_deeply(\@unexpected, [], 'calls fail only while the clock is behind the horizon');
my %others;
foreach my $client (@clients)
{
	my $errors = $client->errors;

	$others{$1}++ while $errors =~ /^(?:psql:.*? )?(ERROR:  (?!SF00[14]:).*)$/mg;
}
is_deeply(\%others, {}, 'clients saw no other errors');

if ($rounds >= 8)
{
	cmp_ok($set_back, '>=', $rounds / 4, 'rounds with a step back that was longer than the down-time');
	cmp_ok($refused, '>=', 1, 'rounds in which the first call was refused');
}
note sprintf('%d rounds, clock set back in %d of them, calls refused in %d, longest down-time %.1f s',
	$rounds, $set_back, $refused, $longest);

# What was made in all these runs.
my $copy = abs_path($node->basedir) . '/recorded';
$node->safe_psql('postgres', qq{COPY (SELECT client, call, id FROM ids) TO '$copy' (DELIMITER ' ')});
$history->add_calls($node_id, \@lines);
$history->add_calls($node_id, $_->file) foreach @clients;
$history->add_recorded($node_id, $copy);
history_ok($history, $rounds * 1000, 'IDs of all rounds');

$node->stop;
done_testing();
