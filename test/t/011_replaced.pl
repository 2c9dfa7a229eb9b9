# The library is replaced on disk while the server runs.  Sessions that load the
# new file must not work on the memory that the old one has made, and sessions
# that have the old one go on.
#
# Only from PostgreSQL 17 on, where sessions load the library by themselves; a
# server that preloads it goes on with what it has loaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $node = PostgreSQL::Test::Cluster->new('main');

plan skip_all => 'up to PostgreSQL 16 no session loads the library by itself' if $node->pg_version < 17;

my $compiler = eval { $node->config_data('--cc') } // 'cc';
my $headers = $node->config_data('--includedir-server');
my ($program) = split ' ', $compiler;

plan skip_all => 'no make' unless IPC::Run::run([ 'make', '--version' ], '>', \my $make, '2>', \my $no_make);
plan skip_all => "no compiler ($compiler)" unless grep { -x "$_/$program" } '', split /:/, $ENV{PATH};
plan skip_all => 'no header files of the server' unless -e "$headers/postgres.h";

# Builds the library from sources that are changed by a function, which is given
# the name of a file and its text in $_.
my $builds = 0;

sub build
{
	my ($change) = @_;
	my $dir = abs_path(PostgreSQL::Test::Utils::tempdir()) . '/' . ++$builds;
	my $output = '';

	make_path("$dir/src", "$dir/sql");
	foreach my $file (glob("$top/Makefile $top/src/*.[ch] $top/sql/snowflake--*.sql"))
	{
		my $name = substr($file, length($top) + 1);

		local $_ = slurp_file($file);
		$change->($name);
		append_to_file("$dir/$name", $_);
	}
	# This may run under a make, whose options are not meant for that one.
	delete local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES)};
	IPC::Run::run(
		[
			'make', '-s', '-C', $dir, 'with_llvm=no', 'ZOOKEEPER=no',
			'PG_CONFIG=' . $node->config_data('--bindir') . '/pg_config', 'snowflake.so'
		],
		'<', \undef, '>', \$output, '2>&1') or die "there is no library to test: $output\n";
	return "$dir/snowflake.so";
}

my %builds = (
	same => build(sub { }),
	'another version' => build(sub { s/^(#define SF_VERSION\s+").*"/${1}77.1.2"/m if $_[0] eq 'src/shared.h' }),
	'another struct version' => build(sub { s/^(#define STRUCT_VERSION\s+).*/${1}7777/m if $_[0] eq 'src/shared.c' }),
	'another size' => build(sub { s/^(\tchar\t+library_version\[\d+\];)/$1\n\tchar more[65536];/m if $_[0] eq 'src/shared.h' }));

# The file that is replaced.
my $library = $node->basedir . '/snowflake.so';

sub put_there
{
	my ($build) = @_;

	copy($build, "$library.new") or die "could not copy $build: $!\n";
	chmod 0755, "$library.new";
	rename "$library.new", $library or die "could not rename $library.new: $!\n";
	return;
}

$node->init;
$node->append_conf('postgresql.conf', 'snowflake.node_id = 1');
$node->start;
put_there($builds{same});

# As CREATE EXTENSION would do, only from that file.
my ($script) = glob("$top/sql/snowflake--*.sql");
my $objects = slurp_file($script);
$objects =~ s/^\\echo.*$//m;
$objects =~ s/^SELECT pg_catalog\.pg_extension_config_dump\(.*$//mg;
$objects =~ s/MODULE_PATHNAME/$library/g;
$node->safe_psql('postgres', $objects);

my $old = $node->background_psql('postgres', on_error_stop => 0);
my $next = 'SELECT snowflake_next()';
my $last = $old->query_safe($next);
cmp_ok($last, '>', 0, 'an ID of a session that stays');
cmp_ok($node->safe_psql('postgres', $next), '>', $last, 'and of another session, the same library');

# Of another size it is PostgreSQL that refuses, and the library that says why.
my $replaced = qr/ERROR:  55000: the snowflake library was replaced while the server runs/;
foreach my $case (
	[
		'another version', '55000', $replaced, qr/HINT:  Restart the server\./,
		qr/DETAIL:  This session has loaded version 77\.1\.2, the server works with version \d/
	],
	[ 'another struct version', '55000', $replaced, qr/HINT:  Restart the server\./ ],
	[
		'another size', 'XX000', qr/size/,
		qr/HINT:  If the snowflake library was replaced while the server runs, restart the server\./,
		qr/CONTEXT:  looking for the shared memory of snowflake/
	])
{
	my ($name, $sqlstate, @patterns) = @$case;

	put_there($builds{$name});
	foreach my $sql ($next, 'SELECT snowflake_next_batch(10)', 'SELECT * FROM snowflake_status', 'SELECT snowflake_decode(0)')
	{
		fails_with($node, $sql, $sqlstate, \@patterns, "$name: $sql");
	}
	my ($result, $stdout, $stderr) = $node->psql('postgres', "$next;\n$next;", on_error_stop => 0);
	is($stdout, '', "$name: no ID however often one asks");
	is(() = $stderr =~ /ERROR: /g, 2, "$name: said again");
	my $id = $old->query_safe($next);
	cmp_ok($id, '>', $last, "$name: the session with the old library goes on");
	$last = $id;
}

put_there($builds{same});
cmp_ok($node->safe_psql('postgres', $next), '>', $last, 'so do new ones when the file is back');
is($old->query_safe('SELECT ids_issued >= 6 AND node_id = 1 FROM snowflake_status'), 't', 'nothing was written over');
$old->quit;

put_there($builds{'another version'});
$node->restart;
is(status($node, 'version'), '77.1.2', 'the new library after a restart');
cmp_ok($node->safe_psql('postgres', $next), '>', $last, 'goes on above the old IDs');
$node->stop;

done_testing();
