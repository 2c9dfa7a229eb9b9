--
-- The extension as a whole: where it can live, what it consists of, and how
-- it goes away.  Leaves it in the schema public, with error_of(), for the
-- tests that follow.
--
-- The server must preload the library, have a node ID, and allow some
-- snowflake.max_wait.  Nothing here depends on which node ID or layout it has,
-- or on nobody else drawing IDs: what is printed are comparisons, not IDs.
--
SET client_min_messages = warning;

-- In a schema of its own
CREATE SCHEMA regress_first;
CREATE SCHEMA regress_second;
CREATE EXTENSION snowflake SCHEMA regress_first;

CREATE VIEW members AS
	SELECT d.classid, d.objid, o.type, o.schema, o.name, o.identity
	FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND
			d.refobjid = e.oid AND d.deptype = 'e',
		pg_identify_object(d.classid, d.objid, d.objsubid) o
	WHERE e.extname = 'snowflake' AND
		-- row and array types are members in some versions of PostgreSQL
		NOT EXISTS (SELECT FROM pg_type t
					WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typtype <> 'd');

SELECT schema, count(*) > 0 AS members FROM members GROUP BY 1;

-- Tables need no search_path for their default, and keep it when it moves
CREATE TABLE orders (id regress_first.snowflake PRIMARY KEY, n integer);
INSERT INTO orders (n) VALUES (1), (2);
CREATE TABLE users (id bigint DEFAULT regress_first.snowflake_next() PRIMARY KEY, n integer);
INSERT INTO users (n) VALUES (1), (2);

ALTER EXTENSION snowflake SET SCHEMA regress_second;
SELECT schema, count(*) > 0 AS members FROM members GROUP BY 1;
INSERT INTO orders (n) VALUES (3), (4);
INSERT INTO users (n) VALUES (3), (4);
SELECT bool_and(id > before) AS rising
	FROM (SELECT id, lag(id) OVER (ORDER BY n) AS before FROM orders) o;
SELECT bool_and(id > before) AS rising
	FROM (SELECT id, lag(id) OVER (ORDER BY n) AS before FROM users) o;
SELECT count(*) AS presets FROM regress_second.snowflake_layouts;
SELECT count(*) AS rows FROM regress_second.snowflake_status;

-- Tables that use it keep it from going away
SELECT regress_second.snowflake_next() AS last \gset
DROP EXTENSION snowflake;
DROP TABLE users;
DROP EXTENSION snowflake CASCADE;
SELECT attname FROM pg_attribute
	WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped;
DROP TABLE orders;
DROP SCHEMA regress_first;
DROP SCHEMA regress_second;

-- Coming back in the same session goes on where it was
CREATE EXTENSION snowflake SCHEMA public;
CREATE EXTENSION snowflake;
SELECT snowflake_next() > :last AS later;

SELECT extnamespace::regnamespace AS schema, extrelocatable AS relocatable
	FROM pg_extension WHERE extname = 'snowflake';

-- What there is.  Everything has a comment.
SELECT type, count(*) AS members,
	count(*) FILTER (WHERE obj_description(objid, classid::regclass::name) IS NULL) AS uncommented
	FROM members GROUP BY 1 ORDER BY 1;

SELECT p.proname AS function,
	(SELECT string_agg(concat_ws(' ', p.proargnames[n], format_type(t, NULL)), ', ' ORDER BY n)
	 FROM unnest(p.proargtypes) WITH ORDINALITY a (t, n)) AS arguments,
	p.proretset AS set,
	CASE WHEN p.prorettype = 'record'::regtype THEN 'record' ELSE format_type(p.prorettype, NULL) END AS result,
	CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
	CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
	p.proisstrict AS strict, p.prosecdef AS definer,
	has_function_privilege('public', p.oid, 'EXECUTE') AS public
	FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	ORDER BY m.identity COLLATE "C";

SELECT t.typname, format_type(t.typbasetype, t.typtypmod) AS base, t.typdefault AS "default",
	t.typnotnull AS not_null
	FROM pg_type t JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid;

SELECT c.relname AS view, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
	col_description(c.oid, a.attnum) IS NOT NULL AS commented
	FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relkind = 'v'
	ORDER BY c.relname COLLATE "C", a.attnum;

SELECT name, has_table_privilege('public', objid, 'SELECT') AS public_select,
	has_table_privilege('public', objid, 'INSERT, UPDATE, DELETE') AS public_write
	FROM members WHERE type = 'view' ORDER BY name COLLATE "C";

-- The words of the database: all may read them, nobody but a superuser write
SELECT name, has_sequence_privilege('public', objid, 'SELECT') AS public_select,
	has_sequence_privilege('public', objid, 'USAGE, UPDATE') AS public_write,
	(SELECT relpersistence FROM pg_class WHERE oid = objid) AS persistence,
	objid IN (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'snowflake') AS dumped
	FROM members WHERE type = 'sequence' ORDER BY name COLLATE "C";

DROP VIEW members;

-- For the tests that follow: the error that a statement ends with
CREATE FUNCTION error_of(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	state := '00000';
	message := 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	detail := nullif(detail, '');
	hint := nullif(hint, '');
END
$$;
SELECT * FROM error_of('SELECT 1/0');
SELECT * FROM error_of('SELECT 1');
