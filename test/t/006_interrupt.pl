# A call that waits for the clock can be ended in every way that ends a
# statement, holds nothing that others need while it waits, and loses nothing:
# the next ID is the one that it would have been.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use POSIX qw(strftime);
use PostgreSQL::Test::Cluster;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time);

# Two IDs per hour, the second hour having just begun: whoever wants a third
# one waits for most of an hour, with no clock that is set.
my $node = snowflake_node('main', 'snowflake.node_id = 1',
	q{snowflake.layout = 'time:20 node:10 sequence:1 tick:3600s'}, q{snowflake.max_wait = '2h'});
settings($node, epoch => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() - 3660)));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE TABLE t (id snowflake, item int)');

my $event = $node->pg_version < 17 ? 'Extension' : 'SnowflakeClock';
my $call = 'SELECT snowflake_next()';

# Starts a session that waits, and returns it with its process ID.
sub start_waiting
{
	my ($sql) = @_;
	my $others = $node->safe_psql('postgres', 'SELECT coalesce(array_agg(pid), array[]::int[]) FROM pg_stat_activity');
	my $waits = "wait_event_type = 'Extension' AND wait_event = '$event' AND pid <> ALL ('$others')";
	my $session = start_psql($node, 'postgres', $sql);

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $waits")
	  or die 'the session does not wait';
	return ($session, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $waits"));
}

# The session must fail with this error.
sub ends_with
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($session, $pattern, $name) = @_;

	return subtest $name => sub {
		ok(!$session->finish, 'the statement fails');
		like($session->stderr, $pattern, 'with the error of that');
		is($session->stdout, '', 'and without an ID');
	};
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM snowflake_next_batch(2)'), 2, 'the IDs of this hour');
my $last = status($node, 'last_id_time');
my ($session, $pid);

#
# Ways to end it
#

my %statements = (
	'snowflake_next' => $call,
	'snowflake_next_batch' => 'SELECT snowflake_next_batch(10)',
	'INSERT' => 'INSERT INTO t DEFAULT VALUES',
	'COPY' => "COPY t (item) FROM stdin;\n1\n\\.\n",
	'PL/pgSQL' => 'DO $$ BEGIN PERFORM snowflake_next(); END $$',
	'a subtransaction' => 'BEGIN; SAVEPOINT a; SELECT snowflake_next()');
foreach my $name (sort keys %statements)
{
	($session, $pid) = start_waiting($statements{$name});
	is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', "cancel: $name waits");
	ends_with($session, qr/ERROR:  57014: canceling statement due to user request/, "cancel: $name");
}

foreach my $timeout (0, 1)
{
	my $session = start_psql($node, 'postgres', $timeout
		? "SET statement_timeout = '300ms'; $call;"
		: "BEGIN; SET LOCAL statement_timeout = '1s'; INSERT INTO t DEFAULT VALUES;");

	ends_with($session, qr/ERROR:  57014: canceling statement due to statement timeout/, 'statement_timeout');
}

($session, $pid) = start_waiting($call);
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"), 't', 'terminate');
ends_with($session, qr/FATAL:  57P01: terminating connection due to administrator command/, 'terminate');

is(status($node, 'last_id_time, ids_issued, refusals'), "$last|2|0", 'nothing was issued or refused meanwhile');
cmp_ok(status($node, 'sequence_waits'), '==', 9, 'every wait was counted');
cmp_ok(status($node, 'sequence_wait_time'), '>=', 1000, 'with its time, although it was cut short');

#
# What others can do meanwhile
#

my ($second, $second_pid);
($session, $pid) = start_waiting("BEGIN; INSERT INTO t VALUES (0, 0); $call;");
($second, $second_pid) = start_waiting($call);
isnt($pid, $second_pid, 'two sessions wait');
is( $node->safe_psql('postgres', qq{
		SELECT count(*) FROM pg_locks
		WHERE pid IN ($pid, $second_pid)
			AND locktype <> 'virtualxid' AND locktype <> 'transactionid'
			AND NOT coalesce(relation = 't'::regclass, false)}),
	0, 'they hold no lock but those of the transaction');
is( $node->safe_psql('postgres', qq{SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pid, $second_pid)
		AND backend_xmin IS NOT NULL AND state = 'active'}),
	2, 'they are just active');
ok($node->safe_psql('postgres', 'SELECT snowflake_decode(4711), snowflake_lower(now())'), 'others decode');
is(status($node, 'node_id'), 1, 'others see the status');
$node->safe_psql('postgres', 'CHECKPOINT; VACUUM t; CREATE TABLE other (id snowflake)');
pass('others do what a lock would forbid');

# Sessions that may run ahead of the clock go on, and so do those that wait
# when they call again.
$node->safe_psql('postgres', q{ALTER SYSTEM SET snowflake.max_lead = '3h'});
reload_until($node, q{current_setting('snowflake.max_lead') = '3h'});
my $next = $node->safe_psql('postgres', $call);
is($node->safe_psql('postgres', "SELECT created_at - '$last', sequence FROM snowflake_decode($next)"),
	'01:00:00|0', 'the next ID is the one that was waited for: none was lost');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pid, $second_pid) AND state = 'active'"),
	2, 'the others still wait');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM (VALUES ($pid), ($second_pid)) AS w (pid)");
ends_with($session, qr/ERROR:  57014:/, 'a transaction that waits');
ends_with($second, qr/ERROR:  57014:/, 'a statement that waits');
is($node->safe_psql('postgres', "SELECT snowflake_next() - $next"), 1, 'and one ID after the other');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET snowflake.max_lead');
reload_until($node, q{current_setting('snowflake.max_lead') = '0'});

#
# The end of the server
#

($session, $pid) = start_waiting($call);
$node->stop('fast');
ends_with($session, qr/FATAL:  57P01: terminating connection due to administrator command/, 'fast shutdown');

# This hour was reserved before the restart, so a call waits then as well.
$node->start;
($session, $pid) = start_waiting($call);
$node->kill9;
ok(!$session->finish, 'a session ends with its postmaster');
like($session->stderr, qr/server closed the connection unexpectedly/, 'it is told so by the end of the connection');
$node->start;
($session, $pid) = start_waiting($call);
is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'a call waits after a crash');
ends_with($session, qr/ERROR:  57014: canceling statement due to user request/, 'and can be cancelled');

$node->stop;
done_testing();
