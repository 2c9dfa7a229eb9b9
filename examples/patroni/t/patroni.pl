# A primary and two standbys under Patroni, with ZooKeeper, while clients insert
# on the primary wherever it is: the server is killed, Patroni is killed and its
# server lives on, both are killed, the host is cut off.  The members' clocks are
# up to 2 s apart.
#
# With a node ID for each member, its own or leased, no ID comes twice, although
# two of them take themselves for the primary for a while, and synchronous
# replication loses nothing that was acknowledged.  Each ID is from the member
# that was asked, and where node IDs are leased, of a time for which that member
# had the node ID by ZooKeeper's own log.  With one node ID for all, IDs come
# twice.

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
use SnowflakeLease qw(history_of_leases_ok);
use SnowflakeLoad;
use SnowflakeZooKeeper qw(ensemble_at);
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
# for the primary.  By its port each call's member is known, whatever is in the ID.
sub start_clients
{
	# Those before these added to the same files.
	unlink glob(test_dir() . '/client_*');

	my @which = (which => 'SHOW port');
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

# The IDs in these files, as far as their lines are whole.
sub ids_in
{
	my (@files) = @_;

	return map { my (undef, undef, undef, undef, @ids) = split; @ids } map { slurp_file($_) =~ /^(.*)\n/mg } @files;
}

sub count_ids
{
	return scalar(my @ids = ids_in(@_));
}

#
# Failures
#

# The member that is primary, as soon as it is the only one.
sub only_primary
{
	my ($sessions) = @_;
	my @primaries;

	poll_until(sub { @primaries = grep { is_primary($sessions->{$_}) } @members; return @primaries == 1 }, 'one primary');
	return $primaries[0];
}

# Two that take themselves for the primary: do both make IDs before the old one
# finds out?
sub side_by_side
{
	my ($sessions, $old, $new, $drawers) = @_;
	my @both = map { my $name = $_; grep { $_->file =~ /$name\z/ } @$drawers } $old, $new;
	my @before = map { count_ids(map { $_->[1] } $_->files) } @both;
	my $found = 0;

	poll_until(
		sub {
			return 1 unless is_primary($sessions->{$old});
			my @now = map { count_ids(map { $_->[1] } $_->files) } @both;
			return $found = $now[0] > $before[0] && $now[1] > $before[1];
		},
		"IDs of $old beside $new");
	note "$old and $new made IDs side by side" if $found;
	return $found ? 1 : 0;
}

# Lets the primary fail in this way, until another is primary and makes IDs, and
# brings it back.  Returns the times to the new primary and from there to its
# first ID and row, and whether the old one made IDs beside the new one.
sub fail_over
{
	my ($sessions, $kind, $drawers, $beside_each_other) = @_;

	usleep($between_s * 1_000_000);
	my $old = only_primary($sessions);
	my @others = grep { $_ ne $old } @members;
	my $failed = time;
	run_word('fail', $old, $kind);

	# It may have accepted writes from when it was last asked.  On a busy machine
	# Patroni may take the role from it again before it has done anything; then the
	# next one counts.  The first acknowledged row needs a standby, too.
	my ($new, $last_asked, $first, $row);
	until ($row)
	{
		$last_asked = time;
		undef $first;
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
		poll_until(
			sub {
				$first //= time if defined $sessions->{$new}->ask('SELECT snowflake_next()');
				$row = time
				  if $first && defined $sessions->{$new}->ask(q{INSERT INTO orders (item) VALUES ('probe 1') RETURNING id});
				return $row || !is_primary($sessions->{$new});
			},
			'the first ID and row of the new primary', 10_000);
		note "$new was the primary for a moment only" unless $row;
	}

	my $beside = is_primary($sessions->{$old}) ? side_by_side($sessions, $old, $new, $drawers) : 0;
	$beside_each_other->($old, $new) if $beside_each_other;
	usleep($between_s * 1_000_000);
	run_word('mend', $old);

	note sprintf '%-8s %s to %s: primary after %.2f s, first ID %.3f s later, first row %.3f s later',
	  $kind, $old, $new, $last_asked - $failed, $first - $last_asked, $row - $last_asked;
	return ($last_asked - $failed, $first - $last_asked, $row - $last_asked, $beside);
}

#
# A node ID for each
#

# What a member is in the history: its node ID, or its name where it leases that.
sub known_as
{
	my ($server, $leased) = @_;

	return $leased ? $server->name : $server->node_id;
}

# The calls of a client, and its rows in the table, by the member that it was
# connected to.
sub add_client
{
	my ($history, $client, $rows, $leased) = @_;
	my %at = map { $_->port => $_ } map { server($_) } @members;

	foreach ($client->files)
	{
		my ($port, $file) = @$_;
		my $member = known_as($at{$port}, $leased);
		my %calls = map { (split)[1] => 1 } slurp_file($file) =~ /^(.*)\n/mg;

		$history->add_calls($member, $file);
		$history->add_recorded($member, [ grep { $calls{ (split)[1] } } @$rows ]);
	}
	return;
}

sub check_history
{
	my ($leased, $clients, $rows) = @_;
	my @servers = map { server($_) } @members;
	my $least = load_seconds() * 50;
	my $name = 'no ID came twice, over all members';
	my $history = SnowflakeHistory->new(
		layout => $servers[0]->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
		dir => $servers[0]->basedir,
		lead_s => $lead_s);

	foreach my $server (@servers)
	{
		$history->leased($server->name) if $leased;
		$history->clock_is(known_as($server, $leased), $ahead{ $server->name });
	}
	foreach my $client (@$clients)
	{
		my ($client_name) = $client->file =~ /client_(\w+)\z/;

		add_client($history, $client, [ grep { /^$client_name / } @$rows ], $leased);
	}
	return checked_ok($history, $least, $name) unless $leased;

	my $zookeeper = ensemble_at('patroni', map { example_dir() . "/zookeeper_$_" } @members);
	history_of_leases_ok($history, $zookeeper, \@servers, $least, $name);
	return result('IDs checked', $history->{ids});
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
	my ($writers, $drawers) = start_clients();
	my $begin = time;
	my (@to_primary, @to_id, @to_row, %beside);

	foreach my $kind (@kinds)
	{
		my ($primary, $id, $row, $beside) = fail_over(\%session, $kind, $drawers);

		push @to_primary, $primary;
		push @to_id, $id;
		push @to_row, $row;
		$beside{$kind} += $beside;
	}
	usleep($between_s * 1_000_000);
	$_->stop foreach @$writers, @$drawers;
	result("$what: load", sprintf '%.0f s', time - $begin);
	result("$what: fail-overs", scalar @kinds);
	result("$what: new primary after", sprintf 'at most %.1f s', max(@to_primary));
	result("$what: first ID of a new primary", sprintf 'at most %.3f s after it accepts writes', max(@to_id));
	result("$what: first row of a new primary", sprintf 'at most %.3f s after it accepts writes', max(@to_row));
	cmp_ok(max(@to_id), '<=', $limit_s, "$what: each new primary made its first ID in time");

	# Nobody tells a server to step down when its Patroni is dead.  When the host is
	# cut off, Patroni does, as a rule before there is another primary.
	my $killed = grep { $_ eq 'patroni' } @kinds;
	result("$what: two primaries side by side", join ', ', map { "$_: $beside{$_}" } sort keys %beside);
	is($beside{patroni}, $killed, "$what: whenever Patroni was killed, its server made IDs beside the new primary");

	my $primary = only_primary(\%session);
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
	my ($writers, $drawers) = start_clients();
	my $history = SnowflakeHistory->new(
		layout => server('n1')->safe_psql('postgres', 'SELECT layout FROM snowflake_status'),
		dir => server('n1')->basedir);

	# The new one is ahead of its clock for up to a second, and busy machines draw
	# fewer IDs; in the end both have made the same one.
	fail_over(
		\%session,
		'patroni',
		$drawers,
		sub {
			poll_until(
				sub {
					my %seen;
					return grep { $seen{$_}++ } map { ids_in(map { $_->[1] } $_->files) } @$drawers;
				},
				'an ID that came twice', 500_000);
		});
	$_->stop foreach @$writers, @$drawers;
	add_client($history, $_, [], 0) foreach @$writers, @$drawers;
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
