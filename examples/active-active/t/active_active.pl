# Two servers that replicate to each other, both inserting, and a third that
# joins meanwhile: no ID comes twice, so no change conflicts with another, and
# all come to the same rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use List::Util qw(max);
use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use SnowflakeLoad;
use Test::More;
use Time::HiRes qw(time usleep);

my $insert = q{INSERT INTO orders (item) SELECT ':client :call' FROM generate_series(1, 1 + :call % 3) RETURNING id};

start_example();

my @servers = map { server($_) } qw(a b);
my %clients;

sub clients
{
	my ($server) = @_;

	$clients{ $server->name } = [ map { start_client($server, 'postgres', $server->name . "_$_", $insert) } 1 .. 3 ];
	return;
}

my $begin = time;
clients($_) foreach @servers;
usleep(load_seconds() * 300_000);

my $joining = time;
run_word('add-server');
result('a third server joined within', sprintf '%.1f s', time - $joining);
push @servers, server('c');
clients($servers[2]);
run_load(max($begin, time - load_seconds() * 0.5), map { @$_ } values %clients);
result('load', sprintf '%.0f s', time - $begin);

is($_->errors, '', 'no error: ' . $_->file =~ s/.*client_//r) foreach map { @$_ } values %clients;

# Nothing is made any more; what is on the way arrives.
foreach my $server (@servers)
{
	my $lsn = $server->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
	$server->poll_query_until('postgres', qq{
		SELECT bool_and(confirmed_flush_lsn >= '$lsn') AND count(*) = 2 FROM pg_replication_slots});
}

my @rows = recorded_in(q{SELECT item || ' ' || id FROM orders ORDER BY id}, $servers[0]);
foreach my $server (@servers)
{
	my $name = $server->name;
	my @others = recorded_in(q{SELECT item || ' ' || id FROM orders ORDER BY id}, $server);

	ok("@others" eq "@rows", "$name has the same " . @rows . ' rows');
	kept_ok([ map { $_->file } map { @$_ } values %clients ], \@others, "$name: no row was lost");
	is(join("\n", $server->log_lines('(?i)conflict|duplicate key|ERROR:')), '', "$name: no conflict, no error");
}

my $history = SnowflakeHistory->new(
	layout => $servers[0]->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
	dir => $servers[0]->basedir);
foreach my $server (@servers)
{
	my $name = $server->name;

	$history->clock_is($server->node_id, 0);
	$history->add_calls($server->node_id, $_->file) foreach @{ $clients{$name} };
	$history->add_recorded($server->node_id, [ grep { /^${name}_/ } @rows ]);
}
checked_ok($history, load_seconds() * 50, 'no ID came twice over all servers');

done_testing();
