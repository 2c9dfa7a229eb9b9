/*-------------------------------------------------------------------------
 *
 * node.h
 *	  The grant: which node ID may be used, and up to which tick.
 *
 * Both are packed into one word, so that no one ever sees a node ID with the
 * tick of another.  Node ID and time have at most 62 bits in a layout that
 * can issue (the sequence has at least one of the 63); the top bit tells a
 * grant from none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_NODE_H
#define SF_NODE_H

#include "layout.h"

#define SF_GRANT_NONE	UINT64_C(0)
#define SF_GRANT_SET	(UINT64_C(1) << 63)

static inline uint64_t
sf_grant_pack(const SfLayout *layout, uint32_t node, uint64_t last_tick)
{
	return SF_GRANT_SET | last_tick << layout->node_bits | node;
}

static inline uint32_t
sf_grant_node(const SfLayout *layout, uint64_t grant)
{
	return grant & sf_max_value(layout->node_bits);
}

static inline uint64_t
sf_grant_last_tick(const SfLayout *layout, uint64_t grant)
{
	return (grant & ~SF_GRANT_SET) >> layout->node_bits;
}

extern void sf_node_grant(void);

#endif							/* SF_NODE_H */
