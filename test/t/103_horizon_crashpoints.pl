# A server that dies between any two steps of writing the horizon, with the
# clock set back before it comes up again, makes no ID twice and none below an
# earlier one.
#
# The library is built for this with places to die at, numbered as in
# src/horizon.c, and the objects of the extension are made to use that one; the
# installed library has no such places, which is tested, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SnowflakeBuild;
use SnowflakeHistory;
use SnowflakeLoad;
use SnowflakeTest;
use Test::More;
use Time::HiRes qw(time);

my $node_id = 9;

#
# The installed library
#

my $shipped = snowflake_node('shipped', "snowflake.node_id = $node_id");
$shipped->start;
$shipped->safe_psql('postgres', 'CREATE EXTENSION snowflake; SELECT snowflake_next()');
fails_with($shipped, 'SET snowflake.crash_point = 1', '42602', [qr/invalid configuration parameter name "snowflake\.crash_point"/],
	'the installed library has no such setting');
is($shipped->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name LIKE 'snowflake%crash%'}),
	0, 'nor one of a like name');
$shipped->stop;

#
# A build with places to die at
#

my ($build, $path) = build_with_places_to_fail('snowflake');

SKIP:
{
	skip $path, 1 unless defined $build;

	my ($crash_points) = sort { $b <=> $a } slurp_file("$build/src/horizon.c") =~ /SF_CRASH_POINT\((\d+)\)/g;
	my $node = PostgreSQL::Test::Cluster->new('main');
	$node->init;
	$node->append_conf('postgresql.conf', qq{
		shared_preload_libraries = 'snowflake'
		dynamic_library_path = '$path'
		restart_after_crash = on
		wal_level = replica
		wal_writer_delay = '10s'
		snowflake.node_id = $node_id
		snowflake.horizon = '200ms'
		snowflake.max_wait = '5s'});
	my $clock = fake_clock($node);
	$clock->start;

	create_objects_of_build($node, $build, 'snowflake');
	$node->safe_psql('postgres', q{
		CREATE TABLE ids (client text, call int, id bigint DEFAULT snowflake_next());
		CREATE FUNCTION hand_out() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			RAISE NOTICE 'ID %', snowflake_next();
			PERFORM pg_sleep(0.001);
		END
		$$});

	my $history = SnowflakeHistory->new(layout => status($node, 'layout'), dir => $node->basedir);
	my $offset = 0;
	$history->clock_is($node_id, $offset);

	my (%calls, @lines);

	# A call of a client: the IDs that it got, none if the server died.
	my $call = sub {
		my ($client, $sql) = @_;
		my ($out, $error);
		my $begin = history_us();
		my $n = ++$calls{$client};

		$sql =~ s/:call\b/$n/g;
		$node->psql('postgres', $sql, stdout => \$out, stderr => \$error,
			extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		# Notices reach the client even if the rest does not.
		my @ids = ($error eq '' ? split(/\n/, $out) : (), $error =~ /NOTICE: .* ID (\d+)$/mg);
		push @lines, join ' ', $client, $n, $begin, history_us(), @ids;
		return ($error, @ids);
	};

	my $up = sub {
		my $log_offset = shift;

		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log_offset);
		wait_until_up($node);
		return;
	};

	my $draw = 'SELECT snowflake_next() FROM generate_series(1, 50)';
	my $insert = "INSERT INTO ids (client, call) SELECT 'rows', :call FROM generate_series(1, 50) RETURNING id";

	is($crash_points, 4, 'places to die at');
	is(($call->('early', $draw))[0], '', 'IDs of a server run before the first death');
	foreach my $point (1 .. $crash_points)
	{
		# The first call of a server run dies at the first writing; a later one
		# in the midst of its IDs, when it needs more than there is.  With the
		# clock set back by a little, IDs would lead into what was just used if
		# they did not wait; by more, they are refused.
		foreach my $case ([ 'first', 1.2 ], [ 'first', 60 ], [ 'later', 1.2 ], [ 'later', 60 ])
		{
			my ($when, $back) = @$case;

			# Only the first call has a state to raise.
			next if $point == 1 && $when eq 'later';

			my $name = "place $point, $when call, clock set back $back s";

			# A server run that has not written yet, or one that has.
			if ($when eq 'first')
			{
				my $log_offset = -s $node->logfile;
				my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
				kill_process($pid);
				$up->($log_offset);
			}
			else
			{
				my ($error) = $call->('before', $draw);
				is($error, '', "$name: IDs before") or next;
				$call->('rows', $insert);
			}

			my $log_offset = -s $node->logfile;
			my $before = $when eq 'later' ? 'FOR i IN 1..20 LOOP PERFORM hand_out(); END LOOP;' : '';
			my ($error, @dying) = $call->('dying', qq{
				DO \$\$
				DECLARE until timestamptz := clock_timestamp() + interval '5 seconds';
				BEGIN
					$before
					SET snowflake.crash_point = $point;
					WHILE clock_timestamp() < until LOOP
						PERFORM hand_out();
					END LOOP;
				END
				\$\$});
			my $died = $error =~ /server closed the connection unexpectedly|connection to server was lost/;
			ok($died, "$name: the server dies") or next;
			$history->clock_is($node_id, $offset - $back, sub { $clock->set($offset - $back) });
			cmp_ok(scalar @dying, $when eq 'first' ? '==' : '>=', $when eq 'first' ? 0 : 20, "$name: IDs until then");
			$up->($log_offset);

			# None, or later ones than all of before.
			($error) = $call->('behind', $draw);
			like($error, qr/^(?:.*ERROR:  SF004:.*)?$/s, "$name: IDs wait or are refused");
			($error) = $call->('rows', $insert);
			like($error, qr/^(?:.*ERROR:  SF004:.*)?$/s, "$name: rows as well");

			$history->clock_is($node_id, $offset, sub { $clock->set($offset) });
			($error) = $call->('after', $draw);
			is($error, '', "$name: IDs when the clock is right");
			($error) = $call->('rows', $insert);
			is($error, '', "$name: rows as well");
		}
	}

	my $copy = abs_path($node->basedir) . '/recorded';
	$node->safe_psql('postgres', qq{COPY (SELECT client, call, id FROM ids) TO '$copy' (DELIMITER ' ')});
	$history->add_calls($node_id, \@lines);
	$history->add_recorded($node_id, $copy);
	history_ok($history, 100 * 4 * $crash_points, 'IDs before and after all these deaths');
	$node->stop;
}

done_testing();
