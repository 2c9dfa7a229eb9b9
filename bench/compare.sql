-- What the comparison measures with, on each server that inserts rows.
-- Variables: expression, a new ID; column, the definition of a key; lowest,
-- the smallest key of a time as a format() of that time, or nothing where keys
-- do not tell one.
--
-- Procedures, since they commit, leave rows (what, value) in bench.result.

\set ON_ERROR_STOP on

CREATE SCHEMA bench;

CREATE TABLE bench.way AS
	SELECT :'expression' AS expression, :'column' AS "column", nullif(:'lowest', '') AS lowest;

CREATE UNLOGGED TABLE bench.result (what text, value float8);

SELECT format('CREATE UNLOGGED TABLE drawn (id %s, at timestamptz NOT NULL)',
			  format_type(pg_typeof, NULL))
  FROM (SELECT pg_typeof(nullif(:expression, :expression))) t \gexec

--
-- Many rows in one statement
--

CREATE PROCEDURE bench.load(row_count integer)
LANGUAGE plpgsql AS $$
DECLARE
	begun timestamptz;
	wal pg_lsn;
	elapsed float8;
	written float8;
BEGIN
	DROP TABLE IF EXISTS loaded;
	EXECUTE format('CREATE TABLE loaded (id %s, n integer NOT NULL)', (SELECT "column" FROM bench.way));
	COMMIT;

	begun := clock_timestamp();
	wal := pg_current_wal_insert_lsn();
	EXECUTE 'INSERT INTO loaded (n) SELECT generate_series(1, $1)' USING row_count;
	COMMIT;
	elapsed := extract(epoch FROM clock_timestamp() - begun);
	written := pg_current_wal_insert_lsn() - wal;

	TRUNCATE bench.result;
	INSERT INTO bench.result VALUES
		('load time', elapsed / row_count * 1e9),
		('load wal', written / row_count),
		('load table', pg_relation_size('loaded') / row_count::float8),
		('load key', pg_relation_size('loaded_pkey') / row_count::float8);
END
$$;

--
-- Looking rows up
--

-- Keys to look for, in random order.
CREATE PROCEDURE bench.choose_keys(key_count integer)
LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS bench.key;
	EXECUTE format('CREATE TABLE bench.key AS
		SELECT (row_number() OVER (ORDER BY random()))::integer AS nr, id
		  FROM (SELECT id FROM loaded TABLESAMPLE BERNOULLI (%s)) s ORDER BY nr LIMIT %s',
		(SELECT least(100, key_count * 200.0 / greatest(reltuples, 1)) FROM pg_class WHERE oid = 'loaded'::regclass),
		key_count);
	ALTER TABLE bench.key ADD PRIMARY KEY (nr);
	COMMIT;
	ANALYZE bench.key;
END
$$;

-- Nanoseconds per lookup of that many keys, one after another.
CREATE FUNCTION bench.lookups(label text, key_count integer) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_memoize = off
SET enable_bitmapscan = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
	query text := format('SELECT count(t.n) FROM bench.key k JOIN loaded t USING (id) WHERE k.nr <= %s', key_count);
	plan text := '';
	line text;
	found bigint;
	begun timestamptz;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		plan := plan || line || E'\n';
	END LOOP;
	IF plan !~ 'Nested Loop.*\n.* bench\.?key|Nested Loop.*\n.* on key k' OR plan !~ 'Index Scan using loaded_pkey' THEN
		RAISE EXCEPTION E'not a plan of lookups:\n%', plan;
	END IF;
	PERFORM count(*) FROM bench.key;
	begun := clock_timestamp();
	EXECUTE query INTO found;
	value := extract(epoch FROM clock_timestamp() - begun) / key_count * 1e9;
	IF found <> key_count THEN
		RAISE EXCEPTION '% of % keys were found', found, key_count;
	END IF;
	what := label;
	RETURN NEXT;
END
$$;

--
-- Asking by time
--

-- Rows for it, in a hundred transactions.  Where the key does not tell the
-- time, they have a column for it, with an index.
CREATE PROCEDURE bench.load_times(row_count integer)
LANGUAGE plpgsql AS $$
DECLARE
	way bench.way;
	begun timestamptz;
BEGIN
	SELECT * INTO way FROM bench.way;
	DROP TABLE IF EXISTS timed;
	IF way.lowest IS NOT NULL THEN
		EXECUTE format('CREATE TABLE timed (id %s, n integer NOT NULL)', way."column");
	ELSE
		EXECUTE format('CREATE TABLE timed (id %s, n integer NOT NULL,
						created_at timestamptz NOT NULL DEFAULT clock_timestamp())', way."column");
		CREATE INDEX timed_created_at ON timed (created_at);
	END IF;
	COMMIT;

	begun := clock_timestamp();
	FOR part IN 1 .. 100 LOOP
		EXECUTE 'INSERT INTO timed (n) SELECT generate_series(1, $1)' USING row_count / 100;
		COMMIT;
	END LOOP;

	TRUNCATE bench.result;
	INSERT INTO bench.result VALUES
		('timed load time', extract(epoch FROM clock_timestamp() - begun) / row_count * 1e9),
		('timed size', pg_total_relation_size('timed') / row_count::float8),
		('timed indexes', pg_indexes_size('timed') / row_count::float8);

	DROP TABLE IF EXISTS bench.times;
	CREATE TABLE bench.times AS SELECT begun, clock_timestamp() AS ended;
END
$$;

-- Nanoseconds per row found of asking for a hundredth of the time, which
-- begins at another place each time.
CREATE FUNCTION bench.ranges(range_count integer) RETURNS TABLE (what text, value float8)
LANGUAGE plpgsql
SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
	way bench.way;
	query text;
	plan text := '';
	line text;
	first timestamptz;
	last timestamptz;
	length interval;
	begun timestamptz;
	found bigint;
	all_found bigint := 0;
	elapsed float8 := 0;
BEGIN
	SELECT * INTO way FROM bench.way;
	FOR i IN 1 .. range_count LOOP
		SELECT date_trunc('milliseconds', t.begun + (t.ended - t.begun) * (0.1 + 0.8 * i / range_count)),
			   (t.ended - t.begun) / 100
		  INTO first, length FROM bench.times t;
		last := date_trunc('milliseconds', first + length);
		query := format('SELECT count(n) FROM timed WHERE %1$s >= %2$s AND %1$s < %3$s',
						CASE WHEN way.lowest IS NULL THEN 'created_at' ELSE 'id' END,
						format(coalesce(way.lowest, '%L::timestamptz'), first),
						format(coalesce(way.lowest, '%L::timestamptz'), last));
		IF i = 1 THEN
			FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
				plan := plan || line || E'\n';
			END LOOP;
			IF plan !~ 'Index' THEN
				RAISE EXCEPTION E'not a plan that uses an index:\n%', plan;
			END IF;
			EXECUTE query;
		END IF;
		begun := clock_timestamp();
		EXECUTE query INTO found;
		elapsed := elapsed + extract(epoch FROM clock_timestamp() - begun);
		all_found := all_found + found;
	END LOOP;
	IF all_found = 0 THEN
		RAISE EXCEPTION 'no row was found in % ranges', range_count;
	END IF;
	RETURN QUERY VALUES ('range', elapsed / all_found * 1e9);
END
$$;
