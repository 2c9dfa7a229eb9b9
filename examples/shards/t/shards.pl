# Four shards behind a coordinator: clients insert through it and on the shards
# themselves, and a fifth shard is added while they do.  No ID comes twice over
# all of them, no row is lost on the move, and questions about time are answered
# by the shards.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use SnowflakeLoad;
use Test::More;
use Time::HiRes qw(time usleep);

my $customers = 200;

start_example();

my $coordinator = server('coordinator');
my @shards = map { server("shard$_") } 1 .. 4;

sub partition_of_customer
{
	my %partition;

	foreach (split /\n/, $coordinator->safe_psql('postgres', q{
		SELECT customer_id, substr(tableoid::regclass::text, length('orders_') + 1) FROM orders WHERE item LIKE 'first %'}))
	{
		my ($customer, $partition) = split /\|/;
		$partition{$customer} = $partition;
	}
	return %partition;
}

# Clients of one server, for these customers; a call inserts up to five rows.
my %files;
sub clients
{
	my ($server, $count, @customers) = @_;
	my $list = join ',', @customers;
	my $sql = qq{INSERT INTO orders (customer_id, item)
		SELECT c, ':client :call' FROM (SELECT unnest(ARRAY[$list]) AS c ORDER BY random() LIMIT 1 + :call % 5) AS chosen
		RETURNING id};
	$sql =~ s/\s+/ /g;
	my @clients = map { start_client($server, 'postgres', $server->name . "_$_", $sql) } 1 .. $count;

	push @{ $files{ $server->name } }, map { $_->file } @clients;
	return @clients;
}

#
# One row of each customer tells where its orders go
#

$coordinator->safe_psql('postgres', qq{
	INSERT INTO orders (customer_id, item) SELECT c, 'first ' || c FROM generate_series(1, $customers) AS c});
my %partition = partition_of_customer();
my @moving = grep { $partition{$_} >= 16 } sort keys %partition;
my %of_shard;
push @{ $of_shard{ $partition{$_} % 4 } }, $_ foreach sort keys %partition;

is(scalar(keys %partition), $customers, 'each customer has a partition');
cmp_ok(min(map { scalar @$_ } values %of_shard), '>=', $customers / 8, 'the shards share them');
cmp_ok(scalar(@moving), '>=', $customers / 10, 'and some will move');

#
# Load on all, and a fifth shard in the midst of it
#

my $begin = time;
my @clients = (
	clients($coordinator, 4, 1 .. $customers),
	map { clients($shards[$_], 1, @{ $of_shard{$_} }) } 0 .. 3);

usleep(load_seconds() * 300_000);
my $adding = time;
run_word('add-shard');
my $added = time;
push @shards, server('shard5');
push @clients, clients($shards[4], 1, @moving);

# The fifth has its share of the time, however long it took to come.
run_load(max($begin, time - load_seconds() * 0.5), @clients);
result('load', sprintf '%.0f s', time - $begin);
result('a fifth shard was added within', sprintf '%.1f s', $added - $adding);

#
# What came of it
#

my %partition_after = partition_of_customer();
is_deeply(\%partition_after, \%partition, 'no customer changed its partition');
is($coordinator->safe_psql('postgres', q{
	SELECT count(*) FILTER (WHERE srvname = 'shard5') || ' of ' || count(*)
	FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver}),
	'4 of 20', 'the fifth shard has a fifth of the partitions');

my $query = q{SELECT item, id FROM orders WHERE item NOT LIKE 'first %'};
$query =~ s/item, id/replace(item, '|', ' ') || ' ' || id/;
my @rows = recorded_in($query, @shards);
is(scalar(@rows), scalar(recorded_in($query, $coordinator)), 'the coordinator sees the rows of all shards');

my @told = map { @$_ } values %files;
kept_ok(\@told, \@rows, 'no row was lost');

# Each server's clients know which node their IDs come from.
my $history = SnowflakeHistory->new(
	layout => $coordinator->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
	dir => $coordinator->basedir);
foreach my $server ($coordinator, @shards)
{
	$history->clock_is($server->node_id, 0);
	$history->add_calls($server->node_id, $_) foreach @{ $files{ $server->name } };
	my $name = $server->name;
	$history->add_recorded($server->node_id, [ grep { /^${name}_/ } @rows ]);
}
checked_ok($history, load_seconds() * 50, 'no ID came twice over all servers');

# A row that had a wrong shard would be refused, and so were those for the old
# shard of what has moved; nothing else went wrong.
foreach my $client (@clients)
{
	my @errors = $client->errors =~ /^ERROR: +(.*)/mg;
	my @other = grep { !/^23514: no partition of relation "orders" found for row/ } @errors;

	is("@other", '', $client->file =~ s/.*client_//r . ': no error but ' . @errors . ' for rows that have moved');
	is(scalar(@errors), 0, 'and none of these through the coordinator') if $client->file =~ /client_coordinator/;
}

#
# Asking by time, through the coordinator
#

my ($from, $until) = split /\|/, $coordinator->safe_psql('postgres', q{
	SELECT snowflake_timestamp(percentile_disc(0.4) WITHIN GROUP (ORDER BY id)) AT TIME ZONE 'UTC',
		   snowflake_timestamp(percentile_disc(0.6) WITHIN GROUP (ORDER BY id)) AT TIME ZONE 'UTC' FROM orders});
my $condition = "id <@@ '[${from}Z, ${until}Z)'";
my $expected = 0;
{
	my ($low, $high) = split /\|/, $coordinator->safe_psql('postgres',
		"SELECT snowflake_lower('${from}Z'), snowflake_lower('${until}Z')");
	$expected += grep { (split)[2] >= $low && (split)[2] < $high } @rows;
	# The first rows were before.
	cmp_ok($expected, '>', @rows / 10, "$expected rows in a fifth of the time");
}
is($coordinator->safe_psql('postgres', "SELECT count(*) FROM orders WHERE $condition AND item NOT LIKE 'first %'"),
	$expected, 'the coordinator finds them');

# Every foreign scan of a plan sends a condition on the ID.
sub pushed_down
{
	my ($plan, $pattern, $name) = @_;
	my @scans = $plan =~ /Foreign Scan on/g;
	my @remote = $plan =~ /Remote SQL: (.*)/g;

	is(scalar(@scans), 20, "$name: all partitions");
	is(scalar(grep { !/$pattern/ } @remote), 0, "$name: each shard is asked for the range only");
	return is(scalar($plan =~ /Filter:/), '', "$name: the coordinator filters nothing");
}

pushed_down($coordinator->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM orders WHERE $condition"),
	qr/WHERE \(\(id >= '?\d{18,}'?::bigint\)\) AND \(\(id <= '?\d{18,}'?::bigint\)\)/, 'constants');
# What is known only later is sent as the value of a subquery, or as a parameter
# that is the bound itself.
pushed_down($coordinator->safe_psql('postgres', q{
	EXPLAIN (VERBOSE, COSTS OFF)
	SELECT * FROM orders WHERE id >= (SELECT snowflake_lower(now() - interval '1 hour'))}),
	qr/WHERE \(\(id >= \(?\$1::bigint\)?\)\)/, 'an hour ago');
pushed_down($coordinator->safe_psql('postgres', q{
	SET plan_cache_mode = force_generic_plan;
	PREPARE since(bigint) AS SELECT * FROM orders WHERE id >= $1;
	EXPLAIN (VERBOSE, COSTS OFF) EXECUTE since(snowflake_lower(now() - interval '1 hour'))}),
	qr/WHERE \(\(id >= \$1::bigint\)\)/, 'a bound as parameter');
like($shards[0]->safe_psql('postgres', qq{
	SET enable_seqscan = off;
	EXPLAIN (COSTS OFF) SELECT * FROM orders_0 WHERE $condition}),
	qr/Index.* Scan.*\n *Index Cond: \(\(.*id.* >= '?\d+'?::bigint\) AND/, 'an index of the shard answers it');

done_testing();
