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
extern int64_t sf_clock_us(void);
extern int64_t sf_clock_monotonic_us(void);
extern int64_t sf_clock_boottime_us(void);
extern int64_t sf_clock_offset_us(void);
extern void sf_clock_sync(SfClockSync *sync);

#endif							/* SF_CLOCK_H */
