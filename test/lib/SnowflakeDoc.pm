# Runs the examples of a Markdown document in a server and compares what they
# print with what the document shows.
#
#   ```sql        is run by psql, in one session as far as possible; the fenced
#   ...           block that follows, with nothing but blank lines between, is
#   ```           its output.  Without one, it must run without an error.
#
#   ```conf       is appended to postgresql.conf, and the server restarted.
#   ```sh         is for the shell, and not run.
#
#   <!-- run      is SQL that the reader does not see: what an example starts
#   ...           from, or stands in for.  <!-- conf likewise.
#   -->
#   <!-- database NAME -->         what follows runs in a new database.
#   <!-- needs EXTENSION 4 -->     what follows, up to the next such line or
#                                  database, is skipped where the server does
#                                  not have it, or has another major version.
#   <!-- varies: id, messages -->  what the next output has in these columns
#                                  differs from run to run, see comparable().
#   <!-- NAME: begin -->           (and end) mark a part that a program writes.
#
# psql is quiet, in UTC, and leaves out the CONTEXT of errors.

package SnowflakeDoc;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use SnowflakeTest;
use Test::More;

our @EXPORT = qw(
  document_parts
  document_ok
  same_output
  statements_of
);

# The parts of a document in their order, as hashes: kind (sql, conf, run,
# database, needs), line, text, and for sql perhaps output and varies.
sub document_parts
{
	my ($markdown) = @_;
	my (@parts, @varies, $open, $last);
	my $number = 0;

	foreach my $line (split /\n/, $markdown, -1)
	{
		$number++;
		if ($open)
		{
			if ($line =~ $open->{end})
			{
				push @parts, $open if $open->{kind} =~ /^(?:sql|conf|run)$/;
				if ($open->{kind} eq '' && $last)
				{
					$last->{output} = $open->{text};
				}
				$last = $open->{kind} eq 'sql' ? $open : undef;
				undef $open;
			}
			else
			{
				$open->{text} .= ($line =~ s/^$open->{indent}//r) . "\n";
			}
		}
		elsif ($line =~ /^( *)```(\w*)$/)
		{
			$open = { kind => $2, line => $number, text => '', indent => $1, end => qr/^ *```$/ };
			if ($open->{kind} eq 'sql')
			{
				$open->{varies} = [@varies];
				@varies = ();
			}
		}
		elsif ($line =~ /^<!-- (run|conf)$/)
		{
			$open = { kind => $1, line => $number, text => '', indent => '', end => qr/^-->$/ };
		}
		elsif ($line =~ /^<!-- database (\w+) -->$/)
		{
			push @parts, { kind => 'database', line => $number, text => $1 };
		}
		elsif ($line =~ /^<!-- needs (\w+(?: \d+)?) -->$/)
		{
			push @parts, { kind => 'needs', line => $number, text => $1 };
		}
		elsif ($line =~ /^<!-- varies: (.*) -->$/)
		{
			@varies = split /,\s*/, $1;
		}
		elsif ($line =~ /^<!-- [\w-]+: (?:begin|end) -->$/)
		{
			undef $last;
		}
		elsif ($line =~ /^ *(?:```|<!--)/)
		{
			die "line $number is not understood: $line\n";
		}
		elsif ($line =~ /^ {4,}(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|CALL|SET)\b.*;$/)
		{
			die "line $number is SQL that is not run: $line\n";
		}
		elsif ($line =~ /\S/)
		{
			undef $last;
		}
	}
	die "line $open->{line}: the block does not end\n" if $open;
	return @parts;
}

# A value that differs from run to run, as far as it does not.  Of "any" value
# only whether there is one.
sub shape
{
	my ($value, $how) = @_;

	return $value eq '' ? '' : '<any>' if $how eq 'any';
	$value =~ s/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/<uuid>/g;
	$value =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?/<time>/g;
	$value =~ s/(?:\d+ days? )?-?\d\d:\d\d:\d\d(?:\.\d+)?/<interval>/g;
	$value =~ s/-?\d+(?:\.\d+)?/<number>/g;
	return $value;
}

# Output of psql in a form in which it can be compared.  Widths of columns do
# not count.  In the columns named in varies, only the kind of the values does,
# and after "any", as in "any host", not even that; with "messages" among them,
# so in errors and notices, and with "costs" in what a plan estimates.
sub comparable
{
	my ($output, @varies) = @_;
	my %varies = map { /^any (.*)/ ? ($1 => 'any') : ($_ => 'number') } @varies;
	my @lines = split /\n/, $output;
	my (@names, @result, $expanded);

	foreach my $i (0 .. $#lines)
	{
		my $line = $lines[$i] =~ s/\s+$//r;
		$line =~ s/\(cost=[\d.]+ rows=\d+ /(cost=<number> rows=<number> / if $varies{costs};
		my @cells = map { s/^\s+//r } split /\s*\|/, $line, -1;

		if ($line =~ /^-\[ RECORD \d+ \]/)
		{
			$expanded = 1;
			$line =~ s/ \]-*(?:\+-*)?$/ ]/;
		}
		elsif ($line =~ /^-[-+]*$/)
		{
			$line = '---';
		}
		elsif ($i < $#lines && $lines[ $i + 1 ] =~ /^-[-+]*\s*$/)
		{
			@names = @cells;
			$line = join ' | ', @cells;
		}
		elsif ($line =~ /^(?:\(\d+ rows?\))?$/)
		{
			@names = ();
			undef $expanded;
		}
		elsif ($expanded)
		{
			$cells[1] = shape($cells[1] // '', $varies{ $cells[0] }) if $varies{ $cells[0] };
			$line = join ' | ', @cells;
		}
		elsif (@names)
		{
			foreach my $n (0 .. $#cells)
			{
				my $how = $varies{ $names[$n] // '' };

				$cells[$n] = shape($cells[$n], $how) if $how;
			}
			$line = join ' | ', @cells;
		}
		elsif ($varies{messages})
		{
			$line = shape($line, $varies{messages});
		}
		push @result, $line;
	}
	shift @result while @result && $result[0] eq '';
	pop @result while @result && $result[-1] eq '';
	return join "\n", @result;
}

# Is this the output that the document shows?  Whatever is not the same after
# comparable() differs.
sub same_output
{
	my ($shown, $printed, @varies) = @_;

	return comparable($shown, @varies) eq comparable($printed, @varies);
}

# The output of each of these pieces of SQL, run in one session.
sub run_sql
{
	my ($node, $dbname, @pieces) = @_;
	my $script = "\\set SHOW_CONTEXT never\n";
	my $output;

	$script .= "$_\n\\echo ==== the next piece ====\n" foreach @pieces;
	local $ENV{PGTZ} = 'UTC';
	IPC::Run::run(
		[ $node->installed_command('psql'), '-XqP', 'pager=off', '-d', $node->connstr($dbname) ],
		'<', \$script, '>&', \$output,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return split /^==== the next piece ====\n/m, $output, -1;
}

# Why the server cannot do what needs an extension ("NAME" or "NAME MAJOR"), or
# undef where it can.
sub missing
{
	my ($node, $dbname, $needed) = @_;
	my ($extension, $major) = split / /, $needed;
	my $version = $node->safe_psql($dbname,
		"SELECT default_version FROM pg_available_extensions WHERE name = '$extension'");

	return "this PostgreSQL has no $extension" if $version eq '';
	return "this is for $extension $major, and there is $version" if defined $major && $version !~ /^$major\b/;
	return undef;
}

# Run all examples of a document, each a test.  Parameters: node, a server that
# runs, for a document that does not do with one that has a node ID.
sub document_ok
{
	my ($file, %params) = @_;
	my $name = $file =~ s/.*\///r;
	my $node = $params{node} // snowflake_node($name =~ s/\W/_/gr, 'snowflake.node_id = 37');
	my @parts = eval { document_parts(slurp_file($file)) };
	my $dbname = 'postgres';
	my $examples = 0;

	is($@, '', "$name can be read") or return;
	$node->start unless $params{node};
	while (@parts)
	{
		my $part = $parts[0];

		if ($part->{kind} eq 'conf')
		{
			$node->append_conf('postgresql.conf', $part->{text});
			$node->restart;
			shift @parts;
		}
		elsif ($part->{kind} eq 'database')
		{
			$dbname = $part->{text};
			$node->safe_psql('postgres', "CREATE DATABASE $dbname");
			shift @parts;
		}
		elsif ($part->{kind} eq 'needs')
		{
			my $missing = missing($node, $dbname, $part->{text});

			shift @parts;
			if (defined $missing)
			{
				my $skipped = 0;

				$skipped++ while @parts && $parts[0]->{kind} !~ /^(?:needs|database)$/ && shift @parts;
			  SKIP: { skip "$name, line $part->{line}: $missing", $skipped; }
			}
		}
		else
		{
			my @together;

			push @together, shift @parts while @parts && $parts[0]->{kind} =~ /^(?:sql|run)$/;

			my @printed = run_sql($node, $dbname, map { $_->{text} } @together);
			foreach my $i (0 .. $#together)
			{
				example_ok($name, $together[$i], $printed[$i] // 'nothing: the session has ended');
				$examples++ if $together[$i]->{kind} eq 'sql';
			}
		}
	}
	$node->stop unless $params{node};
	cmp_ok($examples, '>', 0, "$name has examples");
	return;
}

sub example_ok
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($name, $part, $printed) = @_;
	my $test = "$name, line $part->{line}: " . ($part->{text} =~ /^(\S.{0,50})/m)[0];

	if (defined $part->{output})
	{
		is(comparable($printed, @{ $part->{varies} }), comparable($part->{output}, @{ $part->{varies} }), $test)
		  or note "printed:\n$printed";
	}
	else
	{
		unlike($printed, qr/^(?:ERROR|FATAL|PANIC|psql: error|invalid command|nothing):?/m, $test)
		  or note "printed:\n$printed";
	}
	return;
}

# The SQL of a page in doc/, as one script for psql, for a test that looks at
# what it does rather than at what it prints: the blocks below headings that
# match, or with "not" those below the others.
sub statements_of
{
	my ($page, $heading, $not) = @_;
	my $text = slurp_file(dirname(__FILE__) . "/../../doc/$page");
	my $wanted = '';
	my @blocks;

	while ($text =~ /^(?:##? ([^\n]*)|```sql\n(.*?)^```$|```\n.*?^```$)/gms)
	{
		if (defined $1)
		{
			$wanted = ($1 =~ $heading ? 1 : 0) != ($not ? 1 : 0);
		}
		elsif (defined $2 && $wanted)
		{
			push @blocks, $2;
		}
	}
	die "doc/$page has no such statements\n" unless @blocks;
	return join "\n", @blocks;
}

1;
