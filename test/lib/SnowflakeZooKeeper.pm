# ZooKeeper for the tests: an ensemble of one or three real servers on the
# loopback, which a test stops, kills and freezes; a client for looking at what
# is in it and for spoiling that; the record of every write that was ever made;
# and a relay that loses chosen requests or their answers.
#
# All run as the user of the test, and none outlives it: END kills them, and
# where not even that is run, they go with the death of their parent.

package SnowflakeZooKeeper;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Path qw(remove_tree);
use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(skip_without_zookeeper start_ensemble);
our @EXPORT_OK = qw(ensemble_at);

my $python = '/usr/bin/python3';
my $scripts = dirname(abs_path(__FILE__));
my @jars = map { "/usr/share/java/$_.jar" } qw(slf4j-simple zookeeper);

# How long to look away before looking again.
my $poll_us = 20_000;

# A session may be short: the tests wait for its end.  Two seconds of silence
# make the others elect a leader.
my @configuration = (
	'tickTime=200', 'initLimit=50', 'syncLimit=10',
	'minSessionTimeout=400', 'maxSessionTimeout=60000',
	'maxClientCnxns=0', 'admin.enableServer=false',
	'4lw.commands.whitelist=srvr,mntr');

# Nothing is synced: what a server has written is in the kernel, which survives
# it.  The log of transactions is small, since the tests read it.
my @java = (
	'java', '-Xms32m', '-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto',
	'-Dzookeeper.forceSync=no', '-Dzookeeper.preAllocSize=256', '-Dzookeeper.jmx.log4j.disable=true',
	'-Dorg.slf4j.simpleLogger.showDateTime=true', '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS');

#
# What there must be
#

# Skips the test file where what it needs is not installed, and says what.
# module: it needs the lease module, too.
sub skip_without_zookeeper
{
	my (%params) = @_;
	my $missing = _missing(%params);

	plan(skip_all => $missing) if defined $missing;
	return;
}

sub _missing
{
	my (%params) = @_;

	return 'this needs Java, to run ZooKeeper servers (package zookeeper)'
	  unless grep { -x "$_/java" } split /:/, $ENV{PATH};
	foreach my $jar (@jars)
	{
		return "this needs ZooKeeper servers, and $jar is not there (package zookeeper)" unless -e $jar;
	}
	return 'this needs a ZooKeeper client for Python (package python3-kazoo)'
	  if system("$python -c 'import kazoo' >/dev/null 2>&1") != 0;
	if ($params{module})
	{
		chomp(my $library = `pg_config --pkglibdir`);
		return 'this needs the module snowflake_zookeeper, which is built where the ZooKeeper client library '
		  . 'for C is (package libzookeeper-st-dev)'
		  unless -e "$library/snowflake_zookeeper.so";
	}
	return;
}

#
# Processes
#

our %running;
my $owner = $$;

# Ends all that is still running, whatever became of the test.
END
{
	my $exit_code = $?;

	if ($$ == $owner)
	{
		kill 'KILL', keys %running;
		waitpid $_, 0 foreach keys %running;
	}
	$? = $exit_code;
}

# Runs a command in a directory, with its output appended to a log.  in and out
# are handles for its standard input and output, where it has any.
sub _spawn
{
	my ($directory, $log, $command, %handles) = @_;
	my $pid = fork // die "could not fork: $!\n";

	if ($pid == 0)
	{
		# The test's own END blocks are not for this process.
		eval {
			chdir $directory or die "could not change to $directory: $!\n";
			open STDERR, '>>', $log or die "could not write $log: $!\n";
			open STDOUT, '>&', $handles{out} // \*STDERR or die "could not redirect: $!\n";
			if ($handles{in}) { open STDIN, '<&', $handles{in} or die "could not redirect: $!\n"; }
			else { open STDIN, '<', '/dev/null' or die "could not redirect: $!\n"; }
			exec 'setpriv', '--pdeathsig', 'KILL', @$command;
		};
		print STDERR "could not run $command->[0]: $!$@\n";
		POSIX::_exit(127);
	}
	$running{$pid} = 1;
	return $pid;
}

sub _reap
{
	my ($pid) = @_;

	waitpid $pid, 0;
	delete $running{$pid};
	return;
}

sub _log_file
{
	my ($name) = @_;

	return abs_path($PostgreSQL::Test::Utils::log_path) . '/' . basename($0, '.pl') . "_$name.log";
}

sub _poll
{
	my ($condition, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $result;

	until ($result = $condition->())
	{
		die "timed out waiting for: $what\n" if time > $deadline;
		usleep($poll_us);
	}
	return $result;
}

# Whether there is something to read within so many seconds.  A child that ends
# meanwhile ends a select, and nothing else.
sub _readable
{
	my ($handle, $seconds) = @_;
	my $deadline = time + $seconds;

	while ((my $left = $deadline - time) > 0)
	{
		return 1 if IO::Select->new($handle)->can_read($left);
	}
	return 0;
}

#
# The ensemble
#

# An ensemble of that many servers, 1 or 3, which serves.  Servers are counted
# from 1.
sub start_ensemble
{
	my ($name, $count) = @_;
	my $self = bless {
		name => $name,
		directory => abs_path(PostgreSQL::Test::Utils::tempdir("zk_$name")),
		servers => [],
	}, __PACKAGE__;

	foreach my $i (1 .. $count)
	{
		my @ports = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. ($count == 1 ? 1 : 3);
		push @{ $self->{servers} },
		  {
			port => $ports[0],
			peer_ports => join(':', @ports[ 1 .. $#ports ]),
			directory => "$self->{directory}/$i",
			log => _log_file($count == 1 ? $name : "$name$i"),
		  };
	}
	$self->start($_) foreach 1 .. $count;
	$self->wait_serving;
	return $self;
}

# An ensemble that somebody else runs, by the directories of its servers, each
# with its data in data/: only its transactions() are to be had.
sub ensemble_at
{
	my ($name, @directories) = @_;

	return bless {
		name => $name,
		directory => dirname($directories[0]),
		servers => [ map { { port => 0, directory => $_ } } @directories ],
	}, __PACKAGE__;
}

sub count
{
	my ($self) = @_;

	return scalar @{ $self->{servers} };
}

sub port
{
	my ($self, $i) = @_;

	return $self->{servers}[ $i - 1 ]{port};
}

# The servers, as clients want them.
sub hosts
{
	my ($self) = @_;

	return join ',', map { "127.0.0.1:$_->{port}" } @{ $self->{servers} };
}

# Starts one server; it may not serve yet.
sub start
{
	my ($self, $i) = @_;
	my $server = $self->{servers}[ $i - 1 ];
	my $directory = $server->{directory};

	die "ZooKeeper server $i is running\n" if $server->{pid};
	mkdir $directory;
	mkdir "$directory/data";
	open my $file, '>', "$directory/zoo.cfg" or die "could not write $directory/zoo.cfg: $!\n";
	print $file map { "$_\n" } @configuration, "dataDir=$directory/data",
	  "clientPort=$server->{port}", 'clientPortAddress=127.0.0.1';
	if ($self->count > 1)
	{
		foreach my $n (1 .. $self->count)
		{
			print $file "server.$n=127.0.0.1:$self->{servers}[$n - 1]{peer_ports}\n";
		}
		append_to_file("$directory/data/myid", "$i\n") unless -e "$directory/data/myid";
	}
	close $file or die "could not write $directory/zoo.cfg: $!\n";

	$server->{pid} = _spawn(
		$directory,
		$server->{log},
		[ @java, '-cp', join(':', @jars), 'org.apache.zookeeper.server.quorum.QuorumPeerMain', "$directory/zoo.cfg" ]);
	return;
}

sub _end
{
	my ($self, $i, $signal) = @_;
	my $server = $self->{servers}[ $i - 1 ];

	die "ZooKeeper server $i is not running\n" unless $server->{pid};
	kill $signal, $server->{pid};
	_reap($server->{pid});
	delete $server->{pid};
	return;
}

# Stops a server, and waits for its end.
sub stop
{
	my ($self, $i) = @_;

	return $self->_end($i, 'TERM');
}

sub kill9
{
	my ($self, $i) = @_;

	return $self->_end($i, 'KILL');
}

# From here on it answers nobody, and its connections stay open.
sub freeze
{
	my ($self, $i) = @_;

	return kill 'STOP', $self->{servers}[ $i - 1 ]{pid};
}

sub thaw
{
	my ($self, $i) = @_;

	return kill 'CONT', $self->{servers}[ $i - 1 ]{pid};
}

# Sends a signal in so many seconds, while the test goes on; returns what to
# finish() then.
sub signal_later
{
	my ($self, $i, $signal, $seconds) = @_;

	return IPC::Run::start([ 'sh', '-c', "sleep $seconds; kill -$signal $self->{servers}[$i - 1]{pid}" ]);
}

# The numbers of the servers that run, frozen or not.
sub running
{
	my ($self) = @_;

	return grep { $self->{servers}[ $_ - 1 ]{pid} } 1 .. $self->count;
}

# All of them, killed at once.
sub kill_all
{
	my ($self) = @_;

	kill 'KILL', map { $self->{servers}[ $_ - 1 ]{pid} } $self->running;
	$self->kill9($_) foreach $self->running;
	return;
}

# Starts those that do not run, and waits until all serve.
sub start_all
{
	my ($self) = @_;
	my %running = map { $_ => 1 } $self->running;

	$self->start($_) foreach grep { !$running{$_} } 1 .. $self->count;
	return $self->wait_serving;
}

# Makes the ensemble forget all it ever knew, as after the loss of its disks.
# It then takes no client that has seen more than it knows: ours starts anew.
sub wipe
{
	my ($self) = @_;

	$self->kill_all;
	(delete $self->{client})->kill9 if $self->{client};
	remove_tree("$_->{directory}/data/version-2") foreach @{ $self->{servers} };
	return $self->start_all;
}

# What a server says of itself: standalone, leader, follower; or undef while it
# does not serve.
sub mode
{
	my ($self, $i) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $self->port($i),
		Timeout => 5) or return undef;
	my $answer = '';

	print $socket 'srvr';
	$socket->flush;
	while (_readable($socket, 5))
	{
		last unless sysread $socket, $answer, 4096, length $answer;
	}
	return $answer =~ /^Mode: (\w+)$/m ? $1 : undef;
}

# Waits until the ensemble takes a write after all of its servers were frozen.
# Now and then they do not find together again by themselves (seen with 3.8.0: the
# leader commits nothing any more, for minutes); then the leader is restarted.
sub revive
{
	my ($self) = @_;
	my $deadline = time + 20;

	until (eval { $self->set('/', '', once => 1); 1 })
	{
		if (time > $deadline)
		{
			my $leader = $self->leader;

			diag("ZooKeeper does not come to itself: its leader, server $leader, is restarted");
			$self->kill9($leader);
			$self->start($leader);
			return $self->wait_serving;
		}
		usleep($poll_us);
	}
	return;
}

# Waits until all servers that run serve clients.
sub wait_serving
{
	my ($self) = @_;

	foreach my $i ($self->running)
	{
		_poll(sub { $self->mode($i) }, "ZooKeeper server $i ($self->{servers}[$i - 1]{log})");
	}
	return;
}

# The number of the server that leads now, waiting for one to be elected.
sub leader
{
	my ($self) = @_;

	return _poll(
		sub {
			my ($leader) = grep { ($self->mode($_) // '') =~ /^(?:leader|standalone)$/ } $self->running;
			return $leader;
		},
		'a ZooKeeper server that leads');
}

#
# What is in it
#

# A client of the ensemble with a session of its own.  Parameters: hosts, for
# other servers than all; auth, "user:password".
sub client
{
	my ($self, %params) = @_;

	return SnowflakeZooKeeper::Client->new($self, %params);
}

# The client without auth that serves whoever does not want one of his own.
sub _own_client
{
	my ($self) = @_;

	return $self->{client} //= $self->client;
}

# See SnowflakeZooKeeper::Client.  What reads sees all that was answered to
# others before, which a server that lags behind does not show by itself.
foreach my $method (qw(get set create delete exists children tree set_acl))
{
	no strict 'refs';
	*$method = sub {
		my ($self, @args) = @_;

		$self->_own_client->request(op => 'sync', path => @args) if $method =~ /^(?:get|exists|children)$/;
		return $self->_own_client->$method(@args);
	};
}

# Every transaction of the ensemble, or of only these of its servers, in order:
# zxid, time_ms of the leader's clock, session (as in tree()), and changes, each
# with op (create, set, delete), path and, where there are any, data, version and
# ephemeral.
sub transactions
{
	my ($self, @only) = @_;
	my @servers = @{ $self->{servers} };

	@servers = map { $servers[ $_ - 1 ] } @only if @only;
	return @{
		$self->_own_client->request(
			op => 'transactions',
			directories => [ map { "$_->{directory}/data" } @servers ])
	};
}

# A relay in front of all servers; see SnowflakeZooKeeper::Proxy.
sub proxy
{
	my ($self) = @_;

	return SnowflakeZooKeeper::Proxy->new($self);
}

# Two scripts, each of which answers a line with a line.
package SnowflakeZooKeeper::Script;

use JSON::PP;

my $json = JSON::PP->new->ascii->canonical;
my $scripts_started = 0;

sub new
{
	my ($class, $ensemble, $script, @args) = @_;
	my $log = SnowflakeZooKeeper::_log_file("$ensemble->{name}_$script" . ++$scripts_started);

	pipe my $in, my $to or die "could not make a pipe: $!\n";
	pipe my $from, my $out or die "could not make a pipe: $!\n";
	$to->autoflush;
	my $pid = SnowflakeZooKeeper::_spawn($ensemble->{directory}, $log,
		[ $python, "$scripts/$script.py", @args ], in => $in, out => $out);
	return bless { pid => $pid, to => $to, from => $from, log => $log }, $class;
}

sub _answer
{
	my ($self) = @_;

	# It knows when to give up, so this is for what should not be.
	die "a script does not answer, see $self->{log}\n"
	  unless SnowflakeZooKeeper::_readable($self->{from}, $PostgreSQL::Test::Utils::timeout_default);
	my $line = readline $self->{from};
	die "a script has died, see $self->{log}\n" unless defined $line;
	return $json->decode($line);
}

# The answer to a request, as in the scripts; dies with the error where there
# is one: its name, a colon, and more text.
sub request
{
	my ($self, %request) = @_;

	print { $self->{to} } $json->encode(\%request), "\n";
	my $answer = $self->_answer;
	die "$answer->{error}: $answer->{text}\n" if exists $answer->{error};
	return $answer->{ok};
}

# Ends it, as a process that dies: a session is not closed by that.
sub kill9
{
	my ($self) = @_;

	kill 'KILL', $self->{pid};
	return SnowflakeZooKeeper::_reap($self->{pid});
}

package SnowflakeZooKeeper::Client;

our @ISA = qw(SnowflakeZooKeeper::Script);

sub new
{
	my ($class, $ensemble, %params) = @_;

	return $class->SUPER::new($ensemble, 'zookeeper_client', $params{hosts} // $ensemble->hosts, $params{auth} // ());
}

# In all of these, once => 1 keeps from trying again where the connection is
# lost.  What is returned of a znode: data, version, czxid, mzxid, ctime, mtime
# and owner, the session of an ephemeral one.
sub get
{
	my ($self, $path, %params) = @_;

	return $self->request(op => 'get', path => $path, %params);
}

# Parameters: version.
sub set
{
	my ($self, $path, $data, %params) = @_;

	return $self->request(op => 'set', path => $path, data => $data, %params);
}

# Parameters: ephemeral, acl (a list of perms, scheme, id), and parents, to
# make those as well.
sub create
{
	my ($self, $path, $data, %params) = @_;

	return $self->request(op => 'create', path => $path, data => $data // '', %params);
}

# Parameters: version, recursive.
sub delete
{
	my ($self, $path, %params) = @_;

	return $self->request(op => 'delete', path => $path, %params);
}

sub exists
{
	my ($self, $path) = @_;

	return $self->request(op => 'exists', path => $path);
}

# Their names, sorted.
sub children
{
	my ($self, $path) = @_;

	return @{ $self->request(op => 'children', path => $path) };
}

# All znodes from a path downwards, by path; each also with its acl.
sub tree
{
	my ($self, $path) = @_;

	return $self->request(op => 'tree', path => $path);
}

sub set_acl
{
	my ($self, $path, $acl) = @_;

	return $self->request(op => 'set_acl', path => $path, acl => $acl);
}

# Parts have op (check, create, set, delete), path, data, version.
sub multi
{
	my ($self, $parts, %params) = @_;

	return $self->request(op => 'multi', parts => $parts, %params);
}

# The number of its session, as transactions() has it.
sub session
{
	my ($self) = @_;

	return $self->request(op => 'session');
}

# Closes its session.
sub stop
{
	my ($self) = @_;

	$self->request(op => 'stop');
	close $self->{to};
	return SnowflakeZooKeeper::_reap($self->{pid});
}

package SnowflakeZooKeeper::Proxy;

our @ISA = qw(SnowflakeZooKeeper::Script);

sub new
{
	my ($class, $ensemble) = @_;
	my @pairs = map { PostgreSQL::Test::Cluster::get_free_port() . "=$_->{port}" } @{ $ensemble->{servers} };
	my $self = $class->SUPER::new($ensemble, 'zookeeper_proxy', @pairs);

	$self->{ports} = $self->_answer->{ok};
	return $self;
}

# Its ports, as clients want them.
sub hosts
{
	my ($self) = @_;

	return join ',', map { "127.0.0.1:$_" } @{ $self->{ports} };
}

# What to do at certain requests; returns a number for fired().  Parameters:
# request, one or more of connect, create, delete, exists, get, getACL, set,
# children, sync, multi, ping, close or "any"; match, a pattern for what is asked, such
# as "set /path version 3 data", several parts of a multi with semicolons
# between them; times, 1 unless said; seconds, for what comes late in
#   lost            does not reach the server, and the connection is cut
#   unanswered      does, but its answer not the client, and the connection is cut
#   delayed         reaches the server later
#   answered late   its answer reaches the client later
#   garbled         its answer, to children or getACL, has a string without a length
sub rule
{
	my ($self, $when, %params) = @_;

	return $self->request(op => 'rule', when => $when, %params);
}

# Waits until a rule was applied all of its times; returns how often it was by
# then, which is less where it was not in time.
sub fired
{
	my ($self, $rule, $seconds) = @_;

	return $self->request(
		op => 'fired',
		rule => $rule,
		seconds => $seconds // $PostgreSQL::Test::Utils::timeout_default);
}

# Forgets one rule.
sub drop
{
	my ($self, $rule) = @_;

	return $self->request(op => 'drop', rule => $rule);
}

# clear: forget all rules.  cut: close all connections.  refuse: that, and take
# no new ones, until accept.  hold: pass nothing on, until release.
foreach my $order (qw(clear cut refuse accept hold release))
{
	no strict 'refs';
	*$order = sub {
		my ($self) = @_;
		return $self->request(op => $order);
	};
}

# The requests since it was last asked: us (as of history_us()), request, told.
sub seen
{
	my ($self) = @_;

	return @{ $self->request(op => 'seen') };
}

1;
