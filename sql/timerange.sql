--
-- Asking by time: what snowflake_within(), <@@, snowflake_first() and
-- snowflake_last() mean.  timepairs has a million cases, timeplans the plans.
--
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT layout FROM snowflake_status \gset

-- What <@ means for a range does not depend on the extension: a literal or a
-- parameter on its left side stays a range.  In a database of its own, before
-- and after CREATE EXTENSION.
SELECT current_database() AS regression \gset
CREATE DATABASE regress_timerange TEMPLATE template0;
\c regress_timerange
SET TimeZone = 'UTC';
CREATE TABLE meanings (at text, expression text, meaning text);
CREATE FUNCTION record_meanings(at text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
	e text;
	meaning text;
BEGIN
	FOREACH e IN ARRAY ARRAY[
		$e$'[2024-01-01,2024-02-01)' <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$'empty' <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$'2024-01-01' <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$timestamptz '2024-01-01' <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$NULL <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$1 <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$1::bigint <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$tstzrange('2023-01-01', '2025-01-01') @> '[2024-01-01,2024-02-01)'$e$,
		$e$$1 <@ tstzrange('2023-01-01', '2025-01-01')$e$,
		$e$tstzrange('2023-01-01', '2025-01-01') @> $1$e$,
		$e$$1 <@ $2$e$,
		$e$$1::tstzrange <@ $2$e$
		] LOOP
		BEGIN
			EXECUTE 'PREPARE p AS SELECT ' || e;
			SELECT parameter_types::text INTO meaning FROM pg_prepared_statements WHERE name = 'p';
			DEALLOCATE p;
			IF meaning = '{}' THEN
				EXECUTE 'SELECT coalesce((' || e || ')::text, ''null'')' INTO meaning;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			meaning := SQLERRM;
		END;
		INSERT INTO meanings VALUES (at, e, meaning);
	END LOOP;
END
$f$;
SELECT record_meanings('before');
SELECT expression, meaning FROM meanings;
CREATE EXTENSION snowflake;
SELECT record_meanings('after');
SELECT expression FROM meanings GROUP BY expression HAVING count(DISTINCT meaning) <> 1;
SELECT count(*) AS records, count(DISTINCT expression) AS expressions, count(DISTINCT at) AS times FROM meanings;
-- which an operator <@ for bigint would have changed
CREATE OPERATOR <@ (FUNCTION = snowflake_within, LEFTARG = bigint, RIGHTARG = tstzrange);
SELECT record_meanings('with such an operator');
SELECT expression, meaning FROM meanings m WHERE at = 'with such an operator' AND NOT EXISTS
	(SELECT FROM meanings b WHERE b.at = 'before' AND (b.expression, b.meaning) = (m.expression, m.meaning));
\c :regression
DROP DATABASE regress_timerange;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- What stands on the other side of <@@ is always a range
PREPARE within AS SELECT 1541815603606036480 <@@ $1, snowflake_within(1541815603606036480, $2), snowflake_within($3, $4, 'twitter'), $5 <@@ $6::tstzrange;
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'within';
DEALLOCATE within;

-- The ID of 2022-06-28 16:07:40.105, in ranges that begin or end there
SELECT range, snowflake_within(1541815603606036480, range::tstzrange, 'twitter') AS "within",
	snowflake_within(1541815603606036480, replace(range, '.105', '.105000001')::tstzrange, 'twitter') AS same_microsecond
	FROM unnest(ARRAY['[2022-06-28 16:07:40.105,2022-06-28 16:07:40.106)', '[2022-06-28 16:07:40.105,2022-06-28 16:07:40.105]',
		'(2022-06-28 16:07:40.105,2022-06-28 16:07:40.106]', '[2022-06-28 16:07:40.104,2022-06-28 16:07:40.105)',
		'[2022-06-28 16:07:40.104,2022-06-28 16:07:40.105]', '(2022-06-28 16:07:40.104,2022-06-28 16:07:40.105]',
		-- between the ticks
		'[2022-06-28 16:07:40.104999,2022-06-28 16:07:40.105001]', '(2022-06-28 16:07:40.104999,2022-06-28 16:07:40.105001)',
		'[2022-06-28 16:07:40.105001,2022-06-28 16:07:40.105999]', '[2022-06-28 16:07:40.104001,2022-06-28 16:07:40.104999]',
		-- without end
		'(,)', '[2022-06-28 16:07:40.105,)', '(2022-06-28 16:07:40.105,)', '(,2022-06-28 16:07:40.105)', '(,2022-06-28 16:07:40.105]',
		'[-infinity,infinity]', '(-infinity,infinity)', '[infinity,]', '(,-infinity]',
		'empty', '[2022-06-28 16:07:40.105,2022-06-28 16:07:40.105)']) range;

-- The IDs of a range
SELECT name, range, snowflake_first(range::tstzrange, name) AS first, snowflake_last(range::tstzrange, name) AS last
	FROM (VALUES
		('twitter', '(,)'),
		('twitter', '[2010-11-04 01:42:54.657,2010-11-04 01:42:54.657]'),	-- the first tick
		('twitter', '[2010-11-04 01:42:54.657,2010-11-04 01:42:54.658)'),
		('twitter', '(2010-11-04 01:42:54.657,2010-11-04 01:42:54.658]'),	-- the second one
		('twitter', '(2010-11-04 01:42:54.656,2010-11-04 01:42:54.657)'),
		('twitter', '[2010-11-04 01:42:54.656001,2010-11-04 01:42:54.657001)'),
		('twitter', '(,2010-11-04 01:42:54.657)'),
		('twitter', '(,2010-11-04 01:42:54.656999]'),
		('twitter', '[2080-07-10 17:30:30.208,)'),							-- the last tick
		('twitter', '[2080-07-10 17:30:30.208,2080-07-10 17:30:30.208001)'),
		('twitter', '(2080-07-10 17:30:30.208,)'),
		('twitter', '[2080-07-10 17:30:30.208001,)'),
		('twitter', '[4714-11-24 BC,294276-12-31 23:59:59.999999]'),
		('twitter', '[4714-11-24 BC,4713-01-01 BC]'),
		('twitter', '[294276-12-31,294276-12-31 23:59:59.999999]'),
		('twitter', '[infinity,infinity]'),
		('twitter', '[-infinity,-infinity]'),
		('twitter', 'empty'),
		-- ticks of 10 ms
		('sonyflake', '[2014-09-01,2014-09-01 00:00:00.01)'),
		('sonyflake', '(2014-09-01,2014-09-01 00:00:00.01]'),
		('sonyflake', '[2014-09-01 00:00:00.000001,2014-09-01 00:00:00.009999]'),
		-- IDs that are smaller than a bigint can be
		('js53', '(,)'),
		-- and of 64 bits, of which a bigint has those without the highest
		('discord', '(,)'),
		('discord', '[2084-09-06 15:47:35.551,2084-09-06 15:47:35.551]'),
		('discord', '[2084-09-06 15:47:35.551,2084-09-06 15:47:35.552]'),
		('discord', '[2084-09-06 15:47:35.552,2084-09-06 15:47:35.552]'),
		('discord', '[2084-09-06 15:47:35.552,)'),
		('mastodon', '[6429-10-17 02:45:55.327,)'),
		('mastodon', '[6429-10-17 02:45:55.328,)'),
		('time:64', '(,)'),
		('time:64', '(2010-11-04 01:42:54.657,2010-11-04 01:42:54.658]'),
		('time:1 tail:63', '(,)'),
		('time:1 tail:63', '[2010-11-04 01:42:54.657,2010-11-04 01:42:54.658)'),
		('time:1 tail:63', '[2010-11-04 01:42:54.658,)'),
		('time:1', '(,)')
	) v (name, range);

-- Numbers that are no IDs are in no range; an ID may be later than timestamps
SELECT name, id, snowflake_within(id, '(,)', name) AS anywhere
	FROM (VALUES ('twitter', -1), ('discord', -1), ('discord', -9223372036854775808), ('mastodon', -9223372036854775808),
		('time:64', -1), ('js53', 9007199254740991), ('js53', 9007199254740992), ('time:62 node:1 tick:3600s', 9223372036854775807)) v (name, id);
SELECT snowflake_within(9223372036854775807, '(,294276-12-31]', 'time:62 node:1 tick:3600s') AS before_the_end_of_timestamps,
	snowflake_first('[294276-12-31,)', 'time:62 node:1 tick:3600s epoch:1970-01-01') / 2 = 24::bigint * (date '294276-12-31' - date '1970-01-01') AS hours_since_1970;

-- A null gives a null, whatever the planner makes of it
SELECT snowflake_within(NULL, '(,)', 'twitter'), snowflake_within(1, NULL, 'twitter'), snowflake_within(1, '(,)', NULL),
	NULL::bigint <@@ '(,)' AS operator, 1 <@@ NULL AS operator_of_null,
	snowflake_first(NULL), snowflake_first('(,)', NULL), snowflake_last(NULL), snowflake_last('(,)', NULL);
SELECT count(*) AS cases, count(*) FILTER (WHERE snowflake_within(id, range, layout) IS NOT NULL) AS not_null,
	count(*) FILTER (WHERE snowflake_within(id + (random() * 0)::bigint, range, layout) IS NOT NULL) AS plainly_not_null,
	count(*) FILTER (WHERE snowflake_within(id, 'empty', 'twitter') IS NOT NULL) AS of_none_not_null,
	count(*) FILTER (WHERE NOT snowflake_within(id, '(,)', 'twitter')) AS outside_of_all
	FROM (VALUES (NULL, '(,)', 'twitter'), (1, NULL, 'twitter'), (1, '(,)', NULL), (NULL, 'empty', 'twitter')) v (id, range_text, layout),
		LATERAL (SELECT range_text::tstzrange AS range) r;

-- Names of arguments
SELECT snowflake_within(id => 1541815603606036480, range => '[2022-06-28,2022-06-29)', layout => 'twitter') AS "within",
	snowflake_first(range => '[2022-06-28,2022-06-29)', layout => 'twitter') AS first,
	snowflake_last(range => '[2022-06-28,2022-06-29)', layout => 'twitter') AS last;

-- Without a layout that of the server
SELECT count(*) > 10 AS several,
	count(*) FILTER (WHERE snowflake_first(range) IS DISTINCT FROM snowflake_first(range, :'layout')) AS first,
	count(*) FILTER (WHERE snowflake_last(range) IS DISTINCT FROM snowflake_last(range, :'layout')) AS last
	FROM (SELECT tstzrange(now() - i * interval '1 ms', now(), bounds) AS range
		FROM generate_series(0, 3) i, unnest('{[],[),(],()}'::text[]) bounds) r;
SELECT snowflake_next() <@@ tstzrange(now() - interval '1 hour', now() + interval '1 hour') AS just_now,
	snowflake_next()::snowflake <@@ tstzrange(now() + interval '1 hour', NULL) AS domain_later,
	1::smallint <@@ 'empty' AS smallint;

-- Not a layout
SELECT statement, e.state, e.message FROM (VALUES
	('SELECT snowflake_within(1, ''(,)'', ''nonsense'')'),
	('SELECT snowflake_within(1 + (random() * 0)::bigint, ''(,)'', ''nonsense'')'),
	('SELECT snowflake_within(id, ''(,)'', ''nonsense'') FROM generate_series(1, 1) id'),
	('SELECT false AND snowflake_within(id, ''(,)'', ''nonsense'') FROM generate_series(1, 1) id'),
	('SELECT snowflake_first(''(,)'', ''nonsense'')'),
	('SELECT snowflake_last(''(,)'', ''nonsense'')'),
	('SELECT snowflake_within(1, ''nonsense'', ''twitter'')'),
	('SELECT 1 <@@ ''nonsense''')
	) v (statement), error_of(statement) e;

-- With a layout they are for generated columns, constraints and indexes
CREATE TABLE posts (id bigint PRIMARY KEY CHECK (snowflake_within(id, '[2015-01-01,)', 'discord')),
	early boolean GENERATED ALWAYS AS (snowflake_within(id, '(,2017-01-01)', 'discord')) STORED);
CREATE INDEX ON posts (id) WHERE snowflake_within(id, '[2016-01-01,2017-01-01)', 'discord');
INSERT INTO posts VALUES (175928847299117063), (1234567890123456789) RETURNING *;
SELECT message FROM error_of('INSERT INTO posts VALUES (-5)');
-- Without one they are not: after a restart the layout may be another
SELECT statement, e.state, e.message FROM (VALUES
	('CREATE INDEX ON posts (id) WHERE id <@@ ''[2020-01-01,2021-01-01)'''),
	('CREATE INDEX ON posts (id) WHERE snowflake_within(id, ''[2020-01-01,2021-01-01)'')'),
	('CREATE INDEX ON posts ((id <@@ ''[2020-01-01,2021-01-01)''))'),
	('CREATE INDEX ON posts (snowflake_first(tstzrange(''2020-01-01'', ''2021-01-01'')))'),
	('ALTER TABLE posts ADD x boolean GENERATED ALWAYS AS (id <@@ ''[2020-01-01,2021-01-01)'') STORED'),
	('CREATE TABLE parts (id bigint) PARTITION BY LIST ((id <@@ ''[2020-01-01,2021-01-01)''))')
	) v (statement), error_of(statement) e;
DROP TABLE posts;
