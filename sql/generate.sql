--
-- Making IDs: everything that draws one gets one of its own, and later ones
-- are greater.
--
SELECT layout, substring(layout FROM 'sequence:(\d+)')::integer AS sequence_bits FROM snowflake_status \gset

-- One at a time
SELECT snowflake_next() AS first \gset
SELECT snowflake_next() AS second \gset
SELECT :first > 0 AS positive, :second > :first AS rising;
SELECT snowflake_timestamp(snowflake_next()) BETWEEN clock_timestamp() - interval '1 minute'
	AND clock_timestamp() + current_setting('snowflake.max_lead')::interval AS now;
SELECT snowflake_node(snowflake_next()) = node_id AS node FROM snowflake_status;

-- Many in one statement, a new one for each row and each mention
CREATE TEMP TABLE drawn AS SELECT i, snowflake_next() AS id FROM generate_series(1, 20000) i;
SELECT count(*), count(DISTINCT id) AS distinct, bool_and(id > before) AS rising, min(id) > :second AS later
	FROM (SELECT id, lag(id) OVER (ORDER BY i) AS before FROM drawn) d;
SELECT snowflake_next() <> snowflake_next() AS distinct;
SELECT count(DISTINCT id) AS drawn_once FROM (SELECT snowflake_next() AS id OFFSET 0) d, generate_series(1, 3);
WITH once AS (SELECT snowflake_next() AS id) SELECT a.id = b.id AS drawn_once FROM once a, once b;

-- Batches
SELECT count(*) AS one, min(id) > max(d.last) AS later
	FROM snowflake_next_batch(1) id, (SELECT max(id) AS last FROM drawn) d;
-- more than three ticks have, at most a million
SELECT least(3 * 2 ^ :sequence_bits + 1, 1000000)::integer AS batch \gset
CREATE TEMP TABLE batch AS
	SELECT i, id FROM snowflake_next_batch(:batch) WITH ORDINALITY b (id, i);
SELECT count(*) = :batch AS all, count(DISTINCT id) = :batch AS distinct, bool_and(id > before) AS rising,
	bool_and(snowflake_node(id) = node_id) AS node,
	count(DISTINCT snowflake_timestamp(id)) > 1 OR :batch < 2 ^ :sequence_bits AS several_ticks
	FROM (SELECT id, lag(id) OVER (ORDER BY i) AS before FROM batch) d, (SELECT node_id FROM snowflake_status) s;
-- In the target list the rows are made as they are fetched
SELECT count(DISTINCT id) AS distinct FROM (SELECT snowflake_next_batch(2147483647) AS id LIMIT 3) b;
-- and a batch for each row
SELECT count(*), count(DISTINCT id) AS distinct FROM (SELECT i, snowflake_next_batch(i) AS id FROM generate_series(1, 4) i) b;
SELECT count(*) AS null_count FROM snowflake_next_batch(NULL);

BEGIN;
CREATE TEMP TABLE fetched (n serial, id bigint);
CREATE FUNCTION pg_temp.fetch(c refcursor, count integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	FOR i IN 1..count LOOP
		FETCH c INTO id;
		INSERT INTO fetched (id) VALUES (id);
	END LOOP;
END
$$;
DECLARE a CURSOR FOR SELECT snowflake_next_batch(30000);
DECLARE b CURSOR FOR SELECT snowflake_next_batch(30000);
SELECT pg_temp.fetch('a', 5), pg_temp.fetch('b', 5);
SELECT snowflake_next() > max(id) AS later FROM fetched WHERE n <= 5;
SELECT pg_temp.fetch('a', 5), pg_temp.fetch('b', 5);
CLOSE a;
CLOSE b;
SELECT count(DISTINCT id) AS distinct FROM fetched;
SELECT bool_and(id > before) AS rising
	FROM (SELECT id, lag(id) OVER (PARTITION BY (n - 1) / 5 % 2 ORDER BY n) AS before FROM fetched) f;
COMMIT;

-- A table
CREATE TABLE orders (id snowflake PRIMARY KEY, item text UNIQUE, n integer);
INSERT INTO orders (item) VALUES ('tea'), ('coffee');
INSERT INTO orders VALUES (DEFAULT, 'cocoa');
INSERT INTO orders DEFAULT VALUES;
INSERT INTO orders (item) SELECT 'item ' || i FROM generate_series(1, 1000) i;
COPY orders (item) FROM stdin;
milk
water
juice
\.
SELECT count(*), count(DISTINCT id) AS distinct, min(id) > :second AS later,
	bool_and(snowflake_timestamp(id) > clock_timestamp() - interval '1 minute') AS now
	FROM orders;
SELECT max(id) AS last FROM orders \gset

INSERT INTO orders (item) VALUES ('beer') RETURNING id > :last AS later, pg_typeof(id);
INSERT INTO orders (id, item) VALUES (7, 'seven') RETURNING id;
INSERT INTO orders (item) VALUES ('tea'), ('wine') ON CONFLICT DO NOTHING RETURNING item, id > :last AS later;
INSERT INTO orders (item, n) VALUES ('tea', 1), ('rum', 1) ON CONFLICT (item) DO UPDATE SET n = excluded.n
	RETURNING item, n, id > :last AS later;
INSERT INTO orders (item) VALUES ('tea') ON CONFLICT (item) DO UPDATE SET id = excluded.id RETURNING item, id > :last AS later;
UPDATE orders SET id = DEFAULT WHERE item IN ('milk', 'water') RETURNING item, id > :last AS later;
MERGE INTO orders o USING (VALUES ('milk'), ('gin'), ('mead')) v (item) ON o.item = v.item
	WHEN MATCHED THEN UPDATE SET n = 2
	WHEN NOT MATCHED THEN INSERT (item) VALUES (v.item);
SELECT item, n, id > :last AS later FROM orders WHERE item IN ('milk', 'gin', 'mead') ORDER BY item;
INSERT INTO orders (id) VALUES (NULL);

-- To a client the column is an int8
SELECT id, item FROM orders \gdesc

-- The column of a table that has rows already
CREATE TABLE old AS SELECT i FROM generate_series(1, 5000) i;
ALTER TABLE old ADD id snowflake PRIMARY KEY, ADD other bigint DEFAULT snowflake_next();
SELECT count(DISTINCT id) AS distinct, count(DISTINCT other) AS distinct_other,
	count(*) FILTER (WHERE id = other) AS same FROM old;

-- Tables and types made from others
CREATE TABLE heirs (more text) INHERITS (orders);
CREATE TABLE likes (LIKE orders);
CREATE DOMAIN order_id AS snowflake;
CREATE TABLE special (id order_id PRIMARY KEY, order_id bigint REFERENCES orders);
CREATE TEMP TABLE temps (id snowflake);
INSERT INTO heirs (more) VALUES ('a');
INSERT INTO likes DEFAULT VALUES;
INSERT INTO special (order_id) SELECT id FROM orders WHERE item = 'tea';
INSERT INTO temps DEFAULT VALUES;
SELECT count(DISTINCT id) AS distinct, min(id) > :last AS later
	FROM (SELECT id FROM heirs UNION ALL SELECT id FROM likes UNION ALL SELECT id FROM special
		  UNION ALL SELECT id FROM temps) t;

-- Partitions by time
CREATE TABLE events (id snowflake PRIMARY KEY, n integer) PARTITION BY RANGE (id);
CREATE TABLE events_now PARTITION OF events
	FOR VALUES FROM (snowflake_lower(now() - interval '1 hour')) TO (snowflake_lower(now() + interval '2 days'));
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events (n) SELECT generate_series(1, 1000);
INSERT INTO events VALUES (1, 0);
SELECT tableoid::regclass AS partition, count(*), count(DISTINCT id) AS distinct FROM events GROUP BY 1 ORDER BY 1;

-- Prepared statements, with plans of both kinds
PREPARE add_order (integer) AS INSERT INTO orders (n) VALUES ($1) RETURNING id > :last AS later;
PREPARE draw AS SELECT snowflake_next() AS id;
SET plan_cache_mode = force_custom_plan;
EXECUTE add_order (3);
EXECUTE draw \gset a_
EXECUTE draw \gset b_
SET plan_cache_mode = force_generic_plan;
EXECUTE add_order (3);
EXECUTE add_order (3);
EXECUTE draw \gset c_
EXECUTE draw \gset d_
RESET plan_cache_mode;
SELECT :a_id < :b_id AND :b_id < :c_id AND :c_id < :d_id AS rising;
SELECT count(DISTINCT id) AS distinct FROM orders WHERE n = 3;

-- A session that is wiped for its next user goes on
DISCARD ALL;
SELECT snowflake_next() > :d_id AS later;
INSERT INTO orders (n) VALUES (4) RETURNING id > :d_id AS later;

-- PL/pgSQL and triggers
CREATE FUNCTION add_orders(many integer) RETURNS TABLE (id bigint) LANGUAGE plpgsql AS $$
DECLARE
	drawn bigint := snowflake_next();
BEGIN
	FOR i IN 1..many LOOP
		INSERT INTO orders (n) VALUES (5) RETURNING orders.id INTO id;
		IF id <= drawn THEN
			RAISE 'not rising';
		END IF;
		drawn := snowflake_next();
		IF drawn <= id THEN
			RAISE 'not rising';
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT count(DISTINCT id) AS distinct FROM add_orders(100) id;
DROP FUNCTION add_orders;

CREATE TABLE audit (id snowflake PRIMARY KEY, order_id bigint);
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO audit (order_id) VALUES (NEW.id);
	RETURN NEW;
END
$$;
CREATE TRIGGER before_insert BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION write_audit();
CREATE TRIGGER after_insert AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION write_audit();
INSERT INTO orders (n) SELECT 6 FROM generate_series(1, 100);
SELECT count(*), count(DISTINCT a.id) AS distinct, bool_and(a.id > a.order_id) AS later,
	count(*) FILTER (WHERE o.id IS NULL) AS unknown
	FROM audit a LEFT JOIN orders o ON o.id = a.order_id;
DROP TRIGGER before_insert ON orders;
DROP TRIGGER after_insert ON orders;

-- A transaction that only reads may draw IDs, as it may not with a sequence,
-- even the first ones of its session
\c -
BEGIN READ ONLY;
SELECT snowflake_next() AS a, snowflake_next() AS b \gset
SELECT count(*) FROM snowflake_next_batch(10);
COMMIT;
SELECT :a < :b AS rising;

-- What was drawn stays drawn
BEGIN;
SELECT snowflake_next() AS a \gset
SAVEPOINT s;
SELECT snowflake_next() AS b \gset
ROLLBACK TO s;
SELECT snowflake_next() AS c \gset
ROLLBACK;
SELECT snowflake_next() AS d \gset
SELECT :a < :b AND :b < :c AND :c < :d AS rising;
INSERT INTO orders (item) VALUES ('tea');
SELECT snowflake_next() > :d AS later;
DO $$
DECLARE
	before bigint;
	after bigint;
BEGIN
	BEGIN
		before := snowflake_next();
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	after := snowflake_next();
	IF after <= before THEN
		RAISE 'an ID came back';
	END IF;
END
$$;

-- Parallel workers
CREATE TABLE big AS SELECT i FROM generate_series(1, 20000) i;
ANALYZE big;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT snowflake_next() FROM big;
EXPLAIN (COSTS OFF) SELECT count(snowflake_next()) FROM big;
SELECT snowflake_next() AS a \gset
CREATE TABLE parallel AS SELECT snowflake_next() AS id FROM big;
SELECT count(snowflake_next()) FROM big;
SELECT count(DISTINCT id) AS distinct, min(id) > :a AS later, snowflake_next() > max(id) AS before,
	count(DISTINCT snowflake_node(id)) AS nodes
	FROM parallel;
EXPLAIN (COSTS OFF) SELECT count(snowflake_node(id)), count(snowflake_decode(id, 'leaf')) FROM parallel;
SELECT count(snowflake_node(id)), count(snowflake_decode(id, 'leaf')) FROM parallel;
COMMIT;

-- The counter of IDs rises by as many as were drawn.  Others may draw some
-- meanwhile, but hardly in each of a hundred moments.
CREATE FUNCTION issued(statement text, expected bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	rise bigint;
BEGIN
	FOR i IN 1..100 LOOP
		SELECT ids_issued INTO before FROM snowflake_status;
		EXECUTE statement;
		SELECT ids_issued - before INTO rise FROM snowflake_status;
		IF rise < expected THEN
			RETURN format('%s, fewer than %s', rise, expected);
		ELSIF rise = expected THEN
			RETURN rise;
		END IF;
	END LOOP;
	RETURN format('always more than %s, at last %s', expected, rise);
END
$$;
SELECT statement, issued(statement, expected)
	FROM (VALUES ('SELECT 1', 0),
		('SELECT snowflake_next()', 1),
		('SELECT snowflake_next() FROM generate_series(1, 1000)', 1000),
		('SELECT snowflake_next_batch(1)', 1),
		('SELECT count(*) FROM snowflake_next_batch(10000)', 10000),
		('INSERT INTO events (n) VALUES (1), (2), (3)', 3),
		('SELECT snowflake_decode(1), snowflake_lower(snowflake_timestamp(1))', 0),
		('SELECT snowflake_node(snowflake_next())', 1)) v (statement, expected);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT ids_issued AS before FROM snowflake_status \gset
SELECT count(snowflake_next()) FROM big;
SELECT ids_issued - :before >= 20000 AS issued_by_workers FROM snowflake_status;
RESET ALL;

-- The rest of the status
CREATE FUNCTION last_time_is_of_last_id() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	FOR i IN 1..100 LOOP
		id := snowflake_next();
		IF snowflake_timestamp(id) = (SELECT last_id_time FROM snowflake_status) THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;
SELECT last_time_is_of_last_id();
SELECT count(*) AS rows, bool_and(s.version = e.extversion) AS version,
	bool_and(s.node_id = snowflake_node(snowflake_next())) AS node,
	bool_and(s.node_source IN ('snowflake.node_id', 'snowflake.datacenter_id, snowflake.worker_id')) AS source,
	bool_and(s.ids_issued > 0) AS issued,
	bool_and(s.clock_ahead >= -current_setting('snowflake.max_lead')::interval) AS ahead,
	bool_and(s.sequence_waits >= 0 AND s.clock_waits >= 0 AND s.refusals >= 0) AS counts,
	bool_and((s.sequence_wait_time > 0) = (s.sequence_waits > 0)) AS sequence_wait,
	bool_and((s.clock_wait_time > 0) = (s.clock_waits > 0)) AS clock_wait,
	bool_and((s.largest_clock_step_back > interval '0') = (s.clock_steps_back > 0)) AS steps_back,
	bool_and(num_nulls(s.clock_synchronized, s.clock_state, s.clock_estimated_error, s.clock_maximum_error) IN (0, 4)) AS sync,
	bool_and(s.stats_since > pg_postmaster_start_time() - interval '1 minute' AND s.stats_since <= now()) AS since
	FROM snowflake_status s, pg_extension e WHERE e.extname = 'snowflake';
-- No counter is lost or falls with use
SELECT ids_issued AS issued, refusals, sequence_waits, sequence_wait_time AS wait_time FROM snowflake_status \gset
SELECT count(*) > 0 AS drawn FROM snowflake_next_batch(:batch);
SELECT ids_issued >= :issued + :batch AS issued, sequence_waits >= :sequence_waits AS waits,
	sequence_wait_time >= :wait_time AS wait_time, refusals >= :refusals AS refusals
	FROM snowflake_status;

DROP TABLE orders, old, heirs, likes, special, events, audit, big, parallel;
DROP DOMAIN order_id;
DROP FUNCTION write_audit, issued, last_time_is_of_last_id;
