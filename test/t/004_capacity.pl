# What happens at the limits of a layout: the sequence of a tick used up (wait,
# run ahead of the clock, or error), a sequence that does not start at 0, and
# the end of the layout's time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use POSIX qw(strftime);
use PostgreSQL::Test::Cluster;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time);

my $node = snowflake_node('main');

# Starts the server anew with these settings, and all counters at 0.  IDs of
# another layout do not belong into one database, so this is as good as new.
sub restart_with
{
	my (%settings) = @_;

	settings($node, node_id => 1, %settings);
	$node->restart;
	$node->safe_psql('postgres', q{
		DROP EXTENSION IF EXISTS snowflake CASCADE;
		DROP TABLE IF EXISTS ids;
		CREATE EXTENSION snowflake});
	collect_ids_into($node, 'postgres', 'ids');
	$node->safe_psql('postgres', 'ALTER TABLE ids ADD after timestamptz');
	return;
}

# An instant that many seconds from now, as an epoch.
sub epoch_at
{
	my ($seconds) = @_;
	my $ms = int((time() + $seconds) * 1000);

	return strftime('%Y-%m-%dT%H:%M:%S', gmtime(int($ms / 1000))) . sprintf('.%03dZ', $ms % 1000);
}

# Draws IDs in one statement, with the clock as it was just after each.
sub draw
{
	my ($count) = @_;

	$node->safe_psql('postgres', qq{
		INSERT INTO ids (session, n, id, after)
			SELECT '', n, snowflake_next(), clock_timestamp() FROM generate_series(1, $count) AS n});
	return;
}

$node->start;

#
# Waiting for the next tick
#

foreach my $case ([ 2, 1, 400 ], [ 3, 10, 80 ], [ 1, 1000, 5 ])
{
	my ($bits, $tick_ms, $count) = @$case;
	my $per_tick = 1 << $bits;
	my $name = "$per_tick IDs in $tick_ms ms";

	restart_with(layout => "time:40 node:10 sequence:$bits tick:${tick_ms}ms");
	draw($count);
	ids_ok($node, 'postgres', 'ids', $count, "$name: $count IDs");
	is( $node->safe_psql('postgres', qq{
			SELECT count(*) FROM (
				SELECT count(*) AS n, min(snowflake_sequence(id)) AS first, max(snowflake_sequence(id)) AS last
				FROM ids GROUP BY snowflake_timestamp(id)) AS ticks
			WHERE first <> 0 OR last <> n - 1 OR n > $per_tick}),
		0, "$name: each tick is used from sequence 0 on, without gaps");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM ids WHERE snowflake_timestamp(id) > after'),
		0, "$name: no ID is ahead of the clock");

	# Each wait is for another tick, and takes no longer than that tick.
	my ($waits, $ms, $ticks) = split /\|/, $node->safe_psql('postgres', q{
		SELECT sequence_waits, sequence_wait_time, (SELECT count(DISTINCT snowflake_timestamp(id)) FROM ids)
		FROM snowflake_status});
	note "$waits waits, $ms ms, $ticks ticks";
	cmp_ok($waits, '>', 0, "$name: waits were counted");
	cmp_ok($waits, '<', $ticks, "$name: at most one for each tick but the first");
	cmp_ok($ms, '>', 0, "$name: so was their time");
	is(status($node, 'ids_issued, clock_waits, clock_wait_time, refusals'),
		"$count|0|0|0", "$name: and nothing else");

	# Ticks so long that no machine misses one.
	is( $node->safe_psql('postgres', q{
			SELECT 1 + extract(epoch FROM max(snowflake_timestamp(id)) - min(snowflake_timestamp(id)))::int FROM ids}),
		$ticks, "$name: no tick is left out") if $tick_ms == 1000;
}

# Many sessions at once wait for the same tick.
restart_with(layout => 'time:45 node:10 sequence:2');
my @sessions = map {
	start_psql($node, 'postgres', qq{
		INSERT INTO ids (session, n, id, after)
			SELECT '$_', n, snowflake_next(), clock_timestamp() FROM generate_series(1, 300) AS n})
} 1 .. 6;
foreach my $session (@sessions)
{
	ok($session->finish, 'a session that competes for the ticks') or diag $session->stderr;
}
ids_ok($node, 'postgres', 'ids', 1800, 'IDs of sessions that compete');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM ids, snowflake_decode(id) AS d
		WHERE d.created_at > after OR d.node_id <> 1}),
	0, 'none ahead of the clock, all with the node ID');
cmp_ok(status($node, 'sequence_waits'), '>', 1, 'the waits of all were counted');

# A batch is split into as many ticks as it needs.
is( $node->safe_psql('postgres', q{
		SELECT count(*), count(DISTINCT id), count(DISTINCT snowflake_timestamp(id)) >= 25, bool_and(id > previous)
		FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous
			  FROM snowflake_next_batch(100) WITH ORDINALITY AS b (id, n)) AS drawn}),
	'100|100|t|t', 'a batch over many ticks');

#
# No wait allowed
#

restart_with(layout => 'time:40 node:10 sequence:2 tick:10s', max_wait => 0);
fails_with(
	$node,
	'SELECT snowflake_next() FROM generate_series(1, 9)',
	'SF002',
	[
		qr/all sequence numbers of this tick are used up/,
		qr/DETAIL:  The layout has 4 IDs per tick of 10000 ms; "snowflake\.max_wait" is 0 ms and "snowflake\.max_lead" is 0 ms\./,
		qr/HINT:  Raise "snowflake\.max_wait" or "snowflake\.max_lead", or use a layout with more sequence bits\./
	],
	'used up without waiting');
fails_with($node, 'SELECT snowflake_next_batch(9)',
	'SF002', [qr/all sequence numbers of this tick are used up/], 'used up by a batch');
is(status($node, 'refusals, sequence_waits, sequence_wait_time'), '2|0|0', 'refusals were counted, and no wait');
is(status($node, 'ids_issued % 4'), 0, 'what there was had been issued');

# Just as when the wait that is allowed is too short, which is known at once.
# The second tick has begun, and ends in 50 minutes.
restart_with(layout => 'time:40 node:10 sequence:2 tick:3600s',
	epoch => epoch_at(-4200), max_wait => 60000);
fails_with($node, 'SELECT snowflake_next_batch(5)',
	'SF002', [qr/"snowflake\.max_wait" is 60000 ms/], 'used up for longer than the wait that is allowed');
is(status($node, 'refusals, sequence_waits, ids_issued'), '1|0|4', 'refused without waiting');

#
# Running ahead of the clock
#

restart_with(layout => 'time:45 node:10 sequence:1', max_lead => '60s',
	max_wait => 0);
draw(20000);
ids_ok($node, 'postgres', 'ids', 20000, 'IDs of a burst');
is(status($node, q{sequence_waits, clock_waits, refusals}), '0|0|0', 'a burst goes on without waiting');
is( status($node, q{clock_ahead < '0', clock_ahead >= '-60s'}),
	't|t', 'it runs ahead of the clock, within the bound');
is( $node->safe_psql('postgres', q{SELECT max(snowflake_timestamp(id) - after) > '1s' FROM ids}),
	't', 'as the IDs do');

restart_with(layout => 'time:45 node:10 sequence:2', max_lead => '200ms',
	max_wait => 0);
fails_with($node, 'SELECT snowflake_next() FROM generate_series(1, 100000)',
	'SF002', [qr/"snowflake\.max_lead" is 200 ms/], 'the lead used up');
cmp_ok(status($node, 'ids_issued'), '>=', 4 * 200, 'after all that the lead allows');

restart_with(layout => 'time:45 node:10 sequence:2', max_lead => '200ms');
draw(2000);
ids_ok($node, 'postgres', 'ids', 2000, 'IDs of a burst that has to wait');
cmp_ok(status($node, 'sequence_waits'), '>', 0, 'it did wait');
is( $node->safe_psql('postgres', q{
		SELECT max(snowflake_timestamp(id) - after) > '0', max(snowflake_timestamp(id) - after) <= '200ms' FROM ids}),
	't|t', 'no ID is further ahead than the lead');

# A lead that is shorter than a tick is none.
restart_with(layout => 'time:40 node:10 sequence:3 tick:10ms', max_lead => '9ms');
draw(40);
ids_ok($node, 'postgres', 'ids', 40, 'IDs with a lead that is shorter than a tick');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ids WHERE snowflake_timestamp(id) > after'),
	0, 'none is ahead of the clock');

#
# Where the sequence of a fresh tick starts
#

my $starts = q{
	SELECT count(*), count(DISTINCT first), min(first) >= 0, max(first), count(DISTINCT id % 8)
	FROM (SELECT min(snowflake_sequence(id)) AS first, min(id) AS id FROM ids
		  GROUP BY snowflake_timestamp(id)) AS ticks};
my ($ticks, $different, $positive, $largest, $remainders);

restart_with(layout => 'time:42 node:10 sequence:7');
draw(10000);
($ticks, $different, $positive, $largest) = split /\|/, $node->safe_psql('postgres', $starts);
cmp_ok($ticks, '>=', 10000 / 128, 'ticks that start at 0');
is($largest, 0, 'all of them');

restart_with(layout => 'time:42 node:10 sequence:7', sequence_start => 99);
draw(10000);
ids_ok($node, 'postgres', 'ids', 10000, 'IDs with a random start');
($ticks, $different, $positive, $largest, $remainders) = split /\|/, $node->safe_psql('postgres', $starts);
note "$ticks ticks, $different starts, largest $largest";
cmp_ok($ticks, '>=', 10000 / 128, 'ticks that start anywhere');
is($positive, 't', 'at 0 or above');
cmp_ok($largest, '<=', 99, 'and not above the setting');
cmp_ok($different, '>=', 25, 'the starts differ');
is($remainders, 8, 'so first IDs of a tick fall into all shards');

#
# The end of the layout's time
#

# 30 bits of milliseconds, of which a minute is left: half a million IDs, which
# the lead lets out at once.
restart_with(layout => 'time:30 node:10 sequence:3', epoch => epoch_at(60 - 2**30 / 1000), max_lead => '1h');
draw(1000);
ids_ok($node, 'postgres', 'ids', 1000, 'IDs of the last minute of a layout');
my $end = [
	qr/the time of the layout is over/,
	qr/DETAIL:  The field "time" has 30 bits, and no tick is left\./,
	qr/HINT:  Check the server's clock\. If it is right, a layout with more time bits or a later epoch is needed\./
];
fails_with($node, 'SELECT count(snowflake_next()) FROM generate_series(1, 600000)',
	'2200H', $end, 'the end of the layout by its lead');
is(status($node, 'last_id_time = snowflake_timestamp((1::bigint << 43) - 1)'), 't', 'up to the last tick');
fails_with($node, 'SELECT snowflake_next()', '2200H', $end, 'from then on');
fails_with($node, 'SELECT snowflake_next_batch(10)', '2200H', $end, 'for batches, too');
is(status($node, 'ids_issued > 100000, refusals'), 't|3', 'counted as refusals');
is($node->safe_psql('postgres', 'SELECT count(snowflake_timestamp(id)) FROM ids'), 1000,
	'the IDs can still be decoded');

restart_with(layout => 'time:30 node:10 sequence:3',
	epoch => epoch_at(-60 - 2**30 / 1000));
fails_with($node, 'SELECT snowflake_next()', '2200H', $end, 'the end of the layout by the clock');
is(status($node, 'last_id_time IS NULL, ids_issued'), 't|0', 'nothing was issued');

$node->stop;
done_testing();
