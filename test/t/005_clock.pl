# A clock that somebody sets while the server runs.  Back by a little: calls
# wait, or go on within the lead.  Back by much, or far forward: calls fail,
# and nothing is spoilt when the clock is right again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $hour = 3600;
my $year = 365 * 24 * $hour;

my $node = snowflake_node('main', 'snowflake.node_id = 77');
my $clock = fake_clock($node);
$clock->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');
collect_ids_into($node, 'postgres', 'ids');
$node->safe_psql('postgres', 'CREATE TABLE stop (now boolean)');

# One ID in a session of its own.
sub next_id
{
	return $node->safe_psql('postgres', 'SELECT snowflake_next()');
}

sub changed_by
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($columns, $expected, $name, $code) = @_;
	my @columns = split /, /, $columns;
	my @before = split /\|/, status($node, $columns);

	$code->();

	my @after = split /\|/, status($node, $columns);
	return is(join(', ', map { "$columns[$_] +" . ($after[$_] - $before[$_]) } 0 .. $#columns), $expected, $name);
}

my $last = next_id();
cmp_ok($last, '>', 0, 'a first ID');

#
# Small steps back, while sessions draw as fast as they can
#

my @busy = map {
	start_psql($node, 'postgres', qq{
		DO \$\$
		BEGIN
			FOR statement IN 1 .. 1000000 LOOP
				INSERT INTO ids (session, n)
					SELECT '$_', statement * 1000 + g FROM generate_series(1, 20) AS g;
				COMMIT;
				EXIT WHEN EXISTS (SELECT FROM stop);
			END LOOP;
		END \$\$})
} 1 .. 3;
$node->poll_query_until('postgres', 'SELECT count(DISTINCT session) = 3 FROM ids')
  or die 'the sessions did not begin';

my $waits = status($node, 'clock_waits');
is($waits, 0, 'no wait for the clock while nobody sets it');
is(status($node, q{clock_steps_back, largest_clock_step_back = '0'}), '0|t', 'and no step back');

my $at = 0;
my $steps = 0;
foreach my $step (0.005, 1, 0.25)
{
	my $name = "set back by $step s";
	my ($waits, $time, $refusals) = split /\|/, status($node, 'clock_waits, clock_wait_time, refusals');
	my ($from, $to) = ($step - 0.002, $step + 0.002);

	# A small step may be over before a busy machine draws the next ID.
	foreach my $try (1 .. 20)
	{
		$clock->set($at -= $step);
		$steps++;
		$node->poll_query_until('postgres', "SELECT clock_steps_back = $steps FROM snowflake_status")
		  or die 'steps noticed: ' . status($node, 'clock_steps_back, largest_clock_step_back') . "\n";
		last if status($node, "clock_waits > $waits") eq 't' || $step > 0.1;
	}
	pass("$name: noticed");
	if ($step != 0.25)
	{
		is(status($node, "extract(epoch FROM largest_clock_step_back) BETWEEN $from AND $to"),
			't', "$name: it is the largest so far");
	}

	# They have gone on when each has drawn anew.
	my $last = next_id();
	$node->poll_query_until('postgres',
		"SELECT count(*) = 3 FROM (SELECT FROM ids WHERE id > $last GROUP BY session) AS sessions")
	  or die 'the sessions did not go on';
	is(status($node, 'refusals'), $refusals, "$name: no call failed");
	my ($waits_now, $time_now) = split /\|/, status($node, 'clock_waits, clock_wait_time');
	cmp_ok($waits_now - $waits, '>=', 1, "$name: a call waited");
	cmp_ok($waits_now - $waits, '<=', 4, "$name: each session once at most");
	cmp_ok($time_now - $time, '<=', 4 * ($step * 1000 + 500), "$name: no longer than for the step");
	cmp_ok($time_now - $time, '>', $step * 500, "$name: but for it") if $step == 1;
	is(status($node, 'clock_steps_back'), $steps, "$name: counted once, though several sessions saw it");
}
is(status($node, q{largest_clock_step_back BETWEEN '998ms' AND '1002ms'}), 't', 'a smaller step is not the largest');

$node->safe_psql('postgres', 'INSERT INTO stop VALUES (true)');
foreach my $session (@busy)
{
	ok($session->finish, 'a session over all these steps') or diag $session->stderr;
}
ids_ok($node, 'postgres', 'ids', 1000, 'IDs over all these steps');
$last = $node->safe_psql('postgres', 'SELECT max(id) FROM ids');

# Set right again: no step back, and IDs of the true time.
changed_by('clock_steps_back, clock_waits, refusals', 'clock_steps_back +0, clock_waits +0, refusals +0',
	'set right by a step forward',
	sub { $clock->set(0); cmp_ok(next_id(), '>', $last, 'IDs go on') });
$last = next_id();

#
# Back by an hour
#

my $state = status($node, 'last_id_time, ids_issued');
my $behind = [
	qr/the clock is 3(?:59\d|600)\.\d{3} s behind the last ID/,
	qr/DETAIL:  IDs can be made again in 3(?:59\d|600)\.\d{3} s; "snowflake\.max_wait" is 2000 ms and "snowflake\.max_lead" is 0 ms\./,
	qr/HINT:  Check the server's time synchronization\./
];
changed_by(
	'clock_steps_back, clock_waits, refusals',
	'clock_steps_back +1, clock_waits +0, refusals +4',
	'an hour back: refused without waiting, each time',
	sub {
		$clock->set(-$hour);
		fails_with($node, 'SELECT snowflake_next()', 'SF001', $behind, 'an hour back: snowflake_next');
		fails_with($node, 'SELECT snowflake_next_batch(10)', 'SF001', $behind, 'an hour back: snowflake_next_batch');
		fails_with($node, q{INSERT INTO ids (session) VALUES ('')}, 'SF001', $behind, 'an hour back: INSERT');
		fails_with($node, "COPY ids (session) FROM stdin;\n\n\\.\n", 'SF001', $behind, 'an hour back: COPY');
	});
is(status($node, 'last_id_time, ids_issued'), $state, 'nothing has changed');
is(status($node, q{clock_ahead BETWEEN '-01:00:00' AND '-00:59:00'}), 't', 'snowflake_status shows how far it is behind');
is(status($node, q{largest_clock_step_back BETWEEN '00:59:59.99' AND '01:00:00.01'}), 't', 'and the step');
ok($node->safe_psql('postgres', "SELECT snowflake_timestamp($last)"), 'decoding goes on');
changed_by('clock_steps_back, clock_waits, refusals', 'clock_steps_back +0, clock_waits +0, refusals +0',
	'right again after an hour back',
	sub { $clock->set(0); cmp_ok(next_id(), '>', $last, 'IDs go on') });
$last = next_id();

# A wait ends when the clock is set right, not when it would have ended.
$node->safe_psql('postgres', q{ALTER SYSTEM SET snowflake.max_wait = '2h'});
reload_until($node, q{current_setting('snowflake.max_wait') = '2h'});
$clock->set(-$hour);
my $waiting = start_psql($node, 'postgres', 'SELECT snowflake_next()');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Extension'})
  or die 'no wait';
$clock->set(0);
ok($waiting->finish, 'a wait of an hour ends when the clock is set right') or diag $waiting->stderr;
cmp_ok($waiting->stdout, '>', $last, 'with a later ID');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET snowflake.max_wait');
reload_until($node, q{current_setting('snowflake.max_wait') = '2s'});
$last = next_id();

#
# Within the lead
#

$node->safe_psql('postgres', q{ALTER SYSTEM SET snowflake.max_lead = '60s'});
reload_until($node, q{current_setting('snowflake.max_lead') = '1min'});
$node->safe_psql('postgres', 'TRUNCATE ids');
changed_by(
	'clock_steps_back, clock_waits, sequence_waits, refusals',
	'clock_steps_back +1, clock_waits +0, sequence_waits +0, refusals +0',
	'a step back within the lead hurts nobody',
	sub {
		$clock->set(-30);
		$node->safe_psql('postgres', q{
			INSERT INTO ids (session, n) SELECT '', n FROM generate_series(1, 10000) AS n});
	});
ids_ok($node, 'postgres', 'ids', 10000, 'IDs within the lead');
is($node->safe_psql('postgres', "SELECT min(id) > $last FROM ids"), 't', 'after those from before the step');
is( $node->safe_psql('postgres', q{SELECT max(snowflake_timestamp(id)) - clock_timestamp() BETWEEN '20s' AND '60s' FROM ids}),
	't', 'ahead of the clock, within the lead');
$clock->set(-120);
fails_with($node, 'SELECT snowflake_next()',
	'SF001', [qr/"snowflake\.max_lead" is 60000 ms/], 'a step back beyond the lead');
$clock->set(0);
$node->safe_psql('postgres', 'ALTER SYSTEM RESET snowflake.max_lead');
reload_until($node, q{current_setting('snowflake.max_lead') = '0'});
$last = $node->safe_psql('postgres', 'SELECT max(id) FROM ids');
cmp_ok(next_id(), '>', $last, 'IDs go on without the lead');
$last = next_id();

#
# Before the epoch
#

changed_by(
	'clock_waits, refusals',
	'clock_waits +0, refusals +1',
	'before the epoch: refused without waiting',
	sub {
		$clock->set(-30 * $year);
		fails_with($node, 'SELECT snowflake_next()',
			'SF001', [ qr/the clock is before the epoch of the layout/, qr/HINT:  Check the server's clock\./ ],
			'before the epoch');
	});
changed_by('clock_steps_back, refusals', 'clock_steps_back +0, refusals +0', 'right again after 30 years back',
	sub { $clock->set(0); cmp_ok(next_id(), '>', $last, 'IDs go on: that was no jump forward') });
$last = next_id();

#
# Forward by ten years
#

my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SELECT snowflake_next()');
$state = status($node, 'last_id_time, ids_issued');
my $jumped = [
	qr/the clock jumped forward by 3153(?:5999\d|60000)\.\d{3} s/,
	qr/DETAIL:  "snowflake\.max_jump" allows 31536000 s; an ID with a time in the future/,
	qr/HINT:  Set the clock right\. If it is right now, a superuser can call snowflake_accept_clock\(\)\./
];
changed_by(
	'clock_steps_back, clock_waits, refusals',
	'clock_steps_back +0, clock_waits +0, refusals +3',
	'ten years forward: refused, each time',
	sub {
		$clock->set(10 * $year);
		fails_with($node, 'SELECT snowflake_next()', 'SF003', $jumped, 'ten years forward: snowflake_next');
		fails_with($node, 'SELECT snowflake_next_batch(10)', 'SF003', $jumped, 'ten years forward: snowflake_next_batch');

		$session->query('SELECT snowflake_next()');
		like($session->{stderr}, $jumped->[0], 'ten years forward: a session that had drawn an ID before');
	});
is(status($node, 'last_id_time, ids_issued'), $state, 'nothing has changed');
changed_by('clock_steps_back, refusals', 'clock_steps_back +0, refusals +0', 'right again after ten years forward',
	sub { $clock->set(0); cmp_ok(next_id(), '>', $last, 'IDs go on') });
$session->{stderr} = '';
cmp_ok($session->query_safe('SELECT snowflake_next()'), '>', $last, 'in the old session, too');

# A jump that is allowed is none.
$node->safe_psql('postgres', 'CREATE ROLE alice');
$clock->set(1);
cmp_ok(next_id(), '>', $last, 'a second forward');
$last = next_id();
$clock->set(10 * $year);
fails_with($node, 'SET ROLE alice; SELECT snowflake_accept_clock()',
	'42501', [qr/permission denied for function snowflake_accept_clock/], 'a user cannot accept the clock');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION snowflake_accept_clock() TO alice');
fails_with($node, 'SET ROLE alice; SELECT snowflake_accept_clock()',
	'42501', [qr/must be superuser to call snowflake_accept_clock\(\)/], 'not even with the right to call it');
fails_with($node, 'SELECT snowflake_next()', 'SF003', $jumped, 'so IDs are still refused');
$node->safe_psql('postgres', 'SELECT snowflake_accept_clock()');
like(slurp_file($node->logfile), qr/LOG:  snowflake: the clock was accepted as it is/,
	'a superuser can, and it is logged');
changed_by('ids_issued, refusals', 'ids_issued +1, refusals +0', 'accepted',
	sub { cmp_ok(next_id(), '>', $last, 'IDs go on') });
is( $node->safe_psql('postgres', q{SELECT snowflake_timestamp(snowflake_next()) > now() - interval '1 minute'}),
	't', 'with the time of the clock, for all sessions');
cmp_ok($session->query_safe('SELECT snowflake_next()'), '>', $last, 'the old one, too');
$session->quit;

# Without a limit.
$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.max_jump = 0');
reload_until($node, q{current_setting('snowflake.max_jump') = '0'});
changed_by('ids_issued, refusals', 'ids_issued +1, refusals +0', 'without a limit',
	sub { $clock->set(20 * $year); cmp_ok(next_id(), '>', $last, 'another ten years forward') });
is( $node->safe_psql('postgres', q{SELECT snowflake_timestamp(snowflake_next()) > now() - interval '1 minute'}),
	't', 'IDs have the time of the clock');
$node->stop;

#
# A server that starts before its clock is set
#

my $early = snowflake_node('early', 'snowflake.node_id = 78');
$clock = fake_clock($early);
$clock->set(-30 * $year);
$clock->start;
$early->safe_psql('postgres', 'CREATE EXTENSION snowflake');
fails_with($early, 'SELECT snowflake_next()',
	'SF001', [qr/the clock is before the epoch of the layout/], 'a server that starts before the epoch');
$clock->set(0);
is( $early->safe_psql('postgres', q{SELECT snowflake_timestamp(snowflake_next()) > now() - interval '1 minute'}),
	't', 'makes IDs when its clock is set: there was no ID to jump from');
$early->stop;

done_testing();
