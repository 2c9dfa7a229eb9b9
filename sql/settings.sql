--
-- The settings: what they are, and that no session can change them.
--
SELECT name, vartype, unit, context, min_val, max_val, boot_val
	FROM pg_settings WHERE name LIKE 'snowflake.%' ORDER BY name COLLATE "C";
SELECT count(*) FILTER (WHERE short_desc ~ '^[A-Z].*[.]$') AS described,
	count(*) FILTER (WHERE extra_desc ~ '^[A-Z].*[.]$') AS explained, count(*)
	FROM pg_settings WHERE name LIKE 'snowflake.%';

-- Anybody may read them
CREATE ROLE regress_snowflake_user;
CREATE ROLE regress_snowflake_granted;
SET ROLE regress_snowflake_user;
SELECT count(current_setting(name)) = count(*) AS readable FROM pg_settings WHERE name LIKE 'snowflake.%';
RESET ROLE;

-- No session can change one, nor have it changed for later ones.  Each value
-- is one that the setting would take.
CREATE VIEW attempts AS
	SELECT name, pattern, replace(replace(replace(pattern,
			'%NAME', name),
			'%VALUE', CASE name WHEN 'snowflake.layout' THEN 'leaf' WHEN 'snowflake.epoch' THEN '2020-01-01' ELSE '3' END),
			'%DATABASE', quote_ident(current_database())) AS statement
	FROM pg_settings, (VALUES
		('SET %NAME = ''%VALUE'''),
		('SET LOCAL %NAME = ''%VALUE'''),
		('SET %NAME TO DEFAULT'),
		('RESET %NAME'),
		('SELECT set_config(''%NAME'', ''%VALUE'', false)'),
		('SELECT set_config(''%NAME'', ''%VALUE'', true)'),
		('UPDATE pg_settings SET setting = ''%VALUE'' WHERE name = ''%NAME'''),
		('ALTER ROLE CURRENT_USER SET %NAME = ''%VALUE'''),
		('ALTER ROLE CURRENT_USER IN DATABASE %DATABASE SET %NAME = ''%VALUE'''),
		('ALTER ROLE ALL SET %NAME = ''%VALUE'''),
		('ALTER DATABASE %DATABASE SET %NAME = ''%VALUE'''),
		('CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql SET %NAME = ''%VALUE'' AS ''SELECT 1''')) v (pattern)
	WHERE name LIKE 'snowflake.%';
CREATE VIEW attempted AS
	SELECT pattern, state, count(*) AS settings
	FROM attempts, error_of(statement)
	GROUP BY pattern, state;
CREATE TEMP TABLE before AS SELECT name, setting FROM pg_settings;
GRANT SELECT ON attempts, attempted TO PUBLIC;
SELECT * FROM attempted ORDER BY pattern COLLATE "C", state;
SET ROLE regress_snowflake_user;
SELECT * FROM attempted ORDER BY pattern COLLATE "C", state;
RESET ROLE;

SET snowflake.node_id = 3;
SET snowflake.layout = 'leaf';

-- Not even with the right to set them granted
DO $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT s.name FROM pg_settings s WHERE s.name LIKE 'snowflake.%' LOOP
		EXECUTE format('GRANT SET ON PARAMETER %s TO regress_snowflake_granted', name);
	END LOOP;
END
$$;
SET ROLE regress_snowflake_granted;
SELECT state, sum(settings) AS attempts FROM attempted GROUP BY state ORDER BY state;
RESET ROLE;
SELECT count(*) AS changed FROM pg_settings JOIN before USING (name)
	WHERE name LIKE 'snowflake.%' AND pg_settings.setting IS DISTINCT FROM before.setting;
SELECT count(*) AS kept FROM pg_db_role_setting WHERE setconfig::text LIKE '%snowflake.%';

-- Nor change the configuration, but for a superuser
SET ROLE regress_snowflake_user;
\set VERBOSITY sqlstate
ALTER SYSTEM SET snowflake.node_id = 3;
ALTER SYSTEM SET snowflake.layout = 'leaf';
ALTER SYSTEM RESET snowflake.node_id;
RESET ROLE;

-- Values that cannot be are not let into the configuration
ALTER SYSTEM SET snowflake.node_id = -2;
ALTER SYSTEM SET snowflake.node_id = 2147483648;
ALTER SYSTEM SET snowflake.node_id = 'one';
ALTER SYSTEM SET snowflake.datacenter_id = -2;
ALTER SYSTEM SET snowflake.worker_id = -2;
ALTER SYSTEM SET snowflake.max_lead = -1;
ALTER SYSTEM SET snowflake.max_lead = '25h';
ALTER SYSTEM SET snowflake.max_wait = -1;
ALTER SYSTEM SET snowflake.max_wait = '25h';
ALTER SYSTEM SET snowflake.max_wait = '2 kB';
ALTER SYSTEM SET snowflake.max_jump = -1;
ALTER SYSTEM SET snowflake.sequence_start = -1;
\set VERBOSITY default
ALTER SYSTEM SET snowflake.layout = 'twiter';
ALTER SYSTEM SET snowflake.layout = '';
ALTER SYSTEM SET snowflake.layout = 'time:41 node:10';
ALTER SYSTEM SET snowflake.layout = 'time:41 sequence:12';
ALTER SYSTEM SET snowflake.layout = 'time:41 node:10 sequence:13';
ALTER SYSTEM SET snowflake.layout = 'time:41 node:10 sequence:8 tail:4';
ALTER SYSTEM SET snowflake.layout = 'discord';
ALTER SYSTEM SET snowflake.layout = 'mastodon';
ALTER SYSTEM SET snowflake.epoch = '9999-12-31';
ALTER SYSTEM SET snowflake.epoch = '1969-12-31';
ALTER SYSTEM SET snowflake.epoch = '2024-02-30';
ALTER SYSTEM SET snowflake.epoch = 'yesterday';
ALTER SYSTEM SET snowflake.epoch = '1288834974657';

-- A mistyped name is no new setting
SET snowflake.nodee = 3;
SELECT set_config('snowflake.nodee', '3', false);
SHOW snowflake.nodee;

-- Forgetting the session's settings changes nothing
RESET ALL;
DISCARD ALL;
SELECT snowflake_node(snowflake_next()) = node_id AS node FROM snowflake_status;

DROP VIEW attempted, attempts;
DROP OWNED BY regress_snowflake_granted;
DROP ROLE regress_snowflake_granted;
DROP ROLE regress_snowflake_user;
