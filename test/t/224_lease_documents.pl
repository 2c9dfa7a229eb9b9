# The examples in doc/zookeeper.md print what it shows, in a cluster of two
# servers with the settings that a lease has by default.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeDoc;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeZooKeeper;
use Test::More;

skip_without_zookeeper(module => 1);

# The page retires 435, so nobody may have that one.
my $zk = start_ensemble('zk', 1);
my %settings = (
	zookeeper_node_range => '500-1023',
	zookeeper_session_timeout => '10s',
	zookeeper_window => '30s',
	horizon => '1s',
	max_wait => '2s');
my ($one, $two) = map { lease_server($_, $zk->hosts, %settings) } qw(one two);

# The page tells of a cluster that runs: each has a lease, and the one that is
# asked knows of the other and leads.
start_leasing($one);
poll_until(sub { $one->safe_psql('postgres', 'SELECT count(*) FROM snowflake_nodes WHERE leader') == 1 }, 'a leader');
start_leasing($two);
poll_until(sub { $one->safe_psql('postgres', 'SELECT count(horizon_left) FROM snowflake_nodes') == 2 }, 'both in the registry');
document_ok("$FindBin::RealBin/../../doc/zookeeper.md", node => $one);
$_->stop foreach $one, $two;

done_testing();
