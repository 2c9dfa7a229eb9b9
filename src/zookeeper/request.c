/*-------------------------------------------------------------------------
 *
 * request.c
 *	  What a session asks the worker to do.
 *
 * There is one place for a request in shared memory.  A session takes it when
 * it is free, wakes the worker, and waits for the answer; each wait is limited
 * and can be cancelled.  A session that goes away takes its request back; what
 * the worker has begun by then is done all the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "acl.h"
#include "api.h"
#include "claim.h"
#include "compat.h"
#include "ledger.h"
#include "lease_held.h"
#include "miscadmin.h"
#include "protocol.h"
#include "request.h"
#include "settings.h"
#include "storage/ipc.h"
#include "utils/wait_event.h"

#define US_PER_MS			1000

/* How long a session waits, for the place and for the answer together. */
#define ANSWER_WITHIN_MS	15000
#define NAP_MS				100

/* So much of that a release waits for a worker to find its lease. */
#define LOOK_BACK_MS		3000

/* ---- in a session ------------------------------------------------------------- */

static uint64 own_number;		/* of the request that is under way, 0 = none */

static void
withdraw(int code, Datum arg)
{
	SfZkRequest *request = &sf_zk_shared->request;

	if (own_number == 0)
		return;
	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	if (request->number == own_number)
		request->state = SF_ZK_IDLE;
	LWLockRelease(&sf_zk_shared->lock);
	own_number = 0;
	ConditionVariableBroadcast(&sf_zk_shared->answered);
}

/*
 * Put the request where the worker sees it, if there is one and the place is
 * free.  Returns false where there is no worker.
 */
static bool
try_to_place(SfZkVerb verb, uint32 id, bool flag)
{
	SfZkRequest *request = &sf_zk_shared->request;
	bool		has_worker;

	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	has_worker = sf_zk_shared->worker != NULL;
	if (has_worker && request->state == SF_ZK_IDLE)
	{
		request->number++;
		request->verb = verb;
		request->id = id;
		request->flag = flag;
		request->state = SF_ZK_ASKED;
		own_number = request->number;
		SetLatch(sf_zk_shared->worker);
	}
	LWLockRelease(&sf_zk_shared->lock);
	return has_worker;
}

static void
refuse_without_worker(void)
{
	const char *hint = "See the server's log.";

	if (!sf_zk_settings_active())
		hint = "Set \"snowflake.zookeeper_hosts\" and restart the server.";
	else if (RecoveryInProgress())
		hint = "It runs as soon as the server is no longer in recovery.";
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the worker that leases the node ID is not running"),
			 errhint("%s", hint)));
}

static bool
is_answered(void)
{
	bool		answered;

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	answered = own_number != 0 && sf_zk_shared->request.state == SF_ZK_ANSWERED;
	LWLockRelease(&sf_zk_shared->lock);
	return answered;
}

static void
wait_for_answer(SfZkVerb verb, uint32 id, bool flag)
{
	static uint32 wait_event = 0;
	int64		give_up_us = sf_api->clock_monotonic_us() + ANSWER_WITHIN_MS * US_PER_MS;

	if (wait_event == 0)
		wait_event = sf_wait_event_new("SnowflakeRequest");

	ConditionVariablePrepareToSleep(&sf_zk_shared->answered);
	while (!is_answered())
	{
		bool		has_worker = own_number != 0 || try_to_place(verb, id, flag);
		bool		late = sf_api->clock_monotonic_us() > give_up_us;

		/* One that has failed is started again within a second or so. */
		if (!has_worker && (late || !sf_zk_settings_active() || RecoveryInProgress()))
			refuse_without_worker();
		if (late)
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("the worker that leases the node ID did not answer within %d s", ANSWER_WITHIN_MS / 1000),
					 errdetail("What was asked for may be done later.")));
		(void) ConditionVariableTimedSleep(&sf_zk_shared->answered, NAP_MS, wait_event);
	}
	ConditionVariableCancelSleep();
}

/*
 * Have the worker do something, and raise its error or warning if it has one.  take, if
 * it is not NULL, is handed the answer under a lock, and must not raise one.
 */
void
sf_zk_ask(SfZkVerb verb, uint32 id, bool flag,
		  void (*take) (const SfZkRequest *answer, void *context), void *context)
{
	char		error[SF_LEASE_ERROR_SIZE];
	bool		warning;

	sf_zk_api_init();
	sf_zk_shared_attach();

	/* Also when the session is ended. */
	PG_ENSURE_ERROR_CLEANUP(withdraw, (Datum) 0);
	{
		wait_for_answer(verb, id, flag);
	}
	PG_END_ENSURE_ERROR_CLEANUP(withdraw, (Datum) 0);

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	strlcpy(error, sf_zk_shared->request.error, sizeof(error));
	warning = sf_zk_shared->request.warning;
	if (error[0] == '\0' && take != NULL)
		take(&sf_zk_shared->request, context);
	LWLockRelease(&sf_zk_shared->lock);
	withdraw(0, (Datum) 0);

	if (error[0] != '\0')
		ereport(warning ? WARNING : ERROR,
				(warning ? 0 : errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", error)));
}

/* ---- in the worker -------------------------------------------------------------- */

static void
pg_attribute_printf(2, 3)
refuse(SfZkRequest *answer, const char *format,...)
{
	char		message[SF_LEASE_ERROR_SIZE];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	/* It is shown in databases of any encoding. */
	sf_record_text(answer->error, sizeof(answer->error), message);
}

/* Can ZooKeeper be asked? */
static bool
is_ready(SfZkRequest *answer)
{
	if (!sf_zk_connected())
		refuse(answer, "the worker that leases the node ID is not connected to ZooKeeper");
	else if (!sf_zk_tree.agreed)
		refuse(answer, "the worker that leases the node ID cannot work with the cluster in ZooKeeper: see snowflake_status");
	else
		return true;
	return false;
}

static void
list_ledgers(SfZkRequest *answer)
{
	SfCandidate *candidates;
	int			deleted;
	int			rc;

	rc = sf_zk_read_ledgers(answer->id, SF_ZK_LEDGER_PAGE + 1, &candidates, &answer->rows, &deleted);
	if (rc != ZOK)
	{
		answer->rows = 0;
		refuse(answer, "could not read the ledgers in ZooKeeper: %s", zerror(rc));
		return;
	}
	answer->more = answer->rows > SF_ZK_LEDGER_PAGE;
	answer->rows = Min(answer->rows, SF_ZK_LEDGER_PAGE);
	for (int i = 0; i < answer->rows; i++)
	{
		answer->row[i] = (SfZkLedgerRow)
		{
			.id = candidates[i].id,
				.valid = candidates[i].valid,
				.denied = candidates[i].denied,
				.held = candidates[i].held || candidates[i].ours,
				.modified_ms = candidates[i].modified_ms,
				.ledger = candidates[i].ledger
		};
	}
}

/* Mark a node ID as one that is not to be claimed, or take the mark away. */
static void
retire(SfZkRequest *answer)
{
	uint32		id = answer->id;
	char		path[SF_ZK_PATH_SIZE];
	char		record[SF_RECORD_SIZE];
	SfZkReply	reply;
	SfLedgerRecord ledger = {.claim = 1};
	SfRecordError error;
	int			rc;

	if (id > sf_api->max_node())
	{
		refuse(answer, "node ID %u is out of range: the layout has node IDs from 0 to %u", id, sf_api->max_node());
		return;
	}

	sf_zk_path_id(path, id);
	rc = sf_zk_sync(path);
	if (rc == ZOK)
		rc = sf_zk_get(path, &reply);
	if (rc == ZOK && (reply.stat.numChildren > 0 || (sf_zk_lease.held && sf_zk_lease.id == id)))
	{
		refuse(answer, "node ID %u is held by a live server", id);
		return;
	}
	if (rc == ZOK && !sf_ledger_parse(reply.data, reply.length, &ledger, &error))
	{
		refuse(answer, "the ledger of node ID %u in ZooKeeper cannot be read: %s", id, error.message);
		return;
	}
	if (rc == ZOK || rc == ZNONODE)
	{
		/*
		 * At the version that was read, so no claim comes between.  Without a
		 * nonce, so that a server that had the lease, and is only frozen,
		 * does not find it its own when it wakes up.
		 */
		size_t		length;

		ledger.retired = answer->flag;
		ledger.has_nonce = false;
		sf_zk_acl_refresh();
		length = sf_ledger_format(&ledger, record);
		rc = rc == ZOK ? sf_zk_set(path, record, length, reply.stat.version, NULL) :
			sf_zk_create(path, record, length, ZOO_PERSISTENT, sf_zk_acl(), NULL, NULL);
	}
	if (rc == ZBADVERSION || rc == ZNODEEXISTS)
		refuse(answer, "node ID %u was claimed meanwhile", id);
	else if (rc != ZOK)
		refuse(answer, "could not change the ledger of node ID %u in ZooKeeper: %s", id, zerror(rc));
	else
		ereport(LOG, (errmsg("snowflake: node ID %u was %s by an administrator", id,
							 answer->flag ? "retired" : "put into use again")));
}

static void
set_released(bool released)
{
	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	sf_zk_shared->released = released;
	LWLockRelease(&sf_zk_shared->lock);
}

static void
handle(SfZkRequest *answer)
{
	char	   *warning;

	switch (answer->verb)
	{
		case SF_ZK_LEDGER:
			if (is_ready(answer))
				list_ledgers(answer);
			break;
		case SF_ZK_RETIRE:
			if (is_ready(answer))
				retire(answer);
			break;
		case SF_ZK_RELEASE:
			set_released(true);
			(void) sf_zk_protocol_release(&warning);
			if (warning != NULL)
			{
				refuse(answer, "%s", warning);
				answer->warning = true;
			}
			break;
		case SF_ZK_CLAIM:
			set_released(false);
			break;
	}
}

/*
 * A worker that has just begun does not know yet whether it has a lease to give
 * back.  Within a moment it will, unless ZooKeeper is away.
 */
static bool
is_for_later(SfZkVerb verb)
{
	static int64 since_us = 0;
	int64		now_us = sf_api->clock_monotonic_us();

	if (verb != SF_ZK_RELEASE || sf_zk_looked_back || sf_api->found().closed)
		return false;
	if (since_us == 0)
		since_us = now_us;
	return now_us - since_us < LOOK_BACK_MS * US_PER_MS;
}

/* Answer what was asked, if anything was. */
void
sf_zk_request_step(void)
{
	SfZkRequest *request = &sf_zk_shared->request;
	SfZkRequest *answer;
	bool		asked;
	SfZkVerb	verb;

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	asked = request->state == SF_ZK_ASKED;
	verb = request->verb;
	LWLockRelease(&sf_zk_shared->lock);
	if (!asked || is_for_later(verb))
		return;

	answer = palloc0(sizeof(SfZkRequest));
	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	*answer = (SfZkRequest) {.number = request->number, .verb = request->verb, .id = request->id, .flag = request->flag};
	LWLockRelease(&sf_zk_shared->lock);
	handle(answer);

	/* Who has the answer finds it in snowflake_status, too. */
	sf_zk_protocol_report();

	/* Unless who has asked is gone. */
	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	if (request->state == SF_ZK_ASKED && request->number == answer->number)
	{
		answer->state = SF_ZK_ANSWERED;
		*request = *answer;
	}
	LWLockRelease(&sf_zk_shared->lock);
	ConditionVariableBroadcast(&sf_zk_shared->answered);

	/* There may be something to do now. */
	SetLatch(MyLatch);
}
