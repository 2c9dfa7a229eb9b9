# The history checker must find what is wrong, and nothing where nothing is:
# histories made by hand, each with one fault.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Temp;
use SnowflakeHistory;
use Test::More;
use Time::HiRes qw(time);

my $twitter = 'time:41 datacenter:5 worker:5 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z';
my $dir = File::Temp->newdir;

# An ID of the default layout, by the arithmetic that everybody knows.
sub id
{
	my ($unix_ms, $node, $sequence) = @_;

	return ($unix_ms - 1288834974657) << 22 | $node << 12 | $sequence;
}

# The violations of a history, "kind:number" in a fixed order.
sub violations
{
	my ($history) = @_;
	my $found = $history->check->{found};

	return join ' ', map { "$_:$found->{$_}" } grep { $found->{$_} } sort keys %$found;
}

sub history_of
{
	my ($calls, $recorded, %params) = @_;
	my $history = SnowflakeHistory->new(layout => $twitter, dir => $dir, %params);

	$history->add_calls($_, $calls->{$_}) foreach sort keys %$calls;
	$history->add_recorded($_, $recorded->{$_}) foreach sort keys %{ $recorded // {} };
	return $history;
}

sub finds
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, $expected, $calls, $recorded) = @_;

	return is(violations(history_of($calls, $recorded)), $expected, $name);
}

my @id = map { id(1_700_000_000_000 + $_, 5, 0) } 0 .. 20;

#
# Nothing wrong
#

my $good = {
	5 => [
		"a 1 100 200 $id[0] $id[1]",
		"b 1 150 250 $id[2] $id[4]",
		# Calls that overlap may have their IDs in any order.
		"a 2 240 300 $id[3]",
		'b 2 300 400',
		"a 3 310 320 $id[8]",
	]
};
finds('an empty history', '', {});
finds('calls that overlap', '', $good);
finds('rows of calls with and without an answer', '', $good, { 5 => [ "a 1 $id[0]", "b 2 $id[6]" ] });
finds('without times', '', { 5 => [ "a 1 - - $id[5]", "b 1 - - $id[1]", "a 2 - - $id[6]" ] });

my $report = history_of($good, { 5 => [ "a 1 $id[0]", "b 2 $id[6]", "b 2 $id[7]" ] })->check;
is("$report->{calls} $report->{clients} $report->{ids} $report->{recorded} $report->{recovered}",
	'5 2 8 3 2', 'all is counted');

#
# One thing wrong
#

finds('an ID twice in one call', 'client:1 duplicate:1', { 5 => ["a 1 1 2 $id[0] $id[0]"] });
finds('an ID of two clients', 'duplicate:1', { 5 => [ "a 1 1 3 $id[0]", "b 1 2 4 $id[0]" ] });
finds('an ID of three clients', 'duplicate:2',
	{ 5 => [ "a 1 1 3 $id[0]", "b 1 2 4 $id[0]", "c 1 2 4 $id[0]" ] });
finds('an ID of two nodes', 'duplicate:1 node:1', { 5 => ["a 1 1 3 $id[0]"], 6 => ["b 1 5 6 $id[0]"] });
finds('an ID of a client and of a row without an answer',
	'duplicate:1', { 5 => [ "a 1 1 3 $id[0]", 'b 1 2 4' ] }, { 5 => ["b 1 $id[0]"] });
finds('an ID of two rows', 'duplicate:1', { 5 => [ 'a 1 1 3', 'b 1 2 4' ] }, { 5 => [ "a 1 $id[0]", "b 1 $id[0]" ] });
finds('an ID twice in a table', 'duplicate:1', { 5 => ["a 1 1 3 $id[0]"] }, { 5 => [ "a 1 $id[0]", "a 1 $id[0]" ] });

finds('lower than an ID that another client had got before',
	'order:1', { 5 => [ "a 1 100 200 $id[3]", "b 1 201 300 $id[2]" ] });
finds('not lower if the other client might still have waited',
	'', { 5 => [ "a 1 100 200 $id[3]", "b 1 200 300 $id[2]" ] });
finds('lower than the last of a batch', 'order:1', { 5 => [ "a 1 100 200 $id[0] $id[5]", "b 1 300 400 $id[3]" ] });
finds('lower than an early call, with calls in between',
	'order:1', { 5 => [ "a 1 100 200 $id[9]", "b 1 10 900 $id[1]", "c 1 11 950 $id[2]", "d 1 300 400 $id[8]" ] });
finds('a row that is lower than an ID of before', 'order:1',
	{ 5 => [ "a 1 100 200 $id[3]", 'b 1 300 400' ] }, { 5 => ["b 1 $id[2]"] });
finds('lower than a row of before', 'order:1',
	{ 5 => [ 'a 1 100 200', "b 1 300 400 $id[2]" ] }, { 5 => ["a 1 $id[3]"] });
finds('nodes have nothing to do with each other', '',
	{ 5 => ["a 1 100 200 $id[3]"], 6 => [ 'b 1 300 400 ' . id(1_700_000_000_000, 6, 0) ] });

finds('a client that went back', 'client:1', { 5 => [ "a 1 - - $id[3]", "a 2 - - $id[2]" ] });
finds('a call that went back', 'client:1', { 5 => ["a 1 1 2 $id[3] $id[2]"] });

finds('the ID of another node', 'node:1', { 5 => [ 'a 1 1 2 ' . id(1_700_000_000_000, 4, 0) ] });
finds('an ID that needs the sign', 'layout:1', { 5 => ['a 1 1 2'] }, { 5 => ['a 1 -5'] });

finds('a row of a call that got other IDs', 'unexplained:1', { 5 => ["a 1 1 2 $id[0]"] }, { 5 => ["a 1 $id[1]"] });
finds('a row of a call that nobody made', 'unexplained:1', $good, { 5 => ["z 1 $id[9]"] });

#
# Leased node IDs
#

# Servers A and B have leased node IDs for milliseconds 1 to 20 after a certain
# time.
sub finds_leased
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, $expected, $calls) = @_;
	my $history = SnowflakeHistory->new(layout => $twitter, dir => $dir);
	my $time = 1_700_000_000_000;

	$history->leased($_) foreach qw(A B);
	$history->add_lease('A', 5, $time + 1, $time + 11);
	$history->add_lease('A', 4, $time + 11, $time + 16);
	$history->add_lease('B', 5, $time + 11, $time + 21);
	$history->add_calls($_, $calls->{$_}) foreach sort keys %$calls;
	return is(violations($history), $expected, $name);
}

sub leased_id
{
	my ($ms, $node, $sequence) = @_;

	return id(1_700_000_000_000 + $ms, $node, $sequence // 0);
}

finds_leased('IDs within leases', '', {
	A => [ 'a 1 100 200 ' . leased_id(1, 5), 'a 2 201 300 ' . leased_id(10, 5), 'a 3 301 400 ' . leased_id(15, 4) ],
	B => [ 'b 1 100 200 ' . leased_id(11, 5), 'b 2 300 400 ' . leased_id(20, 5) ]
});
finds_leased('below a lease', 'lease:1', { A => [ 'a 1 100 200 ' . leased_id(0, 5) ] });
finds_leased('above a lease', 'lease:1', { A => [ 'a 1 100 200 ' . leased_id(11, 5) ] });
finds_leased('in the lease of another server', 'lease:1', { B => [ 'a 1 100 200 ' . leased_id(10, 5) ] });
finds_leased('a node ID that was not leased', 'lease:1', { A => [ 'a 1 100 200 ' . leased_id(5, 6) ] });
finds_leased('the same ID of two servers', 'duplicate:1 lease:1',
	{ A => [ 'a 1 100 200 ' . leased_id(12, 5) ], B => [ 'b 1 100 200 ' . leased_id(12, 5) ] });
finds_leased('a lower ID of another server, whose lease is older', '',
	{ A => [ 'a 1 300 400 ' . leased_id(9, 5) ], B => [ 'b 1 100 200 ' . leased_id(12, 5) ] });
finds_leased('lower than an ID of the same server before', 'order:1',
	{ A => [ 'a 1 100 200 ' . leased_id(9, 5), 'b 1 300 400 ' . leased_id(8, 5) ] });
finds_leased('also where the node ID has changed', 'lease:1 order:1',
	{ A => [ 'a 1 100 200 ' . leased_id(12, 4), 'b 1 300 400 ' . leased_id(11, 5) ] });
finds_leased('in one tick it is the sequence that counts', '', {
	B => [ 'a 1 100 200 ' . leased_id(12, 5, 1), 'b 1 300 400 ' . leased_id(12, 5, 2) ],
	A => [ 'a 1 100 200 ' . leased_id(12, 4, 3), 'a 2 300 400 ' . leased_id(12, 4, 4) ]
});
finds_leased('not the node ID', 'lease:1 order:1',
	{ A => [ 'a 1 100 200 ' . leased_id(12, 4, 3), 'b 1 300 400 ' . leased_id(12, 5, 2) ] });
finds_leased('a client that went back', 'client:1 order:1',
	{ A => [ 'a 1 100 200 ' . leased_id(9, 5), 'a 2 300 400 ' . leased_id(8, 5) ] });
finds_leased('a call that went back', 'client:1', { A => [ 'a 1 100 200 ' . leased_id(9, 5) . ' ' . leased_id(8, 5) ] });

#
# Times
#

# The IDs of a call, given as seconds ahead of the true time, under a clock
# that was first right, then 1000 s back for a second, then 5 s ahead.
sub time_violations
{
	my ($begin_s, $end_s, @ahead) = @_;
	my $history = SnowflakeHistory->new(layout => $twitter, dir => $dir);
	my $now = history_us();
	my $unix_ms = int(time * 1000);

	$history->clock_is(5, @$_) foreach [0], [-1000], [5];
	# As if these had been a second apart.
	my ($right, $back, $ahead) = @{ $history->{clocks}{5} };
	$right->{until} = $back->{from} = $now - 1_000_000;
	$back->{until} = $ahead->{from} = $now;

	$history->add_calls(5,
		[ join ' ', 'a 1', map({ $now + int($_ * 1_000_000) } $begin_s, $end_s), map { id($unix_ms + int($_ * 1000), 5, 0) } @ahead ]);
	return violations($history);
}

is(time_violations(-2, -1.5, -1.7), '', 'a time within the call');
is(time_violations(-2, -1.5, -2.6, -0.9), 'time:2', 'a time before and one after the call');
is(time_violations(-2, -1.5, -1001.7), 'time:1', 'a time that the clock shows later');
is(time_violations(-0.9, -0.5, -1000.7), '', 'a time of the clock that was set back');
is(time_violations(-0.9, -0.5, -0.7), 'time:1', 'the true time, which that clock did not show');
is(time_violations(-0.5, 0.5, -1000.2, 5.2), '', 'times of a call during which the clock was set');
is(time_violations(1, 2, 6.5), '', 'a time of the clock that is ahead');

#
# Layouts
#

foreach my $case (
	[ $twitter, 1541815603606036480, 378, 1656432460105000 ],
	[ 'time:41 node:13 sequence:10 epoch:2011-08-24T21:07:01.721Z tick:1ms', 1 << 23 | 77 << 10 | 3, 77, 1314220021722000 ],
	[ 'time:39 sequence:8 node:16 tick:10ms epoch:2014-09-01', 7 << 24 | 9 << 16 | 4660, 4660, 1409529600070000 ],
	[ 'time:41 worker:5 sequence:7 tick:1s epoch:1970-01-01T00:00Z', 3 << 12 | 21 << 7, 21, 3_000_000 ])
{
	my ($layout, $id, $node, $time) = @$case;
	my $history = SnowflakeHistory->new(layout => $layout, dir => $dir);

	is($history->node_of($id) . ' ' . $history->time_of($id), "$node $time", "an ID of $layout");
}
is(violations(history_of({ 2 => [ 'a 1 1 2 ' . (1 << 40 | 2 << 8) ] }, {}, layout => 'time:20 node:4 sequence:8 tick:1s epoch:2020-01-01')),
	'layout:1', 'an ID longer than its layout');

#
# What is no history
#

foreach my $case (
	[ 'a line that was cut', 'a 1 100' ],
	[ 'a line with letters', "a 1 100 200 $id[0] x" ],
	[ 'a call that ends before it begins', "a 1 200 100 $id[0]" ])
{
	ok(!eval { history_of({ 5 => [ $case->[1] ] }); 1 }, $case->[0]);
}
ok(!eval { history_of({ 5 => [ 'a 1 1 2', 'a 1 3 4' ] }); 1 }, 'a call that is there twice');

done_testing();
