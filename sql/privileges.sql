--
-- Who may do what, and that nobody can put something else in its place.
--
SELECT layout FROM snowflake_status \gset
SELECT snowflake_next() AS last \gset
SET client_min_messages = warning;
CREATE ROLE regress_snowflake_user;
CREATE TABLE orders (id snowflake PRIMARY KEY, n integer);
CREATE TABLE users (id bigint DEFAULT snowflake_next() PRIMARY KEY, n integer);

-- A role without any other right inserts where it may insert
GRANT INSERT ON orders, users TO regress_snowflake_user;
SET ROLE regress_snowflake_user;
INSERT INTO orders (n) VALUES (1), (2);
INSERT INTO users (n) VALUES (1), (2);
SELECT snowflake_next() > :last AS later;
SELECT count(*) FROM snowflake_next_batch(10);
SELECT snowflake_timestamp(0) = snowflake_timestamp(0, :'layout') AS epoch;
-- reads the views
SELECT count(*) AS presets FROM snowflake_layouts;
SELECT layout = :'layout' AS same FROM snowflake_status;
-- and can do no more
SELECT snowflake_accept_clock();
SELECT snowflake_reset_horizon(now());
SELECT snowflake_set_layout();
SELECT nextval('snowflake_horizon');
SELECT setval('snowflake_horizon', 1);
SELECT setval('snowflake_layout_fields', 1);
SELECT setval('snowflake_layout_epoch', 1);
SELECT is_called FROM snowflake_horizon;
CREATE FUNCTION public.snowflake_next(integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1';
ALTER DOMAIN snowflake SET DEFAULT 1;
DROP EXTENSION snowflake;
ALTER EXTENSION snowflake UPDATE;
RESET ROLE;
SELECT count(DISTINCT id) AS distinct, min(id) > :last AS later FROM (SELECT id FROM orders UNION ALL SELECT id FROM users) t;

-- Not even when the function is granted
GRANT EXECUTE ON FUNCTION snowflake_accept_clock(), snowflake_reset_horizon(timestamptz), snowflake_set_layout() TO regress_snowflake_user;
SET ROLE regress_snowflake_user;
SELECT snowflake_accept_clock();
SELECT snowflake_reset_horizon(now());
SELECT snowflake_set_layout();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION snowflake_accept_clock(), snowflake_reset_horizon(timestamptz), snowflake_set_layout() FROM regress_snowflake_user;
SELECT snowflake_accept_clock();

-- The right to draw IDs can be taken away
BEGIN;
REVOKE EXECUTE ON FUNCTION snowflake_next() FROM PUBLIC;
SET LOCAL ROLE regress_snowflake_user;
SAVEPOINT s;
INSERT INTO orders (n) VALUES (1);
ROLLBACK TO s;
INSERT INTO users (n) VALUES (1);
ROLLBACK;

-- To create the extension takes a superuser, whoever owns the database
BEGIN;
DROP EXTENSION snowflake CASCADE;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_snowflake_user', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO regress_snowflake_user;
SET LOCAL ROLE regress_snowflake_user;
CREATE EXTENSION snowflake;
ROLLBACK;

-- In a schema that the role cannot look into
BEGIN;
CREATE SCHEMA regress_closed;
ALTER EXTENSION snowflake SET SCHEMA regress_closed;
SET LOCAL ROLE regress_snowflake_user;
INSERT INTO orders (n) VALUES (1), (2);
INSERT INTO users (n) VALUES (1), (2);
SAVEPOINT s;
SELECT regress_closed.snowflake_next();
ROLLBACK;

-- A schema in front with things of the same names
CREATE SCHEMA regress_evil AUTHORIZATION regress_snowflake_user;
SET ROLE regress_snowflake_user;
CREATE FUNCTION regress_evil.taken(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'operator of the attacker';
END
$$;
CREATE OPERATOR regress_evil.> (FUNCTION = regress_evil.taken, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR regress_evil.= (FUNCTION = regress_evil.taken, LEFTARG = bigint, RIGHTARG = bigint);
-- pg_catalog has none for just these two
CREATE FUNCTION regress_evil.taken(oid, integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'operator of the attacker';
END
$$;
CREATE OPERATOR regress_evil.= (FUNCTION = regress_evil.taken, LEFTARG = oid, RIGHTARG = integer);
CREATE FUNCTION regress_evil.snowflake_next() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'function of the attacker';
END
$$;
CREATE FUNCTION regress_evil.snowflake_status(OUT version text, OUT node_id integer) LANGUAGE sql AS $$SELECT 'evil', 0$$;
CREATE FUNCTION regress_evil.snowflake_layouts(OUT name text, OUT layout text) RETURNS SETOF record LANGUAGE sql AS $$SELECT 'evil', 'evil'$$;
CREATE DOMAIN regress_evil.snowflake AS bigint DEFAULT -1;
CREATE DOMAIN regress_evil.int8 AS text;
CREATE DOMAIN regress_evil.text AS integer;
CREATE DOMAIN regress_evil.timestamptz AS integer;
CREATE DOMAIN regress_evil."interval" AS integer;
RESET ROLE;
SELECT snowflake_next() AS last \gset
CREATE FUNCTION add_order() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO public.orders (n) VALUES (9)';
TRUNCATE orders;

SET search_path = regress_evil, pg_catalog, public;
INSERT INTO public.orders (n) VALUES (9);
INSERT INTO public.orders (n) SELECT 9 FROM generate_series(1, 2);
COPY public.orders (n) FROM stdin;
9
\.
INSERT INTO public.users (n) VALUES (9);
SET ROLE regress_snowflake_user;
SELECT public.add_order();
RESET ROLE;
SELECT count(*) AS presets FROM public.snowflake_layouts WHERE name <> 'evil';
SELECT layout OPERATOR(pg_catalog.=) :'layout' AS same FROM public.snowflake_status;
SELECT message FROM public.error_of('SELECT snowflake_next()');
RESET search_path;
SELECT count(*), count(DISTINCT id) AS distinct, min(id) > :last AS later FROM orders WHERE n = 9;

-- Such a schema in front, or as its own, while the extension is created
BEGIN;
DROP EXTENSION snowflake CASCADE;
SET LOCAL search_path = regress_evil, pg_catalog, public;
SELECT message FROM public.error_of('CREATE EXTENSION snowflake SCHEMA regress_evil');
DROP FUNCTION regress_evil.snowflake_next;
DROP DOMAIN regress_evil.snowflake;
DROP FUNCTION regress_evil.snowflake_status, regress_evil.snowflake_layouts;
-- so that the script has something to revoke
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC, pg_monitor;
CREATE EXTENSION snowflake SCHEMA regress_evil;
SELECT DISTINCT t.typnamespace::regnamespace AS types_from
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid OPERATOR(pg_catalog.=) p.oid AND
			d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'snowflake'
		CROSS JOIN unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype) a
		JOIN pg_type t ON t.oid = a;
SELECT format_type(typbasetype, typtypmod) FROM pg_type WHERE oid = 'regress_evil.snowflake'::regtype;
ROLLBACK;

DROP FUNCTION add_order;
DROP TABLE orders, users;
DROP SCHEMA regress_evil CASCADE;
DROP ROLE regress_snowflake_user;
