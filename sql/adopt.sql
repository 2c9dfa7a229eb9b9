--
-- Moving columns over to snowflake IDs and back.
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

-- IDs differ from run to run
CREATE FUNCTION without_ids(line text) RETURNS text LANGUAGE sql RETURN regexp_replace(line, '\m(?!9223372036854775807|9000000000000000000)\d{15,19}\M', '<id>', 'g');
CREATE FUNCTION adopt(tab regclass, col name, dry_run boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql
	AS 'SELECT without_ids(line) FROM snowflake_adopt(tab, col, dry_run) line';
CREATE FUNCTION release(tab regclass, col name, dry_run boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql
	AS 'SELECT without_ids(line) FROM snowflake_release(tab, col, dry_run) line';
CREATE FUNCTION refusal(statement text) RETURNS TABLE (line text) LANGUAGE sql
	AS $$SELECT without_ids(concat_ws(E'\n', state || ': ' || message, 'DETAIL: ' || detail, 'HINT: ' || hint)) FROM error_of(statement)$$;

-- A serial column: what would be done, and that it was not
CREATE TABLE orders (id bigserial PRIMARY KEY, item text);
INSERT INTO orders (item) VALUES ('lamp'), ('desk');
SELECT adopt('orders', 'id', dry_run => true);
INSERT INTO orders (item) VALUES ('chair') RETURNING id;
SELECT table_name, origin, expression, sequence, earlier, indexed FROM snowflake_origin('orders', 'id');
-- and that it is
SELECT pg_relation_filenode('orders') AS file \gset
SELECT adopt('orders', 'id');
SELECT pg_relation_filenode('orders') = :file AS not_rewritten;
SELECT snowflake_next() AS before \gset
INSERT INTO orders (item) VALUES ('sofa');
SELECT id, item FROM orders WHERE id < 1000 ORDER BY id;
SELECT count(*), min(id) > :before AS later FROM orders WHERE item = 'sofa';
SELECT table_name, origin, expression, sequence, earlier, indexed FROM snowflake_origin('orders', 'id');
-- also through a view
CREATE VIEW order_view AS SELECT id, item FROM orders;
INSERT INTO order_view (item) VALUES ('rug');
SELECT count(*) FROM orders WHERE id > 1000 AND item = 'rug';
DROP VIEW order_view;
DELETE FROM orders WHERE item = 'rug';
-- Twice changes nothing
SET client_min_messages = notice;
SELECT adopt('orders', 'id');
SET client_min_messages = warning;
-- The sequence is as it was, and goes with the table
SELECT pg_get_serial_sequence('orders', 'id'), last_value, is_called FROM orders_id_seq;
-- and the extension cannot go
DROP EXTENSION snowflake;

-- Back: the sequence goes on above the IDs
SELECT release('orders', 'id', dry_run => true);
SELECT origin FROM snowflake_origin('orders', 'id');
SELECT release('orders', 'id');
INSERT INTO orders (item) VALUES ('shelf'), ('bench');
SELECT item, id - lag(id) OVER (ORDER BY id) AS step FROM orders WHERE id > 1000 ORDER BY id;
SELECT origin, expression FROM snowflake_origin('orders', 'id');
SET client_min_messages = notice;
SELECT release('orders', 'id');
SET client_min_messages = warning;
-- and over again: IDs are above what the sequence gave
SELECT adopt('orders', 'id');
INSERT INTO orders (item) VALUES ('stool');
SELECT item FROM orders ORDER BY id DESC LIMIT 1;
DROP TABLE orders;
SELECT to_regclass('orders_id_seq');

-- Nothing was drawn meanwhile: the sequence goes on where it stood
CREATE TABLE orders (id bigserial PRIMARY KEY, item text);
SELECT adopt('orders', 'id');
SELECT release('orders', 'id');
INSERT INTO orders (item) VALUES ('lamp') RETURNING id;
SELECT adopt('orders', 'id');
SELECT release('orders', 'id');
INSERT INTO orders (item) VALUES ('desk') RETURNING id;
-- Undone with its transaction
BEGIN;
SELECT count(*) FROM adopt('orders', 'id');
INSERT INTO orders (item) VALUES ('chair');
SELECT count(*) FROM release('orders', 'id');
ROLLBACK;
INSERT INTO orders (item) VALUES ('sofa') RETURNING id;
DROP TABLE orders;

-- Identity: the sequence is made anew, with all that belongs to it
CREATE ROLE regress_snowflake_reader;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY
	(START WITH 7 INCREMENT BY 5 MINVALUE 2 MAXVALUE 9000000000000000000 CACHE 3 CYCLE), item text);
ALTER TABLE orders ADD PRIMARY KEY (id);
COMMENT ON SEQUENCE orders_id_seq IS E'its\ncomment';
GRANT SELECT ON SEQUENCE orders_id_seq TO regress_snowflake_reader WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE orders_id_seq TO PUBLIC;
CREATE VIEW sequence AS
	SELECT format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle,
		pg_get_userbyid(relowner) = current_user AS own, relpersistence AS persistence,
		(SELECT string_agg(deptype, '') FROM pg_depend
			WHERE classid = 'pg_class'::regclass AND objid = c.oid AND refobjid = 'orders'::regclass AND refobjsubid = 1) AS dependency,
		(SELECT string_agg(concat_ws(' ', grantee::regrole, privilege_type, is_grantable), ', ' ORDER BY grantee::regrole::text, privilege_type)
			FROM aclexplode(relacl) WHERE grantee <> relowner) AS grants,
		obj_description(c.oid, 'pg_class') AS comment
	FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid WHERE relname = 'orders_id_seq';
INSERT INTO orders (item) VALUES ('lamp'), ('desk');
SELECT * FROM sequence;
SELECT origin, sequence, owned FROM snowflake_origin('orders', 'id');
SELECT adopt('orders', 'id', true);
SELECT adopt('orders', 'id');
SELECT * FROM sequence;
SELECT origin, sequence, owned, earlier FROM snowflake_origin('orders', 'id');
INSERT INTO orders (item) VALUES ('chair');
INSERT INTO orders (id, item) VALUES (3, 'sofa');
SELECT release('orders', 'id', true);
SELECT release('orders', 'id');
SELECT * FROM sequence;
SELECT origin, sequence, owned FROM snowflake_origin('orders', 'id');
-- in its steps: 7, 12, ...
INSERT INTO orders (item) VALUES ('shelf');
SELECT (max(id) - 7) % 5 AS off_step, max(id) - (SELECT id FROM orders WHERE item = 'chair') BETWEEN 1 AND 5 AS next_step FROM orders;
SELECT refusal('INSERT INTO orders (id) VALUES (1)');
DROP TABLE orders CASCADE;

-- BY DEFAULT, and nothing drawn; of another owner, whom a superuser serves
CREATE SCHEMA AUTHORIZATION regress_snowflake_reader;
CREATE TABLE regress_snowflake_reader.orders (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, item text);
ALTER TABLE regress_snowflake_reader.orders OWNER TO regress_snowflake_reader;
SELECT adopt('regress_snowflake_reader.orders', 'id');
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'regress_snowflake_reader.orders_id_seq'::regclass;
SELECT release('regress_snowflake_reader.orders', 'id');
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'regress_snowflake_reader.orders_id_seq'::regclass;
SELECT origin FROM snowflake_origin('regress_snowflake_reader.orders', 'id');
INSERT INTO regress_snowflake_reader.orders (item) VALUES ('lamp') RETURNING id;

-- No default before, so none after
CREATE TABLE orders (id bigint PRIMARY KEY, item text);
INSERT INTO orders VALUES (-5, 'lamp');
SELECT adopt('orders', 'id');
INSERT INTO orders (item) VALUES ('desk');
SELECT release('orders', 'id');
SELECT origin FROM snowflake_origin('orders', 'id');
SELECT refusal('INSERT INTO orders (item) VALUES (''chair'')');
DROP TABLE orders;

-- The domain brings its own default, which is hidden by NULL
CREATE TABLE orders (id snowflake PRIMARY KEY, item text);
SET client_min_messages = notice;
SELECT adopt('orders', 'id');
SET client_min_messages = warning;
SELECT release('orders', 'id');
SELECT origin, expression FROM snowflake_origin('orders', 'id');
SELECT refusal('INSERT INTO orders (item) VALUES (''lamp'')');
SELECT adopt('orders', 'id');
INSERT INTO orders (item) VALUES ('desk');
DROP TABLE orders;
CREATE SEQUENCE orders_id_seq;
CREATE TABLE orders (id snowflake DEFAULT nextval('orders_id_seq') PRIMARY KEY, item text);
ALTER SEQUENCE orders_id_seq OWNED BY orders.id;
SELECT adopt('orders', 'id');
SELECT release('orders', 'id');
INSERT INTO orders (item) VALUES ('lamp') RETURNING id;
DROP TABLE orders;

-- No index: readers are let in while the table is read
CREATE TABLE orders (item text, id bigserial, n bigint UNIQUE);
CREATE INDEX ON orders (item, id);
CREATE INDEX ON orders (id) WHERE item = 'lamp';
CREATE INDEX ON orders USING hash (id);
CREATE INDEX ON orders ((id + 1));
INSERT INTO orders (item) VALUES ('lamp'), ('desk');
BEGIN;
SELECT adopt('orders', 'id');
SELECT mode FROM pg_locks WHERE relation = 'orders'::regclass AND pid = pg_backend_pid() ORDER BY mode;
COMMIT;
SELECT release('orders', 'id');
CREATE INDEX ON orders (id DESC, n);
SELECT adopt('orders', 'id', true);
DROP TABLE orders;

-- Unlogged and temporary tables
CREATE UNLOGGED TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT adopt('orders', 'id');
SELECT relpersistence FROM pg_class WHERE oid = 'orders_id_seq'::regclass;
SELECT release('orders', 'id');
SELECT relpersistence FROM pg_class WHERE oid = 'orders_id_seq'::regclass;
DROP TABLE orders;
CREATE TEMP TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT adopt('orders', 'id');
SELECT relpersistence FROM pg_class WHERE oid = 'orders_id_seq'::regclass;
SELECT release('orders', 'id');
INSERT INTO orders DEFAULT VALUES RETURNING id;
DROP TABLE orders;

--
-- Refusals
--
CREATE TABLE orders (id serial PRIMARY KEY, small smallserial, price numeric, key uuid DEFAULT gen_random_uuid(),
	twice bigint GENERATED ALWAYS AS (5 * 2) STORED, random bigint DEFAULT 17 + 4, gone bigint);
ALTER TABLE orders DROP COLUMN gone;
CREATE TABLE items (order_id integer REFERENCES orders, item text);
CREATE VIEW order_view AS SELECT id FROM orders;
CREATE MATERIALIZED VIEW order_copy AS SELECT id FROM orders;
CREATE FOREIGN DATA WRAPPER regress_snowflake_wrapper;
CREATE SERVER regress_snowflake_server FOREIGN DATA WRAPPER regress_snowflake_wrapper;
CREATE FOREIGN TABLE order_foreign (id bigint) SERVER regress_snowflake_server;
CREATE TYPE order_type AS (id bigint);
SELECT statement || E'\n' || refusal(statement) FROM (VALUES
	('SELECT snowflake_adopt(NULL, ''id'')'),
	('SELECT snowflake_adopt(''orders'', NULL)'),
	('SELECT snowflake_adopt(''orders'', ''id'', NULL)'),
	('SELECT snowflake_release(''orders'', ''id'', NULL)'),
	('SELECT snowflake_release(NULL, ''id'')'),
	('SELECT snowflake_origin(''orders'', NULL)'),
	('SELECT snowflake_adopt(1, ''id'')'),
	('SELECT snowflake_adopt(''nowhere'', ''id'')'),
	('SELECT snowflake_adopt(''orders'', ''number'')'),
	('SELECT snowflake_adopt(''orders'', ''ctid'')'),
	('SELECT snowflake_adopt(''orders'', ''........pg.dropped.7........'')'),
	('SELECT snowflake_adopt(''order_view'', ''id'')'),
	('SELECT snowflake_adopt(''order_copy'', ''id'')'),
	('SELECT snowflake_adopt(''order_foreign'', ''id'')'),
	('SELECT snowflake_adopt(''orders_id_seq'', ''last_value'')'),
	('SELECT snowflake_adopt(''orders_pkey'', ''id'')'),
	('SELECT snowflake_adopt(''order_type'', ''id'')'),
	('SELECT snowflake_release(''order_view'', ''id'')'),
	('SELECT snowflake_adopt(''orders'', ''id'')'),
	('SELECT snowflake_adopt(''orders'', ''id'', true)'),
	('SELECT snowflake_adopt(''orders'', ''small'')'),
	('SELECT snowflake_adopt(''orders'', ''price'')'),
	('SELECT snowflake_adopt(''orders'', ''key'')'),
	('SELECT snowflake_adopt(''orders'', ''twice'')'),
	('SELECT snowflake_adopt(''orders'', ''random'')')) v (statement);
DROP VIEW order_view;
DROP MATERIALIZED VIEW order_copy;
DROP FOREIGN DATA WRAPPER regress_snowflake_wrapper CASCADE;
DROP TYPE order_type;

-- A foreign key that is too narrow, and one behind it
ALTER TABLE orders ALTER COLUMN id TYPE bigint;
CREATE DOMAIN short AS integer;
CREATE TABLE notes (item_id short);
ALTER TABLE items ADD UNIQUE (order_id);
ALTER TABLE notes ADD FOREIGN KEY (item_id) REFERENCES items (order_id);
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER TABLE items ALTER COLUMN order_id TYPE bigint;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER TABLE notes ALTER COLUMN item_id TYPE bigint;
SELECT adopt('orders', 'id');
-- What was a serial has a sequence of integers
INSERT INTO orders (small) VALUES (1);
SELECT release('orders', 'id');
SELECT seqmax FROM pg_sequence WHERE seqrelid = 'orders_id_seq'::regclass;
DROP TABLE orders, items, notes;
DROP DOMAIN short;

-- Values that are not below the next ID
CREATE TABLE orders (id bigint PRIMARY KEY);
INSERT INTO orders VALUES (9223372036854775807);
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'', true)');
DELETE FROM orders;
INSERT INTO orders SELECT snowflake_lower(now() + interval '1 day');
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
DELETE FROM orders;
INSERT INTO orders SELECT snowflake_next();
SELECT adopt('orders', 'id');
DROP TABLE orders;

-- Sequences that are not the column's, or not its only one
CREATE SEQUENCE shared;
CREATE TABLE orders (id bigint DEFAULT nextval('shared') PRIMARY KEY);
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER TABLE orders ALTER COLUMN id SET DEFAULT nextval('shared') + 1;
ALTER SEQUENCE shared OWNED BY orders.id;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER TABLE orders ALTER COLUMN id SET DEFAULT nextval('shared');
CREATE SEQUENCE another OWNED BY orders.id;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER SEQUENCE another OWNED BY NONE;
SELECT adopt('orders', 'id');
ALTER SEQUENCE another OWNED BY orders.id;
SELECT refusal('SELECT snowflake_release(''orders'', ''id'')');
ALTER SEQUENCE another OWNED BY NONE;
-- a sequence that ends too early, and one that runs downwards
ALTER SEQUENCE shared MAXVALUE 1000000;
INSERT INTO orders DEFAULT VALUES;
SELECT refusal('SELECT snowflake_release(''orders'', ''id'')');
ALTER SEQUENCE shared INCREMENT BY -10 NO MINVALUE NO MAXVALUE START WITH -1 RESTART;
INSERT INTO orders VALUES (-55);
SELECT release('orders', 'id');
INSERT INTO orders DEFAULT VALUES RETURNING id;
DROP TABLE orders;
DROP SEQUENCE another;

-- Transactions whose snapshot is older than the lock
CREATE TABLE orders (id bigserial PRIMARY KEY);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'', true)');
SELECT refusal('SELECT snowflake_release(''orders'', ''id'')');
ROLLBACK;
BEGIN READ ONLY;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
SELECT count(*) FROM adopt('orders', 'id', true);
ROLLBACK;
SELECT origin FROM snowflake_origin('orders', 'id');
DROP TABLE orders;

--
-- Trees
--

-- Partitions with the parent's sequence, one with its own, one with nothing
CREATE TABLE orders (id bigserial, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE orders_2 (id bigserial, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
CREATE TABLE orders_2a (id bigint NOT NULL, day date NOT NULL);
ALTER TABLE orders_2 ATTACH PARTITION orders_2a FOR VALUES IN ('2026-02-01');
ALTER TABLE orders ATTACH PARTITION orders_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
CREATE VIEW tree AS SELECT table_name, origin, sequence, owned, earlier, indexed FROM snowflake_origin('orders', 'id');
SELECT * FROM tree;
SELECT refusal('SELECT snowflake_adopt(''orders_2a'', ''id'')');
SELECT refusal('SELECT snowflake_release(''orders_2'', ''id'')');
SELECT adopt('orders', 'id');
SELECT * FROM tree;
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
INSERT INTO orders_1 (day) VALUES ('2026-01-11');
INSERT INTO orders_2a (day) VALUES ('2026-02-01');
SELECT count(*), count(DISTINCT id) FROM orders WHERE id > 1000;
SELECT release('orders', 'id');
SELECT * FROM tree;
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
INSERT INTO orders_1 (day) VALUES ('2026-01-11');
SELECT count(*), count(DISTINCT id) FROM orders;
-- a partition that comes later, with a default of its own
SELECT count(*) FROM adopt('orders', 'id');
CREATE TABLE orders_3 (id bigint DEFAULT 3, day date NOT NULL, PRIMARY KEY (id, day));
ALTER TABLE orders ATTACH PARTITION orders_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
ALTER TABLE orders_3 ALTER COLUMN id DROP DEFAULT;
SELECT adopt('orders', 'id');
SELECT origin FROM tree WHERE table_name = 'orders_3'::regclass;
DROP VIEW tree;
DROP TABLE orders;

-- Identity of a partitioned table
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE orders_2 PARTITION OF orders DEFAULT PARTITION BY HASH (id);
CREATE TABLE orders_2a PARTITION OF orders_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
SELECT adopt('orders', 'id');
SELECT table_name, origin, sequence, owned, earlier FROM snowflake_origin('orders', 'id');
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
INSERT INTO orders_2a (day) VALUES ('2026-02-01');
SELECT release('orders', 'id');
SELECT table_name, origin FROM snowflake_origin('orders', 'id') WHERE table_name = 'orders'::regclass;
INSERT INTO orders (day) VALUES ('2026-01-10'), ('2026-02-01');
SELECT count(*), count(DISTINCT id) FROM orders;
DROP TABLE orders;

-- Partitions by the column itself
CREATE TABLE orders (id bigserial PRIMARY KEY) PARTITION BY RANGE (id);
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (1000000);
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'', true)');
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (1000000) TO (MAXVALUE);
SELECT adopt('orders', 'id', true);
DROP TABLE orders_2;
CREATE TABLE orders_3 PARTITION OF orders DEFAULT;
SELECT adopt('orders', 'id');
INSERT INTO orders DEFAULT VALUES;
DROP TABLE orders;
CREATE TABLE orders (id bigserial PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT adopt('orders', 'id');
DROP TABLE orders;

-- Inheritance: a child alone, and all from the parent
CREATE TABLE orders (id bigserial PRIMARY KEY, item text);
CREATE TABLE orders_old (PRIMARY KEY (id)) INHERITS (orders);
CREATE TABLE orders_own (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY) INHERITS (orders);
CREATE TABLE orders_both () INHERITS (orders_old, orders_own);
INSERT INTO orders_old (item) VALUES ('lamp');
SELECT table_name, origin, sequence, owned, indexed FROM snowflake_origin('orders', 'id');
SELECT adopt('orders_old', 'id');
INSERT INTO orders_old (item) VALUES ('desk');
SELECT release('orders_old', 'id');
SELECT adopt('orders', 'id');
INSERT INTO orders (item) VALUES ('chair');
INSERT INTO orders_own (item) VALUES ('chair');
INSERT INTO orders_both (item) VALUES ('chair');
SELECT count(*), count(DISTINCT id) FROM orders WHERE item = 'chair';
SELECT release('orders', 'id');
SELECT table_name, origin, sequence, owned FROM snowflake_origin('orders', 'id');
INSERT INTO orders (item) VALUES ('sofa');
INSERT INTO orders_old (item) VALUES ('sofa');
INSERT INTO orders_own (item) VALUES ('sofa');
SELECT count(*), count(DISTINCT id) FROM orders WHERE item <> 'sofa';
DROP TABLE orders CASCADE;

--
-- Who may
--
CREATE ROLE regress_snowflake_user;
GRANT regress_snowflake_reader TO regress_snowflake_user;
CREATE TABLE orders (id bigserial PRIMARY KEY);
GRANT ALL ON orders TO regress_snowflake_user;
SET ROLE regress_snowflake_user;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'', true)');
SELECT refusal('SELECT snowflake_release(''orders'', ''id'')');
SELECT refusal('SELECT * FROM snowflake_origin(''orders'', ''id'')');
-- a member of the owning role
SELECT adopt('regress_snowflake_reader.orders', 'id');
SELECT release('regress_snowflake_reader.orders', 'id');
RESET ROLE;
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'regress_snowflake_reader.orders_id_seq'::regclass;
-- an owner who may not make the sequence anew, or not draw IDs
ALTER SCHEMA regress_snowflake_reader OWNER TO CURRENT_USER;
GRANT USAGE ON SCHEMA regress_snowflake_reader TO regress_snowflake_reader;
SET ROLE regress_snowflake_reader;
SELECT refusal('SELECT snowflake_adopt(''regress_snowflake_reader.orders'', ''id'')');
SELECT origin FROM snowflake_origin('regress_snowflake_reader.orders', 'id');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION snowflake_next() FROM PUBLIC;
SET ROLE regress_snowflake_reader;
SELECT refusal('SELECT snowflake_adopt(''regress_snowflake_reader.orders'', ''id'')');
RESET ROLE;
GRANT EXECUTE ON FUNCTION snowflake_next() TO PUBLIC;
-- one of whose children is another's
CREATE TABLE regress_snowflake_reader.part () INHERITS (orders);
ALTER TABLE regress_snowflake_reader.part OWNER TO regress_snowflake_reader;
ALTER TABLE orders OWNER TO regress_snowflake_user;
REVOKE regress_snowflake_reader FROM regress_snowflake_user;
SET ROLE regress_snowflake_user;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
RESET ROLE;
DROP TABLE regress_snowflake_reader.part;
-- one who does not see all rows
CREATE POLICY few ON orders USING (id < 0);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
SET ROLE regress_snowflake_user;
SELECT adopt('orders', 'id', true);
RESET ROLE;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
SET ROLE regress_snowflake_user;
SELECT refusal('SELECT snowflake_adopt(''orders'', ''id'')');
SELECT origin FROM snowflake_origin('orders', 'id');
RESET ROLE;
DROP TABLE orders;

--
-- Names, and what stands in front
--
CREATE SCHEMA "it's ""a"" schema";
CREATE TABLE "it's ""a"" schema"."ta""b'le; --%s" ("co""l'umn
--x" bigint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME "it's ""a"" schema"."s\e""q'uence"), n bigserial);
SELECT adopt('"it''s ""a"" schema"."ta""b''le; --%s"', E'co"l\'umn\n--x');
INSERT INTO "it's ""a"" schema"."ta""b'le; --%s" DEFAULT VALUES;
SELECT release('"it''s ""a"" schema"."ta""b''le; --%s"', E'co"l\'umn\n--x');
SELECT origin FROM snowflake_origin('"it''s ""a"" schema"."ta""b''le; --%s"', E'co"l\'umn\n--x');
ALTER SEQUENCE "it's ""a"" schema"."ta""b'le; --%s_n_seq" RENAME TO "s'e\q ""2";
SELECT adopt('"it''s ""a"" schema"."ta""b''le; --%s"', 'n');
SELECT release('"it''s ""a"" schema"."ta""b''le; --%s"', 'n');
SELECT refusal($$SELECT snowflake_adopt('"it''s ""a"" schema"."ta""b''le; --%s"', E'%I"\n')$$);
DROP SCHEMA "it's ""a"" schema" CASCADE;

CREATE SCHEMA regress_evil;
CREATE FUNCTION regress_evil.taken(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'operator of the attacker'; END$$;
CREATE OPERATOR regress_evil.>= (FUNCTION = regress_evil.taken, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION regress_evil.taken(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'operator of the attacker'; END$$;
CREATE OPERATOR regress_evil.= (FUNCTION = regress_evil.taken, LEFTARG = oid, RIGHTARG = oid);
CREATE FUNCTION regress_evil.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE FUNCTION regress_evil.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'function of the attacker'; END$$;
CREATE FUNCTION regress_evil.max_of(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'function of the attacker'; END$$;
CREATE AGGREGATE regress_evil.max(bigint) (SFUNC = regress_evil.max_of, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION regress_evil.snowflake_next() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'function of the attacker'; END$$;
CREATE FUNCTION regress_evil.snowflake_origin(regclass, name) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'function of the attacker'; END$$;
CREATE TABLE regress_evil.pg_class (oid oid, relname text);
CREATE TABLE regress_evil.pg_extension (extname text, extnamespace text);
CREATE TABLE regress_evil.orders (id bigserial PRIMARY KEY);
CREATE TEMP TABLE pg_extension AS SELECT * FROM regress_evil.pg_extension;
CREATE TEMP TABLE pg_class AS SELECT * FROM regress_evil.pg_class;
CREATE TABLE orders (id bigserial PRIMARY KEY);
INSERT INTO orders DEFAULT VALUES;
SET search_path = regress_evil, pg_temp, pg_catalog, public;
SELECT public.snowflake_adopt('public.orders', 'id');
INSERT INTO public.orders DEFAULT VALUES;
SELECT pg_catalog.count(*) FROM public.snowflake_release('public.orders', 'id');
-- The name is looked up where the caller is
SELECT public.snowflake_adopt('orders', 'id');
SELECT pg_catalog.count(*) FROM public.snowflake_release('orders', 'id');
RESET search_path;
DROP TABLE pg_temp.pg_extension, pg_temp.pg_class;

DROP SCHEMA regress_evil CASCADE;

-- The extension in another schema
CREATE SCHEMA "regress home";
ALTER EXTENSION snowflake SET SCHEMA "regress home";
SELECT without_ids(line) FROM "regress home".snowflake_adopt('orders', 'id') line;
INSERT INTO orders DEFAULT VALUES;
ALTER EXTENSION snowflake SET SCHEMA public;
DROP SCHEMA "regress home";
INSERT INTO orders DEFAULT VALUES;
SELECT origin, expression FROM snowflake_origin('orders', 'id');
SELECT count(*), count(DISTINCT id) FROM orders;
SELECT count(*) FROM release('orders', 'id');

DROP TABLE orders;
DROP SCHEMA regress_snowflake_reader CASCADE;
DROP ROLE regress_snowflake_reader, regress_snowflake_user;
DROP FUNCTION adopt, release, refusal, without_ids;
