/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  Which servers are alive, and what they tell of themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_REGISTRY_H
#define SF_ZK_REGISTRY_H

#include "skew.h"
#include "tree.h"

extern const char *sf_zk_registry_owner(void);
extern size_t sf_zk_registry_record(char buf[SF_RECORD_SIZE]);
extern void sf_zk_registry_new_session(void);
extern int64 sf_zk_registry_step(void);
extern SfZkOutcome sf_zk_registry_refresh(void);
extern int	sf_zk_registry_offsets(uint32 except, SfClockOffset **offsets);

#endif							/* SF_ZK_REGISTRY_H */
