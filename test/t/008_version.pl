# The version stands in four places that nothing but this test keeps equal: the
# control file, META.json, the name of the SQL script, and the C code.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my ($version) = slurp_file("$top/snowflake.control") =~ /^default_version = '(.+)'$/m;
my $meta = decode_json(slurp_file("$top/META.json"));
my $provides = $meta->{provides}{snowflake};

like($version, qr/^\d+\.\d+\.\d+$/, 'the control file has a version');
is($meta->{version}, $version, 'version of the distribution in META.json');
is($provides->{version}, $version, 'version of the extension in META.json');
is($provides->{file}, "sql/snowflake--$version.sql", 'SQL script in META.json');
ok(-s "$top/$provides->{file}", 'the SQL script is there');

# What is installed, too: it is what the other tests have tested.
my $node = snowflake_node('main');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');
is($node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'snowflake'}),
	$version, 'version of the extension as created');
is(status($node, 'version'), $version, 'version of the library');
$node->stop;

done_testing();
