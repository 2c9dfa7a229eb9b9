/*-------------------------------------------------------------------------
 *
 * lease_held.c
 *	  The lease as this process knows it: how it takes effect, how it is lost,
 *	  how it is found out whether it is still ours, and how others see it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl.h"
#include "clocks.h"
#include "ledger.h"
#include "lease_held.h"
#include "registry.h"
#include "trouble.h"
#include "utils/timestamp.h"

#define US_PER_MS	1000

SfZkLease	sf_zk_lease;
bool		sf_zk_lease_fenced = false;
bool		sf_zk_ghost = false;

/* What backends may use from now on. */
void
sf_zk_publish(void)
{
	sf_api->publish(sf_zk_lease.id, sf_zk_lease.claim, sf_zk_lease.low_ms, sf_zk_lease.high_ms);
}

/* It is known to be ours, and what we know of it. */
void
sf_zk_hold(const char *how)
{
	bool		is_new = !sf_zk_lease.held;

	if (is_new)
		sf_zk_lease.since_ms = sf_api->clock_ms();
	sf_zk_lease.held = true;
	sf_zk_lease.unknown = false;
	sf_zk_lease_fenced = false;
	sf_zk_publish();

	if (is_new)
		ereport(LOG,
				(errmsg("snowflake: node ID %u was %s", sf_zk_lease.id, how),
				 errdetail("Its claim number is " INT64_FORMAT "; IDs begin after %s and can be made up to %s.",
						   sf_zk_lease.claim,
						   pstrdup(timestamptz_to_str(time_t_to_timestamptz(0) + sf_zk_lease.low_ms * US_PER_MS)),
						   pstrdup(timestamptz_to_str(time_t_to_timestamptz(0) + sf_zk_lease.high_ms * US_PER_MS)))));
}

void
sf_zk_forget(void)
{
	if (sf_zk_lease.traces)
		sf_zk_ghost = true;
	memset(&sf_zk_lease, 0, sizeof(sf_zk_lease));
}

/* Between two extensions: so often may one server write, whatever its clock does. */
static int64
third_of_window_us(void)
{
	return sf_zk_window_ms * INT64CONST(1000) / 3;
}

/* A claim or an extension was written. */
void
sf_zk_acknowledged(const SfZkReply *reply, int64 high_ms)
{
	sf_zk_lease.high_ms = high_ms;
	sf_zk_lease.extended_at_us = reply->sent_us;
	sf_zk_lease.extend_at_us = reply->sent_us + third_of_window_us();
}

/*
 * Another has claimed the node ID.  What was granted stays good up to its end:
 * the other begins there.
 */
void
sf_zk_lose(const char *why)
{
	if (sf_zk_lease.held)
	{
		sf_zk_trouble("the lease of node ID %u was lost: %s", sf_zk_lease.id, why);
		sf_api->report_fenced();
		sf_zk_lease_fenced = true;
	}
	sf_zk_forget();
}

/* Adopt what the ledger says, which has our nonce. */
void
sf_zk_adopt(const SfLedgerRecord *ledger, int version, const char *how)
{
	int64		since_ms;

	sf_zk_lease.claim = ledger->claim;
	sf_zk_lease.version = version;
	sf_zk_lease.low_ms = ledger->low_ms;
	sf_zk_lease.high_ms = ledger->high_ms;
	sf_zk_hold(how);

	/*
	 * When it was written is not known, but how far its end is from the one
	 * that it would get now.
	 */
	since_ms = sf_zk_end_from_now() - sf_zk_lease.high_ms;
	sf_zk_lease.extend_at_us = sf_api->clock_monotonic_us() +
		Max(0, third_of_window_us() - Max(0, since_ms) * US_PER_MS);
}

/*
 * A write was refused or its fate is not known: read the ledger.  It is still
 * ours if it has our nonce and our claim number.
 */
SfZkOutcome
sf_zk_find_out(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	SfLedgerRecord ledger;
	SfRecordError error;
	int			rc;

	sf_zk_lease.unknown = true;
	sf_zk_path_id(path, sf_zk_lease.id);
	rc = sf_zk_sync(path);
	if (rc == ZOK)
		rc = sf_zk_get(path, &reply);
	if (rc != ZOK && !sf_zk_refused(rc))
		return SF_ZK_LATER;

	if (rc == ZNONODE)
		sf_zk_lose("its ledger in ZooKeeper was deleted");
	else if (rc != ZOK)
	{
		sf_zk_trouble("could not read the ledger of node ID %u in ZooKeeper: %s", sf_zk_lease.id, zerror(rc));
		return SF_ZK_LATER;
	}
	else if (!sf_ledger_parse(reply.data, reply.length, &ledger, &error))
		sf_zk_lose(psprintf("its ledger in ZooKeeper cannot be read: %s", error.message));
	else if (sf_zk_is_ours(&ledger) && ledger.claim == sf_zk_lease.claim)
		sf_zk_adopt(&ledger, reply.stat.version, "found claimed");
	else
		sf_zk_lose(psprintf("%s has changed its ledger, claim number " INT64_FORMAT, ledger.owner, ledger.claim));
	return SF_ZK_DONE;
}

/* What is to be written while the lease is ours, with this end. */
void
sf_zk_fill_ledger(SfLedgerRecord *ledger, int64 high_ms)
{
	memset(ledger, 0, sizeof(*ledger));
	strlcpy(ledger->owner, sf_zk_registry_owner(), sizeof(ledger->owner));
	ledger->has_nonce = true;
	memcpy(ledger->nonce, sf_api->nonce(), SF_LEASE_NONCE_BYTES);
	ledger->claim = sf_zk_lease.claim;
	ledger->low_ms = sf_zk_lease.low_ms;
	ledger->high_ms = high_ms;
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

int
sf_zk_add_presence(SfZkMulti *multi)
{
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	const char *owner = sf_zk_registry_owner();
	int			rc = add_ephemeral(multi, sf_zk_path_holder(path, sf_zk_lease.id), owner, strlen(owner));

	return rc != ZOK ? rc : add_ephemeral(multi, sf_zk_path_node(path, sf_zk_lease.id),
										  record, sf_zk_registry_record(record));
}

/*
 * The session has expired, or is that of an earlier worker; but the ledger is
 * still ours, which this proves: say again that we live.
 */
SfZkOutcome
sf_zk_make_present(void)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	char		path[SF_ZK_PATH_SIZE];
	bool		traces = sf_zk_lease.traces;
	int			rc;

	sf_zk_acl_refresh();
	sf_zk_multi_check(multi, sf_zk_path_id(path, sf_zk_lease.id), sf_zk_lease.version);
	rc = sf_zk_add_presence(multi);
	if (rc == ZOK)
	{
		sf_zk_lease.traces = true;
		rc = sf_zk_multi_run(multi);
		if (sf_zk_refused(rc))
			sf_zk_lease.traces = traces;
	}
	sf_zk_multi_free(multi);

	if (rc == ZOK)
		sf_zk_lease.present = true;
	else if (sf_zk_refused(rc))
	{
		/* One above it was deleted, if not the ledger. */
		sf_zk_tree_missing(rc);
		if (sf_zk_find_out() == SF_ZK_DONE && !sf_zk_lease.held)
			return SF_ZK_DONE;
		if (sf_zk_denied(rc))
		{
			sf_zk_trouble("ZooKeeper does not let this server say that it holds node ID %u (%s), so the lease is not extended: see \"snowflake.zookeeper_auth_file\"",
						  sf_zk_lease.id, zerror(rc));
			return SF_ZK_REFUSED;
		}
		return SF_ZK_LATER;
	}
	return rc == ZOK ? SF_ZK_DONE : SF_ZK_LATER;
}
