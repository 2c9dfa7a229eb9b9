/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Which servers are alive, and what they tell of themselves.
 *
 * Each server that holds a node ID has an ephemeral node with a record of
 * itself, which is written together with the ledger, so it costs no write of
 * its own.  A watch tells that servers have come or gone.  What they tell is
 * read anew from time to time, the less often the more there are, so that each
 * server reads ten records a second at most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "clocks.h"
#include "election.h"
#include "lease_held.h"
#include "postmaster/postmaster.h"
#include "registry.h"
#include "storage/lwlock.h"
#include "trouble.h"
#include "zkshared.h"

#define US_PER_MS				1000

/* Servers that come and go together are read together. */
#define SHORTEST_PERIOD_US		500000
#define PERIOD_US_PER_NODE		INT64CONST(100000)

static bool changed = true;		/* set by the watch */
static int64 read_at_us = 0;
static int	n_alive = 0;

/* ---- what we tell ---------------------------------------------------------- */

static const char *
host_name(void)
{
	static char name[SF_NAME_SIZE / 2];
	char		buf[256];

	if (name[0] == '\0')
	{
		if (gethostname(buf, sizeof(buf)) != 0)
			strlcpy(buf, "unknown", sizeof(buf));
		buf[sizeof(buf) - 1] = '\0';
		sf_record_text(name, sizeof(name), buf);
	}
	return name;
}

/*
 * This server, as the ledgers name it.  For people, and to have the node ID
 * again that it had before a restart; nothing that must hold rests on it.
 */
const char *
sf_zk_registry_owner(void)
{
	static char owner[SF_NAME_SIZE];

	if (owner[0] == '\0')
		snprintf(owner, sizeof(owner), "%s:%d/" UINT64_FORMAT, host_name(), PostPortNumber, GetSystemIdentifier());
	return owner;
}

/* Our own record, as text. */
size_t
sf_zk_registry_record(char buf[SF_RECORD_SIZE])
{
	SfNodeRecord record = {0};

	strlcpy(record.host, host_name(), sizeof(record.host));
	record.port = PostPortNumber;
	sf_record_text(record.version, sizeof(record.version), sf_api->library_version);
	record.since_ms = sf_zk_lease.held ? sf_zk_lease.since_ms : sf_api->clock_ms();
	record.high_ms = sf_zk_lease.high_ms;
	if (sf_zk_clock.known)
	{
		SfClockOffset offset = sf_skew_offset(&sf_zk_clock, sf_api->clock_ms(), sf_api->clock_monotonic_us());

		record.offset_us = offset.offset_us;
		record.error_us = offset.error_us;
	}
	record.leader = sf_zk_election_leads();
	if (record.leader)
		sf_record_text(record.report, sizeof(record.report), sf_zk_election_report());
	return sf_node_format(&record, buf);
}

/* ---- what others tell --------------------------------------------------------- */

static SfZkOutcome
could_not_read(int rc)
{
	changed = true;
	sf_zk_trouble("could not read in ZooKeeper which servers are alive: %s", zerror(rc));
	return sf_zk_outcome(rc);
}

/* Read all records into shared memory. */
SfZkOutcome
sf_zk_registry_refresh(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkNames	names;
	char	  **paths;
	uint32	   *ids;
	SfZkReply  *replies;
	char		report[SF_REPORT_SIZE] = "";
	int			n = 0;
	int			rows = 0;
	int			rc;

	changed = false;
	rc = sf_zk_children(sf_zk_path_of(path, "nodes"), &changed, &names);
	if (rc != ZOK)
	{
		sf_zk_tree_missing(rc);
		return could_not_read(rc);
	}

	paths = palloc(sizeof(char *) * Max(names.count, 1));
	ids = palloc(sizeof(uint32) * Max(names.count, 1));
	for (int i = 0; i < names.count && n < SF_ZK_MAX_NODES; i++)
	{
		int64_t		id;

		if (!sf_record_number(names.names[i], strlen(names.names[i]), 0, sf_api->max_node(), &id))
			continue;
		ids[n] = id;
		paths[n++] = pstrdup(sf_zk_path_node(path, id));
	}
	replies = palloc_extended(sizeof(SfZkReply) * Max(n, 1), MCXT_ALLOC_HUGE);
	rc = sf_zk_get_many(n, paths, replies);
	if (rc != ZOK)
		return could_not_read(rc);

	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		SfZkNode   *row = &sf_zk_shared->node[rows];
		SfNodeRecord record;
		SfRecordError error;

		/* Gone since the list was read? */
		if (replies[i].rc != ZOK)
			continue;
		memset(row, 0, sizeof(*row));
		row->id = ids[i];
		row->valid = sf_node_parse(replies[i].data, replies[i].length, &record, &error);
		if (row->valid)
		{
			strlcpy(row->host, record.host, sizeof(row->host));
			row->port = record.port;
			strlcpy(row->version, record.version, sizeof(row->version));
			row->since_ms = record.since_ms;
			row->high_ms = record.high_ms;
			row->offset_us = record.offset_us;
			row->error_us = record.error_us;
			row->leader = record.leader;
			if (record.leader)
				strlcpy(report, record.report, sizeof(report));
		}
		rows++;
	}
	sf_zk_shared->n_nodes = rows;
	strlcpy(sf_zk_shared->report, report, sizeof(sf_zk_shared->report));
	LWLockRelease(&sf_zk_shared->lock);

	n_alive = rows;
	read_at_us = sf_api->clock_monotonic_us();
	return SF_ZK_DONE;
}

/* The clocks of all servers that are alive but this one, with room for one more. */
int
sf_zk_registry_offsets(uint32 except, SfClockOffset **offsets)
{
	int			n = 0;

	*offsets = palloc(sizeof(SfClockOffset) * (SF_ZK_MAX_NODES + 1));
	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	for (int i = 0; i < sf_zk_shared->n_nodes; i++)
	{
		const SfZkNode *row = &sf_zk_shared->node[i];

		if (row->valid && row->id != except)
		{
			(*offsets)[n].offset_us = row->offset_us;
			(*offsets)[n++].error_us = row->error_us;
		}
	}
	LWLockRelease(&sf_zk_shared->lock);
	return n;
}

void
sf_zk_registry_new_session(void)
{
	changed = true;
}

/* Read the records again if it is time to; returns when it will be. */
int64
sf_zk_registry_step(void)
{
	int64		period_us = Max(sf_zk_window_ms * INT64CONST(1000) / 3, n_alive * PERIOD_US_PER_NODE);
	int64		due_us;

	if (!sf_zk_tree.agreed)
		return PG_INT64_MAX;
	due_us = read_at_us + (changed ? Max(SHORTEST_PERIOD_US, n_alive * PERIOD_US_PER_NODE) : period_us);
	if (read_at_us != 0 && sf_api->clock_monotonic_us() < due_us)
		return due_us;
	if (sf_zk_registry_refresh() != SF_ZK_DONE)
		read_at_us = sf_api->clock_monotonic_us();	/* not again at once */
	return read_at_us + period_us;
}
