# doc/reference.md names every object of the extension, every setting and every
# SQLSTATE that there is, as it is, and none that there is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = snowflake_node('main', 'snowflake.node_id = 1');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');

#
# What the reference says
#

# Sections by their heading, and in each the rows of its tables.
my (%sections, $heading);
foreach my $line (split /\n/, slurp_file("$root/doc/reference.md"))
{
	if ($line =~ /^##+ (.*)/)
	{
		die "two sections $1\n" if exists $sections{$1};
		$sections{ $heading = $1 } = [];
	}
	elsif (defined $heading && $line =~ /^\| (.*) \|$/)
	{
		my @cells = split / \| /, $1 =~ s/`//gr;

		push @{ $sections{$heading} }, \@cells unless $cells[0] =~ /^(?:column|SQLSTATE|field|function)$/;
	}
}

# "f(a integer [, b text]) → text" is two forms of f.
my (%documented_forms, %documented_objects, %documented_settings, %section_of);
foreach my $name (keys %sections)
{
	if ($name =~ /^`(\w+)\((.*)\)` → `(.*)`$/)
	{
		my ($function, $arguments, $result) = ($1, $2, $3);
		my ($needed, $optional) = $arguments =~ /^(.*?)(?: \[, (.*)\])?$/;

		$documented_forms{"$function($needed) $result"} = 1;
		$documented_forms{"$function($needed, $optional) $result"} = 1 if defined $optional;
		$section_of{$function} = $name;
	}
	elsif ($name =~ /^`(.*)` \((\w+)\)$/)
	{
		$documented_objects{"$2 $1"} = $sections{$name};
	}
	elsif ($name =~ /^`(snowflake\..*)`$/)
	{
		$documented_settings{$1} = 1;
	}
}

sub same_names
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($documented, $existing, $what) = @_;

	cmp_ok(scalar keys %$existing, '>', 0, "$what: there are some");
	is(join("\n", grep { !$documented->{$_} } sort keys %$existing), '', "$what: all are in the reference");
	is(join("\n", grep { !$existing->{$_} } sort keys %$documented), '', "$what: and no others");
	return;
}

sub short_type
{
	my ($type) = @_;

	return $type =~ s/timestamp with time zone/timestamptz/gr;
}

#
# Objects
#

my %objects;
foreach my $row (split /\n/, $node->safe_psql('postgres', q{
	SELECT o.type, o.name, o.identity, d.objid
	FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e',
		pg_identify_object(d.classid, d.objid, d.objsubid) o
	WHERE e.extname = 'snowflake' AND
		NOT EXISTS (SELECT FROM pg_type t
					WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typtype <> 'd')}))
{
	my ($type, $name, $identity) = split /\|/, $row;

	next if $type eq 'function';
	$type = 'domain' if $type eq 'type';
	$name = $identity =~ s/\b(?:public|pg_catalog)\.//gr if $name eq '';
	$objects{"$type $name"} = 1;
}
same_names(\%documented_objects, \%objects, 'objects');

#
# Functions, with the names of their arguments, in each form that they can be
# called in
#

my %forms;
my @out;
foreach my $row (split /\n/, $node->safe_psql('postgres', q{
	SELECT p.proname, p.pronargs, p.pronargdefaults, p.proretset, format_type(p.prorettype, NULL),
		(SELECT string_agg(coalesce(p.proargnames[n] || ' ', '') || format_type(t, NULL), ', ' ORDER BY n)
			FROM unnest(p.proargtypes) WITH ORDINALITY a (t, n)),
		(SELECT string_agg(p.proargnames[n] || ' ' || format_type(p.proallargtypes[n], NULL), ', ' ORDER BY n)
			FROM generate_subscripts(p.proargmodes, 1) n WHERE p.proargmodes[n] IN ('o', 't'))
	FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'snowflake'}))
{
	my ($name, $nargs, $ndefaults, $is_set, $result, $arguments, $out) = split /\|/, $row, -1;
	my @arguments = split /, /, $arguments;

	$result = "setof $result" if $is_set eq 't';
	foreach my $n ($nargs - $ndefaults .. $nargs)
	{
		$forms{ short_type("$name(" . join(', ', @arguments[ 0 .. $n - 1 ]) . ") $result") } = 1;
	}
	push @out, [ $name, short_type($out) ] if $out ne '';
}
same_names(\%documented_forms, \%forms, 'functions');

# The columns of their results are in their own section, or in that of the view
# over them, which may have others too.
cmp_ok(scalar @out, '>', 0, 'some functions return rows');
foreach my $function (@out)
{
	my ($name, $columns) = @$function;
	my %own = map { (split / /)[0] => 1 } split /, /, $columns;
	my $rows = $sections{ $section_of{$name} };

	$rows = [ grep { $own{ $_->[0] } } @{ $documented_objects{"view $name"} } ] if $documented_objects{"view $name"};

	is(join(', ', map { "$_->[0] $_->[1]" } @$rows), $columns, "columns of $name()");
}

is( join("\n", map { join '|', @$_ } @{ $sections{'Overview of the functions'} }),
	short_type($node->safe_psql('postgres', q{
		SELECT replace(p.oid::regprocedure::text, ',', ', '),
			CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
			CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
			CASE WHEN p.proisstrict THEN 'yes' ELSE 'no' END,
			CASE WHEN has_function_privilege('public', p.oid, 'EXECUTE') THEN 'anybody' ELSE 'superusers' END
		FROM pg_proc p
			JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'snowflake'
		ORDER BY p.oid::regprocedure::text COLLATE "C"})),
	'the overview of the functions');

#
# Columns of the views
#

foreach my $object (sort keys %objects)
{
	my ($view) = $object =~ /^view (.*)/ or next;
	my $columns = $node->safe_psql('postgres', qq{
		SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
		WHERE attrelid = '$view'::regclass AND attnum > 0 ORDER BY attnum});

	is(join("\n", map { "$_->[0]|$_->[1]" } @{ $documented_objects{$object} // [] }),
		short_type($columns), "columns of the view $view");
}

#
# Settings
#

my %settings = map { $_ => 1 } split /\n/,
  $node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name LIKE 'snowflake.%'});
same_names(\%documented_settings, \%settings, 'settings');

#
# SQLSTATEs that the source raises: in C by the names of errcodes.h or as they
# are, or by a function of PostgreSQL's that raises one; in PL/pgSQL by names
# that it knows
#

my (%codes, %sqlstates);
my $includedir = $node->config_data('--includedir-server');
my $make = qr/MAKE_SQLSTATE\('(.)',\s*'(.)',\s*'(.)',\s*'(.)',\s*'(.)'\)/;
my @sources = map { slurp_file($_) } glob("$root/src/*.[ch] $root/src/*/*.[ch]");

foreach my $source (slurp_file("$includedir/utils/errcodes.h"), @sources)
{
	$codes{$1} = "$2$3$4$5$6" while $source =~ /^#define (\w*ERRCODE_\w+)\s+$make/mg;
}
foreach my $source (@sources)
{
	while ($source =~ /errcode\((\w+)\)/g)
	{
		die "$1 is no SQLSTATE\n" unless defined $codes{$1};
		$sqlstates{ $codes{$1} } = 1;
	}
	$sqlstates{ $codes{ERRCODE_READ_ONLY_SQL_TRANSACTION} } = 1 if $source =~ /PreventCommandDuringRecovery\(/;
}
foreach my $script (map { slurp_file($_) } glob "$root/sql/snowflake--*.sql")
{
	my %conditions = map { $_ => 1 } $script =~ /RAISE (?!NOTICE|WARNING)(\w+) USING/g;

	foreach my $condition (sort keys %conditions)
	{
		my ($stdout, $stderr);

		$node->psql('postgres', "DO \$\$ BEGIN RAISE $condition; END \$\$",
			stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
		die "$condition is no condition\n" unless $stderr =~ /ERROR:  (\w{5})/;
		$sqlstates{$1} = 1;
	}
}
my %documented_sqlstates = map { $_->[0] => 1 } @{ $sections{Errors} };
same_names(\%documented_sqlstates, \%sqlstates, 'SQLSTATEs');

#
# The extension snowflake_zookeeper, which this server need not have, has its own
# page: its objects, columns and settings by their names (fail_point is only in a
# test build)
#

my $page = slurp_file("$root/doc/zookeeper.md");
my $script = slurp_file("$root/sql/snowflake_zookeeper--1.0.0.sql");
my %names = map { $_ => 1 } $script =~ /^CREATE (?:FUNCTION|VIEW) (\w+)/mg;
my %leasing_settings = map { $_ => 1 } slurp_file("$root/src/zookeeper/settings.c") =~ /"(snowflake\.zookeeper_(?!fail_point)\w+)"/g;
my %columns = map { $_ => 1 } $script =~ /^COMMENT ON COLUMN snowflake_nodes\.(\w+)/mg;
my %told_names = map { $_ => 1 } $page =~ /\b(snowflake_(?:nodes|zookeeper_\w+))\b/g;
my %told_settings = map { $_ => 1 } $page =~ /\b(snowflake\.zookeeper_\w+)/g;

cmp_ok(scalar(keys %names) * keys(%leasing_settings) * keys(%columns), '>', 0, 'zookeeper.md: there is something to tell');
same_names(\%told_names, \%names, 'objects of snowflake_zookeeper');
same_names(\%told_settings, \%leasing_settings, 'settings of snowflake_zookeeper');
is_deeply([ grep { $page !~ /`$_`/ } sort keys %columns ], [], 'columns of snowflake_nodes: all are in zookeeper.md');

$node->stop;
done_testing();
