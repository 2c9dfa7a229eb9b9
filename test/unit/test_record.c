/*-------------------------------------------------------------------------
 *
 * test_record.c
 *	  Tests of zookeeper/record.c: what is kept in ZooKeeper, as text.
 *
 * Others may write there, so what is read must be exactly what we would have
 * written: whatever the parsers take, the formatters give back.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "record.h"

#define RANDOM_CASES	20000

static const char config_text[] =
"snowflake config 1\n"
"cluster 01234567-89ab-4def-8123-456789abcdef\n"
"generation 3\n"
"layout time:41 datacenter:5 worker:5 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z\n"
"floor 1700000000000\n"
"frozen no\n";

static const char ledger_text[] =
"snowflake ledger 1\n"
"owner pg1.example:5432/7290000000000000000\n"
"nonce 00112233445566778899aabbccddeeff\n"
"claim 12\n"
"low 1700000000000\n"
"high 1700000030000\n"
"retired no\n";

static const char released_text[] =
"snowflake ledger 1\n"
"owner \n"
"nonce none\n"
"claim 9223372036854775806\n"
"low 0\n"
"high 253402300799999\n"
"retired yes\n";

static const char node_text[] =
"snowflake node 1\n"
"host pg1.example\n"
"port 5432\n"
"version 1.0.0\n"
"since 1700000000000\n"
"high 1700000030000\n"
"offset -1500\n"
"error 700\n"
"leader yes\n"
"report node IDs are running out: 3 of 1024 can be had\n";

/* One of the three kinds: parse, and format again what was parsed. */
typedef struct Kind
{
	const char *name;
	bool		(*parse) (const char *text, size_t length, void *record, SfRecordError *error);
	size_t		(*format) (const void *record, char buf[SF_RECORD_SIZE]);
} Kind;

typedef union AnyRecord
{
	SfConfigRecord config;
	SfLedgerRecord ledger;
	SfNodeRecord node;
} AnyRecord;

static bool
parse_config(const char *text, size_t length, void *record, SfRecordError *error)
{
	return sf_config_parse(text, length, record, error);
}

static bool
parse_ledger(const char *text, size_t length, void *record, SfRecordError *error)
{
	return sf_ledger_parse(text, length, record, error);
}

static bool
parse_node(const char *text, size_t length, void *record, SfRecordError *error)
{
	return sf_node_parse(text, length, record, error);
}

static size_t
format_config(const void *record, char buf[SF_RECORD_SIZE])
{
	return sf_config_format(record, buf);
}

static size_t
format_ledger(const void *record, char buf[SF_RECORD_SIZE])
{
	return sf_ledger_format(record, buf);
}

static size_t
format_node(const void *record, char buf[SF_RECORD_SIZE])
{
	return sf_node_format(record, buf);
}

static const Kind config_kind = {"config", parse_config, format_config};
static const Kind ledger_kind = {"ledger", parse_ledger, format_ledger};
static const Kind node_kind = {"node", parse_node, format_node};

static const struct
{
	const Kind *kind;
	const char *text;
}			good[] = {
	{&config_kind, config_text},
	{&ledger_kind, ledger_text},
	{&ledger_kind, released_text},
	{&node_kind, node_text},
};

/*
 * Parse a text that is in memory of just its size, so that a read past its end
 * is seen.  If it is taken it must be what we would write.
 */
static bool
take(const Kind *kind, const char *text, size_t length, AnyRecord *record, SfRecordError *error)
{
	char	   *exact = malloc(length > 0 ? length : 1);
	char		again[SF_RECORD_SIZE];
	size_t		again_length;
	bool		taken;

	memcpy(exact, text, length);
	memset(error, 0, sizeof(*error));
	taken = kind->parse(exact, length, record, error);
	if (taken)
	{
		again_length = kind->format(record, again);
		check(again_length == length && memcmp(again, exact, length) == 0,
			  "%s record was taken, but we would write \"%.*s\"", kind->name, (int) again_length, again);
	}
	else
		check(error->message[0] != '\0', "%s record was refused without a reason", kind->name);
	free(exact);
	return taken;
}

static void
test_round_trips(void **state)
{
	AnyRecord	record;
	SfRecordError error;

	(void) state;
	for (int i = 0; i < lengthof(good); i++)
		check(take(good[i].kind, good[i].text, strlen(good[i].text), &record, &error),
			  "%s: %s", good[i].kind->name, error.message);

	assert_true(take(&ledger_kind, ledger_text, strlen(ledger_text), &record, &error));
	assert_string_equal(record.ledger.owner, "pg1.example:5432/7290000000000000000");
	assert_true(record.ledger.has_nonce);
	assert_int_equal(record.ledger.nonce[1], 0x11);
	assert_int_equal(record.ledger.nonce[15], 0xff);
	assert_true(record.ledger.claim == 12);
	assert_true(record.ledger.low_ms == INT64_C(1700000000000));
	assert_true(record.ledger.high_ms == INT64_C(1700000030000));
	assert_false(record.ledger.retired);
	assert_true(take(&node_kind, node_text, strlen(node_text), &record, &error));
	assert_true(record.node.offset_us == -1500);
}

/* No record is taken for one of another kind, and none that lacks its end. */
static void
test_kinds_and_ends(void **state)
{
	static const Kind *const kinds[] = {&config_kind, &ledger_kind, &node_kind};
	AnyRecord	record;
	SfRecordError error;

	(void) state;
	for (int i = 0; i < lengthof(good); i++)
	{
		size_t		length = strlen(good[i].text);

		for (int k = 0; k < lengthof(kinds); k++)
		{
			if (kinds[k] != good[i].kind)
				check(!take(kinds[k], good[i].text, length, &record, &error), "a %s record was taken for one of %s",
					  good[i].kind->name, kinds[k]->name);
		}
		for (size_t cut = 0; cut < length; cut++)
			check(!take(good[i].kind, good[i].text, cut, &record, &error), "the first %zu bytes of a %s record were taken",
				  cut, good[i].kind->name);
	}
}

/* In a good record this is put in the place of that. */
static const struct
{
	const Kind *kind;
	const char *text;
	const char *old;
	const char *new;
	const char *reason;
}			bad[] = {
	{&config_kind, config_text, "config 1", "config 2", "version 2"},
	{&config_kind, config_text, "config 1", "config 01", "no config record"},
	{&config_kind, config_text, "config 1", "config", "no config record"},
	{&config_kind, config_text, "snowflake config", "snowfall config", "no config record"},
	{&config_kind, config_text, "89ab", "89aB", "UUID"},
	{&config_kind, config_text, "89ab", "../x", "UUID"},
	{&config_kind, config_text, "-8123", "8123-", "UUID"},
	{&config_kind, config_text, "cdef\n", "cdef0\n", "longer"},
	{&config_kind, config_text, "generation 3", "generation 0", "generation"},
	{&config_kind, config_text, "generation 3", "generation 2147483648", "generation"},
	{&config_kind, config_text, "frozen no\n", "frozen no\n\n", "more"},
	{&config_kind, config_text, "frozen no", "frozen maybe", "yes nor no"},
	{&config_kind, config_text, "floor 1700000000000", "floor 253402300800000", "floor"},
	{&config_kind, config_text, "floor 1700000000000", "floor -1", "floor"},
	{&config_kind, config_text, "time:41", "time\t41", "printable"},
	{&config_kind, config_text, "tick:1ms", "tick:\x80ms", "printable"},
	{&ledger_kind, ledger_text, "nonce 00", "nonce 0", "hexadecimal"},
	{&ledger_kind, ledger_text, "ddeeff", "ddeeFF", "hexadecimal"},
	{&ledger_kind, ledger_text, "nonce 00112233445566778899aabbccddeeff", "nonce ", "hexadecimal"},
	{&ledger_kind, ledger_text, "claim 12", "claim 0", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim -12", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim 12 ", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim  12", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim 0x12", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim 9223372036854775807", "claim"},
	{&ledger_kind, ledger_text, "claim 12", "claim 92233720368547758070", "claim"},
	{&ledger_kind, ledger_text, "claim 12\nlow", "low 12\nclaim", "claim"},
	{&ledger_kind, ledger_text, "high 1700000030000", "high 1699999999999", "below"},
	{&ledger_kind, ledger_text, "\nretired no", "\r\nretired no", "high"},
	{&ledger_kind, ledger_text, "retired no\n", "retired no", "retired"},
	{&ledger_kind, ledger_text, "owner ", "owner", "owner"},
	{&node_kind, node_text, "port 5432", "port 65536", "port"},
	{&node_kind, node_text, "offset -1500", "offset -0", "offset"},
	{&node_kind, node_text, "offset -1500", "offset --1", "offset"},
	{&node_kind, node_text, "offset -1500", "offset -9223372036854775808", "offset"},
	{&node_kind, node_text, "error 700", "error -700", "error"},
};

static void
test_bad_records(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(bad); i++)
	{
		const char *at = strstr(bad[i].text, bad[i].old);
		char		text[2 * SF_RECORD_SIZE];
		AnyRecord	record;
		SfRecordError error;

		check(at != NULL, "case %d is not in the text", i);
		snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - bad[i].text), bad[i].text, bad[i].new,
				 at + strlen(bad[i].old));
		check(!take(bad[i].kind, text, strlen(text), &record, &error), "\"%s\" was taken", bad[i].new);
		check(strstr(error.message, bad[i].reason) != NULL, "\"%s\": the reason is \"%s\"", bad[i].new, error.message);
	}
}

/* Bytes that are not text, and more of them than any record has. */
static void
test_no_text(void **state)
{
	char		text[4 * SF_RECORD_SIZE];
	AnyRecord	record;
	SfRecordError error;

	(void) state;
	for (int i = 0; i < lengthof(good); i++)
	{
		size_t		length = strlen(good[i].text);

		check(!take(good[i].kind, "", 0, &record, &error), "nothing was taken");

		memcpy(text, good[i].text, length);
		text[length] = '\0';
		check(!take(good[i].kind, text, length + 1, &record, &error), "a NUL at the end was taken");
		memset(text + length, 'x', sizeof(text) - length);
		check(!take(good[i].kind, text, sizeof(text), &record, &error), "a long text was taken");
		check(strstr(error.message, "longer") != NULL, "the reason is \"%s\"", error.message);
	}
}

/* Good records with some bytes changed, taken out or put in. */
static void
test_spoiled_records(void **state)
{
	int			taken = 0;

	(void) state;
	for (int i = 0; i < RANDOM_CASES; i++)
	{
		int			g = unit_random_below(lengthof(good));
		char		text[SF_RECORD_SIZE];
		size_t		length = strlen(good[g].text);
		AnyRecord	record;
		SfRecordError error;

		memcpy(text, good[g].text, length);
		for (int n = 1 + unit_random_below(3); n > 0; n--)
		{
			size_t		at = unit_random_below(length);

			switch (unit_random_below(4))
			{
				case 0:
					text[at] = unit_random();
					break;
				case 1:
					text[at] = "0123456789abcdef- \n"[unit_random_below(19)];
					break;
				case 2:
					memmove(text + at, text + at + 1, --length - at);
					break;
				default:
					memmove(text + at + 1, text + at, length++ - at);
					break;
			}
		}
		taken += take(good[g].kind, text, length, &record, &error);
	}

	/* Some digit or letter of a name was changed for another. */
	print_message("%d of %d were taken\n", taken, RANDOM_CASES);
	assert_true(taken > 0 && taken < RANDOM_CASES / 2);
}

/* Whatever a server has to tell of itself fits, and is read back. */
static void
test_largest(void **state)
{
	SfNodeRecord node = {.port = 65535, .since_ms = SF_RECORD_MAX_MS, .high_ms = SF_RECORD_MAX_MS,
	.offset_us = -SF_RECORD_MAX_MS * 1000, .error_us = SF_RECORD_MAX_MS * 1000, .leader = true};
	char		from[2 * SF_REPORT_SIZE];
	char		text[SF_RECORD_SIZE];
	AnyRecord	record;
	SfRecordError error;
	size_t		length;

	(void) state;
	memset(from, 'x', sizeof(from));
	from[3] = '\n';
	from[4] = '\xc3';
	from[sizeof(from) - 1] = '\0';
	sf_record_text(node.host, sizeof(node.host), from);
	sf_record_text(node.version, sizeof(node.version), from);
	sf_record_text(node.report, sizeof(node.report), from);
	assert_memory_equal(node.host, "xxx??xxx", 8);
	assert_int_equal(strlen(node.report), SF_REPORT_SIZE - 1);
	length = sf_node_format(&node, text);
	check(take(&node_kind, text, length, &record, &error), "%s", error.message);
	assert_true(record.node.error_us == node.error_us);
}

static void
test_numbers(void **state)
{
	int64_t		n;

	(void) state;
	assert_true(sf_record_number("9223372036854775807", 19, INT64_MIN, INT64_MAX, &n) && n == INT64_MAX);
	assert_true(sf_record_number("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &n) && n == INT64_MIN);
	assert_false(sf_record_number("9223372036854775808", 19, INT64_MIN, INT64_MAX, &n));
	assert_false(sf_record_number("-9223372036854775809", 20, INT64_MIN, INT64_MAX, &n));
	assert_false(sf_record_number("", 0, INT64_MIN, INT64_MAX, &n));
	assert_false(sf_record_number("-", 1, INT64_MIN, INT64_MAX, &n));
	assert_false(sf_record_number("+1", 2, INT64_MIN, INT64_MAX, &n));
	assert_false(sf_record_number("00", 2, INT64_MIN, INT64_MAX, &n));
	for (int i = 0; i < RANDOM_CASES; i++)
	{
		int64_t		value = unit_random_value(64);
		char		text[32];

		snprintf(text, sizeof(text), "%" PRId64, value);
		check(sf_record_number(text, strlen(text), INT64_MIN, INT64_MAX, &n) && n == value, "%s was read as %" PRId64, text, n);
	}
}

static void
test_uuid(void **state)
{
	SfConfigRecord config = {.generation = 1, .layout = "x"};
	AnyRecord	record;
	SfRecordError error;
	char		text[SF_RECORD_SIZE];

	(void) state;
	for (int i = 0; i < 1000; i++)
	{
		uint64_t	random[2] = {unit_random(), unit_random()};
		size_t		length;

		sf_record_uuid((const uint8_t *) random, config.cluster);
		check(config.cluster[14] == '4' && strchr("89ab", config.cluster[19]) != NULL, "%s is of no version", config.cluster);
		length = sf_config_format(&config, text);
		check(take(&config_kind, text, length, &record, &error), "%s: %s", config.cluster, error.message);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_kinds_and_ends),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test_setup(test_spoiled_records, unit_seed),
		cmocka_unit_test(test_largest),
		cmocka_unit_test_setup(test_numbers, unit_seed),
		cmocka_unit_test_setup(test_uuid, unit_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
