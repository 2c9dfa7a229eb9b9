# Clients that draw IDs while servers die under them, and the ways to let a
# server die.
#
# A client is a process of its own with a session that it begins again whenever
# the connection is lost.  It makes one call after the other, and writes down
# each one as SnowflakeHistory wants it: what it got is in that file whatever
# becomes of the server.

package SnowflakeLoad;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use SnowflakeHistory;
use SnowflakeSession;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  start_client
  comes_to
  kill_server
  kill_process
  server_processes
);

# How long to look away before looking again, for what cannot be waited for.
my $poll_us = 10_000;

# Between the calls of a client, on average half of that, where nothing else is
# said.
my $pause_us = 10_000;

# A client of this name.  sql is one statement that returns IDs, rising; in it
# :client and :call stand for the name and the number of the call.  Its file is
# $client->file, and what psql complained of $client->errors.
#
# Parameters: pause_us, between its calls, on average half of that; and, where a
# connection may lead to one server or another, which, a query whose answer is one
# word: there is a file for each answer, see $client->files.
sub start_client
{
	my ($node, $dbname, $name, $sql, %params) = @_;
	my $file = $node->basedir . "/client_$name";
	my $self = bless { file => $file, output => '' }, 'SnowflakeLoad::Client';

	$self->{run} = IPC::Run::start(
		[
			$^X, map({ ('-I', $_) } @INC), '-MSnowflakeLoad', '-e', 'SnowflakeLoad::client(@ARGV)',
			$node->installed_command('psql'), $node->connstr($dbname), $name, $file, $sql,
			$params{pause_us} // $pause_us, $params{which} // ()
		],
		'<', \undef, '>', \$self->{output}, '2>&1');
	return $self;
}

# The process of a client.
sub client
{
	my ($psql, $connstr, $name, $file, $template, $between_us, $which) = @_;
	my $parent = getppid;
	my $stop = 0;
	my $call = 0;
	my $session = SnowflakeSession->new($psql, $connstr);
	my $history;

	local $SIG{TERM} = sub { $stop = 1 };
	$template =~ s/:client\b/$name/g;
	$history = _open_history($file) unless $which;
	open STDERR, '>>', "$file.errors" or die "could not write $file.errors: $!\n";

	# Nobody is there to stop us when the test itself has died.
	while (!$stop && getppid == $parent)
	{
		if ($which && !$session->connected)
		{
			my ($servers) = $session->ask($which);

			if (!$servers || !@$servers)
			{
				$session->disconnect;
				usleep(10 * $poll_us);
				next;
			}
			$history = _open_history("$file.$servers->[0]");
		}

		$call++;
		(my $sql = $template) =~ s/:call\b/$call/g;

		my $begin = history_us();
		my ($ids) = $session->ask($sql);
		my $end = history_us();
		print {$history} join(' ', $name, $call, $begin, $end, @{ $ids // [] }), "\n";
		# a server that is not there is not asked all the time
		usleep($ids && @$ids ? rand($between_us) : $between_us);
	}
	exit 0;
}

sub _open_history
{
	my ($file) = @_;

	open my $history, '>>', $file or die "could not write $file: $!\n";
	$history->autoflush;
	return $history;
}

# Does this psql, as of SnowflakeTest::start_psql, bring the query to return
# true?  Not if it ends before.
sub comes_to
{
	my ($psql, $node, $dbname, $query) = @_;

	foreach (1 .. $PostgreSQL::Test::Utils::timeout_default * 1_000_000 / $poll_us)
	{
		return 1 if $node->safe_psql($dbname, $query) eq 't';
		$psql->{run}->pump_nb;
		return 0 unless $psql->{run}->pumpable;
		usleep($poll_us);
	}
	return 0;
}

# The processes of a server: they work in its data directory.
sub server_processes
{
	my ($node) = @_;
	my $directory = abs_path($node->data_dir);

	die "there is no /proc to look for processes in\n" unless readlink '/proc/self/cwd';
	return map { m,^/proc/(\d+)/, } grep { (readlink($_) // '') eq $directory } glob('/proc/[0-9]*/cwd');
}

# kill -9 of the postmaster, and wait until its children have noticed: before
# that another one does not start on the same data.  They may go on for a
# while, as on any machine, and what they hand out counts.
sub kill_server
{
	my ($node) = @_;

	$node->kill9;
	foreach (1 .. $PostgreSQL::Test::Utils::timeout_default * 1_000_000 / $poll_us)
	{
		return unless server_processes($node);
		usleep($poll_us);
	}
	die "processes of the killed server are still there\n";
}

# kill -9 of one process of a server.
sub kill_process
{
	my ($pid) = @_;

	return kill 'KILL', $pid;
}

package SnowflakeLoad::Client;

# Lets the client finish its call.
sub stop
{
	my ($self) = @_;

	return if $self->{stopped}++;
	$self->{run}->signal('TERM');
	$self->{run}->finish or die "a client failed: $self->{output}\n";
	return;
}

sub file
{
	my ($self) = @_;

	return $self->{file};
}

# The files of a client whose connections lead to one server or another, each
# with what they led to.
sub files
{
	my ($self) = @_;

	return map { [ m,\.(\w+)\z,, $_ ] } grep { !/\.errors\z/ } glob("$self->{file}.*");
}

# What psql said on stderr so far.
sub errors
{
	my ($self) = @_;

	return PostgreSQL::Test::Utils::slurp_file("$self->{file}.errors");
}

1;
