# What is in ZooKeeper may be anything: others may write there, on purpose or by
# mistake.  A server believes nothing that is not exactly a record, says what is
# wrong, spoils nothing further, does not crash, and goes on when it is mended.
# And where servers authenticate, others cannot write there at all.

use strict;
use warnings;

use Digest::SHA 'sha1_base64';
use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeLease;
use SnowflakeRecovery;
use SnowflakeTest;
use SnowflakeZooKeeper;
use Test::More;
use Time::HiRes qw(time usleep);

skip_without_zookeeper(module => 1);

my $zk = start_ensemble('zk', 3);
my $node = lease_server('one', $zk->hosts);
my $paths = 0;

# A new path for each case, so that nothing is left of the one before.
sub settings_of
{
	my (%settings) = @_;

	$SnowflakeLease::root = '/hostile/' . ++$paths;
	lease_settings($node, zookeeper_hosts => $zk->hosts, zookeeper_path => $SnowflakeLease::root, %settings);
	return;
}

# The server says that it cannot have a lease, and why; it is alive.
sub is_told
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($pattern, $name) = @_;

	# Where there is more than one thing to tell, each attempt tells one after
	# the other, and the last of them stays longest.
	poll_until(sub { (status($node, 'lease_last_error') // '') =~ $pattern }, "$name: $pattern");
	poll_until(
		sub {
			my $error = '';
			$node->psql('postgres', 'SELECT snowflake_next()', stderr => \$error,
				extra_params => [ '-v', 'VERBOSITY=verbose' ]);
			return $error =~ /ERROR:  SF006: .*lease/ && $error =~ $pattern;
		},
		"$name: an error that says so");
	return pass($name);
}

sub makes_ids
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name) = @_;
	my $id = wait_for_lease($node);

	return is($node->safe_psql('postgres', 'SELECT snowflake_node(snowflake_next())'), $id, $name);
}

my %garbage = (
	'nothing' => '',
	'one byte' => "\0",
	'random bytes' => join('', map { chr rand 256 } 1 .. 300),
	'a megabyte' => 'x' x 1_000_000,
	'many lines' => "snowflake ledger 1\n" x 40,
	'format' => "%s%n%d%s\n" x 20);

#
# The configuration
#

settings_of();
start_leasing($node);
my $config = $zk->get("$SnowflakeLease::root/config")->{data};
$node->stop;

my %configs = (
	%garbage,
	'a later format' => $config =~ s/config 1/config 2/r,
	'no cluster' => $config =~ s/^cluster .*$/cluster x/mr,
	'a cluster that leads elsewhere' => $config =~ s/^cluster .*$/cluster ..\/..\/zookeeper/mr,
	'no layout' => $config =~ s/^layout .*$/layout /mr,
	'a floor out of range' => $config =~ s/^floor .*$/floor 99999999999999999999999/mr,
	'more behind it' => "${config}x 1\n");
settings_of();
$zk->create($SnowflakeLease::root, '', parents => 1);
$zk->create("$SnowflakeLease::root/config", 'x');
$node->start;
foreach my $what (sort keys %configs)
{
	$zk->set("$SnowflakeLease::root/config", $configs{$what});
	is_told($what eq 'no layout' ? qr/layout/ : qr/config/, "a configuration that is $what");
	is($zk->get("$SnowflakeLease::root/config")->{data}, $configs{$what}, 'it is left as it is');
}
is_deeply([ $zk->children($SnowflakeLease::root) ], ['config'], 'nothing was made beside it');
$node->stop;

#
# Ledgers of others
#

settings_of(zookeeper_node_range => '10-20');
$node->start;
my $id = wait_for_lease($node);
my ($cluster) = grep { /-/ } $zk->children($SnowflakeLease::root);
my $ids = "$SnowflakeLease::root/$cluster/ids";
my $record = $zk->get("$ids/$id")->{data};
my $now_ms = int(time * 1000);
$node->stop;
my %ledgers = (
	%garbage,
	'a later format' => $record =~ s/ledger 1/ledger 2/r,
	'a configuration' => $config,
	'a short nonce' => $record =~ s/^nonce .*$/nonce 0123/mr,
	'a negative claim' => $record =~ s/^claim .*$/claim -1/mr,
	'the last claim number' => $record =~ s/^claim .*$/claim 9223372036854775807/mr,
	'an end out of range' => $record =~ s/^high .*$/high 9223372036854775808/mr,
	'an end before its begin' => $record =~ s/^low .*$/low $now_ms/mr =~ s/^high .*$/high 1/mr,
	'a blank too many' => $record =~ s/^claim /claim  /mr,
	'an owner with control characters' => $record =~ s/^owner .*$/owner a\tb\e[31m/mr,
	'a record without its end' => substr($record, 0, -1));
my @written = sort keys %ledgers;
my %written;
my $number = -1;
foreach my $what (@written)
{
	$number++;
	$number++ if $number == $id;
	$written{$number} = $what;
	if ($zk->exists("$ids/$number")) { $zk->set("$ids/$number", $ledgers{$what}); }
	else { $zk->create("$ids/$number", $ledgers{$what}); }
}
cmp_ok(scalar(keys %written), '<', 21, 'there is room for all of them');

# One that ends in the year 9999, and names that are no node IDs.
my $poisoned = 21;
$zk->create("$ids/$poisoned", $record =~ s/^high .*$/high 253402300799999/mr =~ s/^nonce .*$/nonce none/mr);
$zk->create("$ids/$_", $record) foreach qw(x -1 007 99999999999999999999 1024 4294967296);

sub restart_with_range
{
	my ($range) = @_;

	lease_settings($node, zookeeper_hosts => $zk->hosts, zookeeper_path => $SnowflakeLease::root,
		zookeeper_node_range => $range);
	return $node->start;
}

restart_with_range('0-21');
makes_ids('a server finds a node ID among ledgers that cannot be read');
ok(!exists $written{ status($node, 'node_id') }, 'it is none of those');
is_deeply({ map { $_ => $zk->get("$ids/$_")->{data} } keys %written },
	{ map { $_ => $ledgers{ $written{$_} } } keys %written }, 'they are left as they are');
like(slurp_file($node->logfile), qr/ledger of node ID \d+ in ZooKeeper cannot be read/, 'the log says so');
unlike(slurp_file($node->logfile), qr/\e\[31m/, 'and repeats no control characters');
$node->stop;
restart_with_range('0-9');
is_told(qr/10 unreadable/, 'where no other is in the range, there is none');
$node->stop;
restart_with_range($poisoned);
is_told(qr/9999|time to come/, 'nor where it is used up for a long time');
$node->stop;

#
# The ledger of the server itself, while it has the lease
#

settings_of();
$id = start_leasing($node);
($cluster) = grep { /-/ } $zk->children($SnowflakeLease::root);
$ids = "$SnowflakeLease::root/$cluster/ids";

# Written as it was: another version, but nothing has changed.
$zk->set("$ids/$id", $zk->get("$ids/$id")->{data});
my $high = ledger($zk)->{$id}{high};
poll_until(sub { ledger($zk)->{$id}{high} > $high }, 'an extension');
is(status($node, 'node_id, lease_fenced'), "$id|0", 'a ledger that was written as it was is extended');

# What says that the server lives.
my $registered = "$SnowflakeLease::root/$cluster/nodes/$id";
$zk->delete("$ids/$id/holder");
$zk->delete($registered);
poll_until(sub { $zk->exists($registered) && exists holders($zk)->{$id} }, 'holder and registry entry');
pass('holder and registry entry that were deleted are made again');
is(status($node, 'node_id, lease_fenced'), "$id|0", 'by the same lease');

foreach my $what (sort keys %garbage)
{
	my $fenced = status($node, 'lease_fenced');
	my $id = wait_for_lease($node);

	$zk->set("$ids/$id", $garbage{$what});
	poll_until(sub { status($node, 'lease_fenced') > $fenced }, 'the loss to be noticed');
	makes_ids("the ledger became $what: the server takes another");
	isnt(status($node, 'node_id'), $id, 'another node ID');
	is($zk->get("$ids/$id")->{data}, $garbage{$what}, 'and leaves that one as it is');
}

# The registry and the election.
foreach my $below (qw(nodes election))
{
	my $number = 0;

	foreach my $what (sort keys %garbage)
	{
		$number++;
		$zk->create("$SnowflakeLease::root/$cluster/$below/$_", $garbage{$what}, ephemeral => 1)
		  foreach 1000 + $number, "n-000000000$number", "x$number";
	}
}
$high = ledger($zk)->{ status($node, 'node_id') }{high};
poll_until(sub { ledger($zk)->{ status($node, 'node_id') }{high} > $high }, 'an extension');
makes_ids('garbage in registry and election does no harm');
is($node->safe_psql('postgres', 'SELECT count(*) >= 1 FROM snowflake_nodes'), 't', 'the view can be read');
$node->stop;
$node->start;
makes_ids('nor does it after a restart');
$node->stop;

# All of it deleted under the server.
settings_of();
$id = start_leasing($node);
$zk->delete($SnowflakeLease::root, recursive => 1);
wait_for_state($node, 'refused');
is_told(qr/deleted/, 'all deleted: the server refuses to go on, and says why');
usleep(1_000_000);
ok(!$zk->exists("$SnowflakeLease::root/config"), 'and makes nothing of its own in its place');
$node->stop;

#
# Authentication
#

my $file = $node->basedir . '/auth';
my $secret = 'only for the three of us';

sub write_file
{
	my ($content, $mode) = @_;

	unlink $file;
	append_to_file($file, $content);
	chmod $mode, $file or die "could not change the mode of $file: $!\n";
	return;
}

settings_of(zookeeper_auth_file => $file);
foreach my $case (
	[ "cluster:$secret\n", 0644, qr/auth_file.*mode/ ],
	[ "$secret\n", 0600, qr/auth_file.*name:password/ ],
	[ '', 0600, qr/auth_file.*name:password/ ],
	[ "cluster:$secret\nmore\n", 0600, qr/auth_file.*name:password/ ],
	[ 'cluster:' . 'x' x 10_000, 0600, qr/auth_file.*name:password/ ])
{
	write_file(@$case[ 0, 1 ]);
	$node->start;
	is_told($case->[2], 'a bad file: ' . substr($case->[0], 0, 30) . sprintf(', mode %o', $case->[1]));
	$node->stop;
}
unlink $file;
$node->start;
is_told(qr/auth_file.*No such file/, 'no file');

# What went wrong is not for everybody, and where the file is, for the log only.
$node->safe_psql('postgres', 'CREATE ROLE somebody LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
like(slurp_file($node->logfile), qr/DETAIL:  The file is "\Q$file\E"/, 'the log says where the file is');
foreach my $user (qw(somebody monitor), $node->safe_psql('postgres', 'SELECT current_user'))
{
	my ($told, $stderr);

	$node->psql('postgres', 'SELECT lease_last_error FROM snowflake_status', stdout => \$told,
		extra_params => [ '-U', $user ]);
	$node->psql('postgres', 'SELECT snowflake_next()', stderr => \$stderr, extra_params => [ '-U', $user ]);
	like($stderr, qr/ERROR:  no node ID.*DETAIL:  The state of the lease is/s, "$user has no ID");
	unlike("$told\n$stderr", qr/\Q$file\E/, "and is not told where the file is");
	if ($user eq 'somebody')
	{
		is($told, '', 'the status does not say what went wrong');
		unlike($stderr, qr/auth_file|No such file/, 'nor does the error');
		next;
	}
	like($_, qr/auth_file.*No such file/, "$user is told what went wrong") foreach $told, $stderr;
}
write_file("cluster:$secret\n", 0600);
makes_ids('once it is there, the server has a lease');
my $friend = $zk->client(auth => "cluster:$secret");
my $tree = $friend->tree($SnowflakeLease::root);
cmp_ok(scalar(keys %$tree), '>=', 7, 'who authenticates can read it');
is_deeply(
	[ grep { my $acl = $tree->{$_}{acl}; @$acl != 1 || $acl->[0]{scheme} ne 'digest' || $acl->[0]{id} !~ /^cluster:/ } sort keys %$tree ],
	[], 'every znode is only for who authenticates so');
foreach my $stranger ($zk->client, $zk->client(auth => 'cluster:guessed'), $zk->client(auth => "other:$secret"))
{
	foreach my $path (sort keys %$tree)
	{
		foreach my $attempt (
			sub { $stranger->get($path) },
			sub { $stranger->set($path, 'x') },
			sub { $stranger->create("$path/new", 'x') },
			sub { $stranger->delete($path) })
		{
			my $done = eval { $attempt->(); 1 };
			fail("a stranger can change or read $path") if $done || $@ !~ /^(?:NoAuth|NoChildrenForEphemerals|NotEmpty)/;
		}
	}
	$stranger->stop;
}
pass('others can neither read nor change it');
is(status($node, 'lease_fenced, lease_state'), '0|held', 'as the server sees it');

# The password is nowhere to be seen.
my $shown = join "\n", slurp_file($node->logfile),
  $node->safe_psql('postgres', q{
	SELECT * FROM pg_settings WHERE name LIKE 'snowflake%';
	SELECT * FROM snowflake_status; SELECT * FROM snowflake_nodes; SELECT * FROM snowflake_zookeeper_ledger()});
unlike($shown, qr/\Q$secret\E/, 'the password is neither in the log nor in a view');
my ($code, $stdout) = $node->psql('postgres', 'SHOW snowflake.zookeeper_auth_file', extra_params => [ '-U', 'somebody' ], stderr => \my $refused);
isnt($code, 0, 'not everybody sees where the file is');

# Another password: not let in, and told so.
$node->stop;
write_file("cluster:guessed\n", 0600);
$node->start;
is_told(qr/ZooKeeper does not let this server.*auth_file/, 'with another password the server is refused');
my $let_in = -s $node->logfile;
write_file("cluster:$secret\n", 0600);
makes_ids('once it is corrected, the server is let in without a restart');
unlike(slurp_file($node->logfile, $let_in), qr/database system is ready/, 'nor has it restarted by itself');

# Who may use the path comes garbled: that counts for nothing.
my $proxy = $zk->proxy;
my $garbled = $proxy->rule('garbled', request => 'getACL', times => 2);
$node->stop;
lease_settings($node, zookeeper_hosts => $proxy->hosts, zookeeper_path => $SnowflakeLease::root, zookeeper_auth_file => $file);
$node->start;
is($proxy->fired($garbled), 2, 'a garbled access control list, twice');
makes_ids('the server does without it');
$node->stop;
lease_settings($node, zookeeper_hosts => $zk->hosts, zookeeper_path => $SnowflakeLease::root, zookeeper_auth_file => $file);
$node->start;
makes_ids('and again without the relay');

# One password follows another, with a time when both are good.
my $claimed;
my $next = 'the next secret';
my ($ids_now) = grep { m{/ids$} } keys %{ $friend->tree($SnowflakeLease::root) };

sub let_in
{
	my ($client, @passwords) = @_;
	my @acl = map {
		{ scheme => 'digest', id => 'cluster:' . sha1_base64("cluster:$_") . '=', perms => 31 }
	} @passwords;

	$client->set_acl($_, \@acl) foreach keys %{ $client->tree($SnowflakeLease::root) };
	return;
}

# The session that says that the server lives.
sub session_of
{
	my ($client) = @_;
	my $tree = $client->tree($SnowflakeLease::root);
	my ($holder) = grep { m{/holder$} } keys %$tree;

	return $holder ? $tree->{$holder}{owner} : undef;
}

sub goes_on_with
{
	my ($client, $name) = @_;
	my $path = "$ids_now/" . status($node, 'node_id');
	my $then = $client->get($path)->{data};

	poll_until(sub { $client->get($path)->{data} ne $then }, 'an extension');
	is(status($node, 'lease_claim, lease_fenced, lease_state'), "$claimed|0|held", $name);
	return;
}

let_in($friend, $secret, $next);
$friend->stop;
$friend = $zk->client(auth => "cluster:$next");

# What is made in that time is for those who have the old one and for those who
# have the new one: here by a server with the old one, then by one with the new.
my $newcomer = lease_server('newcomer', $zk->hosts);
my $its_file = $newcomer->basedir . '/auth';
my $both = [ map { 'cluster:' . sha1_base64("cluster:$_") . '=' } sort($secret, $next) ];

foreach my $password ($secret, $next)
{
	my $theirs = $password eq $secret ? $next : $secret;
	my $client = $zk->client(auth => "cluster:$theirs");
	my %before = %{ $client->tree($SnowflakeLease::root) };

	unlink $its_file;
	append_to_file($its_file, "cluster:$password\n");
	chmod 0600, $its_file or die "could not change the mode of $its_file: $!\n";
	my ($first) = grep { $_ != status($node, 'node_id') && !exists $before{"$ids_now/$_"} } 100 .. 200;
	lease_settings($newcomer, zookeeper_hosts => $zk->hosts, zookeeper_path => $SnowflakeLease::root,
		zookeeper_auth_file => $its_file, zookeeper_node_range => $first);
	start_leasing($newcomer);

	# The other client can read all of it.
	my $tree = $client->tree($SnowflakeLease::root);
	my @new = grep { !$before{$_} } sort keys %$tree;
	is(scalar(grep { m{/ids/$first$|/ids/$first/holder$|/nodes/$first$|/election/} } @new), 4, 'a server with one of the passwords has made its nodes');
	foreach my $path (@new)
	{
		my %allowed = map { $_->{id} => $_->{perms} } @{ $tree->{$path}{acl} };
		is_deeply(\%allowed, { map { $_ => 31 } @$both }, $path =~ s{.*/(?=\w+/)}{}r . ' is for both of them');
	}
	$client->stop;
	$newcomer->stop;
}

# Should there be one that only the others can read, it is left alone, and all
# else goes on.
my $theirs = "$ids_now/300";
$friend->create($theirs, $friend->get("$ids_now/" . status($node, 'node_id'))->{data},
	acl => [ { scheme => 'digest', id => 'cluster:' . sha1_base64("cluster:$next") . '=', perms => 31 } ]);
is($node->safe_psql('postgres', 'SELECT node_id, claim, held, retired, modified FROM snowflake_zookeeper_ledger() WHERE node_id = 300'),
	'300||||', 'the ledger has it, and no more');
$node->safe_psql('postgres', 'SELECT snowflake_zookeeper_release(), snowflake_zookeeper_claim()');
makes_ids('a node ID is claimed beside it');
like(slurp_file($node->logfile, $let_in), qr/does not let this server read the ledger of node ID 300/, 'the log says so');

$claimed = status($node, 'lease_claim');
my $session = session_of($friend);
$node->reload;
goes_on_with($friend, 'a reload with the same password');
is(session_of($friend), $session, 'begins no other session');
write_file('no password', 0600);
$node->reload;
poll_until(sub { slurp_file($node->logfile, $let_in) =~ /auth_file.*name:password/ }, 'a word on the bad file');
is(session_of($friend), $session, 'one with a bad file begins none either');
write_file("cluster:$next\n", 0600);
$node->reload;
poll_until(sub { my $new = session_of($friend); defined $new && $new ne $session }, 'another session');
goes_on_with($friend, 'a reload with another password: the lease goes on in another session');
let_in($friend, $next);
goes_on_with($friend, 'and with that password alone');
$friend->stop;
makes_ids('there are IDs still');
$node->stop;
is_deeply([ PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /(was terminated by signal.*)/g ], [], 'nothing crashed in all that');

done_testing();
