# From PostgreSQL 19 on, logical replication can copy all sequences, the
# horizon among them: it is set to that of the publisher.  The subscriber, which
# makes IDs itself, writes its own again as soon as it has to extend it, half of
# snowflake.horizon later, and repeats nothing, also if it dies after that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeRecovery;
use SnowflakeTest;
use Test::More;

my $publisher = snowflake_node('publisher', 'snowflake.node_id = 2', 'wal_level = logical', 'max_wal_senders = 5');
plan skip_all => 'sequences are not replicated before PostgreSQL 19' if $publisher->pg_version < '19devel';

my $behind = 3600;
# Long, so that half of it is told from the whole on a slow machine.
my $horizon_s = 12;

# IDs of an hour ago, so that its horizon is that old, too.
my $clock = fake_clock($publisher);
$clock->set(-$behind);
$clock->start;
create_ids($publisher);
$publisher->safe_psql('postgres', q{
	INSERT INTO ids (g) VALUES (1);
	CREATE SEQUENCE other;
	SELECT nextval('other') FROM generate_series(1, 77);
	CREATE PUBLICATION everything FOR ALL SEQUENCES});
my $old_horizon = horizon_ms($publisher);

my $subscriber = snowflake_node('subscriber', "snowflake.node_id = 1",
	"snowflake.horizon = '${horizon_s}s'", q{snowflake.max_wait = '20s'});
my $begin = history_us();
my $subscriber_clock = fake_clock($subscriber);
$subscriber_clock->start;
create_ids($subscriber);
$subscriber->safe_psql('postgres', 'CREATE SEQUENCE other');

# What copies the sequences, and when it is done.
sub copy_by
{
	my ($sql) = @_;

	$subscriber->safe_psql('postgres', q{SELECT setval('other', 1)});
	$subscriber->safe_psql('postgres', $sql);
	$subscriber->poll_query_until('postgres', 'SELECT last_value = 77 FROM other')
	  or die "the sequences did not arrive\n";
	return;
}

sub greatest_ms
{
	return $subscriber->safe_psql('postgres',
		'SELECT extract(epoch FROM snowflake_timestamp(max(id))) * 1000 FROM ids');
}

my $create = q{CREATE SUBSCRIPTION everything CONNECTION '} . $publisher->connstr . q{ dbname=postgres' PUBLICATION everything};
my $refresh = 'ALTER SUBSCRIPTION everything REFRESH SEQUENCES';

#
# Without load: the horizon is set back, and mended by the next ID that has to
# extend it
#

$subscriber->safe_psql('postgres', 'INSERT INTO ids (g) SELECT generate_series(1, 1000)');
cmp_ok(horizon_ms($subscriber), '>', $old_horizon, 'the horizon of the subscriber is later');
copy_by($create);
$subscriber->poll_query_until('postgres',
	"SELECT last_value = $old_horizon FROM snowflake_horizon") or die "the horizon did not arrive\n";
pass('it is copied like all sequences');
isnt($subscriber->safe_psql('postgres', 'INSERT INTO ids (g) VALUES (1) RETURNING id'), '', 'IDs go on at once');
cmp_ok(horizon_ms($subscriber), '>', greatest_ms(), 'a new session has written the horizon anew');

#
# Under load: how long is it too low?
#

my $clients = start_clients($subscriber, 2);
$clients->wait_for_more(200);
foreach my $round (1 .. 3)
{
	copy_by($refresh);
	poll_until(sub { horizon_ms($subscriber) > greatest_ms() }, 'the horizon to be mended');
	my $mended = history_us();
	pass("round $round: mended while IDs are made");

	$clients->wait_for_more(200);
	cmp_ok(horizon_ms($subscriber), '>', greatest_ms(), "round $round: and stays above the IDs");
}

# How long it was too low, by the server's own clock, over one copy.
my ($seconds) = split /\|/, $subscriber->safe_psql('postgres', q{SELECT extract(epoch FROM clock_timestamp())});
copy_by($refresh);
poll_until(sub { horizon_ms($subscriber) > greatest_ms() }, 'the horizon to be mended');
my $took = $subscriber->safe_psql('postgres', q{SELECT extract(epoch FROM clock_timestamp())}) - $seconds;
note sprintf 'mended %.2f s after the copy was asked for', $took;
cmp_ok($took, '<', $horizon_s * 3 / 4, 'half a horizon at most, and what a busy machine adds');

#
# Then it dies, and comes back with its clock set back
#

$clients->stop;
is($clients->errors, '', 'no client had an error');
my @ids = @{ $clients->ids };
$subscriber->stop('immediate');
$subscriber_clock->set(-$behind);
$subscriber_clock->start;
horizon_refuses($subscriber, -$behind, 'refused while the clock is behind');
goes_on_ok($subscriber, $subscriber_clock, $begin, ids_in($subscriber), 'goes on above the horizon');

#
# It cannot be left out: the publisher has no way to say so, and the subscriber
# must have every sequence
#

fails_with($publisher, 'CREATE PUBLICATION others FOR ALL SEQUENCES EXCEPT (SEQUENCE snowflake_horizon)', '42601',
	[qr/syntax error/], 'no sequence can be left out of a publication');
$subscriber->safe_psql('postgres', q{
	DROP SUBSCRIPTION everything;
	CREATE SCHEMA elsewhere;
	ALTER EXTENSION snowflake SET SCHEMA elsewhere});
fails_with($subscriber, $create, '42P01', [qr/relation "public\.snowflake_\w+" does not exist/],
	'the extension must be in the same schema');
$_->stop foreach $subscriber, $publisher;

done_testing();
