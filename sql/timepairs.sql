--
-- What the planner makes of snowflake_within() means the same as the function,
-- and both the same as the ID's time in the range: for over a million pairs of
-- an ID and a range with ticks of 1 ms, as many with 10 ms, and some in other
-- layouts.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- Random numbers that are the same in each run, of 63 bits: the k-th of case i
CREATE FUNCTION pg_temp.r(i integer, k integer) RETURNS bigint
IMMUTABLE LANGUAGE sql AS 'SELECT hashint8extended(i, k) & 9223372036854775807';

-- A bound: mostly within 15 ms of an ID's time, at a whole millisecond or
-- between, else anywhere from before the epoch to after the end, at the ends
-- of all timestamps, or infinite in one way or the other
CREATE FUNCTION pg_temp.bound(i integer, k integer, near timestamptz) RETURNS timestamptz
IMMUTABLE LANGUAGE sql AS $$
	SELECT CASE pg_temp.r(i, k) % 32
		WHEN 0 THEN NULL
		WHEN 1 THEN '-infinity'
		WHEN 2 THEN 'infinity'
		WHEN 3 THEN '4714-11-24 00:00:00+00 BC'
		WHEN 4 THEN '294276-12-31 23:59:59.999999+00'
		WHEN 5 THEN timestamptz '2000-01-01 00:00:00+00' + pg_temp.r(i, k + 1) % 6311433600 * interval '1 s'
		WHEN 6 THEN near
		WHEN 7 THEN near + (pg_temp.r(i, k + 1) % 31 - 15) * interval '1 ms'
		ELSE near + (pg_temp.r(i, k + 1) % 30001 - 15000) * interval '1 us' END
$$;

CREATE FUNCTION pg_temp.range(i integer, near timestamptz) RETURNS tstzrange
IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
	a timestamptz := pg_temp.bound(i, 10, near);
	b timestamptz := pg_temp.bound(i, 20, near);
BEGIN
	IF pg_temp.r(i, 30) % 64 = 0 THEN
		RETURN 'empty';
	END IF;
	RETURN tstzrange(CASE WHEN a > b THEN b ELSE a END, CASE WHEN a > b THEN a ELSE b END,
		('{[],[),(],()}'::text[])[pg_temp.r(i, 31) % 4 + 1]);
END
$$;

-- Ranges, each with an ID whose time is near its bounds
CREATE TEMP TABLE ranges AS
	SELECT layout, bits, base, pg_temp.range(i, snowflake_timestamp(base, layout)) AS range
	FROM (VALUES ('twitter', 63, 1, 3000), ('sonyflake', 63, 3001, 6000),
			-- of 64 bits, of which a bigint has the lower half
			('discord', 63, 6001, 6400), ('mastodon', 63, 6401, 6800), ('time:50 sequence:14', 63, 6801, 7200),
			-- bigints go beyond these
			('js53', 53, 7201, 7600), ('time:31 node:4 sequence:5 tick:1s', 40, 7601, 8000)) v (layout, bits, first, last),
		generate_series(first, last) i,
		LATERAL (SELECT CASE pg_temp.r(i, 1) % 16
			WHEN 0 THEN 0
			WHEN 1 THEN 9223372036854775807 >> (63 - bits)
			-- of all lengths, and most of the present length
			WHEN 2 THEN pg_temp.r(i, 2) >> (63 - bits + pg_temp.r(i, 3) % bits)::integer
			ELSE pg_temp.r(i, 2) >> (64 - bits) END AS base) b;

-- What the IDs of a range are away from that one: a few ticks, and at random
CREATE TEMP TABLE distances AS
	SELECT sign * ((ticks << shift) + near) AS distance
	FROM generate_series(0, 19) ticks, unnest('{10,12,22,24}'::integer[]) shift,
		generate_series(-1, 1) near, unnest('{-1,1}'::integer[]) sign
	UNION
	SELECT (pg_temp.r(i, 1) >> (i % 63)) * CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END
	FROM generate_series(1, 63) i
	UNION
	VALUES (0), (-9223372036854775808);

CREATE TEMP VIEW pairs AS
	SELECT layout, bits, range,
		CASE WHEN distance > 9223372036854775807 - base THEN 9223372036854775807 ELSE base + distance END AS id
	FROM ranges, distances OFFSET 0;

-- The condition as the planner makes it, as the function alone, since nothing
-- that is random is copied, and by the ID's time, where it is an ID
\set rewritten 'snowflake_within(id, range, layout)'
\set plain 'snowflake_within(id + (random() * 0)::bigint, range, layout)'
\set by_time 'CASE WHEN id < 0 OR id > 9223372036854775807 >> (63 - bits) THEN false ELSE snowflake_timestamp(id, layout) <@ range END'

-- What is really called
CREATE FUNCTION pg_temp.functions_in_plan(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	line text;
	names text[] := '{}';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		names := names || ARRAY(SELECT m[1] FROM regexp_matches(line, '(snowflake_\w+)\(', 'g') m);
	END LOOP;
	RETURN ARRAY(SELECT DISTINCT name FROM unnest(names) name ORDER BY name);
END
$$;
SELECT pg_temp.functions_in_plan('SELECT ' || :'rewritten' || ' FROM pairs') AS rewritten,
	pg_temp.functions_in_plan('SELECT ' || :'plain' || ' FROM pairs') AS plain,
	pg_temp.functions_in_plan('SELECT ' || :'by_time' || ' FROM pairs') AS by_time;

CREATE TEMP TABLE judged AS
	SELECT layout, count(*) AS pairs, count(*) FILTER (WHERE plain) AS inside,
		count(*) FILTER (WHERE rewritten IS DISTINCT FROM plain) AS wrongly_rewritten,
		count(*) FILTER (WHERE plain IS DISTINCT FROM by_time) AS wrong
	FROM (SELECT layout, :plain AS plain, :rewritten AS rewritten, :by_time AS by_time FROM pairs) p
	GROUP BY layout;
SELECT layout, pairs > 1000000 AS million, pairs > 100000 AS many,
	inside > pairs / 10 AND inside < pairs / 2 AS both, wrongly_rewritten, wrong
	FROM judged ORDER BY layout COLLATE "C";

-- The same with each range as a constant, whose IDs are then in the plan
CREATE FUNCTION pg_temp.with_constants(wanted text, OUT pairs bigint, OUT inside bigint, OUT wrong bigint)
LANGUAGE plpgsql AS $$
DECLARE
	r ranges;
	one record;
BEGIN
	pairs := 0;
	inside := 0;
	wrong := 0;
	FOR r IN SELECT * FROM ranges WHERE layout = wanted LOOP
		EXECUTE format('SELECT count(*) AS pairs, count(*) FILTER (WHERE plain) AS inside,
				count(*) FILTER (WHERE plain IS DISTINCT FROM constants) AS wrong
			FROM (SELECT snowflake_within(id + (random() * 0)::bigint, %1$L, %2$L) AS plain,
					snowflake_within(id, %1$L, %2$L) AS constants
				FROM (SELECT CASE WHEN distance > 9223372036854775807 - %3$L THEN 9223372036854775807
						ELSE %3$L + distance END AS id FROM distances OFFSET 0) i) j',
			r.range, r.layout, r.base) INTO one;
		pairs := pairs + one.pairs;
		inside := inside + one.inside;
		wrong := wrong + one.wrong;
	END LOOP;
END
$$;
SELECT pg_temp.functions_in_plan(format('SELECT snowflake_within(distance, %L, %L) FROM distances', range, layout)) AS constants,
	pg_temp.functions_in_plan(format('SELECT snowflake_within(distance + (random() * 0)::bigint, %L, %L) FROM distances', range, layout)) AS plain
	FROM ranges LIMIT 1;
SELECT layout, c.pairs = judged.pairs AS same_pairs, c.inside = judged.inside AS same_inside, c.wrong
	FROM judged, pg_temp.with_constants(layout) c ORDER BY layout COLLATE "C";

-- In the layout of the server, also as an operator
SELECT layout FROM snowflake_status \gset
SELECT count(*) > 1000000 AS million,
	count(*) FILTER (WHERE id <@@ range IS DISTINCT FROM snowflake_within(id, range, :'layout')) AS wrong_operator,
	count(*) FILTER (WHERE id + (random() * 0)::bigint <@@ range IS DISTINCT FROM snowflake_within(id, range, :'layout')) AS wrong_plain,
	count(*) FILTER (WHERE snowflake_within(id, range) IS DISTINCT FROM snowflake_within(id, range, :'layout')) AS wrong_function
	FROM pairs WHERE pairs.layout = 'twitter';
