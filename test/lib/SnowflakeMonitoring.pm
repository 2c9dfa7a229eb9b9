# What is in monitoring/, for the tests of it.

package SnowflakeMonitoring;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec::Functions qw(rel2abs);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(monitoring_file read_queries);

# The path of a file there.
sub monitoring_file
{
	my ($name) = @_;

	return rel2abs(dirname(__FILE__) . "/../../monitoring/$name");
}

# The namespaces of the query file of the exporter, each with its query and a
# list of [name, usage]; only as much of YAML as the file uses.
sub read_queries
{
	my (%queries, $query);

	foreach my $line (split /\n/, slurp_file(monitoring_file('postgres_exporter.yml')))
	{
		if ($line =~ /^(\w+):$/) { $query = $queries{$1} = { sql => '', metrics => [] }; }
		elsif ($line =~ /^      (?:usage|description):/ || $line =~ /^\s*(?:#.*)?$/) { next; }
		elsif ($line =~ /^    - (\w+):$/) { push @{ $query->{metrics} }, [$1]; }
		elsif ($line =~ /^        usage: "(LABEL|GAUGE|COUNTER)"$/) { push @{ $query->{metrics}[-1] }, $1; }
		elsif ($line =~ /^        description: "[^"]+"$/) { $query->{metrics}[-1][2] = 1; }
		elsif ($line =~ /^    (.*)$/) { $query->{sql} .= "$1\n"; }
		elsif ($line !~ /^  (?:master: true|query: \||metrics:)$/) { die "not understood: $line\n"; }
	}
	return %queries;
}

1;
