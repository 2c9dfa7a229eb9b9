# A session that stays: a psql that is given one statement after the other.  It
# takes a fraction of what a psql for each statement does.  When the connection is
# lost, the next statement makes another one.

package SnowflakeSession;

use strict;
use warnings;

use IPC::Open2;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

# Not connected before it is asked.  psql is the program; its errors go where
# those of this process do.
sub new
{
	my ($class, $psql, $connstr) = @_;

	return bless { psql => $psql, connstr => $connstr }, $class;
}

sub connected
{
	my ($self) = @_;

	return defined $self->{pid};
}

sub connect
{
	my ($self) = @_;

	$self->{pid} = open2($self->{out}, $self->{in}, $self->{psql},
		'-XAtq', '-v', 'VERBOSITY=verbose', '-d', $self->{connstr});
	return;
}

sub disconnect
{
	my ($self) = @_;

	return unless defined $self->{pid};
	local $?;
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return;
}

# The lines of the answer, and whether that is all; an empty list where the
# connection is lost, or there is none.  What came before psql was gone is not an
# answer: it prints whole ones.  A statement that fails has an answer that is not
# all.  It may take that many seconds, or for ever.
sub ask
{
	my ($self, $sql, $seconds) = @_;
	my $begin = time;
	my $text = '';
	my $error;

	local $SIG{PIPE} = 'IGNORE';
	$self->connect unless $self->connected;
	print { $self->{in} } "$sql;\n\\echo end :ERROR\n";
	$self->{in}->flush;
	until (($error) = $text =~ /^end (true|false)\n\z/m)
	{
		vec(my $readable = '', fileno $self->{out}, 1) = 1;
		my $found = select $readable, undef, undef, defined $seconds ? $seconds + $begin - time : undef;

		next if $found < 0;
		if (!$found)
		{
			kill 'KILL', $self->{pid};
			$self->disconnect;
			die "no answer to: $sql\n";
		}
		if (!sysread $self->{out}, $text, 65536, length $text)
		{
			$self->disconnect;
			return;
		}
	}
	my @lines = split /\n/, $text;

	pop @lines;
	return (\@lines, $error eq 'false');
}

# The answer to a query that does not fail, as safe_psql() gives it.
sub answer
{
	my ($self, $sql) = @_;
	my $seconds = $PostgreSQL::Test::Utils::timeout_default;
	my $was_connected = $self->connected;
	my ($lines, $all) = $self->ask($sql, $seconds);

	# The server may have been started again, of which psql tells by an error, too.
	if (!$all && $was_connected)
	{
		$self->disconnect;
		($lines, $all) = $self->ask($sql, $seconds);
	}
	die "failed: $sql\n" unless $all;
	return join "\n", @$lines;
}

sub DESTROY
{
	my ($self) = @_;

	$self->disconnect;
	return;
}

1;
