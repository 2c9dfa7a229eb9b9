/*-------------------------------------------------------------------------
 *
 * protocol.c
 *	  The lease of a node ID: claim, extend, find out, release.
 *
 * A node ID has a ledger: a node in ZooKeeper that says which time has been
 * given to whom.  Each change of it names the version that it replaces, so the
 * changes form a line, and each claim begins where the time of the one before
 * it ends.  That alone keeps the IDs of two servers apart; nothing here rests
 * on clocks, on timeouts or on the session being alive.  The holder, an
 * ephemeral node below the ledger, only keeps others from claiming a node ID
 * whose server lives.
 *
 * The rules, which test/model/lease.pml checks:
 *	- a time is published only when the write that takes it is known to be done;
 *	- after a write of unknown fate the ledger is read, and is ours if it has
 *	  our nonce and our claim number; then what it says is in force;
 *	- the end of a lease never falls, except by a release;
 *	- a release closes the state first, then says how far the IDs came; that
 *	  claim is dead then, whatever became of the message;
 *	- a worker that starts adopts a lease only where none was closed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "common/pg_prng.h"
#include "election.h"
#include "postmaster/interrupt.h"
#include "protocol.h"
#include "registry.h"
#include "storage/lwlock.h"
#include "trouble.h"
#include "utils/timestamp.h"
#include "zkshared.h"

#define US_PER_MS			1000

/*
 * Pauses between attempts, in milliseconds: the first; the longest, while there
 * is a lease to extend; and the longest for one who has none and reads all
 * ledgers each time, depending on their number.
 */
#define FIRST_PAUSE_MS			25
#define EXTEND_PAUSE_MS			500
#define CLAIM_PAUSE_MS			1000
#define CLAIM_PAUSE_MS_EACH		5
#define LONGEST_PAUSE_MS		5000

/* There is a warning from this part of the allowed skew on, and so often. */
#define WARN_PART				4
#define WARN_AGAIN_US			INT64CONST(60000000)

SfClockSample sf_zk_clock;

static struct
{
	bool		held;
	bool		unknown;		/* the fate of our last write is not known */
	bool		present;		/* this session has made holder and registry entry */
	uint32		id;				/* these belong to a lease that is held, or to a */
	int64		claim;			/* claim of unknown fate */
	int			version;		/* of the ledger */
	int64		low_ms;
	int64		high_ms;		/* acknowledged, never what is hoped for */
	int64		since_ms;
	int64		extend_at_us;
	int64		extended_at_us;
}			lease;

/* This process has seen whether there is a lease from before it. */
static bool looked_back = false;

/* The lease was lost to another server, and no other has been had since. */
static bool fenced = false;

/* The last outcome that was not good was one that only people can change. */
static bool refused = false;

static int	failures = 0;		/* since a lease was last claimed or extended */
static int	n_ledgers = 0;		/* as many as there were */
static int	conflicts = 0;		/* claims that others were faster with, in a row */
static int64 retry_at_us = 0;

/* ---- the clock ------------------------------------------------------------ */

/* A write was stamped by ZooKeeper. */
void
sf_zk_clock_note(const SfZkReply *reply, int64 leader_ms)
{
	sf_zk_clock = (SfClockSample)
	{
		.known = true,
			.leader_ms = Min(Max(leader_ms, 0), SF_RECORD_MAX_MS),
			.sent_us = reply->sent_us,
			.received_us = reply->received_us
	};
}

/*
 * The end of a lease that is taken now: the length of the window ahead of what
 * IDs may carry now, at the end of a tick.  A clock that is ahead of
 * ZooKeeper's by more than the skew that is allowed counts as that far ahead,
 * so that no one can use up the time of a node ID for years.
 */
static int64
end_from_now(void)
{
	int64		now_ms = sf_api->clock_ms();

	if (sf_zk_clock.known)
		now_ms = Min(now_ms, sf_skew_latest_ms(&sf_zk_clock, sf_api->clock_monotonic_us()) + sf_zk_max_skew_ms);
	return Min(sf_api->tick_end(now_ms + sf_api->max_lead() + sf_zk_window_ms), SF_RECORD_MAX_MS);
}

/* How far our clock is from the others', at the least; positive is ahead. */
static int64
skew_from_others(int *n)
{
	SfClockOffset *others;
	SfClockOffset ours = sf_skew_offset(&sf_zk_clock, sf_api->clock_ms(), sf_api->clock_monotonic_us());

	*n = sf_zk_registry_offsets(lease.held ? lease.id : PG_UINT32_MAX, &others);
	return sf_skew_from_others(&ours, others, *n);
}

/* A clock that is out is told of when it is found out, and then now and then. */
static void
watch_clock(void)
{
	static int64 told_us = 0;
	int64		now_us = sf_api->clock_monotonic_us();
	int			n;
	int64		skew_us = skew_from_others(&n);

	if (llabs(skew_us) * WARN_PART < sf_zk_max_skew_ms * INT64CONST(1000))
	{
		told_us = 0;
		return;
	}
	if (told_us != 0 && now_us - told_us < WARN_AGAIN_US)
		return;
	told_us = now_us;
	ereport(WARNING,
			(errmsg("snowflake: the clock of this server is at least %.3f s %s those of ZooKeeper and of the %d other servers",
					llabs(skew_us) / 1e6, skew_us > 0 ? "ahead of" : "behind", n),
			 errdetail("\"snowflake.zookeeper_max_skew\" is %d ms.", sf_zk_max_skew_ms),
			 errhint("Check the server's time synchronization.")));
}

/* May a server with our clock claim a node ID? */
static SfZkOutcome
check_clock(void)
{
	int			n;
	int64		skew_us;

	if (!sf_zk_clock.known)
		return SF_ZK_LATER;
	skew_us = skew_from_others(&n);
	if (llabs(skew_us) > sf_zk_max_skew_ms * INT64CONST(1000))
	{
		sf_zk_trouble("the clock of this server is at least %.3f s %s those of ZooKeeper and of the %d other servers; \"snowflake.zookeeper_max_skew\" is %d ms",
					  llabs(skew_us) / 1e6, skew_us > 0 ? "ahead of" : "behind", n, sf_zk_max_skew_ms);
		return SF_ZK_REFUSED;
	}
	watch_clock();
	return SF_ZK_DONE;
}

/* ---- the ledgers ------------------------------------------------------------ */

static bool
is_ours(const SfLedgerRecord *ledger)
{
	return ledger->has_nonce && memcmp(ledger->nonce, sf_api->nonce(), SF_LEASE_NONCE_BYTES) == 0;
}

static void
fill_candidate(SfCandidate *candidate, uint32 id, const SfZkReply *reply)
{
	SfRecordError error;

	memset(candidate, 0, sizeof(*candidate));
	candidate->id = id;
	candidate->version = reply->stat.version;
	candidate->modified_ms = reply->stat.mtime;
	candidate->valid = sf_ledger_parse(reply->data, reply->length, &candidate->ledger, &error);
	candidate->ours = candidate->valid && is_ours(&candidate->ledger);

	/*
	 * The holder is the only child.  One of our own nonce is of a session that
	 * an earlier worker had.
	 */
	candidate->held = reply->stat.numChildren > 0 && !candidate->ours;
	if (!candidate->valid)
		sf_zk_trouble("the ledger of node ID %u in ZooKeeper cannot be read, so the ID is not used: %s", id, error.message);
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
		if (replies[i].rc != ZOK)
			return replies[i].rc;
		fill_candidate(&(*candidates)[i], ids[i], &replies[i]);
	}
	pfree(replies);
	return ZOK;
}

/* ---- the lease takes effect, or is no more -------------------------------------- */

static void
publish(void)
{
	sf_api->publish(lease.id, lease.claim, lease.low_ms, lease.high_ms);
}

/* It is known to be ours, and what we know of it. */
static void
hold(const char *how)
{
	if (!lease.held)
	{
		lease.since_ms = sf_api->clock_ms();
		ereport(LOG,
				(errmsg("snowflake: node ID %u was %s", lease.id, how),
				 errdetail("Its claim number is " INT64_FORMAT "; IDs begin after %s and can be made up to %s.",
						   lease.claim,
						   pstrdup(timestamptz_to_str(time_t_to_timestamptz(0) + lease.low_ms * US_PER_MS)),
						   pstrdup(timestamptz_to_str(time_t_to_timestamptz(0) + lease.high_ms * US_PER_MS)))));
	}
	lease.held = true;
	lease.unknown = false;
	fenced = false;
	conflicts = 0;
	publish();
}

static void
forget(void)
{
	memset(&lease, 0, sizeof(lease));
}

/* A claim or an extension was written. */
static void
acknowledged(const SfZkReply *reply, int64 high_ms)
{
	lease.high_ms = high_ms;
	lease.extended_at_us = reply->sent_us;
	lease.extend_at_us = reply->sent_us + sf_zk_window_ms * INT64CONST(1000) / 3;
	failures = 0;
	refused = false;
}

/*
 * Another has claimed the node ID.  What was granted stays good up to its end:
 * the other begins there.
 */
static void
lose(const char *why)
{
	if (lease.held)
	{
		sf_zk_trouble("the lease of node ID %u was lost: %s", lease.id, why);
		sf_api->report_fenced();
		fenced = true;
	}
	forget();
}

/* Adopt what the ledger says, which has our nonce. */
static void
adopt(const SfLedgerRecord *ledger, int version, const char *how)
{
	lease.claim = ledger->claim;
	lease.version = version;
	lease.low_ms = ledger->low_ms;
	lease.high_ms = ledger->high_ms;
	hold(how);

	/* Its end may be near. */
	lease.extend_at_us = sf_api->clock_monotonic_us();
}

/*
 * A write was refused or its fate is not known: read the ledger.  It is still
 * ours if it has our nonce and our claim number.
 */
static SfZkOutcome
find_out(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	SfLedgerRecord ledger;
	SfRecordError error;
	int			rc;

	lease.unknown = true;
	sf_zk_path_id(path, lease.id);
	rc = sf_zk_sync(path);
	if (rc == ZOK)
		rc = sf_zk_get(path, &reply);
	if (rc != ZOK && !sf_zk_refused(rc))
		return SF_ZK_LATER;

	if (rc == ZNONODE)
		lose("its ledger in ZooKeeper was deleted");
	else if (rc != ZOK)
	{
		sf_zk_trouble("could not read the ledger of node ID %u in ZooKeeper: %s", lease.id, zerror(rc));
		return SF_ZK_LATER;
	}
	else if (!sf_ledger_parse(reply.data, reply.length, &ledger, &error))
		lose(psprintf("its ledger in ZooKeeper cannot be read: %s", error.message));
	else if (is_ours(&ledger) && ledger.claim == lease.claim)
		adopt(&ledger, reply.stat.version, "found claimed");
	else
		lose(psprintf("%s has changed its ledger, claim number " INT64_FORMAT, ledger.owner, ledger.claim));
	return SF_ZK_DONE;
}

/* ---- holder and registry ---------------------------------------------------------- */

/*
 * Add what makes an ephemeral node ours: it is deleted first where another
 * session made it, which can only be one of an earlier worker of ours.
 */
static int
add_ephemeral(SfZkMulti *multi, const char *path, const char *data, size_t length)
{
	SfZkReply	reply;
	int			rc = sf_zk_exists(path, NULL, &reply);

	if (rc != ZOK && rc != ZNONODE)
		return rc;
	if (rc == ZOK && reply.stat.ephemeralOwner == sf_zk_session_id())
		sf_zk_multi_set(multi, path, data, length, -1);
	else
	{
		if (rc == ZOK)
			sf_zk_multi_delete(multi, path);
		sf_zk_multi_create(multi, path, data, length, ZOO_EPHEMERAL);
	}
	return ZOK;
}

static int
add_presence(SfZkMulti *multi)
{
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	const char *owner = sf_zk_registry_owner();
	int			rc = add_ephemeral(multi, sf_zk_path_holder(path, lease.id), owner, strlen(owner));

	return rc != ZOK ? rc : add_ephemeral(multi, sf_zk_path_node(path, lease.id),
										  record, sf_zk_registry_record(record));
}

/*
 * The session has expired, or is that of an earlier worker; but the ledger is
 * still ours, which this proves: say again that we live.
 */
static SfZkOutcome
make_present(void)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	char		path[SF_ZK_PATH_SIZE];
	int			rc;

	sf_zk_multi_check(multi, sf_zk_path_id(path, lease.id), lease.version);
	rc = add_presence(multi);
	if (rc == ZOK)
		rc = sf_zk_multi_run(multi);
	sf_zk_multi_free(multi);

	if (rc == ZOK)
		lease.present = true;
	else if (sf_zk_refused(rc))
		return find_out() == SF_ZK_DONE && !lease.held ? SF_ZK_DONE : SF_ZK_LATER;
	return rc == ZOK ? SF_ZK_DONE : SF_ZK_LATER;
}

/* ---- claim --------------------------------------------------------------------------- */

static void
fill_ledger(SfLedgerRecord *ledger, int64 high_ms)
{
	memset(ledger, 0, sizeof(*ledger));
	strlcpy(ledger->owner, sf_zk_registry_owner(), sizeof(ledger->owner));
	ledger->has_nonce = true;
	memcpy(ledger->nonce, sf_api->nonce(), SF_LEASE_NONCE_BYTES);
	ledger->claim = lease.claim;
	ledger->low_ms = lease.low_ms;
	ledger->high_ms = high_ms;
}

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

	forget();
	lease.id = id;
	lease.claim = candidate ? candidate->ledger.claim + 1 : 1;
	lease.low_ms = candidate ? Max(candidate->ledger.high_ms, sf_zk_tree.floor_ms) : sf_zk_tree.floor_ms;
	high_ms = Max(lease.low_ms, end_from_now());
	fill_ledger(&ledger, high_ms);

	sf_zk_multi_check(multi, sf_zk_path_config(path), sf_zk_tree.version);
	sf_zk_path_id(path, id);
	if (candidate)
		op = sf_zk_multi_set(multi, path, record, sf_ledger_format(&ledger, record), candidate->version);
	else
		op = sf_zk_multi_create(multi, path, record, sf_ledger_format(&ledger, record), ZOO_PERSISTENT);
	rc = add_presence(multi);
	if (rc == ZOK)
	{
		/* From here on, until a reply says otherwise, it may be ours. */
		lease.unknown = true;
		rc = sf_zk_multi_run(multi);
	}

	if (rc == ZOK)
	{
		sf_zk_multi_reply(multi, op, &reply);
		lease.version = candidate ? reply.stat.version : 0;
		if (candidate)
			sf_zk_clock_note(&reply, reply.stat.mtime);
		lease.present = true;
		acknowledged(&reply, high_ms);
		SF_ZK_FAIL_POINT(1);
		hold("claimed");
		SF_ZK_FAIL_POINT(2);
	}
	else if (sf_zk_refused(rc) || !lease.unknown)
	{
		/* Another was faster, or the configuration has changed. */
		if (sf_zk_multi_failed(multi) == 0)
			sf_zk_tree.agreed = false;
		if (rc == ZNOAUTH)
			sf_zk_trouble("ZooKeeper does not let this server claim node ID %u: see \"snowflake.zookeeper_auth_file\"", id);
		forget();
		conflicts++;
	}
	sf_zk_multi_free(multi);
	if (rc == ZNOAUTH)
		return SF_ZK_REFUSED;
	return rc == ZOK ? SF_ZK_DONE : SF_ZK_LATER;
}

/* Why can the one node ID that the settings name not be had? */
static void
explain_static(uint32 id, const SfCandidate *candidate, const SfChoice *choice)
{
	if (candidate != NULL && candidate->valid && candidate->held)
		sf_zk_trouble("node ID %u, which the settings give to this server, is held by another: %s", id, candidate->ledger.owner);
	else if (choice->retired > 0)
		sf_zk_trouble("node ID %u, which the settings give to this server, was retired: see snowflake_zookeeper_retire()", id);
	else if (choice->earliest_ms > 0)
		sf_zk_trouble("node ID %u, which the settings give to this server, may have been used up to %s%s%s; it can be claimed then",
					  id, timestamptz_to_str(time_t_to_timestamptz(0) + choice->earliest_ms * US_PER_MS),
					  candidate ? " by " : "", candidate ? candidate->ledger.owner : "");
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
 * A worker that starts looks for a lease that is in force already.  After a
 * release there is none: its message may be on its way.  Where there is a
 * grant, it can only be that one, of that claim; where there is none, none was
 * ever given back since the nonce was made, so any of our nonce is ours.
 */
static bool
look_back(const SfCandidate *candidates, int n)
{
	SfLeaseFound found = sf_api->found();

	looked_back = true;
	if (found.closed)
		return false;
	for (int i = 0; i < n; i++)
	{
		const SfCandidate *candidate = &candidates[i];

		if (candidate->ours &&
			(!found.granted || (candidate->id == found.node && candidate->ledger.claim == found.claim)))
		{
			forget();
			lease.id = candidate->id;
			adopt(&candidate->ledger, candidate->version, "found claimed by an earlier worker");
			return true;
		}
	}
	if (found.granted)
	{
		lease.id = found.node;
		lease.held = true;
		lose("it was claimed by another while no worker was running");
	}
	return false;
}

/* No lease is held: find out which node ID there is to have, and claim it. */
static SfZkOutcome
choose_and_claim(void)
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
		return rc == ZNOAUTH ? SF_ZK_REFUSED : SF_ZK_LATER;
	}
	n_ledgers = n;
	if (!looked_back && look_back(candidates, n))
		return SF_ZK_DONE;
	if (deleted > 0)
	{
		sf_zk_trouble("%d ledgers of node IDs were deleted in ZooKeeper, and with them what the IDs were used for: see \"Lost data\" in doc/zookeeper.md",
					  deleted);
		return SF_ZK_REFUSED;
	}

	outcome = check_clock();
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
	explain_static(id, candidate, &choice);
	return choice.held > 0 || choice.retired > 0 ? SF_ZK_REFUSED : SF_ZK_LATER;
}

/* ---- extend ---------------------------------------------------------------------------- */

/*
 * A third of the window after the last time, or earlier where the clock was
 * set forward and the end is near.
 */
static bool
extension_is_due(void)
{
	int64		now_us = sf_api->clock_monotonic_us();

	return now_us >= lease.extend_at_us ||
		(lease.high_ms - sf_api->clock_ms() < sf_zk_window_ms / 2 &&
		 now_us - lease.extended_at_us > sf_zk_window_ms * INT64CONST(1000) / 10 &&
		 end_from_now() > lease.high_ms);
}

/*
 * One multi checks that the configuration is the one that we have read, writes
 * the ledger at the version that we know, and our entry in the registry with
 * it.  That it checks the holder is only for tidiness: deleted, it is made again.
 */
static SfZkOutcome
extend(void)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	int64		high_ms = Max(lease.high_ms, end_from_now());
	SfLedgerRecord ledger;
	SfZkReply	reply;
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	int			op;
	int			rc;

	fill_ledger(&ledger, high_ms);
	sf_zk_multi_check(multi, sf_zk_path_config(path), sf_zk_tree.version);
	op = sf_zk_multi_set(multi, sf_zk_path_id(path, lease.id), record,
						 sf_ledger_format(&ledger, record), lease.version);
	sf_zk_multi_check(multi, sf_zk_path_holder(path, lease.id), -1);
	sf_zk_multi_set(multi, sf_zk_path_node(path, lease.id), record, sf_zk_registry_record(record), -1);
	rc = sf_zk_multi_run(multi);

	if (rc == ZOK)
	{
		sf_zk_multi_reply(multi, op, &reply);
		lease.version = reply.stat.version;
		acknowledged(&reply, high_ms);
		sf_zk_clock_note(&reply, reply.stat.mtime);
		SF_ZK_FAIL_POINT(3);
		publish();
		watch_clock();
	}
	else
	{
		lease.unknown = true;
		if (sf_zk_refused(rc))
		{
			if (sf_zk_multi_failed(multi) == 0)
				sf_zk_tree.agreed = false;
			if (sf_zk_multi_failed(multi) > op)
				lease.present = false;
			if (rc == ZNOAUTH)
				sf_zk_trouble("ZooKeeper does not let this server extend the lease of node ID %u: see \"snowflake.zookeeper_auth_file\"", lease.id);
		}
	}
	sf_zk_multi_free(multi);
	return rc == ZOK ? SF_ZK_DONE : rc == ZNOAUTH ? SF_ZK_REFUSED : SF_ZK_LATER;
}

/* ---- release ---------------------------------------------------------------------------- */

/* Where an extension is of unknown fate: at which version the ledger is ours. */
static void
find_version(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	SfLedgerRecord ledger;
	SfRecordError error;

	if (sf_zk_get(sf_zk_path_id(path, lease.id), &reply) == ZOK &&
		sf_ledger_parse(reply.data, reply.length, &ledger, &error) &&
		is_ours(&ledger) && ledger.claim == lease.claim)
	{
		lease.version = reply.stat.version;
		lease.high_ms = ledger.high_ms;
	}
}

/* Write how far the IDs came, with or without an end to our presence. */
static int
write_release(int64 high_ms, bool with_presence)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	SfLedgerRecord ledger;
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	int			rc;

	fill_ledger(&ledger, high_ms);
	ledger.has_nonce = false;
	sf_zk_multi_set(multi, sf_zk_path_id(path, lease.id), record,
					sf_ledger_format(&ledger, record), lease.version);
	if (with_presence)
	{
		sf_zk_multi_delete(multi, sf_zk_path_holder(path, lease.id));
		sf_zk_multi_delete(multi, sf_zk_path_node(path, lease.id));
	}
	rc = sf_zk_multi_run(multi);
	sf_zk_multi_free(multi);
	return rc;
}

/*
 * Give the node ID back, so that it can be claimed at once.  Closed first, in
 * shared memory, which is final; then the ledger is told, where it is still at
 * the version that we know.  Returns false where ZooKeeper did not answer.
 */
bool
sf_zk_protocol_release(void)
{
	int64		last_end_ms = sf_api->close();
	int			rc = ZOK;

	looked_back = true;
	SF_ZK_FAIL_POINT(4);
	if (lease.held)
	{
		int64		high_ms;

		if (lease.unknown)
			find_version();
		high_ms = Min(lease.high_ms, Max(lease.low_ms, last_end_ms));
		rc = write_release(high_ms, lease.present);
		if (lease.present && sf_zk_refused(rc))
			rc = write_release(high_ms, false);

		SF_ZK_FAIL_POINT(5);
		if (rc == ZOK)
			ereport(LOG, (errmsg("snowflake: node ID %u was given back", lease.id)));
		else
			sf_zk_trouble("node ID %u is no longer used, but ZooKeeper could not be told (%s): it can be claimed when its lease has run out",
						  lease.id, zerror(rc));
	}
	forget();
	fenced = false;
	return rc == ZOK || sf_zk_refused(rc);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* What lived as long as the last session is gone, or will be. */
void
sf_zk_protocol_new_session(void)
{
	lease.present = false;
	retry_at_us = 0;
	failures = 0;
}

SfZkLease
sf_zk_protocol_lease(void)
{
	return (SfZkLease)
	{
		.held = lease.held, .id = lease.id, .since_ms = lease.since_ms, .high_ms = lease.high_ms
	};
}

/* There is something new to tell in the registry. */
void
sf_zk_protocol_extend_soon(void)
{
	lease.extend_at_us = 0;
}

/* Tell what state the lease is in. */
void
sf_zk_protocol_report(void)
{
	SfLeaseState state;
	bool		released;

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	released = sf_zk_shared->released;
	LWLockRelease(&sf_zk_shared->lock);

	if (released)
		state = SF_LEASE_RELEASED;
	else if (lease.held && sf_api->clock_ms() < lease.high_ms)
		state = SF_LEASE_HELD;
	else if (!sf_zk_connected())
		state = SF_LEASE_CONNECTING;
	else if (refused)
		state = SF_LEASE_REFUSED;
	else if (lease.held)
		state = SF_LEASE_HELD;
	else
		state = fenced ? SF_LEASE_FENCED : SF_LEASE_CLAIMING;
	sf_api->report_state(state);
}

/* One step of what is to be done next, in the order in which it must be. */
static SfZkOutcome
next_step(bool *idle)
{
	bool		released;

	if (!sf_zk_tree.agreed)
	{
		SfZkOutcome outcome = sf_zk_tree_agree();

		if (outcome != SF_ZK_DONE)
			return outcome;
	}
	if (lease.unknown)
		return find_out();
	if (lease.held && !lease.present)
		return make_present();
	if (lease.held && extension_is_due())
		return extend();

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	released = sf_zk_shared->released;
	LWLockRelease(&sf_zk_shared->lock);
	if (!lease.held && !released)
	{
		/* It brings ZooKeeper's clock. */
		if (!sf_zk_election_join() || !sf_zk_registry_refresh())
			return SF_ZK_LATER;
		return choose_and_claim();
	}
	*idle = true;
	return SF_ZK_DONE;
}

/* Jittered, so that servers that failed together do not come back together. */
static int64
pause_us(void)
{
	int			longest = lease.held ? EXTEND_PAUSE_MS :
		Min(Max(CLAIM_PAUSE_MS, n_ledgers * CLAIM_PAUSE_MS_EACH), LONGEST_PAUSE_MS);
	int			pause_ms = Min(FIRST_PAUSE_MS << Min(failures, 10), longest);

	return pg_prng_uint64_range(&pg_global_prng_state, pause_ms * US_PER_MS / 2, pause_ms * US_PER_MS);
}

/*
 * Do what is to be done now, while we are connected.  Returns when to be
 * called again.
 */
int64
sf_zk_protocol_step(void)
{
	bool		idle = false;

	while (!idle && sf_zk_connected() && !ShutdownRequestPending)
	{
		SfZkOutcome outcome;

		if (sf_api->clock_monotonic_us() < retry_at_us)
			return retry_at_us;
		outcome = next_step(&idle);
		if (outcome == SF_ZK_DONE)
			retry_at_us = 0;
		else
		{
			refused = outcome == SF_ZK_REFUSED;
			retry_at_us = sf_api->clock_monotonic_us() + pause_us();
			failures++;
		}
		sf_zk_protocol_report();
	}
	return lease.held ? lease.extend_at_us : PG_INT64_MAX;
}
