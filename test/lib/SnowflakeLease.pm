# What the tests of leased node IDs have in common: servers that lease, the
# ledger as it was at any time, and the history of what such servers issued,
# checked against it.

package SnowflakeLease;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use List::Util qw(max min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  lease_server
  lease_settings
  start_waiting
  start_leasing
  start_together
  stop_together
  wait_for_lease
  wait_for_state
  lease_clients
  client_errors
  lease_request
  lease_worker
  writes_of
  writes_ok
  await_id
  first_id_s
  clock_told
  fake_clock_of_worker
  freeze_server
  freeze_worker
  thaw_server
  ledger
  holders
  parse_record
  claims
  lease_history
  history_of_leases_ok
);

# Short, since the tests wait for their end; long enough for a busy machine.
our %defaults = (
	zookeeper_session_timeout => '2s',
	zookeeper_window => '3s',
	horizon => '200ms',
	max_wait => '1s');

our $root = '/snowflake/main';

#
# Servers
#

# A server that leases its node ID, not yet started.  Settings are without
# their prefix; init is for what initdb is told in addition.
sub lease_server
{
	my ($name, $hosts, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $extra = delete $settings{init};

	$node->init(defined $extra ? (extra => $extra) : ());
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'snowflake, snowflake_zookeeper'
max_connections = 30
include_if_exists 'settings.conf'});
	lease_settings($node, zookeeper_hosts => $hosts, %settings);
	keep_session($node);
	return $node;
}

# Replaces its settings, for the next start.
sub lease_settings
{
	my ($node, %settings) = @_;

	return settings($node, %defaults, %settings);
}

# Starts a server with what the tests need in it, whether or not it can have a
# node ID.
sub start_waiting
{
	my ($node) = @_;

	$node->start;
	return $node->safe_psql('postgres', q{
		CREATE EXTENSION IF NOT EXISTS snowflake_zookeeper CASCADE;
		CREATE TABLE IF NOT EXISTS ids (client text, call int, id bigint DEFAULT snowflake_next())});
}

# The same, and waits until it may make IDs.  Returns its node ID.
sub start_leasing
{
	my ($node) = @_;

	start_waiting($node);
	return wait_for_lease($node);
}

# Starts servers at the same time.  Returns how many do not start.
sub start_together
{
	my (@nodes) = @_;

	return _together('start', 1, '-w', @nodes);
}

# Stops them, the way that pg_ctl calls so.
sub stop_together
{
	my ($mode, @nodes) = @_;

	return _together('stop', 0, "-m$mode", @nodes);
}

# What PostgreSQL::Test::Cluster does for one after the other.
sub _together
{
	my ($command, $runs_then, $option, @nodes) = @_;
	my @running = map {
		IPC::Run::start(
			[
				$_->installed_command('pg_ctl'), $command, $option,
				'-t', $PostgreSQL::Test::Utils::timeout_default,
				'-D', $_->data_dir, '-l', $_->logfile
			],
			'<', \undef, '>>', "$PostgreSQL::Test::Utils::log_path/pg_ctl.log", '2>&1')
	} @nodes;
	my $failed = grep { !$_->finish } @running;

	$_->_update_pid($failed ? -1 : $runs_then) foreach @nodes;
	return $failed;
}

# Returns the state, which is to match; the server may not even run yet.
sub wait_for_state
{
	my ($node, $state) = @_;
	my $session = session($node) // keep_session($node);

	return poll_until(
		sub {
			my ($lines) = $session->ask('SELECT lease_state FROM snowflake_status');
			my $found = $lines ? $lines->[0] : undef;
			return defined $found && $found =~ /^(?:$state)$/ ? $found : undef;
		},
		$node->name . ' in state ' . $state);
}

sub wait_for_lease
{
	my ($node) = @_;

	wait_for_state($node, 'held');
	poll_until(sub { status($node, 'node_id') ne '' }, 'a node ID of ' . $node->name);
	return status($node, 'node_id');
}

# Clients that draw IDs, each call in a transaction of its own.  They leave the
# processors to the servers, of which there are many, and to ZooKeeper.
sub lease_clients
{
	my ($node, $count, %params) = @_;

	return start_clients($node, $count,
		sql => q{INSERT INTO ids (client, call) SELECT ':client', :call FROM generate_series(1, 10) RETURNING id},
		pause_us => 50_000,
		%params);
}

# The errors that clients got, with how often, but for those of a SQLSTATE.
sub client_errors
{
	my ($clients, $but) = @_;
	my $text = $clients->errors;
	my %errors;

	while ($text =~ /(ERROR:  .*)/g)
	{
		my $error = $1;
		$errors{$error}++ unless defined $but && $error =~ /^ERROR:  $but:/;
	}
	return \%errors;
}

# What a claim, an extension or a release is, in the words of the relay.
sub lease_request
{
	my ($what) = @_;
	my $ledger = '\S*/ids/\d+';
	my %match = (
		claim => "(?:set|create) $ledger .*create $ledger/holder \\(ephemeral\\)",
		extension => "^(?!.*create )(?!.*nonce none).*set $ledger version",
		release => "set $ledger version \\d+ [^;]*nonce none");

	return (request => 'set multi', match => $match{$what} // die "no such request: $what\n");
}

# The process that speaks with ZooKeeper, once it does.  The log tells: the titles
# of processes are not to be seen where valgrind runs them.
sub lease_worker
{
	my ($node) = @_;

	return poll_until(
		sub {
			my %runs = map { $_ => 1 } server_processes($node);
			my @connected = slurp_file($node->logfile) =~ /\[(\d+)\] LOG:  snowflake: connected to ZooKeeper$/mg;
			return (grep { $runs{$_} } @connected)[-1];
		},
		'the worker of ' . $node->name);
}

# An ID, as soon as the server can make one; a call that fails has waited for
# the lease already.
sub await_id
{
	my ($node) = @_;
	my $id;

	poll_until(
		sub { $node->psql('postgres', 'SELECT snowflake_next()', stdout => \$id, stderr => \my $ignored) == 0 },
		'an ID of ' . $node->name);
	return $id;
}

# Starts the server, and says how long after it was ready to accept connections
# it made its first ID; and that ID.
sub first_id_s
{
	my ($node) = @_;
	my $offset = (-s $node->logfile) // 0;

	$node->start;
	my $id = await_id($node);
	my $now = time;
	my $log = slurp_file($node->logfile, $offset);
	my ($hour, $minute, $second) =
	  $log =~ /^\S+ (\d+):(\d+):([\d.]+) .*database system is ready to accept connections/m
	  or die "the log does not say when the server was ready\n";

	# The log is in the time zone of the server, which is one of whole hours.
	my $seconds = $now - int($now / 3600) * 3600 - ($minute * 60 + $second);
	$seconds += 3600 if $seconds < -1800;
	return ($seconds, $id);
}

#
# Clocks
#

# The clock that the server tells others of, in seconds ahead of ZooKeeper's;
# empty where it tells of none.
sub clock_told
{
	my ($node) = @_;

	return session($node)->answer(q{
		SELECT extract(epoch FROM clock_offset) FROM snowflake_nodes JOIN snowflake_status USING (node_id)});
}

# Sees to it that the worker of a server under SnowflakeTest's clock sees the
# time of that clock, too, which it sets to the true time.
#
# Up to PostgreSQL 15 the postmaster starts most workers from a signal handler,
# while it waits; libfaketime takes that for a part of the wait, and lets the
# worker see the true time for ever.  One that it starts for another that has
# ended sees the faked time, but for a signal at the same moment.
sub fake_clock_of_worker
{
	my ($node, $clock) = @_;

	foreach (1 .. 10)
	{
		wait_for_lease($node);
		$clock->set(0.4);

		my $deadline = time + 3 * 2;
		while (time < $deadline)
		{
			my $told = clock_told($node);
			if ($told ne '' && abs($told - 0.4) < 0.15)
			{
				$clock->set(0);
				return;
			}
			usleep(100_000);
		}
		$clock->set(0);
		my $worker = lease_worker($node);
		kill 'TERM', $worker;
		poll_until(sub { my $new = lease_worker($node); $new && $new != $worker }, 'another worker');
	}
	die "the worker does not see the faked time\n";
}

#
# Freezing
#

# By the name of their server.
my %frozen;

# A server that is not thawed does not stop.
END
{
	kill 'CONT', map { keys %$_ } values %frozen;
}

sub _state_of
{
	my ($pid) = @_;
	my $stat = eval { slurp_file("/proc/$pid/stat") } // '';

	return $stat =~ /\) (\S) / ? $1 : '';
}

sub _freeze
{
	my ($node, @pids) = @_;

	kill 'STOP', @pids;
	$frozen{ $node->name }{$_} = 1 foreach @pids;
	poll_until(sub { !grep { _state_of($_) !~ /^[TZ]?$/ } @pids }, 'a frozen process');
	return;
}

# Stops all processes of a server where they are.
sub freeze_server
{
	my ($node) = @_;

	while (my @running = grep { !$frozen{ $node->name }{$_} } server_processes($node))
	{
		_freeze($node, @running);
	}
	return;
}

# Only the one that speaks with ZooKeeper.
sub freeze_worker
{
	my ($node) = @_;

	return _freeze($node, lease_worker($node));
}

# Lets all go on that was frozen; but => PID, not yet that one.
sub thaw_server
{
	my ($node, %params) = @_;
	my $frozen = delete $frozen{ $node->name };

	if (defined $params{but})
	{
		delete $frozen->{ $params{but} };
		$frozen{ $node->name } = { $params{but} => 1 };
	}
	kill 'CONT', keys %$frozen;
	return;
}

#
# The ledger
#

# A record as its fields, or undef where it is none.
sub parse_record
{
	my ($text, $kind) = @_;
	my ($head, @lines) = split /\n/, $text;

	return unless ($head // '') =~ /^snowflake $kind 1$/;
	return { map { /^(\w+) (.*)$/ ? ($1, $2) : () } @lines };
}

# The ledger as it is, by node ID; each entry also with its path and version.
sub ledger
{
	my ($zk, $path) = @_;
	my $tree = $zk->tree($path // $root);
	my %ledger;

	foreach my $znode (keys %$tree)
	{
		my ($node_id) = $znode =~ m{/ids/(\d+)$} or next;
		$ledger{$node_id} = {
			%{ parse_record($tree->{$znode}{data}, 'ledger') // {} },
			path => $znode,
			version => $tree->{$znode}{version},
		};
	}
	return \%ledger;
}

# The sessions that hold node IDs, by node ID.
sub holders
{
	my ($zk, $path) = @_;
	my $tree = $zk->tree($path // $root);

	return { map { m{/ids/(\d+)/holder$} ? ($1 => $tree->{$_}{owner}) : () } keys %$tree };
}

# From when on writes_ok() counts what a server writes.
sub writes_of
{
	my ($node, $zk) = @_;
	my $node_id = status($node, 'node_id');

	return { zk => $zk, node_id => $node_id, session => holders($zk)->{$node_id}, begin => time };
}

# It has written once in each third of the window, at the most.  Returns how
# often that was.
sub writes_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($writes, $window_s, $name) = @_;
	my $end = time;

	is(holders($writes->{zk})->{ $writes->{node_id} }, $writes->{session}, "$name: it is the same session");
	my $written = grep { $_->{session} eq $writes->{session} && $_->{time_ms} > $writes->{begin} * 1000 && $_->{time_ms} <= $end * 1000 }
	  $writes->{zk}->transactions;
	my $seconds = $end - $writes->{begin};
	cmp_ok($written, '<=', $seconds / ($window_s / 3) + 1,
		sprintf('%s: no more than one write in a third of the window, in %.1f s', $name, $seconds));
	return $written;
}

# All claims that were ever made, and what is wrong with the order in which the
# ledger was written.  A claim has node_id, claim, owner, nonce, low, high (as
# they were last), released, session and time_ms of its first version, and
# granted: from when, by ZooKeeper's clock, up to when IDs could be made.
#
# What is checked is what keeps the IDs of successive holders apart: a claim
# begins where the one before ends, or later; only its own holder extends it;
# only giving it back lowers its end, and a claim that was given back is over.
sub claims
{
	my ($zk, $path) = @_;
	my (@claims, @wrong, %last);
	my $begin = quotemeta($path // $root);

	foreach my $transaction ($zk->transactions)
	{
		foreach my $change (@{ $transaction->{changes} })
		{
			my ($cluster, $node_id) = $change->{path} =~ m{^$begin/([^/]+)/ids/(\d+)$} or next;
			my $what = "node ID $node_id, transaction $transaction->{zxid}";
			my $before = $last{"$cluster $node_id"};

			if ($change->{op} eq 'delete')
			{
				push @wrong, "$what: deleted";
				next;
			}
			my $record = parse_record($change->{data}, 'ledger');
			if (!$record)
			{
				push @wrong, "$what: no record";
				next;
			}
			next if $record->{retired} eq 'yes';

			if (!$before || $record->{claim} != $before->{claim})
			{
				push @wrong, "$what: claim $record->{claim} after " . ($before ? $before->{claim} : 0)
				  if $record->{claim} != ($before ? $before->{claim} + 1 : 1);
				push @wrong, "$what: claimed without a nonce" if $record->{nonce} eq 'none';
				push @wrong, "$what: claimed from $record->{low} on, where $before->{high} was the end"
				  if $before && $record->{low} < $before->{high};
				push @wrong, "$what: claimed up to $record->{high}, where $before->{high} was the end"
				  if $before && $record->{high} < $before->{high};
				push @claims,
				  {
					%$record,
					node_id => $node_id,
					session => $transaction->{session},
					time_ms => $transaction->{time_ms},
					released => 0,
					granted => [],
				  };
				$last{"$cluster $node_id"} = $claims[-1];
				_grant($claims[-1], $transaction->{time_ms}, $record->{high});
				next;
			}

			push @wrong, "$what: changed after it was given back" if $before->{released};
			push @wrong, "$what: low changed from $before->{low} to $record->{low}" if $record->{low} != $before->{low};
			if ($record->{nonce} eq 'none')
			{
				$before->{released} = 1;
				$_->[1] = min($_->[1], $record->{high}) foreach @{ $before->{granted} };
			}
			else
			{
				push @wrong, "$what: written by another than its holder" if $record->{nonce} ne $before->{nonce};
				push @wrong, "$what: end lowered from $before->{high} to $record->{high}"
				  if $record->{high} < $before->{high};
				_grant($before, $transaction->{time_ms}, $record->{high});
			}
			$before->{high} = $record->{high};
		}
	}
	return (\@claims, \@wrong);
}

# From then on IDs up to this end could be made.
sub _grant
{
	my ($claim, $from, $high) = @_;
	my $granted = $claim->{granted};

	if (@$granted && $from <= $granted->[-1][1]) { $granted->[-1][1] = $high; }
	else { push @$granted, [ max($from, $claim->{low}), $high ]; }
	return;
}

#
# Histories
#

# A history of servers that lease.  Their clocks are true, where nothing else
# is said.
sub lease_history
{
	my (@nodes) = @_;
	my $history = SnowflakeHistory->new(
		layout => status($nodes[0], 'layout'),
		dir => $nodes[0]->basedir);

	foreach my $node (@nodes)
	{
		$history->leased($node->name);
		$history->clock_is($node->name, 0);
	}
	return $history;
}

# A test: the servers issued at least that many IDs, each one within a lease
# that it had according to the ledger, and when it was written there; no lease
# overlaps another; and all else that the history checks.  Parameters: path;
# clocks_set => 1 where a server's clock was not ZooKeeper's, so that the time in
# an ID does not tell when it was made.
sub history_of_leases_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($history, $zk, $nodes, $least, $name, %params) = @_;
	my ($claims, $wrong) = claims($zk, $params{path});
	my %server = map { $_->port => $_->name } @$nodes;
	my %of_server;

	foreach my $claim (@$claims)
	{
		my ($port) = $claim->{owner} =~ m{:(\d+)/};
		my $server = $server{ $port // 0 } or die "claim of an unknown server: $claim->{owner}\n";

		$of_server{$server}++;
		$history->add_lease($server, $claim->{node_id}, @$_)
		  foreach $params{clocks_set} ? [ @$claim{qw(low high)} ] : @{ $claim->{granted} };
	}
	return subtest $name => sub {
		note scalar(@$claims) . ' claims: ' . join(', ', map { "$_ $of_server{$_}" } sort keys %of_server);
		is_deeply($wrong, [], 'the ledger was written in order');
		history_ok($history, $least, 'IDs');
	};
}

1;
