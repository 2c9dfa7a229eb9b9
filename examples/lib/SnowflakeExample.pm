# What the tests of the examples have in common: an example that its own script
# starts and stops, its servers, clients that load them, and the assertions that
# hold for all.

package SnowflakeExample;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Temp;
use FindBin;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeLoad;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  load_seconds
  poll_until
  want_python
  python
  start_example
  stop_example
  run_word
  start_word
  start_word_into
  example_dir
  test_dir
  server
  server_at
  run_load
  recorded_in
  kept_ok
  checked_ok
  result
);

my $script = abs_path("$FindBin::RealBin/../run.sh");
my $dir;
my $started;
my %servers;
my $begin = time;

# How long the load is to last: two minutes in full, less in make test.
sub load_seconds
{
	return $ENV{SNOWFLAKE_EXAMPLE_SECONDS} // 10;
}

# A condition that must come true, however slow the machine.
sub poll_until
{
	my ($condition, $what, $interval_us) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		die "timed out waiting for: $what\n" if time > $deadline;
		usleep($interval_us // 50_000);
	}
	return;
}

# One of the script's words, in the example's directory.  Returns what it wrote.
sub run_word
{
	my ($word, @args) = @_;
	my $run = start_word($word, @args);

	$run->{handle}->finish;
	die "$script $word failed:\n$run->{output}\n" if $run->{handle}->result;
	return $run->{output};
}

# The same, beside the test.
sub start_word
{
	my ($word, @args) = @_;
	my $run = { output => '' };

	$run->{handle} = IPC::Run::start([ $script, $word, $dir, @args ], '<', \undef, '>', \$run->{output}, '2>&1');
	return $run;
}

# Likewise, with what it writes going to a file.
sub start_word_into
{
	my ($file, $word, @args) = @_;

	return { handle => IPC::Run::start([ $script, $word, $dir, @args ], '<', \undef, '>', $file, '2>&1') };
}

# Start the example, or skip the whole test where something is not installed.
# The directory is not below the test's own: sockets have short paths.
sub start_example
{
	my (@args) = @_;

	$dir = File::Temp::tempdir('snowflake-example.XXXXXX', TMPDIR => 1);
	$started = 1;
	my $run = start_word('start', @args);
	$run->{handle}->finish;
	my $status = $run->{handle}->result;
	my ($last) = $run->{output} =~ /([^\n]*)\n?\z/;
	if ($status == 77)
	{
		plan(skip_all => $last);
	}
	die "$script start failed:\n$run->{output}\n" if $status;
	_read_servers();
	return;
}

# The Python whose modules Debian packages.
sub python
{
	return '/usr/bin/python3';
}

# Skip the whole test where a module is not there.
sub want_python
{
	my ($module, $package) = @_;

	return if IPC::Run::run([ python(), '-c', "import $module" ], '>', \my $out, '2>', \my $err);
	plan(skip_all => "Python's $module is not there (on Debian: apt-get install $package, or scripts/setup.sh examples)");
	return;
}

sub _read_servers
{
	foreach (split /\n/, slurp_file("$dir/servers"))
	{
		my ($name, $host, $port, $node) = split ' ';
		$servers{$name} //= SnowflakeExample::Server->new($dir, $name, $host, $port, $node);
	}
	return;
}

# Stop it and remove its files, before the end of the test or for another start.
sub stop_example
{
	return unless $started;
	$started = 0;
	%servers = ();
	system($script, 'stop', $dir) == 0 or die "$script stop $dir failed\n";
	return;
}

# Files of the test itself, which are kept.
sub test_dir
{
	my ($name) = $0 =~ m,([^/]+)\.pl\z,;
	my $test_dir = "$PostgreSQL::Test::Utils::tmp_check/example_$name";

	mkdir $test_dir or -d $test_dir or die "could not make $test_dir: $!\n";
	return $test_dir;
}

sub example_dir
{
	return $dir;
}

sub server
{
	my ($name) = @_;

	_read_servers() unless $servers{$name};
	return $servers{$name} // die "there is no server $name\n";
}

# What clients take for a server by this connection string.
sub server_at
{
	my ($name, $conninfo) = @_;

	return SnowflakeExample::Server->at($dir, $name, $conninfo);
}

# Let these clients, as of start_client, go on until the time is over that
# began at the first call; then stop them.
sub run_load
{
	my ($since, @clients) = @_;

	usleep(100_000) while time < $since + load_seconds();
	$_->stop foreach @clients;
	return;
}

# Rows "client call id" of a table, as lines, from servers that together hold
# all of it.
sub recorded_in
{
	my ($query, @servers) = @_;

	return map { split /\n/, $_->safe_psql('postgres', $query) } @servers;
}

# Every ID that a client was told is in the rows.
sub kept_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($files, $rows, $name) = @_;
	my %rows = map { (split)[2] => 1 } @$rows;
	my ($told, @lost) = (0);

	foreach my $file (@$files)
	{
		foreach (slurp_file($file) =~ /^(.*)\n/mg)
		{
			my (undef, undef, undef, undef, @ids) = split;

			$told += @ids;
			push @lost, grep { !$rows{$_} } @ids;
		}
	}
	return subtest $name => sub {
		cmp_ok($told, '>', 0, "$told IDs were told to clients");
		is(scalar(@lost), 0, 'each is in a row');
		diag "not there: @lost[0 .. ($#lost < 4 ? $#lost : 4)]" if @lost;
	};
}

# history_ok(), and how many IDs it looked at.
sub checked_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($history, $least, $name) = @_;
	my $ok = history_ok($history, $least, $name);

	result('IDs checked', $history->{ids});
	return $ok;
}

# A figure for the table in doc/examples.md.
sub result
{
	my ($what, $value) = @_;

	return note "result: $what: $value";
}

# So that the example is stopped then, too.
$SIG{INT} = $SIG{TERM} = sub { die "ended by a signal\n" };

END
{
	my $status = $?;
	if ($started)
	{
		# What the servers said, where the harness shows it.
		if ($status || !Test::More->builder->is_passing)
		{
			foreach my $log (glob("$dir/*.log"))
			{
				my @lines = map { substr($_, 0, 200) } grep { !/STATEMENT:/ } split /\n/, slurp_file($log);
				diag join "\n", "--- the end of $log", splice(@lines, @lines < 10 ? 0 : -10);
			}
		}
		eval { stop_example(); 1 } or diag $@;
	}
	note sprintf 'took %.0f s', time - $begin;
	$? = $status;
}

# What SnowflakeLoad wants of a server.
package SnowflakeExample::Server;

use IPC::Run;

sub new
{
	my ($class, $dir, $name, $host, $port, $node) = @_;

	return bless { dir => $dir, name => $name, host => $host, port => $port, node => $node }, $class;
}

sub at
{
	my ($class, $dir, $name, $conninfo) = @_;

	return bless { dir => $dir, name => $name, conninfo => $conninfo }, $class;
}

sub name
{
	return $_[0]{name};
}

sub node_id
{
	return $_[0]{node};
}

sub port
{
	return $_[0]{port};
}

# Files of clients go to a directory of the test: the example's is removed.
sub basedir
{
	return SnowflakeExample::test_dir();
}

sub connstr
{
	my ($self, $dbname) = @_;

	return $self->{conninfo} if $self->{conninfo};
	return "host=$self->{host} port=$self->{port} user=postgres dbname=" . ($dbname // 'postgres');
}

sub installed_command
{
	return $_[1];
}

# The answer of psql, without its last line end; what goes wrong ends the test.
sub safe_psql
{
	my ($self, $dbname, $sql) = @_;
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $self->connstr($dbname) ],
		'<', \$sql, '>', \$stdout, '2>', \$stderr)
	  or die "$self->{name}: $sql: $stderr\n";
	chomp $stdout;
	return $stdout;
}

sub poll_query_until
{
	my ($self, $dbname, $query) = @_;

	SnowflakeExample::poll_until(sub { $self->safe_psql($dbname, $query) eq 't' }, "$self->{name}: $query");
	return 1;
}

# Lines of the server's log.
sub log_lines
{
	my ($self, $pattern) = @_;

	return grep { /$pattern/ } split /\n/, PostgreSQL::Test::Utils::slurp_file("$self->{dir}/$self->{name}.log");
}

1;
