# Without shared_preload_libraries.  Up to PostgreSQL 16 all that needs the
# server's layout or state must say what to do, and the rest must work.  From
# 17 on everything works, as a session loads the library at its first call.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use SnowflakeTest;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');
pass('CREATE EXTENSION');

# What depends on nothing but its arguments.
my $id = '1541815603606036480';
is($node->safe_psql('postgres', qq{SET timezone = 'UTC'; SELECT * FROM snowflake_decode($id, 'twitter')}),
	'2022-06-28 16:07:40.105+00|11|26|378|0', 'snowflake_decode with a layout');
is( $node->safe_psql('postgres', qq{
		SELECT snowflake_timestamp($id, 'twitter') = '2022-06-28 16:07:40.105+00',
			   snowflake_node($id, 'twitter'), snowflake_datacenter($id, 'twitter'),
			   snowflake_worker($id, 'twitter'), snowflake_sequence($id, 'twitter')}),
	't|378|11|26|0', 'the functions for one field with a layout');
is($node->safe_psql('postgres', q{SELECT snowflake_encode('2022-06-28 16:07:40.105+00', 378, 0, 'twitter')}),
	$id, 'snowflake_encode with a layout');
is( $node->safe_psql('postgres', q{SELECT snowflake_lower('2022-06-28 16:07:40.105+00', 'twitter')}),
	$id & ~((1 << 22) - 1), 'snowflake_lower with a layout');
is($node->safe_psql('postgres', q{SELECT count(*) > 0, bool_or(can_generate) FROM snowflake_layouts}),
	't|t', 'snowflake_layouts');

$node->safe_psql('postgres', 'CREATE TABLE t (id snowflake PRIMARY KEY, item text)');
is($node->safe_psql('postgres', qq{INSERT INTO t VALUES ($id, 'made elsewhere') RETURNING id}),
	$id, 'a column of the domain takes IDs made elsewhere');
is($node->safe_psql('postgres', q{SELECT item FROM t WHERE snowflake_within(id, '[2022-06-28,2022-06-29)', 'twitter')}),
	'made elsewhere', 'and is asked by time with a layout');
like($node->safe_psql('postgres', q{EXPLAIN (COSTS OFF) SELECT item FROM t WHERE snowflake_within(id, '[2022-06-28,2022-06-29)', 'twitter')}),
	qr/Index Cond: .*>= '1541572081873846272'/, 'by its primary key');
is( $node->safe_psql('postgres', q{
		SELECT snowflake_first(r, 'twitter') <= snowflake_last(r, 'twitter'), count(b)
		FROM CAST('[2022-06-28,2022-06-29)' AS tstzrange) r, snowflake_partition_bounds(lower(r), upper(r), '12 hours', 'twitter') b
		GROUP BY r}),
	't|2', 'snowflake_first, snowflake_last and snowflake_partition_bounds with a layout');

my %uses_server = (
	'snowflake_next' => 'SELECT snowflake_next()',
	'snowflake_next_batch' => 'SELECT snowflake_next_batch(1)',
	'default of the domain' => q{INSERT INTO t (item) VALUES ('made here')},
	'COPY' => "COPY t (item) FROM stdin;\nmade here\n\\.\n",
	'snowflake_decode' => "SELECT snowflake_decode($id)",
	'snowflake_timestamp' => "SELECT snowflake_timestamp($id)",
	'snowflake_node' => "SELECT snowflake_node($id)",
	'snowflake_datacenter' => "SELECT snowflake_datacenter($id)",
	'snowflake_worker' => "SELECT snowflake_worker($id)",
	'snowflake_sequence' => "SELECT snowflake_sequence($id)",
	'snowflake_encode' => 'SELECT snowflake_encode(now(), 1, 1)',
	'snowflake_lower' => 'SELECT snowflake_lower(now())',
	'snowflake_within' => "SELECT snowflake_within($id, '(,)')",
	'operator in a plan' => q{SELECT * FROM t WHERE id <@@ '[2022-01-01,)'},
	'operator in no plan' => q{SELECT * FROM t WHERE id + (random() * 0)::bigint <@@ '[2022-01-01,)'},
	'snowflake_first' => q{SELECT snowflake_first('(,)')},
	'snowflake_last' => q{SELECT snowflake_last('(,)')},
	'snowflake_partition_bounds' => q{SELECT * FROM snowflake_partition_bounds(now(), now() + interval '1 day', '1 hour')},
	'snowflake_accept_clock' => 'SELECT snowflake_accept_clock()',
	'snowflake_status' => 'SELECT * FROM snowflake_status');

if ($node->pg_version < 17)
{
	foreach my $function (sort keys %uses_server)
	{
		fails_with(
			$node,
			$uses_server{$function},
			'55000',
			[
				qr/snowflake must be loaded via "shared_preload_libraries"/,
				qr/HINT:  Add "snowflake" to "shared_preload_libraries" and restart the server\./
			],
			"$function without the library preloaded");
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 1, 'no row came of that');
}
else
{
	fails_with(
		$node,
		'SELECT snowflake_next()',
		'55000',
		[ qr/the node ID of this server is not set/, qr/HINT:  Set "snowflake\.node_id"/ ],
		'no node ID yet');

	# Not a parameter that this session knows, yet it must reach all.
	$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 5');
	reload_until($node, q{current_setting('snowflake.node_id', true) = '5'});

	foreach my $function (sort keys %uses_server)
	{
		is($node->psql('postgres', $uses_server{$function}), 0, "$function");
	}

	# Nothing but the segment joins sessions that loaded the library on their own.
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other', 'CREATE EXTENSION snowflake');
	my @ids = map { $node->safe_psql($_, 'SELECT snowflake_next()') } qw(postgres other postgres other);
	is_deeply(\@ids, [ sort { $a <=> $b } @ids ], 'IDs rise over sessions and databases');
	is(scalar(grep { ($_ >> 12 & 1023) == 5 } @ids), 4, 'all have the node ID');
	my @sequences = split /\n/, $node->safe_psql('postgres',
		'SELECT snowflake_next() FROM generate_series(1, 20000)');
	is(scalar(@sequences), 20000, 'many IDs');
	cmp_ok(status($node, 'ids_issued'), '>=', 20000 + 4, 'counted in memory that all sessions share');

	# A parallel worker loads the library, too.
	$node->safe_psql('postgres', 'CREATE TABLE many AS SELECT g FROM generate_series(1, 20000) AS g');
	my $out = $node->safe_psql('postgres', q{
		SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
		SET min_parallel_table_scan_size = 0;
		SET parallel_leader_participation = off;
		EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT snowflake_next() FROM many});
	like($out, qr/Workers Launched: [1-9]/, 'parallel workers were started');
	like($out, qr/Parallel Seq Scan on public\.many [^\n]*\n +Output: snowflake_next\(\)/, 'and made the IDs');

	# What cannot work is an error before it is used, and the server lives.
	$node->safe_psql('postgres', q{ALTER SYSTEM SET snowflake.layout = 'nosuch'});
	reload_until($node, q{current_setting('snowflake.layout', true) = 'nosuch'});
	fails_with($node, 'SELECT snowflake_next()',
		'22023', [qr/invalid value for parameter "snowflake\.layout": "nosuch"/], 'an impossible layout');
	my ($result, $stdout, $stderr) =
	  $node->psql('postgres', "SELECT snowflake_next();\nSELECT snowflake_next();", on_error_stop => 0);
	is($stdout, '', 'no ID, however often one asks');
	like($stderr, qr/the settings of snowflake were refused in this session/, 'said again');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET snowflake.layout');
	reload_until($node, q{coalesce(current_setting('snowflake.layout', true), '') = ''});
	is($node->psql('postgres', 'SELECT snowflake_next()'), 0, 'IDs again after that');
}

$node->stop;

# The order of who has no server to restart: the setting, a reload, the
# extension; also for a session that was there before all of it.
SKIP:
{
	skip 'the library must be preloaded before PostgreSQL 17', 1 if $node->pg_version < 17;

	my $first = PostgreSQL::Test::Cluster->new('first');
	$first->init;
	$first->start;
	my $session = $first->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$first->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 6');
	reload_until($first, q{current_setting('snowflake.node_id', true) = '6'});
	$first->safe_psql('postgres', 'CREATE EXTENSION snowflake');
	is($first->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 6, 'set, reloaded and created');
	is($session->query_safe('SELECT snowflake_node(snowflake_next()), pg_backend_pid()'),
		"6|$pid", 'in a session from before');
	is(status($first, 'node_id, node_source, pending IS NULL'), '6|snowflake.node_id|t', 'in force');

	# Once a session has loaded the library the setting is a known one.
	$session->query_safe('ALTER SYSTEM SET snowflake.node_id = 7');
	reload_until($first, q{current_setting('snowflake.node_id', true) = '7'});
	is($session->query_safe('SELECT snowflake_node(snowflake_next())'), 6, 'a later one is not obeyed');
	is($first->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 6, 'by a new session either');
	is(status($first, 'node_id, pending'), '6|node ID 7', 'but shown as pending');
	$session->quit;
	$first->restart;
	is($first->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 7, 'obeyed after a restart');
	$first->stop;
}

done_testing();
