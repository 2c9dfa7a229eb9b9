--
-- The layouts that have a name, and the text form of a layout.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

SELECT name, origin, layout, can_generate FROM snowflake_layouts;
SELECT name, ids_per_second, nodes, ends_at, passes_js_safe_at, turns_negative_at FROM snowflake_layouts;

-- Capacity and number of nodes are what the text says
SELECT l.name
	FROM snowflake_layouts l,
		LATERAL (SELECT substring(layout FROM 'sequence:(\d+)')::integer AS sequence,
					substring(layout FROM 'tick:(\d+)ms')::integer AS tick,
					(SELECT sum(m[1]::integer) FROM regexp_matches(layout, '(?:datacenter|worker|node):(\d+)', 'g') m) AS node) w
	WHERE ids_per_second IS DISTINCT FROM (1000 / tick * 2 ^ sequence)::bigint
		OR nodes IS DISTINCT FROM (2 ^ node)::bigint;

-- The dates are the first ones for which it is true
CREATE TEMP VIEW dates AS
	SELECT name, substring(layout FROM 'tick:(\d+ms)')::interval AS tick,
		ends_at, passes_js_safe_at AS js_safe, turns_negative_at AS negative
	FROM snowflake_layouts;
SELECT name,
	snowflake_lower(js_safe - tick, name) < 2 ^ 53 AS before,
	snowflake_lower(js_safe, name) = 2 ^ 53 AS at
	FROM dates WHERE js_safe IS NOT NULL;
SELECT name, snowflake_lower(negative - tick, name) > 0 AS before, e.state, e.message
	FROM dates, error_of(format('SELECT snowflake_lower(%L, %L)', negative, name)) e
	WHERE negative IS NOT NULL;
SELECT name, snowflake_lower(ends_at - tick, name) > 0 AS before, e.state, e.message
	FROM dates, error_of(format('SELECT snowflake_lower(%L, %L)', ends_at, name)) e
	WHERE negative IS NULL;

-- 2,000 numbers as IDs, spread over all lengths, the same in each run
CREATE TEMP TABLE numbers AS
	SELECT (hashint8extended(i, 20101104) & 9223372036854775807) >> (i % 40)::integer AS id
	FROM generate_series(1, 2000) i;

-- A preset's name and its text mean the same
SELECT name, count(*) > 1000 AS many,
	count(*) FILTER (WHERE snowflake_decode(id, name) IS DISTINCT FROM snowflake_decode(id, layout)) AS different
	FROM snowflake_layouts JOIN numbers ON name <> 'js53' OR id < 9007199254740992
	GROUP BY name ORDER BY name COLLATE "C";

-- Ways to write the same layout
SELECT a, b,
	bool_and(snowflake_decode(id, a) IS NOT DISTINCT FROM snowflake_decode(id, b)) AS same
	FROM numbers, (VALUES
		('twitter', 'time:41 datacenter:5 worker:5 sequence:12'),
		('leaf', 'time:41 node:10 sequence:12'),
		('leaf', '  time:41   node:10 sequence:12 '),
		('leaf', 'tick:1ms time:41 node:10 sequence:12 epoch:2010-11-04T01:42:54.657Z'),
		('leaf', 'epoch:2010-11-04T01:42:54.657 time:41 node:10 tick:1ms sequence:12'),
		('leaf', 'time:41 node:10 sequence:12 epoch:2010-11-04T03:42:54.657+02'),
		('leaf', 'time:41 node:10 sequence:12 epoch:2010-11-03T21:12:54.657-04:30'),
		('pgedge', 'time:41 node:10 sequence:12 epoch:2023-01-01'),
		('pgedge', 'time:41 node:10 sequence:12 epoch:2023-01-01T00:00Z'),
		('time:33 node:15 sequence:15 tick:1s', 'time:33 node:15 sequence:15 tick:1000ms'),
		('time:33 node:15 sequence:15 epoch:2024-02-29T00:00:00.5Z', 'time:33 node:15 sequence:15 epoch:2024-02-29T00:00:00.500Z'),
		-- different ones, to show that this can fail
		('leaf', 'pgedge'),
		('pgedge', 'time:41 sequence:12 node:10 epoch:2023-01-01'),
		('leaf', 'time:41 node:10 sequence:12 tick:2ms'),
		('leaf', 'time:41 node:10 sequence:12 epoch:2010-11-04T01:42:54.658Z'),
		('leaf', 'time:41 worker:10 sequence:12')) v (a, b)
	WHERE id < 2 ^ 62
	GROUP BY a, b ORDER BY same DESC, a COLLATE "C", b COLLATE "C";

-- The session's settings for dates have no part in it
CREATE TEMP TABLE plain AS
	SELECT id, l, extract(epoch FROM snowflake_timestamp(id, l)) AS seconds
	FROM numbers, (VALUES ('instagram'), ('time:41 node:10 sequence:12 epoch:2024-03-31T02:30'),
		('time:41 node:10 sequence:12 epoch:2024-02-03')) v (l)
	WHERE id < 2 ^ 62;
CREATE TEMP TABLE plain_layouts AS SELECT name, layout, extract(epoch FROM ends_at) AS ends FROM snowflake_layouts;
SET TimeZone = 'Europe/Berlin';
SET DateStyle = 'SQL, DMY';
SELECT count(*) AS different FROM plain WHERE extract(epoch FROM snowflake_timestamp(id, l)) <> seconds;
SELECT count(*) AS different FROM snowflake_layouts l JOIN plain_layouts p USING (name)
	WHERE (l.layout, extract(epoch FROM l.ends_at)) IS DISTINCT FROM (p.layout, p.ends);
SELECT layout AS german FROM snowflake_status \gset
RESET TimeZone;
RESET DateStyle;
SELECT layout = :'german' AS same FROM snowflake_status;

-- One call site can be given another layout in each row, and goes on rightly
-- after an error that was caught
SELECT l, snowflake_node(4194303, l) AS node, snowflake_sequence(4194303, l) AS sequence
	FROM (VALUES (1, 'twitter'), (2, 'pgedge'), (3, 'js53'), (4, 'twitter'), (5, 'time:40 node:3 sequence:20'),
		(6, 'mastodon'), (7, 'time:40 node:3 sequence:20')) v (n, l)
	ORDER BY n;

CREATE FUNCTION pg_temp.nodes(layouts text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	layout text;
	node integer;
BEGIN
	FOREACH layout IN ARRAY layouts
	LOOP
		BEGIN
			node := snowflake_node(4194303, layout);
			RETURN NEXT format('%s: %s', layout, node);
		EXCEPTION WHEN invalid_parameter_value THEN
			RETURN NEXT format('%s: %s', layout, SQLERRM);
		END;
	END LOOP;
END
$$;
SELECT * FROM pg_temp.nodes('{twitter,js53,time:41 node:10 sequence:99,js53,time:0,js53,twitter}');
