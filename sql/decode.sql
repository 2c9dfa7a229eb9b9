--
-- Taking IDs apart and putting them together.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT layout FROM snowflake_status \gset

-- IDs that everybody can look up.  Twitter: the example of Wikipedia's
-- article, and a post of 2012-11-07 04:16 UTC.  Discord: the example of its
-- API documentation.  Instagram: the worked example of "Sharding & IDs at
-- Instagram", shard 1341 and 5001 % 1024.
SELECT name, id, d.*
	FROM (VALUES ('twitter', 1541815603606036480), ('twitter', 266031293945503744),
		('discord', 175928847299117063),
		('instagram', (1387263000::bigint << 23) | (1341 << 10) | (5001 % 1024))) v (name, id),
		snowflake_decode(id, name) d;

-- A field that the layout does not have is null
SELECT name, d.*
	FROM snowflake_layouts, snowflake_decode(4503599627370495, name) d;

-- The smallest and the largest ID
SELECT name, d.*
	FROM snowflake_layouts, snowflake_decode(0, name) d;
SELECT name, d.*
	FROM snowflake_layouts,
		snowflake_decode(CASE name WHEN 'js53' THEN (2 ^ 53)::bigint - 1 ELSE 9223372036854775807 END, name) d;

-- Against arithmetic of our own, that reads the layout's text from its end
CREATE FUNCTION pg_temp.fields(id bigint, layout text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	word text[];
	words text[];
	fields jsonb := '{}';
BEGIN
	SELECT array_agg(m ORDER BY o DESC) INTO words
		FROM regexp_matches(layout, '((?:time|datacenter|worker|node|sequence|tail):\d+)', 'g')
			WITH ORDINALITY t (m, o);
	FOREACH word SLICE 1 IN ARRAY words
	LOOP
		word := string_to_array(word[1], ':');
		fields := fields || jsonb_build_object(word[1], id & ~(-1::bigint << word[2]::integer));
		id := id >> word[2]::integer;
	END LOOP;
	IF fields ? 'worker' THEN
		fields := fields || jsonb_build_object('node', coalesce((fields->>'datacenter')::bigint, 0)
			* (1 << substring(layout FROM 'worker:(\d+)')::integer) + (fields->>'worker')::bigint);
	END IF;
	RETURN fields;
END
$$;

CREATE TEMP TABLE layouts AS
	SELECT name, layout FROM snowflake_layouts
	UNION ALL
	SELECT layout, layout || ' tick:1ms epoch:2010-11-04T01:42:54.657Z'
	FROM unnest('{time:41 node:10 sequence:12, time:40 node:3 sequence:20, time:41 sequence:12 worker:5 datacenter:5,
		time:41 worker:5 sequence:12 datacenter:5, time:42 sequence:21, time:42 node:21, time:42,
		time:41 tail:4 node:4 sequence:5, time:32 node:31, time:32 sequence:31, time:1 node:1 sequence:1}'::text[]) layout;

-- Numbers as IDs, spread over all lengths, the same in each run
CREATE TEMP TABLE ids AS
	SELECT name, layout,
		CASE WHEN bits > 62 THEN number ELSE number & ~(-1::bigint << bits) END AS id
	FROM layouts,
		LATERAL (SELECT sum(m[1]::integer)::integer AS bits
				 FROM regexp_matches(layout, '(?:time|datacenter|worker|node|sequence|tail):(\d+)', 'g') m) w,
		LATERAL (SELECT (hashint8extended(i, 20101104) & 9223372036854775807) >> (i % 40) AS number
				 FROM generate_series(1, 500) i) n;

SELECT count(*) AS ids, count(DISTINCT name) AS layouts,
	count(*) FILTER (WHERE extract(epoch FROM d.created_at) * 1000 <>
		extract(epoch FROM (substring(layout FROM 'epoch:(\S+)'))::timestamptz) * 1000 +
		(f->>'time')::bigint * substring(layout FROM 'tick:(\d+)')::integer) AS wrong_time,
	count(*) FILTER (WHERE datacenter_id IS DISTINCT FROM (f->>'datacenter')::integer) AS wrong_datacenter,
	count(*) FILTER (WHERE worker_id IS DISTINCT FROM (f->>'worker')::integer) AS wrong_worker,
	count(*) FILTER (WHERE node_id IS DISTINCT FROM (f->>'node')::integer) AS wrong_node,
	count(*) FILTER (WHERE sequence IS DISTINCT FROM (f->>'sequence')::integer) AS wrong_sequence
	FROM ids, snowflake_decode(id, layout) d, pg_temp.fields(id, layout) f;

-- The functions for one field say the same
SELECT count(*) AS ids,
	count(*) FILTER (WHERE d IS DISTINCT FROM
		(snowflake_timestamp(id, layout), snowflake_datacenter(id, layout), snowflake_worker(id, layout),
		 snowflake_node(id, layout), snowflake_sequence(id, layout))) AS different
	FROM ids, snowflake_decode(id, layout) d;

-- encode is the inverse of decode, at any instant within the tick
SELECT count(*) AS ids, count(DISTINCT name) AS layouts,
	count(*) FILTER (WHERE id <> snowflake_encode(created_at, coalesce(node_id, 0), coalesce(sequence, 0), layout)) AS different,
	count(*) FILTER (WHERE id <> snowflake_encode(created_at + tick - interval '1us', coalesce(node_id, 0), coalesce(sequence, 0), layout)) AS different_late
	FROM ids, snowflake_decode(id, layout) d, LATERAL (SELECT substring(layout FROM 'tick:(\d+ms)')::interval AS tick) t
	WHERE layout NOT LIKE '%tail%';

-- id >= snowflake_lower(t) just where snowflake_timestamp(id) >= t
WITH instants AS (
	SELECT name, layout, id, created_at, created_at + us * interval '1us' AS instant
	FROM ids, snowflake_timestamp(id, layout) created_at, (VALUES (-1), (0), (1), (999), (9999)) v (us)
	WHERE created_at + us * interval '1us' >= snowflake_timestamp(0, layout) AND id < 2 ^ 62 AND
		name <> 'time:1 node:1 sequence:1'),
candidates AS (
	SELECT layout, instant, snowflake_lower(instant, layout) AS lower, id + near AS candidate
	FROM instants, (VALUES (-1), (0), (1)) v (near) WHERE id + near >= 0
	UNION ALL
	SELECT layout, instant, lower, lower + near
	FROM instants, snowflake_lower(instant, layout) lower, (VALUES (-1), (0)) v (near) WHERE lower + near >= 0)
SELECT count(*) > 50000 AS many, count(*) FILTER (WHERE candidate >= lower) > 10000 AS many_above,
	count(*) FILTER (WHERE (candidate >= lower) <> (snowflake_timestamp(candidate, layout) >= instant)) AS wrong
	FROM candidates;

SELECT snowflake_lower('2010-11-04 01:42:54.657+00', 'twitter') AS epoch,
	snowflake_lower('2010-11-04 01:42:54.657001+00', 'twitter') >> 22 AS a_little_later,
	snowflake_lower('2010-11-04 01:42:54.658+00', 'twitter') >> 22 AS a_tick_later;
SELECT snowflake_encode('2022-06-28 16:07:40.105+00', 378, 0, 'twitter') AS twitter,
	snowflake_encode('2016-04-30 11:18:25.796+00', 32, 7, 'discord') AS discord;

-- Without a layout, that of the server
CREATE TEMP TABLE own AS
	SELECT snowflake_next() AS id FROM generate_series(1, 1000)
	UNION ALL SELECT i FROM generate_series(0, 1000) i;
SELECT count(*) AS ids,
	count(*) FILTER (WHERE snowflake_decode(id) IS DISTINCT FROM snowflake_decode(id, :'layout')) AS decode,
	count(*) FILTER (WHERE snowflake_timestamp(id) IS DISTINCT FROM snowflake_timestamp(id, :'layout')) AS timestamp,
	count(*) FILTER (WHERE snowflake_node(id) IS DISTINCT FROM snowflake_node(id, :'layout')) AS node,
	count(*) FILTER (WHERE snowflake_datacenter(id) IS DISTINCT FROM snowflake_datacenter(id, :'layout')) AS datacenter,
	count(*) FILTER (WHERE snowflake_worker(id) IS DISTINCT FROM snowflake_worker(id, :'layout')) AS worker,
	count(*) FILTER (WHERE snowflake_sequence(id) IS DISTINCT FROM snowflake_sequence(id, :'layout')) AS sequence,
	count(*) FILTER (WHERE snowflake_lower(snowflake_timestamp(id)) IS DISTINCT FROM
		snowflake_lower(snowflake_timestamp(id), :'layout')) AS lower,
	count(*) FILTER (WHERE snowflake_encode(snowflake_timestamp(id), snowflake_node(id), snowflake_sequence(id)) <> id) AS encode
	FROM own;

-- A null gives a null
SELECT snowflake_decode(NULL) IS NULL AND snowflake_decode(NULL, 'twitter') IS NULL AND snowflake_decode(1, NULL) IS NULL AS decode,
	num_nulls(snowflake_timestamp(NULL), snowflake_timestamp(NULL, 'twitter'), snowflake_timestamp(1, NULL)) AS timestamp,
	num_nulls(snowflake_node(NULL), snowflake_node(NULL, 'twitter'), snowflake_node(1, NULL)) AS node,
	num_nulls(snowflake_datacenter(NULL), snowflake_datacenter(NULL, 'twitter'), snowflake_datacenter(1, NULL)) AS datacenter,
	num_nulls(snowflake_worker(NULL), snowflake_worker(NULL, 'twitter'), snowflake_worker(1, NULL)) AS worker,
	num_nulls(snowflake_sequence(NULL), snowflake_sequence(NULL, 'twitter'), snowflake_sequence(1, NULL)) AS sequence,
	num_nulls(snowflake_lower(NULL), snowflake_lower(NULL, 'twitter'), snowflake_lower(now(), NULL)) AS lower,
	num_nulls(snowflake_encode(NULL, 1, 1), snowflake_encode(now(), NULL, 1), snowflake_encode(now(), 1, NULL),
		snowflake_encode(NULL, 1, 1, 'twitter'), snowflake_encode(now(), NULL, 1, 'twitter'),
		snowflake_encode(now(), 1, NULL, 'twitter'), snowflake_encode(now(), 1, 1, NULL)) AS encode;
SELECT * FROM snowflake_decode(NULL);

-- Arguments by name
SELECT snowflake_encode(created_at => '2022-06-28 16:07:40.105+00', node_id => 378, sequence => 0, layout => 'twitter') AS encode,
	snowflake_lower(instant => '2022-06-28 16:07:40.105+00', layout => 'twitter') AS lower,
	snowflake_node(id => 1541815603606036480, layout => 'twitter') AS node;

-- With a layout they are for indexes and generated columns
CREATE TABLE posts (id bigint PRIMARY KEY,
	created_at timestamptz GENERATED ALWAYS AS (snowflake_timestamp(id, 'twitter')) STORED,
	earliest bigint GENERATED ALWAYS AS (snowflake_lower(snowflake_timestamp(id, 'twitter'), 'twitter')) STORED,
	CHECK (snowflake_encode(snowflake_timestamp(id, 'twitter'), snowflake_node(id, 'twitter'), snowflake_sequence(id, 'twitter'), 'twitter') = id));
CREATE INDEX posts_node ON posts (snowflake_node(id, 'twitter'), snowflake_sequence(id, 'twitter'));
CREATE INDEX posts_datacenter ON posts (snowflake_datacenter(id, 'twitter'), snowflake_worker(id, 'twitter'));
CREATE INDEX posts_decoded ON posts (((snowflake_decode(id, 'twitter')).created_at));
INSERT INTO posts VALUES (1541815603606036480), (266031293945503744);
SELECT * FROM posts ORDER BY id;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE snowflake_node(id, 'twitter') = 378;
SELECT id FROM posts WHERE snowflake_node(id, 'twitter') = 378;
-- a constant bound is computed while planning
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE id >= snowflake_lower('2022-06-28 16:07:40.105+00', 'twitter');
SELECT id FROM posts WHERE id >= snowflake_lower('2022-06-28 16:07:40.105+00', 'twitter');

-- Without one they are not, since the server's may be another after a restart;
-- but as a bound of an index scan they are fine
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE id >= snowflake_lower(now());
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT statement, e.state, e.message
	FROM unnest(ARRAY['timestamp', 'node', 'datacenter', 'worker', 'sequence']) f,
		LATERAL (VALUES (format('CREATE INDEX ON posts (snowflake_%s(id))', f)),
			(format('ALTER TABLE posts ADD x text GENERATED ALWAYS AS (snowflake_%s(id)::text) STORED', f))) v (statement),
		error_of(statement) e;
SELECT statement, e.state, e.message
	FROM unnest(ARRAY['CREATE INDEX ON posts (((snowflake_decode(id)).created_at))',
		'CREATE INDEX ON posts (snowflake_lower(created_at))',
		'CREATE INDEX ON posts (snowflake_encode(created_at, 0, 0))',
		'CREATE INDEX ON posts (snowflake_next())']) statement,
		error_of(statement) e;
DROP TABLE posts;
