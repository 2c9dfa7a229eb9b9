/*-------------------------------------------------------------------------
 *
 * tree.h
 *	  The cluster's nodes in ZooKeeper, and what all its servers agree on.
 *
 *	<path>/config					SfConfigRecord
 *	<path>/<cluster>/ids/<k>		SfLedgerRecord, never deleted
 *	<path>/<cluster>/ids/<k>/holder	ephemeral: the holder of k is alive
 *	<path>/<cluster>/nodes/<k>		ephemeral: SfNodeRecord
 *	<path>/<cluster>/election/...	ephemeral, see election.c
 *
 * The cluster's UUID is in the paths because versions begin anew in a tree
 * that was deleted and made again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_TREE_H
#define SF_ZK_TREE_H

#include "session.h"

/* What came of a step of the protocol. */
typedef enum SfZkOutcome
{
	SF_ZK_DONE,
	SF_ZK_LATER,				/* try again */
	SF_ZK_REFUSED				/* the same, but only people can change it */
} SfZkOutcome;

typedef struct SfZkTree
{
	bool		agreed;			/* false: to be read, and looked through */
	int			version;		/* of the node config */
	SfConfigRecord config;
	int64		floor_ms;		/* no claim begins before it */
} SfZkTree;

extern SfZkTree sf_zk_tree;

extern SfZkOutcome sf_zk_outcome(int rc);
extern SfZkOutcome sf_zk_tree_agree(void);
extern void sf_zk_tree_missing(int rc);

extern const char *sf_zk_path_config(char buf[SF_ZK_PATH_SIZE]);
extern const char *sf_zk_path_of(char buf[SF_ZK_PATH_SIZE], const char *below);
extern const char *sf_zk_path_id(char buf[SF_ZK_PATH_SIZE], uint32 id);
extern const char *sf_zk_path_holder(char buf[SF_ZK_PATH_SIZE], uint32 id);
extern const char *sf_zk_path_node(char buf[SF_ZK_PATH_SIZE], uint32 id);

#endif							/* SF_ZK_TREE_H */
