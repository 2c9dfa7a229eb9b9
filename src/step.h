/*-------------------------------------------------------------------------
 *
 * step.h
 *	  The one transition of the generator's state.
 *
 * The state is the last tick that was used and the last sequence number in
 * it, packed into one 64-bit word, so that a compare-exchange moves both.
 * Pure, like layout.h, and unit-tested by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_STEP_H
#define SF_STEP_H

#include "layout.h"

/*
 * The top bit of a state says that this node ID was given back.  Tick and
 * sequence of a layout that can issue have at most 62 bits (the node ID takes
 * at least one of the 63), so the bit is free.
 */
#define SF_STATE_CLOSED		(UINT64_C(1) << 63)

typedef enum SfStepResult
{
	SF_STEP_OK,
	SF_STEP_SEQUENCE_USED_UP,	/* wait for the clock to reach ->tick */
	SF_STEP_CLOCK_BEHIND,		/* likewise; it is ->behind ticks back */
	SF_STEP_BEFORE_EPOCH,		/* the clock shows a time before tick 0 */
	SF_STEP_TIME_OVER			/* the layout has no tick left */
} SfStepResult;

typedef struct SfStep
{
	uint64_t	state;			/* the state to exchange for the old one */
	uint64_t	tick;			/* tick of the IDs, or the one to wait for */
	uint32_t	first;			/* sequence number of the first ID */
	uint32_t	count;			/* how many IDs, at least 1 */
	uint64_t	behind;			/* ticks from the clock up to the last ID */
} SfStep;

static inline uint64_t
sf_state_pack(const SfLayout *layout, uint64_t tick, uint32_t sequence)
{
	return tick << layout->bits[SF_SEQUENCE] | sequence;
}

static inline uint64_t
sf_state_tick(const SfLayout *layout, uint64_t state)
{
	return (state & ~SF_STATE_CLOSED) >> layout->bits[SF_SEQUENCE];
}

static inline uint32_t
sf_state_sequence(const SfLayout *layout, uint64_t state)
{
	return state & sf_max_value(layout->bits[SF_SEQUENCE]);
}

extern SfStepResult sf_step(const SfLayout *layout, uint64_t state,
							int64_t now, uint64_t lead, uint32_t start,
							uint32_t want, SfStep *step);

#endif							/* SF_STEP_H */
