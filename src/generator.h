/*-------------------------------------------------------------------------
 *
 * generator.h
 *	  Making IDs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_GENERATOR_H
#define SF_GENERATOR_H

#include "clock.h"
#include "horizon.h"
#include "layout.h"
#include "shared.h"

/* SQLSTATEs of the generator's own errors; class SF is in no standard. */
#define SF_ERRCODE_CLOCK_BEHIND		MAKE_SQLSTATE('S', 'F', '0', '0', '1')
#define SF_ERRCODE_SEQUENCE_USED_UP	MAKE_SQLSTATE('S', 'F', '0', '0', '2')
#define SF_ERRCODE_CLOCK_JUMPED		MAKE_SQLSTATE('S', 'F', '0', '0', '3')

/* IDs of one tick, with consecutive sequence numbers, that are ours alone. */
typedef struct SfClaim
{
	uint64		tick;
	uint32		node;
	uint32		first;
	uint32		count;
} SfClaim;

/*
 * What this backend's last claim was made from.  While the clock shows the
 * same millisecond, the grant is the same and the state is in the claim's
 * tick, sf_step() would only add 1 to the state.  Before the first claim
 * the millisecond is none that a clock shows.
 */
typedef struct SfLastClaim
{
	SfMillisecond now;
	uint64		grant;
	uint64		tick;
	uint64		tick_state;		/* the state at sequence number 0 of the tick */
	uint64		tick_id;		/* the ID with sequence number 0 of the tick */
	uint64		max_sequence;
	int			sequence_shift;
	pg_atomic_uint64 *issued;	/* this backend's counter */
} SfLastClaim;

extern SfLastClaim sf_last;

extern int64 sf_generator_next_by_claim(Oid function);
extern void sf_generator_claim(Oid function, uint32 want, SfClaim *claim);
extern void sf_generator_accept_clock(void);

static inline int64
sf_claim_id(const SfClaim *claim, uint32 i)
{
	return (int64) sf_layout_compose(&sf_shared->layout, claim->tick,
									 claim->node, claim->first + i);
}

/*
 * Make one ID: what sf_generator_claim() does for one, by a short way that is
 * nearly always open.  function is the SQL function that was called.
 *
 * The clock is read first here, and not between the state and its exchange:
 * in that time another processor would take the cache line away.  It makes no
 * difference to the ID, since it has the tick of the state that is exchanged,
 * and the clock has shown the millisecond in which that tick may be used.
 * State and grant are read in their order, and anew after an exchange that
 * failed.
 */
static inline int64
sf_generator_next(Oid function)
{
	if (likely(sf_clock_still_shows(&sf_last.now)))
	{
		uint64		state = pg_atomic_read_u64(&sf_shared->state);

		for (;;)
		{
			/* The closed bit, or another tick, makes a huge number of this. */
			uint64		sequence = state - sf_last.tick_state;

			pg_read_barrier();
			if (unlikely(sequence >= sf_last.max_sequence ||
						 pg_atomic_read_u64(&sf_shared->grant) != sf_last.grant ||
						 sf_last.tick >= sf_horizon_due))
				break;
			SF_PAUSE_POINT();
			/* A failed exchange has read the state. */
			if (likely(pg_atomic_compare_exchange_u64(&sf_shared->state, &state, state + 1)))
			{
				sf_count(sf_last.issued, 1);
				return (int64) (sf_last.tick_id + ((sequence + 1) << sf_last.sequence_shift));
			}
		}
	}
	return sf_generator_next_by_claim(function);
}

#endif							/* SF_GENERATOR_H */
