# snowflake_adopt() and snowflake_release() where a server or a database is not
# as they want it, and what becomes of a column that was adopted in a dump.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $origin = q{SELECT string_agg(origin, ',') FROM snowflake_origin('orders', 'id')};
my $adopt = q{SELECT snowflake_adopt('orders', 'id')};
my $dry_run = q{SELECT snowflake_adopt('orders', 'id', dry_run => true)};

#
# A server that cannot make IDs says so before it touches or locks anything
#

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'snowflake'
	include_if_exists 'settings.conf'});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION snowflake;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT BY 3) PRIMARY KEY, item text);
	INSERT INTO orders (item) VALUES ('lamp'), ('desk')});

my $writer = $node->background_psql('postgres');
$writer->query_safe(q{BEGIN; INSERT INTO orders (item) VALUES ('chair')});
foreach my $sql ($adopt, $dry_run)
{
	fails_with($node, "SET lock_timeout = '1ms'; $sql", '55000',
		[ qr/the node ID of this server is not set/ ], "no node ID: $sql");
}
$writer->query_safe('COMMIT');
$writer->quit;
is($node->safe_psql('postgres', $origin), 'identity always', 'nothing was changed');

settings($node, node_id => 7);
reload_until($node, q{setting = '7' FROM pg_settings WHERE name = 'snowflake.node_id'});
my @lines = split /\n/, $node->safe_psql('postgres', $adopt);
is($lines[0], 'LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE;', 'adopted with a node ID');
$node->safe_psql('postgres', q{INSERT INTO orders (item) VALUES ('sofa')});

#
# What is printed can be run by hand
#

$node->safe_psql('postgres', q{
	CREATE TABLE by_hand (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
	CREATE TABLE by_function (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)});
my $state = q{SELECT c.relname, relkind, relacl, d.deptype, replace(obj_description(c.oid), 'by_hand', 'by_function'),
		pg_get_expr(adbin, adrelid), attidentity
	FROM pg_class c LEFT JOIN pg_depend d ON classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('a', 'i') AND relkind = 'S'
		LEFT JOIN pg_attribute a ON attrelid = c.oid AND attname = 'id' LEFT JOIN pg_attrdef ON adrelid = c.oid
	WHERE c.relname LIKE 'TABLE%' ORDER BY 1};
foreach my $function ('adopt', 'release')
{
	my $script = $node->safe_psql('postgres', "SELECT snowflake_$function('by_hand', 'id', true)");

	$node->safe_psql('postgres', "BEGIN; $script COMMIT");
	$node->safe_psql('postgres', "SELECT snowflake_$function('by_function', 'id')");

	my ($by_hand, $by_function) = map { $node->safe_psql('postgres', $state =~ s/TABLE/$_/r) } 'by_hand', 'by_function';
	is($by_hand =~ s/by_hand/by_function/gr, $by_function, "snowflake_$function by hand");
	like($by_function, qr/^by_function\|/, 'there is something to compare');
}

#
# There and back while others insert: nobody fails, and no value comes twice
#

my ($sessions, $inserts) = (3, 2000);
$node->safe_psql('postgres', q{
	CREATE TABLE busy (id bigserial PRIMARY KEY, session int);
	CREATE TABLE finished (session int)});
my @sessions = map {
	start_psql($node, 'postgres',
		"INSERT INTO busy (session) VALUES ($_);\n" x $inserts . "INSERT INTO finished VALUES ($_);\n")
} 1 .. $sessions;
my $moves = 0;
do
{
	$node->safe_psql('postgres', q{SELECT snowflake_adopt('busy', 'id')});
	$node->safe_psql('postgres', q{SELECT snowflake_release('busy', 'id')});
	$moves++;
} until $node->safe_psql('postgres', 'SELECT count(*) FROM finished') == $sessions;
is(join(',', map { $_->finish ? 'ok' : $_->stderr } @sessions), join(',', ('ok') x $sessions), 'all sessions insert');
is( $node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id) FROM busy}),
	join('|', ($sessions * $inserts) x 2), 'all values are there and distinct');
note "$moves times there and back";

#
# A foreign table among the partitions
#

SKIP:
{
	skip 'postgres_fdw is not installed', 2
	  unless $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});

	$node->safe_psql('postgres', sprintf q{
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER myself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER myself;
		CREATE TABLE far (id bigint PRIMARY KEY, day date);
		INSERT INTO far VALUES (9000000000000000000, '2020-01-01');
		CREATE TABLE events (id bigserial, day date) PARTITION BY RANGE (day);
		CREATE FOREIGN TABLE events_far PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
			SERVER myself OPTIONS (table_name 'far')}, $node->host, $node->port);
	fails_with($node, q{SELECT snowflake_adopt('events', 'id')}, '55000',
		[qr/The greatest value is 9000000000000000000/], 'its values count');
	is( $node->safe_psql('postgres', q{
			DELETE FROM far;
			SELECT count(*) FROM snowflake_adopt('events', 'id');
			INSERT INTO events (day) VALUES ('2020-01-02');
			INSERT INTO events_far (day) VALUES ('2020-01-03');
			SELECT count(*), min(id) > 1000 FROM far}),
		"3\n2|t", 'and it gets the default');
	$node->safe_psql('postgres', 'DROP SERVER myself CASCADE; DROP EXTENSION postgres_fdw');
}

#
# A dump carries the default, the sequence and what it was
#

$node->safe_psql('postgres', q{
	CREATE TABLE items (id bigserial PRIMARY KEY, item text);
	SELECT snowflake_adopt('items', 'id')});
my $file = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
my $dump = slurp_file($file);
like($dump, qr/CREATE TABLE public\.$_ \(\n\s+id bigint DEFAULT public\.snowflake_next\(\) NOT NULL,/,
	"the default of $_ is in it, in plain words")
  foreach 'items', 'orders';

$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', $origin), 'snowflake', 'a restored column takes IDs');
is( $node->safe_psql('restored', q{
		INSERT INTO orders (item) VALUES ('shelf');
		SELECT item FROM orders ORDER BY id DESC LIMIT 1}),
	'shelf', 'above those that it has');
$node->safe_psql('restored', q{
	SELECT snowflake_release('orders', 'id');
	SELECT snowflake_release('items', 'id')});
is($node->safe_psql('restored', $origin), 'identity always', 'an identity is one again');
is($node->safe_psql('restored', q{SELECT origin FROM snowflake_origin('items', 'id')}), 'sequence', 'and a serial');
is( $node->safe_psql('restored', q{
		INSERT INTO orders (item) VALUES ('stool');
		SELECT (max(id) - 1) % 3, max(id) - min(id) FILTER (WHERE item = 'shelf') BETWEEN 1 AND 3 FROM orders}),
	'0|t', 'its sequence goes on in its steps');

#
# A standby
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', 'SELECT snowflake_next()');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $origin), 'snowflake', 'what a column takes can be seen on a standby');
is( $standby->safe_psql('postgres', q{SELECT count(*) > 3 FROM snowflake_release('orders', 'id', true)}),
	't', 'what releasing would do as well');
$node->safe_psql('postgres', q{SELECT snowflake_release('orders', 'id')});
$node->wait_for_catchup($standby);
fails_with($standby, $adopt, '25006', [qr/cannot execute snowflake_next\(\) during recovery/], 'but nothing is adopted');
$standby->stop;

#
# The language that the functions are written in
#

$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('bare', 'DROP EXTENSION plpgsql');
fails_with($node, 'CREATE EXTENSION snowflake', '42704',
	[ qr/required extension "plpgsql" is not installed/, qr/HINT:  Use CREATE EXTENSION ... CASCADE/ ],
	'a database without PL/pgSQL', dbname => 'bare');
$node->safe_psql('bare', 'CREATE EXTENSION snowflake CASCADE');
fails_with($node, 'DROP EXTENSION plpgsql', '2BP01', [qr/extension snowflake depends on/],
	'PL/pgSQL cannot be taken away', dbname => 'bare');

#
# Not preloaded
#

$node->append_conf('postgresql.conf', q{shared_preload_libraries = ''});
$node->restart;
SKIP:
{
	skip 'the library need not be preloaded from PostgreSQL 17 on', 2 if $node->pg_version >= 17;

	fails_with($node, $adopt, '55000', [qr/snowflake must be loaded via "shared_preload_libraries"/], 'not preloaded');
	is($node->safe_psql('postgres', $origin), 'identity always', 'nothing was changed');
}
# Going back needs no IDs.
is($node->safe_psql('restored', q{
		ALTER TABLE items ALTER COLUMN id SET DEFAULT snowflake_next();
		SELECT count(*) FROM snowflake_release('items', 'id')}),
	2, 'a column can be released');
is($node->safe_psql('restored', q{INSERT INTO items (item) VALUES ('lamp') RETURNING id}), 1, 'and goes on');
$node->stop;

done_testing();
