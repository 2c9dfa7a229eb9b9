/*-------------------------------------------------------------------------
 *
 * skew.c
 *	  Our clock against those of others.
 *
 *-------------------------------------------------------------------------
 */
#include "skew.h"

#include <stdlib.h>

#define US_PER_MS	1000

/*
 * The leader's clock at that monotonic time, at the latest: the stamp was made
 * when we sent the request, at the end of its millisecond.
 */
static int64_t
latest_us(const SfClockSample *sample, int64_t monotonic_us)
{
	return (sample->leader_ms + 1) * US_PER_MS + (monotonic_us - sample->sent_us);
}

/* And at the earliest: it was made when we received the reply. */
static int64_t
earliest_us(const SfClockSample *sample, int64_t monotonic_us)
{
	return sample->leader_ms * US_PER_MS + (monotonic_us - sample->received_us);
}

/* Our clock shows now_ms, and somewhere in that millisecond it is. */
SfClockOffset
sf_skew_offset(const SfClockSample *sample, int64_t now_ms, int64_t monotonic_us)
{
	int64_t		least = now_ms * US_PER_MS - latest_us(sample, monotonic_us);
	int64_t		most = (now_ms + 1) * US_PER_MS - earliest_us(sample, monotonic_us);

	return (SfClockOffset)
	{
		.offset_us = least + (most - least) / 2,
			.error_us = (most - least + 1) / 2
	};
}

/* What the leader's clock shows at the latest. */
int64_t
sf_skew_latest_ms(const SfClockSample *sample, int64_t monotonic_us)
{
	return latest_us(sample, monotonic_us) / US_PER_MS;
}

static int
compare(const void *a, const void *b)
{
	int64_t		left = ((const SfClockOffset *) a)->offset_us;
	int64_t		right = ((const SfClockOffset *) b)->offset_us;

	return left < right ? -1 : left > right;
}

/*
 * How far our clock is from the median of the others', at the least: positive
 * is ahead.  The leader's own clock is one of them, so that there is always
 * one; of an even number, all between the two in the middle is the median.
 *
 * others has room for one more than n, and is sorted here.
 */
int64_t
sf_skew_from_others(const SfClockOffset *ours, SfClockOffset *others, int n)
{
	SfClockOffset low;
	SfClockOffset high;

	others[n++] = (SfClockOffset) {0, 0};
	qsort(others, n, sizeof(*others), compare);
	low = others[(n - 1) / 2];
	high = others[n / 2];

	if (ours->offset_us - ours->error_us > high.offset_us + high.error_us)
		return ours->offset_us - ours->error_us - (high.offset_us + high.error_us);
	if (ours->offset_us + ours->error_us < low.offset_us - low.error_us)
		return ours->offset_us + ours->error_us - (low.offset_us - low.error_us);
	return 0;
}
