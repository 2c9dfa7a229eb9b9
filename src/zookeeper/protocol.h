/*-------------------------------------------------------------------------
 *
 * protocol.h
 *	  The lease of a node ID: claim, extend, find out, release.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_PROTOCOL_H
#define SF_ZK_PROTOCOL_H

#include "choose.h"
#include "session.h"
#include "skew.h"
#include "tree.h"

/* The lease as this process knows it. */
typedef struct SfZkLease
{
	bool		held;			/* the ledger was ours when we last knew */
	uint32		id;
	int64		since_ms;		/* claimed, or found again */
	int64		high_ms;
} SfZkLease;

/* What ZooKeeper's clock showed when we last wrote. */
extern SfClockSample sf_zk_clock;

extern void sf_zk_protocol_new_session(void);
extern int64 sf_zk_protocol_step(void);
extern bool sf_zk_protocol_release(void);
extern void sf_zk_protocol_report(void);
extern void sf_zk_protocol_extend_soon(void);
extern SfZkLease sf_zk_protocol_lease(void);
extern void sf_zk_clock_note(const SfZkReply *reply, int64 leader_ms);

extern int	sf_zk_read_ledgers(uint32 from, int limit, SfCandidate **candidates, int *n, int *deleted);

#endif							/* SF_ZK_PROTOCOL_H */
