/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  Reading the ledgers of all node IDs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_LEDGER_H
#define SF_ZK_LEDGER_H

#include "choose.h"
#include "session.h"
#include "tree.h"

extern bool sf_zk_is_ours(const SfLedgerRecord *ledger);
extern void sf_zk_tell_unreadable(const SfCandidate *candidates, int n);
extern int	sf_zk_read_ledgers(uint32 from, int limit, SfCandidate **candidates, int *n, int *deleted);

#endif							/* SF_ZK_LEDGER_H */
