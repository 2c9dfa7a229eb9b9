# What the TAP tests have in common: a server with the library, errors with
# their SQLSTATE, sessions that run beside the test, sets of IDs, and a server
# whose clock the test sets.

package SnowflakeTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeSession;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  snowflake_node
  settings
  reload_until
  keep_session
  session
  status
  fails_with
  start_psql
  collect_ids_into
  ids_ok
  fake_clock
  wait_until_up
);

# The modules of PostgreSQL 16 and later copy the cluster that INITDB_TEMPLATE
# names where initdb is asked for nothing special; those of 15 do it by this.
if (defined $ENV{INITDB_TEMPLATE} && `pg_config --version` =~ /^PostgreSQL 15\b/)
{
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;

	no warnings 'redefine';
	*PostgreSQL::Test::Utils::system_or_bail = sub {
		my @command = @_;

		@command = ('cp', '-RPp', $ENV{INITDB_TEMPLATE}, $command[2])
		  if @command == 6 && "@command[0, 1, 3 .. 5]" eq 'initdb -D -A trust -N';
		return $run->(@command);
	};
}

# A server that preloads the library, with these lines in its configuration;
# not yet started.
sub snowflake_node
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf',
		join("\n", "shared_preload_libraries = 'snowflake'", @lines, q{include_if_exists 'settings.conf'}));
	return $node;
}

# A server that comes back by itself accepts connections again.  Not asked by
# psql, which leaves before it has read its input where it is refused, and now
# and then takes the test along by a broken pipe.
sub wait_until_up
{
	my ($node) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until (IPC::Run::run([ $node->installed_command('pg_isready'), '-q', '-d', $node->connstr('postgres') ]))
	{
		die "the server does not come up\n" if time > $deadline;
		usleep(5_000);
	}
	return;
}

# Settings of this extension, without its prefix, for the next start.  They
# replace all that an earlier call gave.
sub settings
{
	my ($node, %settings) = @_;
	my $file = $node->data_dir . '/settings.conf';

	open my $conf, '>', $file or die "could not write $file: $!\n";
	print $conf "snowflake.$_ = '$settings{$_}'\n" foreach sort keys %settings;
	close $conf or die "could not write $file: $!\n";
	return;
}

# Has the server read its configuration, and waits until a new session sees it.
sub reload_until
{
	my ($node, $condition) = @_;

	$node->reload;
	$node->poll_query_until('postgres', "SELECT $condition") or die "the reload did not arrive\n";
	return;
}

# By the name of their server.
my %sessions;

# This server is asked for its status so often that a session stays for it.
sub keep_session
{
	my ($node) = @_;

	return $sessions{ $node->name } = SnowflakeSession->new($node->installed_command('psql'), $node->connstr('postgres'));
}

# That session, if there is one.
sub session
{
	my ($node) = @_;

	return $sessions{ $node->name };
}

# Expressions over the one row of snowflake_status.
sub status
{
	my ($node, $columns) = @_;
	my $query = "SELECT $columns FROM snowflake_status";
	my $session = session($node);

	return $session ? $session->answer($query) : $node->safe_psql('postgres', $query);
}

# The statement must fail with this SQLSTATE, and what psql shows of the error
# must match all patterns.  Without a SQLSTATE it is the connection that must
# fail, of whose SQLSTATE psql says nothing.  Parameters: dbname, user, and
# options, which is what libpq takes from PGOPTIONS.
sub fails_with
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $sql, $sqlstate, $patterns, $name, %params) = @_;
	my @args = ('-v', 'VERBOSITY=verbose');
	my $stderr;

	push @args, '-U', $params{user} if defined $params{user};
	local $ENV{PGOPTIONS} = $params{options} // '';
	$node->psql($params{dbname} // 'postgres', $sql,
		stderr => \$stderr, extra_params => \@args);
	my $error = defined $sqlstate ? qr/ERROR:  $sqlstate:/ : qr/FATAL:/;
	return subtest $name => sub {
		like($stderr, $error, 'kind of error');
		like($stderr, $_, 'message') foreach @$patterns;
	};
}

# psql with this script, beside the test; see SnowflakeTest::Psql.
sub start_psql
{
	my ($node, $dbname, $sql) = @_;

	return SnowflakeTest::Psql->new($node, $dbname, $sql);
}

# A table that takes IDs with the session that drew them and their order in
# it, as ids_ok() wants them.
sub collect_ids_into
{
	my ($node, $dbname, $table) = @_;

	return $node->safe_psql($dbname,
		"CREATE TABLE $table (session text, n bigint, id bigint DEFAULT snowflake_next())");
}

# The IDs in such a table: there are at least that many, all are distinct, and
# each session drew them in rising order.
sub ids_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($node, $dbname, $table, $least, $name) = @_;

	my ($count, $distinct, $sessions, $falling) = split /\|/, $node->safe_psql(
		$dbname, qq{
		SELECT count(*), count(DISTINCT id), count(DISTINCT session),
			   count(*) FILTER (WHERE id <= previous)
		FROM (SELECT session, id, lag(id) OVER (PARTITION BY session ORDER BY n) AS previous
			  FROM $table) AS drawn});

	return subtest $name => sub {
		note "$count IDs of $sessions sessions";
		cmp_ok($count, '>=', $least, "at least $least IDs");
		is($distinct, $count, 'all distinct');
		is($falling, 0, 'rising within each session');
	};
}

# The clock of a server, which the test sets; see SnowflakeTest::Clock.
sub fake_clock
{
	my ($node) = @_;

	return SnowflakeTest::Clock->new($node);
}

package SnowflakeTest::Psql;

use File::Temp;
use IPC::Run;

# The script comes from a file: what is to be written to a pipe waits until
# the test gets round to it.
sub new
{
	my ($class, $node, $dbname, $sql) = @_;
	my $script = File::Temp->new(DIR => $node->basedir);
	my $self = bless { script => $script, stdout => '', stderr => '' }, $class;
	my @command = (
		$node->installed_command('psql'), '-XAtq',
		'-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
		'-d', $node->connstr($dbname), '-f', $script->filename);

	print $script $sql;
	close $script or die "could not write $script: $!\n";
	$self->{run} = IPC::Run::start(
		\@command, '<', \undef, '>', \$self->{stdout}, '2>', \$self->{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $self;
}

# Waits for the end; true when no statement failed.
sub finish
{
	my ($self) = @_;

	return $self->{run}->finish;
}

sub stdout
{
	my ($self) = @_;

	chomp(my $stdout = $self->{stdout});
	return $stdout;
}

sub stderr
{
	my ($self) = @_;

	return $self->{stderr};
}

# libfaketime reads the offset from a file at each reading of the clock.  It is
# preloaded into the server only, so the test's own clock stays true.
package SnowflakeTest::Clock;

use File::Spec::Functions qw(rel2abs);

sub new
{
	my ($class, $node) = @_;
	my ($library) = grep { -f } glob('/usr/lib/*/faketime/libfaketime.so.1');

	die "libfaketime was not found; these tests set the clock of their servers with it "
	  . "(on Debian: apt-get install libfaketime)\n"
	  unless defined $library;

	my $self = bless { node => $node, library => $library, file => rel2abs($node->basedir) . '/clock' }, $class;
	$self->set(0);
	return $self;
}

# Sets the clock to that many seconds ahead of the true time, at once and for
# all processes: the file is replaced, never seen half written.
sub set
{
	my ($self, $seconds) = @_;

	open my $file, '>', "$self->{file}.new" or die "could not write $self->{file}.new: $!\n";
	printf $file "%+.3fs\n", $seconds;
	close $file or die "could not write $self->{file}.new: $!\n";
	rename "$self->{file}.new", $self->{file} or die "could not rename $self->{file}.new: $!\n";
	return;
}

# Starts or restarts the server under this clock.  Only the wall clock is
# faked: the others are never set on a real machine either.
sub start
{
	my ($self, $how) = @_;

	local $ENV{LD_PRELOAD} = join(' ', grep { defined } $ENV{LD_PRELOAD}, $self->{library});
	local $ENV{FAKETIME_TIMESTAMP_FILE} = $self->{file};
	local $ENV{FAKETIME_NO_CACHE} = 1;
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	delete local $ENV{FAKETIME_SHARED};
	return $how ? $self->{node}->restart : $self->{node}->start;
}

sub restart
{
	my ($self) = @_;

	return $self->start('again');
}

1;
