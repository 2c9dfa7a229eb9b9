# WAL cannot be written while the horizon is extended: the directory became
# read-only, the disk is full, or a file may not grow.  PostgreSQL then stops
# all of the server (PANIC).  No ID may have been handed out that the horizon
# on disk does not cover, and once there is room again the server goes on
# without a duplicate, although its clock was set back meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

# A small disk that can be full is a tmpfs of our own, in a namespace where an
# ordinary user may mount.  It needs nothing but a directory to be hidden.
my $disk;

BEGIN
{
	my @unshare = qw(unshare --user --mount --map-current-user --keep-caps);
	my $mount = 'mount -t tmpfs -o size=16m,mode=1777 snowflake_test /mnt';

	if ($ENV{SNOWFLAKE_TEST_DISK})
	{
		$disk = '/mnt';
	}
	elsif (!$^C && system("@unshare $mount >/dev/null 2>&1") == 0)
	{
		$ENV{SNOWFLAKE_TEST_DISK} = 1;
		exec @unshare, 'sh', '-c', "$mount && " . 'exec setpriv --ambient-caps=-all --inh-caps=-all "$@"',
		  'sh', $^X, map({ "-I$_" } @INC), $0, @ARGV;
	}
}

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;

my $behind = 3600;

# Draws IDs and writes nothing.
my $reader = 'SELECT snowflake_next() FROM generate_series(1, 10)';

# Wants a new file of WAL, of a server that may stop meanwhile.  Not by psql(),
# which gives psql its statement as input: where psql is refused it leaves before
# it has read that, and now and then takes the test along by a broken pipe.
sub need_wal
{
	my ($node) = @_;
	my @psql = ($node->installed_command('psql'), '-X', '-q', '-d', $node->connstr('postgres'));

	IPC::Run::run([ @psql, '-c', 'SELECT pg_switch_wal(), pg_current_xact_id()' ], '>', \my $out, '2>', \my $err);
	return;
}

# break lets writing WAL fail, with this error; mend, where there is need, makes
# it possible again.
sub wal_cannot_be_written
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $clock = fake_clock($node);
	my $is_up = sub { -e $node->data_dir . '/postmaster.pid' };

	# Small segments, so that the next one is needed soon; a short horizon, so
	# that it is extended often.
	$node->init(extra => [ '--wal-segsize=1', @{ $params{initdb} // [] } ]);
	$node->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'snowflake'",
		'snowflake.node_id = 1', 'snowflake.horizon = 100ms', 'min_wal_size = 2MB'));
	$clock->start;
	create_ids($node);

	my $begin = history_us();
	my $writers = start_clients($node, 1, name => 'writer');
	$writers->wait_for_more(1000);
	poll_until(sub { history_us() > $begin + 1_200_000 }, 'time to pass');
	$writers->stop;

	# Sessions that need WAL only for the horizon.
	my $readers = start_clients($node, 1, name => 'reader', sql => $reader);
	$readers->wait_for_more(100);
	my $log_size = -s $node->logfile;
	$params{break}->($node);
	poll_until(
		sub {
			need_wal($node) if $params{mend};
			return !$is_up->();
		},
		'the server to stop');
	$node->_update_pid(0);
	$readers->stop;
	like(slurp_file($node->logfile, $log_size) . $readers->errors,
		qr/PANIC: .* $params{error}/, "$name: it is said why the server stops");

	# Without room it does not start either, and that makes nothing worse.
	if ($params{mend})
	{
		$log_size = -s $node->logfile;
		ok(!$node->start(fail_ok => 1), "$name: no start before it is mended");
		like(slurp_file($node->logfile, $log_size),
			qr/(?:FATAL|PANIC):  $params{error}/, "$name: with the same reason");
		$params{mend}->($node);
	}

	$clock->set(-$behind);
	$clock->start;
	my $old = [ @{ ids_in($node) }, @{ $readers->ids } ];
	my $last = max(@$old);
	is( $node->safe_psql('postgres',
			"SELECT snowflake_timestamp($last) < to_timestamp(last_value / 1000.0) FROM snowflake_horizon"),
		't', "$name: all IDs that were handed out are below the horizon");
	horizon_refuses($node, -$behind, "$name: refused while the clock is behind");
	goes_on_ok($node, $clock, $begin, $old, "$name: goes on above the horizon");
	$node->stop;
	return;
}

sub set_mode
{
	my ($mode, $file) = @_;

	chmod $mode, $file or die "could not change the mode of $file: $!\n";
	return;
}

# Whoever comes first to where a new file is needed.
wal_cannot_be_written(
	'read_only',
	break => sub { set_mode(0500, $_[0]->data_dir . '/pg_wal') },
	mend => sub { set_mode(0700, $_[0]->data_dir . '/pg_wal') },
	error => qr/could not create file "pg_wal\/[^"]+": Permission denied/);

SKIP:
{
	skip 'an ordinary user cannot mount a disk here: unshare --user --mount failed', 6 unless $disk;

	wal_cannot_be_written(
		'full',
		initdb => ["--waldir=$disk/pg_wal"],
		break => sub {
			open my $file, '>', "$disk/filler" or die "could not write $disk/filler: $!\n";
			while (syswrite $file, ' ' x 65536) { }
			close $file;
		},
		mend => sub { unlink "$disk/filler" or die "could not remove $disk/filler: $!\n" },
		error => qr/could not write to file "pg_wal\/[^"]+": No space left on device/);
}

# Only for the session that extends the horizon, so it is that which fails.  It
# cannot even write to the server's log any more; its client hears of it.
wal_cannot_be_written(
	'limit',
	break => sub {
		my ($node) = @_;
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query = '$reader;'");

		system_or_bail('prlimit', '--pid', $pid, '--fsize=0:');
	},
	error => qr/could not write to log file .*: File too large/);

done_testing();
