# What monitoring/ hands out, under the programs that it is for.  The alert rules
# are tested by promtool; and with a real exporter and a real Prometheus an alert
# is seen to fire when the clock of the server is set back.
#
# The programs are those of Debian's packages prometheus and
# prometheus-postgres-exporter, in PATH or in the directories that
# SNOWFLAKE_MONITORING_PATH has; scripts/test.sh monitoring fetches them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use List::Util qw(first);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeMonitoring;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(usleep);

local $ENV{PATH} = join ':', $ENV{PATH}, grep { defined } $ENV{SNOWFLAKE_MONITORING_PATH};
my %program = map {
	my $name = $_;
	($name => scalar first { -x } map { "$_/$name" } split /:/, $ENV{PATH})
} qw(prometheus promtool prometheus-postgres-exporter);
my @missing = grep { !$program{$_} } sort keys %program;

# Where they were fetched they must be found.
die "not found: @missing\n" if @missing && $ENV{SNOWFLAKE_MONITORING_PATH};
plan skip_all => 'this needs ' . join(' and ', @missing) . ': run scripts/test.sh monitoring' if @missing;

my $node = snowflake_node('main', 'snowflake.node_id = 77', 'snowflake.max_wait = 1500', 'snowflake.max_lead = 10');
my $clock = fake_clock($node);
$clock->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE ROLE prometheus LOGIN; SELECT snowflake_next()');

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

#
# The rules
#

my $rules = monitoring_file('prometheus_rules.yml');
command_ok([ $program{promtool}, 'check', 'rules', $rules ], 'promtool check rules');
command_ok([ $program{promtool}, 'test', 'rules', monitoring_file('prometheus_rules_test.yml') ], 'promtool test rules');

#
# The exporter and Prometheus
#

my %queries = read_queries();
my ($exporter, $prometheus) = map { '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
my $dir = $node->basedir;

my $start_exporter = sub {
	my (@arguments) = @_;

	local $ENV{DATA_SOURCE_NAME} =
	  sprintf 'host=%s port=%d user=prometheus dbname=postgres sslmode=disable', $node->host, $node->port;
	start_program('prometheus-postgres-exporter', "--web.listen-address=$exporter",
		'--extend.query-path=' . monitoring_file('postgres_exporter.yml'), @arguments);
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

$node->stop;
done_testing();
