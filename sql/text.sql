--
-- IDs as text, and in JavaScript.
--
CREATE TEMP TABLE formats (format text, digits text, width integer);
INSERT INTO formats VALUES
	('base62', '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', 11),
	('base58', '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz', 11),
	('base36', '0123456789abcdefghijklmnopqrstuvwxyz', 13),
	('crockford', '0123456789ABCDEFGHJKMNPQRSTVWXYZ', 13),
	('hex', '0123456789abcdef', 16);

-- The borders, and an ID that everybody can look up
SELECT format, id, snowflake_to_text(id, format) AS text, snowflake_to_text(id, format || '-short') AS short
	FROM formats, (VALUES (0), (1), (9007199254740991), (9007199254740992), (1541815603606036480),
		(9223372036854775807)) v (id)
	ORDER BY format COLLATE "C", id;

-- Against arithmetic of our own
CREATE FUNCTION pg_temp.in_base(id bigint, digits text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	rest numeric := id;
	result text := '';
BEGIN
	LOOP
		result := substr(digits, (rest % length(digits))::integer + 1, 1) || result;
		rest := div(rest, length(digits));
		EXIT WHEN rest = 0;
	END LOOP;
	RETURN result;
END
$$;
CREATE TEMP TABLE ids AS
	-- spread over all lengths, the same in each run
	SELECT i, (hashint8extended(i, 20101104) & 9223372036854775807) >> (i % 63)::integer AS id
	FROM generate_series(1, 100000) i;
SELECT format, count(*) AS ids,
	count(*) FILTER (WHERE snowflake_to_text(id, format) <> lpad(t, width, left(digits, 1))) AS different,
	count(*) FILTER (WHERE snowflake_to_text(id, format || '-short') <> t) AS different_short
	FROM formats, ids, pg_temp.in_base(id, digits) t
	WHERE i <= 2000
	GROUP BY format ORDER BY format COLLATE "C";
SELECT count(*) AS ids, count(*) FILTER (WHERE snowflake_to_text(id, 'hex-short') <> to_hex(id)) AS different
	FROM ids;

-- What is written is read as the same, and texts sort like the IDs
CREATE TEMP TABLE texts AS
	SELECT format, id, snowflake_to_text(id, format) COLLATE "C" AS text, snowflake_to_text(id, format || '-short') AS short
	FROM formats, ids;
SELECT format, count(*) AS ids, min(length(text)) AS shortest, max(length(text)) AS longest,
	count(*) FILTER (WHERE snowflake_from_text(text, format) <> id) AS different,
	count(*) FILTER (WHERE snowflake_from_text(short, format || '-short') <> id) AS different_short,
	count(*) FILTER (WHERE by_id <> by_text) AS out_of_order
	FROM (SELECT *, dense_rank() OVER (PARTITION BY format ORDER BY id) AS by_id,
			dense_rank() OVER (PARTITION BY format ORDER BY text) AS by_text
		FROM texts) t
	GROUP BY format ORDER BY format COLLATE "C";
-- short ones do not, to show that this can fail
SELECT count(*) > 0 AS out_of_order
	FROM (SELECT rank() OVER (ORDER BY id) AS by_id, rank() OVER (ORDER BY short COLLATE "C") AS by_text
		FROM texts WHERE format = 'base62') t
	WHERE by_id <> by_text;

-- IDs that were made here
SELECT count(*) AS ids, count(*) FILTER (WHERE snowflake_from_text(snowflake_to_text(id, format), format) = id) AS same
	FROM (SELECT snowflake_next()::snowflake AS id FROM generate_series(1, 1000)) o, formats;

-- Other ways to write a digit
SELECT text, format, snowflake_from_text(text, format)
	FROM (VALUES ('1565a11f6217a000', 'hex'), ('1565A11F6217A000', 'hex'), ('1565A11F6217A000', 'hex-short'),
		('0bppc0m3ju134', 'base36'), ('0BPPC0M3JU134', 'base36'), ('BPPC0M3JU134', 'base36-short'),
		('1ASD13XH1F800', 'crockford'), ('iasdL3xhIf8oO', 'crockford'), ('1ASD-13XH-1F80-0', 'crockford'),
		('1-asd13xh-1f800', 'crockford-short')) v (text, format);

-- For indexes, generated columns and constraints
CREATE TABLE links (id snowflake PRIMARY KEY,
	code text COLLATE "C" GENERATED ALWAYS AS (snowflake_to_text(id, 'base62')) STORED UNIQUE,
	CHECK (snowflake_from_text(snowflake_to_text(id, 'hex'), 'hex') = id));
CREATE INDEX links_short ON links (snowflake_to_text(id, 'base58-short'));
CREATE INDEX links_js_safe ON links (id) WHERE NOT snowflake_js_safe(id);
INSERT INTO links VALUES (1541815603606036480), (266031293945503744);
SELECT * FROM links ORDER BY code;
SELECT id FROM links WHERE id = snowflake_from_text('1ptWyK4WgZU', 'base62');
DROP TABLE links;

-- A null gives a null
SELECT num_nulls(snowflake_to_text(NULL, 'hex'), snowflake_to_text(1, NULL)) AS to_text,
	num_nulls(snowflake_from_text(NULL, 'hex'), snowflake_from_text('1', NULL)) AS from_text,
	num_nulls(snowflake_js_safe(NULL)) AS js_safe;

-- Arguments by name
SELECT snowflake_to_text(id => 15, format => 'hex-short') AS to_text,
	snowflake_from_text(string => 'f', format => 'hex-short') AS from_text,
	snowflake_js_safe(id => 15) AS js_safe;

-- What JavaScript calls a safe integer
SELECT id, snowflake_js_safe(id) AS safe
	FROM (VALUES (0), (1), (9007199254740990), (9007199254740991), (9007199254740992), (9007199254740993),
		(9223372036854775807), (-1), (-9007199254740991), (-9007199254740992), (-9223372036854775808)) v (id);
-- No two of them are one double, and that ends at the next number
SELECT count(*) AS pairs, count(*) FILTER (WHERE (id - 1)::double precision = id::double precision) AS equal
	FROM (SELECT 9007199254740991 >> i AS id FROM generate_series(0, 52) i) s WHERE snowflake_js_safe(id);
SELECT 9007199254740992::double precision = 9007199254740993::double precision AS equal;
-- Twitter's layout goes past them at the moment that snowflake_layouts tells, js53 never does
SELECT name, snowflake_js_safe(snowflake_encode(passes_js_safe_at - interval '1ms', 1023, 4095, name)) AS before,
	snowflake_js_safe(snowflake_encode(passes_js_safe_at, 0, 0, name)) AS at
	FROM snowflake_layouts WHERE name = 'twitter';
SELECT name, snowflake_js_safe(snowflake_encode(ends_at - interval '1ms', 31, 127, name)) AS last
	FROM snowflake_layouts WHERE name = 'js53';

-- What is refused
\x on
SELECT statement, e.* FROM (VALUES
	('SELECT snowflake_to_text(-1, ''base62'')'),
	('SELECT snowflake_to_text(-9223372036854775808, ''hex'')'),
	('SELECT snowflake_to_text(1, ''base32'')'),
	('SELECT snowflake_to_text(-1, ''BASE62'')'),
	('SELECT snowflake_to_text(1, '''')'),
	('SELECT snowflake_from_text(''1'', ''base62-long'')')
	) v (statement), error_of(statement) e;
\x off
SELECT text, format, e.state, e.message, e.detail, e.hint
	FROM (VALUES
		-- characters
		('1ptWyK4Wg_U', 'base62'), (' 1ptWyK4WgZU', 'base62'), ('1ptWyK4WgZU ', 'base62'), ('1ptWyK4WgZ+', 'base62'),
		('1ptW-yK4WgZU', 'base62'), ('+', 'base62-short'), ('-1', 'base62-short'), (E'1\n', 'base62-short'),
		('4aaW4SzAy0K', 'base58'), ('4aaW4SzAyOK', 'base58'), ('4aaW4SzAyIK', 'base58'), ('4aaW4SzAylK', 'base58'),
		('0bppc0m3ju13_', 'base36'), ('1ASD13XH1F80U', 'crockford'), ('1ASD13XH1F800*', 'crockford'),
		('1565a11f6217a00g', 'hex'), ('0x1565a11f6217a0', 'hex'),
		-- case
		('1565a11F6217a000', 'hex'), ('Ff', 'hex-short'), ('0bppc0m3jU134', 'base36'),
		-- widths
		('', 'base62'), ('', 'hex-short'), ('ptWyK4WgZU', 'base62'), ('01ptWyK4WgZU', 'base62'),
		('11111111111111', 'base36'), ('f', 'hex'), ('01', 'base62-short'), ('11', 'base58-short'), ('00', 'crockford-short'),
		-- hyphens
		('-1ASD13XH1F800', 'crockford'), ('1ASD13XH1F800-', 'crockford'), ('1ASD--13XH1F800', 'crockford'),
		('1ASD-13XH-1F80', 'crockford'),
		-- too large by one, and by far
		('AzL8n0Y58m8', 'base62'), ('NQm6nKp8qFD', 'base58'), ('1y2p0ij32e8e8', 'base36'), ('8000000000000', 'crockford'),
		('8000000000000000', 'hex'), ('LygHa16AHYG', 'base62'), ('zzzzzzzzzzz', 'base62'), ('10000000000000000', 'hex-short')
		) v (text, format),
	error_of(format('SELECT snowflake_from_text(%L, %L)', text, format)) e;

-- A character of several bytes is shown whole
SELECT e.state, e.detail LIKE 'Character 2, "' || chr(233) || '", is not one of %' AS whole
	FROM error_of(format('SELECT snowflake_from_text(%L, %L)', '1' || chr(233) || '1', 'base62')) e;
-- A long text is refused like a short one
SELECT e.state, left(e.message, 60) AS message, e.detail
	FROM (VALUES (repeat('0', 1000000), 'base62'), (repeat('0', 1000000), 'base62-short'), (repeat('z', 1000000), 'base62-short'),
		(repeat('1-', 1000000), 'crockford'), ('1', repeat('x', 1000000))) v (text, format),
	error_of(format('SELECT snowflake_from_text(%L, %L)', text, format)) e;
