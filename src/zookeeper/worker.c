/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The background worker that leases the node ID: its life and its loop.
 *
 * It begins when the server can write: a standby makes no IDs, so it needs no
 * node ID before it is promoted.
 *
 * It gives the node ID back when it is stopped in good order.  When it fails,
 * or the postmaster dies, it does not: sessions may still be making IDs, and
 * the lease is good for them up to its end.  A worker that is started again
 * finds in shared memory what it must know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "election.h"
#include "lease_held.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "protocol.h"
#include "registry.h"
#include "request.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tree.h"
#include "trouble.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "worker.h"
#include "zkshared.h"

/* Not before PostgreSQL's headers: it makes a macro of a name in them. */
#include <resolv.h>

#define US_PER_SECOND		INT64CONST(1000000)

/* How long a stop may take that ZooKeeper does not answer. */
#define STOP_US				(2 * US_PER_SECOND)

/* A session that was not connected for longer is given up. */
#define LONGEST_OUTAGE_US	(30 * US_PER_SECOND)

/*
 * How long the first connection of a session may take, for so many attempts,
 * and twice as long after each of those that follow.  The client would wait
 * for a silent server for two thirds of the session's timeout, and the next one
 * may answer at once.
 */
#define PATIENCE_US			(US_PER_SECOND / 2)
#define PATIENT_ATTEMPTS	8

/* The loop looks at the state at least so often. */
#define LONGEST_PAUSE_US	US_PER_SECOND

/* The session, as the loop last saw it. */
static int64 session_seen = 0;
static int64 connected_at_us = 0;	/* or when the session was begun */
static int64 open_at_us = 0;
static bool was_connected = false;
static int	failed_attempts = 0;	/* to connect, since we last were */

/* Called in the postmaster, while it preloads. */
void
sf_zk_worker_register(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
	};

	strlcpy(worker.bgw_name, "snowflake lease of the node ID", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "snowflake lease", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "snowflake_zookeeper", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "sf_zk_worker_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* Nobody may set the latch of a process that is gone. */
static void
leave(int code, Datum arg)
{
	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	sf_zk_shared->worker = NULL;
	LWLockRelease(&sf_zk_shared->lock);
}

static void
attach(void)
{
	sf_zk_api_init();
	sf_api->attach();
	sf_zk_shared_attach();

	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	sf_zk_shared->worker = MyLatch;
	LWLockRelease(&sf_zk_shared->lock);
	before_shmem_exit(leave, (Datum) 0);
}

/* ---- the session ------------------------------------------------------------ */

static void
new_session(void)
{
	sf_zk_tree.agreed = false;
	sf_zk_protocol_new_session();
	sf_zk_election_new_session();
	sf_zk_registry_new_session();
}

/* Begin anew, after a pause: all servers may be doing so. */
static void
drop_session(void)
{
	sf_zk_session_drop();
	was_connected = false;
	open_at_us = sf_api->clock_monotonic_us() +
		pg_prng_uint64_range(&pg_global_prng_state, 0, US_PER_SECOND / 2);
}

static int64
patience_us(void)
{
	int			doublings = Max(failed_attempts - PATIENT_ATTEMPTS, 0);

	return Min(PATIENCE_US << Min(doublings, 20), sf_zk_session_timeout_ms * INT64CONST(1000));
}

static void
begin_session(int64 now_us)
{
	connected_at_us = now_us;
	session_seen = 0;
	if (!sf_zk_session_open())
		open_at_us = now_us + pg_prng_uint64_range(&pg_global_prng_state, US_PER_SECOND, 2 * US_PER_SECOND);
}

/*
 * See to it that there is a session, and notice a new one.  One that was not
 * connected for long is given up, although it may live: what may be wrong with
 * the client is not carried on then.
 */
static void
tend_session(void)
{
	int64		now_us = sf_api->clock_monotonic_us();

	if (!sf_zk_session_exists())
	{
		if (now_us >= open_at_us)
			begin_session(now_us);
		return;
	}
	if (sf_zk_session_dead())
	{
		sf_zk_trouble("the session with ZooKeeper has expired");
		drop_session();
		return;
	}
	if (!sf_zk_connected())
	{
		if (was_connected)
			sf_zk_trouble("the connection to ZooKeeper was lost");
		was_connected = false;
		if (session_seen == 0 && now_us - connected_at_us > patience_us())
		{
			sf_zk_trouble("could not connect to ZooKeeper at \"%s\"", sf_zk_hosts);
			failed_attempts++;
			sf_zk_session_drop();
			begin_session(now_us);
			return;
		}
		if (now_us - connected_at_us > Max(2 * sf_zk_session_timeout_ms * INT64CONST(1000), LONGEST_OUTAGE_US))
		{
			sf_zk_trouble("ZooKeeper could not be reached for long: beginning a new session");
			drop_session();
		}
		return;
	}

	connected_at_us = now_us;
	failed_attempts = 0;
	if (session_seen != sf_zk_session_id())
	{
		session_seen = sf_zk_session_id();
		new_session();
	}
	if (!was_connected)
		ereport(LOG, (errmsg("snowflake: connected to ZooKeeper")));
	was_connected = true;
}

/*
 * Other credentials are for another session.  A lease that is held goes on: it
 * is in the ledger, and only what says that we live has to be made anew.
 */
static void
check_auth(bool if_unreadable)
{
	if (!sf_zk_session_exists() || !sf_zk_session_auth_changed(if_unreadable))
		return;
	ereport(LOG, (errmsg("snowflake: the credentials for ZooKeeper have changed: beginning a new session")));
	drop_session();
}

/*
 * One that says that we hold what we do not ends as soon as we can tell
 * ZooKeeper; it may end by itself before that.
 */
static void
drop_ghost(void)
{
	sf_zk_ghost = false;
	ereport(LOG, (errmsg("snowflake: beginning a new session with ZooKeeper, so that no node ID seems to be held that is not")));
	drop_session();
}

/* ---- the end ------------------------------------------------------------------ */

/*
 * The server stops, or an administrator has ended this process.  The exit
 * status has the postmaster start it again in the second case.
 */
static void
stop(void)
{
	bool		answers = true;
	char	   *warning;

	sf_zk_session_stop_at(sf_api->clock_monotonic_us() + STOP_US);
	if (sf_zk_lease.held || sf_api->found().granted)
		answers = sf_zk_protocol_release(&warning);

	/*
	 * Not closed where it does not answer: that would be waited for, and the
	 * session ends by itself.
	 */
	if (answers && sf_zk_connected())
		sf_zk_session_drop();
	proc_exit(1);
}

/*
 * The client looks up the servers' names whenever it connects, and blocks
 * meanwhile, a stop of the server included.  The C library's resolver would
 * wait ten seconds for each name server that is silent.
 */
static void
limit_name_lookup(void)
{
#ifdef __GLIBC__
	if (setenv("RES_OPTIONS", "timeout:1 attempts:1", 0) == 0)
		(void) res_init();
#endif
}

/* ---- the loop ------------------------------------------------------------------ */

void
sf_zk_worker_main(Datum arg)
{
	MemoryContext turn_context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	limit_name_lookup();
	attach();
	turn_context = AllocSetContextCreate(TopMemoryContext, "snowflake lease", ALLOCSET_DEFAULT_SIZES);

	while (!ShutdownRequestPending)
	{
		int64		until_us = sf_api->clock_monotonic_us() + LONGEST_PAUSE_US;

		MemoryContextReset(turn_context);
		MemoryContextSwitchTo(turn_context);

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			check_auth(false);
		}

		tend_session();
		if (sf_zk_connected())
		{
			/* First what keeps IDs coming, then the rest. */
			until_us = Min(until_us, sf_zk_protocol_step());
			until_us = Min(until_us, sf_zk_election_step());
			until_us = Min(until_us, sf_zk_registry_step());
		}
		else if (session_seen == 0 && sf_zk_session_exists())
			until_us = Min(until_us, connected_at_us + patience_us());
		sf_zk_request_step();

		/* Where there is no lease, nothing is lost with such a session. */
		if (sf_zk_session_denied())
			check_auth(!sf_zk_lease.held);
		if (sf_zk_ghost && sf_zk_connected())
			drop_ghost();
		sf_zk_protocol_report();
		sf_zk_session_wait(until_us);
	}
	stop();
}
