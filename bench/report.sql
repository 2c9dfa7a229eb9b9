-- The figures of a run, from its samples.
--
-- Where two things are compared, each round gives one ratio: what else the
-- machine did in that round touched both.

\set ON_ERROR_STOP on

CREATE TABLE bench.sample (round integer, what text, value float8);

CREATE TABLE bench.fact (
	nr integer GENERATED ALWAYS AS IDENTITY,
	name text,
	value text
);

CREATE TABLE bench.figure (
	nr integer GENERATED ALWAYS AS IDENTITY,
	section text,
	title text,
	what text,
	over text,					-- divided by this, where given
	unit text,
	digits integer,
	comparison text,			-- <=, < or >=, or NULL where nothing is asked
	asked float8
);

INSERT INTO bench.figure (section, title, what, over, unit, digits, comparison, asked) VALUES
	('Cost of a call, wide layout', 'snowflake_next / clock_timestamp', 'snowflake_next', 'clock_timestamp', 'x', 3, '<=', 1.10),
	('Cost of a call, wide layout', 'snowflake_next / constant C function', 'snowflake_next', 'constant', 'x', 3, '<=', 1.35),
	('Cost of a call, wide layout', 'snowflake_next / nextval, CACHE 1', 'snowflake_next', 'nextval, CACHE 1', 'x', 3, '<=', 0.5),
	('Cost of a call, wide layout', 'snowflake_next / nextval, CACHE 1000', 'snowflake_next', 'nextval, CACHE 1000', 'x', 3, '<=', 0.9),
	('Cost of a call, wide layout', 'snowflake_next / gen_random_uuid', 'snowflake_next', 'gen_random_uuid', 'x', 3, '<=', 0.15),
	('Cost of a call, wide layout', 'constant C function', 'constant', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'clock_timestamp', 'clock_timestamp', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'snowflake_next', 'snowflake_next', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'snowflake_next_batch, per ID', 'snowflake_next_batch', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'nextval, CACHE 1', 'nextval, CACHE 1', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'nextval, CACHE 1000', 'nextval, CACHE 1000', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'gen_random_uuid', 'gen_random_uuid', NULL, 'ns', 1, NULL, NULL),
	('Cost of a call, wide layout', 'Instagram PL/pgSQL', 'Instagram PL/pgSQL', NULL, 'ns', 1, NULL, NULL),
	('Default layout, share of 4,096 IDs per ms', '1 client', 'share 1', NULL, '%', 2, '>=', 98.5),
	('Default layout, share of 4,096 IDs per ms', '8 clients', 'share 8', NULL, '%', 2, '>=', 99.5),
	('Default layout, share of 4,096 IDs per ms', '64 clients', 'share 64', NULL, '%', 2, '>=', 99.5),
	('Default layout, share of 4,096 IDs per ms', '1 client, cores busy', 'cores 1', NULL, 'cores', 2, '<=', 0.6),
	('Default layout, share of 4,096 IDs per ms', '8 clients, cores busy', 'cores 8', NULL, 'cores', 2, '<=', 1.2),
	('Default layout, share of 4,096 IDs per ms', '64 clients, cores busy', 'cores 64', NULL, 'cores', 2, '<=', 1.2),
	-- Equal speed is asked; 5 % is what the machine's noise may be taken for.
	('Default layout, max_lead = 1s, a burst', '3 million IDs, time / wide layout', 'burst default', 'burst wide', 'x', 3, '<=', 1.05),
	('Default layout, max_lead = 1s, a burst', '3 million IDs', 'burst default', NULL, 'ns per ID', 1, NULL, NULL),
	('Default layout, max_lead = 1s, a burst', '3 million IDs, wide layout', 'burst wide', NULL, 'ns per ID', 1, NULL, NULL),
	('Default layout, max_lead = 1s, a burst', '3 million IDs, furthest ahead of the clock', 'ahead default', NULL, 'ms', 1, '<=', 1000),
	('Default layout, max_lead = 1s, a burst', '8 million IDs, furthest ahead of the clock', 'ahead long', NULL, 'ms', 1, '<=', 1000),
	('pgbench, 8 clients, 1,000 IDs per statement', 'snowflake_next / nextval, CACHE 1', 'tps snowflake_next', 'tps nextval', 'x', 2, '>=', 2),
	('pgbench, 8 clients, 1,000 IDs per statement', 'snowflake_next, wide layout', 'tps snowflake_next', NULL, 'tps', 0, NULL, NULL),
	('pgbench, 8 clients, 1,000 IDs per statement', 'nextval, CACHE 1', 'tps nextval', NULL, 'tps', 0, NULL, NULL),
	('Node ID leased from ZooKeeper, wide layout', 'snowflake_next, leased / static', 'leased', 'static', 'x', 3, '<=', 1.03),
	('Node ID leased from ZooKeeper, wide layout', 'snowflake_next, leased', 'leased', NULL, 'ns', 1, NULL, NULL),
	('Node ID leased from ZooKeeper, wide layout', 'snowflake_next, static', 'static', NULL, 'ns', 1, NULL, NULL),
	('Asking by time', 'range of 100 rows, time / by hand', 'range short', 'by hand short', 'x', 3, '<=', 1.05),
	('Asking by time', 'range of 50,000 rows, time / by hand', 'range long', 'by hand long', 'x', 3, '<=', 1.05),
	('Asking by time', 'range of 100 rows', 'range short', NULL, 'us', 1, NULL, NULL),
	('Asking by time', 'range of 100 rows, by hand', 'by hand short', NULL, 'us', 1, NULL, NULL),
	('Asking by time', 'range of 50,000 rows', 'range long', NULL, 'us', 1, NULL, NULL),
	('Asking by time', 'range of 50,000 rows, by hand', 'by hand long', NULL, 'us', 1, NULL, NULL),
	('The time of each row', 'snowflake_timestamp / constant C function', 'snowflake_timestamp', 'constant of ID', 'x', 3, '<=', 1.2),
	('The time of each row', 'snowflake_timestamp / to_timestamp', 'snowflake_timestamp', 'to_timestamp', 'x', 3, '<', 1),
	('The time of each row', 'the ID alone', 'nothing', NULL, 'ns per row', 1, NULL, NULL),
	('The time of each row', 'constant C function', 'constant of ID', NULL, 'ns per row', 1, NULL, NULL),
	('The time of each row', 'snowflake_timestamp', 'snowflake_timestamp', NULL, 'ns per row', 1, NULL, NULL),
	('The time of each row', 'to_timestamp(((id >> 22) + 1288834974657) / 1000.0)', 'to_timestamp', NULL, 'ns per row', 1, NULL, NULL),
	('Time by ID, or by a column and its index', 'size, by ID / by column', 'size by ID', 'size by column', 'x', 3, NULL, NULL),
	('Time by ID, or by a column and its index', 'time to fill it, by ID / by column', 'filled by ID', 'filled by column', 'x', 3, NULL, NULL),
	('Time by ID, or by a column and its index', 'size, by ID', 'size by ID', NULL, 'MB', 0, NULL, NULL),
	('Time by ID, or by a column and its index', 'size, by column', 'size by column', NULL, 'MB', 0, NULL, NULL),
	('Time by ID, or by a column and its index', 'time to fill it, by ID', 'filled by ID', NULL, 's', 1, NULL, NULL),
	('Time by ID, or by a column and its index', 'time to fill it, by column', 'filled by column', NULL, 's', 1, NULL, NULL),
	('The machine', 'other work before the rounds', 'other work', NULL, 'cores', 2, NULL, NULL);

CREATE VIEW bench.report AS
	SELECT nr, section, title, unit, digits, comparison, asked, median, lowest, highest, rounds,
		   CASE comparison WHEN '<=' THEN median <= asked WHEN '<' THEN median < asked WHEN '>=' THEN median >= asked END AS met
	  FROM bench.figure,
		   LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS median,
						   min(v) AS lowest, max(v) AS highest, count(*) AS rounds
					  FROM (SELECT a.value / CASE WHEN over IS NULL THEN 1 ELSE b.value END AS v
							  FROM bench.sample a LEFT JOIN bench.sample b ON b.round = a.round AND b.what = over
							 WHERE a.what = figure.what) s) t
	 -- not all steps may have been run
	 WHERE rounds > 0;

CREATE VIEW bench.facts AS
	SELECT name AS " ", value AS "what was measured" FROM bench.fact ORDER BY nr;

-- A line for each figure, and one for the title of each section.
CREATE VIEW bench.lines AS
	WITH line AS (
		SELECT nr::float8, '  ' || title AS figure,
			   comparison || ' ' || asked || ' ' || unit AS asked,
			   round(median::numeric, digits) || ' ' || unit AS median,
			   round(lowest::numeric, digits) || ' .. ' || round(highest::numeric, digits) AS range,
			   CASE WHEN met THEN 'met' WHEN NOT met THEN 'NOT met' END AS verdict
		  FROM bench.report
		UNION ALL
		SELECT min(nr) - 0.5, section, NULL, NULL, NULL, NULL
		  FROM bench.report GROUP BY section
	)
	SELECT figure, asked, median, range AS "min .. max", verdict AS " " FROM line ORDER BY nr;

CREATE VIEW bench.json AS
	SELECT jsonb_pretty(jsonb_build_object(
		'facts', (SELECT jsonb_object_agg(name, value) FROM bench.fact),
		'figures', (SELECT jsonb_agg(to_jsonb(report) - 'nr' - 'digits' ORDER BY nr) FROM bench.report),
		'samples', (SELECT jsonb_agg(sample ORDER BY round, what) FROM bench.sample)));

--
-- Against a stored run
--

-- What of a run later ones are held against: ratios, shares and cores, since
-- these mean much the same on another machine.
CREATE VIEW bench.new_baseline AS
	SELECT jsonb_pretty(jsonb_build_object(
		'facts', (SELECT jsonb_object_agg(name, value) FROM bench.fact),
		'figures', (SELECT jsonb_agg(jsonb_build_object(
						'section', section, 'title', title, 'median', median,
						'lowest', lowest, 'highest', highest) ORDER BY nr)
					  FROM bench.report WHERE comparison IS NOT NULL AND unit IN ('x', '%', 'cores'))));

CREATE TABLE bench.baseline (content jsonb);

-- The band of a figure is what the rounds of the baseline spread over, and
-- 5 % more.  A median outside has left it.
CREATE VIEW bench.against_baseline AS
	SELECT nr, section || ': ' || title AS figure, digits, unit, f.median AS before, report.median AS now,
		   report.median / nullif(f.median, 0) AS ratio,
		   f.lowest * 0.95 AS low, f.highest * 1.05 AS high,
		   CASE WHEN report.median BETWEEN f.lowest * 0.95 AND f.highest * 1.05 THEN NULL
				WHEN (report.median > f.median) = (comparison = '>=') THEN 'better'
				ELSE 'WORSE' END AS change
	  FROM bench.baseline,
		   jsonb_to_recordset(content -> 'figures')
		   AS f (section text, title text, median float8, lowest float8, highest float8)
	  JOIN bench.report USING (section, title);

CREATE VIEW bench.changes AS
	SELECT figure AS "against the baseline",
		   round(before::numeric, digits) || ' ' || unit AS baseline,
		   round(low::numeric, digits) || ' .. ' || round(high::numeric, digits) AS band,
		   round(now::numeric, digits) || ' ' || unit AS now,
		   round(ratio::numeric, 3) AS "now / baseline",
		   CASE WHEN change IS NOT NULL THEN 'left its band: ' || change END AS " "
	  FROM bench.against_baseline ORDER BY nr;
