-- What the quick benchmark measures with.  Variable: module, the path of the
-- compiled bench.c without its suffix.
--
-- Each measuring function returns rows (what, value), which run.sh collects.

\set ON_ERROR_STOP on

CREATE EXTENSION snowflake;
CREATE SCHEMA bench;

--
-- The ways to make an ID, and what they are compared with
--

-- VOLATILE, so that it is called for every row.
CREATE FUNCTION bench.constant() RETURNS bigint
AS :'module', 'bench_constant' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

CREATE FUNCTION bench.cpu_seconds() RETURNS float8
AS :'module', 'bench_cpu_seconds' LANGUAGE C VOLATILE STRICT;

CREATE SEQUENCE bench.cache_1;
CREATE SEQUENCE bench.cache_1000 CACHE 1000;
\set number 5
\ir ways/instagram.sql

CREATE TABLE bench.call (
	what text,
	query text,					-- %s stands for the number of calls
	calls integer				-- fewer of the dear ones
);
INSERT INTO bench.call VALUES
	('constant', 'SELECT count(bench.constant()) FROM generate_series(1, %s)', 2000000),
	('clock_timestamp', 'SELECT count(clock_timestamp()) FROM generate_series(1, %s)', 2000000),
	('snowflake_next', 'SELECT count(snowflake_next()) FROM generate_series(1, %s)', 2000000),
	('snowflake_next_batch', 'SELECT count(*) FROM (SELECT snowflake_next_batch(%s)) s', 2000000),
	('nextval, CACHE 1', 'SELECT count(nextval(''bench.cache_1'')) FROM generate_series(1, %s)', 2000000),
	('nextval, CACHE 1000', 'SELECT count(nextval(''bench.cache_1000'')) FROM generate_series(1, %s)', 2000000),
	('gen_random_uuid', 'SELECT count(gen_random_uuid()) FROM generate_series(1, %s)', 1000000),
	('Instagram PL/pgSQL', 'SELECT count(instagram_id()) FROM generate_series(1, %s)', 200000);

-- Nanoseconds per call of each, in an order that is another one each time.
-- None of them ever waits, so what they cost is the time of the processor;
-- other processes that come between do not count.
CREATE FUNCTION bench.calls(part float8) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	c bench.call;
	n integer;
	begun float8;
BEGIN
	FOR c IN SELECT * FROM bench.call ORDER BY random() LOOP
		what := c.what;
		n := c.calls * part;
		begun := bench.cpu_seconds();
		EXECUTE format(c.query, n);
		value := (bench.cpu_seconds() - begun) / n * 1e9;
		RETURN NEXT;
	END LOOP;
END
$$;

-- Nanoseconds per ID of this server.
CREATE FUNCTION bench.draws(label text) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	n constant integer := 2000000;
	begun float8 := bench.cpu_seconds();
BEGIN
	PERFORM count(snowflake_next()) FROM generate_series(1, n);
	RETURN QUERY VALUES (label, (bench.cpu_seconds() - begun) / n * 1e9);
END
$$;

--
-- A burst
--

-- Draws chunks * 100,000 IDs.  Gives the nanoseconds per ID of the first
-- 30 chunks, and the furthest that the last ID's time was ahead of the clock
-- after any chunk, in milliseconds.
CREATE FUNCTION bench.burst(label text, chunks integer) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	per_chunk constant integer := 100000;
	timed constant integer := 30;
	begun timestamptz;
	elapsed float8 := 0;
	ahead float8;
	furthest float8 := '-infinity';
BEGIN
	-- What an earlier burst took ahead must have become past.
	WHILE (SELECT clock_ahead < '0' FROM snowflake_status) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	FOR i IN 1 .. chunks LOOP
		begun := clock_timestamp();
		PERFORM count(snowflake_next()) FROM generate_series(1, per_chunk);
		IF i <= timed THEN
			elapsed := elapsed + extract(epoch FROM clock_timestamp() - begun);
		END IF;
		SELECT extract(epoch FROM -clock_ahead) * 1000 INTO ahead FROM snowflake_status;
		furthest := greatest(furthest, ahead);
	END LOOP;
	RETURN QUERY VALUES
		('burst ' || label, elapsed / (timed * per_chunk) * 1e9),
		('ahead ' || label, furthest);
END
$$;

--
-- How much of a layout's capacity is reached
--

-- User and system time of these processes, in seconds.
CREATE FUNCTION bench.cpu_seconds_of(pids integer[]) RETURNS float8
LANGUAGE sql VOLATILE AS $$
	-- Behind the command's name, which may have blanks, come the fields 3 and on.
	SELECT sum(f[12]::float8 + f[13]::float8) / 100
	  FROM unnest(pids) pid,
		   regexp_split_to_array(regexp_replace(pg_read_file('/proc/' || pid || '/stat'), '^.*\) ', ''), ' ') f
$$;

-- IDs made so far, and when that was.  Both must be of the same moment, so a
-- reading that was interrupted is taken again.
CREATE FUNCTION bench.issued(OUT at timestamptz, OUT ids bigint)
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		at := clock_timestamp();
		SELECT ids_issued INTO ids FROM snowflake_status;
		EXIT WHEN clock_timestamp() - at < '0.5 ms';
	END LOOP;
END
$$;

-- Watches that many clients of pgbench at work, then ends them.  Gives the
-- share of the capacity (IDs per second) that they get, in percent, and the
-- cores that they keep busy.
CREATE FUNCTION bench.saturation(clients integer, seconds float8, capacity float8)
RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + '30 s';
	pids integer[];
	cpu_begun timestamptz;
	cpu_ended timestamptz;
	cpu float8;
	a record;
	b record;
BEGIN
	LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT array_agg(pid) INTO pids FROM pg_stat_activity
		 WHERE application_name = 'pgbench' AND state = 'active';
		EXIT WHEN cardinality(pids) = clients;
		IF clock_timestamp() > deadline THEN
			RAISE EXCEPTION '% of % clients are at work', coalesce(cardinality(pids), 0), clients;
		END IF;
		PERFORM pg_sleep(0.02);
	END LOOP;
	PERFORM pg_sleep(0.2);

	cpu_begun := clock_timestamp();
	cpu := bench.cpu_seconds_of(pids);
	a := bench.issued();
	PERFORM pg_sleep(seconds);
	b := bench.issued();
	cpu_ended := clock_timestamp();
	cpu := bench.cpu_seconds_of(pids) - cpu;

	PERFORM pg_terminate_backend(pid, 10000) FROM unnest(pids) pid;
	RETURN QUERY VALUES
		('share ' || clients, (b.ids - a.ids) / extract(epoch FROM b.at - a.at) / capacity * 100),
		('cores ' || clients, cpu / extract(epoch FROM cpu_ended - cpu_begun));
END
$$;
