# What keeps the horizon of a database true: everything that can be done to the
# sequences it lives in, to the extension, to the database, and to the settings
# of the server.  After each of them the horizon that survives a crash must lie
# above all IDs of that database; where it cannot, IDs must be refused with an
# error that says what to do.
#
# The documented limit is shown as well: what one database knows, another does
# not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time);

my @sequences = qw(snowflake_horizon snowflake_layout_fields snowflake_layout_epoch);
my $year = 366 * 86400;

# Where this sets the clock back, parallel workers of PostgreSQL 15 may see the
# true time under libfaketime: then that has to be waited for.
my $node = snowflake_node('main', 'snowflake.node_id = 77', q{snowflake.horizon = '1s'},
	q{snowflake.max_wait = '30s'}, 'wal_level = replica', 'max_wal_senders = 0');
my $clock = fake_clock($node);
$clock->start;

sub sql
{
	return $node->safe_psql(@_);
}

# A line of the configuration; the last one counts.
sub configure
{
	my ($line) = @_;

	return $node->append_conf('postgresql.conf', $line);
}

sub database
{
	my ($name) = @_;

	sql('postgres', "CREATE DATABASE $name");
	sql($name, 'CREATE EXTENSION snowflake');
	return;
}

# The greatest ID that came out of a database.
my %greatest;

sub made
{
	my ($database, @ids) = @_;

	foreach my $id (@ids)
	{
		die "\"$id\" is no ID\n" unless $id =~ /^\d+$/;
		$greatest{$database} = $id if $id > ($greatest{$database} // 0);
	}
	return;
}

sub next_id
{
	my ($database) = @_;
	my $id = sql($database, 'SELECT snowflake_next()');

	made($database, $id);
	return $id;
}

# Each ID is greater than the one before.
sub rising
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, @ids) = @_;

	return is(join(' ', @ids), join(' ', sort { $a <=> $b } @ids), $name);
}

sub horizon
{
	my ($database) = @_;

	return sql($database, 'SELECT last_value FROM snowflake_horizon');
}

my ($twitter, $history);

sub ms_of
{
	my ($id) = @_;

	return $history->time_of($id) / 1000;
}

# The horizon that the database would wake up with lies above its IDs.
sub covered
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($database, $name) = @_;

	return cmp_ok(horizon($database), '>', ms_of($greatest{$database}), "$database: the horizon is above all IDs $name");
}

sub log_from
{
	my ($offset) = @_;

	return slurp_file($node->logfile, $offset);
}

#
# Before the first ID
#

# Created while there is nothing to remember.
database('untouched');
$twitter = sql('untouched', 'SELECT layout FROM snowflake_status');
$history = SnowflakeHistory->new(layout => $twitter, dir => $node->basedir);
is( sql('untouched', q{
		SELECT horizon IS NULL AND horizon_extensions = 0 AND horizon_time = 0 AND horizon_raised_at IS NULL
		FROM snowflake_status}),
	't', 'snowflake_status before the first ID');
is(sql('untouched', "SELECT is_called, last_value FROM $_"), 'f|0', "$_ before the first ID") foreach @sequences;

#
# DROP and CREATE EXTENSION
#

database('dropped');
my @ids = split /\n/, sql('dropped', q{
	SELECT snowflake_next();
	DROP EXTENSION snowflake;
	CREATE EXTENSION snowflake;
	SELECT snowflake_next();
	BEGIN;
	DROP EXTENSION snowflake;
	CREATE EXTENSION snowflake;
	SELECT snowflake_next();
	COMMIT;
	SELECT snowflake_next();
	BEGIN;
	DROP EXTENSION snowflake;
	ROLLBACK;
	SELECT snowflake_next();
	DROP EXTENSION snowflake;
	CREATE EXTENSION snowflake});
is(scalar(@ids), 5, 'an ID after each DROP and CREATE EXTENSION in one session');
rising('they rise', @ids);
made('dropped', @ids);
covered('dropped', 'although the extension was created anew');

is( sql('dropped', q{
		SELECT snowflake_next();
		SELECT horizon > last_id_time AND horizon_extensions > 0 AND horizon_time > 0 AND horizon_raised_at IS NULL
		FROM snowflake_status}) =~ s/\d+\n//r,
	't', 'snowflake_status after the first IDs');

my $session = $node->background_psql('dropped');
made('dropped', $session->query_safe('SELECT snowflake_next()'));
sql('dropped', 'DROP EXTENSION snowflake; CREATE EXTENSION snowflake');
made('dropped', my $after = $session->query_safe('SELECT snowflake_next()'));
cmp_ok($after, '>', $ids[-1], 'under another session');
$session->quit;

#
# DROP and CREATE DATABASE
#

database('doomed');
my $doomed = next_id('doomed');
sql('postgres', 'DROP DATABASE doomed');
database('doomed');
cmp_ok(horizon('doomed'), '>', ms_of($doomed), 'a database that was dropped and created begins above the IDs of before');
cmp_ok(next_id('doomed'), '>', $doomed, 'so do its IDs');

database('origin');
sql('origin', 'CREATE TABLE t AS SELECT snowflake_next() AS id FROM generate_series(1, 1000)');
made('origin', sql('origin', 'SELECT max(id) FROM t'));
foreach my $strategy (qw(wal_log file_copy))
{
	my $copy = "copy_by_$strategy";

	sql('postgres', "CREATE DATABASE $copy TEMPLATE origin STRATEGY $strategy");
	made($copy, $greatest{origin});
	covered($copy, 'of its template');
	rising("$copy: both go on", "$greatest{origin}", next_id($copy), next_id('origin'), next_id($copy));
}

#
# ALTER SEQUENCE
#

# While another session has the sequence altered and not yet said whether to
# keep that, IDs wait: what they would write could go to a file that is about
# to be thrown away.
database('altered');
made('altered', my $previous = next_id('altered'));
foreach my $end (qw(ROLLBACK COMMIT))
{
	foreach my $alter ('CACHE 2', 'RESTART WITH 1')
	{
		my $session = $node->background_psql('altered');

		$session->query_safe("BEGIN; ALTER SEQUENCE snowflake_horizon $alter");
		my $drawing = start_psql($node, 'altered', 'SELECT snowflake_next()');
		ok( comes_to($drawing, $node, 'altered', q{
				SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'snowflake_horizon'::regclass}),
			"ALTER SEQUENCE ... $alter: IDs wait for its $end");
		$session->query_safe($end);
		$session->quit;
		$drawing->finish;
		made('altered', $drawing->stdout);
		covered('altered', "after $end of ALTER SEQUENCE ... $alter");
		cmp_ok($greatest{altered}, '>', $previous, 'it rises');
		$previous = $greatest{altered};
	}
}

# In the very transaction nobody waits.
foreach my $alter ('ALTER SEQUENCE snowflake_horizon CACHE 1', 'ALTER SEQUENCE snowflake_layout_epoch RESTART')
{
	fails_with($node, "BEGIN; $alter; SELECT snowflake_next()",
		'55000', [ qr/HINT:/ ], "$alter: no IDs in the same transaction", dbname => 'altered');
}
cmp_ok(next_id('altered'), '>', $previous, 'IDs again in the next one');

#
# setval and nextval
#

# Whoever may write to the sequence does so outside of all order.  The next one
# who comes mends it.
database('written');
sql('written', 'CHECKPOINT');
next_id('written');
$session = $node->background_psql('written');
$session->query_safe('SELECT snowflake_next()');
foreach my $write (
	q{setval('snowflake_horizon', 1)},
	q{setval('snowflake_horizon', 1, false)},
	q{setval('snowflake_horizon', last_value + 500) FROM snowflake_horizon},
	q{nextval('snowflake_horizon')},
	q{nextval('snowflake_horizon') FROM generate_series(1, 100)})
{
	my $before = $greatest{written};

	sql('written', "SELECT $write");
	cmp_ok(next_id('written'), '>', $before, "an ID after $write");
	covered('written', "after $write");
}
made('written', $session->query_safe('SELECT snowflake_next()'));

# A session that knows of a horizon does not see what is written over it until
# it needs the next one.
sql('written', q{SELECT setval('snowflake_horizon', 1)});
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
my $drawn = 0;
do
{
	made('written', $session->query_safe('SELECT max(id) FROM (SELECT snowflake_next() AS id FROM generate_series(1, 100)) AS drawn'));
	$drawn++;
} while (horizon('written') == 1 && time < $deadline);
note "mended with the $drawn. statement";
covered('written', 'again, when a session that was there needs more');

# After all times.
my $horizon_was = horizon('written');
sql('written', q{SELECT setval('snowflake_horizon', 9223372036854775807)});
is(sql('written', 'SELECT horizon FROM snowflake_status'), 'infinity', 'a horizon after all times is told as infinity');
sql('written', "SELECT setval('snowflake_horizon', $horizon_was)");
next_id('written');

# Recovery must come to the same page: a record of ours after one of theirs.
sql('written', "SELECT setval('snowflake_horizon', last_value + 500) FROM snowflake_horizon");
sql('written', q{SELECT nextval('snowflake_horizon') FROM generate_series(1, 3)});
next_id('written');
sql('written', q{SELECT nextval('snowflake_horizon') FROM generate_series(1, 300)});
next_id('written');
my %at_crash = (written => horizon('written'));
$session->quit;

#
# Not logged
#

database('unlogged');
next_id('unlogged');
foreach my $sequence (@sequences)
{
	my $before = $greatest{unlogged};

	sql('unlogged', "ALTER SEQUENCE $sequence SET UNLOGGED");
	fails_with($node, 'SELECT snowflake_next()', '55000',
		[
			qr/sequence "$sequence" is not WAL-logged/,
			qr/DETAIL:  What it holds would not survive a crash/,
			qr/HINT:  Set it LOGGED/
		],
		"$sequence SET UNLOGGED", dbname => 'unlogged');
	sql('unlogged', "ALTER SEQUENCE $sequence SET LOGGED");
	cmp_ok(next_id('unlogged'), '>', $before, 'an ID when it is logged again');
	covered('unlogged', 'then');
}

#
# Rights
#

# Default privileges that would hand all to everybody.
sql('postgres', q{
	CREATE DATABASE rights;
	CREATE ROLE ordinary LOGIN;
	CREATE ROLE "Odd, role" LOGIN});
sql('rights', q{
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC, "Odd, role";
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO ordinary WITH GRANT OPTION;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO ordinary;
	CREATE EXTENSION snowflake});
is( sql('rights', q{
		SELECT bool_or(has_sequence_privilege(role, name, privilege)), bool_and(has_sequence_privilege(role, name, 'SELECT'))
		FROM unnest(ARRAY['ordinary', 'Odd, role']) AS role,
			unnest(ARRAY['snowflake_horizon', 'snowflake_layout_fields', 'snowflake_layout_epoch']) AS name,
			unnest(ARRAY['USAGE', 'UPDATE']) AS privilege}),
	'f|t', 'nobody but the owner may write to the sequences, all may read them');
foreach my $statement (
	(map { ("SELECT setval('$_', 1)", "SELECT nextval('$_')", "ALTER SEQUENCE $_ RESTART") } @sequences),
	'SELECT snowflake_reset_horizon(now())',
	'SELECT snowflake_set_layout()',
	'SELECT snowflake_accept_clock()')
{
	foreach my $role ('ordinary', 'Odd, role')
	{
		fails_with($node, $statement, '42501', [], "$statement as $role",
			dbname => 'rights', user => $role);
	}
}
foreach my $role ('ordinary', 'Odd, role')
{
	made('rights', $node->safe_psql('rights', 'BEGIN READ ONLY; SELECT snowflake_next(); COMMIT',
			extra_params => [ '-U', $role ]));
	is( $node->safe_psql('rights', 'SELECT horizon > last_id_time FROM snowflake_status()',
			extra_params => [ '-U', $role ]),
		't', "an ID in a read-only transaction, and the status, as $role");
}

#
# Renamed, moved, dropped
#

database('renamed');
next_id('renamed');
$session = $node->background_psql('renamed', on_error_stop => 0);
foreach my $sequence (@sequences)
{
	my $before = $greatest{renamed};

	made('renamed', $session->query_safe('SELECT snowflake_next()'));
	sql('renamed', "ALTER SEQUENCE $sequence RENAME TO other");
	fails_with($node, 'SELECT snowflake_next()', '42704',
		[ qr/sequence "$sequence" of the snowflake extension is missing/, qr/HINT:/ ],
		"$sequence renamed", dbname => 'renamed');
	my ($out, $failed) = $session->query('SELECT snowflake_next()');
	ok($failed && $out eq '', 'a session that was there is refused as well');
	$session->{stderr} = '';
	sql('renamed', "ALTER SEQUENCE other RENAME TO $sequence");
	cmp_ok(next_id('renamed'), '>', $before, 'an ID when it has its name again');
}
$previous = $greatest{renamed};
sql('renamed', 'CREATE SCHEMA elsewhere; ALTER EXTENSION snowflake SET SCHEMA elsewhere');
made('renamed', my $moved = $session->query_safe('SELECT elsewhere.snowflake_next()'));
cmp_ok($moved, '>', $previous, 'an ID in another schema');
sql('renamed', 'ALTER EXTENSION snowflake SET SCHEMA public');
covered('renamed', 'after all that');
$session->quit;
sql('renamed', q{
	ALTER EXTENSION snowflake DROP SEQUENCE snowflake_horizon;
	DROP SEQUENCE snowflake_horizon});
fails_with($node, 'SELECT snowflake_next()', '42704', [qr/HINT:  Create the extension anew\./],
	'a sequence is gone', dbname => 'renamed');
fails_with($node, 'SELECT * FROM snowflake_status', '42704', [qr/"snowflake_horizon"/],
	'the status says so, too', dbname => 'renamed');
sql('renamed', 'DROP EXTENSION snowflake; CREATE EXTENSION snowflake');
cmp_ok(next_id('renamed'), '>', $moved, 'created anew, it goes on above');

database('parallel');
next_id('parallel');

#
# CREATE EXTENSION under a running statement
#

# A statement that runs on while the extension is dropped and created knows of
# nothing but the horizon that was dropped.  A long one, so that the statement
# does not come to its end.
sql('postgres', q{ALTER SYSTEM SET snowflake.horizon = '20s'});
reload_until($node, q{current_setting('snowflake.horizon') = '20s'});
database('running');
sql('running', 'CREATE TABLE t (id bigint); SELECT snowflake_next()');
$session = $node->background_psql('running');
$session->query_safe('SELECT pg_advisory_lock(1)');
my $running = start_psql($node, 'running', q{
	INSERT INTO t SELECT snowflake_next() FROM generate_series(1, 100) AS g
	WHERE g <> 51 OR pg_advisory_lock(1) IS NOT NULL;});
ok( comes_to($running, $node, 'running', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}),
	'a statement has made some of its IDs');
sql('running', 'DROP EXTENSION snowflake; CREATE EXTENSION snowflake');
$session->quit;
ok($running->finish, 'a statement that ran while the extension was dropped and created') or diag $running->stderr;
is(sql('running', 'SELECT count(*), count(DISTINCT id) FROM t'), '100|100', 'it made all its IDs');
made('running', split /\n/, sql('running', 'SELECT id FROM t'));
covered('running', 'of the statement that ran on');
sql('postgres', 'ALTER SYSTEM RESET snowflake.horizon');
reload_until($node, q{current_setting('snowflake.horizon') = '1s'});

#
# The crash
#

next_id($_) foreach qw(dropped running doomed origin altered unlogged rights renamed parallel);
sql('postgres', 'CREATE TABLE flush ()');
kill_server($node);

$clock->start;
covered($_, 'after a crash') foreach sort keys %greatest;
is(horizon('written'), $at_crash{written}, 'replayed after setval and nextval, it is the same to the millisecond');
is( sql('untouched', 'SELECT horizon IS NULL AND last_id_time IS NULL AND horizon_raised_at IS NULL FROM snowflake_status'),
	't', 'nothing was made yet');

# The clock is behind all IDs that were made last, by less than a call may wait.
my $last = $greatest{rights};
$clock->set(ms_of($last) / 1000 - 1 - time);

# The first call of a server run, which has to write, in a read-only
# transaction of an ordinary role.
made('rights', my $first = $node->safe_psql('rights', 'BEGIN READ ONLY; SELECT snowflake_next(); COMMIT',
		extra_params => [ '-U', 'ordinary' ]));
cmp_ok($first, '>', $last, 'the first ID after the crash is greater than all of before in its database');
covered('rights', 'already again');
is( sql('rights', q{
		SELECT horizon_extensions > 0 AND horizon_time > 0
			AND horizon_raised_at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp()
		FROM snowflake_status}),
	't', 'snowflake_status shows that it was raised');

# The same in a parallel worker.
my $plan = sql('parallel', q{
	CREATE TABLE many AS SELECT g FROM generate_series(1, 20000) AS g;
	ANALYZE many;
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	SET parallel_leader_participation = off;
	EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF)
		CREATE TABLE drawn AS SELECT snowflake_next() AS id FROM many});
like($plan, qr/Workers Launched: [1-9]/, 'parallel workers were started');
like($plan, qr/Parallel Seq Scan on public\.many .*\n +Output: .*snowflake_next\(\)/, 'and drew the IDs');
is(sql('parallel', "SELECT count(DISTINCT id), min(id) > $greatest{parallel} FROM drawn"),
	'20000|t', 'all distinct and above those of before');
made('parallel', sql('parallel', 'SELECT max(id) FROM drawn'));
covered('parallel', 'of the workers');

foreach my $database (sort keys %greatest)
{
	next if $database eq 'running';
	my $before = $greatest{$database};

	cmp_ok(next_id($database), '>', $before, "$database: the next ID is greater than all of before");
}

#
# Another layout
#

sub restart_with
{
	my (@lines) = @_;

	configure($_) foreach @lines;
	$clock->restart;
	return;
}

sub refused_layout
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($database, $theirs, $ours, $name) = @_;

	return fails_with($node, 'SELECT snowflake_next()', 'SF005',
		[
			qr/the IDs of this database have another layout than this server/,
			qr/DETAIL:  The database has "\Q$theirs\E", the server has "\Q$ours\E"\./,
			qr/HINT:  .*snowflake_set_layout\(\)/
		],
		"$database: $name", dbname => $database);
}

# With a later epoch the same numbers come again, one by one.
$clock->set(0);
restart_with(q{snowflake.epoch = '2011-01-01'});
(my $later = $twitter) =~ s/epoch:.*/epoch:2011-01-01T00:00:00Z/;
is(sql('dropped', 'SELECT layout FROM snowflake_status'), $later, 'the server has a later epoch');
refused_layout('dropped', $twitter, $later, 'no IDs with another epoch');
refused_layout('copy_by_wal_log', $twitter, $later, 'no IDs in a copy either');
is(horizon('dropped') =~ /^\d+$/ && sql('dropped', 'SELECT count(*) FROM snowflake_status'), 1, 'the status works');
fails_with($node, 'SELECT snowflake_set_layout()', 'SF005',
	[ qr/IDs of the server's layout could repeat those of this database/, qr/DETAIL:  IDs below \d+ may have been made; new ones would begin at \d+\./ ],
	'it cannot be made the layout of the database', dbname => 'dropped');
refused_layout('dropped', $twitter, $later, 'no IDs after that');

# Set in a run without IDs, in which a new database has no layout yet.
database('bare');
sql('bare', 'SELECT snowflake_reset_horizon(now())');
fails_with($node, 'SELECT snowflake_set_layout()', '55000', [ qr/the layout of this database's IDs is not known/, qr/HINT:/ ],
	'where there is a horizon and no layout it cannot either', dbname => 'bare');

sql('untouched', 'SELECT snowflake_set_layout()');
my $early = sql('untouched', 'SELECT snowflake_next()');
cmp_ok($early, '<', $greatest{dropped}, 'where no ID was made yet it can');

# With an earlier epoch all new IDs are greater.
restart_with(q{snowflake.epoch = '2009-01-01'});
(my $earlier = $twitter) =~ s/epoch:.*/epoch:2009-01-01T00:00:00Z/;
refused_layout('dropped', $twitter, $earlier, 'no IDs with an earlier epoch, until it is said');
refused_layout('untouched', $later, $earlier, 'no IDs where there were some with the later one');
my $offset = -s $node->logfile;
sql('dropped', 'SELECT snowflake_set_layout()');
like(log_from($offset), qr/LOG:  snowflake: the layout of database "dropped" was set to that of the server/, 'it is logged');
kill_server($node);
$clock->start;
is(sql('dropped', 'SELECT max(id) > ' . $greatest{dropped} . ', count(*) FROM (SELECT snowflake_next() AS id FROM generate_series(1, 10)) AS drawn'),
	't|10', 'after a crash it is set, and IDs are greater than those of before');
refused_layout('origin', $twitter, $earlier, 'other databases have to be asked one by one');

# Fields of the same widths under other names; and back where that is allowed.
restart_with(q{snowflake.epoch = ''}, q{snowflake.layout = 'time:41 node:10 sequence:12'});
my $fields = $twitter =~ s/datacenter:5 worker:5/node:10/r;
refused_layout('dropped', $earlier, $fields, 'no way back to IDs that were made');
fails_with($node, 'SELECT snowflake_set_layout()', 'SF005', [qr/could repeat/], 'not even on demand', dbname => 'dropped');
refused_layout('origin', $twitter, $fields, 'other fields of the same widths are another layout');
sql('origin', 'SELECT snowflake_set_layout()');
cmp_ok(next_id('origin'), '>', $greatest{'copy_by_wal_log'}, 'to which one can change, as no ID comes again');
restart_with(q{snowflake.layout = 'twitter'});
refused_layout('origin', $fields, $twitter, 'it is remembered');
sql('origin', 'SELECT snowflake_set_layout()');
next_id('origin');
covered('origin', 'of both layouts');
next_id('altered');

#
# A clock that was wrong
#

# Ten years ahead when the server starts: nothing tells that it is wrong.
$clock->set(10 * $year);
$clock->restart;
my $far = sql('altered', 'SELECT snowflake_next()');
cmp_ok(ms_of($far) / 1000, '>', time + 9 * $year, 'an ID of the far future');
$clock->set(0);
fails_with($node, 'SELECT snowflake_next()', 'SF001', [],
	'while the server runs, no database has IDs under the right clock', dbname => 'unlogged');
fails_with($node, 'SELECT snowflake_reset_horizon(now())', '55000',
	[ qr/the horizon is in use/, qr/HINT:  Restart the server/ ],
	'nor can the horizon be reset', dbname => 'altered');
$clock->restart;
fails_with($node, 'SELECT snowflake_next()', 'SF004',
	[qr/the horizon of this database is \d+\.\d{3} s ahead of the clock/],
	'after a restart it is this database alone', dbname => 'altered');
my $unlogged = $greatest{unlogged};
cmp_ok(next_id('unlogged'), '>', $unlogged, 'another one goes on');
cmp_ok(ms_of($greatest{unlogged}) / 1000, '<', time + 10, 'with IDs of now');
fails_with($node, 'SELECT snowflake_reset_horizon(now())', '42501', [], 'not everybody can reset it',
	dbname => 'altered', user => 'ordinary');
fails_with($node, q{SELECT snowflake_reset_horizon('infinity')}, '22008', [], 'not to infinity', dbname => 'altered');
fails_with($node, q{SELECT snowflake_reset_horizon('-infinity')}, '22008', [], 'nor to minus infinity', dbname => 'altered');
is(sql('altered', 'SELECT snowflake_reset_horizon(NULL)'), '', 'nor to nothing');
cmp_ok(horizon('altered'), '>', ms_of($far), 'it is where it was');
$offset = -s $node->logfile;
sql('altered', "SELECT snowflake_reset_horizon(snowflake_timestamp($greatest{altered}) + interval '1 second')");
like(log_from($offset), qr/LOG:  snowflake: the horizon of database "altered" was set to /, 'reset, and logged');
kill_server($node);
$clock->start;
my $altered = $greatest{altered};
cmp_ok(next_id('altered'), '>', $altered, 'durably: after a crash IDs go on above the right ones');
cmp_ok(ms_of($greatest{altered}) / 1000, '<', time + 10, 'with times of now');

# To a time before all that a sequence and pg_dump can hold.
sql('written', q{SELECT snowflake_reset_horizon('1960-01-01')});
cmp_ok(horizon('written'), '>=', 0, 'a horizon before 1970 is one of 1970');
next_id('written');

# Two years ahead while the server runs: that is seen.
$clock->set(2 * $year);
fails_with($node, 'SELECT snowflake_next()', 'SF003', [qr/HINT:.*snowflake_accept_clock\(\)/],
	'no ID after a jump of the clock', dbname => 'doomed');
cmp_ok(horizon('doomed') / 1000, '<', time + 100, 'the horizon stays');
fails_with($node, 'SELECT snowflake_accept_clock()', '42501', [], 'not everybody can accept it',
	dbname => 'doomed', user => 'ordinary');
$offset = -s $node->logfile;
sql('doomed', 'SELECT snowflake_accept_clock()');
like(log_from($offset), qr/LOG:  snowflake: the clock was accepted as it is/, 'accepted, and logged');
sql('doomed', 'SELECT snowflake_next()');
cmp_ok(horizon('doomed') / 1000, '>', time + $year, 'then the horizon goes with it');
$clock->set(0);
$clock->restart;
fails_with($node, 'SELECT snowflake_next()', 'SF004', [], 'which was wrong, as it turns out', dbname => 'doomed');
sql('doomed', 'SELECT snowflake_reset_horizon(now())');
my $doomed_before = $greatest{doomed};
cmp_ok(next_id('doomed'), '>', $doomed_before, 'and could be mended');

#
# wal_level = minimal
#

restart_with('wal_level = minimal');
sql('postgres', 'CREATE DATABASE minimal');
fails_with($node, 'BEGIN; CREATE EXTENSION snowflake; SELECT snowflake_next()', '55000',
	[ qr/sequence "snowflake_horizon" is not WAL-logged/, qr/HINT:.*"wal_level" = minimal/ ],
	'wal_level = minimal: no IDs in the transaction that creates the extension', dbname => 'minimal');
sql('minimal', 'CREATE EXTENSION snowflake');
next_id('minimal');
fails_with($node, 'BEGIN; ALTER SEQUENCE snowflake_horizon CACHE 3; SELECT snowflake_next()', '55000', [],
	'nor in one that alters the sequence', dbname => 'minimal');
next_id('minimal');
kill_server($node);
$clock->start;
covered('minimal', 'after a crash');
restart_with('wal_level = replica');
sql('postgres', 'CREATE DATABASE at_once');
is(sql('at_once', q{
		BEGIN;
		CREATE EXTENSION snowflake;
		CREATE TABLE t (id snowflake, n int);
		INSERT INTO t (n) SELECT generate_series(1, 100);
		COMMIT;
		SELECT count(DISTINCT id) FROM t}),
	100, 'wal_level = replica: IDs in the transaction that creates the extension');

#
# Without the library
#

sql('minimal', 'CREATE TABLE t (id snowflake PRIMARY KEY, n int); INSERT INTO t (n) SELECT generate_series(1, 10)');
made('minimal', sql('minimal', 'SELECT max(id) FROM t'));
my $horizon = horizon('minimal');
restart_with(q{shared_preload_libraries = ''});
is(sql('minimal', 'SELECT count(*) FROM t'), 10, 'not preloaded any more: tables are there');
sql('minimal', 'UPDATE t SET n = n + 1; INSERT INTO t VALUES (1, 1); DELETE FROM t WHERE id = 1');
is(horizon('minimal'), $horizon, 'the horizon as well');
command_ok([ $node->installed_command('pg_dump'), '-f', $node->basedir . '/dump', $node->connstr('minimal') ], 'pg_dump works');
if ($node->pg_version < 17)
{
	fails_with($node, 'INSERT INTO t (n) VALUES (1)', '55000',
		[ qr/snowflake must be loaded via "shared_preload_libraries"/, qr/HINT:/ ],
		'making IDs says what is missing', dbname => 'minimal');
}
else
{
	my $before = $greatest{minimal};

	cmp_ok(next_id('minimal'), '>', $before, 'IDs are made all the same, above those of before');
}
sql('minimal', 'DROP EXTENSION snowflake CASCADE; CREATE EXTENSION snowflake');
is(sql('minimal', 'SELECT count(*) FROM t'), 10, 'DROP EXTENSION works');
$node->stop;

#
# The limit: the horizon is one of a database, not of the server
#

# Ticks of ten seconds make it the same tick for sure.  Each time is one of the
# server's clock.
$node = snowflake_node('coarse', 'snowflake.node_id = 3',
	q{snowflake.layout = 'time:32 node:10 sequence:20 tick:10s epoch:2020-01-01'});
$clock = fake_clock($node);
my $tick = 10 * int(time / 10 + 100);
$clock->set($tick + 0.5 - time);
$clock->start;
database('south');
sql('south', 'CREATE TABLE t AS SELECT snowflake_next() AS id');
$clock->set($tick + 100.5 - time);
database('north');
my $draw = 'CREATE TABLE drawn AS SELECT snowflake_next() AS id FROM generate_series(1, 1000)';
sql('north', $draw);
my $north = sql('north', 'SELECT max(id) FROM drawn');
kill_server($node);
$clock->set($tick + 101 - time);
$clock->start;

fails_with($node, 'SELECT snowflake_next()', 'SF004', [], 'no ID comes twice within a database', dbname => 'north');
sql('south', $draw);
my %seen = map { $_ => 1 } split /\n/, sql('north', 'SELECT id FROM drawn');
my $repeated = grep { $seen{$_} } split /\n/, sql('south', 'SELECT id FROM drawn');
cmp_ok($repeated, '>', 0, 'but one that knows nothing of another repeats its IDs, when the clock was set back over a crash');
note "$repeated of 1000";

# With the right clock, and while the server runs, it does not.
$clock->set($tick + 200.5 - time);
my @both = map { sql($_, 'SELECT snowflake_next()') } qw(north south north south);
rising('while the server runs all databases share what was used', $north, @both);
$node->stop;

done_testing();
