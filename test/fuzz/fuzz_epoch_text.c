/*-------------------------------------------------------------------------
 *
 * fuzz_epoch_text.c
 *	  Fuzz target: the text form of an epoch.
 *
 * The input is the text, or behind a NUL numbers that are written as one.  One
 * that is accepted must be an epoch that a layout may have, and the instant
 * that the C library reads; and so must its canonical form.
 *
 *-------------------------------------------------------------------------
 */
#include <time.h>

#include "fuzz.h"

/* The instant that an accepted text says, as the C library reads it */
static int64_t
instant_of(const char *text)
{
	struct tm	written = {0};
	struct tm	real;
	const char *rest = strptime(text, "%Y-%m-%d", &written);
	int64_t		ms = 0;
	int			offset_hours = 0;
	int			offset_minutes = 0;
	char		sign = '+';

	require(rest != NULL, "\"%s\" has no date", text);
	if (*rest == 'T' || *rest == ' ')
	{
		rest = strptime(rest + 1, "%H:%M", &written);
		require(rest != NULL, "\"%s\" has no time", text);
		if (*rest == ':')
			rest = strptime(rest + 1, "%S", &written);
		require(rest != NULL, "\"%s\" has no seconds", text);
		if (*rest == '.')
		{
			int			scale = 100;

			for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
				ms += (*rest - '0') * scale;
		}
	}
	if (*rest == '+' || *rest == '-')
	{
		sign = *rest++;
		require(sscanf(rest, "%2d:%2d", &offset_hours, &offset_minutes) >= 1, "\"%s\" has no offset", text);
		rest += strlen(rest) == 2 ? 2 : 5;
	}
	else if (*rest == 'Z')
		rest++;
	require(*rest == '\0', "\"%s\" goes on behind its end", text);

	/* A date that does not exist would come out as another. */
	real = written;
	ms += (int64_t) timegm(&real) * 1000;
	require(real.tm_mday == written.tm_mday && real.tm_hour == written.tm_hour &&
			real.tm_min == written.tm_min && real.tm_sec == written.tm_sec, "\"%s\" does not exist", text);
	return ms - (sign == '-' ? -1 : 1) * (offset_hours * 60 + offset_minutes) * INT64_C(60000);
}

static void
check_text(const char *text, bool *accepted)
{
	int64_t		unix_ms = -1;
	SfTextError error;

	memset(&error, 'x', sizeof(error));
	*accepted = sf_epoch_parse(text, &unix_ms, &error);
	if (*accepted)
	{
		SfLayout	layout = {.bits = {[SF_TIME] = 41}, .total_bits = 41, .tick_ms = 1, .epoch_ms = unix_ms};
		char		canonical[SF_LAYOUT_TEXT_SIZE];
		const char *epoch;
		int64_t		again;

		fuzz_require_consistent(&layout);
		sf_layout_format(&layout, canonical);
		epoch = strstr(canonical, "epoch:");
		require(epoch != NULL, "\"%s\" has no epoch", canonical);
		epoch += strlen("epoch:");
		require(sf_epoch_parse(epoch, &again, &error), "\"%s\": %s", epoch, error.message);
		require(again == unix_ms, "\"%s\" is another instant", epoch);
		require(instant_of(text) == unix_ms && instant_of(epoch) == unix_ms,
				"\"%s\" or \"%s\" is another instant", text, epoch);
	}
	else
	{
		fuzz_require_sentence(&error);
		require(unix_ms == -1, "the result of a text that was refused was written");
	}
}

static unsigned
days_in_month(int year, int month)
{
	struct tm	last = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = 0};

	timegm(&last);
	return last.tm_mday;
}

/* A text of numbers that often are just outside of what there is */
static void
check_numbers(const uint8_t *data, size_t size)
{
	static const unsigned char days[] = {0, 1, 2, 27, 28, 29, 30, 31, 32};
	unsigned	any_year = fuzz_number(&data, &size, 2) % 20000;
	unsigned	year = any_year < 10000 ? any_year : (any_year - 10000) / 100 * 100;
	unsigned	month = fuzz_number(&data, &size, 1) % 14;
	unsigned	day = days[fuzz_number(&data, &size, 1) % sizeof(days)];
	unsigned	hour = fuzz_number(&data, &size, 1) % 26;
	unsigned	minute = fuzz_number(&data, &size, 1) % 62;
	unsigned	second = fuzz_number(&data, &size, 1) % 62;
	unsigned	ms = fuzz_number(&data, &size, 2) % 1000;
	unsigned	offset_hour = fuzz_number(&data, &size, 1) % 17;
	unsigned	offset_minute = fuzz_number(&data, &size, 1) % 62;
	bool		day_exists = month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
	bool		exists = year >= 1970 && day_exists && hour < 24 && minute < 60 && second < 60;
	char		text[100];
	bool		accepted;

	snprintf(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day, hour, minute, second, ms);
	check_text(text, &accepted);
	require(accepted == exists, "\"%s\" was accepted: %d", text, accepted);

	/* With an offset it may be in another year. */
	if (year > 1970 && year < 9999)
	{
		snprintf(text, sizeof(text), "%04u-%02u-%02u %02u:%02u:%02u.%03u%c%02u:%02u", year, month, day, hour, minute, second, ms,
				 ms % 2 == 0 ? '+' : '-', offset_hour, offset_minute);
		check_text(text, &accepted);
		require(accepted == (exists && offset_hour < 16 && offset_minute < 60), "\"%s\" was accepted: %d", text, accepted);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = strndup((const char *) data, size);
	bool		accepted;

	check_text(text, &accepted);
	if (size > 0 && data[0] == '\0')
		check_numbers(data + 1, size - 1);
	free(text);
	return 0;
}
