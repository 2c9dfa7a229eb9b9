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
				CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::pg_catalog.regrole::pg_catalog.text END);
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
	OUT version text, OUT node_id integer, OUT node_source text,
	OUT layout text, OUT pending text,
	OUT last_id_time timestamptz, OUT clock_ahead interval,
	OUT horizon timestamptz, OUT horizon_extensions bigint,
	OUT horizon_time double precision, OUT horizon_raised_at timestamptz,
	OUT ids_issued bigint,
	OUT sequence_waits bigint, OUT sequence_wait_time double precision,
	OUT clock_waits bigint, OUT clock_wait_time double precision,
	OUT refusals bigint,
	OUT clock_steps_back bigint, OUT largest_clock_step_back interval,
	OUT clock_synchronized boolean, OUT clock_state text,
	OUT clock_estimated_error interval, OUT clock_maximum_error interval,
	OUT stats_since timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'snowflake_status'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION snowflake_status() IS
'the state of this server''s generator; see the view snowflake_status';

CREATE VIEW snowflake_status AS
	SELECT s.version, s.node_id, s.node_source, s.layout,
		nullif(pg_catalog.concat_ws('; ', s.pending,
			(SELECT pg_catalog.string_agg(g.name, '; ' ORDER BY g.name)
				FROM pg_catalog.pg_settings g
				WHERE g.name IN ('snowflake.layout', 'snowflake.epoch') AND g.pending_restart)), '') AS pending,
		s.last_id_time, s.clock_ahead,
		s.horizon, s.horizon_extensions, s.horizon_time, s.horizon_raised_at,
		s.ids_issued, s.sequence_waits, s.sequence_wait_time,
		s.clock_waits, s.clock_wait_time, s.refusals,
		s.clock_steps_back, s.largest_clock_step_back,
		s.clock_synchronized, s.clock_state,
		s.clock_estimated_error, s.clock_maximum_error, s.stats_since
	FROM snowflake_status() s;
COMMENT ON VIEW snowflake_status IS 'the state of this server''s generator, one row';
COMMENT ON COLUMN snowflake_status.version IS 'version of the library';
COMMENT ON COLUMN snowflake_status.node_id IS 'node ID in force; null until the first ID is made';
COMMENT ON COLUMN snowflake_status.node_source IS 'the settings that it came from';
COMMENT ON COLUMN snowflake_status.layout IS 'layout in force';
COMMENT ON COLUMN snowflake_status.pending IS 'what the settings ask for but is only obeyed after a restart; null: nothing';
COMMENT ON COLUMN snowflake_status.last_id_time IS 'time of the last ID; null: none was made yet';
COMMENT ON COLUMN snowflake_status.clock_ahead IS 'how far the clock is ahead of the last ID; negative: behind it';
COMMENT ON COLUMN snowflake_status.horizon IS 'time that is on disk as the bound of this database''s IDs; null: none was made yet';
COMMENT ON COLUMN snowflake_status.horizon_extensions IS 'how often a horizon was written, in all databases';
COMMENT ON COLUMN snowflake_status.horizon_time IS 'time spent in that, including waits for the disk, in milliseconds';
COMMENT ON COLUMN snowflake_status.horizon_raised_at IS 'when IDs last had to begin at a horizon from before this server run; null: never';
COMMENT ON COLUMN snowflake_status.ids_issued IS 'IDs made';
COMMENT ON COLUMN snowflake_status.sequence_waits IS 'waits because the sequence of a tick was used up';
COMMENT ON COLUMN snowflake_status.sequence_wait_time IS 'time waited for that, in milliseconds';
COMMENT ON COLUMN snowflake_status.clock_waits IS 'waits because the clock was behind the last ID';
COMMENT ON COLUMN snowflake_status.clock_wait_time IS 'time waited for that, in milliseconds';
COMMENT ON COLUMN snowflake_status.refusals IS 'calls that failed because of the clock or the capacity';
COMMENT ON COLUMN snowflake_status.clock_steps_back IS 'how often the clock was seen to be set back';
COMMENT ON COLUMN snowflake_status.largest_clock_step_back IS 'the largest of these steps';
COMMENT ON COLUMN snowflake_status.clock_synchronized IS 'whether the kernel says that its clock is synchronized; null: not known';
COMMENT ON COLUMN snowflake_status.clock_state IS 'state of the clock as adjtimex(2) tells it';
COMMENT ON COLUMN snowflake_status.clock_estimated_error IS 'estimated error of the clock';
COMMENT ON COLUMN snowflake_status.clock_maximum_error IS 'maximum error of the clock';
COMMENT ON COLUMN snowflake_status.stats_since IS 'when the shared memory was initialised and all counters were 0';

GRANT SELECT ON snowflake_layouts, snowflake_status TO PUBLIC;
