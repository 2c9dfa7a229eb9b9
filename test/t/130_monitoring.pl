# What monitoring/ hands out, as far as it needs no other programs.  The queries
# of the exporter have all that the status view has; each alert has a test and is
# documented.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeMonitoring;
use SnowflakeTest;
use Test::More;

#
# The queries
#

my $node = snowflake_node('main', 'snowflake.node_id = 77');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE ROLE prometheus LOGIN');

my %queries = read_queries();
is(join(' ', sort keys %queries), 'snowflake snowflake_database snowflake_server snowflake_setting', 'the queries');
foreach my $when ('before the first ID', 'after it')
{
	foreach my $name (sort keys %queries)
	{
		my $query = $queries{$name};
		my @values = split /\|/, $node->safe_psql('postgres', $query->{sql}, extra_params => [ '-U', 'prometheus' ]), -1;
		my @columns = map { $_->[0] } @{ $query->{metrics} };

		is($node->safe_psql('postgres', "SELECT string_agg(key, ' ' ORDER BY ordinality) "
				  . "FROM json_each((SELECT row_to_json(q) FROM ($query->{sql}) q)) WITH ORDINALITY"),
			"@columns", "$name, $when: the columns are the metrics");
		foreach my $i (0 .. $#columns)
		{
			my ($column, $usage, $described) = @{ $query->{metrics}[$i] };

			ok($described, "$name.$column has a description") if $when eq 'after it';
			like($values[$i], qr/^(?:-?\d+(?:\.\d+)?(?:e[-+]\d+)?)?$/, "$name.$column, $when: a number") if $usage ne 'LABEL';
			is($column =~ /_total$/ ? 'COUNTER' : 'GAUGE', $usage, "$name.$column is what its name says") if $usage ne 'LABEL';
		}
	}
	$node->safe_psql('postgres', 'SELECT snowflake_next()');
}

my $all_sql = join "\n", map { $_->{sql} } values %queries;
foreach my $column (split /\n/, $node->safe_psql('postgres',
		q{SELECT attname FROM pg_attribute WHERE attrelid = 'snowflake_status'::regclass AND attnum > 0}))
{
	like($all_sql, qr/(?<!AS )\b$column\b/, "the column $column is exported");
}

# The end of the layout is computed from its text, so that it is there for those without a name, too.
my ($end) = $queries{snowflake}{sql} =~ /(extract\(epoch FROM substring\(layout.*?)\s+AS layout_ends_timestamp_seconds/s;
is( $node->safe_psql('postgres',
		"SELECT string_agg(name, ' ') FROM snowflake_layouts WHERE abs($end - extract(epoch FROM ends_at)) > 0.001"),
	'', 'the end of each layout that has a name');
is( $node->safe_psql('postgres',
		"SELECT to_timestamp($end) FROM (SELECT 'time:32 node:10 sequence:20 tick:1s epoch:2020-01-01T00:00:00Z' AS layout) l"),
	$node->safe_psql('postgres', q{SELECT timestamptz '2020-01-01Z' + 4294967296 * interval '1s'}),
	'the end of a layout of seconds');
$node->stop;

#
# The rules
#

my @alerts = slurp_file(monitoring_file('prometheus_rules.yml')) =~ /- alert: (\w+)/g;
cmp_ok(scalar @alerts, '>', 5, 'there are alerts');
my $tests = slurp_file(monitoring_file('prometheus_rules_test.yml'));
my $document = slurp_file(monitoring_file('../doc/monitoring.md'));
foreach my $alert (@alerts)
{
	like($tests, qr/alertname: $alert\n\s*eval_time: \w+\n\s*exp_alerts:\n/, "$alert has a test for promtool");
	ok($document =~ /^\| `$alert` \|/m, "$alert is documented");
}
is(scalar(() = $document =~ /^\| `Snowflake\w+` \|/mg), scalar @alerts, 'and no other alert is');

done_testing();
