--
-- Asking by time: what the planner makes of it.
--
-- Where the layout is that of the server, IDs in a plan are shown as N.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET max_parallel_workers_per_gather = 0;
SET enable_bitmapscan = off;
SET client_min_messages = warning;
SELECT now() AS start \gset

CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, '''-?\d+''::bigint', 'N', 'g');
	END LOOP;
END
$$;
-- Only what is compared
CREATE FUNCTION pg_temp.conditions(query text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(trim(line), '\$0|\(InitPlan \w+\)\.col1', 'SUBQUERY', 'g') FROM pg_temp.plan(query) line WHERE line ~ 'Cond:|Filter:'
$$;

-- 100,000 orders, one a minute, the last one at the start
CREATE TABLE orders (id snowflake PRIMARY KEY, n integer);
INSERT INTO orders SELECT snowflake_encode(:'start'::timestamptz - n * interval '1 minute', 0, 0), n FROM generate_series(0, 99999) n;
VACUUM ANALYZE orders;
-- and posts of Discord, one a minute in 2020
CREATE TABLE posts (id bigint PRIMARY KEY, n integer);
INSERT INTO posts SELECT snowflake_encode('2020-01-01 00:00:00+00'::timestamptz + n * interval '1 minute', 0, 0, 'discord'), n
	FROM generate_series(0, 99999) n;
VACUUM ANALYZE posts;

--
-- The primary key
--

EXPLAIN (COSTS OFF) SELECT * FROM posts WHERE snowflake_within(id, '[2020-02-01,2020-02-01 00:10)', 'discord');
SELECT id, snowflake_timestamp(id, 'discord'), n FROM posts WHERE snowflake_within(id, '[2020-02-01,2020-02-01 00:03)', 'discord');
SELECT pg_temp.plan('SELECT * FROM orders WHERE id <@@ ''[2020-02-01,2020-02-02)''');
SELECT pg_temp.plan('SELECT * FROM orders WHERE snowflake_within(id, ''[2020-02-01,2020-02-02)'')');
SELECT pg_temp.plan('SELECT * FROM orders WHERE id <@@ tstzrange(now() - interval ''10 minutes'', now())');
SELECT count(*), min(n), max(n) FROM orders WHERE id <@@ tstzrange(:'start'::timestamptz - interval '10 minutes', :'start');
SELECT pg_temp.plan('SELECT * FROM orders WHERE id <@@ ''empty''');
SELECT pg_temp.plan('SELECT id FROM orders WHERE id <@@ ''(,2020-02-02)'' ORDER BY id DESC LIMIT 10');
SELECT pg_temp.conditions('SELECT id FROM orders WHERE NOT id <@@ ''[2020-02-01,2020-02-02)''');
SELECT pg_temp.plan('SELECT o.n FROM orders o JOIN (VALUES (tstzrange(now() - interval ''1 hour'', now()))) p (period) ON o.id <@@ p.period');
CREATE TEMP TABLE periods (period tstzrange);
INSERT INTO periods SELECT tstzrange(now() - n * interval '1 hour', now() - n * interval '59 minutes') FROM generate_series(1, 10) n;
ANALYZE periods;
SELECT pg_temp.plan('SELECT o.n FROM orders o JOIN periods p ON o.id <@@ p.period');
SELECT pg_temp.plan('UPDATE orders SET n = n WHERE id <@@ tstzrange(now() - interval ''10 minutes'', now())');
SELECT pg_temp.plan('DELETE FROM orders WHERE id <@@ ''[2020-02-01,2020-02-02)''');

-- A view or a function in SQL makes no difference
CREATE TEMP VIEW recent AS SELECT * FROM orders WHERE id <@@ tstzrange(now() - interval '10 minutes', NULL);
SELECT pg_temp.plan('SELECT * FROM recent');
CREATE FUNCTION pg_temp.orders_of(period tstzrange) RETURNS SETOF orders STABLE LANGUAGE sql
	AS 'SELECT * FROM orders WHERE id <@@ period';
SELECT pg_temp.plan('SELECT * FROM pg_temp.orders_of(''[2020-02-01,2020-02-02)'')');

-- A partial index, whose condition the other one implies
CREATE INDEX posts_n ON posts (n) WHERE snowflake_within(id, '[2020-02-01,2020-03-01)', 'discord');
ANALYZE posts;
EXPLAIN (COSTS OFF) SELECT n FROM posts WHERE n = 50000 AND snowflake_within(id, '[2020-02-03,2020-02-04)', 'discord');
EXPLAIN (COSTS OFF) SELECT n FROM posts WHERE n = 50000 AND snowflake_within(id, '[2020-02-03,2020-03-04)', 'discord');
DROP INDEX posts_n;

-- Behind row-level security as well: comparisons of bigint give nothing away
CREATE ROLE regress_snowflake_reader;
CREATE FUNCTION leaky(n integer) RETURNS boolean COST 1000 LANGUAGE plpgsql AS 'BEGIN RETURN n >= 0; END';
GRANT SELECT ON orders TO regress_snowflake_reader;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON orders FOR SELECT USING (leaky(n));
SET ROLE regress_snowflake_reader;
SELECT pg_temp.plan('SELECT * FROM orders WHERE id <@@ ''[2020-02-01,2020-02-02)''');
RESET ROLE;
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
DROP POLICY readers ON orders;
REVOKE SELECT ON orders FROM regress_snowflake_reader;
DROP ROLE regress_snowflake_reader;
DROP FUNCTION leaky;

-- In another schema, which nobody looks into
CREATE SCHEMA regress_hidden;
ALTER EXTENSION snowflake SET SCHEMA regress_hidden;
SELECT pg_temp.plan('SELECT * FROM orders WHERE regress_hidden.snowflake_within(id, tstzrange(now() - interval ''10 minutes'', now()))');
SELECT pg_temp.plan('SELECT * FROM orders WHERE id OPERATOR(regress_hidden.<@@) ''[2020-02-01,2020-02-02)''');
ALTER EXTENSION snowflake SET SCHEMA public;
DROP SCHEMA regress_hidden;
-- A schema in front with things of the same names
CREATE SCHEMA regress_evil;
CREATE FUNCTION regress_evil.snowflake_first(range tstzrange) RETURNS bigint LANGUAGE sql AS 'SELECT -1::bigint';
CREATE FUNCTION regress_evil.taken(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR regress_evil.>= (FUNCTION = regress_evil.taken, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR regress_evil.<= (FUNCTION = regress_evil.taken, LEFTARG = bigint, RIGHTARG = bigint);
SET search_path = regress_evil, pg_catalog, public;
SELECT count(*) FROM public.orders WHERE id OPERATOR(public.<@@) tstzrange(now() + interval '1 day', NULL);
SELECT count(*) FROM public.orders WHERE id OPERATOR(public.<@@) '[2001-01-01,2001-01-02)';
RESET search_path;
DROP SCHEMA regress_evil CASCADE;

--
-- No rewriting where it would be wrong
--

-- nothing volatile and no subquery is evaluated twice, nor is what gives sets
SELECT pg_temp.conditions('SELECT * FROM orders WHERE id <@@ tstzrange(clock_timestamp() - interval ''10 minutes'', NULL)');
SELECT pg_temp.conditions('SELECT * FROM orders WHERE snowflake_within(id, tstzrange(clock_timestamp() - interval ''10 minutes'', NULL), ''discord'')');
SELECT pg_temp.conditions('SELECT * FROM orders WHERE id + (random() * 10)::bigint <@@ ''[2020-02-01,2020-02-02)''');
SELECT pg_temp.conditions('SELECT * FROM orders WHERE id <@@ (SELECT period FROM periods LIMIT 1)');
SELECT pg_temp.conditions('SELECT * FROM orders WHERE snowflake_within((SELECT id FROM posts LIMIT 1), tstzrange(now(), now() + n * interval ''1 day''))');
SELECT pg_temp.conditions('SELECT * FROM orders WHERE snowflake_within(id, ''[2020-02-01,2020-02-02)'', (SELECT name FROM snowflake_layouts LIMIT 1))');
EXPLAIN (VERBOSE, COSTS OFF) SELECT snowflake_within(unnest('{1541815603606036480,1}'::bigint[]), '[2022-06-28,2022-06-29)', 'twitter');
SELECT snowflake_within(unnest('{1541815603606036480,1}'::bigint[]), '[2022-06-28,2022-06-29)', 'twitter');
CREATE SEQUENCE calls;
CREATE FUNCTION pg_temp.counted(period tstzrange) RETURNS tstzrange VOLATILE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('calls');
	RETURN period;
END
$$;
SELECT count(*) FROM posts WHERE n < 10 AND snowflake_within(id, pg_temp.counted('[2020-01-01,2020-01-02)'), 'discord');
SELECT last_value AS calls FROM calls;
DROP SEQUENCE calls;

--
-- Estimates
--

CREATE FUNCTION pg_temp.estimated(query text, OUT estimate float8, OUT actual bigint) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	estimate := plan->0->'Plan'->>'Plan Rows';
	EXECUTE 'SELECT count(*) FROM (' || query || ') q' INTO actual;
END
$$;
-- from the column's statistics, as for the comparisons written by hand
SELECT what, actual, estimate BETWEEN actual * 0.9 AND actual * 1.1 AS close
	FROM (VALUES
		('constants', $$SELECT FROM posts WHERE snowflake_within(id, '[2020-01-11,2020-01-21)', 'discord')$$),
		('half', $$SELECT FROM posts WHERE snowflake_within(id, '(,2020-02-04 17:20)', 'discord')$$),
		('all', $$SELECT FROM posts WHERE snowflake_within(id, '[2020-01-01,)', 'discord')$$),
		('none', $$SELECT FROM posts WHERE snowflake_within(id, 'empty', 'discord')$$),
		('before the epoch', $$SELECT FROM posts WHERE snowflake_within(id, '(,2010-01-01)', 'discord')$$),
		('later', $$SELECT FROM posts WHERE snowflake_within(id, '[2021-01-01,)', 'discord')$$),
		('layout of the server', $$SELECT FROM orders WHERE id <@@ tstzrange(now() - interval '20001 minutes', now() - interval '10001 minutes')$$)
	) v (what, query), LATERAL (SELECT actual, CASE WHEN actual = 0 THEN estimate - 1 ELSE estimate END AS estimate FROM pg_temp.estimated(query)) e;
SELECT bool_and(w.estimate = h.estimate) AS same_as_by_hand
	FROM (VALUES ('2020-01-11', '2020-01-21'), ('2020-01-01', '2020-01-01 00:10'), ('2020-02-28', '2020-03-10'), ('2019-01-01', '2020-03-10')) v (a, b),
		pg_temp.estimated(format('SELECT FROM posts WHERE snowflake_within(id, ''[%s,%s)'', ''discord'')', a, b)) w,
		pg_temp.estimated(format('SELECT FROM posts WHERE id >= snowflake_lower(%L, ''discord'') AND id <= snowflake_lower(%L, ''discord'') - 1', a, b)) h;
-- by the estimators of the operator where there is no rewriting
SELECT oprrest, oprjoin FROM pg_operator WHERE oprname = '<@@';
SELECT estimate BETWEEN 1 AND 1000 AS few FROM pg_temp.estimated('SELECT FROM orders WHERE id <@@ (SELECT period FROM periods LIMIT 1)');

--
-- Partitions
--

-- of a month each; posts of 2020
CREATE TABLE monthly (id bigint PRIMARY KEY, n integer) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE monthly_%s PARTITION OF monthly %s', to_char(lower_time, 'MM'), bounds)
	FROM snowflake_partition_bounds('2020-01-01', '2020-07-01', '1 month', 'discord') \gexec
INSERT INTO monthly SELECT id, n FROM posts WHERE id < snowflake_lower('2020-03-05', 'discord');
VACUUM ANALYZE monthly;
EXPLAIN (COSTS OFF) SELECT n FROM monthly WHERE snowflake_within(id, '[2020-02-29 12:00,2020-03-01 12:00)', 'discord');
EXPLAIN (COSTS OFF) SELECT n FROM monthly WHERE snowflake_within(id, '[2020-02-01,2020-02-02)', 'discord');
EXPLAIN (COSTS OFF) SELECT n FROM monthly WHERE snowflake_within(id, '[2020-01-31,2020-02-01)', 'discord');
SELECT pg_temp.conditions($$SELECT n FROM monthly WHERE snowflake_within(id, '[2020-08-01,2020-09-01)', 'discord')$$);
SELECT pg_temp.conditions($$SELECT n FROM monthly WHERE snowflake_within(id, 'empty', 'discord')$$);

-- of a day each, in the layout of the server; the fourth is that of now
CREATE TABLE daily (id snowflake PRIMARY KEY, n integer) PARTITION BY RANGE (id);
CREATE TEMP TABLE days AS
	SELECT day, lower_time, upper_time, bounds
	FROM snowflake_partition_bounds(:'start'::timestamptz - interval '3 days 12 hours', :'start'::timestamptz + interval '1 day 12 hours', '1 day')
		WITH ORDINALITY b (lower_time, upper_time, lower_id, upper_id, bounds, day);
DO $$
DECLARE
	create_partition text;
BEGIN
	FOR create_partition IN SELECT format('CREATE TABLE daily_%s PARTITION OF daily %s', day, bounds) FROM days LOOP
		EXECUTE create_partition;
	END LOOP;
END
$$;
INSERT INTO daily SELECT snowflake_encode(:'start'::timestamptz - n * interval '1 minute', 0, 0), n FROM generate_series(0, 4999) n;
INSERT INTO daily (n) VALUES (-1);
ANALYZE daily;
SET enable_seqscan = off;
SELECT tableoid::regclass AS partition, count(*) > 600 AS rows FROM daily GROUP BY 1 ORDER BY 1;
-- while planning
SELECT tstzrange(lower_time, upper_time) AS day FROM days WHERE day = 2 \gset
SELECT pg_temp.plan(format('SELECT n FROM daily WHERE id <@@ %L', :'day'));
-- when the statement begins
SELECT pg_temp.plan('SELECT n FROM daily WHERE id <@@ tstzrange(now() - interval ''1 hour'', now())');
SELECT count(*) BETWEEN 30 AND 62 AS of_an_hour FROM daily WHERE id <@@ tstzrange(now() - interval '1 hour', now());
-- for the parameters of a prepared statement, known or not
PREPARE on_day AS SELECT n FROM daily WHERE id <@@ $1;
SET plan_cache_mode = force_custom_plan;
SELECT pg_temp.plan(format('EXECUTE on_day (%L)', :'day'));
SET plan_cache_mode = force_generic_plan;
SELECT pg_temp.plan(format('EXECUTE on_day (%L)', :'day'));
SELECT pg_temp.plan('EXECUTE on_day (''empty'')');
SELECT pg_temp.plan('EXECUTE on_day (NULL)');
RESET plan_cache_mode;
DEALLOCATE on_day;
RESET enable_seqscan;

-- By a constraint, which is to name its layout, where there are no partitions
CREATE TABLE old_posts (CHECK (snowflake_within(id, '[2019-01-01,2020-01-01)', 'discord'))) INHERITS (posts);
EXPLAIN (COSTS OFF) SELECT n FROM posts WHERE snowflake_within(id, '[2020-02-01,2020-02-02)', 'discord');
EXPLAIN (COSTS OFF) SELECT n FROM posts WHERE snowflake_within(id, '[2019-12-31,2020-01-02)', 'discord');
DROP TABLE old_posts;

--
-- BRIN
--

SET enable_bitmapscan = on;
CREATE TABLE events (id bigint, n integer);
INSERT INTO events SELECT id, n FROM posts ORDER BY id;
CREATE INDEX events_id ON events USING brin (id) WITH (pages_per_range = 8);
VACUUM ANALYZE events;
EXPLAIN (COSTS OFF) SELECT n FROM events WHERE snowflake_within(id, '[2020-02-01,2020-02-01 01:00)', 'discord');
SELECT count(*), min(n), max(n) FROM events WHERE snowflake_within(id, '[2020-02-01,2020-02-01 01:00)', 'discord');

DROP TABLE orders, posts, monthly, daily, events CASCADE;
