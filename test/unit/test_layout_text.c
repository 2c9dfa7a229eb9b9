/*-------------------------------------------------------------------------
 *
 * test_layout_text.c
 *	  Tests of layout_text.c: presets and the text forms of layouts and epochs.
 *
 * Every text is read from a heap block of just its size, and results go to
 * variables of just theirs, so that the address sanitizer sees a byte too
 * many.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#define RANDOM_LAYOUTS	100000
#define RANDOM_TEXTS	150000

#define MS_PER_DAY		INT64_C(86400000)
#define TWITTER_EPOCH	INT64_C(1288834974657)

#define TEN(s)			s s s s s s s s s s
#define HUNDRED(s)		TEN(TEN(s))

/* What stands in *unix_ms before a call, to see whether it was written */
#define UNTOUCHED		INT64_C(-4242)

/*
 * sf_layout_parse(), and sf_epoch_parse() where layout is NULL.  The message
 * is "" when they succeed, and must have an end when they do not.
 */
static bool
parse_either(const char *text, SfLayout *layout, int64_t *unix_ms, char message[sizeof(SfTextError)])
{
	char	   *copy = strdup(text);
	SfTextError error;
	bool		ok;

	memset(&error, 'x', sizeof(error));
	ok = layout != NULL ? sf_layout_parse(copy, layout, &error) : sf_epoch_parse(copy, unix_ms, &error);
	free(copy);
	if (ok)
		error.message[0] = '\0';
	check(memchr(error.message, '\0', sizeof(error.message)) != NULL, "\"%s\": message without end", text);
	strcpy(message, error.message);
	return ok;
}

static bool
parse(const char *text, SfLayout *layout, char message[sizeof(SfTextError)])
{
	return parse_either(text, layout, NULL, message);
}

static bool
parse_epoch(const char *text, int64_t *unix_ms, char message[sizeof(SfTextError)])
{
	return parse_either(text, NULL, unix_ms, message);
}

/* Is it one that generating and decoding can rely on? */
static void
check_consistent(const char *text, const SfLayout *layout)
{
	uint64_t	taken = 0;
	int			total = 0;

	for (int f = 0; f < SF_NUM_FIELDS; f++)
	{
		for (int bit = 0; bit < layout->bits[f]; bit++)
		{
			int			place = layout->shift[f] + bit;

			check(place < SF_MAX_BITS, "\"%s\": field %d is outside", text, f);
			check((taken >> place & 1) == 0, "\"%s\": field %d overlaps", text, f);
			taken |= UINT64_C(1) << place;
		}
		total += layout->bits[f];
	}
	check(layout->total_bits == total && taken == sf_max_value(total), "\"%s\": total width", text);
	check(layout->bits[SF_TIME] > 0 && layout->shift[SF_TIME] + layout->bits[SF_TIME] == total,
		  "\"%s\": time is not on top", text);
	check(layout->node_bits == layout->bits[SF_NODE] + layout->bits[SF_DATACENTER] + layout->bits[SF_WORKER],
		  "\"%s\": width of the node ID", text);
	check(layout->node_bits <= SF_MAX_INT_BITS && layout->bits[SF_SEQUENCE] <= SF_MAX_INT_BITS,
		  "\"%s\": more than an SQL integer", text);
	check(layout->tick_ms >= 1 && layout->tick_ms <= SF_MAX_TICK_MS, "\"%s\": tick", text);
	check(layout->epoch_ms >= 0 && layout->epoch_ms < 2932897 * MS_PER_DAY, "\"%s\": epoch", text);
}

/*
 * Presets and the canonical form
 */

typedef struct NamedText
{
	const char *name;
	const char *text;
} NamedText;

static const NamedText canonical[] = {
	{"twitter", "time:41 datacenter:5 worker:5 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"discord", "time:42 datacenter:5 worker:5 sequence:12 tick:1ms epoch:2015-01-01T00:00:00Z"},
	{"instagram", "time:41 node:13 sequence:10 tick:1ms epoch:2011-08-24T21:07:01.721Z"},
	{"mastodon", "time:48 tail:16 tick:1ms epoch:1970-01-01T00:00:00Z"},
	{"sonyflake", "time:39 sequence:8 node:16 tick:10ms epoch:2014-09-01T00:00:00Z"},
	{"pgedge", "time:41 node:10 sequence:12 tick:1ms epoch:2023-01-01T00:00:00Z"},
	{"leaf", "time:41 node:10 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"shardingsphere", "time:41 node:10 sequence:12 tick:1ms epoch:2016-11-01T00:00:00Z"},
	{"js53", "time:41 worker:5 sequence:7 tick:1ms epoch:2025-01-01T00:00:00Z"},
};

static void
test_presets(void **state)
{
	(void) state;
	assert_int_equal(sf_layout_preset_count(), lengthof(canonical));
	for (int i = 0; i < sf_layout_preset_count(); i++)
	{
		const SfPreset *preset = sf_layout_preset(i);
		char		message[sizeof(SfTextError)];
		SfLayout	by_name,
					by_text;
		char		text[SF_LAYOUT_TEXT_SIZE];

		assert_string_equal(preset->name, canonical[i].name);
		assert_true(strlen(preset->origin) > 0);
		check_consistent(preset->name, &preset->layout);

		sf_layout_format(&preset->layout, text);
		assert_string_equal(text, canonical[i].text);

		check(parse(preset->name, &by_name, message), "%s: %s", preset->name, message);
		check(parse(canonical[i].text, &by_text, message), "%s: %s", preset->name, message);
		check_consistent(preset->name, &by_text);
		check(sf_layout_equal(&by_name, &preset->layout), "%s: by name", preset->name);
		check(sf_layout_equal(&by_text, &preset->layout), "%s: by text", preset->name);
		check(by_text.total_bits == preset->layout.total_bits &&
			  by_text.node_bits == preset->layout.node_bits, "%s: widths", preset->name);
	}
}

typedef struct Spelling
{
	const char *text;
	const char *canonical;
} Spelling;

/* Texts that are not canonical, and their canonical form */
static const Spelling spellings[] = {
	{"time:41 node:10 sequence:12", "time:41 node:10 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:40 node:3 sequence:20", "time:40 node:3 sequence:20 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"  time:41   node:10 sequence:12  ", "time:41 node:10 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"epoch:2020-01-01 tick:10ms time:41 node:10 sequence:12", "time:41 node:10 sequence:12 tick:10ms epoch:2020-01-01T00:00:00Z"},
	{"time:41 tick:5ms worker:5 epoch:2020-01-01 datacenter:5", "time:41 worker:5 datacenter:5 tick:5ms epoch:2020-01-01T00:00:00Z"},
	{"time:041 tick:0010ms", "time:41 tick:10ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:64", "time:64 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:1 tail:63", "time:1 tail:63 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:2 node:31 sequence:31", "time:2 node:31 sequence:31 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:1 datacenter:30 worker:1 sequence:1", "time:1 datacenter:30 worker:1 sequence:1 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:1 tail:20 sequence:20 worker:10 datacenter:10", "time:1 tail:20 sequence:20 worker:10 datacenter:10 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:41 tick:1000ms", "time:41 tick:1s epoch:2010-11-04T01:42:54.657Z"},
	{"time:41 tick:1500ms", "time:41 tick:1500ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:41 tick:3600000ms", "time:41 tick:3600s epoch:2010-11-04T01:42:54.657Z"},
	{"time:41 tick:3599999ms", "time:41 tick:3599999ms epoch:2010-11-04T01:42:54.657Z"},
	{"time:41 epoch:9999-12-31T23:59:59.999Z", "time:41 tick:1ms epoch:9999-12-31T23:59:59.999Z"},
	{"time:41 epoch:2020-01-01T02:00+02", "time:41 tick:1ms epoch:2020-01-01T00:00:00Z"},
	{"time:41 epoch:2020-01-01T00:00:00.5", "time:41 tick:1ms epoch:2020-01-01T00:00:00.500Z"},
	/* 159 characters, the most there may be */
	{"time:41 node:10 sequence:12" HUNDRED(" ") TEN("   ") "  ", "time:41 node:10 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z"},
};

static void
test_spellings(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(spellings); i++)
	{
		char		message[sizeof(SfTextError)];
		SfLayout	layout;
		char		text[SF_LAYOUT_TEXT_SIZE];

		check(parse(spellings[i].text, &layout, message), "\"%s\": %s", spellings[i].text, message);
		check_consistent(spellings[i].text, &layout);
		sf_layout_format(&layout, text);
		check(strcmp(text, spellings[i].canonical) == 0, "\"%s\" became \"%s\"", spellings[i].text, text);
	}
}

/* Canonical text of random layouts; also the longest there is */
static void
test_random_layouts(void **state)
{
	(void) state;
	for (int i = 0; i < RANDOM_LAYOUTS; i++)
	{
		char		message[sizeof(SfTextError)];
		SfLayout	layout,
					again;
		char		text[SF_LAYOUT_TEXT_SIZE];
		char		text_again[SF_LAYOUT_TEXT_SIZE];

		unit_random_layout(&layout);
		sf_layout_format(&layout, text);
		check_consistent(text, &layout);
		check(parse(text, &again, message), "\"%s\": %s", text, message);
		check(sf_layout_equal(&layout, &again), "\"%s\" is another layout", text);
		check(layout.total_bits == again.total_bits && layout.node_bits == again.node_bits, "\"%s\": widths", text);
		sf_layout_format(&again, text_again);
		check(strcmp(text, text_again) == 0, "\"%s\" became \"%s\"", text, text_again);
	}
}

/*
 * Texts that are not a layout
 */

#define NEITHER		"It is neither a preset's name nor a list of fields like \"time:41 node:10 sequence:12\"."
#define LONG		"A layout's text has at most 159 characters."
#define FIRST		"The first field must be \"time\", or IDs would not be in order of time."
#define EITHER		"The node ID is either \"node\", or \"datacenter\" and \"worker\"."
#define MOST		"Node ID and sequence have at most 31 bits each."
#define TICK		"A tick is written like 1ms, 10ms or 1s, and is at most 3600s long."
#define WIDTH(name)		"The width of \"" name "\" must be between 1 and 64 bits."
#define TWICE(name)		"\"" name "\" is given twice."
#define NO_FIELD(name)	"There is no field \"" name "\"; the fields are time, datacenter, worker, node, sequence and tail."
#define NO_COLON(word)	"\"" word "\" is not of the form name:value."
#define SUM(n)			"The widths add up to " #n " bits; an ID has 64."

typedef struct BadText
{
	const char *text;
	const char *message;
} BadText;

static const BadText bad_layouts[] = {
	/* no list of fields at all */
	{"", NEITHER},
	{" ", NEITHER},
	{HUNDRED(" "), NEITHER},
	{"\n", NEITHER},
	{"Twitter", NEITHER},
	{"twitter ", NEITHER},
	{" twitter", NEITHER},
	{"twitte", NEITHER},
	{"twitterr", NEITHER},
	{"twitter\n", NEITHER},
	{"time", NEITHER},
	{"time=41", NEITHER},
	{"\xff\xfe\x80", NEITHER},
	{HUNDRED("x") TEN("xxxxxx"), LONG},
	{"time:41 node:10 sequence:12" HUNDRED(" ") TEN("   ") "   ", LONG},
	{HUNDRED("time:41 "), LONG},

	/* words */
	{":", NO_FIELD("")},
	{":41", NO_FIELD("")},
	{"time:41 node", NO_COLON("node")},
	{"time:41 node 10", NO_COLON("node")},
	{"time: 41", WIDTH("time")},
	{"twitter time:41", NO_COLON("twitter")},
	{"Time:41", NO_FIELD("Time")},
	{"times:41", NO_FIELD("times")},
	{"tim:41", NO_FIELD("tim")},
	{"machine:10", NO_FIELD("machine")},
	{"\"time\":41", NO_FIELD("\"time\"")},
	{"t\xc3\xadme:41", NO_FIELD("t\xc3\xadme")},
	{"\xff:41", NO_FIELD("\xff")},
	{"\x01:41", NO_FIELD("\x01")},
	{"\ttime:41", NO_FIELD("\ttime")},
	{"%s%n:41", NO_FIELD("%s%n")},
	{"time:41 epoch:2010-11-04 01:42:54Z", NO_FIELD("01")},
	/* the longest name, whose message must still be whole */
	{HUNDRED("x") TEN("xxxxx") "xxxxxxxx:", NO_FIELD(HUNDRED("x") TEN("xxxxx") "xxxxxxxx")},
	{"time:1 " HUNDRED("x") TEN("xxxxx") "xx", NO_COLON(HUNDRED("x") TEN("xxxxx") "xx")},

	/* widths */
	{"time:0", WIDTH("time")},
	{"time:65", WIDTH("time")},
	{"time:255", WIDTH("time")},
	{"time:256", WIDTH("time")},
	{"time:297", WIDTH("time")},	/* 41 modulo 256 */
	{"time:4294967297", WIDTH("time")},
	{"time:18446744073709551657", WIDTH("time")},
	{"time:-41", WIDTH("time")},
	{"time:+41", WIDTH("time")},
	{"time:0x29", WIDTH("time")},
	{"time:41.0", WIDTH("time")},
	{"time:4e1", WIDTH("time")},
	{"time:41,node:10", WIDTH("time")},
	{"time:41\tnode:10", WIDTH("time")},
	{"time:41\xc2\xa0node:10", WIDTH("time")},	/* a no-break space */
	{"time:\xd9\xa4\xd9\xa1", WIDTH("time")},	/* 41 in Arabic digits */
	{"time:41:5", WIDTH("time")},
	{"time:", WIDTH("time")},
	{"time:41 datacenter:0 worker:10", WIDTH("datacenter")},
	{"time:41 worker:65", WIDTH("worker")},
	{"time:41 node:10\n", WIDTH("node")},
	{"time:41 node:10 sequence:\x7f", WIDTH("sequence")},
	{"time:48 tail:x", WIDTH("tail")},

	/* a word given twice */
	{"time:41 time:41", TWICE("time")},
	{"time:20 node:5 time:21", TWICE("time")},
	{"time:41 datacenter:2 datacenter:3 worker:5", TWICE("datacenter")},
	{"time:41 worker:5 worker:5", TWICE("worker")},
	{"time:41 node:5 sequence:12 node:5", TWICE("node")},
	{"time:41 sequence:6 sequence:6", TWICE("sequence")},
	{"time:48 tail:8 tail:8", TWICE("tail")},
	{"time:41 tick:1ms tick:1ms", TWICE("tick")},
	{"time:41 epoch:2020-01-01 epoch:2020-01-01", TWICE("epoch")},

	/* what must hold between the fields */
	{"node:10 time:41", FIRST},
	{"sequence:12", FIRST},
	{"epoch:2020-01-01 tail:16 time:48", FIRST},
	{"tick:1ms", "The field \"time\" is missing."},
	{"epoch:2020-01-01 tick:1ms", "The field \"time\" is missing."},
	{"time:41 node:13 sequence:11", SUM(65)},
	{"time:64 tail:1", SUM(65)},
	{"time:64 datacenter:64 worker:64 node:64 sequence:64 tail:64", SUM(384)},
	{"time:41 node:5 worker:5", EITHER},
	{"time:41 node:5 datacenter:5", EITHER},
	{"time:41 datacenter:5 worker:5 node:5", EITHER},
	{"time:41 datacenter:5 sequence:12", "The field \"datacenter\" needs the field \"worker\"."},
	{"time:1 node:32", MOST},
	{"time:1 worker:32", MOST},
	{"time:1 datacenter:16 worker:16", MOST},
	{"time:1 datacenter:1 worker:31", MOST},
	{"time:1 sequence:32", MOST},

	/* ticks */
	{"time:41 tick:", TICK},
	{"time:41 tick:0ms", TICK},
	{"time:41 tick:0s", TICK},
	{"time:41 tick:1", TICK},
	{"time:41 tick:ms", TICK},
	{"time:41 tick:s", TICK},
	{"time:41 tick:-1ms", TICK},
	{"time:41 tick:+1ms", TICK},
	{"time:41 tick:1.5s", TICK},
	{"time:41 tick:1us", TICK},
	{"time:41 tick:1m", TICK},
	{"time:41 tick:1h", TICK},
	{"time:41 tick:1MS", TICK},
	{"time:41 tick:1msx", TICK},
	{"time:41 tick:1 ms", TICK},
	{"time:41 tick:3601s", TICK},
	{"time:41 tick:3600001ms", TICK},
	{"time:41 tick:9999999s", TICK},
	{"time:41 tick:10000000ms", TICK},
	{"time:41 tick:4294967297ms", TICK},
	{"time:41 tick:18446744073709551617ms", TICK},
	{"time:41 tick:1\xc2\xb5s", TICK},

	/* epochs: that their messages come through */
	{"time:41 epoch:", "A time is written like 2010-11-04T01:42:54.657Z or 2010-11-04."},
	{"time:41 epoch:2023-02-29", "There is no such day."},
	{"time:41 epoch:2023-02-28x", "There is text behind the time: \"x\"."},
};

static void
test_bad_layouts(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(bad_layouts); i++)
	{
		const BadText *bad = &bad_layouts[i];
		char		message[sizeof(SfTextError)];
		SfLayout	layout;

		check(!parse(bad->text, &layout, message), "\"%s\" was accepted", bad->text);
		check(strcmp(message, bad->message) == 0, "\"%s\": %s", bad->text, message);
	}
}

static void
test_very_long(void **state)
{
	static char text[1 << 20];
	char		message[sizeof(SfTextError)];
	SfLayout	layout;
	int64_t		unix_ms;

	(void) state;
	for (const char *fill = " :x9t\xff"; *fill != '\0'; fill++)
	{
		memset(text, *fill, sizeof(text) - 1);
		assert_false(parse(text, &layout, message));
		assert_string_equal(message, LONG);
		assert_false(parse_epoch(text, &unix_ms, message));
	}
}

/*
 * Canonical texts with a few bytes changed.  Most are refused; one that is
 * accepted must be a usable layout, and its canonical form the same one.
 */
static void
test_random_texts(void **state)
{
	int			accepted = 0;

	(void) state;
	for (int i = 0; i < RANDOM_TEXTS; i++)
	{
		static const char likely[] = "0123456789: -+.TZms";
		char		message[sizeof(SfTextError)];
		char		text[SF_LAYOUT_TEXT_SIZE + 8];
		SfLayout	layout,
					again;
		int			changes = 1 + unit_random_below(3);

		unit_random_layout(&layout);
		sf_layout_format(&layout, text);
		while (changes-- > 0)
		{
			size_t		length = strlen(text);
			size_t		at = unit_random_below(length);
			char		byte = likely[unit_random_below(sizeof(likely) - 1)];

			if (unit_random_below(4) == 0)
				byte = 1 + unit_random_below(255);
			switch (unit_random_below(3))
			{
				case 0:
					text[at] = byte;
					break;
				case 1:
					memmove(text + at, text + at + 1, length - at);
					break;
				default:
					memmove(text + at + 1, text + at, length - at + 1);
					text[at] = byte;
					break;
			}
			if (text[0] == '\0')
				strcpy(text, ":");
		}

		if (parse(text, &layout, message))
		{
			char		canonical_text[SF_LAYOUT_TEXT_SIZE];

			sf_layout_format(&layout, canonical_text);
			check_consistent(text, &layout);
			check(parse(canonical_text, &again, message), "\"%s\": %s", canonical_text, message);
			check(sf_layout_equal(&layout, &again), "\"%s\" and \"%s\" differ", text, canonical_text);
			accepted++;
		}
		else
			check(message[0] != '\0' && message[strlen(message) - 1] == '.', "\"%s\": no sentence: %s", text, message);
	}
	assert_true(accepted >= 1 && accepted <= RANDOM_TEXTS - 1);
}

/*
 * Epochs
 */

typedef struct GoodEpoch
{
	const char *text;
	int64_t		unix_ms;
} GoodEpoch;

static const GoodEpoch good_epochs[] = {
	{"1970-01-01", 0},
	{"1970-01-01T00:00:00.001Z", 1},
	{"1970-01-01T00:00:00.1", 100},
	{"1970-01-01T00:00:00.12", 120},
	{"1970-01-01T00:00:00.012", 12},
	{"1970-01-01 00:01", 60000},
	{"1970-01-01T23:59:59.999Z", MS_PER_DAY - 1},
	{"1970-01-02Z", MS_PER_DAY},
	{"1970-01-01T15:59+15:59", 0},
	{"1970-01-01T01:00+01", 0},
	{"1970-01-01T00:00-01", 3600000},
	{"1970-01-01T00:00:00-00:30", 1800000},
	{"1970-01-01T00:00:00+00:00", 0},
	{"1970-01-02+02", MS_PER_DAY - 7200000},
	{"2010-11-04T01:42:54.657Z", TWITTER_EPOCH},
	{"2010-11-04 01:42:54.657+00", TWITTER_EPOCH},
	{"2010-11-04T03:42:54.657+02:00", TWITTER_EPOCH},
	{"2010-11-03T20:12:54.657-05:30", TWITTER_EPOCH},
	{"2024-02-29", 19782 * MS_PER_DAY},
	{"2000-02-29", 11016 * MS_PER_DAY},
	{"9999-12-31T23:59:59.999Z", 2932897 * MS_PER_DAY - 1},
	{"9999-12-31T23:59:59.999+00:01", 2932897 * MS_PER_DAY - 60001},
};

#define WRITTEN		"A time is written like 2010-11-04T01:42:54.657Z or 2010-11-04."
#define YEAR		"The year must be between 1970 and 9999."
#define YEAR_UTC	"The year in UTC must be between 1970 and 9999."
#define DAY			"There is no such day."
#define CLOCK		"The time of day is written like 01:42, 01:42:54 or 01:42:54.657."
#define NO_CLOCK	"There is no such time of day."
#define FRACTION	"A fraction of a second has one to three digits."
#define OFFSET		"An offset from UTC is written like Z, +02 or +02:00."
#define BEHIND(s)	"There is text behind the time: \"" s "\"."

static const BadText bad_epochs[] = {
	{"", WRITTEN},
	{" ", WRITTEN},
	{" 2010-11-04", WRITTEN},
	{"2010", WRITTEN},
	{"2010-11", WRITTEN},
	{"2010-11-", WRITTEN},
	{"2010-1-04", WRITTEN},
	{"2010-11-4", WRITTEN},
	{"2010-11-004", WRITTEN},
	{"2010/11/04", WRITTEN},
	{"20101104", WRITTEN},
	{"10-11-04", WRITTEN},
	{"10000-01-01", WRITTEN},
	{"02010-11-04", WRITTEN},
	{"-2010-11-04", WRITTEN},
	{"+2010-11-04", WRITTEN},
	{"now", WRITTEN},
	{"infinity", WRITTEN},
	{"1288834974657", WRITTEN},
	{"\xd9\xa2\xd9\xa0\xd9\xa1\xd9\xa0-11-04", WRITTEN},
	{"0000-01-01", YEAR},
	{"1969-12-31", YEAR},
	{"1969-12-31T23:59:59.999Z", YEAR},
	{"1969-12-31T23:00-01:00", YEAR},	/* the year as written counts too */
	{"2010-00-01", DAY},
	{"2010-13-01", DAY},
	{"2010-11-00", DAY},
	{"2010-11-31", DAY},
	{"2010-12-32", DAY},
	{"2023-02-29", DAY},
	{"2024-02-30", DAY},
	{"2100-02-29", DAY},
	{"2010-11-04T", CLOCK},
	{"2010-11-04T01", CLOCK},
	{"2010-11-04T01:", CLOCK},
	{"2010-11-04T1:42", CLOCK},
	{"2010-11-04T0142", CLOCK},
	{"2010-11-04T01:42:", CLOCK},
	{"2010-11-04T01:42:5", CLOCK},
	{"2010-11-04T01:42:054", CLOCK},
	{"2010-11-04  01:42", CLOCK},
	{"2010-11-04T01:42:54.", FRACTION},
	{"2010-11-04T01:42:54.Z", FRACTION},
	{"2010-11-04T01:42:54.6574", FRACTION},
	{"2010-11-04T24:00", NO_CLOCK},
	{"2010-11-04T01:60", NO_CLOCK},
	{"2010-11-04T23:59:60", NO_CLOCK},
	{"2010-11-04T01:42+", OFFSET},
	{"2010-11-04T01:42+2", OFFSET},
	{"2010-11-04T01:42+0200", OFFSET},
	{"2010-11-04T01:42+02:", OFFSET},
	{"2010-11-04T01:42+02:0", OFFSET},
	{"2010-11-04T01:42+02:60", OFFSET},
	{"2010-11-04T01:42-16", OFFSET},
	{"2010-11-04T01:42+99:99", OFFSET},
	{"2010-11-04t01:42", BEHIND("t01:42")},
	{"2010-11-04z", BEHIND("z")},
	{"2010-11-04ZZ", BEHIND("Z")},
	{"2010-11-04Z ", BEHIND(" ")},
	{"2010-11-04\n", BEHIND("\n")},
	{"2010-11-04T01:42 UTC", BEHIND(" UTC")},
	{"2010-11-04T01:42+02:00:00", BEHIND(":00")},
	{"2010-11-04T01:42+02Z", BEHIND("Z")},
	{"2010-11-04\xc2\xa0", BEHIND("\xc2\xa0")},
	{"2010-11-04%n%s", BEHIND("%n%s")},
	{"1970-01-01T00:59+01:00", YEAR_UTC},
	{"1970-01-01+00:01", YEAR_UTC},
	{"9999-12-31T23:59-00:01", YEAR_UTC},
	{"9999-12-31T23:59:59.999-15:59", YEAR_UTC},
};

static void
test_epochs(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(good_epochs); i++)
	{
		char		message[sizeof(SfTextError)];
		int64_t		unix_ms = UNTOUCHED;

		check(parse_epoch(good_epochs[i].text, &unix_ms, message), "\"%s\": %s", good_epochs[i].text, message);
		check(unix_ms == good_epochs[i].unix_ms, "\"%s\" is %" PRId64, good_epochs[i].text, unix_ms);
	}

	for (int i = 0; i < lengthof(bad_epochs); i++)
	{
		const BadText *bad = &bad_epochs[i];
		char		message[sizeof(SfTextError)];
		int64_t		unix_ms = UNTOUCHED;

		check(!parse_epoch(bad->text, &unix_ms, message), "\"%s\" was accepted", bad->text);
		check(strcmp(message, bad->message) == 0, "\"%s\": %s", bad->text, message);
		check(unix_ms == UNTOUCHED, "\"%s\" changed the result", bad->text);
	}
}

/*
 * A setting's text has no limit of length, but its error must stay a whole
 * sentence: cut in the middle it may end within a character.
 */
static void
test_long_epoch_error(void **state)
{
	char		message[sizeof(SfTextError)];
	int64_t		unix_ms;

	(void) state;
	assert_false(parse_epoch("2010-11-04 01:42 " HUNDRED("\xc3\xa9") HUNDRED("\xc3\xa9"), &unix_ms, message));
	check(message[strlen(message) - 1] == '.', "no sentence: %s", message);
}

/*
 * Every date of the years 1970 to 9999, and the days up to 31 that a month
 * does not have, against timegm(), which moves a day that does not exist to
 * one that does.
 */
static void
test_every_day(void **state)
{
	static const char prefix[] = "time:41 tick:1ms epoch:";
	SfLayout	layout = {
		.bits = {[SF_TIME] = 41},
		.total_bits = 41,
		.tick_ms = 1,
	};
	int			days = 0;

	(void) state;
	for (int year = 1970; year <= 9999; year++)
		for (int month = 1; month <= 12; month++)
			for (int day = 1; day <= 31; day++)
			{
				struct tm	tm = {
					.tm_year = year - 1900,
					.tm_mon = month - 1,
					.tm_mday = day,
				};
				int64_t		expected = (int64_t) timegm(&tm) * 1000;
				bool		exists = tm.tm_mon == month - 1 && tm.tm_mday == day;
				char		text[] = {
					'0' + year / 1000, '0' + year / 100 % 10, '0' + year / 10 % 10, '0' + year % 10, '-',
					'0' + month / 10, '0' + month % 10, '-', '0' + day / 10, '0' + day % 10, '\0'
				};
				int64_t		unix_ms = UNTOUCHED;
				SfTextError error;
				char		formatted[SF_LAYOUT_TEXT_SIZE];

				check(sf_epoch_parse(text, &unix_ms, &error) == exists, "%s: exists: %d", text, exists);
				if (!exists)
					continue;
				check(unix_ms == expected, "%s is %" PRId64 " instead of %" PRId64, text, unix_ms, expected);
				days++;

				layout.epoch_ms = unix_ms + unit_random_below(MS_PER_DAY);
				sf_layout_format(&layout, formatted);
				check(memcmp(formatted, prefix, strlen(prefix)) == 0 &&
					  memcmp(formatted + strlen(prefix), text, strlen(text)) == 0,
					  "%s was written as %s", text, formatted);
			}
	assert_int_equal(days, 2932897);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test_setup(test_random_layouts, unit_seed),
		cmocka_unit_test(test_bad_layouts),
		cmocka_unit_test(test_very_long),
		cmocka_unit_test_setup(test_random_texts, unit_seed),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_long_epoch_error),
		cmocka_unit_test_setup(test_every_day, unit_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
