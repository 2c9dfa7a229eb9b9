# Questions by time to a table on another server.  postgres_fdw knows nothing
# of snowflake, and the other server need not have it: what is sent are
# comparisons of bigint.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $node = snowflake_node('main', 'snowflake.node_id = 1', q{timezone = 'UTC'});
$node->start;
if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) == 0)
{
	$node->stop;
	plan skip_all => 'this PostgreSQL has no postgres_fdw';
}

# One order a minute in January 2024, in a database without the extension.
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE EXTENSION postgres_fdw; CREATE DATABASE far');
my $ids = $node->safe_psql('postgres', q{
	SELECT string_agg(format('(%s, %s)', snowflake_encode('2024-01-01'::timestamptz + n * interval '1 minute', 0, 0), n), ', ')
	FROM generate_series(0, 31 * 1440 - 1) n});
$node->safe_psql('far', "CREATE TABLE orders (id bigint PRIMARY KEY, n integer); INSERT INTO orders VALUES $ids");
$node->safe_psql('postgres', qq{
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'far');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far;
	CREATE FOREIGN TABLE orders (id bigint, n integer) SERVER far;
	CREATE FOREIGN TABLE domain_orders (id snowflake, n integer) SERVER far OPTIONS (table_name 'orders');
	SELECT snowflake_timestamp(id) FROM orders LIMIT 1});

# What the other server is sent.  Statements before the last one prepare it.
sub sent_for
{
	my (@statements) = @_;
	my $query = pop @statements;
	my $plan = $node->safe_psql('postgres', join '; ', @statements, "EXPLAIN (VERBOSE, COSTS OFF) $query");
	my ($sent) = $plan =~ /Remote SQL: (.*)/;

	note $plan;
	return $sent;
}

sub sends
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, $expected, @statements) = @_;

	return is(sent_for(@statements), $expected, $name);
}

my $day = q{'[2024-01-02,2024-01-03)'};
my ($first, $last) = split /\|/, $node->safe_psql('postgres', "SELECT snowflake_first($day), snowflake_last($day)");
my $bounds = "((id >= ${first}::bigint)) AND ((id <= ${last}::bigint))";
my $all = 'SELECT id, n FROM public.orders';

sends('a range that is known', "SELECT n FROM public.orders WHERE $bounds", "SELECT n FROM orders WHERE id <@@ $day");
is($node->safe_psql('postgres', "SELECT count(*), min(n), max(n) FROM orders WHERE id <@@ $day"),
	'1440|1440|2879', 'and gets what was asked for');
sends('an aggregate', "SELECT count(*) FROM public.orders WHERE $bounds", "SELECT count(*) FROM orders WHERE id <@@ $day");
sends('an update', "UPDATE public.orders SET n = 1 WHERE $bounds", "UPDATE orders SET n = 1 WHERE id <@@ $day");
sends('a deletion', "DELETE FROM public.orders WHERE $bounds", "DELETE FROM orders WHERE id <@@ $day");
sends('a layout', 'SELECT n FROM public.orders WHERE ((id >= 0::bigint)) AND ((id <= 9223372036854775807::bigint))',
	q{SELECT n FROM orders WHERE snowflake_within(id, '(,)', 'discord')});
sends('a parameter that is known', "SELECT n FROM public.orders WHERE $bounds",
	'SET plan_cache_mode = force_custom_plan', 'PREPARE q AS SELECT n FROM orders WHERE id <@@ $1', "EXECUTE q($day)");

# What may change in a statement's time is not sent, whatever it is.  But it is
# when a subquery makes a value of it.
my $recent = q{tstzrange(now() - interval '1 day', NULL)};
sends('now()', $all, "SELECT n FROM orders WHERE id <@@ $recent");
sends('a parameter that is not known', $all,
	'SET plan_cache_mode = force_generic_plan', 'PREPARE q AS SELECT n FROM orders WHERE id <@@ $1', "EXECUTE q($day)");
sends('the value of now()', 'SELECT n FROM public.orders WHERE ((id >= $1::bigint)) AND ((id <= $2::bigint))',
	"SELECT n FROM orders WHERE id BETWEEN (SELECT snowflake_first($recent)) AND (SELECT snowflake_last($recent))");

# To postgres_fdw the domain is a type that the other server may not have.
sends('the domain', $all, "SELECT n FROM domain_orders WHERE id <@@ $day");
is($node->safe_psql('postgres', "SELECT count(*), min(n), max(n) FROM domain_orders WHERE id <@@ $day"),
	'1440|1440|2879', 'gets what was asked for, too');

# Unless one says that it has.  Then what is immutable is sent as well.
$node->safe_psql('far', 'CREATE EXTENSION snowflake');
$node->safe_psql('postgres', q{ALTER SERVER far OPTIONS (ADD extensions 'snowflake')});
sends('the domain, where both have it', "SELECT n FROM public.orders WHERE $bounds",
	"SELECT n FROM domain_orders WHERE id <@@ $day");
my @generic = ('SET plan_cache_mode = force_generic_plan', q{PREPARE q AS SELECT n FROM orders WHERE snowflake_within(id, $1, 'twitter')});
my $function = q{public.snowflake_%s($1::tstzrange, 'twitter'::text)};
sends('a parameter that is not known, with a layout',
	sprintf("SELECT n FROM public.orders WHERE ((id >= $function)) AND ((id <= $function))", 'first', 'last'),
	@generic, "EXECUTE q($day)");
is($node->safe_psql('postgres', join('; ', @generic, "EXECUTE q('[2024-01-02,2024-01-02 00:01]')")),
	"1440\n1441", 'gets what was asked for');
$node->stop;

done_testing();
