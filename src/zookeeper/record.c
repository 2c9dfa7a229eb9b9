/*-------------------------------------------------------------------------
 *
 * record.c
 *	  What the nodes in ZooKeeper hold, as text.
 *
 *-------------------------------------------------------------------------
 */
#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bounded.h"

#define FORMAT_VERSION	1

#define HEX_DIGITS		"0123456789abcdef"

/* ---- writing ------------------------------------------------------------ */

/* All values are limited, so a record always fits. */
static SfBounded
begin(char *buf, const char *kind)
{
	SfBounded	writer = {buf, SF_RECORD_SIZE, 0};

	sf_bounded_add(&writer, "snowflake %s %d\n", kind, FORMAT_VERSION);
	return writer;
}

static void
put_number(SfBounded *writer, const char *name, int64_t value)
{
	sf_bounded_add(writer, "%s %" PRId64 "\n", name, value);
}

static void
put_bool(SfBounded *writer, const char *name, bool value)
{
	sf_bounded_add(writer, "%s %s\n", name, value ? "yes" : "no");
}

static void
put_text(SfBounded *writer, const char *name, const char *value)
{
	sf_bounded_add(writer, "%s %s\n", name, value);
}

static inline bool
is_text(char c)
{
	return c >= ' ' && c <= '~';
}

/* Copy what came from elsewhere, so that it can be the value of a field. */
void
sf_record_text(char *to, size_t size, const char *from)
{
	size_t		n = 0;

	for (; from[n] != '\0' && n + 1 < size; n++)
		to[n] = is_text(from[n]) ? from[n] : '?';
	to[n] = '\0';
}

/* ---- reading ------------------------------------------------------------ */

typedef struct Reader
{
	const char *at;				/* what is not yet read */
	const char *end;
	SfRecordError *error;
	bool		failed;
} Reader;

/* A piece of the text; it does not end in a NUL. */
typedef struct Piece
{
	const char *start;
	size_t		length;
} Piece;

/* Only the first thing that is wrong is told. */
static void
__attribute__((format(printf, 2, 3)))
fail(Reader *reader, const char *format,...)
{
	va_list		args;

	if (!reader->failed)
	{
		va_start(args, format);
		vsnprintf(reader->error->message, sizeof(reader->error->message), format, args);
		va_end(args);
	}
	reader->failed = true;
}

static bool
equals(Piece piece, const char *text)
{
	return piece.length == strlen(text) && memcmp(piece.start, text, piece.length) == 0;
}

/* The value of the next line, which must be that of this field. */
static Piece
take(Reader *reader, const char *name)
{
	size_t		name_length = strlen(name);
	const char *newline;
	Piece		value = {"", 0};

	if (reader->failed)
		return value;
	newline = memchr(reader->at, '\n', reader->end - reader->at);
	if (newline == NULL || (size_t) (newline - reader->at) < name_length + 1 ||
		memcmp(reader->at, name, name_length) != 0 || reader->at[name_length] != ' ')
	{
		fail(reader, "there is no field \"%s\" where it should be", name);
		return value;
	}
	value.start = reader->at + name_length + 1;
	value.length = newline - value.start;
	reader->at = newline + 1;
	return value;
}

static Reader
read_from(const char *text, size_t length, const char *kind, SfRecordError *error)
{
	Reader		reader = {text, text + length, error, false};
	Piece		value;
	size_t		kind_length = strlen(kind);
	int64_t		version;

	if (length >= SF_RECORD_SIZE)
	{
		fail(&reader, "it is longer than any record");
		return reader;
	}
	value = take(&reader, "snowflake");
	if (reader.failed || value.length < kind_length + 2 ||
		memcmp(value.start, kind, kind_length) != 0 || value.start[kind_length] != ' ' ||
		!sf_record_number(value.start + kind_length + 1, value.length - kind_length - 1, 1, INT32_MAX, &version))
	{
		reader.failed = false;
		fail(&reader, "it is no %s record of snowflake", kind);
	}
	else if (version != FORMAT_VERSION)
		fail(&reader, "its format is version %d, and only %d is known here", (int) version, FORMAT_VERSION);
	return reader;
}

static bool
finish(Reader *reader)
{
	if (!reader->failed && reader->at != reader->end)
		fail(reader, "there is more than a record");
	return !reader->failed;
}

/* A decimal number as we write them: no blanks, no zeros before it. */
bool
sf_record_number(const char *text, size_t length, int64_t min, int64_t max, int64_t *value)
{
	bool		negative = length > 0 && text[0] == '-';
	size_t		i = negative ? 1 : 0;
	int64_t		n = 0;

	if (i == length || (text[i] == '0' && (negative || length > 1)))
		return false;
	for (; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9' ||
			__builtin_mul_overflow(n, 10, &n) ||
			__builtin_sub_overflow(n, text[i] - '0', &n))
			return false;
	}

	/* Counted below zero, where there is one number more. */
	if (!negative && __builtin_sub_overflow(0, n, &n))
		return false;
	*value = n;
	return n >= min && n <= max;
}

static int64_t
take_number(Reader *reader, const char *name, int64_t min, int64_t max)
{
	Piece		value = take(reader, name);
	int64_t		n = min;

	if (!reader->failed && !sf_record_number(value.start, value.length, min, max, &n))
	{
		fail(reader, "\"%s\" is no number from %" PRId64 " to %" PRId64, name, min, max);
		n = min;
	}
	return n;
}

static int64_t
take_ms(Reader *reader, const char *name)
{
	return take_number(reader, name, 0, SF_RECORD_MAX_MS);
}

static bool
take_bool(Reader *reader, const char *name)
{
	Piece		value = take(reader, name);

	if (!reader->failed && !equals(value, "yes") && !equals(value, "no"))
		fail(reader, "\"%s\" is neither yes nor no", name);
	return equals(value, "yes");
}

static void
take_text(Reader *reader, const char *name, char *to, size_t size)
{
	Piece		value = take(reader, name);

	to[0] = '\0';
	if (reader->failed)
		return;
	if (value.length >= size)
	{
		fail(reader, "\"%s\" is longer than %zu bytes", name, size - 1);
		return;
	}
	for (size_t i = 0; i < value.length; i++)
	{
		if (!is_text(value.start[i]))
		{
			fail(reader, "\"%s\" has bytes that are no printable ASCII", name);
			return;
		}
	}
	memcpy(to, value.start, value.length);
	to[value.length] = '\0';
}

static int
hex_digit(char c)
{
	const char *digit = c != '\0' ? strchr(HEX_DIGITS, c) : NULL;

	return digit ? (int) (digit - HEX_DIGITS) : -1;
}

/* ---- the configuration --------------------------------------------------- */

#define UUID_HYPHENS(i)		((i) == 8 || (i) == 13 || (i) == 18 || (i) == 23)

/* It becomes a part of paths, so nothing but digits and hyphens will do. */
static bool
is_uuid(const char *text)
{
	if (strlen(text) != SF_UUID_SIZE - 1)
		return false;
	for (int i = 0; i < SF_UUID_SIZE - 1; i++)
	{
		if (UUID_HYPHENS(i) ? text[i] != '-' : hex_digit(text[i]) < 0)
			return false;
	}
	return true;
}

/* A UUID of version 4 from random bits. */
void
sf_record_uuid(const uint8_t random[16], char buf[SF_UUID_SIZE])
{
	int			digit = 0;

	for (int i = 0; i < SF_UUID_SIZE - 1; i++)
	{
		if (UUID_HYPHENS(i))
			buf[i] = '-';
		else
		{
			int			value = digit % 2 == 0 ? random[digit / 2] >> 4 : random[digit / 2] & 0xf;

			if (i == 14)
				value = 4;
			else if (i == 19)
				value = 8 | (value & 3);
			buf[i] = HEX_DIGITS[value];
			digit++;
		}
	}
	buf[SF_UUID_SIZE - 1] = '\0';
}

size_t
sf_config_format(const SfConfigRecord *record, char buf[SF_RECORD_SIZE])
{
	SfBounded	writer = begin(buf, "config");

	put_text(&writer, "cluster", record->cluster);
	put_number(&writer, "generation", record->generation);
	put_text(&writer, "layout", record->layout);
	put_number(&writer, "floor", record->floor_ms);
	put_bool(&writer, "frozen", record->frozen);
	return writer.used;
}

bool
sf_config_parse(const char *text, size_t length, SfConfigRecord *record, SfRecordError *error)
{
	Reader		reader = read_from(text, length, "config", error);

	take_text(&reader, "cluster", record->cluster, sizeof(record->cluster));
	if (!reader.failed && !is_uuid(record->cluster))
		fail(&reader, "\"cluster\" is no UUID");
	record->generation = take_number(&reader, "generation", 1, INT32_MAX);
	take_text(&reader, "layout", record->layout, sizeof(record->layout));
	record->floor_ms = take_ms(&reader, "floor");
	record->frozen = take_bool(&reader, "frozen");
	return finish(&reader);
}

/* ---- the ledger ----------------------------------------------------------- */

size_t
sf_ledger_format(const SfLedgerRecord *record, char buf[SF_RECORD_SIZE])
{
	SfBounded	writer = begin(buf, "ledger");

	put_text(&writer, "owner", record->owner);
	if (record->has_nonce)
	{
		sf_bounded_add(&writer, "nonce ");
		for (int i = 0; i < SF_LEASE_NONCE_BYTES; i++)
			sf_bounded_add(&writer, "%02x", record->nonce[i]);
		sf_bounded_add(&writer, "\n");
	}
	else
		put_text(&writer, "nonce", "none");
	put_number(&writer, "claim", record->claim);
	put_number(&writer, "low", record->low_ms);
	put_number(&writer, "high", record->high_ms);
	put_bool(&writer, "retired", record->retired);
	return writer.used;
}

static bool
read_nonce(Piece value, uint8_t nonce[SF_LEASE_NONCE_BYTES])
{
	if (value.length != 2 * SF_LEASE_NONCE_BYTES)
		return false;
	for (int i = 0; i < SF_LEASE_NONCE_BYTES; i++)
	{
		int			high = hex_digit(value.start[2 * i]);
		int			low = hex_digit(value.start[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		nonce[i] = high << 4 | low;
	}
	return true;
}

bool
sf_ledger_parse(const char *text, size_t length, SfLedgerRecord *record, SfRecordError *error)
{
	Reader		reader = read_from(text, length, "ledger", error);
	Piece		nonce;

	memset(record, 0, sizeof(*record));
	take_text(&reader, "owner", record->owner, sizeof(record->owner));
	nonce = take(&reader, "nonce");
	record->has_nonce = !equals(nonce, "none");
	if (!reader.failed && record->has_nonce && !read_nonce(nonce, record->nonce))
		fail(&reader, "\"nonce\" is neither none nor %d hexadecimal digits", 2 * SF_LEASE_NONCE_BYTES);
	record->claim = take_number(&reader, "claim", 1, INT64_MAX - 1);
	record->low_ms = take_ms(&reader, "low");
	record->high_ms = take_ms(&reader, "high");
	if (!reader.failed && record->high_ms < record->low_ms)
		fail(&reader, "\"high\" is below \"low\"");
	record->retired = take_bool(&reader, "retired");
	return finish(&reader);
}

/* ---- the registry ---------------------------------------------------------- */

size_t
sf_node_format(const SfNodeRecord *record, char buf[SF_RECORD_SIZE])
{
	SfBounded	writer = begin(buf, "node");

	put_text(&writer, "host", record->host);
	put_number(&writer, "port", record->port);
	put_text(&writer, "version", record->version);
	put_number(&writer, "since", record->since_ms);
	put_number(&writer, "high", record->high_ms);
	put_number(&writer, "offset", record->offset_us);
	put_number(&writer, "error", record->error_us);
	put_bool(&writer, "leader", record->leader);
	put_text(&writer, "report", record->report);
	return writer.used;
}

bool
sf_node_parse(const char *text, size_t length, SfNodeRecord *record, SfRecordError *error)
{
	Reader		reader = read_from(text, length, "node", error);
	int64_t		max_us = SF_RECORD_MAX_MS * 1000;

	take_text(&reader, "host", record->host, sizeof(record->host));
	record->port = take_number(&reader, "port", 0, UINT16_MAX);
	take_text(&reader, "version", record->version, sizeof(record->version));
	record->since_ms = take_ms(&reader, "since");
	record->high_ms = take_ms(&reader, "high");
	record->offset_us = take_number(&reader, "offset", -max_us, max_us);
	record->error_us = take_number(&reader, "error", 0, max_us);
	record->leader = take_bool(&reader, "leader");
	take_text(&reader, "report", record->report, sizeof(record->report));
	return finish(&reader);
}
