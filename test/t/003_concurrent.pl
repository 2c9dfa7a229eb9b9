# The promise: no ID twice in a running server, over all sessions, databases
# and parallel workers.  Many clients draw IDs in every way there is, and each
# ID is looked at: distinct, rising within its session, later than every ID
# whose statement had ended before, and of the moment at which it was drawn.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Spec::Functions qw(rel2abs);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $clients = 16;
my $transactions = 12;

my $node = snowflake_node('main', 'snowflake.node_id = 613', 'max_connections = 50',
	'max_worker_processes = 8', 'max_parallel_workers = 8', 'synchronous_commit = off');
$node->start;

#
# Two databases, 16 clients each
#

# n is the order in which a client drew; before and after are the clock around
# a single call, or around the whole statement for a batch.
my @databases = qw(east west);
foreach my $database (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, q{
		CREATE EXTENSION snowflake;
		CREATE TABLE ids (session int, n bigint, id snowflake,
			before timestamptz NOT NULL, after timestamptz NOT NULL, statement text NOT NULL)});
}

my %scripts = (
	'rows' => q{
\set tx :tx + 1
\set session :first_session + :client_id
INSERT INTO ids (session, n, before, id, after, statement)
	SELECT :session, :tx * 1000 + g, clock_timestamp(), snowflake_next(), clock_timestamp(), :tx
	FROM generate_series(1, 200) AS g;
},
	'batch' => q{
\set tx :tx + 1
\set session :first_session + :client_id
WITH batch AS MATERIALIZED (
	SELECT clock_timestamp() AS before, array(SELECT snowflake_next_batch(200)) AS ids, clock_timestamp() AS after)
INSERT INTO ids (session, n, before, id, after, statement)
	SELECT :session, :tx * 1000 + n, before, id, after, :tx
	FROM batch, unnest(ids) WITH ORDINALITY AS drawn (id, n);
},
	'single' => q{
\set tx :tx + 1
\set session :first_session + :client_id
INSERT INTO ids (session, n, before, after, statement)
	VALUES (:session, :tx * 1000, statement_timestamp(), 'infinity', :tx);
});

my @options;
foreach my $name (sort keys %scripts)
{
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, $scripts{$name});
	push @options, '-f', $file;
}

my @runs;
foreach my $i (0 .. $#databases)
{
	my $database = $databases[$i];
	my $run = { output => '' };

	$run->{handle} = IPC::Run::start(
		[
			'pgbench', '-n', '-c', $clients, '-j', 1, '-t', $transactions * keys %scripts,
			'-M', $i == 0 ? 'prepared' : 'simple', '-D', 'tx=0', '-D', 'first_session=' . $i * $clients,
			@options, $node->connstr($database)
		],
		'<', \undef, '>', \$run->{output}, '2>&1',
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	push @runs, $run;
}
foreach my $i (0 .. $#runs)
{
	ok($runs[$i]{handle}->finish, "pgbench over database $databases[$i]") or diag $runs[$i]{output};
}

# All in one place, so that IDs of the two databases can be compared.
my $dump = rel2abs($node->basedir) . '/west.copy';
$node->safe_psql('west', "COPY ids TO '$dump'");
my $issued = $node->safe_psql('east', 'SELECT ids_issued FROM snowflake_status');
$node->safe_psql('east', qq{
	COPY ids FROM '$dump';
	ANALYZE ids});
is($node->safe_psql('east', 'SELECT count(DISTINCT session) FROM ids'), 2 * $clients, 'all clients drew IDs');
ids_ok($node, 'east', 'ids', 100_000, 'IDs of 32 clients over two databases');

is( $node->safe_psql('east', q{
		SELECT count(*) FROM ids, snowflake_decode(id) AS d
		WHERE d.node_id IS DISTINCT FROM 613}),
	0, 'all have the node ID');
is( $node->safe_psql('east', q{
		SELECT count(*) FROM ids
		WHERE NOT snowflake_timestamp(id) BETWEEN date_trunc('milliseconds', before) AND after}),
	0, 'all have the time at which they were drawn');

# A statement that began after another one had ended has only later IDs.
is( $node->safe_psql('east', q{
		WITH statements AS (
			SELECT min(before) AS began, max(after) AS ended, min(id) AS first, max(id) AS last
			FROM ids GROUP BY session, statement HAVING max(after) < 'infinity'),
		events AS (
			SELECT ended AS at, last AS ended_with, NULL::bigint AS began_with FROM statements
			UNION ALL
			SELECT began, NULL, first FROM statements)
		SELECT count(*) > 0, count(*) FILTER (WHERE began_with <= highest)
		FROM (SELECT began_with, max(ended_with) OVER (ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING
				AND '1 microsecond' PRECEDING) AS highest
			  FROM events) AS ordered
		WHERE began_with IS NOT NULL AND highest IS NOT NULL}),
	't|0', 'IDs rise from statement to statement, over all sessions');

is($issued, $node->safe_psql('east', 'SELECT count(*) FROM ids'),
	'as many were counted as were drawn, in both databases together');

#
# Parallel query
#

# Says which process draws an ID; the function of that name is not allowed in
# parallel workers.
$node->safe_psql('east', q{
	CREATE FUNCTION my_pid() RETURNS integer LANGUAGE internal VOLATILE PARALLEL SAFE AS 'pg_backend_pid';
	CREATE TABLE many AS SELECT g FROM generate_series(1, 50000) AS g;
	ANALYZE many});
my $parallel = q{
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	SET max_parallel_workers_per_gather = 4;
};
my $plan = $node->safe_psql('east', qq{
	$parallel
	EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF)
	CREATE TABLE drawn_parallel AS
		SELECT 'worker ' || my_pid() AS session, snowflake_next() AS id, clock_timestamp() AS after FROM many});
like($plan, qr/Workers Launched: [1-9]/, 'parallel workers were started');
like($plan, qr/Parallel Seq Scan on public\.many .*\n +Output: .*snowflake_next\(\)/, 'and drew the IDs');

# Gather keeps the order of each worker's rows.
$node->safe_psql('east', q{
	ALTER TABLE drawn_parallel ADD n bigint;
	CREATE TABLE workers AS
		SELECT session, row_number() OVER (ORDER BY ctid) AS n, id, after FROM drawn_parallel});
cmp_ok($node->safe_psql('east', 'SELECT count(DISTINCT session) FROM workers'), '>', 1, 'several processes drew');
ids_ok($node, 'east', 'workers', 50_000, 'IDs of parallel workers');
is( $node->safe_psql('east', q{
		SELECT count(*) FROM workers, snowflake_decode(id) AS d
		WHERE d.node_id <> 613 OR d.created_at > after
			OR id <= (SELECT max(id) FROM ids)}),
	0, 'they follow those of the clients');

#
# Rows
#

# IDs in each of the ways a row comes to its default, one after the other in
# one session.
$node->safe_psql('west', 'CREATE TABLE kinds (id snowflake PRIMARY KEY, n serial, kind int)');
$node->safe_psql('west', q{
	INSERT INTO kinds DEFAULT VALUES;
	INSERT INTO kinds (kind) SELECT kind FROM generate_series(1, 100) AS kind;
	PREPARE p AS INSERT INTO kinds DEFAULT VALUES;
	EXECUTE p;
	EXECUTE p;
	DISCARD ALL;
	INSERT INTO kinds DEFAULT VALUES;
	INSERT INTO kinds (id) VALUES (DEFAULT) ON CONFLICT DO NOTHING;
	BEGIN;
	SAVEPOINT a;
	INSERT INTO kinds DEFAULT VALUES;
	ROLLBACK TO a;
	INSERT INTO kinds DEFAULT VALUES;
	COMMIT;
	BEGIN;
	CREATE TEMP TABLE t (id snowflake) ON COMMIT DROP;
	INSERT INTO t DEFAULT VALUES;
	COMMIT;
	COPY kinds (kind) FROM stdin;
1
2
3
\.
	INSERT INTO kinds DEFAULT VALUES;
});
is($node->safe_psql('west', 'SELECT count(*) FROM kinds'), 110, 'rows that came to their ID in many ways');
is( $node->safe_psql('west', q{
		SELECT bool_and(id > previous) FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous FROM kinds) AS k}),
	't', 'IDs rise over all of them');

$node->stop;

#
# The first sessions of a server whose library is not preloaded
#

SKIP:
{
	skip 'the library must be preloaded before PostgreSQL 17', 1 if $node->pg_version < 17;

	my ($clients, $calls) = (32, 10);
	my $script = $node->basedir . '/first.sql';

	# With a horizon that is over when the server is up again, or the first
	# sessions would all wait before they make an ID, for longer than they are
	# apart.
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nsnowflake.horizon = '10ms'");
	append_to_file($script, 'INSERT INTO firsts VALUES (snowflake_next());');
	$node->start;
	$node->safe_psql('west', 'CREATE TABLE firsts (id bigint)');
	foreach my $round (1 .. 5)
	{
		$node->restart;
		$node->command_ok(
			[ 'pgbench', '-n', '-c', $clients, '-j', 8, '-t', $calls, '-f', $script, 'west' ],
			"round $round: many sessions begin at once");
		is($node->safe_psql('west', 'SELECT ids_issued FROM snowflake_status'), $clients * $calls,
			'and all work with the same memory');
	}
	is($node->safe_psql('west', 'SELECT count(DISTINCT id) FROM firsts'), 5 * $clients * $calls, 'no ID twice');
	$node->stop;
}

done_testing();
