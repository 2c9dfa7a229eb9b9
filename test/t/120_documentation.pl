# The examples in the documentation do what it says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use SnowflakeDoc;
use Test::More;

my $root = "$FindBin::RealBin/../..";

#
# How documents are read and outputs compared
#

my @parts = document_parts(<<'END');
Text.

<!-- database shop -->
<!-- run
SELECT 0;
-->
<!-- needs postgres_fdw 1 -->
<!-- varies: id, messages -->

```sql
SELECT 1;
SELECT 2;
```

```
1
```

```
not an output
```

```sql
SELECT 3;
```

<!-- made-elsewhere: begin -->
```
not an output
```
<!-- made-elsewhere: end -->

```sql
SELECT 4;
```

Text between.

```
not an output
```

```conf
a = 1
```

```sh
make
```
END
is_deeply(
	[ map { [ @{$_}{qw(kind line text output)}, @{ $_->{varies} // [] } ] } @parts ],
	[
		[ 'database', 3, 'shop', undef ],
		[ 'run', 4, "SELECT 0;\n", undef ],
		[ 'needs', 7, 'postgres_fdw 1', undef ],
		[ 'sql', 10, "SELECT 1;\nSELECT 2;\n", "1\n", 'id', 'messages' ],
		[ 'sql', 23, "SELECT 3;\n", undef ],
		[ 'sql', 33, "SELECT 4;\n", undef ],
		[ 'conf', 43, "a = 1\n", undef ],
	],
	'the parts of a document');
is((document_parts("1. Do this:\n\n   ```sql\n   SELECT 1;\n     SELECT 2;\n   ```\n"))[0]->{text},
	"SELECT 1;\n  SELECT 2;\n", 'a block in a list');
foreach my $wrong ("```sql\nSELECT 1;\n", "<!-- varies id -->\n", "<!-- needs -->\n", "<!-- a-part: middle -->\n", "``` sql\n", "    SELECT 1;\n")
{
	ok(!eval { document_parts($wrong); 1 }, 'not understood: ' . $wrong =~ s/\n.*//sr);
}

my $table = <<'END';
 id  |       at        | n 
-----+-----------------+---
 123 | 2026-01-01 00:00:00.5+00 | 1
   4 | 2026-01-01 00:00:00+00   | 2
(2 rows)

NOTICE:  the next ID is 5
END
my $other = $table =~ s/123/98765/r =~ s/00\.5\+/59+/r =~ s/^-.*/---------+----------------------+------/mr;

ok(same_output($table, $table), 'the same output');
ok(same_output($table, $other, 'id', 'at'), 'other values where they vary, other widths');
ok(!same_output($table, $other, 'id'), 'another time');
ok(!same_output($table, $other, 'at'), 'another number');
ok(!same_output($table, $table =~ s/1$/3/mr, 'id', 'at', 'messages'), 'another value in a column that does not vary');
ok(!same_output($table, $table =~ s/ n / m /r), 'another name of a column');
ok(!same_output($table, $table =~ s/123/NULL/r, 'id'), 'another kind of value');
ok(!same_output($table, $table =~ s/^ +4.*\n//mr, 'id'), 'a row less');
ok(!same_output($table, $table =~ s/is 5/is 6/r, 'id', 'n'), 'another message');
ok(same_output($table, $table =~ s/is 5/is 6/r, 'messages'), 'another number in a message');
ok(!same_output($table, $table =~ s/next/last/r, 'messages'), 'another word in a message');
my $record = "-[ RECORD 1 ]-----\nid   | 1\nnode | 2\n";
ok(same_output($record, "-[ RECORD 1 ]--+---\nid   | 17\nnode | 2\n", 'id'), 'expanded output');
ok(!same_output($record, "-[ RECORD 1 ]-----\nid   | 1\nnode | 3\n", 'id'), 'another value in expanded output');
my $host = " host | n \n------+---\n one  | 1\n(1 row)\n";
ok(!same_output($host, $host =~ s/one/two/r, 'host'), 'another name');
ok(same_output($host, $host =~ s/one/two/r, 'any host'), 'another name where any does');
ok(!same_output($host, $host =~ s/one/   /r, 'any host'), 'no name where any does');
my $plan = " QUERY PLAN \n-----\n Index Scan using a on b  (cost=0.42..9.78 rows=59 width=19)\n   Index Cond: (id = 1)\n";
ok(same_output($plan, $plan =~ s/9\.78 rows=59/8.1 rows=1/r, 'costs'), 'other costs of a plan');
ok(!same_output($plan, $plan =~ s/9\.78 rows=59/8.1 rows=1/r), 'other costs where they do not vary');
ok(!same_output($plan, $plan =~ s/id = 1/id = 2/r, 'costs'), 'another condition in a plan');

#
# The documents
#

# The design is not among them: it also tells of what is to be.
my @with_examples = map { "doc/$_.md" } qw(deployments migrate monitoring operations reference scale text time);
unshift @with_examples, 'README.md';
document_ok("$root/$_") foreach @with_examples;

# zookeeper.md needs servers that lease their node IDs: 224 runs it.
my %seen = map { ("$root/$_" => 1) } @with_examples, 'doc/design.md', 'doc/zookeeper.md';
foreach my $file (grep { !$seen{$_} } glob "$root/*.md $root/doc/*.md")
{
	my @examples = grep { $_->{kind} eq 'sql' } document_parts(slurp_file($file));

	is(scalar @examples, 0, 'no examples in ' . $file =~ s/.*\///r);
}

done_testing();
