# 500 clients share 20 connections to a server, by PgBouncer in transaction
# mode.  Nothing of an ID belongs to a session: no ID comes twice, and those of
# one client rise although its calls go to one server process after the other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use IPC::Run;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use Test::More;

my $clients = 500;
my $connections = 20;

want_python('psycopg', 'python3-psycopg');
start_example();

my $server = server('server');
my $pooler = server('pgbouncer');
my $file = $server->basedir . '/history';

my ($input, $output) = ('', '');
my $load = IPC::Run::start(
	[
		python(), "$FindBin::RealBin/../load.py",
		$pooler->connstr, $clients, load_seconds(), $file
	],
	'<', \$input, '>', \$output, '2>&1');

# Until the load says so; its end is an error.
sub wait_for
{
	my ($word) = @_;

	poll_until(
		sub {
			$load->pump_nb;
			die "the load failed: $output\n" unless $load->pumpable;
			return $output =~ /^$word$/m;
		},
		"the load to be $word");
	return;
}

# SHOW POOLS of the pooler: clients and server connections of our database.
sub pool
{
	my %pool;
	my ($names, @rows) = split /\n/, `psql -XAq -P footer=off -d '@{[ $pooler->connstr('pgbouncer') ]}' -c 'SHOW POOLS'`;
	foreach my $row (@rows)
	{
		@pool{ split /\|/, $names } = split /\|/, $row;
		last if $pool{database} eq 'postgres';
	}
	return \%pool;
}

wait_for('connected');
my ($most_clients, $most_servers, $most_waiting, $most_backends) = (0) x 4;
poll_until(
	sub {
		my $pool = pool();
		$most_clients = max($most_clients, $pool->{cl_active} + $pool->{cl_waiting});
		$most_waiting = max($most_waiting, $pool->{cl_waiting});
		$most_servers = max($most_servers, $pool->{sv_active} + $pool->{sv_idle} + $pool->{sv_used} + $pool->{sv_tested} + $pool->{sv_login});
		$most_backends = max($most_backends, $server->safe_psql('postgres', q{
			SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}));
		$load->pump_nb;
		die "the load failed: $output\n" unless $load->pumpable;
		return $output =~ /^done$/m;
	},
	'the load to be done');
$load->finish or die "the load failed: $output\n";

result('load', load_seconds() . ' s');
is($most_clients, $clients, "$clients clients at a time");
result('clients, server connections', "$most_clients, $most_servers");
cmp_ok($most_waiting, '>', 0, "up to $most_waiting of them waited for a server connection");
is($most_servers, $connections, "on $connections server connections");
cmp_ok($most_backends, '<=', $connections, 'the server saw no more than these');

my @rows = recorded_in(q{SELECT item || ' ' || id FROM orders}, $server);
kept_ok([$file], \@rows, 'no row was lost');

my $history = SnowflakeHistory->new(
	layout => $server->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
	dir => $server->basedir);
$history->clock_is(1, 0);
$history->add_calls(1, $file);
$history->add_recorded(1, \@rows);
checked_ok($history, load_seconds() * 200, 'no ID came twice, and those of a client rise');

my ($all, $several) = split /\|/, $server->safe_psql('postgres', q{
	SELECT count(*), count(*) FILTER (WHERE backends > 1)
	FROM (SELECT count(DISTINCT backend) AS backends FROM orders GROUP BY split_part(item, ' ', 1)) AS of_client});
is($all, $clients, 'each client inserted');
cmp_ok($several, '>', $clients / 2, "$several of them by more than one server process");
is(scalar($pooler->log_lines('ERROR|WARNING')), 0, 'the pooler has nothing to complain of');

done_testing();
