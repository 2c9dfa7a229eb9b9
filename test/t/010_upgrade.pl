# The chain of SQL scripts: what the newest script installs is what an older one
# and the updates bring about, object by object, for both extensions.  And what a
# database says whose SQL objects are of another version than the library.
#
# While there is only one version, made-up ones show that this finds what it is
# to find.  They are installed into a copy of the server's programs, since the
# server looks for scripts beside its own program.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my ($version) = slurp_file("$top/snowflake.control") =~ /^default_version = '(.+)'$/m;

sub config
{
	my ($what) = @_;

	chomp(my $value = `pg_config --$what`);
	return $value;
}

#
# All of the scripts are installed
#

my @scripts = map { basename($_) } glob("$top/sql/snowflake--*.sql");
my @module_scripts = map { basename($_) } glob("$top/sql/snowflake_zookeeper--*.sql");
# The module is built where the client of ZooKeeper is.
my $module = -e config('pkglibdir') . '/snowflake_zookeeper.so';
foreach my $script (@scripts, $module ? @module_scripts : ())
{
	my $installed = config('sharedir') . "/extension/$script";

	is(-e $installed ? slurp_file($installed) : undef, slurp_file("$top/sql/$script"), "$script is installed");
}

#
# A server that has made-up versions, too
#

my $copy = abs_path(PostgreSQL::Test::Utils::tempdir());
my ($bindir, $sharedir, $pkglibdir) = map { $copy . config($_) } qw(bindir sharedir pkglibdir);

# What looks for other files looks beside itself, and through symbolic links.
make_path($bindir, "$sharedir/extension", dirname($pkglibdir));
foreach my $program (glob(config('bindir') . '/*'))
{
	my $to = "$bindir/" . basename($program);

	if (basename($program) =~ /^(?:postgres|pg_ctl|initdb)\b/)
	{
		copy($program, $to) or die "could not copy $program: $!\n";
		chmod 0755, $to;
	}
	else
	{
		symlink $program, $to or die "could not make $to: $!\n";
	}
}
symlink(config('pkglibdir'), $pkglibdir) or -e $pkglibdir or die "could not make $pkglibdir: $!\n";
foreach my $file (glob(config('sharedir') . '/* ' . config('sharedir') . '/extension/*'))
{
	my $to = $copy . $file;

	next if -e $to;
	symlink $file, $to or die "could not make $to: $!\n";
}

sub write_script
{
	my ($name, $text, $extension) = @_;

	append_to_file("$sharedir/extension/" . ($extension // 'snowflake') . "--$name.sql", $text);
	return;
}

my $objects = slurp_file("$top/sql/snowflake--$version.sql");

# What comes with version 99.0.1, in pieces that can be left out.
my %news = (
	function => q{
CREATE FUNCTION snowflake_made_up(id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT id';
},
	comment => q{COMMENT ON FUNCTION snowflake_made_up(bigint) IS 'made up for a test';
},
	right => q{REVOKE ALL ON FUNCTION snowflake_made_up(bigint) FROM PUBLIC;
},
	marking => q{ALTER FUNCTION snowflake_lower(timestamptz) COST 7;
},
	sequence => q{CREATE SEQUENCE snowflake_made_up_word;
},
	dumped => q{SELECT pg_catalog.pg_extension_config_dump('snowflake_made_up_word', '');
},
	view => q{CREATE VIEW snowflake_made_up_view AS SELECT snowflake_made_up(1) AS id;
});
my @pieces = qw(function comment right marking sequence dumped view);
my $echo = "\\echo Use \"ALTER EXTENSION snowflake UPDATE\" to load this file. \\quit\n";

write_script('99.0.1', $objects . join('', @news{@pieces}));
write_script("$version--99.0.1", $echo . join('', @news{@pieces}));

# One that forgets a piece, each with its own end; the full script forgets nothing.
foreach my $forgotten (grep { $_ !~ /^(?:function|sequence)$/ } @pieces)
{
	write_script("99.1-$forgotten", $objects . join('', @news{@pieces}));
	write_script("$version--99.1-$forgotten", $echo . join('', map { $_ eq $forgotten ? '' : $news{$_} } @pieces));
}

# An older one, to the first of ours.
write_script('0.0.9', $objects);
write_script("0.0.9--$version", $echo);

# The module, likewise.
my %module_news = (
	function => q{
CREATE FUNCTION snowflake_zookeeper_made_up(id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT id';
COMMENT ON FUNCTION snowflake_zookeeper_made_up(bigint) IS 'made up for a test';
},
	right => q{REVOKE ALL ON FUNCTION snowflake_zookeeper_made_up(bigint) FROM PUBLIC;
},
	column => q{COMMENT ON COLUMN snowflake_nodes.host IS 'made up for a test';
});
my @module_pieces = qw(function right column);

if ($module)
{
	my $text = slurp_file("$top/sql/snowflake_zookeeper--$version.sql");
	my $update = "\\echo Use \"ALTER EXTENSION snowflake_zookeeper UPDATE\" to load this file. \\quit\n";

	foreach my $forgotten ('nothing', qw(right column))
	{
		write_script("99.0.1-$forgotten", $text . join('', @module_news{@module_pieces}), 'snowflake_zookeeper');
		write_script("$version--99.0.1-$forgotten",
			$update . join('', map { $_ eq $forgotten ? '' : $module_news{$_} } @module_pieces), 'snowflake_zookeeper');
	}
}

my $node = PostgreSQL::Test::Cluster->new('main', install_path => dirname($bindir));
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'snowflake'\nsnowflake.node_id = 1");
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extension_versions
	WHERE name = 'snowflake' AND version = '99.0.1'}), 1, 'the server has the made-up versions');

#
# Comparing
#

# The objects of the extensions in a database, as definitions with comments and
# rights, and what those of one depend on.
sub installed
{
	my ($dbname, $extension) = @_;
	my ($dump, $stderr) = run_command(
		[
			config('bindir') . '/pg_dump', '--binary-upgrade', '--schema-only', '-d', $node->connstr($dbname)
		]);
	my ($members) = $dump =~ /binary_upgrade_create_empty_extension/;

	die "pg_dump: $stderr\n" unless defined $members;

	# OIDs are never the same; the extension itself is asked for below.
	$dump =~ s/^-- For binary upgrade, .*?\n(?=\n)//msg;
	$dump =~ s/^SELECT pg_catalog\.binary_upgrade_\w+\(.*?\);\n//msg;
	$dump =~ s/^\\(?:un)?restrict .*\n//mg;
	my @objects = sort grep { !/^-- Name: \w+; Type: (?:DATABASE|DATABASE PROPERTIES);/ } split /^--\n(?=-- Name: )/m, $dump;

	return join '', @objects, $node->safe_psql($dbname, qq{
		SELECT e.extrelocatable, e.extconfig::regclass[], e.extcondition
		FROM pg_extension e WHERE e.extname = '$extension';
		SELECT o.type, o.identity, d.deptype, r.type, r.identity
		FROM pg_depend d,
			pg_identify_object(d.classid, d.objid, d.objsubid) o,
			pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) r
		WHERE EXISTS (SELECT FROM pg_depend m
			WHERE m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'e' AND
				m.refobjid = (SELECT oid FROM pg_extension WHERE extname = '$extension'))
		ORDER BY o.type, o.identity, d.deptype, r.type, r.identity});
}

my $databases = 0;

# An extension of a version, by way of another one if that is given.
sub installed_by
{
	my ($to, $from, $extension) = @_;
	my $dbname = 'db' . ++$databases;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	$extension //= 'snowflake';
	$node->safe_psql($dbname, "CREATE EXTENSION $extension VERSION '" . ($from // $to) . q{' CASCADE});
	$node->safe_psql($dbname, "ALTER EXTENSION $extension UPDATE TO '$to'") if defined $from;
	is($node->safe_psql($dbname, "SELECT extversion FROM pg_extension WHERE extname = '$extension'"),
		$to, "$extension: version $to" . (defined $from ? " from $from" : ''));
	my $result = installed($dbname, $extension);
	$node->safe_psql('postgres', "DROP DATABASE $dbname");
	return $result;
}

my $newest = installed_by($version);
cmp_ok(scalar(() = $newest =~ /^CREATE FUNCTION/mg), '>', 20, 'the functions are compared');
like($newest, qr/^COMMENT ON VIEW \S*snowflake_status/m, 'with their comments');
like($newest, qr/^\w+.*ON (?:SEQUENCE|TABLE) \S*snowflake_horizon/m, 'and rights');

# Every version that was ever released, by its own script.
my @released = grep { $_ ne $version } map { /^snowflake--([\d.]+)\.sql$/ } @scripts;
foreach my $from (@released)
{
	is(installed_by($version, $from), $newest, "$from and the updates make what $version makes");
}
note scalar(@released), ' older versions';

my $made_up = installed_by('99.0.1');
isnt($made_up, $newest, 'the made-up version is another one');
is(installed_by('99.0.1', $version), $made_up, "$version and the update make what the made-up version makes");
is(installed_by('99.0.1', '0.0.9'), $made_up, 'so do two updates');
foreach my $forgotten (grep { $_ !~ /^(?:function|sequence)$/ } @pieces)
{
	isnt(installed_by("99.1-$forgotten", $version), $made_up, "an update that forgets the $forgotten is found out");
}

SKIP:
{
	skip 'snowflake_zookeeper is not here: it is built where libzookeeper-st-dev is installed', 1 unless $module;

	my $newest_module = installed_by($version, undef, 'snowflake_zookeeper');
	like($newest_module, qr/^CREATE FUNCTION \S*snowflake_zookeeper_retire\(/m, 'the functions of the module are compared');
	like($newest_module, qr/^REVOKE .*ON FUNCTION \S*snowflake_zookeeper_retire\(/m, 'with their rights');
	like($newest_module, qr/^COMMENT ON COLUMN \S*snowflake_nodes\.host/m, 'and comments');
	foreach my $from (grep { $_ ne $version } map { /^snowflake_zookeeper--([\d.]+)\.sql$/ } @module_scripts)
	{
		is(installed_by($version, $from, 'snowflake_zookeeper'), $newest_module,
			"the module: $from and the updates make what $version makes");
	}

	my $made_up_module = installed_by('99.0.1-nothing', undef, 'snowflake_zookeeper');
	isnt($made_up_module, $newest_module, 'the made-up module is another one');
	is(installed_by('99.0.1-nothing', $version, 'snowflake_zookeeper'), $made_up_module,
		'and the update makes it, too');
	foreach my $forgotten (qw(right column))
	{
		isnt(installed_by("99.0.1-$forgotten", $version, 'snowflake_zookeeper'), $made_up_module,
			"an update of the module that forgets the $forgotten is found out");
	}
}

#
# A library of another version
#

$node->safe_psql('postgres', 'CREATE DATABASE used');
$node->safe_psql('used', "CREATE EXTENSION snowflake VERSION '$version'");

# What psql says on stderr.
sub said_to
{
	my ($dbname, $sql) = @_;
	my ($stdout, $stderr);

	is($node->psql($dbname, $sql, stdout => \$stdout, stderr => \$stderr), 0, "$dbname: $sql");
	return $stderr;
}

my $next = 'SELECT snowflake_next()';

foreach my $case (
	[ 'newer', '99.0.1', qr/HINT:  Install the library of that version, and restart the server\./ ],
	[ 'older', '0.0.9', qr/HINT:  Run ALTER EXTENSION snowflake UPDATE in this database\./ ])
{
	my ($dbname, $theirs, $hint) = @$case;
	my $warning = qr/WARNING:  the snowflake library is of version \Q$version\E, but the extension in this database of version \Q$theirs\E\n/;

	# With the first ID, or with CREATE EXTENSION where the server has made IDs.
	foreach my $used (0, 1)
	{
		my $offset = -s $node->logfile;
		my $create = "CREATE EXTENSION snowflake VERSION '$theirs'";

		$node->restart;
		$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $dbname");
		$node->safe_psql('postgres', "CREATE DATABASE $dbname");
		$node->safe_psql('used', $next) if $used;
		my $stderr = said_to($dbname, $create);
		like($stderr, $warning, "$dbname: created with a warning") if $used;
		is($node->safe_psql($dbname, 'SELECT version, extension_version FROM snowflake_status'),
			"$version|$theirs", "$dbname: both versions in the status");
		$stderr = said_to($dbname, $next) unless $used;
		like($stderr, $warning, "$dbname: which version is which");
		like($stderr, $hint, "$dbname: and what to do");
		like(slurp_file($node->logfile, $offset), $warning, "$dbname: in the server's log, too");
		is(said_to($dbname, $next), '', "$dbname: once for a server run");
	}
	$node->restart;
	like(said_to($dbname, $next), $warning, "$dbname: again after a restart");
}
$node->safe_psql('older', "ALTER EXTENSION snowflake UPDATE TO '$version'");
$node->restart;
is(said_to('older', $next), '', 'no warning after the update');
is(said_to('used', $next), '', 'nor where the versions were the same from the start');
$node->stop;

done_testing();
