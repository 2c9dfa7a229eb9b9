/*-------------------------------------------------------------------------
 *
 * skew.h
 *	  Our clock against those of others.
 *
 * ZooKeeper stamps each write with the clock of the ensemble's leader.  That
 * instant lies between those at which we sent the request and received the
 * reply, which are known by a clock that is never set; so what the leader's
 * clock shows is known ever after, give or take the time of that round trip.
 *
 * Pure, like layout.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_SKEW_H
#define SF_ZK_SKEW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct SfClockSample
{
	bool		known;
	int64_t		leader_ms;		/* the stamp, milliseconds since 1970 */
	int64_t		sent_us;		/* monotonic */
	int64_t		received_us;
} SfClockSample;

/* How far a clock is ahead of the leader's: within offset -/+ error. */
typedef struct SfClockOffset
{
	int64_t		offset_us;
	int64_t		error_us;
} SfClockOffset;

extern SfClockOffset sf_skew_offset(const SfClockSample *sample, int64_t now_ms, int64_t monotonic_us);
extern int64_t sf_skew_latest_ms(const SfClockSample *sample, int64_t monotonic_us);
extern int64_t sf_skew_from_others(const SfClockOffset *ours, SfClockOffset *others, int n);

#endif							/* SF_ZK_SKEW_H */
