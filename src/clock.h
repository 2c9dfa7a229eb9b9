/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The clocks of the machine.  Nothing else in this extension reads one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_CLOCK_H
#define SF_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SF_NS_PER_MS	1000000

/* A millisecond of CLOCK_REALTIME, as the clock itself counts. */
typedef struct SfMillisecond
{
	int64_t		second;			/* since 1970 */
	int64_t		nanosecond;		/* where in that second it begins */
} SfMillisecond;

/* No clock shows this one. */
#define SF_NO_MILLISECOND	{.second = INT64_MIN, .nanosecond = 0}

/* What the kernel says of the synchronisation of its clock. */
typedef struct SfClockSync
{
	bool		known;			/* false: the kernel did not tell */
	bool		synchronized;
	const char *state;			/* as adjtimex(2) names it */
	int64_t		estimated_error_us;
	int64_t		maximum_error_us;
} SfClockSync;

extern int64_t sf_clock_ms(void);
extern SfMillisecond sf_clock_millisecond(int64_t unix_ms);
extern int64_t sf_clock_us(void);
extern int64_t sf_clock_monotonic_us(void);
extern int64_t sf_clock_boottime_us(void);
extern int64_t sf_clock_offset_us(void);
extern void sf_clock_sync(SfClockSync *sync);

/*
 * Does the clock still show this millisecond?  On the path of every ID, and
 * cheaper than sf_clock_ms(), since it does not convert the reading.
 */
static inline bool
sf_clock_still_shows(const SfMillisecond *millisecond)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec == millisecond->second &&
		(uint64_t) (t.tv_nsec - millisecond->nanosecond) < SF_NS_PER_MS;
}

#endif							/* SF_CLOCK_H */
