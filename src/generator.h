/*-------------------------------------------------------------------------
 *
 * generator.h
 *	  Making IDs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_GENERATOR_H
#define SF_GENERATOR_H

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

extern int64 sf_generator_next(Oid function);
extern void sf_generator_claim(Oid function, uint32 want, SfClaim *claim);
extern void sf_generator_accept_clock(void);

static inline int64
sf_claim_id(const SfClaim *claim, uint32 i)
{
	return (int64) sf_layout_compose(&sf_shared->layout, claim->tick,
									 claim->node, claim->first + i);
}

#endif							/* SF_GENERATOR_H */
