/* sql/snowflake_zookeeper--1.0.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION snowflake_zookeeper" to load this file. \quit

CREATE FUNCTION snowflake_nodes(
	OUT node_id integer, OUT host text, OUT port integer, OUT version text,
	OUT since timestamptz, OUT horizon_left interval,
	OUT clock_offset interval, OUT clock_error interval,
	OUT leader boolean, OUT report text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'snowflake_nodes'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 20;
REVOKE ALL ON FUNCTION snowflake_nodes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION snowflake_nodes() TO pg_monitor;
COMMENT ON FUNCTION snowflake_nodes() IS
'the live servers of the cluster; see the view snowflake_nodes';

CREATE VIEW snowflake_nodes AS
	SELECT n.node_id, n.host, n.port, n.since, n.horizon_left,
		n.clock_offset, n.clock_error, n.version, n.leader, n.report
	FROM snowflake_nodes() n;
COMMENT ON VIEW snowflake_nodes IS 'the live servers of the cluster that lease their node IDs from ZooKeeper, as this server last read it there';
COMMENT ON COLUMN snowflake_nodes.node_id IS 'node ID that the server holds';
COMMENT ON COLUMN snowflake_nodes.host IS 'name of its machine; null, like what follows: its record could not be read';
COMMENT ON COLUMN snowflake_nodes.port IS 'port that it listens on';
COMMENT ON COLUMN snowflake_nodes.since IS 'since when it has the node ID, by its own clock';
COMMENT ON COLUMN snowflake_nodes.horizon_left IS 'how long its lease lasts if it is not extended, by the clock of the server that is asked; null: it has just claimed one';
COMMENT ON COLUMN snowflake_nodes.clock_offset IS 'how far its clock was ahead of ZooKeeper''s when it last extended its lease';
COMMENT ON COLUMN snowflake_nodes.clock_error IS 'by how much that may be wrong, either way';
COMMENT ON COLUMN snowflake_nodes.version IS 'version of its library snowflake';
COMMENT ON COLUMN snowflake_nodes.leader IS 'whether it leads the cluster';
COMMENT ON COLUMN snowflake_nodes.report IS 'what the leader has to say about node IDs that run out or are long unheld and about clocks; null: nothing';
GRANT SELECT ON snowflake_nodes TO pg_monitor;

CREATE FUNCTION snowflake_zookeeper_ledger(
	OUT node_id integer, OUT claim bigint, OUT owner text,
	OUT low timestamptz, OUT high timestamptz,
	OUT held boolean, OUT retired boolean, OUT modified timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'snowflake_zookeeper_ledger'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 100;
REVOKE ALL ON FUNCTION snowflake_zookeeper_ledger() FROM PUBLIC;
COMMENT ON FUNCTION snowflake_zookeeper_ledger() IS
'what ZooKeeper has about each node ID that was ever claimed; superuser only';

CREATE FUNCTION snowflake_zookeeper_retire(node_id integer, retired boolean DEFAULT true)
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_zookeeper_retire'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_zookeeper_retire(integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION snowflake_zookeeper_retire(integer, boolean) IS
'keep a node ID that nobody holds from being claimed, or with false let it be claimed again; superuser only';

CREATE FUNCTION snowflake_zookeeper_release()
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_zookeeper_release'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_zookeeper_release() FROM PUBLIC;
COMMENT ON FUNCTION snowflake_zookeeper_release() IS
'give the node ID of this server back and make no more IDs until snowflake_zookeeper_claim() or a restart; superuser only';

CREATE FUNCTION snowflake_zookeeper_claim()
RETURNS void
AS 'MODULE_PATHNAME', 'snowflake_zookeeper_claim'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION snowflake_zookeeper_claim() FROM PUBLIC;
COMMENT ON FUNCTION snowflake_zookeeper_claim() IS
'claim a node ID again after snowflake_zookeeper_release(); superuser only';
