# Failover to a standby whose clock is behind the primary's.  The promoted
# server has the horizon in its data and issues nothing below it; what a
# failover loses, and what a static node ID cannot protect from, is shown, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;

my $behind = 30;

# Of load before the primary dies, so that the promoted server's clock comes to
# show a time in which IDs were made.
my $least_load_us = 1_500_000;

# All servers begin as copies of this one.
my $origin = snowflake_node('origin', 'snowflake.node_id = 1', 'wal_level = replica',
	'max_wal_senders = 5', 'hot_standby = on', 'wal_receiver_status_interval = 1');
$origin->start;
create_ids($origin);
$origin->backup('base');
$origin->stop;

# A primary and its standby, each with its own clock.
sub start_pair
{
	my ($name) = @_;
	my $primary = PostgreSQL::Test::Cluster->new("${name}_primary");
	my $standby = PostgreSQL::Test::Cluster->new("${name}_standby");

	$primary->init_from_backup($origin, 'base');
	my $primary_clock = fake_clock($primary);
	$primary_clock->start;

	$standby->init_from_backup($origin, 'base');
	$standby->enable_streaming($primary);
	my $standby_clock = fake_clock($standby);
	$standby_clock->set(-$behind);
	$standby_clock->start;
	$primary->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'})
	  or die 'the standby does not stream';
	return ($primary, $standby, $standby_clock);
}

# The standby gets no more WAL.
sub cut_replication
{
	my ($standby) = @_;

	$standby->safe_psql('postgres', q{ALTER SYSTEM SET primary_conninfo = ''});
	$standby->reload;
	$standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver')
	  or die 'the standby still receives';
	return;
}

sub ticks_of
{
	my ($ids) = @_;
	my %ticks = map { ($_ >> 22) => 1 } @$ids;

	return [ keys %ticks ];
}

#
# Asynchronous: the primary dies with WAL that the standby does not have
#

{
	my ($primary, $standby, $clock) = start_pair('async');
	my $begin = history_us();
	my $clients = start_clients($primary, 2,
		sql => 'INSERT INTO ids (g) SELECT generate_series(1, 50) RETURNING id');

	$clients->wait_for_more(1000);
	fails_with($standby, 'SELECT snowflake_next()', '25006',
		[qr/cannot execute snowflake_next\(\) during recovery/], 'no ID on a standby');
	is(status($standby, q{horizon > clock_timestamp() + '25 s'}), 't', 'the standby sees the horizon');
	poll_until(sub { history_us() > $begin + $least_load_us }, 'time to pass');
	cut_replication($standby);
	poll_past(horizon_ms($standby));
	$clients->wait_for_more(1000);
	kill_server($primary);
	$clients->stop;

	$standby->promote;
	my $survived = ids_in($standby);
	my $given = $clients->ids;
	cmp_ok(ids_in_both($survived, $given), '<', scalar(@$given), 'asynchronous: committed rows were lost');
	horizon_refuses($standby, -$behind, 'asynchronous: refused while the clock is behind');
	my $first = first_at_horizon($standby);
	my $new = goes_on_ok($standby, $clock, $begin, $survived, 'asynchronous: goes on above the horizon');

	# Nothing that survived knows of these.
	cmp_ok(scalar(grep { $_ >= $first } @$given), '>', 0,
		'asynchronous: IDs that were lost with their rows can come again');
	note ids_in_both($given, $new) . ' did';
	$standby->stop;
}

#
# Synchronous: what was committed is on the standby, and so is its horizon
#

{
	my ($primary, $standby, $clock) = start_pair('sync');
	my $begin = history_us();

	$primary->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = '*'});
	$primary->reload;
	$primary->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'})
	  or die 'the standby is not synchronous';

	my $writers = start_clients($primary, 2, name => 'writers');
	$writers->wait_for_more(1000);
	poll_until(sub { history_us() > $begin + $least_load_us }, 'time to pass');

	# Without the standby no commit is told any more, but a transaction that
	# wrote nothing has nothing to wait for.
	cut_replication($standby);
	my $readers = start_clients($primary, 1, name => 'readers',
		sql => 'SELECT snowflake_next() FROM generate_series(1, 50)');
	$readers->wait_for_more(1000);
	poll_past(horizon_ms($standby));
	$readers->wait_for_more(1000);
	kill_server($primary);
	$_->stop foreach $writers, $readers;

	$standby->promote;
	my $survived = ids_in($standby);
	my $given = $writers->ids;
	is(ids_in_both($survived, $given), scalar(@$given),
		'synchronous: no row was lost that was told to be committed');
	horizon_refuses($standby, -$behind, 'synchronous: refused while the clock is behind');
	my $first = first_at_horizon($standby);
	my $new = goes_on_ok($standby, $clock, $begin, $survived, 'synchronous: goes on above the horizon');

	cmp_ok(scalar(grep { $_ >= $first } @{ $readers->ids }), '>', 0,
		'synchronous: IDs of transactions that wrote nothing can come again');
	note ids_in_both($readers->ids, $new) . ' did';
	$standby->stop;
}

#
# The old primary is still there
#
# With one node ID for both, nothing that a server knows could help.  With a
# node ID of its own for each, nothing has to.
#

{
	my ($primary, $standby, $clock) = start_pair('alive');
	my $old = start_clients($primary, 1);

	$clock->set(0);
	$standby->promote;
	my $new = start_clients($standby, 1);
	poll_until(sub { ids_in_both($old->ids, $new->ids) > 0 }, 'IDs of both servers at a time');
	pass('old primary alive, same node ID: IDs come twice');
	note ids_in_both($old->ids, $new->ids) . ' of them';

	$standby->append_conf('postgresql.conf', 'snowflake.node_id = 2');
	$clock->restart;
	$new->stop;
	$new = start_clients($standby, 1, name => 'own_node_id');
	poll_until(sub { ids_in_both(ticks_of($old->ids), ticks_of($new->ids)) >= 100 },
		'ticks in which both servers made IDs');
	is(status($standby, 'node_id'), 2, 'the promoted server has a node ID of its own');
	$_->stop foreach $old, $new, $primary, $standby;
	is(ids_in_both($old->ids, $new->ids), 0, 'old primary alive, node ID of its own: no ID comes twice');
	note ids_in_both(ticks_of($old->ids), ticks_of($new->ids)) . ' common ticks';
}

done_testing();
