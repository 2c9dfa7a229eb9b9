-- What asking by time is measured with, beside setup.sql.  Variable: module, as
-- there.

\set ON_ERROR_STOP on

-- One row every 1.728 seconds: five million in a hundred days.
CREATE TABLE bench.orders (id snowflake PRIMARY KEY, item integer);
CREATE FUNCTION bench.make_orders(rows integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO bench.orders
		SELECT snowflake_encode(now() - n * interval '1.728 s', 0, 0), n FROM generate_series(rows, 1, -1) n;
$$;

-- The same cost of a call as an ID has that is given to a function.
CREATE FUNCTION bench.constant(id bigint) RETURNS bigint
AS :'module', 'bench_constant' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

-- Microseconds per query for that many rows from some time on, by the operator
-- and by the comparison that one would write by hand, from the text of the
-- query to its result.
CREATE FUNCTION bench.ranges(label text, width integer, queries integer) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	first_time timestamptz := (SELECT snowflake_timestamp(min(id)) FROM bench.orders);
	total bigint := (SELECT count(*) FROM bench.orders);
	from_time timestamptz;
	to_time timestamptz;
	query text[];
	which integer;
	counted bigint;
	begun float8;
	seconds float8[] := '{0,0}';
BEGIN
	FOR i IN 1 .. queries LOOP
		from_time := first_time + floor(random() * (total - width)) * interval '1.728 s';
		to_time := from_time + width * interval '1.728 s';
		query := ARRAY[
			format('SELECT count(item) FROM bench.orders WHERE id <@@ %L', tstzrange(from_time, to_time)),
			format('SELECT count(item) FROM bench.orders WHERE id >= %s AND id < %s', snowflake_lower(from_time), snowflake_lower(to_time))];
		-- Either comes first as often, since the second one finds the pages near.
		FOR n IN 1 .. 2 LOOP
			which := (i + n) % 2 + 1;
			begun := bench.cpu_seconds();
			EXECUTE query[which] INTO counted;
			seconds[which] := seconds[which] + bench.cpu_seconds() - begun;
			IF counted NOT BETWEEN width - 1 AND width + 1 THEN
				RAISE EXCEPTION '% rows instead of %: %', counted, width, query[which];
			END IF;
		END LOOP;
	END LOOP;
	RETURN QUERY VALUES
		('range ' || label, seconds[1] / queries * 1e6),
		('by hand ' || label, seconds[2] / queries * 1e6);
END
$$;

-- Nanoseconds per row of each expression over all rows.
CREATE FUNCTION bench.expressions() RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	total bigint := (SELECT count(*) FROM bench.orders);
	e record;
	begun float8;
BEGIN
	PERFORM count(id) FROM bench.orders;
	FOR e IN SELECT * FROM (VALUES
			('nothing', 'id'),
			('constant of ID', 'bench.constant(id)'),
			('snowflake_timestamp', 'snowflake_timestamp(id)'),
			('to_timestamp', 'to_timestamp(((id >> 22) + 1288834974657) / 1000.0)')) v (what, expression)
		ORDER BY random()
	LOOP
		begun := bench.cpu_seconds();
		EXECUTE format('SELECT count(%s) FROM bench.orders', e.expression);
		what := e.what;
		value := (bench.cpu_seconds() - begun) / total * 1e9;
		RETURN NEXT;
	END LOOP;
END
$$;

-- A table that tells the time of its rows by their ID, and one that has a
-- column and an index for it; filled in statements of 10,000 rows.
CREATE FUNCTION bench.storage(rows bigint) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql AS $$
DECLARE
	t record;
	begun timestamptz;
BEGIN
	FOR t IN SELECT * FROM (VALUES
			('by ID', 'CREATE TABLE bench.filled (id snowflake PRIMARY KEY, item integer)'),
			('by column', 'CREATE TABLE bench.filled (id snowflake PRIMARY KEY, item integer, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
				CREATE INDEX ON bench.filled (created_at)')) v (name, statements)
		ORDER BY random()
	LOOP
		EXECUTE t.statements;
		begun := clock_timestamp();
		FOR i IN 1 .. rows / 10000 LOOP
			EXECUTE 'INSERT INTO bench.filled (item) SELECT generate_series(1, 10000)';
		END LOOP;
		RETURN QUERY VALUES
			('filled ' || t.name, extract(epoch FROM clock_timestamp() - begun)::float8),
			('size ' || t.name, pg_total_relation_size('bench.filled') / 1e6::float8);
		DROP TABLE bench.filled;
	END LOOP;
END
$$;
