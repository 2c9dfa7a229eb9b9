--
-- What is refused, and in which words.
--
SET TimeZone = 'UTC';
\x on

-- IDs that are none
SELECT statement, e.* FROM (VALUES
	('SELECT snowflake_decode(-1)'),
	('SELECT snowflake_timestamp(-1)'),
	('SELECT snowflake_node(-1)'),
	('SELECT snowflake_datacenter(-1)'),
	('SELECT snowflake_worker(-1)'),
	('SELECT snowflake_sequence(-1)'),
	('SELECT snowflake_decode(-9223372036854775808, ''discord'')'),
	('SELECT snowflake_timestamp(-1, ''mastodon'')'),
	('SELECT snowflake_decode(9007199254740992, ''js53'')'),
	('SELECT snowflake_timestamp(9007199254740992, ''js53'')'),
	('SELECT snowflake_node(9223372036854775807, ''js53'')'),
	('SELECT snowflake_datacenter(9223372036854775807, ''js53'')'),
	('SELECT snowflake_worker(9223372036854775807, ''js53'')'),
	('SELECT snowflake_sequence(9223372036854775807, ''js53'')'),
	('SELECT snowflake_node(8, ''time:1 node:1 sequence:1'')'),
	-- time beyond what a timestamp can be
	('SELECT snowflake_timestamp(9223372036854775807, ''time:63'')'),
	('SELECT snowflake_decode(9223372036854775807, ''time:62 node:1 tick:3600s'')'),
	('SELECT snowflake_timestamp(1::bigint << 40, ''time:41 node:1 tick:3600s'')')
	) v (statement), error_of(statement) e;

-- encode
SELECT statement, e.* FROM (VALUES
	('SELECT snowflake_encode(''2022-06-28'', 1023, 4095, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', 1024, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', -1, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', 2147483647, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', -2147483648, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', 0, 4096, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', 0, -1, ''twitter'')'),
	('SELECT snowflake_encode(''2022-06-28'', 1, 0, ''time:42 sequence:21'')'),
	('SELECT snowflake_encode(''2022-06-28'', 0, 1, ''time:42 node:21'')'),
	('SELECT snowflake_encode(''2022-06-28'', 0, 0, ''mastodon'')'),
	('SELECT snowflake_encode(''2022-06-28'', 0, 0, ''time:41 node:10 sequence:8 tail:1'')'),
	('SELECT snowflake_encode(''2010-11-04 01:42:54.656999Z'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''4000-01-01 BC'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2080-07-10 17:30:30.209Z'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2080-07-10 17:30:30.208999Z'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''294276-12-31'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''infinity'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''-infinity'', 0, 0, ''twitter'')'),
	('SELECT snowflake_encode(''2084-09-06 15:47:35.552Z'', 0, 0, ''discord'')')
	) v (statement), error_of(statement) e;

-- lower
SELECT statement, e.* FROM (VALUES
	('SELECT snowflake_lower(''-infinity'', ''twitter'')'),
	('SELECT snowflake_lower(''infinity'', ''mastodon'')'),
	('SELECT snowflake_lower(''2010-11-04 01:42:54.656999Z'', ''twitter'')'),
	('SELECT snowflake_lower(''2080-07-10 17:30:30.208Z'', ''twitter'')'),
	('SELECT snowflake_lower(''2080-07-10 17:30:30.208001Z'', ''twitter'')'),
	('SELECT snowflake_lower(''2080-07-10 17:30:30.209Z'', ''twitter'')'),
	('SELECT snowflake_lower(''294276-12-31'', ''mastodon'')'),
	('SELECT snowflake_lower(''6429-10-17 02:45:55.328Z'', ''mastodon'')'),
	('SELECT snowflake_lower(''2022-06-28'', ''nonsense'')')
	) v (statement), error_of(statement) e;

-- In the layout of the server, whose limits are its own
SELECT statement, e.state, e.message FROM (VALUES
	('SELECT snowflake_encode(now(), -1, 0)'),
	('SELECT snowflake_encode(now(), 0, -1)'),
	('SELECT snowflake_encode(''infinity'', 0, 0)'),
	('SELECT snowflake_encode(''4000-01-01 BC'', 0, 0)'),
	('SELECT snowflake_lower(''-infinity'')'),
	('SELECT snowflake_lower(''infinity'')'),
	('SELECT snowflake_lower(''4000-01-01 BC'')'),
	('SELECT snowflake_lower(''294276-12-31'')')
	) v (statement), error_of(statement) e;

-- Batches
SELECT statement, e.* FROM (VALUES
	('SELECT snowflake_next_batch(0)'),
	('SELECT * FROM snowflake_next_batch(-1)'),
	('SELECT count(*) FROM snowflake_next_batch(-2147483648)')
	) v (statement), error_of(statement) e;

-- Texts that are no layout, the same for each function
SELECT count(*) AS functions, e.*
	FROM unnest(ARRAY['decode(1', 'timestamp(1', 'node(1', 'datacenter(1', 'worker(1', 'sequence(1',
			'encode(now(), 1, 1', 'lower(now()']) function,
		error_of(format('SELECT snowflake_%s, %L)', function, 'nonsense')) e
	GROUP BY state, message, detail, hint;
\x off
SELECT left(text, 60) AS text, e.state, e.detail
	FROM unnest(ARRAY[
		'', ' ', 'Twitter', 'twitter ', 'twitter node:10', 'time', 'time:41 node', 'tick:1ms', 'node:10 sequence:12',
		'node:10 time:41 sequence:12', 'time:41 foo:3', 'TIME:41 node:10', ':41', 'time:41 :3',
		'time:0', 'time:', 'time:-1', 'time:+41', 'time:41x', 'time:65', 'time:0041', 'time:41 time:1', 'time: 41',
		'time:41' || chr(9) || 'node:10', 'time:41 node:10 node:10', 'time:41 node:10 sequence:14',
		'time:60 tail:5', 'time:30 node:32', 'time:30 sequence:32', 'time:30 datacenter:16 worker:16',
		'time:41 datacenter:5', 'time:41 node:5 worker:5', 'time:41 node:5 datacenter:5 worker:5',
		'time:41 node:10 tick:0ms', 'time:41 node:10 tick:1', 'time:41 node:10 tick:1us', 'time:41 node:10 tick:3601s',
		'time:41 node:10 tick:3600001ms', 'time:41 node:10 tick:-1ms', 'time:41 node:10 tick:99999999999999999999ms',
		'time:41 node:10 tick:1ms tick:1ms',
		'time:41 epoch:', 'time:41 epoch:2023', 'time:41 epoch:2023-1-1', 'time:41 epoch:2023-13-01', 'time:41 epoch:2023-02-29',
		'time:41 epoch:1969-12-31', 'time:41 epoch:1970-01-01T00:00+01', 'time:41 epoch:9999-12-31T23:59:59-01',
		'time:41 epoch:10000-01-01', 'time:41 epoch:2023-01-01T24:00',
		'time:41 epoch:2023-01-01T23:59:60', 'time:41 epoch:2023-01-01T1:00', 'time:41 epoch:2023-01-01T01',
		'time:41 epoch:2023-01-01T01:00:00.', 'time:41 epoch:2023-01-01T01:00:00.1234', 'time:41 epoch:2023-01-01T01:00:00Zulu',
		'time:41 epoch:2023-01-01T01:00:00+2', 'time:41 epoch:2023-01-01T01:00:00+16', 'time:41 epoch:2023-01-01T01:00:00+01:60',
		'time:41 epoch:now', 'time:41 epoch:2023-01-01 epoch:2023-01-01',
		'time:41 node:10 ' || repeat(' ', 150) || 'sequence:12', repeat('time:41 ', 100000)]) text,
	error_of(format('SELECT snowflake_node(1, %L)', text)) e;

-- The session goes on
SELECT snowflake_node(snowflake_next()) = node_id AS node FROM snowflake_status;

-- A function that was made by another version of the script
CREATE FUNCTION old_status(OUT version text, OUT node_id integer)
AS '$libdir/snowflake', 'snowflake_status' LANGUAGE C VOLATILE STRICT;
SELECT state, message FROM error_of('SELECT * FROM old_status()');
DROP FUNCTION old_status;
