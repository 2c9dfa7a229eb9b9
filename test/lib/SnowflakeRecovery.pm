# What the tests of failover, restore and upgrade have in common: clients that
# draw IDs, the horizon that survived, and the assertion that a server which
# goes on from there repeats nothing.

package SnowflakeRecovery;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  poll_until
  create_ids
  start_clients
  ids_in
  ids_in_both
  poll_past
  horizon_ms
  first_at_horizon
  horizon_refuses
  goes_on_ok
);

# That of all servers which use this.
our $node_id = 1;

# Returns what the condition does once that is true.  Looks less often the
# longer it takes: most conditions start a psql, and what is waited for needs
# the processors as well.
sub poll_until
{
	my ($condition, $what) = @_;
	my $begin = time;
	my $result;

	until ($result = $condition->())
	{
		my $waited = time - $begin;

		die "timed out waiting for: $what\n" if $waited > $PostgreSQL::Test::Utils::timeout_default;
		usleep(1_000_000 * max(0.02, min(0.2, $waited / 10)));
	}
	return $result;
}

# A table for IDs.  Nothing in it keeps an ID from coming twice.
sub create_ids
{
	my ($node, $dbname) = @_;

	return $node->safe_psql($dbname // 'postgres', q{
		CREATE EXTENSION IF NOT EXISTS snowflake;
		CREATE TABLE ids (id bigint DEFAULT snowflake_next(), g int)});
}

# Clients that insert rows, each call in a transaction of its own, also after
# their server was killed; see SnowflakeRecovery::Clients.
sub start_clients
{
	my ($node, $count, %params) = @_;

	return SnowflakeRecovery::Clients->new($node, $count, %params);
}

# The IDs that the data of a server holds.
sub ids_in
{
	my ($node, $dbname) = @_;

	return [ split /\n/, $node->safe_psql($dbname // 'postgres', 'SELECT id FROM ids ORDER BY id') ];
}

# How many IDs of the one list the other has, too.
sub ids_in_both
{
	my ($one, $other) = @_;
	my %one = map { $_ => 1 } @$one;

	return scalar grep { $one{$_} } @$other;
}

# Wait until the true time has passed a horizon for a while.
sub poll_past
{
	my ($horizon_ms) = @_;

	return poll_until(sub { time > $horizon_ms / 1000 + 0.3 }, 'the horizon');
}

# The horizon that is in the data, also where the generator would refuse; 0
# where there is none.
sub horizon_ms
{
	my ($node, $dbname) = @_;

	return $node->safe_psql($dbname // 'postgres', 'SELECT last_value FROM snowflake_horizon WHERE is_called')
	  || 0;
}

# The smallest ID that is not below the horizon in the data; 0 where there is
# none.
sub first_at_horizon
{
	my ($node, $dbname) = @_;

	return $node->safe_psql($dbname // 'postgres', q{
		SELECT snowflake_lower(to_timestamp(last_value / 1000.0)) FROM snowflake_horizon WHERE is_called})
	  || 0;
}

# With the clock further behind the horizon than a call may wait, the error
# says how far.  offset_s is that of the server's clock.
sub horizon_refuses
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $offset_s, $name, %params) = @_;
	my $dbname = $params{dbname} // 'postgres';
	my $ahead = horizon_ms($node, $dbname) / 1000 - (time + $offset_s);
	my ($code, $stdout, $stderr) =
	  $node->psql($dbname, 'SELECT snowflake_next()', extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return subtest $name => sub {
		is($stdout, '', 'no ID');
		like($stderr, qr/ERROR:  SF004: the horizon of this database is \d+\.\d{3} s ahead of the clock/,
			'error');
		like($stderr, qr/HINT:  Set the clock right\./, 'what to do');
		my ($said) = $stderr =~ /is (\d+\.\d+) s ahead/;
		cmp_ok(abs(($said // 0) - $ahead), '<', 5, sprintf('it is %.3f s ahead', $ahead));
	};
}

# The server makes IDs again, and they are as they must be after those that are
# known from before: drawn since begin, by clocks that were right.
#
# Its clock is set to half a second before the last ID of its data, a time in
# which IDs were made already; but not so far before the horizon that a call
# would not wait for it.  Returns the new IDs.
sub goes_on_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $clock, $begin, $old, $name, %params) = @_;
	my $dbname = $params{dbname} // 'postgres';
	my $history = SnowflakeHistory->new(
		layout => $node->safe_psql($dbname, 'SELECT layout FROM snowflake_status'),
		dir => $node->basedir);
	my $horizon_ms = horizon_ms($node, $dbname);
	my $first = first_at_horizon($node, $dbname);
	my $last_s = $node->safe_psql($dbname,
		'SELECT extract(epoch FROM snowflake_timestamp(max(id))) FROM ids');
	my $insert = "INSERT INTO ids (g) SELECT generate_series(1, 50) RETURNING id;\n";

	# All have the same node ID.
	$history->clock_is($node_id, 0);
	$history->add_calls($node_id,
		[ join ' ', 'before', 1, $begin, history_us(), sort { $a <=> $b } @$old ]);

	my $offset = max($last_s - 0.5, $horizon_ms / 1000 - 1.8) - time;
	$history->clock_is($node_id, $offset, sub { $clock->set($offset) });

	my $from = history_us();
	my @new = split /\n/, $node->safe_psql($dbname, $insert x 40);
	$history->add_calls($node_id, [ join ' ', 'after', 1, $from, history_us(), @new ]);

	subtest $name => sub {
		cmp_ok(scalar(@$old), '>=', 1000, 'IDs from before');
		is(scalar(@new), 2000, 'IDs from after');
		history_ok($history, @$old + @new, 'none comes twice, all rise');
		cmp_ok($horizon_ms, '>', 0, 'there is a horizon');
		is(scalar(grep { $_ < $first } @new), 0, 'none is before it');
		is($node->safe_psql($dbname, 'SELECT horizon_raised_at IS NOT NULL FROM snowflake_status'),
			't', 'the status says that it was taken up');
	};
	return \@new;
}

package SnowflakeRecovery::Clients;

use PostgreSQL::Test::Utils;
use SnowflakeLoad;

sub new
{
	my ($class, $node, $count, %params) = @_;
	my $name = $params{name} // 'load';
	my $sql = $params{sql} // 'INSERT INTO ids (g) SELECT generate_series(1, 10) RETURNING id';

	return bless [ map { start_client($node, $params{dbname} // 'postgres', "$name$_", $sql, pause_us => $params{pause_us}) } 1 .. $count ],
	  $class;
}

# The IDs that the clients were given so far, by transactions that they know to
# be committed; of each file from that place on, where one is given.
sub ids
{
	my ($self, %begin) = @_;
	my @ids;

	foreach my $file (grep { -e } map { $_->file } @$self)
	{
		# client, order, begin, end; the last line may not be there wholly yet.
		push @ids, map { my (undef, undef, undef, undef, @of_call) = split; @of_call }
		  slurp_file($file, $begin{$file}) =~ /^(.*)\n/mg;
	}
	return \@ids;
}

# Wait for that many more than there were.
sub wait_for_more
{
	my ($self, $count) = @_;
	my %begin = map { $_->file => (-s $_->file) // 0 } @$self;

	return SnowflakeRecovery::poll_until(sub { @{ $self->ids(%begin) } >= $count }, "$count more IDs");
}

# What the clients heard of errors.
sub errors
{
	my ($self) = @_;

	return join '', map { $_->errors } @$self;
}

sub stop
{
	my ($self) = @_;

	$_->stop foreach @$self;
	return;
}

1;
