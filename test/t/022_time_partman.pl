# What doc/time.md tells to do with pg_partman is done here, statement by
# statement: partitions are made ahead, old ones dropped, and rows that came
# into the default partition moved.

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
my $version = $node->safe_psql('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'pg_partman'});
if ($version eq '')
{
	$node->stop;
	plan skip_all => 'this PostgreSQL has no pg_partman (Debian: postgresql-NN-partman)';
}
note "pg_partman $version";
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');

my $statements = statements_of('time.md', qr/pg_partman/);
$statements =~ s/'native'/'range'/g if $version =~ /^[5-9]\./;
$node->safe_psql('postgres', $statements);

my $day = 86400000 << 22;

# The partitions but the default one, as [name, first ID].
sub partitions
{
	return map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', q{
		SELECT partition_tablename, child_start_id
		FROM partman.show_partitions('public.visits'),
			partman.show_partition_info(partition_schemaname || '.' || partition_tablename, p_parent_table := 'public.visits')
		ORDER BY child_start_id});
}

sub has_partition_of
{
	my ($id) = @_;

	return scalar grep { $_->[1] <= $id && $id < $_->[1] + $day } partitions();
}

sub insert_at
{
	my ($time, $page) = @_;

	return $node->safe_psql('postgres', qq{INSERT INTO visits VALUES (snowflake_encode($time, 37, 0), '$page') RETURNING id});
}

my $maintain = 'CALL partman.run_maintenance_proc()';

my @partitions = partitions();
is($partitions[0][1] % $day, 0, 'partitions begin at multiples of a day since the epoch');
is($partitions[-1][1] - $partitions[0][1], (@partitions - 1) * $day, 'and are a day long');
is($node->safe_psql('postgres', q{SELECT string_agg(page, ' ' ORDER BY id) FROM visits}), '/ /about', 'the visits');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT tableoid) FROM visits WHERE tableoid <> 'visits_default'::regclass}), 1,
	'in one partition, which is not the default one');
is($node->safe_psql('postgres', 'SELECT min(snowflake_timestamp(id)) > now() - interval \'1 hour\' FROM visits'), 't',
	'with IDs of snowflake');

# Partitions are made ahead of the greatest ID.
my $ahead = insert_at(q{now() + interval '5 days'}, 'in 5 days');
ok(!has_partition_of($ahead + 10 * $day), 'no partition for the 10th day after that');
$node->safe_psql('postgres', $maintain);
ok(has_partition_of($ahead + 10 * $day), 'after the maintenance there is one');
ok(!has_partition_of($ahead + 11 * $day), 'but not for the 11th');

# A table that rested for longer: its row goes to the default partition, and
# is in the way until it is moved.
my $late = insert_at(q{now() + interval '18 days'}, 'in 18 days');
is($node->safe_psql('postgres', q{SELECT tableoid::regclass FROM visits WHERE page = 'in 18 days'}), 'visits_default',
	'a row that has no partition');
my ($result, $stdout, $stderr) = $node->psql('postgres', $maintain);
ok(!has_partition_of($late), 'the maintenance does not make it one');
note $stderr;
$node->safe_psql('postgres', q{CALL partman.partition_data_proc('public.visits')});
ok(has_partition_of($late), 'moving the row does');
is($node->safe_psql('postgres', 'SELECT count(*) FROM visits_default'), 0, 'nothing is left in the default partition');
$node->safe_psql('postgres', $maintain);
ok(has_partition_of($late + 10 * $day), 'and the maintenance works again');

# What is older than the retention is dropped.
my $first = $partitions[0][0];
insert_at(q{now() + interval '28 days'}, 'in 28 days');
$node->safe_psql('postgres', "UPDATE partman.part_config SET retention = 20 * $day WHERE parent_table = 'public.visits'; $maintain");
ok(!grep({ $_->[0] eq $first } partitions()), 'the partition of the first day is gone');
is($node->safe_psql('postgres', "SELECT to_regclass('$first') IS NULL"), 't', 'and its table');
is($node->safe_psql('postgres', q{SELECT string_agg(page, ', ' ORDER BY id) FROM visits}), 'in 18 days, in 28 days',
	'with the rows that were too old');

# Questions by time are asked of the partitions they concern.
my $plan = $node->safe_psql('postgres', qq{EXPLAIN (COSTS OFF) SELECT * FROM visits WHERE id = $late});
my ($partition) = $plan =~ /on (visits_p\d+)/;
$plan = $node->safe_psql('postgres', sprintf('EXPLAIN (COSTS OFF) SELECT * FROM visits WHERE id <@@ %s',
		$node->safe_psql('postgres', "SELECT quote_literal(tstzrange(snowflake_timestamp($late), snowflake_timestamp($late), '[]'))")));
is(join(' ', $plan =~ /on (visits_p\d+)(?![\d_])/g), $partition, 'a question by time looks into one partition');

# A domain it does not accept, as the page says.
fails_with($node, q{CREATE TABLE public.others (id snowflake PRIMARY KEY) PARTITION BY RANGE (id);
	SELECT partman.create_parent(p_parent_table := 'public.others', p_control := 'id', p_type := '} .
	($version =~ /^[5-9]\./ ? 'range' : 'native') . q{', p_interval := '1000')},
	'P0001', [qr/only supports partitioning of/], 'a column of the domain');
$node->stop;

done_testing();
