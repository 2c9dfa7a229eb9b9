/*-------------------------------------------------------------------------
 *
 * layout_text.c
 *	  Presets, and the text form of a layout.
 *
 * A layout's text is a preset's name, or words separated by blanks:
 *
 *	  time:41 datacenter:5 worker:5 sequence:12 tick:1ms epoch:2010-11-04T01:42:54.657Z
 *
 * The fields stand in their order from the highest bit to the lowest; tick
 * and epoch come in any place and may be left out.  sf_layout_format() writes
 * the canonical form, which reads back as the same layout.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"

#define MS_PER_SECOND	INT64_C(1000)
#define MS_PER_MINUTE	(60 * MS_PER_SECOND)
#define MS_PER_HOUR		(60 * MS_PER_MINUTE)
#define MS_PER_DAY		(24 * MS_PER_HOUR)

/* Years that an epoch may have: those of a four-digit date after 1970. */
#define MIN_YEAR		1970
#define MAX_YEAR		9999

/* Longer text is not quoted in a message: it would be cut within a character. */
#define MAX_QUOTED		100

#define TWITTER_EPOCH	INT64_C(1288834974657)

static const char *const field_names[SF_NUM_FIELDS] = {
	[SF_TIME] = "time",
	[SF_DATACENTER] = "datacenter",
	[SF_WORKER] = "worker",
	[SF_NODE] = "node",
	[SF_SEQUENCE] = "sequence",
	[SF_TAIL] = "tail",
};

#define BITS(t, d, w, n, s, x) \
	{[SF_TIME] = (t), [SF_DATACENTER] = (d), [SF_WORKER] = (w), \
	 [SF_NODE] = (n), [SF_SEQUENCE] = (s), [SF_TAIL] = (x)}

/*
 * The epochs and widths are those of the generators' own sources: Twitter's
 * IdWorker, Discord's and Mastodon's API documentation, Instagram's
 * "Sharding & IDs", Sony's sonyflake, pgEdge's snowflake extension (whose
 * first versions and manual have the counter above the node ID),
 * Meituan's Leaf, Apache ShardingSphere (whose epoch is midnight of the local
 * time zone: UTC here).  Discord's worker and process are the datacenter and
 * worker here.  js53 is of this project.
 */
static const SfPreset presets[] = {
	{"twitter", "Twitter, X", {
			.bits = BITS(41, 5, 5, 0, 12, 0), .shift = BITS(22, 17, 12, 0, 0, 0),
			.total_bits = 63, .node_bits = 10, .tick_ms = 1, .epoch_ms = TWITTER_EPOCH
	}},
	{"discord", "Discord", {
			.bits = BITS(42, 5, 5, 0, 12, 0), .shift = BITS(22, 17, 12, 0, 0, 0),
			.total_bits = 64, .node_bits = 10, .tick_ms = 1, .epoch_ms = INT64_C(1420070400000)
	}},
	{"instagram", "Instagram", {
			.bits = BITS(41, 0, 0, 13, 10, 0), .shift = BITS(23, 0, 0, 10, 0, 0),
			.total_bits = 64, .node_bits = 13, .tick_ms = 1, .epoch_ms = INT64_C(1314220021721)
	}},
	{"mastodon", "Mastodon", {
			.bits = BITS(48, 0, 0, 0, 0, 16), .shift = BITS(16, 0, 0, 0, 0, 0),
			.total_bits = 64, .node_bits = 0, .tick_ms = 1, .epoch_ms = 0
	}},
	{"sonyflake", "Sonyflake", {
			.bits = BITS(39, 0, 0, 16, 8, 0), .shift = BITS(24, 0, 0, 0, 16, 0),
			.total_bits = 63, .node_bits = 16, .tick_ms = 10, .epoch_ms = INT64_C(1409529600000)
	}},
	{"pgedge", "pgEdge's snowflake extension", {
			.bits = BITS(41, 0, 0, 10, 12, 0), .shift = BITS(22, 0, 0, 12, 0, 0),
			.total_bits = 63, .node_bits = 10, .tick_ms = 1, .epoch_ms = INT64_C(1672531200000)
	}},
	{"leaf", "Leaf", {
			.bits = BITS(41, 0, 0, 10, 12, 0), .shift = BITS(22, 0, 0, 12, 0, 0),
			.total_bits = 63, .node_bits = 10, .tick_ms = 1, .epoch_ms = TWITTER_EPOCH
	}},
	{"shardingsphere", "Apache ShardingSphere in UTC", {
			.bits = BITS(41, 0, 0, 10, 12, 0), .shift = BITS(22, 0, 0, 12, 0, 0),
			.total_bits = 63, .node_bits = 10, .tick_ms = 1, .epoch_ms = INT64_C(1477958400000)
	}},
	{"js53", "this extension, exact as a JavaScript number", {
			.bits = BITS(41, 0, 5, 0, 7, 0), .shift = BITS(12, 0, 7, 0, 0, 0),
			.total_bits = 53, .node_bits = 5, .tick_ms = 1, .epoch_ms = INT64_C(1735689600000)
	}},
};

int
sf_layout_preset_count(void)
{
	return sizeof(presets) / sizeof(presets[0]);
}

const SfPreset *
sf_layout_preset(int i)
{
	return &presets[i];
}

/* Fill *error and return false, so that callers can return the result. */
__attribute__((format(printf, 2, 3)))
static bool
fail(SfTextError *error, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return false;
}

/*
 * A decimal number of 1 to max_digits digits at *p, which is moved past it.
 * Own code because strtol() takes signs, blanks and the locale's digits.
 */
static bool
read_number(const char **p, int min_digits, int max_digits, int *value)
{
	int			digits = 0;

	*value = 0;
	while (**p >= '0' && **p <= '9' && digits < max_digits)
	{
		*value = *value * 10 + (**p - '0');
		(*p)++;
		digits++;
	}
	return digits >= min_digits && !(**p >= '0' && **p <= '9');
}

static bool
read_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/*
 * Days from 1970-01-01 to a date of the Gregorian calendar, and back: the
 * usual algorithm on years that begin in March, so that the leap day is the
 * last one.
 */
static int64_t
days_from_date(int year, int month, int day)
{
	int			y = month <= 2 ? year - 1 : year;
	int			era = y / 400;
	int			year_of_era = y - era * 400;
	int			day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int			day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return (int64_t) era * 146097 + day_of_era - 719468;
}

static void
date_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t		z = days + 719468;
	int			era = z / 146097;
	int			day_of_era = z - (int64_t) era * 146097;
	int			year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int			m = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/*
 * Read an ISO 8601 instant: a date, then if wanted a time of day with seconds
 * and up to three digits of fraction, then if wanted Z or an offset.  Without
 * an offset it is UTC.  The result does not depend on any setting.
 */
bool
sf_epoch_parse(const char *text, int64_t *unix_ms, SfTextError *error)
{
	const char *p = text;
	int			year,
				month,
				day;
	int			hour = 0,
				minute = 0,
				second = 0,
				offset_hour,
				offset_minute = 0;
	int64_t		ms = 0;

	if (!read_number(&p, 4, 4, &year) || !read_char(&p, '-') ||
		!read_number(&p, 2, 2, &month) || !read_char(&p, '-') ||
		!read_number(&p, 2, 2, &day))
		return fail(error, "A time is written like 2010-11-04T01:42:54.657Z or 2010-11-04.");
	if (year < MIN_YEAR || year > MAX_YEAR)
		return fail(error, "The year must be between %d and %d.", MIN_YEAR, MAX_YEAR);
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return fail(error, "There is no such day.");

	if (*p == 'T' || *p == ' ')
	{
		p++;
		if (!read_number(&p, 2, 2, &hour) || !read_char(&p, ':') ||
			!read_number(&p, 2, 2, &minute))
			return fail(error, "The time of day is written like 01:42, 01:42:54 or 01:42:54.657.");
		if (read_char(&p, ':'))
		{
			if (!read_number(&p, 2, 2, &second))
				return fail(error, "The time of day is written like 01:42, 01:42:54 or 01:42:54.657.");
			if (read_char(&p, '.'))
			{
				int			digits = 0;

				for (; *p >= '0' && *p <= '9' && digits < 3; p++, digits++)
					ms = ms * 10 + (*p - '0');
				if (digits == 0 || (*p >= '0' && *p <= '9'))
					return fail(error, "A fraction of a second has one to three digits.");
				for (; digits < 3; digits++)
					ms *= 10;
			}
		}
		if (hour > 23 || minute > 59 || second > 59)
			return fail(error, "There is no such time of day.");
	}

	ms += days_from_date(year, month, day) * MS_PER_DAY +
		hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND;

	if (*p == '+' || *p == '-')
	{
		int			sign = *p == '-' ? -1 : 1;

		p++;
		if (!read_number(&p, 2, 2, &offset_hour) ||
			(read_char(&p, ':') && !read_number(&p, 2, 2, &offset_minute)) ||
			offset_hour > 15 || offset_minute > 59)
			return fail(error, "An offset from UTC is written like Z, +02 or +02:00.");
		ms -= sign * (offset_hour * MS_PER_HOUR + offset_minute * MS_PER_MINUTE);
	}
	else
		(void) read_char(&p, 'Z');

	if (*p != '\0')
		return strlen(p) <= MAX_QUOTED ?
			fail(error, "There is text behind the time: \"%s\".", p) :
			fail(error, "There is text behind the time.");
	if (ms < 0 || ms >= SF_EPOCH_END_MS)
		return fail(error, "The year in UTC must be between %d and %d.", MIN_YEAR, MAX_YEAR);

	*unix_ms = ms;
	return true;
}

static bool
parse_tick(const char *value, int32_t *tick_ms, SfTextError *error)
{
	const char *p = value;
	int			number;

	if (read_number(&p, 1, 7, &number) && number > 0)
	{
		if (strcmp(p, "s") == 0 && number <= SF_MAX_TICK_MS / MS_PER_SECOND)
		{
			*tick_ms = number * MS_PER_SECOND;
			return true;
		}
		if (strcmp(p, "ms") == 0 && number <= SF_MAX_TICK_MS)
		{
			*tick_ms = number;
			return true;
		}
	}
	return fail(error, "A tick is written like 1ms, 10ms or 1s, and is at most %ds long.",
				(int) (SF_MAX_TICK_MS / MS_PER_SECOND));
}

/* What must hold between the fields of a layout that was read. */
static bool
check_fields(const SfLayout *layout, SfTextError *error)
{
	int			total = 0;

	for (int f = 0; f < SF_NUM_FIELDS; f++)
		total += layout->bits[f];

	if (!sf_layout_has(layout, SF_TIME))
		return fail(error, "The field \"time\" is missing.");
	if (total > SF_MAX_BITS)
		return fail(error, "The widths add up to %d bits; an ID has %d.", total, SF_MAX_BITS);
	if (sf_layout_has(layout, SF_NODE) &&
		(sf_layout_has(layout, SF_DATACENTER) || sf_layout_has(layout, SF_WORKER)))
		return fail(error, "The node ID is either \"node\", or \"datacenter\" and \"worker\".");
	if (sf_layout_has(layout, SF_DATACENTER) && !sf_layout_has(layout, SF_WORKER))
		return fail(error, "The field \"datacenter\" needs the field \"worker\".");
	if (layout->bits[SF_NODE] + layout->bits[SF_DATACENTER] + layout->bits[SF_WORKER] > SF_MAX_INT_BITS ||
		layout->bits[SF_SEQUENCE] > SF_MAX_INT_BITS)
		return fail(error, "Node ID and sequence have at most %d bits each.", SF_MAX_INT_BITS);
	return true;
}

/* Read one "key:value" into the layout; key and value are both terminated. */
static bool
parse_word(const char *key, const char *value, SfLayout *layout,
		   bool *have_tick, bool *have_epoch, SfTextError *error)
{
	if (strcmp(key, "tick") == 0)
	{
		if (*have_tick)
			return fail(error, "\"%s\" is given twice.", key);
		*have_tick = true;
		return parse_tick(value, &layout->tick_ms, error);
	}
	if (strcmp(key, "epoch") == 0)
	{
		if (*have_epoch)
			return fail(error, "\"%s\" is given twice.", key);
		*have_epoch = true;
		return sf_epoch_parse(value, &layout->epoch_ms, error);
	}

	for (int f = 0; f < SF_NUM_FIELDS; f++)
	{
		const char *p = value;
		int			bits;

		if (strcmp(key, field_names[f]) != 0)
			continue;
		if (layout->bits[f] > 0)
			return fail(error, "\"%s\" is given twice.", key);
		if (!read_number(&p, 1, 3, &bits) || *p != '\0' || bits < 1 || bits > SF_MAX_BITS)
			return fail(error, "The width of \"%s\" must be between 1 and %d bits.", key, SF_MAX_BITS);
		if (f != SF_TIME && !sf_layout_has(layout, SF_TIME))
			return fail(error, "The first field must be \"time\", or IDs would not be in order of time.");

		/* The fields so far move up; the first one ends up highest. */
		for (int g = 0; g < SF_NUM_FIELDS; g++)
		{
			if (layout->bits[g] > 0 && layout->shift[g] + bits <= UINT8_MAX)
				layout->shift[g] += bits;
		}
		layout->bits[f] = bits;
		return true;
	}

	return fail(error, "There is no field \"%s\"; the fields are time, datacenter, worker, node, sequence and tail.", key);
}

/*
 * Read a layout.  Returns false with *error filled, and *layout undefined,
 * when the text is not one.
 */
bool
sf_layout_parse(const char *text, SfLayout *layout, SfTextError *error)
{
	char		copy[SF_LAYOUT_TEXT_SIZE];
	char	   *rest = copy;
	char	   *word;
	bool		have_tick = false;
	bool		have_epoch = false;

	for (int i = 0; i < sf_layout_preset_count(); i++)
	{
		if (strcmp(text, presets[i].name) == 0)
		{
			*layout = presets[i].layout;
			return true;
		}
	}

	if (strlen(text) >= sizeof(copy))
		return fail(error, "A layout's text has at most %d characters.", (int) sizeof(copy) - 1);
	if (strchr(text, ':') == NULL)
		return fail(error, "It is neither a preset's name nor a list of fields like \"time:41 node:10 sequence:12\".");
	strcpy(copy, text);

	memset(layout, 0, sizeof(*layout));
	layout->tick_ms = 1;
	layout->epoch_ms = TWITTER_EPOCH;

	while ((word = strsep(&rest, " ")) != NULL)
	{
		char	   *colon = strchr(word, ':');

		if (*word == '\0')
			continue;
		if (colon == NULL)
			return fail(error, "\"%s\" is not of the form name:value.", word);
		*colon = '\0';
		if (!parse_word(word, colon + 1, layout, &have_tick, &have_epoch, error))
			return false;
	}

	if (!check_fields(layout, error))
		return false;
	for (int f = 0; f < SF_NUM_FIELDS; f++)
		layout->total_bits += layout->bits[f];
	layout->node_bits = layout->bits[SF_NODE] + layout->bits[SF_DATACENTER] + layout->bits[SF_WORKER];
	return true;
}

/* Write the canonical text of a layout. */
void
sf_layout_format(const SfLayout *layout, char buf[SF_LAYOUT_TEXT_SIZE])
{
	int			used = 0;
	int			year,
				month,
				day;
	int64_t		ms_of_day = layout->epoch_ms % MS_PER_DAY;

	/* Each field is the one whose lowest bit is where the previous one ends. */
	for (int top = layout->total_bits; top > 0;)
	{
		int			f = 0;

		while (layout->bits[f] == 0 || layout->shift[f] + layout->bits[f] != top)
			f++;
		used += snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used, "%s:%d ",
						 field_names[f], layout->bits[f]);
		top = layout->shift[f];
	}

	if (layout->tick_ms % MS_PER_SECOND == 0)
		used += snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used, "tick:%ds ",
						 (int) (layout->tick_ms / MS_PER_SECOND));
	else
		used += snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used, "tick:%dms ",
						 (int) layout->tick_ms);

	date_from_days(layout->epoch_ms / MS_PER_DAY, &year, &month, &day);
	used += snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used,
					 "epoch:%04d-%02d-%02dT%02d:%02d:%02d", year, month, day,
					 (int) (ms_of_day / MS_PER_HOUR),
					 (int) (ms_of_day / MS_PER_MINUTE % 60),
					 (int) (ms_of_day / MS_PER_SECOND % 60));
	if (ms_of_day % MS_PER_SECOND != 0)
		used += snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used, ".%03d",
						 (int) (ms_of_day % MS_PER_SECOND));
	snprintf(buf + used, SF_LAYOUT_TEXT_SIZE - used, "Z");
}
