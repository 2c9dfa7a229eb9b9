/* sql/snowflake--1.0.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION snowflake" to load this file. \quit

--
-- Making IDs
--

CREATE FUNCTION snowflake_next()
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_next'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_next() IS
'a new ID, greater than every ID that this server has made before';

CREATE FUNCTION snowflake_next_batch(count integer)
RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'snowflake_next_batch'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_next_batch(integer) IS
'that many new IDs, rising';

CREATE DOMAIN snowflake AS bigint DEFAULT snowflake_next();
COMMENT ON DOMAIN snowflake IS
'bigint whose default is a new ID: "id snowflake PRIMARY KEY" is a whole declaration';

--
-- The horizon and the layout of this database, see doc/design.md
--

CREATE SEQUENCE snowflake_horizon AS bigint MINVALUE 0 START WITH 0 CACHE 1 NO CYCLE;
COMMENT ON SEQUENCE snowflake_horizon IS
'milliseconds since 1970 below which IDs of this database may have been made; written by the library only';
CREATE SEQUENCE snowflake_layout_fields AS bigint MINVALUE 0 START WITH 0 CACHE 1 NO CYCLE;
COMMENT ON SEQUENCE snowflake_layout_fields IS
'fields of this database''s IDs, packed; written by the library only';
CREATE SEQUENCE snowflake_layout_epoch AS bigint MINVALUE 0 START WITH 0 CACHE 1 NO CYCLE;
COMMENT ON SEQUENCE snowflake_layout_epoch IS
'epoch of this database''s IDs in milliseconds since 1970; written by the library only';

SELECT pg_catalog.pg_extension_config_dump('snowflake_horizon', '');
SELECT pg_catalog.pg_extension_config_dump('snowflake_layout_fields', '');
SELECT pg_catalog.pg_extension_config_dump('snowflake_layout_epoch', '');

-- Default privileges may have let others write here, which could make IDs
-- repeat.  All may read: pg_dump needs that, whoever runs it.  The owner of the
-- database may write, since a restore by its owner sets them, and since nobody
-- else's IDs depend on them.
DO $$
DECLARE
	seq pg_catalog.regclass;
	grantee pg_catalog.oid;
BEGIN
	FOREACH seq IN ARRAY ARRAY['snowflake_horizon', 'snowflake_layout_fields', 'snowflake_layout_epoch']::pg_catalog.regclass[] LOOP
		FOR grantee IN
			SELECT DISTINCT a.grantee
			FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
			WHERE c.oid OPERATOR(pg_catalog.=) seq AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
		LOOP
			EXECUTE pg_catalog.format('REVOKE ALL ON SEQUENCE %s FROM %s', seq,
				CASE WHEN grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::pg_catalog.text END);
		END LOOP;
		EXECUTE pg_catalog.format('GRANT SELECT ON SEQUENCE %s TO PUBLIC', seq);
		EXECUTE pg_catalog.format('GRANT UPDATE ON SEQUENCE %s TO pg_database_owner', seq);
	END LOOP;
END
$$;

-- IDs that were made before the extension was dropped and created again stay
-- below the horizon.
CREATE FUNCTION snowflake_horizon_begin() RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_horizon_begin' LANGUAGE C;
SELECT snowflake_horizon_begin();
DROP FUNCTION snowflake_horizon_begin();

CREATE FUNCTION snowflake_reset_horizon(horizon timestamptz)
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_reset_horizon'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_reset_horizon(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION snowflake_reset_horizon(timestamptz) IS
'set the time at which the next IDs of this database begin, also to an earlier one; superuser only';

CREATE FUNCTION snowflake_set_layout()
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_set_layout'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_set_layout() FROM PUBLIC;
COMMENT ON FUNCTION snowflake_set_layout() IS
'make the layout of this server that of this database, where no ID can repeat by it; superuser only';

CREATE FUNCTION snowflake_accept_clock()
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_accept_clock'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_accept_clock() FROM PUBLIC;
COMMENT ON FUNCTION snowflake_accept_clock() IS
'take the clock for right although it jumped forward by more than snowflake.max_jump; superuser only';

--
-- Taking IDs apart and putting them together
--
-- Without a layout: that of the server, which is fixed while it runs, so
-- STABLE.  With a layout: IMMUTABLE, for indexes and generated columns.
--

CREATE FUNCTION snowflake_decode(id bigint,
	OUT created_at timestamptz, OUT datacenter_id integer,
	OUT worker_id integer, OUT node_id integer, OUT sequence integer)
AS 'MODULE_PATHNAME', 'snowflake_decode'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_decode(bigint) IS
'the fields of an ID in the layout of this server';

CREATE FUNCTION snowflake_decode(id bigint, layout text,
	OUT created_at timestamptz, OUT datacenter_id integer,
	OUT worker_id integer, OUT node_id integer, OUT sequence integer)
AS 'MODULE_PATHNAME', 'snowflake_decode'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_decode(bigint, text) IS
'the fields of an ID in the layout given';

CREATE FUNCTION snowflake_timestamp(id bigint)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'snowflake_timestamp'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_timestamp(bigint) IS
'when an ID was made, in the layout of this server';

CREATE FUNCTION snowflake_timestamp(id bigint, layout text)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'snowflake_timestamp'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_timestamp(bigint, text) IS
'when an ID was made, in the layout given';

CREATE FUNCTION snowflake_node(id bigint)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_node'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_node(bigint) IS
'node ID of the server that made an ID, in the layout of this server';

CREATE FUNCTION snowflake_node(id bigint, layout text)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_node'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_node(bigint, text) IS
'node ID of the server that made an ID, in the layout given';

CREATE FUNCTION snowflake_datacenter(id bigint)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_datacenter'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_datacenter(bigint) IS
'datacenter of the server that made an ID, in the layout of this server';

CREATE FUNCTION snowflake_datacenter(id bigint, layout text)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_datacenter'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_datacenter(bigint, text) IS
'datacenter of the server that made an ID, in the layout given';

CREATE FUNCTION snowflake_worker(id bigint)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_worker'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_worker(bigint) IS
'worker that made an ID within its datacenter, in the layout of this server';

CREATE FUNCTION snowflake_worker(id bigint, layout text)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_worker'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_worker(bigint, text) IS
'worker that made an ID within its datacenter, in the layout given';

CREATE FUNCTION snowflake_sequence(id bigint)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_sequence'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_sequence(bigint) IS
'sequence number of an ID within its tick, in the layout of this server';

CREATE FUNCTION snowflake_sequence(id bigint, layout text)
RETURNS integer
AS 'MODULE_PATHNAME', 'snowflake_sequence'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_sequence(bigint, text) IS
'sequence number of an ID within its tick, in the layout given';

CREATE FUNCTION snowflake_encode(created_at timestamptz, node_id integer, sequence integer)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_encode'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_encode(timestamptz, integer, integer) IS
'the ID with these fields in the layout of this server; inverse of snowflake_decode';

CREATE FUNCTION snowflake_encode(created_at timestamptz, node_id integer, sequence integer, layout text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_encode'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_encode(timestamptz, integer, integer, text) IS
'the ID with these fields in the layout given; inverse of snowflake_decode';

CREATE FUNCTION snowflake_lower(instant timestamptz)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_lower'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_lower(timestamptz) IS
'the smallest ID with a time not before the instant, in the layout of this server';

CREATE FUNCTION snowflake_lower(instant timestamptz, layout text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_lower'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_lower(timestamptz, text) IS
'the smallest ID with a time not before the instant, in the layout given';

--
-- Asking by time
--
-- The planner turns snowflake_within and <@@ into comparisons of bigint.
--

CREATE FUNCTION snowflake_first(range tstzrange)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_first'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_first(tstzrange) IS
'the smallest ID with a time in the range, in the layout of this server';

CREATE FUNCTION snowflake_first(range tstzrange, layout text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_first'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_first(tstzrange, text) IS
'the smallest ID with a time in the range, in the layout given';

CREATE FUNCTION snowflake_last(range tstzrange)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_last'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_last(tstzrange) IS
'the largest ID with a time in the range, in the layout of this server';

CREATE FUNCTION snowflake_last(range tstzrange, layout text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_last'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_last(tstzrange, text) IS
'the largest ID with a time in the range, in the layout given';

CREATE FUNCTION snowflake_within_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'snowflake_within_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_within_support(internal) IS
'planner support for snowflake_within';

CREATE FUNCTION snowflake_within(id bigint, range tstzrange)
RETURNS boolean
AS 'MODULE_PATHNAME', 'snowflake_within'
LANGUAGE C STABLE STRICT PARALLEL SAFE
SUPPORT snowflake_within_support;
COMMENT ON FUNCTION snowflake_within(bigint, tstzrange) IS
'whether an ID was made in a range of time, in the layout of this server';

CREATE FUNCTION snowflake_within(id bigint, range tstzrange, layout text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'snowflake_within'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SUPPORT snowflake_within_support;
COMMENT ON FUNCTION snowflake_within(bigint, tstzrange, text) IS
'whether an ID was made in a range of time, in the layout given';

-- The estimators are for what could not be turned into comparisons.
CREATE OPERATOR <@@ (
	FUNCTION = snowflake_within,
	LEFTARG = bigint,
	RIGHTARG = tstzrange,
	RESTRICT = pg_catalog.contsel,
	JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR <@@ (bigint, tstzrange) IS
'whether an ID was made in a range of time, in the layout of this server';

CREATE FUNCTION snowflake_partition_bounds(
	from_time timestamptz, to_time timestamptz, step interval,
	OUT lower_time timestamptz, OUT upper_time timestamptz,
	OUT lower_id bigint, OUT upper_id bigint, OUT bounds text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'snowflake_partition_bounds'
LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION snowflake_partition_bounds(timestamptz, timestamptz, interval) IS
'bounds of partitions by time, in the layout of this server';

CREATE FUNCTION snowflake_partition_bounds(
	from_time timestamptz, to_time timestamptz, step interval, layout text,
	OUT lower_time timestamptz, OUT upper_time timestamptz,
	OUT lower_id bigint, OUT upper_id bigint, OUT bounds text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'snowflake_partition_bounds'
LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION snowflake_partition_bounds(timestamptz, timestamptz, interval, text) IS
'bounds of partitions by time, in the layout given';

--
-- IDs as text, and in JavaScript
--

CREATE FUNCTION snowflake_to_text(id bigint, format text)
RETURNS text
AS 'MODULE_PATHNAME', 'snowflake_to_text'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_to_text(bigint, text) IS
'an ID as text in base62, base58, base36, crockford or hex, which sorts like the ID; with -short behind that: without leading zeros';

CREATE FUNCTION snowflake_from_text(string text, format text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'snowflake_from_text'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_from_text(text, text) IS
'the ID that a text is in base62, base58, base36, crockford or hex, or one of these with -short; inverse of snowflake_to_text';

CREATE FUNCTION snowflake_js_safe(id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'snowflake_js_safe'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_js_safe(bigint) IS
'whether a JavaScript number holds the ID exactly';

--
-- Views
--

CREATE FUNCTION snowflake_layouts(
	OUT name text, OUT origin text, OUT layout text, OUT can_generate boolean,
	OUT ids_per_second bigint, OUT nodes bigint,
	OUT ends_at timestamptz, OUT passes_js_safe_at timestamptz,
	OUT turns_negative_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'snowflake_layouts'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 9;
COMMENT ON FUNCTION snowflake_layouts() IS
'the layouts that have a name; see the view snowflake_layouts';

CREATE VIEW snowflake_layouts AS
	SELECT * FROM snowflake_layouts();
COMMENT ON VIEW snowflake_layouts IS 'the layouts that have a name';
COMMENT ON COLUMN snowflake_layouts.name IS 'for snowflake.layout and for layout arguments';
COMMENT ON COLUMN snowflake_layouts.origin IS 'whose IDs these are';
COMMENT ON COLUMN snowflake_layouts.layout IS 'the same layout in its canonical text form';
COMMENT ON COLUMN snowflake_layouts.can_generate IS 'whether this server could make such IDs; otherwise they can only be decoded';
COMMENT ON COLUMN snowflake_layouts.ids_per_second IS 'how many IDs one node can make in a second';
COMMENT ON COLUMN snowflake_layouts.nodes IS 'how many node IDs there are';
COMMENT ON COLUMN snowflake_layouts.ends_at IS 'when the time field is used up';
COMMENT ON COLUMN snowflake_layouts.passes_js_safe_at IS 'when IDs pass 2^53, from where on a JavaScript number no longer holds them exactly; null: never';
COMMENT ON COLUMN snowflake_layouts.turns_negative_at IS 'when IDs need the sign bit of a bigint; null: never';

CREATE FUNCTION snowflake_status(
	OUT version text, OUT extension_version text, OUT node_id integer, OUT node_source text,
	OUT layout text, OUT pending text,
	OUT last_id_time timestamptz, OUT clock_ahead interval,
	OUT horizon timestamptz, OUT horizon_extensions bigint,
	OUT horizon_time double precision, OUT horizon_raised_at timestamptz,
	OUT ids_issued bigint,
	OUT sequence_waits bigint, OUT sequence_wait_time double precision,
	OUT clock_waits bigint, OUT clock_wait_time double precision,
	OUT lease_waits bigint, OUT lease_wait_time double precision,
	OUT refusals bigint,
	OUT clock_steps_back bigint, OUT largest_clock_step_back interval,
	OUT clock_synchronized boolean, OUT clock_state text,
	OUT clock_estimated_error interval, OUT clock_maximum_error interval,
	OUT stats_since timestamptz,
	OUT lease_state text, OUT lease_claim bigint, OUT lease_left interval,
	OUT lease_fenced bigint, OUT lease_last_error text,
	OUT lease_round_trip interval)
RETURNS record
AS 'MODULE_PATHNAME', 'snowflake_status'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_status() IS
'the state of this server''s generator; see the view snowflake_status';

CREATE VIEW snowflake_status AS
	SELECT s.version, s.extension_version, s.node_id, s.node_source, s.layout,
		nullif(pg_catalog.concat_ws('; ', s.pending,
			(SELECT pg_catalog.string_agg(g.name, '; ' ORDER BY g.name)
				FROM pg_catalog.pg_settings g
				WHERE g.name IN ('snowflake.layout', 'snowflake.epoch') AND g.pending_restart)), '') AS pending,
		s.last_id_time, s.clock_ahead,
		s.horizon, s.horizon_extensions, s.horizon_time, s.horizon_raised_at,
		s.ids_issued, s.sequence_waits, s.sequence_wait_time,
		s.clock_waits, s.clock_wait_time, s.lease_waits, s.lease_wait_time, s.refusals,
		s.clock_steps_back, s.largest_clock_step_back,
		s.clock_synchronized, s.clock_state,
		s.clock_estimated_error, s.clock_maximum_error, s.stats_since,
		s.lease_state, s.lease_claim, s.lease_left, s.lease_fenced, s.lease_last_error, s.lease_round_trip
	FROM snowflake_status() s;
COMMENT ON VIEW snowflake_status IS 'the state of this server''s generator, one row';
COMMENT ON COLUMN snowflake_status.version IS 'version of the library';
COMMENT ON COLUMN snowflake_status.extension_version IS 'version of the SQL objects in this database; another one than that of the library until ALTER EXTENSION snowflake UPDATE';
COMMENT ON COLUMN snowflake_status.node_id IS 'node ID in force; null until an ID is first asked for, or while none is leased';
COMMENT ON COLUMN snowflake_status.node_source IS 'the settings that it came from; lease: from none, a module leases it';
COMMENT ON COLUMN snowflake_status.layout IS 'layout in force';
COMMENT ON COLUMN snowflake_status.pending IS 'what the settings ask for but is only obeyed after a restart; null: nothing';
COMMENT ON COLUMN snowflake_status.last_id_time IS 'time that the generator has come to: that of the last ID, or of a horizon or lease that IDs begin after; null: neither';
COMMENT ON COLUMN snowflake_status.clock_ahead IS 'how far the clock is ahead of last_id_time; negative: behind it';
COMMENT ON COLUMN snowflake_status.horizon IS 'time that is on disk as the bound of this database''s IDs; null: none was made yet; infinity: setval() has set it after all times';
COMMENT ON COLUMN snowflake_status.horizon_extensions IS 'how often a horizon was written, in all databases';
COMMENT ON COLUMN snowflake_status.horizon_time IS 'time spent in that, including waits for the disk, in milliseconds';
COMMENT ON COLUMN snowflake_status.horizon_raised_at IS 'when IDs last had to begin at a horizon from before this server run; null: never';
COMMENT ON COLUMN snowflake_status.ids_issued IS 'IDs made';
COMMENT ON COLUMN snowflake_status.sequence_waits IS 'waits because the sequence of a tick was used up';
COMMENT ON COLUMN snowflake_status.sequence_wait_time IS 'time waited for that, in milliseconds';
COMMENT ON COLUMN snowflake_status.clock_waits IS 'waits because the clock was behind the last ID';
COMMENT ON COLUMN snowflake_status.clock_wait_time IS 'time waited for that, in milliseconds';
COMMENT ON COLUMN snowflake_status.lease_waits IS 'calls that waited for the lease of a node ID';
COMMENT ON COLUMN snowflake_status.lease_wait_time IS 'time waited for that, in milliseconds';
COMMENT ON COLUMN snowflake_status.refusals IS 'calls that failed because of the clock, the capacity or the lease';
COMMENT ON COLUMN snowflake_status.clock_steps_back IS 'how often the clock was seen to be set back';
COMMENT ON COLUMN snowflake_status.largest_clock_step_back IS 'the largest of these steps';
COMMENT ON COLUMN snowflake_status.clock_synchronized IS 'whether the kernel says that its clock is synchronized; null: not known';
COMMENT ON COLUMN snowflake_status.clock_state IS 'state of the clock as adjtimex(2) tells it';
COMMENT ON COLUMN snowflake_status.clock_estimated_error IS 'estimated error of the clock';
COMMENT ON COLUMN snowflake_status.clock_maximum_error IS 'maximum error of the clock';
COMMENT ON COLUMN snowflake_status.stats_since IS 'when the shared memory was initialised and all counters were 0';
COMMENT ON COLUMN snowflake_status.lease_state IS 'off: no module leases the node ID; connecting; claiming: in search of a node ID; held; fenced: lost to another server, in search of a new one; refused: see lease_last_error; released: given back';
COMMENT ON COLUMN snowflake_status.lease_claim IS 'claim number of the lease in force; null: none';
COMMENT ON COLUMN snowflake_status.lease_left IS 'how long IDs can be made if the lease is not extended; null: no lease';
COMMENT ON COLUMN snowflake_status.lease_fenced IS 'how often a lease was lost to another server';
COMMENT ON COLUMN snowflake_status.lease_last_error IS 'what last went wrong with the lease; null: nothing since it was last extended, or the role has not the privileges of pg_read_all_stats';
COMMENT ON COLUMN snowflake_status.lease_round_trip IS 'how long the lease service took to answer the last request';

GRANT SELECT ON snowflake_layouts, snowflake_status TO PUBLIC;

--
-- Moving existing tables over, and back; see doc/migrate.md
--
-- In PL/pgSQL, since all they do is what their caller could type, by the
-- caller's own rights, so PUBLIC may call them.  search_path is set, and what is
-- not in pg_catalog has its schema; the extension's, which can change, is looked
-- up.
--

-- Where the values of a column come from, for the table and each that inherits
-- from it.  origin: 'snowflake', 'sequence' (that the column owns, or the same
-- column of a parent), 'identity always', 'identity by default', 'none',
-- 'generated' or 'other', which expression tells.  sequence: what the column
-- draws from, or will again after snowflake_release(); owned: whether it is the
-- column's own and not a parent's; candidates: how many it was chosen from.
-- earlier: for 'snowflake', the origin that snowflake_release() brings back.
-- indexed: whether an index tells the greatest value.
--
-- STABLE, since it reads the catalogs.  Errors: 22004 an argument is null, 42P01
-- no such relation, 42809 not a table, or a partition, 42703 no such column, 42501
-- the caller does not own one of the tables.
CREATE FUNCTION snowflake_origin(relation regclass, column_name name,
	OUT table_name regclass, OUT origin text, OUT expression text,
	OUT sequence regclass, OUT owned boolean, OUT candidates integer,
	OUT earlier text, OUT indexed boolean)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	next_function text := (
		SELECT d.objid::regprocedure::text
		FROM pg_extension e
			JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND
				d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
			JOIN pg_proc p ON p.oid = d.objid
		WHERE e.extname = 'snowflake' AND p.proname = 'snowflake_next');
	class record;
	member record;
	source record;
BEGIN
	IF relation IS NULL OR column_name IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'relation and column_name must not be null';
	END IF;
	SELECT c.relname, c.relkind, c.relispartition INTO class FROM pg_class c WHERE c.oid = relation;
	IF NOT FOUND THEN
		RAISE undefined_table USING MESSAGE = format('relation with OID %s does not exist', relation::oid);
	ELSIF class.relkind NOT IN ('r', 'p') THEN
		RAISE wrong_object_type USING
			MESSAGE = format('"%s" is not a table', class.relname),
			DETAIL = CASE class.relkind
				WHEN 'v' THEN 'It is a view; its rows take the default of the table under it.'
				WHEN 'm' THEN 'It is a materialized view.'
				WHEN 'f' THEN 'It is a foreign table; what other servers write to it cannot be locked out.'
				WHEN 'S' THEN 'It is a sequence.'
				ELSE 'Only tables have columns with values of their own.' END;
	ELSIF class.relispartition THEN
		RAISE wrong_object_type USING
			MESSAGE = format('table "%s" is a partition', class.relname),
			DETAIL = 'Rows that are inserted into the partitioned table take the default from there.',
			HINT = format('Name %s instead.', pg_partition_root(relation));
	END IF;
	PERFORM FROM pg_attribute a
		WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
	IF NOT FOUND THEN
		RAISE undefined_column USING
			MESSAGE = format('column "%s" of table "%s" does not exist', column_name, class.relname);
	END IF;

	FOR member IN
		WITH RECURSIVE tree (oid, depth) AS (
			SELECT relation::oid, 0
			UNION ALL
			SELECT i.inhrelid, t.depth + 1 FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
		)
		SELECT c.oid, c.relname, c.relkind, c.relowner, a.attnum, a.attidentity, a.attgenerated,
			pg_get_expr(d.adbin, d.adrelid) AS own_default, pg_get_expr(y.typdefaultbin, 0) AS type_default
		FROM (SELECT t.oid, min(t.depth) AS depth FROM tree t GROUP BY t.oid) t
			JOIN pg_class c ON c.oid = t.oid
			JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = column_name
			JOIN pg_type y ON y.oid = a.atttypid
			LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		ORDER BY t.depth, c.oid
	LOOP
		IF NOT pg_has_role(member.relowner, 'USAGE') THEN
			RAISE insufficient_privilege USING MESSAGE = format('must be owner of table %s', member.relname);
		END IF;
		table_name := member.oid;
		-- An identity comes before a default that was inherited.
		expression := CASE WHEN member.attidentity = '' THEN coalesce(member.own_default, member.type_default) END;

		-- The one in the default before all; else the column's own; else that of
		-- the nearest parent, where serials are passed on and identities are not.
		WITH RECURSIVE line (oid, depth) AS (
			SELECT member.oid, 0
			UNION
			SELECT i.inhparent, l.depth + 1 FROM line l JOIN pg_inherits i ON i.inhrelid = l.oid
		), owned_by_line AS (
			SELECT d.objid::regclass AS seq, l.oid AS owner, l.depth, d.deptype = 'i' AS is_identity,
				-- as pg_get_expr() writes it
				expression IS NOT DISTINCT FROM
					'nextval(''' || replace(d.objid::regclass::text, '''', '''''') || '''::regclass)' AS drawn,
				CASE split_part(obj_description(d.objid, 'pg_class'), E'\n', 1)
					WHEN 'snowflake_adopt: GENERATED ALWAYS AS IDENTITY' THEN 'identity always'
					WHEN 'snowflake_adopt: GENERATED BY DEFAULT AS IDENTITY' THEN 'identity by default' END AS kept
			FROM line l
				JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname = column_name
				JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND
					d.refobjsubid = a.attnum AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
				JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
		)
		SELECT o.*, (SELECT pg_catalog.count(*) FROM owned_by_line n WHERE n.owner = o.owner) AS number
			INTO source FROM owned_by_line o
			ORDER BY o.drawn DESC, o.depth > 0, o.is_identity OR o.kept IS NOT NULL, o.depth, o.seq::oid LIMIT 1;
		sequence := source.seq;
		owned := source.depth = 0;
		candidates := coalesce(source.number, 0);

		origin := CASE
			WHEN member.attgenerated <> '' THEN 'generated'
			WHEN member.attidentity = 'a' THEN 'identity always'
			WHEN member.attidentity = 'd' THEN 'identity by default'
			WHEN expression = next_function THEN 'snowflake'
			WHEN source.drawn THEN 'sequence'
			-- A default of NULL is there where it hides that of a domain.
			WHEN expression IS NULL OR expression LIKE 'NULL::%' THEN 'none'
			ELSE 'other' END;
		IF origin = 'snowflake' THEN
			earlier := CASE
				WHEN source.seq IS NULL OR source.is_identity THEN 'none'
				WHEN source.kept IS NULL THEN 'sequence'
				-- A parent's identity is not for the rows of this table.
				WHEN owned THEN source.kept
				ELSE 'none' END;
		ELSE
			earlier := NULL;
		END IF;

		indexed := member.relkind <> 'r' OR EXISTS (
			SELECT FROM pg_index i
				JOIN pg_class c ON c.oid = i.indexrelid
				JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
			WHERE i.indrelid = member.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = member.attnum);
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION snowflake_origin(regclass, name) IS
'where the values of a column come from, for a table and each that inherits from it';

-- Makes snowflake_next() the default of a column and returns the statements that
-- did it, or with dry_run would do it.  No value is changed and nothing is
-- rewritten.  A sequence of the column stays for snowflake_release(); that of an
-- identity column, which goes with the identity, is made anew, with a comment
-- that says what it was.
--
-- Writers are locked out from before the greatest value is read until the
-- transaction ends, so there is none that was not seen, and IDs that are made
-- later are greater than the one it is compared with.  The lock is ACCESS
-- EXCLUSIVE, which ALTER TABLE takes anyway, for the reading of a few pages of an
-- index; where no index tells the greatest value, readers are let in while the
-- table is read.
--
-- VOLATILE, since it changes the table.  Errors: those of snowflake_origin() and
-- snowflake_next(); 22004 dry_run is null; 25001 the transaction is not READ
-- COMMITTED; 42804 the column, or one that refers to it, is not bigint; 42809 a
-- generated column; 55000 another default, several sequences, values
-- that are not below the next ID, no partition for new IDs; 55006 the table was
-- renamed meanwhile; and those of LOCK TABLE and ALTER TABLE.
CREATE FUNCTION snowflake_adopt(relation regclass, column_name name, dry_run boolean DEFAULT false)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
	home text := (SELECT e.extnamespace::regnamespace::text FROM pg_extension e WHERE e.extname = 'snowflake');
	target text := relation::text;
	target_name name := (SELECT c.relname FROM pg_class c WHERE c.oid = relation);
	col text := quote_ident(column_name);
	is_locked boolean := false;
	is_adopted boolean;
	has_index boolean;
	has_partition boolean;
	members regclass[];
	statements text[];
	lines text[];
	line text;
	lock_statement text;
	origin record;
	item record;
	next_id bigint;
	greatest_id bigint;
BEGIN
	IF dry_run IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'dry_run must not be null';
	ELSIF current_setting('transaction_isolation') NOT LIKE 'read %' THEN
		RAISE active_sql_transaction USING
			MESSAGE = 'snowflake_adopt() works in READ COMMITTED transactions only',
			DETAIL = 'In this one, values that were committed before the table was locked may not be visible.';
	END IF;

	-- All is checked before the lock is asked for, and again when it is there.
	LOOP
		members := '{}';
		statements := '{}';
		has_index := true;
		is_adopted := true;
		FOR origin IN
			EXECUTE format('SELECT * FROM %s.snowflake_origin($1, $2)', home) USING relation, column_name
		LOOP
			members := members || origin.table_name;
			has_index := has_index AND origin.indexed;
			is_adopted := is_adopted AND origin.origin = 'snowflake';
			SELECT c.relname, c.relpersistence, c.relowner, a.attnum, a.atttypid,
					t.typname = 'snowflake' AND t.typnamespace::regnamespace::text = home AS is_domain
				INTO STRICT item
				FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
				WHERE c.oid = origin.table_name AND a.attname = column_name;

			IF item.atttypid IN ('int4'::regtype, 'int2'::regtype) THEN
				RAISE datatype_mismatch USING
					MESSAGE = format('column "%s" of table "%s" is of type %s, too narrow for IDs',
						column_name, item.relname, format_type(item.atttypid, NULL)),
					DETAIL = 'Widening it rewrites the table and its indexes under an ACCESS EXCLUSIVE lock.',
					HINT = format('ALTER TABLE %s ALTER COLUMN %s TYPE bigint;', target, col);
			ELSIF item.atttypid <> 'int8'::regtype AND NOT item.is_domain THEN
				RAISE datatype_mismatch USING
					MESSAGE = format('column "%s" of table "%s" is of type %s, not bigint',
						column_name, item.relname, format_type(item.atttypid, NULL));
			ELSIF origin.origin = 'generated' THEN
				RAISE wrong_object_type USING
					MESSAGE = format('column "%s" of table "%s" is a generated column', column_name, item.relname);
			ELSIF origin.origin = 'other' THEN
				RAISE object_not_in_prerequisite_state USING
					MESSAGE = format('column "%s" of table "%s" has another default', column_name, item.relname),
					DETAIL = format('The default is %s.', origin.expression),
					HINT = coalesce(
						(SELECT format('Where the sequence serves this column only: ALTER SEQUENCE %s OWNED BY %s.%s; otherwise: ',
								d.refobjid::regclass, origin.table_name, col)
							FROM pg_attrdef f
								JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND
									d.refclassid = 'pg_class'::regclass
								JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
							WHERE f.adrelid = origin.table_name AND f.adnum = item.attnum AND
								origin.expression LIKE 'nextval(''%''::regclass)'
							LIMIT 1), '') ||
						format('ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;', origin.table_name, col);
			ELSIF origin.origin <> 'snowflake' AND origin.candidates > 1 THEN
				RAISE object_not_in_prerequisite_state USING
					MESSAGE = format('column "%s" of table "%s" owns several sequences', column_name, item.relname),
					DETAIL = 'snowflake_release() could not tell which to return to.',
					HINT = 'ALTER SEQUENCE ... OWNED BY NONE;';
			END IF;

			-- Where the sequence is a parent's, the identity is dropped there.
			IF origin.origin LIKE 'identity %' AND origin.owned THEN
				EXECUTE format('SELECT format(''SELECT pg_catalog.setval(%%L, %%s, %%s)'', $1, last_value, is_called::text) FROM %s',
					origin.sequence) INTO line USING origin.sequence;
				statements := statements ||
					format('ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY', origin.table_name, col) ||
					(SELECT format('CREATE %sSEQUENCE %s AS bigint INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
							CASE item.relpersistence WHEN 't' THEN 'TEMPORARY ' WHEN 'u' THEN 'UNLOGGED ' END,
							origin.sequence, s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache,
							CASE WHEN s.seqcycle THEN ' CYCLE' END)
						FROM pg_sequence s WHERE s.seqrelid = origin.sequence) ||
					CASE WHEN item.relowner <> quote_ident(current_user)::regrole THEN
						ARRAY[format('ALTER SEQUENCE %s OWNER TO %s', origin.sequence, item.relowner::regrole)]
					END ||
					format('ALTER SEQUENCE %s OWNED BY %s.%s', origin.sequence, origin.table_name, col) ||
					line ||
					ARRAY(SELECT format('GRANT %s ON SEQUENCE %s TO %s%s', g.privilege_type, origin.sequence,
								CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
								CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
							FROM pg_class s, aclexplode(s.relacl) g
							WHERE s.oid = origin.sequence AND g.grantee <> s.relowner
							ORDER BY 1) ||
					format('COMMENT ON SEQUENCE %s IS %L', origin.sequence,
						concat_ws(E'\n', format('snowflake_adopt: GENERATED %s AS IDENTITY', upper(substr(origin.origin, 10))),
							obj_description(origin.sequence, 'pg_class')));
			END IF;
		END LOOP;

		IF is_adopted THEN
			RAISE NOTICE USING
				MESSAGE = format('column "%s" of table "%s" takes snowflake IDs already', column_name, target_name);
			RETURN;
		END IF;

		-- New IDs would not fit into a narrower column that refers to this one,
		-- or to one that does.
		FOR item IN
			WITH RECURSIVE ref (tab, col, tab_to, col_to) AS (
				SELECT a.attrelid, a.attnum, NULL::oid, NULL::int2
				FROM pg_attribute a WHERE a.attrelid = ANY (members) AND a.attname = column_name
				UNION
				SELECT k.conrelid, u.col, r.tab, r.col
				FROM ref r JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = r.tab
					CROSS JOIN unnest(k.conkey, k.confkey) AS u (col, col_to)
				WHERE u.col_to = r.col
			)
			SELECT r.tab::regclass AS tab, c.relname, a.attname, format_type(a.atttypid, NULL) AS type,
				ct.relname AS relname_to, at.attname AS attname_to
			FROM ref r
				JOIN pg_class c ON c.oid = r.tab JOIN pg_attribute a ON a.attrelid = r.tab AND a.attnum = r.col
				JOIN pg_class ct ON ct.oid = r.tab_to JOIN pg_attribute at ON at.attrelid = r.tab_to AND at.attnum = r.col_to
			WHERE a.attlen IN (2, 4)
			ORDER BY c.relispartition, ct.relispartition, r.tab, r.col
		LOOP
			RAISE datatype_mismatch USING
				MESSAGE = format('column "%s" of table "%s" is of type %s, too narrow for IDs', item.attname, item.relname, item.type),
				DETAIL = format('It refers to column "%s" of table "%s".', item.attname_to, item.relname_to),
				HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', item.tab, item.attname);
		END LOOP;

		-- Also says what keeps this server from making IDs.
		EXECUTE format('SELECT %s.snowflake_next()', home) INTO next_id;

		-- Where the column alone decides on the partition, one must take IDs.
		IF EXISTS (SELECT FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid
			WHERE p.partrelid = relation AND p.partstrat IN ('r', 'l') AND p.partdefid = 0 AND
				p.partattrs::text = a.attnum::text AND a.attname = column_name)
		THEN
			EXECUTE (SELECT format('SELECT %s FROM (SELECT $1 AS %s) id',
						coalesce(string_agg(format('(%s)', pg_get_partition_constraintdef(i.inhrelid)), ' OR '), 'false'), col)
					FROM pg_inherits i WHERE i.inhparent = relation)
				INTO has_partition USING next_id;
			IF NOT has_partition THEN
				RAISE object_not_in_prerequisite_state USING
					MESSAGE = format('table "%s" has no partition for new IDs', target_name),
					DETAIL = format('The next ID is %s.', next_id),
					HINT = 'Add a partition that begins there, or a default partition.';
			END IF;
		END IF;

		EXIT WHEN is_locked;
		lock_statement := format('LOCK TABLE %s IN %s MODE', target,
			CASE WHEN has_index THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END);
		EXIT WHEN dry_run;
		EXECUTE lock_statement;
		is_locked := true;
		IF relation::text <> target THEN
			RAISE object_in_use USING MESSAGE = format('table %s was renamed meanwhile', target);
		END IF;
	END LOOP;

	EXECUTE format('SELECT pg_catalog.max(%s) FROM %s', col, target) INTO greatest_id;
	IF greatest_id >= next_id THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('column "%s" of table "%s" has values that are not below the next ID', column_name, target_name),
			DETAIL = format('The greatest value is %s, the next ID is %s.', greatest_id, next_id),
			HINT = 'If they are IDs of another kind, this server may need a layout that continues them.';
	END IF;

	lines := ARRAY[lock_statement];
	IF NOT has_index THEN
		lines := lines ||
			format('-- no index tells the greatest value: writers wait while %s are read',
				(SELECT pg_size_pretty(sum(pg_relation_size(m))) FROM unnest(members) m)) ||
			format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', target);
	END IF;
	lines := lines || CASE WHEN greatest_id IS NULL THEN '-- there are no values yet'
			ELSE format('-- the greatest value is %s, below the next ID', greatest_id) END ||
		statements || format('ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s.snowflake_next()', target, col, home);
	FOR i IN 1..cardinality(lines) LOOP
		line := lines[i] || CASE WHEN lines[i] LIKE '--%' THEN '' ELSE ';' END;
		IF i > 1 AND NOT dry_run THEN
			EXECUTE line;
		END IF;
		RETURN NEXT line;
	END LOOP;
END
$$;
COMMENT ON FUNCTION snowflake_adopt(regclass, name, boolean) IS
'make snowflake_next() the default of a column; returns what it does, with dry_run without doing it';

-- Takes snowflake_next() away from a column and gives it back what it had: the
-- sequence that it owns, as a serial or as the identity that it was, or no
-- default.  Values stay as they are.  The sequence goes on above the greatest of
-- them, in steps of its increment from where it stood; with a negative increment,
-- below the smallest.  Returns the statements, as snowflake_adopt() does, and
-- locks as it does.
--
-- VOLATILE, since it changes the table.  Errors: those of snowflake_origin();
-- 22004 dry_run is null; 25001 the transaction is not READ COMMITTED; 55000
-- several sequences, or one that ends before the next value; 55006 the table was
-- renamed meanwhile; and those of LOCK TABLE and ALTER TABLE.
CREATE FUNCTION snowflake_release(relation regclass, column_name name, dry_run boolean DEFAULT false)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
	home text := (SELECT e.extnamespace::regnamespace::text FROM pg_extension e WHERE e.extname = 'snowflake');
	target text := relation::text;
	target_name name := (SELECT c.relname FROM pg_class c WHERE c.oid = relation);
	col text := quote_ident(column_name);
	only_this text := CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN 'ONLY ' END;
	is_locked boolean := false;
	is_released boolean;
	has_index boolean;
	members regclass[];
	identities regclass[];
	serials regclass[];
	statements text[];
	lines text[];
	line text;
	lock_statement text;
	origin record;
	seq record;
	smallest_id bigint;
	greatest_id bigint;
	next_value numeric;
	is_moved boolean;
BEGIN
	IF dry_run IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'dry_run must not be null';
	ELSIF current_setting('transaction_isolation') NOT LIKE 'read %' THEN
		RAISE active_sql_transaction USING
			MESSAGE = 'snowflake_release() works in READ COMMITTED transactions only',
			DETAIL = 'In this one, values that were committed before the table was locked may not be visible.';
	END IF;

	LOOP
		members := '{}';
		identities := '{}';
		serials := '{}';
		statements := '{}';
		has_index := true;
		is_released := true;
		FOR origin IN
			EXECUTE format('SELECT * FROM %s.snowflake_origin($1, $2)', home) USING relation, column_name
		LOOP
			members := members || origin.table_name;
			has_index := has_index AND origin.indexed;
			CONTINUE WHEN origin.origin <> 'snowflake';
			is_released := false;
			IF origin.candidates > 1 THEN
				RAISE object_not_in_prerequisite_state USING
					MESSAGE = format('column "%s" of table "%s" owns several sequences', column_name, target_name),
					DETAIL = 'Which of them its values came from is not known.',
					HINT = 'ALTER SEQUENCE ... OWNED BY NONE;';
			END IF;
			IF origin.earlier = 'sequence' THEN
				line := format('SET DEFAULT pg_catalog.nextval(%L::pg_catalog.regclass)', origin.sequence);
				IF origin.sequence <> ALL (serials) THEN
					serials := serials || origin.sequence;
				END IF;
			ELSE
				-- NULL is a default where that of a domain would come through.
				SELECT CASE WHEN t.typdefaultbin IS NULL THEN 'DROP DEFAULT' ELSE 'SET DEFAULT NULL' END INTO line
					FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
					WHERE a.attrelid = origin.table_name AND a.attname = column_name;
				IF origin.earlier <> 'none' THEN
					identities := identities || origin.sequence;
				END IF;
			END IF;
			statements := statements || format('ALTER TABLE %s%s ALTER COLUMN %s %s', only_this, origin.table_name, col, line);
		END LOOP;

		IF is_released THEN
			RAISE NOTICE USING
				MESSAGE = format('column "%s" of table "%s" does not take snowflake IDs', column_name, target_name);
			RETURN;
		END IF;

		EXIT WHEN is_locked;
		lock_statement := format('LOCK TABLE %s IN %s MODE', target,
			CASE WHEN has_index THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END);
		EXIT WHEN dry_run;
		EXECUTE lock_statement;
		is_locked := true;
		IF relation::text <> target THEN
			RAISE object_in_use USING MESSAGE = format('table %s was renamed meanwhile', target);
		END IF;
	END LOOP;

	EXECUTE format('SELECT pg_catalog.min(%s), pg_catalog.max(%1$s) FROM %2$s', col, target) INTO smallest_id, greatest_id;

	FOR seq IN
		SELECT s.seqrelid, s.seqrelid::regclass AS name, s.seqstart, s.seqincrement AS increment, s.seqcache, s.seqcycle, s.seqtypid,
			s.seqmin, s.seqmax, c.relname, c.relowner, c.relacl,
			d.refobjid::regclass AS of_table, obj_description(c.oid, 'pg_class') AS comment,
			s.seqrelid = ANY (identities) AS is_identity
		FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
			JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND
				d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
		WHERE s.seqrelid = ANY (identities || serials)
		ORDER BY array_position(identities || serials, s.seqrelid::regclass)
	LOOP
		EXECUTE format('SELECT CASE WHEN is_called THEN last_value + $1::numeric ELSE last_value END FROM %s', seq.name)
			INTO next_value USING seq.increment;
		is_moved := CASE WHEN seq.increment > 0 THEN greatest_id >= next_value ELSE smallest_id <= next_value END;
		IF is_moved THEN
			next_value := next_value + seq.increment *
				(div(CASE WHEN seq.increment > 0 THEN greatest_id ELSE smallest_id END - next_value, seq.increment) + 1);
		END IF;

		IF seq.seqtypid <> 'int8'::regtype THEN
			-- It is of a serial column that was widened; its limits go with it.
			statements := statements || format('ALTER SEQUENCE %s AS bigint', seq.name);
			IF seq.seqmax = (CASE seq.seqtypid WHEN 'int4'::regtype THEN 2147483647 ELSE 32767 END) THEN
				seq.seqmax := 9223372036854775807;
			END IF;
			IF seq.seqmin = (CASE seq.seqtypid WHEN 'int4'::regtype THEN -2147483648 ELSE -32768 END) THEN
				seq.seqmin := -9223372036854775808;
			END IF;
		END IF;
		IF next_value NOT BETWEEN seq.seqmin AND seq.seqmax THEN
			RAISE object_not_in_prerequisite_state USING
				MESSAGE = format('sequence "%s" ends before its next value', seq.relname),
				DETAIL = format('The next value is %s, and the sequence goes from %s to %s.', next_value, seq.seqmin, seq.seqmax),
				HINT = format('ALTER SEQUENCE %s NO MINVALUE NO MAXVALUE;', seq.name);
		END IF;

		IF seq.is_identity THEN
			is_moved := next_value <> seq.seqstart;
			statements := statements ||
				format('DROP SEQUENCE %s', seq.name) ||
				format('ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s)',
					seq.of_table, col, CASE WHEN seq.comment LIKE 'snowflake_adopt: GENERATED ALWAYS %' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
					seq.name, seq.increment, seq.seqmin, seq.seqmax, seq.seqstart, seq.seqcache, CASE WHEN seq.seqcycle THEN ' CYCLE' END) ||
				ARRAY(SELECT format('GRANT %s ON SEQUENCE %s TO %s%s', g.privilege_type, seq.name,
							CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
							CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
						FROM aclexplode(seq.relacl) g
						WHERE g.grantee <> seq.relowner
						ORDER BY 1) ||
				CASE WHEN strpos(seq.comment, E'\n') > 0 THEN
					ARRAY[format('COMMENT ON SEQUENCE %s IS %L', seq.name, substr(seq.comment, strpos(seq.comment, E'\n') + 1))]
				END;
		END IF;
		IF is_moved THEN
			statements := statements || format('ALTER SEQUENCE %s RESTART WITH %s', seq.name, next_value);
		END IF;
	END LOOP;

	lines := ARRAY[lock_statement];
	IF NOT has_index THEN
		lines := lines ||
			format('-- no index tells the greatest value: writers wait while %s are read',
				(SELECT pg_size_pretty(sum(pg_relation_size(m))) FROM unnest(members) m)) ||
			format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', target);
	END IF;
	lines := lines || statements;
	FOR i IN 1..cardinality(lines) LOOP
		line := lines[i] || CASE WHEN lines[i] LIKE '--%' THEN '' ELSE ';' END;
		IF i > 1 AND NOT dry_run THEN
			EXECUTE line;
		END IF;
		RETURN NEXT line;
	END LOOP;
END
$$;
COMMENT ON FUNCTION snowflake_release(regclass, name, boolean) IS
'give a column back what it had before snowflake_adopt(); returns what it does, with dry_run without doing it';
