# The clients that people use.  Each inserts without an ID and learns it from the
# server, keeps a large ID exact both ways, and tells the error of a server
# without a node ID by its SQLSTATE; then all load one server together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use Test::More;
use Time::HiRes qw(time);

my @large = ('9007199254740993', '9223372036854775807');

start_example();

my $server = server('server');
my (@ready, %skipped);
foreach (split /\n/, slurp_file(example_dir() . '/clients'))
{
	my ($name, $state, $reason) = /^(\S+) (ready|skipped)(?:: (.*))?$/ or die "could not read $_\n";
	if ($state eq 'ready') { push @ready, $name; }
	else { $skipped{$name} = $reason; }
}
plan(skip_all => join('; ', map { "$_: $skipped{$_}" } sort keys %skipped)) unless @ready;
foreach my $name (sort keys %skipped)
{
  SKIP:
	{
		skip "$name: $skipped{$name}", 1;
	}
}

#
# One after the other
#

foreach my $name (@ready)
{
	my %seen = map { $_ => 1 } split /\n/, run_word('client', $name, 'large');

	is(join(' ', sort { $a <=> $b } keys %seen), "@large", "$name: large IDs are exact");
	# Knex puts the statement before the message.
	like(run_word('client', $name, 'unset'), qr/^55000: (?:insert into .* - )?the node ID of this server is not set$/,
		"$name: tells a server without a node ID by the SQLSTATE");
}

#
# Together
#

my $begin = time;
my %file = map { $_ => $server->basedir . "/history_$_" } @ready;
my @runs = map { [ $_, start_word('client', $_, 'insert', load_seconds(), $_, $file{$_}) ] } @ready;
foreach (@runs)
{
	my ($name, $run) = @$_;

	$run->{handle}->finish;
	is($run->{output}, '', "$name: no error");
	ok(!$run->{handle}->result, "$name: comes to its end");
}
result('load', sprintf '%.0f s', time - $begin);

my $query = q{SELECT item || ' ' || id FROM orders};
$query .= q{ UNION ALL SELECT item || ' ' || id FROM django_orders} unless $skipped{django};
my @rows = recorded_in($query, $server);
kept_ok([ values %file ], \@rows, 'no row was lost');

my $history = SnowflakeHistory->new(
	layout => $server->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
	dir => $server->basedir);
$history->clock_is(1, 0);
foreach my $name (@ready)
{
	my $calls = () = slurp_file($file{$name}) =~ /\n/g;

	cmp_ok($calls, '>=', 5, "$name: $calls calls");
	$history->add_calls(1, $file{$name});
}
$history->add_recorded(1, \@rows);
checked_ok($history, load_seconds() * 100, 'no ID came twice');

done_testing();
