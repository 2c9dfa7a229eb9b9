# A build of the library, and of the module that leases node IDs, with the
# places to die, to fail and to pause at that SF_CRASH_POINTS gives them.  The
# installed ones have none.

package SnowflakeBuild;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename;
use File::Copy;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  build_with_places_to_fail
  create_objects_of_build
);

my $top = dirname(__FILE__) . '/../..';

# Where each of them is, from the top.
my %directory = (snowflake => '.', snowflake_zookeeper => 'src/zookeeper');

# Builds these in a directory of their own; a test.  Returns the directory, in
# which the sources are too, and what dynamic_library_path should be; or
# nothing, and why it cannot be built here.
sub build_with_places_to_fail
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (@names) = @_;
	chomp(my ($bindir, $compiler, $headers) = `pg_config --bindir --cc --includedir-server`);
	my ($program) = split ' ', $compiler;

	return (undef, 'no make') unless IPC::Run::run([ 'make', '--version' ], '>', \my $make, '2>', \my $no_make);
	return (undef, "no compiler ($compiler)") unless grep { -x "$_/$program" } '', split /:/, $ENV{PATH};
	return (undef, 'no header files of the server') unless -e "$headers/postgres.h";

	my $build = abs_path(PostgreSQL::Test::Utils::tempdir());
	mkdir "$build/$_" or die "could not make $build/$_: $!\n" foreach qw(src src/zookeeper sql);
	foreach my $file (glob("$top/Makefile $top/*.control $top/src/*.[ch] $top/src/zookeeper/Makefile $top/src/zookeeper/*.[ch] $top/sql/*.sql"))
	{
		copy($file, "$build/" . substr($file, length($top) + 1)) or die "could not copy $file: $!\n";
	}

	# This may run under a make, whose options are not meant for that one.
	delete local @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES)};
	foreach my $name (@names)
	{
		my $output = '';

		ok( IPC::Run::run(
				[
					'make', '-s', '-C', "$build/$directory{$name}", 'with_llvm=no',
					'COPT=-DSF_CRASH_POINTS ' . ($ENV{COPT} // ''), "PG_CONFIG=$bindir/pg_config", "$name.so"
				],
				'<', \undef, '>', \$output, '2>&1'),
			"build of $name with places to fail at")
		  or diag $output;
		die "there is nothing to test\n" unless -e "$build/$directory{$name}/$name.so";
	}
	return ($build, join(':', (map { "$build/$directory{$_}" =~ s{/\.$}{}r } @names), '$libdir'));
}

# Makes the objects of the extension of that name, which belong to none then,
# since CREATE EXTENSION would call functions of the installed library.
sub create_objects_of_build
{
	my ($node, $build, $name) = @_;
	my ($script) = grep { !/--.*--/ } glob("$build/sql/$name--*.sql");
	my $objects = slurp_file($script);

	$objects =~ s/^\\echo.*$//m;
	$objects =~ s/^SELECT pg_catalog\.pg_extension_config_dump\(.*$//mg;
	$objects =~ s/\@extschema(?::\w+)?\@/public/g;
	$objects =~ s{MODULE_PATHNAME}{$build/$directory{$name}/$name}g;
	return $node->safe_psql('postgres', $objects);
}

1;
