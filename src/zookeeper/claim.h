/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Claiming a node ID.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_CLAIM_H
#define SF_ZK_CLAIM_H

#include "tree.h"

/* This process has seen whether there is a lease from before it. */
extern bool sf_zk_looked_back;

/* How many ledgers there were when they were last read. */
extern int	sf_zk_n_ledgers;

extern SfZkOutcome sf_zk_choose_and_claim(void);

#endif							/* SF_ZK_CLAIM_H */
