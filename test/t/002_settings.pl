# A server must not start with settings that cannot work: PostgreSQL by itself
# would warn and go on with the default, which is another layout or no node ID.
# While it runs, the node ID can be set once and nothing else may get through
# to the generator: neither a later reload nor what users can set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

my $node = snowflake_node('main');

sub does_not_start
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, $settings, @patterns) = @_;
	my $offset = -s $node->logfile // 0;

	settings($node, %$settings);
	my $started = $node->start(fail_ok => 1);
	my $log = slurp_file($node->logfile, $offset);
	$node->stop if $started;
	return subtest $name => sub {
		ok(!$started, 'the server does not start');
		like($log, $_, 'its log says why') foreach @patterns;
	};
}

#
# Settings that cannot work
#

sub invalid
{
	my ($setting, $value) = @_;

	return qr/FATAL: +invalid value for parameter "snowflake\.$setting": "?\Q$value\E"?$/m;
}

my $no_layout = qr/DETAIL: +It is neither a preset's name nor a list of fields/;
my $range_1023 = qr/DETAIL: +The value must be between 0 and 1023 in this layout/;
my $range_31 = qr/DETAIL: +The value must be between 0 and 31 in this layout/;
my $whole_number = qr/DETAIL: +The value must be a whole number between -1 and 2147483647\./;

foreach my $case (
	[ 'unknown preset', { layout => 'nosuch' }, invalid('layout', 'nosuch'), $no_layout ],
	[
		'widths over 64 bits', { layout => 'time:41 node:12 sequence:12' },
		invalid('layout', 'time:41 node:12 sequence:12'), qr/add up to 65 bits; an ID has 64\./
	],
	[
		'widths over 63 bits', { layout => 'time:41 node:11 sequence:12' },
		invalid('layout', 'time:41 node:11 sequence:12'), qr/add up to 64 bits; IDs that are made have at most 63/
	],
	[
		'preset that only decodes', { layout => 'discord' },
		invalid('layout', 'discord'), qr/add up to 64 bits; IDs that are made have at most 63/
	],
	[ 'preset with a tail', { layout => 'mastodon' }, invalid('layout', 'mastodon'), qr/at most 63/ ],
	[
		'layout with a tail', { layout => 'time:41 node:10 sequence:4 tail:2' },
		invalid('layout', 'time:41 node:10 sequence:4 tail:2'), qr/a node ID, a sequence and no tail/
	],
	[
		'layout without a node ID', { layout => 'time:41 sequence:12' },
		invalid('layout', 'time:41 sequence:12'), qr/a node ID, a sequence and no tail/
	],
	[ 'node ID out of range', { node_id => 1024 }, invalid('node_id', 1024), $range_1023 ],
	[
		'node ID out of another range', { layout => 'js53', node_id => 32 },
		invalid('node_id', 32), $range_31
	],
	[ 'node ID not a number', { node_id => 'abc' }, invalid('node_id', 'abc'), $whole_number ],
	[ 'node ID below -1', { node_id => -2 }, invalid('node_id', -2), $whole_number ],
	[ 'node ID over 31 bits', { node_id => 2147483648 }, invalid('node_id', 2147483648), $whole_number ],
	[
		'datacenter out of range', { datacenter_id => 32, worker_id => 1 },
		invalid('datacenter_id', 32), $range_31
	],
	[
		'worker out of range', { datacenter_id => 1, worker_id => 32 },
		invalid('worker_id', 32), $range_31
	],
	[
		'datacenter without worker', { datacenter_id => 1 },
		qr/FATAL: +"snowflake\.datacenter_id" and "snowflake\.worker_id" must be set together/
	],
	[
		'worker without datacenter', { worker_id => 1 },
		qr/FATAL: +"snowflake\.datacenter_id" and "snowflake\.worker_id" must be set together/
	],
	[
		'two forms that disagree', { node_id => 5, datacenter_id => 1, worker_id => 1 },
		qr/FATAL: +"snowflake\.node_id" contradicts/, qr/make node ID 33, but "snowflake\.node_id" is 5/
	],
	[
		'datacenter in a layout without', { layout => 'leaf', datacenter_id => 1, worker_id => 1 },
		qr/FATAL: +"snowflake\.datacenter_id" and "snowflake\.worker_id" cannot be used with this layout/
	],
	[
		'datacenter in a layout of workers', { layout => 'js53', datacenter_id => 1, worker_id => 1 },
		qr/FATAL: +"snowflake\.datacenter_id" cannot be used with this layout/
	],
	[
		'epoch in the future', { epoch => '2999-01-01' },
		invalid('epoch', '2999-01-01'), qr/DETAIL: +The epoch must not be in the future/
	],
	[
		'epoch of the layout in the future', { layout => 'time:41 node:10 sequence:12 epoch:2999-01-01' },
		invalid('layout', 'time:41 node:10 sequence:12 epoch:2999-01-01'), qr/future/
	],
	[ 'malformed epoch', { epoch => 'yesterday' }, invalid('epoch', 'yesterday'), qr/A time is written like/ ],
	[ 'impossible epoch', { epoch => '2023-02-29' }, invalid('epoch', '2023-02-29'), qr/There is no such day/ ],
	[
		'sequence start too large', { sequence_start => 4096 },
		invalid('sequence_start', 4096), qr/DETAIL: +The value must be between 0 and 4095 in this layout/
	],
	[ 'negative wait', { max_wait => -1 }, invalid('max_wait', -1), qr/between 0 and 86400000 ms/ ],
	[ 'lead of days', { max_lead => '2d' }, invalid('max_lead', '2d'), qr/between 0 and 86400000 ms/ ],
	[ 'jump not a number', { max_jump => 'far' }, invalid('max_jump', 'far'), qr/between 0 and 2147483647 s/ ])
{
	my ($name, $settings, @patterns) = @$case;

	does_not_start($name, $settings, @patterns);
}

#
# Settings that can, and what they lead to
#

settings($node, node_id => 1023);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION snowflake');
is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 1023, 'largest node ID');
is(status($node, 'node_id, node_source, pending IS NULL'), '1023|snowflake.node_id|t', 'in snowflake_status');

# A database keeps the layout of its first ID, so another one begins anew.
sub restart_anew
{
	my ($node) = @_;

	$node->restart;
	$node->safe_psql('postgres', 'DROP EXTENSION snowflake; CREATE EXTENSION snowflake');
	return;
}

foreach my $case (
	[ 'datacenter and worker', { datacenter_id => 31, worker_id => 30 }, '1022|31|30' ],
	[ 'two forms that agree', { node_id => 1022, datacenter_id => 31, worker_id => 30 }, '1022|31|30' ],
	[ 'worker of a layout without datacenters', { layout => 'js53', worker_id => 31 }, '31||31' ],
	[ 'node ID of a layout without workers', { layout => 'sonyflake', node_id => 65535 }, '65535||' ],
	[ 'node ID 0', { layout => 'time:41 node:1 sequence:21', node_id => 0 }, '0||' ])
{
	my ($name, $settings, $expected) = @$case;

	settings($node, %$settings);
	restart_anew($node);
	is( $node->safe_psql('postgres',
			'SELECT node_id, datacenter_id, worker_id FROM snowflake_decode(snowflake_next())'),
		$expected, $name);
	is(status($node, 'node_source'),
		(exists $settings->{worker_id} ? 'snowflake.datacenter_id, snowflake.worker_id' : 'snowflake.node_id'),
		'and where it comes from');
}

# The epoch is an instant, whatever the time zone of the server or a session.
$node->append_conf('postgresql.conf', q{timezone = 'America/New_York'});
settings($node, epoch => '2020-01-01 00:00:00', node_id => 1);
restart_anew($node);
is($node->safe_psql('postgres', 'SHOW timezone'), 'America/New_York', 'a server in New York');
like(status($node, 'layout'), qr/ epoch:2020-01-01T00:00:00Z$/, 'epoch in UTC');
is($node->safe_psql('postgres', q{SELECT snowflake_encode('2020-01-01 00:00:00+00', 0, 0)}), 0, 'IDs count from it');
is( $node->safe_psql('postgres', q{
		SELECT snowflake_timestamp(snowflake_next())
			BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()}),
	't', 'IDs have the right time');
settings($node, epoch => '2020-01-01T00:00:00-05:00', node_id => 1);
restart_anew($node);
like(status($node, 'layout'), qr/ epoch:2020-01-01T05:00:00Z$/, 'epoch with an offset');

#
# The node ID while the server runs
#

settings($node);
restart_anew($node);
my $session = $node->background_psql('postgres', on_error_stop => 0);
fails_with(
	$node,
	'SELECT snowflake_next()',
	'55000',
	[
		qr/the node ID of this server is not set/,
		qr/HINT:  Set "snowflake\.node_id" to a number from 0 to 1023 that no other server uses/
	],
	'no node ID');
$session->query('SELECT snowflake_next()');
like($session->{stderr}, qr/the node ID of this server is not set/, 'nor in a session that stays');
is(status($node, 'node_id IS NULL, last_id_time IS NULL, ids_issued'), 't|t|0', 'nothing was issued');

# A contradiction that comes by a reload is an error where it counts.
$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 5000');
reload_until($node, q{current_setting('snowflake.node_id') = '5000'});
fails_with($node, 'SELECT snowflake_next()',
	'22023',
	[ qr/invalid value for parameter "snowflake\.node_id": 5000/, qr/DETAIL: +The value must be between 0 and 1023/ ],
	'a node ID out of range by a reload');

$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 17');
reload_until($node, q{current_setting('snowflake.node_id') = '17'});
is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 17, 'set by a reload');
$session->{stderr} = '';
is($session->query('SELECT snowflake_node(snowflake_next())'), 17, 'in the session that was refused, too');
is(status($node, 'node_id, node_source, pending IS NULL'), '17|snowflake.node_id|t', 'in force');

foreach my $later ([ '= 18', '18', 'node ID 18' ], [ '= 5000', '5000', 'node ID not set or not valid' ],
	[ '= -1', '-1', 'node ID not set or not valid' ])
{
	my ($value, $shown, $pending) = @$later;

	$node->safe_psql('postgres', "ALTER SYSTEM SET snowflake.node_id $value");
	reload_until($node, "current_setting('snowflake.node_id') = '$shown'");
	is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'),
		17, "a later node ID of $shown is not obeyed");
	is($session->query('SELECT snowflake_node(snowflake_next())'), 17, 'not by an old session either');
	is(status($node, 'node_id, pending'), "17|$pending", 'but shown as pending');
}
$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 17');
reload_until($node, q{current_setting('snowflake.node_id') = '17'});
is(status($node, 'pending IS NULL'), 't', 'nothing is pending when it is back');

# The layout only ever changes by a restart.
my $id = $node->safe_psql('postgres', 'SELECT snowflake_next()');
my $decoded = $node->safe_psql('postgres', "SELECT snowflake_decode($id)");
$node->safe_psql('postgres', 'ALTER SYSTEM SET snowflake.node_id = 18');
$node->safe_psql('postgres', q{ALTER SYSTEM SET snowflake.layout = 'leaf'});
reload_until($node, q{pending_restart FROM pg_settings WHERE name = 'snowflake.layout'});
is($node->safe_psql('postgres', "SELECT snowflake_decode($id)"), $decoded, 'decoding goes on in the old layout');
like(status($node, 'layout'), qr/datacenter:5 worker:5/, 'which is in force');
is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 17, 'as the node ID is');
$session->quit;
restart_anew($node);
is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 18, 'obeyed after a restart');
like(status($node, 'layout'), qr/time:41 node:10 sequence:12/, 'both');
is(status($node, 'node_id, pending IS NULL'), '18|t', 'and no longer pending');

#
# Who may set them
#

my %values = (
	'snowflake.layout' => 'twitter',
	'snowflake.epoch' => '2020-01-01',
	'snowflake.node_id' => 3,
	'snowflake.datacenter_id' => 3,
	'snowflake.worker_id' => 3,
	'snowflake.max_lead' => 3,
	'snowflake.max_wait' => 3,
	'snowflake.max_jump' => 3,
	'snowflake.sequence_start' => 3,
	'snowflake.horizon' => 300);
my $settings = join ', ', map { "'$_'" } keys %values;

is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name LIKE 'snowflake.%'}),
	scalar(keys %values), 'all settings are tested');
$node->safe_psql('postgres', 'CREATE ROLE alice LOGIN; CREATE DATABASE hers OWNER alice');
foreach my $setting (sort keys %values)
{
	my $to = "$setting = '$values{$setting}'";

	foreach my $way (
		[ 'SET', "SET $to" ],
		[ 'set_config()', "SELECT set_config('$setting', '$values{$setting}', false)" ],
		[ 'ALTER ROLE', "ALTER ROLE alice SET $to" ],
		[ 'ALTER DATABASE', "ALTER DATABASE hers SET $to" ],
		[
			'a function',
			"CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SET $to AS 'SELECT 1'; SELECT f()"
		])
	{
		my ($how, $sql) = @$way;

		fails_with($node, $sql, '55P02', [qr/parameter "\Q$setting\E" cannot be changed/],
			"a user cannot set $setting by $how", dbname => 'hers', user => 'alice');
	}
	fails_with($node, 'SELECT 1', undef, [qr/parameter "\Q$setting\E" cannot be changed/],
		"a user cannot set $setting by PGOPTIONS", dbname => 'hers', user => 'alice',
		options => "-c $setting=$values{$setting}");
	fails_with($node, "SET $to", '55P02', [qr/parameter "\Q$setting\E" cannot be changed/],
		"a superuser cannot set $setting for a session");
}
fails_with($node, 'SET snowflake.nodee = 1', '42602', [qr/"snowflake" is a reserved prefix/],
	'a setting that there is not');
$node->stop;

#
# From 17 on the library can be loaded after a user has set something
#

# A client that libpq does not let one be: it names the setting itself in the
# packet that begins a connection.  Returns the SQLSTATE of the first error, or
# nothing.
sub startup
{
	my ($node, $user, $dbname, $setting, $value, $sql) = @_;
	my $socket = IO::Socket::UNIX->new($node->host . '/.s.PGSQL.' . $node->port)
	  or die "could not connect: $!\n";
	my $packet = pack('NZ*Z*Z*Z*Z*Z*x', 3 << 16, user => $user, database => $dbname, $setting => $value);

	print $socket pack('N', 4 + length $packet), $packet, 'Q', pack('NZ*', 5 + length $sql, $sql), 'X', pack('N', 4);
	$socket->flush;
	local $/;
	my ($sqlstate) = <$socket> =~ /\0C([0-9A-Z]{5})\0M/;
	return $sqlstate;
}

SKIP:
{
	skip 'the library must be preloaded before PostgreSQL 17', 1 if $node->pg_version < 17;

	my $late = PostgreSQL::Test::Cluster->new('late');
	$late->init;
	$late->append_conf('postgresql.conf', 'snowflake.node_id = 9');
	$late->start;
	$late->safe_psql('postgres', 'CREATE EXTENSION snowflake; CREATE ROLE alice LOGIN');
	$late->safe_psql('postgres', 'CREATE ROLE bob LOGIN; CREATE DATABASE hers OWNER alice');
	$late->safe_psql('hers', 'CREATE EXTENSION snowflake; GRANT CREATE ON SCHEMA public TO alice');

	# A user cannot have the library loaded before PostgreSQL has taken the settings.
	fails_with($late, 'SELECT 1', undef, [qr/permission denied to set parameter "session_preload_libraries"/],
		'session_preload_libraries is not for users', user => 'alice', options => '-c session_preload_libraries=snowflake');
	fails_with($late, 'SELECT 1', undef, [qr/could not access file "\$libdir\/plugins\/snowflake"/],
		'local_preload_libraries looks elsewhere', user => 'alice', options => '-c local_preload_libraries=snowflake');
	fails_with($late, q{LOAD 'snowflake'}, '42501', [qr/access to library "snowflake" is not allowed/],
		'LOAD is not for users', user => 'alice');

	my $next = 'SELECT snowflake_next()';
	foreach my $setting (sort keys %values)
	{
		my $to = "$setting = '$values{$setting}'";
		my $refused = [ qr/parameter "\Q$setting\E" cannot be set for a session, role or database/,
			qr/HINT:  Set it in the configuration file or by ALTER SYSTEM/ ];
		my @alice = (dbname => 'hers', user => 'alice');

		fails_with($late, $next, '55P02', $refused, "$setting by PGOPTIONS",
			@alice, options => "-c $setting=$values{$setting}");
		fails_with($late, "SET $to; $next", '55P02', $refused, "$setting by SET before the library is loaded", @alice);
		fails_with($late, "BEGIN; SET LOCAL $to; $next", '55P02', $refused, "$setting by SET LOCAL", @alice);

		# PostgreSQL itself lets only superusers write a function that sets what
		# it does not know; whoever calls it must not profit.
		my $function = "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SET $to AS 'SELECT snowflake_next()'";
		fails_with($late, $function, '42501', [qr/permission denied to set parameter "\Q$setting\E"/],
			"$setting by a function of a user", @alice);
		fails_with($late, "$function; SET ROLE alice; SELECT f()", '55P02', $refused,
			"$setting by a function of a superuser", dbname => 'hers');
		$late->safe_psql('hers', 'DROP FUNCTION f()');

		$late->safe_psql('postgres', "ALTER ROLE bob SET $to");
		fails_with($late, $next, '55P02', $refused, "$setting by ALTER ROLE", user => 'bob');
		$late->safe_psql('postgres', "ALTER ROLE bob RESET $setting");

		$late->safe_psql('postgres', "ALTER DATABASE hers SET $to");
		fails_with($late, $next, '55P02', $refused, "$setting by ALTER DATABASE", dbname => 'hers');
		$late->safe_psql('postgres', "ALTER DATABASE hers RESET $setting");

		foreach my $role ('bob IN DATABASE hers', 'ALL')
		{
			$late->safe_psql('postgres', "ALTER ROLE $role SET $to");
			fails_with($late, $next, '55P02', $refused, "$setting by ALTER ROLE $role", dbname => 'hers', user => 'bob');
			$late->safe_psql('postgres', "ALTER ROLE $role RESET $setting");
		}

		fails_with($late, "SELECT set_config('$setting', '$values{$setting}', false); $next", '55P02', $refused,
			"$setting by set_config()", @alice);
		fails_with($late, qq{DO \$\$ BEGIN PERFORM set_config('$setting', '$values{$setting}', true); PERFORM snowflake_next(); END \$\$},
			'55P02', $refused, "$setting by set_config() in a block", @alice);
		fails_with($late, "BEGIN; SAVEPOINT s; SET $to; RELEASE s; $next", '55P02', $refused,
			"$setting by SET in a subtransaction", @alice);

		# What a connection service file says of options is sent like PGOPTIONS.
		append_to_file($late->basedir . '/services', "[$setting]\noptions=-c $setting=$values{$setting}\n");
		{
			local $ENV{PGSERVICEFILE} = $late->basedir . '/services';
			local $ENV{PGSERVICE} = $setting;

			fails_with($late, $next, '55P02', $refused, "$setting by a connection service file", @alice);
		}
		is(startup($late, 'alice', 'hers', $setting => $values{$setting}, $next), '55P02',
			"$setting in the startup packet");

		# A worker loads the library on its own, with the settings of its leader.
		fails_with($late, "SET $to; SET debug_parallel_query = on; SELECT count(snowflake_next()) FROM pg_class", '55P02', $refused,
			"$setting by SET for a parallel worker", @alice);

		# A superuser may have the library loaded as a session begins; that makes
		# the connection fail.
		$late->safe_psql('postgres', q{ALTER ROLE bob SET session_preload_libraries = 'snowflake'});
		fails_with($late, 'SELECT 1', undef, $refused, "$setting by PGOPTIONS with the library preloaded for the session",
			user => 'bob', options => "-c $setting=$values{$setting}");
		$late->safe_psql('postgres', "ALTER ROLE bob SET $to");
		fails_with($late, 'SELECT 1', undef, $refused, "$setting by ALTER ROLE with the library preloaded for the session",
			user => 'bob');
		$late->safe_psql('postgres', "ALTER ROLE bob RESET ALL");

		# A value that was put away comes back when the transaction ends.
		my ($result, $stdout, $stderr) = $late->psql('hers', qq{
			SET $to;
			BEGIN;
			SET LOCAL $setting TO DEFAULT;
			SELECT snowflake_decode(0, 'twitter') IS NOT NULL;
			COMMIT;
			SELECT setting = reset_val FROM pg_settings WHERE name = '$setting'},
			extra_params => [ '-U', 'alice', '-v', 'VERBOSITY=verbose' ]);
		ok($stdout eq "t\nt" || $stdout eq '' && $stderr =~ /ERROR:  55P02: $refused->[0]/,
			"$setting by a value that comes back") or diag "$stdout\n$stderr";

		($result, $stdout) = $late->psql('hers', "SET $to; RESET $setting; SELECT snowflake_node(snowflake_next())",
			extra_params => [ '-U', 'alice' ]);
		is($stdout, 9, "$setting reset to what the server has");
	}
	$late->safe_psql('postgres', q{ALTER ROLE bob SET session_preload_libraries = 'snowflake'});
	is($late->safe_psql('postgres', 'SHOW snowflake.node_id; SELECT snowflake_node(snowflake_next())',
			extra_params => [ '-U', 'bob' ]),
		"9\n9", 'with the library preloaded for a session, and no such setting');
	is($late->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), 9,
		'none of that is what the server works with');
	is(status($late, q{node_id, pending IS NULL}), '9|t', 'nor is it pending');
	like(status($late, 'layout'), qr/datacenter:5 worker:5 sequence:12 tick:1ms epoch:2010-11-04T01:42:54\.657Z/,
		'and the layout is the one that nobody changed');
	$late->stop;
}

done_testing();
