/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  Reading the ledgers of all node IDs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ledger.h"
#include "trouble.h"

bool
sf_zk_is_ours(const SfLedgerRecord *ledger)
{
	return ledger->has_nonce && memcmp(ledger->nonce, sf_api->nonce(), SF_LEASE_NONCE_BYTES) == 0;
}

static void
fill_candidate(SfCandidate *candidate, uint32 id, const SfZkReply *reply)
{
	SfRecordError error;

	memset(candidate, 0, sizeof(*candidate));
	candidate->id = id;
	if (reply->rc != ZOK)
	{
		candidate->denied = true;
		return;
	}
	candidate->version = reply->stat.version;
	candidate->modified_ms = reply->stat.mtime;
	candidate->valid = sf_ledger_parse(reply->data, reply->length, &candidate->ledger, &error);
	candidate->ours = candidate->valid && sf_zk_is_ours(&candidate->ledger);

	/*
	 * The holder is the only child.  One of our own nonce is of a session
	 * that an earlier worker had.
	 */
	candidate->held = reply->stat.numChildren > 0 && !candidate->ours;
	if (!candidate->valid)
		candidate->error = error;
}

/*
 * Tell of the ledgers that cannot be used: of the first of each kind, so that
 * the same is told each time that they are read, and not all of them at once.
 */
void
sf_zk_tell_unreadable(const SfCandidate *candidates, int n)
{
	const SfCandidate *first[2] = {NULL, NULL};
	int			count[2] = {0, 0};

	for (int i = 0; i < n; i++)
	{
		if (candidates[i].valid)
			continue;
		if (count[candidates[i].denied]++ == 0)
			first[candidates[i].denied] = &candidates[i];
	}
	if (first[false] != NULL)
		sf_zk_trouble("the ledger of node ID %u in ZooKeeper cannot be read, so the ID is not used: %s; ledgers like that: %d",
					  first[false]->id, first[false]->error.message, count[false]);
	if (first[true] != NULL)
		sf_zk_trouble("ZooKeeper does not let this server read the ledger of node ID %u, so the ID is not used: see \"snowflake.zookeeper_auth_file\"; ledgers like that: %d",
					  first[true]->id, count[true]);
}

static int
compare_ids(const void *a, const void *b)
{
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;

	return left < right ? -1 : left > right;
}

/*
 * The ledgers from a node ID on, so many at most, sorted, in memory of the
 * current context; and how many, of all that ever were, have been deleted.
 */
int
sf_zk_read_ledgers(uint32 from, int limit, SfCandidate **candidates, int *n, int *deleted)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkNames	names;
	uint32	   *ids;
	char	  **paths;
	SfZkReply  *replies;
	int			rc;

	*n = 0;
	rc = sf_zk_children(sf_zk_path_of(path, "ids"), NULL, &names);
	if (rc != ZOK)
		return rc;

	/* cversion is how often a child was made or deleted. */
	*deleted = (names.stat.cversion - names.stat.numChildren) / 2;

	ids = palloc(sizeof(uint32) * Max(names.count, 1));
	paths = palloc(sizeof(char *) * Max(names.count, 1));
	for (int i = 0; i < names.count; i++)
	{
		int64_t		id;

		if (sf_record_number(names.names[i], strlen(names.names[i]), 0, sf_api->max_node(), &id))
		{
			if (id >= from)
				ids[(*n)++] = id;
		}
		else
			sf_zk_trouble("the name of the node \"%s\" in ZooKeeper is no node ID",
						  psprintf("%s/%s", path, names.names[i]));
	}
	qsort(ids, *n, sizeof(uint32), compare_ids);
	*n = Min(*n, limit);
	for (int i = 0; i < *n; i++)
		paths[i] = pstrdup(sf_zk_path_id(path, ids[i]));

	replies = palloc_extended(sizeof(SfZkReply) * Max(*n, 1), MCXT_ALLOC_HUGE);
	rc = sf_zk_get_many(*n, paths, replies);
	if (rc != ZOK)
		return rc;
	*candidates = palloc_extended(sizeof(SfCandidate) * Max(*n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < *n; i++)
	{
		/* Only the ID of such a ledger is out of reach. */
		if (replies[i].rc != ZOK && replies[i].rc != ZNOAUTH)
			return replies[i].rc;
		fill_candidate(&(*candidates)[i], ids[i], &replies[i]);
	}
	pfree(replies);
	return ZOK;
}
