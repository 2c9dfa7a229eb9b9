/*-------------------------------------------------------------------------
 *
 * clocks.h
 *	  The clock of this server against ZooKeeper's and the other servers'.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_CLOCKS_H
#define SF_ZK_CLOCKS_H

#include "session.h"
#include "skew.h"
#include "tree.h"

/* What ZooKeeper's clock showed when we last wrote and it was fast enough. */
extern SfClockSample sf_zk_clock;

extern void sf_zk_clock_note(const SfZkReply *reply, int64 leader_ms);
extern int64 sf_zk_end_from_now(void);
extern void sf_zk_watch_clock(void);
extern SfZkOutcome sf_zk_check_clock(void);

#endif							/* SF_ZK_CLOCKS_H */
