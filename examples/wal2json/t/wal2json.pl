# wal2json's output, read while clients insert, update and delete, has every ID
# unchanged: as the domain, as a plain bigint, and the largest that there is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use JSON::PP;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use SnowflakeLoad;
use Test::More;
use Time::HiRes qw(time);

start_example();

my $server = server('server');
my $stream = $server->basedir . '/stream';
my $follower = start_word_into($stream, 'follow');

# Two IDs of a row are drawn one after the other.
my $insert = q{WITH rows AS (INSERT INTO orders (item) SELECT ':client :call' FROM generate_series(1, 5) RETURNING id, parent)
	SELECT unnest(ARRAY[id, parent]) FROM rows} =~ s/\s+/ /gr;
my $begin = time;
my @inserting = map { start_client($server, 'postgres', "insert_$_", $insert) } 1 .. 4;

# These return no IDs.
my $change = q{WITH latest AS (SELECT id FROM orders WHERE item NOT LIKE 'was %' ORDER BY id DESC LIMIT 2),
	kept AS (UPDATE orders SET item = 'was ' || item WHERE id IN (SELECT min(id) FROM latest))
	DELETE FROM orders WHERE id IN (SELECT max(id) FROM latest HAVING count(*) = 2)} =~ s/\s+/ /gr;
my $changing = start_client($server, 'postgres', 'change', $change);
run_load($begin, @inserting, $changing);
is($_->errors, '', 'no error: ' . $_->file =~ s/.*client_//r) foreach @inserting, $changing;
result('load', sprintf '%.0f s', time - $begin);

# Numbers that do not fit a double, and the end.
my @large = ('9223372036854775807', '9223372036854775806', '9007199254740993');
$server->safe_psql('postgres', "INSERT INTO orders VALUES ($_, $_, 'large')") foreach @large;
$server->safe_psql('postgres', q{INSERT INTO orders (item) VALUES ('the end')});
poll_until(
	sub {
		$follower->{handle}->pump_nb;
		die 'the follower ended: ' . slurp_file($stream) . "\n" unless $follower->{handle}->pumpable;
		return slurp_file($stream, max(0, (-s $stream) - 1000)) =~ /the end/;
	},
	'the last change to come out');
$follower->{handle}->kill_kill;

#
# What came out
#

my (%inserted, %deleted, %large, %actions, $other_form);
foreach my $line (grep { /^\{/ } split /\n/, slurp_file($stream))
{
	my $change = decode_json($line);
	my %new = map { $_->{name} => $_->{value} } @{ $change->{columns} // [] };
	my %key = map { $_->{name} => $_->{value} } @{ $change->{identity} // [] };

	$actions{ $change->{action} }++;
	if ($change->{action} eq 'I')
	{
		# As they stand in the text: a string for the domain, a number else.
		my ($id, $parent) = $line =~ /"name":"id","type":"public.snowflake","value":"(\d+)".*"name":"parent","type":"bigint","value":(\d+)\}/;
		$other_form++ unless defined $parent && $id eq $new{id} && $parent eq $new{parent};
		$large{$id} = $parent if $new{item} eq 'large';
		next if $new{item} eq 'large' || $new{item} eq 'the end';
		$inserted{$id}++;
		$inserted{$parent}++;
	}
	elsif ($change->{action} eq 'U')
	{
		$other_form++ if !$inserted{ $key{id} } || $new{id} ne $key{id};
	}
	elsif ($change->{action} eq 'D')
	{
		$deleted{ $key{id} }++;
	}
}

is($other_form // 0, 0, 'the domain comes as a string, bigint as a number');
is(join(' ', map { "$_=" . ($large{$_} // '') } @large), join(' ', map { "$_=$_" } @large), 'large IDs are exact');
cmp_ok($actions{$_} // 0, '>', 0, "$actions{$_} changes of kind $_") foreach qw(I U D);

# Clients were told each pair of IDs.
my %told;
foreach my $client (@inserting)
{
	foreach (slurp_file($client->file) =~ /^(.*)\n/mg)
	{
		my (undef, undef, undef, undef, @ids) = split;

		$told{$_}++ foreach @ids;
	}
}
is(scalar(grep { !$inserted{$_} } keys %told), 0, 'every ID that a client was told came out');
is(scalar(grep { !$told{$_} } keys %inserted), 0, 'and no other');
is(scalar(grep { $_ != 1 } values %inserted), 0, 'each once');

my %left = map { $_ => 1 } split /\n/, $server->safe_psql('postgres', 'SELECT id FROM orders');
is(scalar(grep { $left{$_} } keys %deleted), 0, 'no deleted row is there');
is(scalar(grep { $inserted{$_} && !$deleted{$_} && !$left{$_} } map { (split)[4] } map { slurp_file($_->file) =~ /^(.*)\n/mg } @inserting),
	0, 'what is not there was deleted');

my $history = SnowflakeHistory->new(
	layout => $server->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
	dir => $server->basedir);
$history->clock_is(1, 0);
$history->add_calls(1, $_->file) foreach @inserting;
checked_ok($history, load_seconds() * 100, 'no ID came twice');

done_testing();
