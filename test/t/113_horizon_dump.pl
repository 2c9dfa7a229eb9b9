# pg_dump and pg_restore into a new server whose clock is behind.  In every
# format the dump carries the horizon and the layout of the database's IDs,
# whoever made it, and whether a superuser or the owner of the database restores
# it.  Any other role is refused, and the owner's right harms no other database.

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

my $behind = 3600;

# What the horizon and the layout are made of, as one line.
my $words = q{SELECT h.last_value, h.is_called, f.last_value, f.is_called, e.last_value, e.is_called
	FROM snowflake_horizon h, snowflake_layout_fields f, snowflake_layout_epoch e};

#
# A database that belongs to an ordinary role, and dumps of it
#

my @settings = ('snowflake.node_id = 1', q{snowflake.epoch = '2020-02-02'});
my $old = snowflake_node('old', @settings);
my $old_clock = fake_clock($old);
$old_clock->start;
$old->safe_psql('postgres', q{
	CREATE ROLE owner LOGIN;
	CREATE ROLE other;
	CREATE DATABASE source OWNER owner});
$old->safe_psql('source', q{
	GRANT ALL ON SCHEMA public TO owner;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO other;
	CREATE EXTENSION snowflake;
	SET ROLE owner;
	CREATE TABLE ids (id bigint DEFAULT snowflake_next(), g int)});

my $directory = $old->basedir;
my $source = $old->connstr('source');

# Under load, so the horizon rises while it is dumped.
my $begin = history_us();
my $clients = start_clients($old, 1, dbname => 'source');
$clients->wait_for_more(1000);
poll_until(sub { history_us() > $begin + 1_200_000 }, 'time to pass');
command_ok([ 'pg_dump', '-Fc', '-f', "$directory/busy", '-d', $source ], 'pg_dump under load');
$clients->stop;

command_ok([ 'pg_dump', '-Fc', '-f', "$directory/custom", '-d', $source ], 'pg_dump, custom format');
command_ok([ 'pg_dump', '-Fd', '-j', 2, '-f', "$directory/directory", '-d', $source ],
	'pg_dump, directory format');
command_ok([ 'pg_dump', '-Fp', '-f', "$directory/plain", '-d', $source ], 'pg_dump, plain format');
command_ok([ 'pg_dump', '--schema-only', '-f', "$directory/schema", '-d', $source ], 'pg_dump, schema only');
command_ok([ 'pg_dump', '--data-only', '-f', "$directory/data", '-d', $source ], 'pg_dump, data only');
command_ok([ 'pg_dump', '-t', 'ids', '-f', "$directory/table", '-d', $source ], 'pg_dump, one table');
command_ok([ 'pg_dump', '-U', 'owner', '-Fc', '-f', "$directory/owner", '-d', $source ],
	'pg_dump by the owner of the database');
my $values = $old->safe_psql('source', $words);
like($values, qr/^\d{13}\|t\|\d+\|t\|1580601600000\|t$/, 'horizon and layout of the source');
$old->stop;

my $sequence = qr/snowflake_(?:horizon|layout_fields|layout_epoch)/;
my $setval = qr/^SELECT pg_catalog\.setval\('public\.$sequence', \d+, true\);$/m;
my %expected = (plain => 3, data => 3, schema => 0, table => 0);
foreach my $format (sort keys %expected)
{
	my $text = slurp_file("$directory/$format");

	is(() = $text =~ /$setval/g, $expected{$format}, "$format: $expected{$format} words are set");
	unlike($text, qr/^(?:GRANT|REVOKE|ALTER|CREATE SEQUENCE)\b.*snowflake/m,
		"$format: nothing else of the extension is changed");
}

#
# Restore into a new server
#

my $new = snowflake_node('new', @settings);
my $clock = fake_clock($new);
$clock->set(-$behind);
$clock->start;
$new->safe_psql('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE other LOGIN');

my %restores = (
	busy => [ [ 'pg_restore', '-d', '', "$directory/busy" ] ],
	custom => [ [ 'pg_restore', '--single-transaction', '-d', '', "$directory/custom" ] ],
	directory => [ [ 'pg_restore', '-j', 2, '-d', '', "$directory/directory" ] ],
	plain => [ [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/plain", '-d', '' ] ],
	two_steps => [
		[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/schema", '-d', '' ],
		[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/data", '-d', '' ]
	],
	dumped_by_owner => [ [ 'pg_restore', '-d', '', "$directory/owner" ] ]);

sub restore
{
	my ($dbname) = @_;

	$new->safe_psql('postgres', "CREATE DATABASE $dbname OWNER owner");
	foreach my $command (@{ $restores{$dbname} })
	{
		my @command = map { $_ eq '' ? $new->connstr($dbname) : $_ } @$command;

		command_ok(\@command, "$dbname: $command[0]");
	}
	return;
}

foreach my $dbname (sort keys %restores)
{
	restore($dbname);
	if ($dbname eq 'busy')
	{
		is( $new->safe_psql($dbname, q{
				SELECT to_timestamp(last_value / 1000.0) > (SELECT snowflake_timestamp(max(id)) FROM ids)
				FROM snowflake_horizon}),
			't', "$dbname: the horizon is above the IDs");
	}
	else
	{
		is($new->safe_psql($dbname, $words), $values, "$dbname: horizon and layout are those of the source");
	}
	horizon_refuses($new, -$behind, "$dbname: refused while the clock is behind", dbname => $dbname);
}

# Restarted each time, since what another database has raised would help here.
foreach my $dbname (sort keys %restores)
{
	$clock->restart;
	goes_on_ok($new, $clock, $begin, ids_in($new, $dbname), "$dbname: goes on above the horizon",
		dbname => $dbname);
}

#
# Restore by the owner of the database, in which a superuser has made the
# extension, and by a role that is neither
#

sub restore_as
{
	my ($role, $dbname) = @_;
	my $stderr;

	$new->safe_psql('postgres', "CREATE DATABASE $dbname OWNER owner");
	$new->safe_psql($dbname, 'GRANT ALL ON SCHEMA public TO owner, other; CREATE EXTENSION snowflake');
	IPC::Run::run(
		[ 'pg_restore', '-O', '-U', $role, '-d', $new->connstr($dbname), "$directory/owner" ],
		'2>', \$stderr);
	note("restore by $role: $stderr");
	is($new->safe_psql($dbname, 'SELECT count(*) >= 1000 FROM ids'), 't', "restore by $role: the rows are there");
	return $stderr;
}

$clock->set(-$behind);
$clock->restart;
my $stderr = restore_as('owner', 'by_owner');
unlike($stderr, qr/sequence/, 'restore by the owner: the words are set');
is($new->safe_psql('by_owner', $words), $values,
	'restore by the owner: horizon and layout are those of the source');
horizon_refuses($new, -$behind, 'restore by the owner: refused while the clock is behind', dbname => 'by_owner');
goes_on_ok($new, $clock, $begin, ids_in($new, 'by_owner'), 'restore by the owner: goes on above the horizon',
	dbname => 'by_owner');

# This server has made IDs since it was started, so CREATE EXTENSION has set a
# horizon; the documented way to a higher one, before IDs are made.
$clock->set(-$behind);
$clock->restart;
$stderr = restore_as('other', 'by_other');
is(() = $stderr =~ /ERROR:  permission denied for sequence $sequence$/mg, 3,
	'restore by another role: the words are refused');
is(horizon_ms($new, 'by_other'), 0, 'restore by another role: no horizon');
$new->safe_psql('by_other', q{
	SELECT snowflake_reset_horizon(max(snowflake_timestamp(id)) + '1 ms') FROM ids});
horizon_refuses($new, -$behind, 'restore by another role, horizon set by hand: refused while the clock is behind',
	dbname => 'by_other');
goes_on_ok($new, $clock, $begin, ids_in($new, 'by_other'),
	'restore by another role, horizon set by hand: goes on above it', dbname => 'by_other');

#
# The owner of a database sets its horizon ahead: only that database waits
#

$new->append_conf('postgresql.conf', 'snowflake.max_wait = 60s');
$clock->restart;
$new->safe_psql('postgres', 'CREATE EXTENSION snowflake');
$new->safe_psql('by_owner', 'SELECT snowflake_next()');
foreach my $by (
	[ 'nextval on what the server wrote', q{count(nextval('snowflake_horizon')) FROM generate_series(1, 50000)} ],
	[ 'setval', q{setval('snowflake_horizon', %s)} ],
	[ 'nextval', q{setval('snowflake_horizon', %s), nextval('snowflake_horizon')} ])
{
	my ($name, $statement) = @$by;
	my $session = $new->background_psql('by_owner');

	$new->safe_psql('postgres', 'SELECT snowflake_next()');
	$statement =~ s/%s/(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 50000/;
	$new->safe_psql('by_owner', "SET ROLE owner; SELECT $statement");
	$session->query_until(qr/begun/, "\\echo begun\nSELECT snowflake_next();\n");
	ok( $new->poll_query_until('postgres', q{
			SELECT count(*) = 1 FROM pg_stat_activity
			WHERE datname = 'by_owner' AND wait_event_type = 'Extension' AND query LIKE '%snowflake_next%'}),
		"horizon ahead by $name: its database waits");
	is($new->safe_psql('postgres', 'SELECT snowflake_next() > 0, clock_ahead >= interval \'0\' FROM snowflake_status'),
		't|t', "horizon ahead by $name: another database does not");
	$new->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = 'by_owner'});
	$session->{run}->finish;
	$clock->restart;
}

#
# The guard of the layout
#

$new->append_conf('postgresql.conf', q{snowflake.epoch = '2020-02-03'});
$clock->set(0);
$clock->restart;
foreach my $dbname (sort(keys %restores), 'by_owner', 'by_other')
{
	fails_with($new, 'SELECT snowflake_next()', 'SF005',
		[
			qr/the IDs of this database have another layout than this server/,
			qr/DETAIL:  The database has ".*epoch:2020-02-02T00:00:00Z", the server has ".*epoch:2020-02-03T00:00:00Z"\./
		],
		"$dbname: a server with another epoch is refused", dbname => $dbname);
}

$new->stop;
done_testing();
