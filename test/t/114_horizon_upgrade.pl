# pg_upgrade to a newer major version, in each of its ways to take over the
# files.  The new server has the horizon and the layout of the old one's IDs,
# and with its clock behind issues nothing below.
#
# It needs a second, newer PostgreSQL with the library beside the one under
# test: SNOWFLAKE_NEW_BINDIR names its bin directory, otherwise it is looked for
# where Debian has it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;

my $behind = 3600;

my $words = q{SELECT h.last_value, h.is_called, f.last_value, f.is_called, e.last_value, e.is_called
	FROM snowflake_horizon h, snowflake_layout_fields f, snowflake_layout_epoch e};
my @settings = ("shared_preload_libraries = 'snowflake'", 'snowflake.node_id = 1',
	q{snowflake.epoch = '2020-02-02'});

# Major version of the programs in a directory, 0 where there are none.
sub version_in
{
	my ($bindir) = @_;

	return 0 unless -x "$bindir/pg_upgrade" && -x "$bindir/pg_config";
	my ($version) = `$bindir/pg_config --version` =~ /^PostgreSQL (\d+)/;
	return $version // 0;
}

chomp(my $old_bindir = `pg_config --bindir`);
my @newer =
  grep { version_in($_) > version_in($old_bindir) }
  defined $ENV{SNOWFLAKE_NEW_BINDIR} ? $ENV{SNOWFLAKE_NEW_BINDIR} : glob('/usr/lib/postgresql/*/bin');
plan skip_all => 'no PostgreSQL newer than ' . version_in($old_bindir) . ' was found; set SNOWFLAKE_NEW_BINDIR'
  unless @newer;

# A minor release may bring what an earlier one of a newer major cannot take:
# that is not for this test, but it must not hide a failure of ours either.  So a
# cluster with a table and nothing of the extension goes first.
sub can_upgrade
{
	my ($new_bindir) = @_;
	my $name = 'plain_' . version_in($new_bindir);
	my $from = PostgreSQL::Test::Cluster->new("${name}_old");
	my $to = PostgreSQL::Test::Cluster->new("${name}_new", install_path => $new_bindir =~ s,/bin/*$,,r);

	$_->init(extra => ['--data-checksums']) foreach $from, $to;
	$from->start;
	$from->safe_psql('postgres', 'CREATE TABLE t (id bigint PRIMARY KEY)');
	$from->stop;
	my ($stdout, $stderr) = run_command(
		[
			"$new_bindir/pg_upgrade", '--no-sync', '-b', $old_bindir, '-B', $new_bindir,
			'-d', $from->data_dir, '-D', $to->data_dir,
			'-s', $to->host, '-p', $from->port, '-P', $to->port
		]);
	return 1 if $stdout =~ /^Upgrade Complete/m;
	note $stdout, $stderr;
	return 0;
}

# pg_upgrade writes to where it is called.
chdir $PostgreSQL::Test::Utils::tmp_check or die "could not change the directory: $!\n";

my ($new_bindir, @cannot);
foreach my $bindir (sort { version_in($b) <=> version_in($a) } @newer)
{
	chomp(my $pkglibdir = `$bindir/pg_config --pkglibdir`);
	if (!-e "$pkglibdir/snowflake.so")
	{
		push @cannot, "the library is not installed in $pkglibdir";
	}
	elsif (!can_upgrade($bindir))
	{
		push @cannot, 'PostgreSQL itself does not upgrade to ' . version_in($bindir);
	}
	else
	{
		$new_bindir = $bindir;
		last;
	}
}
plan skip_all => join '; ', @cannot unless defined $new_bindir;
note $_ foreach @cannot;
(my $new_path = $new_bindir) =~ s,/bin/*$,,;
note version_in($old_bindir) . ' to ' . version_in($new_bindir);

# Both with checksums, which newer versions have unless told otherwise.
my $old = PostgreSQL::Test::Cluster->new('old');
$old->init(extra => ['--data-checksums']);
$old->append_conf('postgresql.conf', join("\n", @settings));
fake_clock($old)->start;
create_ids($old);
my $begin = history_us();
my $clients = start_clients($old, 1);
$clients->wait_for_more(1000);
poll_until(sub { history_us() > $begin + 1_200_000 }, 'time to pass');
$clients->stop;
my $values = $old->safe_psql('postgres', $words);
like($values, qr/^\d{13}\|t\|\d+\|t\|1580601600000\|t$/, 'horizon and layout of the old server');
$old->stop;

my @ways = ('--copy', '--link', version_in($new_bindir) >= 18 ? '--swap' : ());
foreach my $way (@ways)
{
	(my $name = $way) =~ s/^--//;
	my $new = PostgreSQL::Test::Cluster->new("new_$name", install_path => $new_path);
	my $data = $old->basedir . "/$name";

	# All but --copy use up the old server's files.
	PostgreSQL::Test::RecursiveCopy::copypath($old->data_dir, $data);
	chmod 0700, $data;
	$new->init(extra => ['--data-checksums']);
	$new->append_conf('postgresql.conf', join("\n", @settings));
	command_ok(
		[
			"$new_bindir/pg_upgrade", '--no-sync', $way,
			'-b', $old_bindir, '-B', $new_bindir, '-d', $data, '-D', $new->data_dir,
			'-s', $new->host, '-p', $old->port, '-P', $new->port
		],
		"pg_upgrade $way");

	my $clock = fake_clock($new);
	$clock->set(-$behind);
	$clock->start;
	is($new->safe_psql('postgres', $words), $values, "$way: horizon and layout are those of the old server");
	horizon_refuses($new, -$behind, "$way: refused while the clock is behind");
	goes_on_ok($new, $clock, $begin, ids_in($new), "$way: goes on above the horizon");

	# The extension's tables are still known to be carried by a dump.
	my ($dump) = run_command([ "$new_bindir/pg_dump", '-d', $new->connstr('postgres') ]);
	is(() = $dump =~ /^SELECT pg_catalog\.setval\('public\.snowflake_\w+', \d+, true\);$/mg, 3,
		"$way: the next dump sets the words, too");
	unlike($dump, qr/^(?:GRANT|REVOKE|ALTER|CREATE SEQUENCE)\b.*snowflake/m,
		"$way: and changes nothing else of the extension");

	if ($way eq '--copy')
	{
		$new->append_conf('postgresql.conf', q{snowflake.epoch = '2020-02-03'});
		$clock->restart;
		fails_with($new, 'SELECT snowflake_next()', 'SF005',
			[qr/the IDs of this database have another layout than this server/],
			"$way: a server with another epoch is refused");
	}
	$new->stop;
}

done_testing();
