# What doc/time.md tells to do about questions and partitions by time is done
# here, statement by statement, and has the effect that it promises.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeDoc;
use SnowflakeTest;
use Test::More;

my $node = snowflake_node('main', 'snowflake.node_id = 37', q{timezone = 'UTC'});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');

my $statements = statements_of('time.md', qr/pg_partman/, 'not');
cmp_ok(scalar(() = $statements =~ /;$/mg), '>', 30, 'there are statements to run');
my $stderr = '';
{
	local $ENV{PGOPTIONS} = '-c client_min_messages=debug1';
	$node->psql('postgres', $statements, stderr => \$stderr, on_error_die => 1);
}
like($stderr, qr/partition constraint for table "orders_first" is implied by existing constraints/,
	'the constraint spares the look at each row');

sub answers
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($sql, $expected, $name) = @_;

	return is($node->safe_psql('postgres', $sql), $expected, $name);
}

sub partitions
{
	my ($table) = @_;

	return split /\n/, $node->safe_psql('postgres',
		"SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = '$table'::regclass ORDER BY 1::text COLLATE \"C\"");
}

#
# Questions, and IDs of others
#

answers(q{SELECT count(*), min(created_at) FROM messages WHERE snowflake_within(id, '[2016-04-30, 2016-05-01)', 'discord')},
	'1|2016-04-30 11:18:25.796+00', 'the ID of Discord');
answers(q{SELECT count(*) FROM orders o JOIN periods p ON o.id <@@ p.period}, 59 + 3, 'orders of a period')
  or note $node->safe_psql('postgres', 'TABLE periods');

#
# Partitions, and their maintenance
#

is(scalar(partitions('events')), 6, 'events: partitions for this month and five more');
answers('SELECT count(*) FROM events', 2, 'the events that were inserted');

$node->safe_psql('postgres', q{
	CREATE TABLE events_2020_01 PARTITION OF events FOR VALUES FROM (0) TO (1000);
	INSERT INTO events VALUES (1, 'long ago');
	SELECT format('CREATE TABLE events_%s PARTITION OF events %s', to_char(lower_time, 'YYYY_MM'), bounds)
		FROM snowflake_partition_bounds(date_trunc('month', now()) - interval '12 months', date_trunc('month', now()), '12 months')
	\gexec
	DROP TABLE events_} . $node->safe_psql('postgres', q{SELECT to_char(date_trunc('month', now()) + interval '5 months', 'YYYY_MM')}));
my @before = partitions('events');
$node->safe_psql('postgres', 'CALL maintain_events()');
my @after = partitions('events');
is(scalar(@before), 5 + 2, 'one partition is missing and two are old');
is(scalar(@after), 6 + 1, 'after the maintenance the one is there again, and one of the two is gone');
ok(!grep({ $_ eq 'events_2020_01' } @after), 'the one that is older than a year');
$node->safe_psql('postgres', 'CALL maintain_events()');
is_deeply([ partitions('events') ], \@after, 'a second time nothing is left to do');
answers('SELECT count(*) FROM events', 2, 'the other events are still there');

#
# The table that was there
#

is_deeply([ scalar(partitions('orders')), grep { $_ eq 'orders_first' } partitions('orders') ],
	[ 4, 'orders_first' ], 'orders: the old table is one of four partitions');
answers('SELECT count(*) FROM orders', 100003, 'with all its rows');
$node->safe_psql('postgres', q{INSERT INTO orders (item) VALUES ('table');
	INSERT INTO orders VALUES (snowflake_encode(date_trunc('month', now()) + interval '2 months', 0, 0), 'in two months')});
answers(q{SELECT count(DISTINCT tableoid) FROM orders WHERE item IN ('table', 'in two months')}, 2,
	'new rows find their partitions');
answers(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 'orders_first'::regclass AND contype = 'c'}, 0,
	'the constraint is gone');

my $plan = $node->safe_psql('postgres',
	q{EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id <@@ tstzrange(now() - interval '10 minutes', now())});
like($plan, qr/Subplans Removed: 3/, 'and only the partition of the question is looked into');
$node->stop;

done_testing();
