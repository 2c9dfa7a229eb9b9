# A standby makes no IDs, no more than it lets nextval() through, but it can take
# them apart.  Promoted, it makes its own, also in sessions that were there
# before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use SnowflakeTest;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{shared_preload_libraries = 'snowflake'
snowflake.node_id = 101});
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE TABLE t (id snowflake PRIMARY KEY)');
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'snowflake.node_id = 102');
$standby->start;

$primary->safe_psql('postgres', 'INSERT INTO t SELECT snowflake_next() FROM generate_series(1, 1000)');
$primary->wait_for_catchup($standby);

#
# In recovery
#

my $refused = [qr/cannot execute snowflake_next\(\) during recovery/];
fails_with($standby, 'SELECT snowflake_next()', '25006', $refused, 'a standby makes no ID');
fails_with($standby, 'SELECT snowflake_next_batch(10)', '25006',
	[qr/cannot execute snowflake_next_batch\(\) during recovery/], 'nor a batch');
fails_with($standby, 'SELECT snowflake_next(); SELECT snowflake_next()', '25006', $refused, 'nor when asked again');
is( $standby->safe_psql('postgres', q{
		SELECT count(*), count(DISTINCT id), min(d.node_id), max(d.node_id),
			bool_and(d.created_at BETWEEN now() - interval '10 minutes' AND now())
		FROM t, snowflake_decode(id) AS d}),
	'1000|1000|101|101|t', 'it takes the IDs of its primary apart');
is(status($standby, 'node_id IS NULL, last_id_time IS NULL, ids_issued, pending IS NULL'),
	't|t|0|t', 'its snowflake_status says that nothing was issued');

my $session = $standby->background_psql('postgres', on_error_stop => 0);
$session->query('SELECT snowflake_next()');
like($session->{stderr}, $refused->[0], 'no ID in a session that stays');
is($session->query('SELECT count(snowflake_timestamp(id)) FROM t'), 1000, 'which decodes, too');
my $untouched = $standby->background_psql('postgres', on_error_stop => 0);

#
# After promotion
#

my $last = $primary->safe_psql('postgres', 'SELECT max(id) FROM t');
$primary->stop;
$standby->promote;

$session->{stderr} = '';
my $id = $session->query_safe('SELECT snowflake_next()');
cmp_ok($id, '>', $last, 'the session that was refused makes IDs, after those of the old primary');
cmp_ok($untouched->query_safe('SELECT snowflake_next()'), '>', $id, 'so does one that had not asked');
$session->quit;
$untouched->quit;
$standby->safe_psql('postgres', 'INSERT INTO t SELECT FROM generate_series(1, 1000)');
is( $standby->safe_psql('postgres', qq{
		SELECT d.node_id, count(*), count(DISTINCT id), bool_and(id > $last)
		FROM t, snowflake_decode(id) AS d GROUP BY 1 ORDER BY 1}),
	"101|1000|1000|f\n102|1000|1000|t", 'rows of both, each with the node ID of its server');
is(status($standby, 'node_id, node_source, refusals'), '102|snowflake.node_id|0', 'the node ID in force');

$standby->stop;
done_testing();
