/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The clocks of the machine.
 *
 * Pure C.  The clocks are read through libc, never by a system call of our
 * own, so that tests can put other ones in their place.
 *
 *-------------------------------------------------------------------------
 */
#include <sys/timex.h>
#include <time.h>

#include "clock.h"

#define NS_PER_US		1000
#define US_PER_SECOND	INT64_C(1000000)
#define MS_PER_SECOND	INT64_C(1000)

/* A pair of readings further apart than this does not belong together. */
#define MAX_PAIR_DISTANCE_US	50
#define MAX_PAIR_TRIES			20

static inline int64_t
read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * US_PER_SECOND + t.tv_nsec / NS_PER_US;
}

/* Milliseconds since 1970.  On the path of every ID. */
int64_t
sf_clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * MS_PER_SECOND + t.tv_nsec / SF_NS_PER_MS;
}

/* That millisecond since 1970, for sf_clock_still_shows(). */
SfMillisecond
sf_clock_millisecond(int64_t unix_ms)
{
	SfMillisecond millisecond = {
		.second = unix_ms / MS_PER_SECOND,
		.nanosecond = unix_ms % MS_PER_SECOND * SF_NS_PER_MS
	};

	return millisecond;
}

/* Microseconds since 1970. */
int64_t
sf_clock_us(void)
{
	return read_us(CLOCK_REALTIME);
}

/* Microseconds of a clock that is never set: to measure how long we waited. */
int64_t
sf_clock_monotonic_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

/*
 * Microseconds of a clock that is never set and counts on while the machine
 * is suspended: to tell time that passed from a clock that was set.
 */
int64_t
sf_clock_boottime_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

/*
 * How far CLOCK_REALTIME is ahead of CLOCK_BOOTTIME.  The difference changes
 * only when somebody sets the clock: slewing moves both alike.
 */
int64_t
sf_clock_offset_us(void)
{
	int64_t		offset = 0;
	int64_t		nearest = INT64_MAX;

	/* Interrupted between two readings, we would see a step that was none. */
	for (int i = 0; i < MAX_PAIR_TRIES && nearest > MAX_PAIR_DISTANCE_US; i++)
	{
		int64_t		before = sf_clock_boottime_us();
		int64_t		now = read_us(CLOCK_REALTIME);
		int64_t		distance = sf_clock_boottime_us() - before;

		if (distance < nearest)
		{
			nearest = distance;
			offset = now - before - distance / 2;
		}
	}
	return offset;
}

void
sf_clock_sync(SfClockSync *sync)
{
	static const char *const names[] = {
		[TIME_OK] = "ok",
		[TIME_INS] = "insert leap second",
		[TIME_DEL] = "delete leap second",
		[TIME_OOP] = "leap second in progress",
		[TIME_WAIT] = "leap second has occurred",
		[TIME_ERROR] = "not synchronized",
	};
	struct timex t = {.modes = 0};
	int			state = ntp_adjtime(&t);

	sync->known = state >= 0 && state < (int) (sizeof(names) / sizeof(names[0]));
	if (!sync->known)
		return;
	sync->state = names[state];
	sync->synchronized = state != TIME_ERROR && !(t.status & STA_UNSYNC);
	sync->estimated_error_us = t.esterror;
	sync->maximum_error_us = t.maxerror;
}
