/*-------------------------------------------------------------------------
 *
 * election.c
 *	  Which of the live servers leads.
 *
 * ZooKeeper's own recipe: each server has an ephemeral sequential node, the
 * one with the smallest number leads, and each of the others watches the one
 * before it, so that the end of one server wakes one other.
 *
 * Nothing depends on there being one leader only.  It looks at the cluster as
 * a whole, and tells in its log and in the registry what it finds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "acl.h"
#include "clocks.h"
#include "election.h"
#include "ledger.h"
#include "protocol.h"
#include "registry.h"
#include "report.h"
#include "storage/lwlock.h"
#include "trouble.h"
#include "zkshared.h"

/* ZooKeeper's number at the end of a name. */
#define SEQUENCE_DIGITS		10

static char own_name[64];		/* empty: not joined in this session */
static bool changed = false;	/* set by the watch */
static bool leads = false;
static int64 report_at_us = 0;
static char report[SF_REPORT_SIZE];

void
sf_zk_election_new_session(void)
{
	own_name[0] = '\0';
	leads = false;
}

bool
sf_zk_election_leads(void)
{
	return leads;
}

const char *
sf_zk_election_report(void)
{
	return report;
}

/* The number of a node of the election; -1: it is none. */
static int64
sequence_of(const char *name)
{
	size_t		length = strlen(name);
	int64		sequence = 0;

	if (length <= SEQUENCE_DIGITS || name[length - SEQUENCE_DIGITS - 1] != '-')
		return -1;
	for (const char *at = name + length - SEQUENCE_DIGITS; *at != '\0'; at++)
	{
		if (*at < '0' || *at > '9')
			return -1;
		sequence = sequence * 10 + (*at - '0');
	}
	return sequence;
}

/*
 * Take part, where we do not yet, and have a fresh stamp of ZooKeeper's clock:
 * for one who has no lease it is the only write.  So whoever comes to have a
 * lease, has one.  The session's ID in the name tells, after a connection was
 * lost, whether our node was made.
 */
SfZkOutcome
sf_zk_election_join(void)
{
	char		path[SF_ZK_PATH_SIZE];
	char		created[SF_ZK_PATH_SIZE];
	char		prefix[32];
	SfZkNames	names;
	SfZkReply	reply;
	int			rc = ZOK;

	snprintf(prefix, sizeof(prefix), "%016llx-", (unsigned long long) sf_zk_session_id());
	if (own_name[0] == '\0')
	{
		rc = sf_zk_children(sf_zk_path_of(path, "election"), NULL, &names);
		for (int i = 0; rc == ZOK && i < names.count; i++)
		{
			if (strncmp(names.names[i], prefix, strlen(prefix)) == 0)
				strlcpy(own_name, names.names[i], sizeof(own_name));
		}
		changed = true;
	}

	sf_zk_path_of(path, "election");
	strlcat(path, "/", sizeof(path));
	if (rc == ZOK && own_name[0] == '\0')
	{
		strlcat(path, prefix, sizeof(path));
		sf_zk_acl_refresh();
		rc = sf_zk_create(path, "", 0, ZOO_EPHEMERAL_SEQUENTIAL, sf_zk_acl(), created, &reply);
		if (rc == ZOK)
		{
			strlcpy(own_name, strrchr(created, '/') ? strrchr(created, '/') + 1 : "", sizeof(own_name));
			sf_zk_clock_note(&reply, reply.stat.ctime);
		}
	}
	else if (rc == ZOK &&
			 (!sf_zk_clock.known ||
			  sf_api->clock_monotonic_us() - sf_zk_clock.received_us > sf_zk_window_ms * INT64CONST(1000)))
	{
		strlcat(path, own_name, sizeof(path));
		rc = sf_zk_set(path, "", 0, -1, &reply);
		if (rc == ZOK)
			sf_zk_clock_note(&reply, reply.stat.mtime);
		else if (rc == ZNONODE)
			own_name[0] = '\0';
	}

	if (rc != ZOK)
		sf_zk_trouble("could not take part in the election of a leader in ZooKeeper: %s", zerror(rc));
	sf_zk_tree_missing(rc);
	return rc == ZOK && own_name[0] == '\0' ? SF_ZK_LATER : sf_zk_outcome(rc);
}

static void
set_leads(bool now)
{
	if (leads == now)
		return;
	leads = now;
	ereport(LOG, (errmsg(leads ? "snowflake: this server leads its cluster now" :
						 "snowflake: this server leads its cluster no longer")));
	report[0] = '\0';
	report_at_us = 0;
}

/*
 * Do we lead?  If not, watch the one before us.  False where that failed, or
 * we have to take part anew, since our node is gone.
 */
static bool
look(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkNames	names;
	SfZkReply	reply;
	int64		own = sequence_of(own_name);
	int64		before = -1;
	const char *name = NULL;
	bool		takes_part = false;
	int			rc;

	changed = false;
	rc = sf_zk_children(sf_zk_path_of(path, "election"), NULL, &names);
	sf_zk_tree_missing(rc);
	if (rc != ZOK)
		return false;
	for (int i = 0; i < names.count; i++)
	{
		int64		sequence = sequence_of(names.names[i]);

		if (strcmp(names.names[i], own_name) == 0)
			takes_part = true;
		if (sequence >= 0 && sequence < own && sequence > before)
		{
			before = sequence;
			name = names.names[i];
		}
	}

	if (!takes_part)
	{
		own_name[0] = '\0';
		set_leads(false);
		return false;
	}
	set_leads(name == NULL);
	if (name != NULL)
	{
		strlcat(path, "/", sizeof(path));
		strlcat(path, name, sizeof(path));
		switch (sf_zk_exists(path, &changed, &reply))
		{
			case ZOK:
				break;
			case ZNONODE:
				changed = true; /* gone meanwhile: look again */
				break;
			default:
				return false;
		}
	}

	return true;
}

/* What the leader is there for. */
static void
make_report(void)
{
	SfCandidate *candidates;
	SfReportNode *nodes = palloc(sizeof(SfReportNode) * SF_ZK_MAX_NODES);
	SfClockOffset *scratch = palloc(sizeof(SfClockOffset) * (SF_ZK_MAX_NODES + 1));
	char		text[SF_REPORT_SIZE];
	int			n;
	int			n_nodes = 0;
	int			deleted;
	uint32		first;
	uint32		last;

	if (sf_zk_read_ledgers(0, INT_MAX, &candidates, &n, &deleted) != ZOK)
		return;
	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	for (int i = 0; i < sf_zk_shared->n_nodes; i++)
	{
		const SfZkNode *row = &sf_zk_shared->node[i];

		if (row->valid)
		{
			nodes[n_nodes].id = row->id;
			nodes[n_nodes].clock.offset_us = row->offset_us;
			nodes[n_nodes++].clock.error_us = row->error_us;
		}
	}
	LWLockRelease(&sf_zk_shared->lock);

	sf_zk_settings_range(&first, &last);
	last = Min(last, sf_api->max_node());
	sf_report(candidates, n, first, last, sf_api->clock_ms(), nodes, n_nodes, scratch,
			  sf_zk_max_skew_ms, text);
	if (strcmp(text, report) == 0)
		return;
	strlcpy(report, text, sizeof(report));
	ereport(LOG, (errmsg("snowflake: as the leader of the cluster: %s", *text ? text : "all is well again")));
}

/* Returns when to be called again. */
int64
sf_zk_election_step(void)
{
	if (!sf_zk_tree.agreed)
		return PG_INT64_MAX;
	if (own_name[0] == '\0')
	{
		/* With a lease that was found, nobody else has called it. */
		if (sf_zk_election_join() != SF_ZK_DONE)
			return sf_api->clock_monotonic_us() + INT64CONST(1000000);
	}
	if (changed && !look())
	{
		changed = true;
		return sf_api->clock_monotonic_us() + INT64CONST(1000000);
	}
	if (!leads)
		return PG_INT64_MAX;
	if (sf_api->clock_monotonic_us() >= report_at_us)
	{
		make_report();

		/* Who leads watches nobody, so it looks for its own node then. */
		changed = true;
		report_at_us = sf_api->clock_monotonic_us() + Max(sf_zk_window_ms, 1000) * INT64CONST(1000);
	}
	return report_at_us;
}
