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

#include "claim.h"
#include "clocks.h"
#include "common/pg_prng.h"
#include "election.h"
#include "ledger.h"
#include "lease_held.h"
#include "postmaster/interrupt.h"
#include "protocol.h"
#include "registry.h"
#include "storage/lwlock.h"
#include "trouble.h"
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

/* The last outcome that was not good was one that only people can change. */
static bool refused = false;

static int	failures = 0;		/* since a lease was last claimed or extended */
static int64 acknowledged_us = 0;	/* when that was */
static int64 retry_at_us = 0;

/* ---- extend ---------------------------------------------------------------------------- */

/*
 * One multi checks that the configuration is the one that we have read, writes
 * the ledger at the version that we know, and our entry in the registry with
 * it.  That it checks the holder is only for tidiness: deleted, it is made again.
 */
static SfZkOutcome
extend(void)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	int64		high_ms = Max(sf_zk_lease.high_ms, sf_zk_end_from_now());
	SfLedgerRecord ledger;
	SfZkReply	reply;
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	int			op;
	int			rc;

	sf_zk_fill_ledger(&ledger, high_ms);
	sf_zk_multi_check(multi, sf_zk_path_config(path), sf_zk_tree.version);
	op = sf_zk_multi_set(multi, sf_zk_path_id(path, sf_zk_lease.id), record,
						 sf_ledger_format(&ledger, record), sf_zk_lease.version);
	sf_zk_multi_check(multi, sf_zk_path_holder(path, sf_zk_lease.id), -1);
	sf_zk_multi_set(multi, sf_zk_path_node(path, sf_zk_lease.id), record, sf_zk_registry_record(record), -1);
	rc = sf_zk_multi_run(multi);

	if (rc == ZOK)
	{
		sf_zk_multi_reply(multi, op, &reply);
		sf_zk_lease.version = reply.stat.version;
		sf_zk_acknowledged(&reply, high_ms);
		sf_zk_clock_note(&reply, reply.stat.mtime);
		SF_ZK_FAIL_POINT(3);
		sf_zk_publish();
		sf_zk_trouble_over();
		sf_zk_watch_clock();
	}
	else
	{
		sf_zk_lease.unknown = true;
		if (sf_zk_refused(rc))
		{
			if (sf_zk_multi_failed(multi) == 0)
				sf_zk_tree.agreed = false;
			if (sf_zk_multi_failed(multi) > op)
				sf_zk_lease.present = false;
			if (rc == ZNOAUTH)
				sf_zk_trouble("ZooKeeper does not let this server extend the lease of node ID %u: see \"snowflake.zookeeper_auth_file\"", sf_zk_lease.id);
		}
	}
	sf_zk_multi_free(multi);
	return sf_zk_outcome(rc);
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

	if (sf_zk_get(sf_zk_path_id(path, sf_zk_lease.id), &reply) == ZOK &&
		sf_ledger_parse(reply.data, reply.length, &ledger, &error) &&
		sf_zk_is_ours(&ledger) && ledger.claim == sf_zk_lease.claim)
	{
		sf_zk_lease.version = reply.stat.version;
		sf_zk_lease.high_ms = ledger.high_ms;
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

	sf_zk_fill_ledger(&ledger, high_ms);
	ledger.has_nonce = false;
	sf_zk_multi_set(multi, sf_zk_path_id(path, sf_zk_lease.id), record,
					sf_ledger_format(&ledger, record), sf_zk_lease.version);
	if (with_presence)
	{
		sf_zk_multi_delete(multi, sf_zk_path_holder(path, sf_zk_lease.id));
		sf_zk_multi_delete(multi, sf_zk_path_node(path, sf_zk_lease.id));
	}
	rc = sf_zk_multi_run(multi);
	if (rc == ZOK && with_presence)
		sf_zk_lease.traces = false;
	sf_zk_multi_free(multi);
	return rc;
}

/*
 * Give the node ID back, so that it can be claimed at once.  Closed first, in
 * shared memory, which is final; then the ledger is told, where it is still at
 * the version that we know.  Returns false where ZooKeeper did not answer.
 * *warning is NULL where all is done, else what is not, in memory of the
 * current context.
 */
bool
sf_zk_protocol_release(char **warning)
{
	SfLeaseFound found = sf_api->found();
	bool		is_unseen = found.granted && !sf_zk_looked_back;
	int64		last_end_ms = sf_api->close();
	int			rc = ZOK;

	*warning = NULL;
	sf_zk_looked_back = true;
	SF_ZK_FAIL_POINT(4);
	if (sf_zk_lease.held)
	{
		int64		high_ms;

		if (sf_zk_lease.unknown)
			find_version();
		high_ms = Min(sf_zk_lease.high_ms, Max(sf_zk_lease.low_ms, last_end_ms));
		rc = write_release(high_ms, sf_zk_lease.present);
		if (sf_zk_lease.present && sf_zk_refused(rc))
			rc = write_release(high_ms, false);

		SF_ZK_FAIL_POINT(5);
		if (rc == ZOK)
			ereport(LOG, (errmsg("snowflake: node ID %u was given back", sf_zk_lease.id)));
		else
			*warning = psprintf("node ID %u is no longer used, but ZooKeeper could not be told (%s): it can be claimed when its lease has run out",
								sf_zk_lease.id, zerror(rc));
	}
	else if (is_unseen)
		*warning = psprintf("node ID %u is no longer used, but ZooKeeper was not told, since this worker had not found its lease yet: it can be claimed when that has run out",
							found.node);
	else if (sf_zk_lease.unknown)
		*warning = psprintf("node ID %u is not used, but may have been claimed: it can be claimed when that lease has run out",
							sf_zk_lease.id);
	if (*warning != NULL)
		sf_zk_trouble("%s", *warning);
	sf_zk_forget();
	sf_zk_lease_fenced = false;
	return rc == ZOK || sf_zk_refused(rc);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* What lived as long as the last session is gone, or will be. */
void
sf_zk_protocol_new_session(void)
{
	sf_zk_lease.present = sf_zk_lease.traces = false;
	sf_zk_ghost = false;
	retry_at_us = 0;
	failures = 0;
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
	else if (sf_zk_lease.held && sf_api->clock_ms() < sf_zk_lease.high_ms)
		state = SF_LEASE_HELD;
	else if (!sf_zk_connected())
		state = SF_LEASE_CONNECTING;
	else if (refused)
		state = SF_LEASE_REFUSED;
	else if (sf_zk_lease.held)
		state = SF_LEASE_HELD;
	else
		state = sf_zk_lease_fenced ? SF_LEASE_FENCED : SF_LEASE_CLAIMING;
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
	if (sf_zk_lease.unknown)
		return sf_zk_find_out();
	if (sf_zk_lease.held && !sf_zk_lease.present)
		return sf_zk_make_present();
	if (sf_zk_lease.held && sf_api->clock_monotonic_us() >= sf_zk_lease.extend_at_us)
		return extend();

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	released = sf_zk_shared->released;
	LWLockRelease(&sf_zk_shared->lock);
	if (!sf_zk_lease.held && !released)
	{
		/* It brings ZooKeeper's clock. */
		SfZkOutcome outcome = sf_zk_election_join();

		if (outcome == SF_ZK_DONE)
			outcome = sf_zk_registry_refresh();
		return outcome == SF_ZK_DONE ? sf_zk_choose_and_claim() : outcome;
	}
	*idle = true;
	return SF_ZK_DONE;
}

/* Jittered, so that servers that failed together do not come back together. */
static int64
pause_us(void)
{
	int			longest = sf_zk_lease.held ? EXTEND_PAUSE_MS :
	Min(Max(CLAIM_PAUSE_MS, sf_zk_n_ledgers * CLAIM_PAUSE_MS_EACH), LONGEST_PAUSE_MS);
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

	while (!idle && !sf_zk_ghost && sf_zk_connected() && !ShutdownRequestPending)
	{
		SfZkOutcome outcome;

		if (sf_api->clock_monotonic_us() < retry_at_us)
			return retry_at_us;
		outcome = next_step(&idle);
		if (sf_zk_lease.held && sf_zk_lease.extended_at_us != acknowledged_us)
		{
			acknowledged_us = sf_zk_lease.extended_at_us;
			failures = 0;
			refused = false;
		}
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
	return sf_zk_lease.held ? sf_zk_lease.extend_at_us : PG_INT64_MAX;
}
