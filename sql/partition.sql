--
-- Bounds of partitions by time.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

SELECT * FROM snowflake_partition_bounds('2024-01-01', '2024-04-01', '1 month', 'twitter');
-- the last piece ends where it is said
SELECT lower_time, upper_time FROM snowflake_partition_bounds('2024-01-01', '2024-01-10', '4 days', 'twitter');
-- the ends of months
SELECT lower_time, upper_time FROM snowflake_partition_bounds('2024-01-31', '2024-06-01', '1 month', 'twitter');
-- nothing to do
SELECT count(*) FROM snowflake_partition_bounds('2024-01-01', '2024-01-01', '1 day', 'twitter');
SELECT count(*) FROM snowflake_partition_bounds('2024-01-02', '2024-01-01', '1 day', 'twitter');

-- Days are those of the time zone, also where one has no midnight
BEGIN;
SET LOCAL TimeZone = 'America/Sao_Paulo';
SELECT lower_time, upper_time, upper_time - lower_time AS length
	FROM snowflake_partition_bounds('2018-11-02', '2018-11-07', '1 day', 'twitter');
SET LOCAL TimeZone = 'Europe/Berlin';
SELECT lower_time, upper_time, upper_time - lower_time AS length
	FROM snowflake_partition_bounds('2024-03-30', '2024-04-02', '1 day', 'twitter');
SELECT count(*) AS hours FROM snowflake_partition_bounds('2024-03-31', '2024-04-01', '1 hour', 'twitter');
ROLLBACK;

-- Pieces adjoin, in every layout, and hold just the IDs of their time
SELECT name, count(*) AS pieces,
	count(*) FILTER (WHERE lower_id <> snowflake_lower(lower_time, name) OR upper_id <> snowflake_lower(upper_time, name)) AS wrong,
	count(*) FILTER (WHERE (lower_id, upper_id - 1) <> (snowflake_first(tstzrange(lower_time, upper_time), name), snowflake_last(tstzrange(lower_time, upper_time), name))) AS wrong_ids,
	count(*) FILTER (WHERE bounds <> format('FOR VALUES FROM (%s) TO (%s)', lower_id, upper_id)) AS wrong_text,
	count(*) FILTER (WHERE lower_id <> before_id OR lower_time <> before_time) AS gaps
	FROM (SELECT name, b.*, lag(upper_id) OVER w AS before_id, lag(upper_time) OVER w AS before_time
		FROM snowflake_layouts, snowflake_partition_bounds('2026-01-01 00:00:00.0005', '2026-07-01', '10 days 3 hours 0.0007 seconds', name) b
		WINDOW w AS (PARTITION BY name ORDER BY lower_id)) s
	GROUP BY name ORDER BY name COLLATE "C";
-- Where a tick is longer than a step, those in which none begins are left out
SELECT lower_time, upper_time, lower_id >> 24 AS from_tick, upper_id >> 24 AS to_tick
	FROM snowflake_partition_bounds('2014-09-01', '2014-09-01 00:00:00.03', '4 ms', 'sonyflake');

-- In the layout of the server
SELECT layout FROM snowflake_status \gset
SELECT count(*) AS pieces, count(*) FILTER (WHERE a IS DISTINCT FROM b) AS different
	FROM snowflake_partition_bounds(now(), now() + interval '10 days', '1 day') WITH ORDINALITY a
		FULL JOIN snowflake_partition_bounds(now(), now() + interval '10 days', '1 day', :'layout') WITH ORDINALITY b USING (ordinality);

-- What is not bounds
SELECT statement, e.state, e.message FROM (VALUES
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2024-02-01'', ''0'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2024-02-01'', ''-1 day'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2025-01-01'', ''1 month -30 days'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''-infinity'', ''2024-02-01'', ''1 day'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''infinity'', ''1 day'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2010-01-01'', ''2024-02-01'', ''1 day'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2100-01-01'', ''1 day'', ''twitter'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2090-01-01'', ''1 day'', ''discord'')'),
	('SELECT * FROM snowflake_partition_bounds(''2024-01-01'', ''2024-02-01'', ''1 day'', ''nonsense'')')
	) v (statement), error_of(statement) e;
SELECT count(*) FROM snowflake_partition_bounds(NULL, '2024-02-01', '1 day', 'twitter');
SELECT count(*) FROM snowflake_partition_bounds('2024-01-01', '2024-02-01', NULL);
-- Rows come one by one, and it can be ended
SELECT lower_time FROM (SELECT (snowflake_partition_bounds('2024-01-01', '2079-01-01', '1 us', 'twitter')).lower_time) s LIMIT 2;

-- Partitions, with the ID as primary key
CREATE TABLE orders (id snowflake PRIMARY KEY, item text) PARTITION BY RANGE (id);
DO $$
DECLARE
	create_partition text;
BEGIN
	FOR create_partition IN
		SELECT format('CREATE TABLE orders_%s PARTITION OF orders %s', row_number() OVER (ORDER BY lower_id), bounds)
		FROM snowflake_partition_bounds(now() - interval '2 days', now() + interval '2 days', '2 days')
	LOOP
		EXECUTE create_partition;
	END LOOP;
END
$$;
INSERT INTO orders (item) VALUES ('lamp');
INSERT INTO orders VALUES (snowflake_encode(now() - interval '1 day', 0, 0), 'desk');
SELECT tableoid::regclass AS partition, item FROM orders ORDER BY id;
SELECT message FROM error_of($$INSERT INTO orders VALUES (snowflake_encode(now() - interval '3 days', 0, 0), 'chair')$$);
-- and a foreign key to it
CREATE TABLE parcels (order_id bigint REFERENCES orders);
INSERT INTO parcels SELECT id FROM orders;
SELECT message FROM error_of('INSERT INTO parcels VALUES (1)');
DROP TABLE parcels, orders;
