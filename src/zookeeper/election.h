/*-------------------------------------------------------------------------
 *
 * election.h
 *	  Which of the live servers leads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_ELECTION_H
#define SF_ZK_ELECTION_H

#include "tree.h"

extern void sf_zk_election_new_session(void);
extern SfZkOutcome sf_zk_election_join(void);
extern int64 sf_zk_election_step(void);
extern bool sf_zk_election_leads(void);
extern const char *sf_zk_election_report(void);

#endif							/* SF_ZK_ELECTION_H */
