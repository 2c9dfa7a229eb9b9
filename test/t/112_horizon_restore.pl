# What was restored from a base backup, recovered to a point in time, or
# rewound after a failover has the horizon that belongs to its data.  With the
# clock of the restored server behind, it issues nothing below that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;

my $behind = 3600;

# When the first IDs were made.
my $begin;

# Clients that have drawn for so long that the clock of what is restored from
# now comes to show a time in which IDs were made.
sub wait_for_load
{
	my ($clients) = @_;
	my $since = history_us();

	$clients->wait_for_more(1000);
	return poll_until(sub { history_us() > $since + 1_200_000 }, 'time to pass');
}

sub wait_out_of_recovery
{
	my ($node) = @_;

	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
	  or die 'recovery does not end';
	return;
}

# A restored server whose clock is behind: refused, then made.
sub restored_goes_on
{
	my ($node, $clock, $name) = @_;

	horizon_refuses($node, -$behind, "$name: refused while the clock is behind");
	goes_on_ok($node, $clock, $begin, ids_in($node), "$name: goes on above the horizon");
	return;
}

my $origin = PostgreSQL::Test::Cluster->new('origin');
$origin->init(has_archiving => 1, allows_streaming => 1);
$origin->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'snowflake'",
	'snowflake.node_id = 1', 'wal_log_hints = on', 'wal_keep_size = 256MB', 'hot_standby = on'));
my $origin_clock = fake_clock($origin);
$origin_clock->start;
create_ids($origin);
$begin = history_us();

#
# A base backup that is taken under load, and one moment between its end and
# that of the server
#

my $clients = start_clients($origin, 2);
wait_for_load($clients);
$origin->backup('base');
my $in_backup = @{ $clients->ids };
wait_for_load($clients);
my $moment = $origin->safe_psql('postgres', 'SELECT clock_timestamp()');
$clients->wait_for_more(1000);
my $segment = $origin->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$origin->safe_psql('postgres', 'SELECT pg_switch_wal()');
poll_until(sub { -e $origin->archive_dir . "/$segment" }, 'the WAL to be archived');
kill_server($origin);
$clients->stop;

{
	my $node = PostgreSQL::Test::Cluster->new('restored');

	$node->init_from_backup($origin, 'base');
	$node->append_conf('postgresql.conf', 'archive_mode = off');
	my $clock = fake_clock($node);
	$clock->set(-$behind);
	$clock->start;
	wait_out_of_recovery($node);
	cmp_ok(scalar(@{ ids_in($node) }), '<', scalar(@{ $clients->ids }), 'base backup: rows were lost');
	restored_goes_on($node, $clock, 'base backup');
	$node->stop;
}

{
	my $node = PostgreSQL::Test::Cluster->new('recovered');

	$node->init_from_backup($origin, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', join("\n", 'archive_mode = off',
		"recovery_target_time = '$moment'", 'recovery_target_action = promote'));
	my $clock = fake_clock($node);
	$clock->set(-$behind);
	$clock->start;
	wait_out_of_recovery($node);
	is($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE snowflake_timestamp(id) > '$moment') FROM ids"),
		0, 'point in time: later rows are gone');
	cmp_ok(scalar(@{ ids_in($node) }), '>=', $in_backup + 1000, 'point in time: earlier rows are there');
	restored_goes_on($node, $clock, 'point in time');
	$node->stop;
}

#
# Failover, the old primary is rewound, and takes over again
#

{
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	my $data = $origin->data_dir;

	$origin_clock->start;
	$standby->init_from_backup($origin, 'base', has_streaming => 1);
	$standby->append_conf('postgresql.conf', 'archive_mode = off');
	fake_clock($standby)->start;
	$origin->wait_for_catchup($standby);

	# The primary goes on without the standby until its horizon is past all
	# that the standby knows.
	$standby->safe_psql('postgres', q{ALTER SYSTEM SET primary_conninfo = ''});
	$standby->reload;
	$standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver')
	  or die 'the standby still receives';
	$clients = start_clients($origin, 1, name => 'diverging');
	$clients->wait_for_more(1000);
	$standby->promote;
	$clients->wait_for_more(1000);
	kill_server($origin);
	$clients->stop;

	$standby->safe_psql('postgres', 'ALTER SYSTEM RESET primary_conninfo');
	$clients = start_clients($standby, 2);
	wait_for_load($clients);

	$standby->safe_psql('postgres', 'CHECKPOINT');
	copy("$data/postgresql.conf", $origin->basedir . '/saved.conf') or die "could not copy: $!\n";
	command_ok(
		[ 'pg_rewind', '--no-sync', '-D', $data, '--source-server', $standby->connstr('postgres') ],
		'pg_rewind');
	copy($origin->basedir . '/saved.conf', "$data/postgresql.conf") or die "could not copy: $!\n";
	$origin->enable_streaming($standby);
	$origin_clock->set(-$behind);
	$origin_clock->start;
	$standby->wait_for_catchup($origin);

	kill_server($standby);
	$clients->stop;
	$origin->promote;
	restored_goes_on($origin, $origin_clock, 'rewind');
	$origin->stop;
}

done_testing();
