/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Claiming a node ID, or finding the one that an earlier worker has claimed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "acl.h"
#include "claim.h"
#include "clocks.h"
#include "common/pg_prng.h"
#include "ledger.h"
#include "lease_held.h"
#include "postmaster/interrupt.h"
#include "registry.h"
#include "trouble.h"
#include "utils/timestamp.h"

#define US_PER_MS	1000

/*
 * So many times its timeout a session may last after its server has crashed:
 * the timeout begins anew when ZooKeeper elects another leader.
 */
#define EARLIER_SESSIONS	2

bool		sf_zk_looked_back = false;
int			sf_zk_n_ledgers = 0;

/* Claims that others were faster with, in a row. */
static int	conflicts = 0;

/*
 * Claim a node ID: that of a candidate, or one that has no ledger yet (NULL).
 * One multi checks that the configuration is the one that we have read, writes
 * the ledger at the version that we have read, and makes the holder, which
 * fails while there is one.
 */
static SfZkOutcome
claim(uint32 id, const SfCandidate *candidate)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	SfLedgerRecord ledger;
	SfZkReply	reply;
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	int64		high_ms;
	int			op;
	int			rc;

	sf_zk_acl_refresh();
	sf_zk_forget();
	sf_zk_lease.id = id;
	sf_zk_lease.claim = candidate ? candidate->ledger.claim + 1 : 1;
	sf_zk_lease.low_ms = candidate ? Max(candidate->ledger.high_ms, sf_zk_tree.floor_ms) : sf_zk_tree.floor_ms;
	high_ms = Max(sf_zk_lease.low_ms, sf_zk_end_from_now());
	sf_zk_fill_ledger(&ledger, high_ms);

	sf_zk_multi_check(multi, sf_zk_path_config(path), sf_zk_tree.version);
	sf_zk_path_id(path, id);
	if (candidate)
		op = sf_zk_multi_set(multi, path, record, sf_ledger_format(&ledger, record), candidate->version);
	else
		op = sf_zk_multi_create(multi, path, record, sf_ledger_format(&ledger, record), ZOO_PERSISTENT);
	rc = sf_zk_add_presence(multi);
	if (rc == ZOK)
	{
		/* From here on, until a reply says otherwise, it may be ours. */
		sf_zk_lease.unknown = sf_zk_lease.traces = true;
		rc = sf_zk_multi_run(multi);
	}

	if (rc == ZOK)
	{
		sf_zk_multi_reply(multi, op, &reply);
		sf_zk_lease.version = candidate ? reply.stat.version : 0;
		if (candidate)
			sf_zk_clock_note(&reply, reply.stat.mtime);
		sf_zk_lease.present = true;
		sf_zk_acknowledged(&reply, high_ms);
		conflicts = 0;
		SF_ZK_FAIL_POINT(1);
		sf_zk_hold("claimed");
		SF_ZK_FAIL_POINT(2);
	}
	else if (sf_zk_refused(rc) || !sf_zk_lease.unknown)
	{
		/* Another was faster, or the configuration has changed. */
		if (sf_zk_multi_failed(multi) == 0)
			sf_zk_tree.agreed = false;
		if (sf_zk_denied(rc))
			sf_zk_trouble("ZooKeeper does not let this server claim node ID %u (%s): see \"snowflake.zookeeper_auth_file\"", id, zerror(rc));
		sf_zk_lease.traces = false;
		sf_zk_forget();
		conflicts++;
	}
	sf_zk_multi_free(multi);
	return sf_zk_outcome(rc);
}

/*
 * Is it held by a server of our name, and not longer than a session of ours
 * could have outlived a crash?  After that it is a clone's.
 */
static bool
held_by_earlier_self(const SfCandidate *candidate)
{
	static int64 since_us = 0;
	static int64 of_claim = 0;	/* what since_us is for */
	int64		now_us = sf_api->clock_monotonic_us();

	if (strcmp(candidate->ledger.owner, sf_zk_registry_owner()) != 0)
		return false;
	if (of_claim != candidate->ledger.claim)
	{
		of_claim = candidate->ledger.claim;
		since_us = now_us;
	}
	return now_us - since_us < EARLIER_SESSIONS * sf_zk_session_timeout_us();
}

/*
 * Why can the one node ID that the settings name not be had?  The result is
 * whether it can be had by waiting.
 */
static SfZkOutcome
explain_static(uint32 id, const SfCandidate *candidate, const SfChoice *choice)
{
	if (candidate != NULL && candidate->denied)
	{
		sf_zk_trouble("ZooKeeper does not let this server read the ledger of node ID %u, which the settings give to it: see \"snowflake.zookeeper_auth_file\"", id);
		return SF_ZK_REFUSED;
	}
	if (candidate != NULL && candidate->valid && candidate->held)
	{
		if (held_by_earlier_self(candidate))
		{
			sf_zk_trouble("node ID %u, which the settings give to this server, is held by an earlier session of its own, which ends by itself", id);
			return SF_ZK_LATER;
		}
		sf_zk_trouble("node ID %u, which the settings give to this server, is held by another: %s", id, candidate->ledger.owner);
		return SF_ZK_REFUSED;
	}
	if (choice->retired > 0)
	{
		sf_zk_trouble("node ID %u, which the settings give to this server, was retired: see snowflake_zookeeper_retire()", id);
		return SF_ZK_REFUSED;
	}
	if (choice->earliest_ms > 0)
		sf_zk_trouble("node ID %u, which the settings give to this server, may have been used up to %s%s%s; it can be claimed then",
					  id, timestamptz_to_str(time_t_to_timestamptz(0) + choice->earliest_ms * US_PER_MS),
					  candidate ? " by " : "", candidate ? candidate->ledger.owner : "");
	return SF_ZK_LATER;
}

static void
explain_none(const SfChoiceRules *rules, const SfChoice *choice)
{
	sf_zk_trouble("no node ID from %u to %u is free: %d are held, %d retired, %d unreadable, %d may have been used up to a time to come%s%s",
				  rules->first, rules->last, choice->held, choice->retired, choice->unreadable, choice->too_early,
				  choice->earliest_ms > 0 ? ", the first of them to " : "",
				  choice->earliest_ms > 0 ?
				  timestamptz_to_str(time_t_to_timestamptz(0) + choice->earliest_ms * US_PER_MS) : "");
}

/*
 * Is there a grant whose ledger we may not read?  Then nobody can tell whether
 * it is ours still, and it stays in force meanwhile.
 */
static bool
grant_is_unclear(const SfCandidate *candidates, int n)
{
	SfLeaseFound found = sf_api->found();

	for (int i = 0; i < n; i++)
	{
		if (found.granted && !found.closed && candidates[i].denied && candidates[i].id == found.node)
			return true;
	}
	return false;
}

/*
 * A worker that starts looks for a lease that is in force already.  After a
 * release there is none: its message may be on its way.  Where there is a
 * grant, it can only be that one, of that claim; where there is none, none was
 * ever given back since the nonce was made, so any of our nonce is ours.
 */
static bool
look_back(const SfCandidate *candidates, int n)
{
	SfLeaseFound found = sf_api->found();

	sf_zk_looked_back = true;
	if (found.closed)
		return false;
	for (int i = 0; i < n; i++)
	{
		const SfCandidate *candidate = &candidates[i];

		if (candidate->ours &&
			(!found.granted || (candidate->id == found.node && candidate->ledger.claim == found.claim)))
		{
			sf_zk_forget();
			sf_zk_lease.id = candidate->id;
			sf_zk_adopt(&candidate->ledger, candidate->version, "found claimed by an earlier worker");
			return true;
		}
	}
	if (found.granted)
	{
		sf_zk_lease.id = found.node;
		sf_zk_lease.held = true;
		sf_zk_lose("it was claimed by another while no worker was running");
	}
	return false;
}

/* No lease is held: find out which node ID there is to have, and claim it. */
SfZkOutcome
sf_zk_choose_and_claim(void)
{
	SfCandidate *candidates;
	int			n;
	int			deleted;
	SfChoiceRules rules = {0};
	SfChoice	choice;
	uint32_t	id;
	bool		is_static = sf_api->static_node(&id);
	const SfCandidate *candidate = NULL;
	SfZkOutcome outcome;
	int			rc;

	rc = sf_zk_read_ledgers(0, INT_MAX, &candidates, &n, &deleted);
	if (rc != ZOK)
	{
		sf_zk_trouble("could not read the ledgers in ZooKeeper: %s", zerror(rc));
		sf_zk_tree_missing(rc);
		return sf_zk_outcome(rc);
	}
	sf_zk_n_ledgers = n;
	sf_zk_tell_unreadable(candidates, n);
	if (!sf_zk_looked_back)
	{
		if (grant_is_unclear(candidates, n))
			return SF_ZK_REFUSED;
		if (look_back(candidates, n))
			return SF_ZK_DONE;
	}
	if (deleted > 0)
	{
		sf_zk_trouble(deleted == 1 ?
					  "%d ledger of a node ID was deleted in ZooKeeper, and with it what the ID was used for: see \"Lost data\" in doc/zookeeper.md" :
					  "%d ledgers of node IDs were deleted in ZooKeeper, and with them what the IDs were used for: see \"Lost data\" in doc/zookeeper.md",
					  deleted);
		return SF_ZK_REFUSED;
	}

	outcome = sf_zk_check_clock();
	if (outcome != SF_ZK_DONE)
		return outcome;

	sf_zk_settings_range(&rules.first, &rules.last);
	rules.last = Min(rules.last, sf_api->max_node());
	if (is_static ? id < rules.first || id > rules.last : rules.first > rules.last)
	{
		sf_zk_trouble(is_static ?
					  "node ID %u, which the settings give to this server, is not in \"snowflake.zookeeper_node_range\"" :
					  "\"snowflake.zookeeper_node_range\" begins after %u, the last node ID of the layout",
					  is_static ? id : sf_api->max_node());
		return SF_ZK_REFUSED;
	}
	if (is_static)
		rules.first = rules.last = id;
	rules.now_ms = sf_api->clock_ms();
	rules.floor_ms = sf_zk_tree.floor_ms;
	rules.owner = sf_zk_registry_owner();
	rules.spread = 1 << Min(conflicts * 2, 6);
	rules.random = pg_prng_uint64(&pg_global_prng_state);

	sf_choose(candidates, n, &rules, &choice);
	if (choice.kind == SF_CHOICE_LEDGER)
		candidate = &candidates[choice.index];
	if (ShutdownRequestPending)
		return SF_ZK_LATER;
	if (choice.kind != SF_CHOICE_NONE)
		return claim(choice.id, candidate);

	if (!is_static)
	{
		explain_none(&rules, &choice);
		return SF_ZK_LATER;
	}
	for (int i = 0; i < n; i++)
	{
		if (candidates[i].id == id)
			candidate = &candidates[i];
	}
	return explain_static(id, candidate, &choice);
}
