# A primary and two standbys under Patroni, with ZooKeeper, while clients insert
# on the primary wherever it is: the server is killed, Patroni is killed and its
# server lives on, both are killed, the host is cut off.  The members' clocks are
# up to 2 s apart.
#
# With a node ID for each member, its own or leased, no ID comes twice, although
# two of them take themselves for the primary for a while, and synchronous
# replication loses nothing that was acknowledged.  With one node ID for all, IDs
# come twice.

use strict;
use warnings;

use FindBin;

# Each member's host is in a network of its own, where that can be made.
BEGIN
{
	my $network = "$FindBin::RealBin/../network.sh";

	if (!defined $ENV{SNOWFLAKE_NETWORK})
	{
		$ENV{SNOWFLAKE_NETWORK} = system("$network true >/dev/null 2>&1") == 0 ? '--network' : '';
		exec $network, $^X, map({ "-I$_" } @INC), $0 if $ENV{SNOWFLAKE_NETWORK};
	}
}

use lib "$FindBin::RealBin/../../lib", "$FindBin::RealBin/../../../test/lib";

use List::Util qw(max);
use PostgreSQL::Test::Utils;
use SnowflakeExample;
use SnowflakeHistory;
use SnowflakeLoad;
use Test::More;
use Time::HiRes qw(time usleep);

my @network = split ' ', $ENV{SNOWFLAKE_NETWORK};
my @members = qw(n1 n2 n3);
my %ahead = (n1 => 0, n2 => 1, n3 => -1);
my @clocks = ('--clocks', join ' ', map { $ahead{$_} } @members);
# As run.sh sets snowflake.max_lead, so that nobody waits for these differences.
my $lead_s = 2;


# How long the load goes on before each failure, and after it.
my $between_s = 1.5;

# After it accepts writes, a new primary has made its first ID within this.
my $limit_s = 2;

#
# Sessions of the test with the members
#

package Session
{
	use IPC::Open2;

	sub new
	{
		my ($class, $server) = @_;

		return bless { server => $server }, $class;
	}

	# The first line of the answer; none while the server cannot be asked, and
	# none for an error.
	sub ask
	{
		my ($self, $sql) = @_;
		my $first;

		local $SIG{PIPE} = 'IGNORE';
		$self->{pid} //= open2($self->{out}, $self->{in}, 'sh', '-c', 'exec psql "$@" 2>/dev/null', 'psql',
			'-XAtq', '-d', $self->{server}->connstr);
		print { $self->{in} } "$sql;\n\\echo end\n";
		$self->{in}->flush;
		while (defined(my $line = readline $self->{out}))
		{
			chomp $line;
			return $first if $line eq 'end';
			$first //= $line;
		}
		$self->close;
		return;
	}

	sub close
	{
		my ($self) = @_;
		my $pid = delete $self->{pid} or return;

		CORE::close $self->{in};
		CORE::close $self->{out};
		waitpid $pid, 0;
		return;
	}
}

sub is_primary
{
	my ($session) = @_;

	return ($session->ask('SELECT pg_is_in_recovery()') // '') eq 'f';
}

#
# Clients
#

# Writers go to the primary by way of the network, as those of an application
# do.  Drawers sit on each member's host, and draw IDs as long as it takes itself
# for the primary.
sub start_clients
{
	my ($leased) = @_;

	# Those before these added to the same files.
	unlink glob(test_dir() . '/client_*');

	# A server with a node ID of its own is known by it.
	my @which = (which => $leased ? q{SELECT 'any'} : 'SHOW snowflake.node_id');
	my $primary = server_at('clients', slurp_file(example_dir() . '/for_clients') =~ s/\n\z//r);
	my @writers = map {
		start_client($primary, 'postgres', "writer$_",
			q{INSERT INTO orders (item) SELECT ':client :call' FROM generate_series(1, 1 + :call % 3) RETURNING id},
			@which)
	} 1 .. 4;
	my @drawers = map {
		start_client(server($_), 'postgres', "drawer_$_",
			'SELECT snowflake_next() FROM generate_series(1, 5) WHERE NOT pg_is_in_recovery()',
			@which)
	} @members;
	return (\@writers, \@drawers);
}

# How many IDs are in these files.
sub count_ids
{
	my (@files) = @_;
	my $count = 0;

	foreach my $file (@files)
	{
		$count += max(0, (split) - 4) foreach slurp_file($file) =~ /^(.*)\n/mg;
	}
	return $count;
}

#
# Failures
#

# Lets the primary fail in this way, until another is primary and makes IDs, and
# brings it back.  Returns the times to the new primary and from there to its
# first ID.
sub fail_over
{
	my ($sessions, $kind, $drawers) = @_;
	my ($old) = grep { is_primary($sessions->{$_}) } @members;
	my @others = grep { $_ ne $old } @members;
	my $new;

	usleep($between_s * 1_000_000);
	my $failed = time;
	run_word('fail', $old, $kind);
	my $last_asked = time;
	poll_until(
		sub {
			foreach (@others)
			{
				my $asking = time;
				return $new = $_ if is_primary($sessions->{$_});
				$last_asked = $asking;
			}
			return 0;
		},
		"a new primary after $old failed ($kind)", 10_000);

	# It may have accepted writes from when it was last asked.
	my $id;
	poll_until(sub { $id = $sessions->{$new}->ask('SELECT snowflake_next()') }, 'the first ID of the new primary', 10_000);
	my $first = time;

	# The first acknowledged row needs a standby, too.
	poll_until(sub { $sessions->{$new}->ask(q{INSERT INTO orders (item) VALUES ('probe 1') RETURNING id}) },
		'the first row of the new primary', 10_000);
	my $row = time;

	# Two that take themselves for the primary, side by side.
	if ($kind eq 'patroni' && is_primary($sessions->{$old}))
	{
		my @both = map { my $name = $_; grep { $_->file =~ /$name\z/ } @$drawers } $old, $new;
		my @before = map { count_ids(map { $_->[1] } $_->files) } @both;
		poll_until(
			sub {
				my @now = map { count_ids(map { $_->[1] } $_->files) } @both;
				return $now[0] > $before[0] && $now[1] > $before[1];
			},
			"IDs of $old beside $new");
		note "$old and $new made IDs side by side";
	}
	usleep($between_s * 1_000_000);
	run_word('mend', $old);

	note sprintf '%-8s %s to %s: primary after %.2f s, first ID %.3f s later, first row %.3f s later',
	  $kind, $old, $new, $last_asked - $failed, $first - $last_asked, $row - $last_asked;
	return ($last_asked - $failed, $first - $last_asked, $row - $last_asked);
}

#
# A node ID for each
#

# The calls of a client, and its rows in the table, by the node that made the
# IDs.  With node IDs of their own that is what the connection led to.
sub add_static
{
	my ($history, $client, $rows) = @_;

	foreach ($client->files)
	{
		my ($node, $file) = @$_;
		my %calls = map { (split)[1] => 1 } slurp_file($file) =~ /^(.*)\n/mg;

		$history->add_calls($node, $file);
		$history->add_recorded($node, [ grep { $calls{ (split)[1] } } @$rows ]);
	}
	return;
}

# With leases it is what the ID says: a server may get another one at any time.
# A call without an answer may have been of any.
sub add_leased
{
	my ($history, $client, $rows) = @_;
	my (%calls, %rows, @unanswered);

	foreach my $line (map { slurp_file($_->[1]) =~ /^(.*)\n/mg } $client->files)
	{
		my ($name, $order, $begin, $end, @ids) = split ' ', $line;
		my %ids;

		push @{ $ids{ $history->node_of($_) } }, $_ foreach @ids;
		push @{ $calls{$_} }, join ' ', $name, $order, $begin, $end, @{ $ids{$_} } foreach keys %ids;
		push @unanswered, $line unless @ids;
	}
	push @{ $rows{ $history->node_of((split)[2]) } }, $_ foreach @$rows;
	foreach my $node (keys %{ { %calls, %rows } })
	{
		$history->add_calls($node, [ @{ $calls{$node} // [] }, @unanswered ]);
		$history->add_recorded($node, $rows{$node} // []);
	}
	return keys %calls;
}

sub check_history
{
	my ($leased, $clients, $rows) = @_;
	my %nodes;
	my $history = SnowflakeHistory->new(
		layout => server('n1')->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
		dir => server('n1')->basedir,
		lead_s => $lead_s);

	if (!$leased)
	{
		$history->clock_is(server($_)->node_id, $ahead{$_}) foreach @members;
	}
	foreach my $client (@$clients)
	{
		my ($name) = $client->file =~ /client_(\w+)\z/;
		my @own = grep { /^$name / } @$rows;

		if ($leased) { $nodes{$_} = 1 foreach add_leased($history, $client, \@own); }
		else { add_static($history, $client, \@own); }
	}
	if ($leased)
	{
		my $used = join ', ', sort { $a <=> $b } keys %nodes;
		cmp_ok(scalar(keys %nodes), '>=', 2, "the members had different node IDs: $used");
	}
	return checked_ok($history, load_seconds() * 50, 'no ID came twice, over all members');
}

# The failures that can be made here.
sub kinds
{
	my ($leased) = @_;
	my @kinds = load_seconds() < 120
	  ? ($leased ? qw(patroni) : qw(server patroni network))
	  : qw(server patroni machine network patroni server network machine patroni network);

	if (!@network && grep { $_ eq 'network' } @kinds)
	{
	  SKIP:
		{
			skip 'hosts cannot be cut off: no network of our own can be made here', 1;
		}
		@kinds = map { $_ eq 'network' ? 'machine' : $_ } @kinds;
	}
	return @kinds;
}

# Rows of the writers, as a member has them.
sub rows_of
{
	my ($member) = @_;

	return recorded_in(q{SELECT item || ' ' || id FROM orders WHERE item NOT LIKE 'probe %' ORDER BY id}, server($member));
}

sub try_different_node_ids
{
	my ($leased, @options) = @_;
	my $what = $leased ? 'leased node IDs' : 'a node ID for each';
	my @kinds = kinds($leased);

	start_example(@network, @clocks, @options);
	my %session = map { $_ => Session->new(server($_)) } @members;
	my ($writers, $drawers) = start_clients($leased);
	my $begin = time;
	my (@to_primary, @to_id, @to_row);

	foreach my $kind (@kinds)
	{
		my ($primary, $id, $row) = fail_over(\%session, $kind, $drawers);

		push @to_primary, $primary;
		push @to_id, $id;
		push @to_row, $row;
	}
	usleep($between_s * 1_000_000);
	$_->stop foreach @$writers, @$drawers;
	result("$what: load", sprintf '%.0f s', time - $begin);
	result("$what: fail-overs", scalar @kinds);
	result("$what: new primary after", sprintf 'at most %.1f s', max(@to_primary));
	result("$what: first ID of a new primary", sprintf 'at most %.3f s after it accepts writes', max(@to_id));
	result("$what: first row of a new primary", sprintf 'at most %.3f s after it accepts writes', max(@to_row));
	cmp_ok(max(@to_id), '<=', $limit_s, "$what: each new primary made its first ID in time");

	my ($primary) = grep { is_primary($session{$_}) } @members;
	my $lsn = server($primary)->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
	my @rows = rows_of($primary);
	kept_ok([ map { $_->[1] } map { $_->files } @$writers ], \@rows, "$what: no acknowledged row was lost");
	foreach my $standby (grep { $_ ne $primary } @members)
	{
		server($standby)->poll_query_until('postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'");
		ok("@{[ rows_of($standby) ]}" eq "@rows", "$what: $standby has the same rows as the primary");
	}

	check_history($leased, [ @$writers, @$drawers ], \@rows);
	my %errors;
	$errors{ $1 // 'no connection' }++ foreach map { /^(?:ERROR|FATAL): +(\w{5}):|^psql: error: (?=connection)/mg }
	  map { $_->errors } @$writers, @$drawers;
	note "$what: errors: " . join ', ', map { "$_: $errors{$_}" } sort keys %errors;
	is($errors{23505} // 0, 0, "$what: no key was there already");
	$_->close foreach values %session;
	stop_example();
	return;
}

#
# One node ID for all
#
# While an old primary lives on beside the new one, nothing keeps them apart.
#

sub try_same_node_id
{
	start_example(@network, '--same-node-id');
	my %session = map { $_ => Session->new(server($_)) } @members;
	my ($writers, $drawers) = start_clients(0);
	my $history = SnowflakeHistory->new(
		layout => server('n1')->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
		dir => server('n1')->basedir);

	fail_over(\%session, 'patroni', $drawers);
	$_->stop foreach @$writers, @$drawers;
	foreach my $client (@$writers, @$drawers)
	{
		$history->add_calls($_->[0], $_->[1]) foreach $client->files;
	}
	my $found = $history->check->{found};
	cmp_ok($found->{duplicate}, '>', 0, 'one node ID for all: IDs come twice');
	note "$found->{duplicate} did";
	$_->close foreach values %session;
	stop_example();
	return;
}

try_different_node_ids(0);
try_same_node_id();

my $library = `pg_config --pkglibdir` =~ s/\n\z//r . '/snowflake_zookeeper.so';
SKIP:
{
	skip "leased node IDs: $library is not there", 1 unless -e $library;
	try_different_node_ids(1, '--leased');
}

done_testing();
