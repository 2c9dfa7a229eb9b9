# The history checker: from what clients got and what servers recorded it
# proves, or shows by counterexample, that
#
#   - no ID came twice,
#   - no ID is lower than one of the same node whose call had ended before the
#     call of this one began, over all clients, and none is lower than an
#     earlier one of the same client,
#   - each ID names the node that it came from, and a time at which the clock
#     of that node stood while the call ran; or, where servers lease their node
#     IDs, a node ID and a time that this server had leased,
#   - a row that is found has an ID that was given to the call that wrote it.
#
# A client writes one line for each of its calls:
#
#   client order begin end id id ...
#
# client is a name without blanks; order counts the client's calls from 1; begin
# and end are what history_us() said before and after the call, or "-" where
# that is not known.  A call that got no answer has no IDs: it failed, or the
# server died under it.  It may have left rows all the same, which servers then
# show as recorded:
#
#   client order id
#
# Where node IDs are leased, "node" in what is above means the server: it may
# have one node ID after the other, and its IDs rise in time and sequence.
#
# Nothing here is taken from the library under test: the layout is cut by code
# of our own, and order is by a clock that nobody sets.  IDs are sorted on disk,
# so that a long run does not need much memory.

package SnowflakeHistory;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_REALTIME);

our @EXPORT = qw(history_us history_ok);

# What can be wrong, as check() names it.
our @KINDS = qw(duplicate order client node lease time layout unexplained);

# How many of each kind are described; all are counted.
my $most_examples = 3;

# The clock of the machine is slewed and read at different moments.
my $clock_tolerance_us = 250_000;

# A call, as an array: there are many.  LOW and HIGH are what _bounds() says.
use constant {
	CLIENT => 0, ORDER => 1, NODE => 2, BEGIN_US => 3, END_US => 4,
	LEAST => 5, GREATEST => 6, ANSWERED => 7, LOW => 8, HIGH => 9,
};

# Microseconds of a clock that all processes share and that is never set.
sub history_us
{
	return int(clock_gettime(CLOCK_MONOTONIC) * 1_000_000);
}

# layout: the canonical text, as in snowflake_status; dir: for files of its own;
# lead_s: how far an ID's time may be ahead of the clock, if it may.
sub new
{
	my ($class, %params) = @_;
	my $self = bless {
		layout => _parse_layout($params{layout}),
		file => "$params{dir}/history.ids",
		dir => $params{dir},
		lead_us => ($params{lead_s} // 0) * 1_000_000,
		calls => [],
		call_of => {},
		clocks => {},
		leases => {},
		found => { map { $_ => 0 } @KINDS },
		examples => [],
		ids => 0,
		recorded => 0,
		recovered => 0,
	}, $class;

	open $self->{ids_file}, '>', $self->{file} or die "could not write $self->{file}: $!\n";
	return $self;
}

# Fields from high to low with their widths, tick and epoch.
sub _parse_layout
{
	my ($text) = @_;
	my (@fields, %layout);

	foreach my $part (split ' ', $text)
	{
		if ($part =~ /^([a-z]+):(\d+)$/)
		{
			push @fields, [ $1, $2 ];
		}
		elsif ($part =~ /^tick:(\d+)(ms|s)$/)
		{
			$layout{tick_us} = $1 * ($2 eq 's' ? 1_000_000 : 1_000);
		}
		elsif ($part =~ /^epoch:(\d+)-(\d+)-(\d+)(?:T(\d+):(\d+)(?::(\d+)(?:\.(\d{1,3}))?)?)?Z?$/)
		{
			my @date = ($6 // 0, $5 // 0, $4 // 0, $3, $2 - 1, $1 - 1900);
			my $ms = substr(($7 // '') . '000', 0, 3);
			local $ENV{TZ} = 'UTC';
			POSIX::tzset();
			$layout{epoch_us} = POSIX::mktime(@date) * 1_000_000 + $ms * 1_000;
		}
		else
		{
			die "could not read \"$part\" of the layout \"$text\"\n";
		}
	}
	POSIX::tzset();
	die "the layout \"$text\" is not complete\n"
	  unless $layout{tick_us} && defined $layout{epoch_us};

	my $shift = 0;
	$layout{but_node} = ~0;
	foreach my $field (reverse @fields)
	{
		my ($name, $bits) = @$field;

		$layout{fields}{$name} = [ $shift, (1 << $bits) - 1 ];
		$layout{but_node} &= ~((1 << $bits) - 1 << $shift) if $name =~ /^(?:datacenter|worker|node)$/;
		$shift += $bits;
	}
	$layout{greatest} = $shift < 63 ? (1 << $shift) - 1 : ~0 >> 1;
	return \%layout;
}

sub _field
{
	my ($id, $field) = @_;

	return $id >> $field->[0] & $field->[1];
}

# Node ID of an ID: datacenter and worker together, where there are two.
sub node_of
{
	my ($self, $id) = @_;
	my $fields = $self->{layout}{fields};
	my $node = _field($id, $fields->{worker} // $fields->{node});

	return $node unless $fields->{datacenter};
	return _field($id, $fields->{datacenter}) * ($fields->{worker}[1] + 1) + $node;
}

# Time of an ID, microseconds since 1970.
sub time_of
{
	my ($self, $id) = @_;

	return $self->{layout}{epoch_us} + _field($id, $self->{layout}{fields}{time}) * $self->{layout}{tick_us};
}

# Is this ID of a call to that node not later than the other?  Where node IDs
# are leased, they do not matter for that.
sub _not_after
{
	my ($self, $node, $id, $other) = @_;

	return $id <= $other unless exists $self->{leases}{$node} && $id >= 0 && $other >= 0;
	my $mask = $self->{layout}{but_node};
	return ($id & $mask) <= ($other & $mask);
}

# A server that leases its node IDs, in place of a node ID.  Said before calls
# are added.
sub leased
{
	my ($self, $server) = @_;

	$self->{leases}{$server} //= {};
	return;
}

# It had this node ID for the ticks from low to high, milliseconds since 1970:
# none begins before, and none ends after.
sub add_lease
{
	my ($self, $server, $node, $low_ms, $high_ms) = @_;

	push @{ $self->{leases}{$server}{$node} }, [ $low_ms, $high_ms ];
	return;
}

# Run code that makes the clock of this node stand that many seconds ahead of
# the true time; without it the clock is only said to stand so.
sub clock_is
{
	my ($self, $node, $ahead_s, $set) = @_;
	my $settings = $self->{clocks}{$node} //= [];
	my $from = history_us();

	$set->() if $set;

	my $until = history_us();
	$settings->[-1]{until} = $until if @$settings;
	push @$settings,
	  {
		from => @$settings ? $from : 0,
		until => 'inf',
		# What to add to history_us() to get that clock.
		offset => int((clock_gettime(CLOCK_REALTIME) + $ahead_s) * 1_000_000) - $until,
	  };
	return;
}

# Between which times did the clock of the call's node stand while it ran?
sub _bounds
{
	my ($self, $call) = @_;
	my ($low, $high);

	return ('-inf', 'inf') if $call->[BEGIN_US] eq '-' || $call->[END_US] eq '-';
	foreach my $setting (@{ $self->{clocks}{ $call->[NODE] } // [] })
	{
		my $from = $call->[BEGIN_US] > $setting->{from} ? $call->[BEGIN_US] : $setting->{from};
		my $until = $call->[END_US] < $setting->{until} ? $call->[END_US] : $setting->{until};

		next if $from > $until;
		$low = $from + $setting->{offset} if !defined $low || $from + $setting->{offset} < $low;
		$high = $until + $setting->{offset} if !defined $high || $until + $setting->{offset} > $high;
	}
	return ('-inf', 'inf') unless defined $low;
	return ($low - $clock_tolerance_us - $self->{layout}{tick_us}, $high + $clock_tolerance_us + $self->{lead_us});
}

sub _violation
{
	my ($self, $kind, $text) = @_;

	push @{ $self->{examples} }, "$kind: $text" if $self->{found}{$kind}++ < $most_examples;
	return;
}

sub _lines
{
	my ($source, $each) = @_;

	if (ref $source)
	{
		$each->($_) foreach @$source;
		return;
	}
	open my $file, '<', $source or die "could not read $source: $!\n";
	while (my $line = <$file>)
	{
		chomp $line;
		$each->($line);
	}
	close $file;
	return;
}

# Calls of clients to the node with this ID; from a file, or an array of lines.
sub add_calls
{
	my ($self, $node, $source) = @_;
	my %last;

	_lines(
		$source,
		sub {
			my ($client, $order, $begin, $end, @ids) = split ' ', $_[0];

			die "not a line of a history: \"$_[0]\"\n"
			  if grep { !defined || !/^(?:\d+|-)$/ } $order, $begin, $end, @ids;
			die "call $order of $client ends before it begins\n"
			  if $begin ne '-' && $end ne '-' && $end < $begin;
			die "call $order of $client is there twice\n"
			  if exists $self->{call_of}{"$node $client $order"};

			my $index = @{ $self->{calls} };
			my $call = [ $client, $order, $node, $begin, $end, undef, undef, scalar @ids ];
			push @{ $self->{calls} }, $call;
			$self->{call_of}{"$node $client $order"} = $index;

			my $previous;
			foreach my $id (@ids)
			{
				$self->_violation('client', "$client got $id after $previous, both in call $order")
				  if defined $previous && $self->_not_after($node, $id, $previous);
				$previous = $id;
				$self->_extend_call($call, $id);
				print { $self->{ids_file} } "$id $index\n" or die "could not write $self->{file}: $!\n";
			}
			$self->{ids} += @ids;
		});
	return;
}

# Rows with IDs of that node that were found in tables.
sub add_recorded
{
	my ($self, $node, $source) = @_;

	_lines(
		$source,
		sub {
			my ($client, $order, $id) = split ' ', $_[0];

			die "not a line of a record: \"$_[0]\"\n" unless defined $id && $id =~ /^-?\d+$/;
			my $index = $self->{call_of}{"$node $client $order"};
			if (!defined $index)
			{
				$self->_violation('unexplained', "$id is recorded for call $order of $client, which was not made");
				return;
			}
			$self->{recorded}++;
			print { $self->{ids_file} } "$id $index recorded\n" or die "could not write $self->{file}: $!\n";
		});
	return;
}

sub _extend_call
{
	my ($self, $call, $id) = @_;

	$call->[LEAST] = $id
	  if !defined $call->[LEAST] || $self->_not_after($call->[NODE], $id, $call->[LEAST]);
	$call->[GREATEST] = $id
	  if !defined $call->[GREATEST] || $self->_not_after($call->[NODE], $call->[GREATEST], $id);
	return;
}

sub _describe
{
	my ($call) = @_;

	return "call $call->[ORDER] of $call->[CLIENT] (node $call->[NODE])";
}

# All occurrences of one ID: the calls that were answered with it, and the
# calls that it was recorded for.
sub _check_id
{
	my ($self, $id, $answered, $recorded) = @_;
	my @issued = map { $self->{calls}[$_] } @$answered;

	return $self->_check_fields($id, $issued[0]) if @issued == 1 && !@$recorded;

	my %answered = map { $_ => 1 } @$answered;
	my %seen;

	foreach my $index (@$recorded)
	{
		my $call = $self->{calls}[$index];

		# Found once, where the client knows of it, is what should be.
		next if $answered{$index} && !$seen{$index}++;
		if ($call->[ANSWERED] && !$answered{$index})
		{
			$self->_violation('unexplained', "$id is recorded for " . _describe($call) . ', which got other IDs');
			next;
		}
		push @issued, $call;
		$self->_extend_call($call, $id);
		$self->{ids}++;
		$self->{recovered}++;
	}

	$self->_violation('duplicate', "$id came to " . join(' and ', map { _describe($_) } @issued))
	  foreach 2 .. @issued;
	$self->_check_fields($id, $_) foreach @issued;
	return;
}

sub _check_fields
{
	my ($self, $id, $call) = @_;

	if ($id < 0 || $id > $self->{layout}{greatest})
	{
		$self->_violation('layout', "$id of " . _describe($call) . ' is no ID of the layout');
		return;
	}
	my $node = $self->node_of($id);
	my $leases = $self->{leases}{ $call->[NODE] };
	if (!$leases)
	{
		$self->_violation('node', "$id of " . _describe($call) . " has node ID $node") if $node != $call->[NODE];
	}
	else
	{
		my $begin = $self->time_of($id) / 1_000;
		my $end = $begin + $self->{layout}{tick_us} / 1_000;
		my $of_node = $leases->{$node} // [];
		$self->_violation(
			'lease',
			"$id of "
			  . _describe($call)
			  . " has node ID $node and the time $begin, leased was "
			  . (join(', ', map { "$_->[0] to $_->[1]" } @$of_node) || 'nothing'))
		  unless grep { $begin >= $_->[0] && $end <= $_->[1] } @$of_node;
	}

	@{$call}[ LOW, HIGH ] = $self->_bounds($call) unless defined $call->[LOW];
	my $time = $self->time_of($id);
	$self->_violation(
		'time',
		sprintf(
			'%s of %s has the time %.6f, but the clock went from %.6f to %.6f',
			$id, _describe($call), map { $_ / 1_000_000 } $time, @{$call}[ LOW, HIGH ]))
	  if $time < $call->[LOW] || $time > $call->[HIGH];
	return;
}

# The order of calls in time: a call that began after another had ended has
# only later IDs.
sub _check_order
{
	my ($self) = @_;
	my (%calls_of_node, %calls_of_client);

	foreach my $call (grep { defined $_->[LEAST] } @{ $self->{calls} })
	{
		push @{ $calls_of_node{ $call->[NODE] } }, $call if $call->[BEGIN_US] ne '-' && $call->[END_US] ne '-';
		push @{ $calls_of_client{"$call->[NODE] $call->[CLIENT]"} }, $call;
	}

	foreach my $calls (values %calls_of_node)
	{
		my @ended = sort { $a->[END_US] <=> $b->[END_US] } @$calls;
		my $highest;

		foreach my $call (sort { $a->[BEGIN_US] <=> $b->[BEGIN_US] } @$calls)
		{
			while (@ended && $ended[0][END_US] < $call->[BEGIN_US])
			{
				my $other = shift @ended;
				$highest = $other
				  if !defined $highest || $self->_not_after($call->[NODE], $highest->[GREATEST], $other->[GREATEST]);
			}
			$self->_violation('order',
				_describe($call) . " got $call->[LEAST] after " . _describe($highest) . " had got $highest->[GREATEST]")
			  if defined $highest && $self->_not_after($call->[NODE], $call->[LEAST], $highest->[GREATEST]);
		}
	}

	foreach my $calls (values %calls_of_client)
	{
		my $highest;

		foreach my $call (sort { $a->[ORDER] <=> $b->[ORDER] } @$calls)
		{
			$self->_violation('client',
				_describe($call) . " got $call->[LEAST] after $highest")
			  if defined $highest && $self->_not_after($call->[NODE], $call->[LEAST], $highest);
			$highest = $call->[GREATEST]
			  if !defined $highest || $self->_not_after($call->[NODE], $highest, $call->[GREATEST]);
		}
	}
	return;
}

# Looks at all that was added, once.  Returns what there was: numbers of calls,
# of IDs, of rows recorded and of IDs known only from rows (recovered); and what
# was found: the number of violations of each kind, and examples as text.
sub check
{
	my ($self) = @_;
	my ($current, @answered, @recorded);

	close $self->{ids_file} or die "could not write $self->{file}: $!\n";
	local $ENV{LC_ALL} = 'C';
	open my $sorted, '-|', 'sort', '-n', '-S', '64M', '-T', $self->{dir}, $self->{file}
	  or die "could not run sort: $!\n";
	while (my $line = <$sorted>)
	{
		my ($id, $index, $recorded) = split ' ', $line;

		if (defined $current && $id != $current)
		{
			$self->_check_id($current, \@answered, \@recorded);
			@answered = @recorded = ();
		}
		$current = $id;
		push @{ $recorded ? \@recorded : \@answered }, $index;
	}
	close $sorted or die "sort failed\n";
	$self->_check_id($current, \@answered, \@recorded) if defined $current;
	unlink $self->{file};

	$self->_check_order;
	return {
		calls => scalar @{ $self->{calls} },
		clients => scalar keys %{ { map { ("$_->[NODE] $_->[CLIENT]" => 1) } @{ $self->{calls} } } },
		ids => $self->{ids},
		recorded => $self->{recorded},
		recovered => $self->{recovered},
		found => $self->{found},
		examples => $self->{examples},
	};
}

# A test: there were at least that many IDs, and nothing is wrong with them.
sub history_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($history, $least, $name) = @_;
	my $report = $history->check;

	return subtest $name => sub {
		note "$report->{ids} IDs in $report->{calls} calls of $report->{clients} clients, "
		  . "$report->{recorded} of them recorded, $report->{recovered} known only from that";
		cmp_ok($report->{ids}, '>=', $least, "at least $least IDs");
		is($report->{found}{$_}, 0, "no violation: $_") foreach @KINDS;
		diag $_ foreach @{ $report->{examples} };
	};
}

1;
