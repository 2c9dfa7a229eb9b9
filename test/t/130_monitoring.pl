# What monitoring/ hands out.  The queries of the exporter have all that the
# status view has; the alert rules are tested by promtool; and with a real
# exporter and a real Prometheus an alert is seen to fire when the clock of the
# server is set back.
#
# The last two want the programs of Debian's packages prometheus and
# prometheus-postgres-exporter, in PATH or in the directories that
# SNOWFLAKE_MONITORING_PATH has; scripts/test.sh monitoring fetches them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Spec::Functions qw(rel2abs);
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(usleep);

my $monitoring = rel2abs("$FindBin::RealBin/../../monitoring");

#
# The queries
#

# The namespaces of a query file of the exporter, each with its query and a
# list of [name, usage]; only as much of YAML as the file uses.
sub read_queries
{
	my ($file) = @_;
	my (%queries, $query);

	foreach my $line (split /\n/, slurp_file($file))
	{
		if ($line =~ /^(\w+):$/) { $query = $queries{$1} = { sql => '', metrics => [] }; }
		elsif ($line =~ /^      (?:usage|description):/ || $line =~ /^\s*(?:#.*)?$/) { next; }
		elsif ($line =~ /^    - (\w+):$/) { push @{ $query->{metrics} }, [$1]; }
		elsif ($line =~ /^        usage: "(LABEL|GAUGE|COUNTER)"$/) { push @{ $query->{metrics}[-1] }, $1; }
		elsif ($line =~ /^        description: "[^"]+"$/) { $query->{metrics}[-1][2] = 1; }
		elsif ($line =~ /^    (.*)$/) { $query->{sql} .= "$1\n"; }
		elsif ($line !~ /^  (?:master: true|query: \||metrics:)$/) { die "not understood: $line\n"; }
	}
	return %queries;
}

my $node = snowflake_node('main', 'snowflake.node_id = 77', 'snowflake.max_wait = 1500', 'snowflake.max_lead = 10');
my $clock = fake_clock($node);
$clock->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE ROLE prometheus LOGIN');

my %queries = read_queries("$monitoring/postgres_exporter.yml");
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

#
# The rules
#

local $ENV{PATH} = join ':', $ENV{PATH}, grep { defined } $ENV{SNOWFLAKE_MONITORING_PATH};
my %program = map {
	my $name = $_;
	($name => (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0])
} qw(prometheus promtool prometheus-postgres-exporter);

# The programs that run beside the test; none may outlive it.
my %running;

sub start_program
{
	my ($name, @arguments) = @_;

	$running{$name} = IPC::Run::start(
		[ $program{$name}, @arguments ],
		'<', \undef, '>>', $node->basedir . "/$name.log", '2>&1',
		init => sub { chdir $node->data_dir });
	return;
}

END
{
	my $status = $?;
	$_->kill_kill(grace => 20) foreach values %running;
	$? = $status;
}

my $http = HTTP::Tiny->new(timeout => 10);

# The body of an answer, or nothing.
sub get
{
	my ($url) = @_;
	my $answer = $http->get($url);

	return $answer->{success} ? $answer->{content} : undef;
}

# Asks until the code gives something that is true.
sub wait_for
{
	my ($what, $code) = @_;

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my $result = $code->();

		return $result if $result;
		usleep(100_000);
	}
	diag slurp_file($_) foreach glob($node->basedir . '/prometheus*.log');
	die "this did not come: $what\n";
}

SKIP:
{
	my @missing = grep { !$program{$_} } sort keys %program;
	die "not found: @missing\n" if @missing && $ENV{SNOWFLAKE_MONITORING_PATH};
	skip 'this needs ' . join(' and ', @missing) . ': run scripts/test.sh monitoring', 1 if @missing;

	my $rules = "$monitoring/prometheus_rules.yml";
	command_ok([ $program{promtool}, 'check', 'rules', $rules ], 'promtool check rules');
	command_ok([ $program{promtool}, 'test', 'rules', "$monitoring/prometheus_rules_test.yml" ], 'promtool test rules');

	my @alerts = slurp_file($rules) =~ /- alert: (\w+)/g;
	my $tests = slurp_file("$monitoring/prometheus_rules_test.yml");
	my $document = slurp_file("$monitoring/../doc/monitoring.md");
	foreach my $alert (@alerts)
	{
		like($tests, qr/alertname: $alert\n\s*eval_time: \w+\n\s*exp_alerts:\n/, "$alert is seen to fire by promtool");
		ok($document =~ /^\| `$alert` \|/m, "$alert is documented");
	}
	is(scalar(() = $document =~ /^\| `Snowflake\w+` \|/mg), scalar @alerts, 'and no other alert is');

	#
	# The exporter and Prometheus
	#

	my ($exporter, $prometheus) = map { '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
	my $dir = $node->basedir;

	my $start_exporter = sub {
		my (@arguments) = @_;

		local $ENV{DATA_SOURCE_NAME} =
		  sprintf 'host=%s port=%d user=prometheus dbname=postgres sslmode=disable', $node->host, $node->port;
		start_program('prometheus-postgres-exporter', "--web.listen-address=$exporter",
			"--extend.query-path=$monitoring/postgres_exporter.yml", @arguments);
	};

	# First over several databases, one of them without the extension.
	$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop other);
	$node->safe_psql('shop', 'CREATE EXTENSION snowflake; SELECT snowflake_next()');
	$start_exporter->('--auto-discover-databases', '--include-databases=postgres,shop');
	my $several = wait_for('metrics of two databases',
		sub { my $body = get("http://$exporter/metrics"); $body && $body =~ /\{datname="shop"/ ? $body : undef });
	is(join(' ', sort $several =~ /^snowflake_database_horizon_ahead_seconds\{datname="(\w+)"/mg),
		'postgres shop', 'the horizon of each database');
	is(scalar(() = $several =~ /^snowflake_ids_issued_total\{/mg), 1, 'all else once');
	(delete $running{'prometheus-postgres-exporter'})->kill_kill;

	$start_exporter->();
	my $metrics = wait_for('metrics of the exporter',
		sub { my $body = get("http://$exporter/metrics"); $body && $body =~ /^snowflake_ids_issued_total/m ? $body : undef });
	like($metrics, qr/^pg_exporter_user_queries_load_error\{.*\} 0$/m, 'the exporter takes the queries');
	like($metrics, qr/^pg_exporter_last_scrape_error 0$/m, 'and none fails');
	foreach my $name (sort keys %queries)
	{
		foreach my $metric (grep { $_->[1] ne 'LABEL' } @{ $queries{$name}{metrics} })
		{
			like($metrics, qr/^${name}_$metric->[0]\{[^}]*\} \S+$/m, "the metric ${name}_$metric->[0]");
		}
	}
	like($metrics, qr/^snowflake_server_info\{.*node_id="77",node_source="snowflake\.node_id",.*\} 1$/m, 'texts are labels');
	like($metrics, qr/^snowflake_setting_max_wait_seconds\{.*\} 1\.5$/m, 'a setting in seconds');
	like($metrics, qr/^snowflake_database_horizon_ahead_seconds\{datname="postgres",.*\} -?[\d.e-]+$/m, 'the horizon of a database');
	like($metrics, qr/^snowflake_lease_held\{.*\} NaN$/m, 'what there is not is NaN');

	append_to_file("$dir/prometheus.yml", <<"END");
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files:
  - $rules
scrape_configs:
  - job_name: postgres
    static_configs:
      - targets: ['$exporter']
END
	start_program('prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/prometheus-data",
		"--web.listen-address=$prometheus", '--log.level=warn');

	# Names and severities of the alerts that fire.
	my $firing = sub {
		my $body = wait_for('an answer of Prometheus', sub { get("http://$prometheus/api/v1/alerts") });

		return { map { $_->{labels}{alertname} => $_->{labels}{severity} }
			  grep { $_->{state} eq 'firing' } @{ decode_json($body)->{data}{alerts} } };
	};
	# What a query gives: the value of the one series that it finds.
	my $ask = sub {
		my $body = get("http://$prometheus/api/v1/query?" . $http->www_form_urlencode({ query => $_[0] })) or return;
		my $result = decode_json($body)->{data}{result};

		return @$result == 1 ? $result->[0]{value}[1] : undef;
	};

	wait_for('a server that is scraped several times', sub { ($ask->('count_over_time(snowflake_ids_issued_total[1m])') // 0) >= 3 });
	is($ask->('snowflake_ids_issued_total'), status($node, 'ids_issued'), 'Prometheus has what the view has');
	is_deeply($firing->(), {}, 'no alert fires');

	# A step back within what calls wait for, and then one beyond it.
	$clock->set(-1);
	$node->safe_psql('postgres', 'SELECT snowflake_next()');
	wait_for('an alert after a step back', sub { $firing->()->{SnowflakeClockSteppedBack} });
	is_deeply($firing->(), { SnowflakeClockSteppedBack => 'warning' }, 'a small step back: a warning');

	$clock->set(-3600);
	wait_for('an alert for a clock that is behind', sub { $firing->()->{SnowflakeClockBehind} });
	ok(!$firing->()->{SnowflakeRefusals}, 'before a call has failed');
	fails_with($node, 'SELECT snowflake_next()', 'SF001', [qr/the clock is 3\d\d\d\.\d{3} s behind the last ID/], 'a call fails');
	wait_for('an alert for refusals', sub { $firing->()->{SnowflakeRefusals} });
	is($firing->()->{SnowflakeRefusals}, 'critical', 'and is an alert of its own');
	cmp_ok($ask->('snowflake_largest_clock_step_back_seconds'), '>', 3500, 'with the step in the metrics');

	# The clock is right again.
	$clock->set(0);
	$node->safe_psql('postgres', 'SELECT snowflake_next()');
	wait_for('the end of the alert', sub { !$firing->()->{SnowflakeClockBehind} });
	ok($firing->()->{SnowflakeClockSteppedBack}, 'the alert for the step stays for somebody to see');
}

$node->stop;
done_testing();
