/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The client of ZooKeeper: a session, and requests that are waited for.
 *
 * Nothing that the library calls back may raise an error: it would jump out of
 * the library's own functions.  The callbacks below copy what they are given
 * and set flags.
 *
 * A handle is never closed while it may hold a lease's holder, except to stop
 * in good order: when the postmaster dies or this process fails, the session
 * must live on until it times out, since backends may still be making IDs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "auth.h"
#include "compat.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "session.h"
#include "storage/latch.h"
#include "trouble.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define US_PER_MS			1000
#define US_PER_SECOND		1000000

/* The library is content with any pause, but asks for very short ones. */
#define SHORTEST_PAUSE_MS	10

/* How many reads are under way at once. */
#define READS_AT_ONCE		128

#define MAX_OPS				8

/* Each child's name has some bytes, and this many node IDs no one has. */
#define MAX_NAMES			1000000

/*
 * A request that was sent.  Who waits for it may go away before the reply
 * comes; the callback then frees it.
 */
typedef struct Request
{
	bool		done;
	bool		abandoned;
	SfZkReply	reply;
	char		created[SF_ZK_PATH_SIZE];
	SfZkNames	names;
	bool		open;			/* to all, of an ACL */
} Request;

struct SfZkMulti
{
	bool		done;
	bool		abandoned;
	int			rc;
	int64		sent_us;
	int64		received_us;
	int			n;
	zoo_op_t	ops[MAX_OPS];
	zoo_op_result_t results[MAX_OPS];
	struct Stat stats[MAX_OPS];
	char		paths[MAX_OPS][SF_ZK_PATH_SIZE];
	char		data[MAX_OPS][SF_RECORD_SIZE];
};

static zhandle_t *handle = NULL;
static bool connected = false;
static bool dead = false;
static bool authenticated = false;

/* Set when a wait was cut short for something that is not for it. */
static bool latch_was_set = false;

/* Once the server stops, when to give up; 0: it does not stop. */
static int64 stop_at_us = 0;

/* How long a stop waits for the reply to what was under way. */
#define STOP_GRACE_US		US_PER_SECOND

/* ---- the session --------------------------------------------------------- */

static void
watch_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
	if (type != ZOO_SESSION_EVENT)
		return;
	connected = state == ZOO_CONNECTED_STATE;
	if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE)
		dead = true;
}

/* Any event is a reason to look. */
static void
watch_node(zhandle_t *zh, int type, int state, const char *path, void *context)
{
	*(bool *) context = true;
}

/*
 * Begin a session; it is there when sf_zk_connected().  Returns false, with
 * the reason reported, where that cannot be tried.
 */
bool
sf_zk_session_open(void)
{
	char		auth[SF_ZK_AUTH_SIZE];
	size_t		auth_length = 0;
	int			rc;

	if (!sf_zk_auth_read(auth, &auth_length))
		return false;

	connected = dead = false;
	authenticated = auth_length > 0;
	zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
	handle = zookeeper_init2(sf_zk_hosts, watch_session, sf_zk_session_timeout_ms, NULL, NULL,
							 ZOO_NO_LOG_CLIENTENV, sf_zk_client_log);
	if (handle == NULL)
	{
		sf_zk_trouble("could not set up the ZooKeeper client for \"%s\": %m", sf_zk_hosts);
		explicit_bzero(auth, sizeof(auth));
		return false;
	}

	/* Else each turn of the loop looks up the names, and waits for that. */
	(void) zoo_set_servers_resolution_delay(handle, -1);

	rc = authenticated ? zoo_add_auth(handle, "digest", auth, auth_length, NULL, NULL) : ZOK;
	explicit_bzero(auth, sizeof(auth));
	if (rc != ZOK)
	{
		sf_zk_trouble("could not authenticate to ZooKeeper: %s", zerror(rc));
		sf_zk_session_drop();
		return false;
	}
	return true;
}

/*
 * Close the session where there is one, and so have ZooKeeper delete all
 * that lives only as long.
 */
void
sf_zk_session_drop(void)
{
	zhandle_t  *old = handle;

	/* It calls back for each request that is under way. */
	handle = NULL;
	connected = false;
	if (old != NULL)
		(void) zookeeper_close(old);
}

bool
sf_zk_session_exists(void)
{
	return handle != NULL;
}

/* Has the session expired, or failed to authenticate?  Then it is to be dropped. */
bool
sf_zk_session_dead(void)
{
	return handle != NULL && (dead || is_unrecoverable(handle) != ZOK);
}

bool
sf_zk_connected(void)
{
	return handle != NULL && connected && !dead;
}

/* The owner that ZooKeeper names for the ephemeral nodes that we make. */
int64
sf_zk_session_id(void)
{
	return handle != NULL ? zoo_client_id(handle)->client_id : 0;
}

/* From now on, no wait lasts longer than up to that time. */
void
sf_zk_session_stop_at(int64 deadline_us)
{
	stop_at_us = deadline_us;
}

/*
 * Nodes that this cluster makes are for those who authenticate like us, or for
 * all where there is no authentication.
 */
const struct ACL_vector *
sf_zk_acl(void)
{
	return authenticated ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
}

/*
 * Let the library do what there is to do, and wait for more until that time at
 * most.
 */
static void
turn(int64 until_us)
{
	static uint32 wait_event = 0;
	int			fd = -1;
	int			interest = 0;
	struct timeval tv = {1, 0};
	int			wake = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	int64		now_us = sf_api->clock_monotonic_us();
	int64		pause_us = Max(until_us - now_us, 0);
	int			events = 0;
	int			ready;

	if (wait_event == 0)
		wait_event = sf_wait_event_new("SnowflakeZooKeeper");

	if (handle != NULL && !sf_zk_session_dead())
	{
		/* An error is a connection that was lost; the next turn tries again. */
		(void) zookeeper_interest(handle, &fd, &interest, &tv);
		pause_us = Min(pause_us, Max(tv.tv_sec * INT64CONST(1000000) + tv.tv_usec,
									 SHORTEST_PAUSE_MS * US_PER_MS));
		if (fd != -1)
		{
			if (interest & ZOOKEEPER_READ)
				wake |= WL_SOCKET_READABLE;
			if (interest & ZOOKEEPER_WRITE)
				wake |= WL_SOCKET_WRITEABLE;
		}
	}

	/*
	 * The library opens and closes sockets as it likes, so none is remembered
	 * from one turn to the next.
	 */
	ready = WaitLatchOrSocket(MyLatch, wake, fd == -1 || interest == 0 ? PGINVALID_SOCKET : fd,
							  (pause_us + US_PER_MS - 1) / US_PER_MS, wait_event);
	if (ready & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		latch_was_set = true;
	}
	CHECK_FOR_INTERRUPTS();

	if (handle != NULL && !sf_zk_session_dead())
	{
		if (ready & WL_SOCKET_READABLE)
			events |= ZOOKEEPER_READ;
		if (ready & WL_SOCKET_WRITEABLE)
			events |= ZOOKEEPER_WRITE;
		(void) zookeeper_process(handle, events);
	}
}

/*
 * Wait until that time, or until there may be something to do: something has
 * come from ZooKeeper, or the latch was set since we last returned.
 */
void
sf_zk_session_wait(int64 until_us)
{
	if (!latch_was_set)
		turn(until_us);
	latch_was_set = false;
}

/* May we wait still for the reply to a request? */
static bool
may_wait(void)
{
	if (sf_zk_session_dead() || handle == NULL)
		return false;
	if (ShutdownRequestPending && stop_at_us == 0)
		stop_at_us = sf_api->clock_monotonic_us() + STOP_GRACE_US;
	return stop_at_us == 0 || sf_api->clock_monotonic_us() < stop_at_us;
}

/* ---- requests ------------------------------------------------------------ */

/* Was this write refused, so that it surely was not and will not be done? */
bool
sf_zk_refused(int rc)
{
	switch (rc)
	{
		case ZNONODE:
		case ZNOAUTH:
		case ZBADVERSION:
		case ZNOCHILDRENFOREPHEMERALS:
		case ZNODEEXISTS:
		case ZNOTEMPTY:
		case ZINVALIDACL:
			return true;
		default:
			return false;
	}
}

static Request *
new_request(void)
{
	Request    *request = MemoryContextAllocZero(TopMemoryContext, sizeof(Request));

	request->reply.sent_us = sf_api->clock_monotonic_us();
	return request;
}

static void
free_request(Request *request)
{
	if (request->names.names != NULL)
		pfree(request->names.names);
	pfree(request);
}

/* Who has waited needs it no longer; is it still under way, the callback frees it. */
static void
leave_request(Request *request)
{
	if (request->done)
		free_request(request);
	else
		request->abandoned = true;
}

static void
finish_request(const void *data, int rc, const struct Stat *stat)
{
	Request    *request = unconstify(void *, data);

	if (request->abandoned)
	{
		free_request(request);
		return;
	}
	request->reply.rc = rc;
	if (rc == ZOK && stat != NULL)
		request->reply.stat = *stat;
	request->reply.received_us = sf_api->clock_monotonic_us();
	request->done = true;
}

static void
on_stat(int rc, const struct Stat *stat, const void *data)
{
	finish_request(data, rc, stat);
}

static void
on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data)
{
	Request    *request = unconstify(void *, data);

	/* The length is -1 where there is none. */
	if (rc == ZOK && value != NULL && length > 0)
	{
		request->reply.length = length;
		memcpy(request->reply.data, value, Min(length, SF_RECORD_SIZE));
	}
	finish_request(data, rc, stat);
}

static void
on_created(int rc, const char *path, const struct Stat *stat, const void *data)
{
	Request    *request = unconstify(void *, data);

	if (rc == ZOK && path != NULL)
		strlcpy(request->created, path, sizeof(request->created));
	finish_request(data, rc, stat);
}

static void
on_synced(int rc, const char *path, const void *data)
{
	finish_request(data, rc, NULL);
}

static void
on_names(int rc, const struct String_vector *strings, const struct Stat *stat, const void *data)
{
	Request    *request = unconstify(void *, data);

	if (rc == ZOK && strings->count > MAX_NAMES)
		rc = ZSYSTEMERROR;
	if (rc == ZOK && strings->count > 0)
	{
		Size		size = strings->count * sizeof(char *);
		char	   *at;

		for (int i = 0; i < strings->count; i++)
			size += strlen(strings->data[i]) + 1;
		request->names.names = MemoryContextAllocExtended(TopMemoryContext, size,
														  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (request->names.names == NULL)
			rc = ZSYSTEMERROR;
		else
		{
			request->names.count = strings->count;
			at = (char *) (request->names.names + strings->count);
			for (int i = 0; i < strings->count; i++)
			{
				request->names.names[i] = at;
				at = stpcpy(at, strings->data[i]) + 1;
			}
		}
	}
	finish_request(data, rc, stat);
}

static void
on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data)
{
	Request    *request = unconstify(void *, data);
	int			changing = ZOO_PERM_WRITE | ZOO_PERM_CREATE | ZOO_PERM_DELETE | ZOO_PERM_ADMIN;

	for (int i = 0; rc == ZOK && i < acl->count; i++)
	{
		if (strcmp(acl->data[i].id.scheme, "world") == 0 && (acl->data[i].perms & changing) != 0)
			request->open = true;
	}
	finish_request(data, rc, stat);
}

/*
 * Wait for the reply to a request that was handed to the library with this
 * result.  The result is that of the request then.
 */
static int
await(Request *request, int sent)
{
	/* Whether it calls back all the same is not promised, so it is not freed. */
	if (sent != ZOK)
		return sent;
	while (!request->done && may_wait())
		turn(sf_api->clock_monotonic_us() + US_PER_SECOND);
	if (!request->done)
		return ZOPERATIONTIMEOUT;
	if (request->reply.rc == ZOK || sf_zk_refused(request->reply.rc))
		sf_api->report_round_trip(Max(request->reply.received_us - request->reply.sent_us, 1));
	return request->reply.rc;
}

/* The end of each request: hand the reply over, and forget the request. */
static int
take_reply(Request *request, int rc, SfZkReply *reply)
{
	if (reply != NULL)
	{
		*reply = request->reply;
		reply->rc = rc;
	}
	leave_request(request);
	return rc;
}

int
sf_zk_get(const char *path, SfZkReply *reply)
{
	Request    *request;

	if (!sf_zk_connected())
		return reply->rc = ZCONNECTIONLOSS;
	request = new_request();
	return take_reply(request, await(request, zoo_aget(handle, path, 0, on_data, request)), reply);
}

/*
 * Read many nodes, many at once.  The result is ZOK when each of them was
 * answered; the replies tell how.
 */
int
sf_zk_get_many(int n, char *const *paths, SfZkReply *replies)
{
	Request    *requests[READS_AT_ONCE];
	int			sent[READS_AT_ONCE];
	int			result = ZOK;

	for (int begin = 0; begin < n; begin += READS_AT_ONCE)
	{
		int			count = Min(n - begin, READS_AT_ONCE);

		if (!sf_zk_connected() || result != ZOK)
			return result != ZOK ? result : ZCONNECTIONLOSS;
		for (int i = 0; i < count; i++)
		{
			requests[i] = new_request();
			sent[i] = zoo_aget(handle, paths[begin + i], 0, on_data, requests[i]);
		}
		for (int i = 0; i < count; i++)
		{
			int			rc = take_reply(requests[i], await(requests[i], sent[i]), &replies[begin + i]);

			if (rc != ZOK && !sf_zk_refused(rc))
				result = rc;
		}
	}
	return result;
}

/* With watch, *watch becomes true when that has changed, or may have. */
int
sf_zk_exists(const char *path, bool *watch, SfZkReply *reply)
{
	Request    *request;

	if (!sf_zk_connected())
		return reply->rc = ZCONNECTIONLOSS;
	request = new_request();
	return take_reply(request, await(request, zoo_awexists(handle, path, watch ? watch_node : NULL,
														   watch, on_stat, request)), reply);
}

int
sf_zk_children(const char *path, bool *watch, SfZkNames *names)
{
	Request    *request;
	int			rc;

	memset(names, 0, sizeof(*names));
	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	rc = await(request, zoo_awget_children2(handle, path, watch ? watch_node : NULL,
											watch, on_names, request));
	if (rc == ZOK)
	{
		names->count = request->names.count;
		names->stat = request->reply.stat;
		names->names = palloc(sizeof(char *) * Max(names->count, 1));
		for (int i = 0; i < names->count; i++)
			names->names[i] = pstrdup(request->names.names[i]);
	}
	leave_request(request);
	return rc;
}

/* What is read after it is not older than what anybody had written before. */
int
sf_zk_sync(const char *path)
{
	Request    *request;

	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	return take_reply(request, await(request, zoo_async(handle, path, on_synced, request)), NULL);
}

/* May anybody change this node or what is below it? */
int
sf_zk_open_to_all(const char *path, bool *open)
{
	Request    *request;
	int			rc;

	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	rc = await(request, zoo_aget_acl(handle, path, on_acl, request));
	*open = request->open;
	return take_reply(request, rc, NULL);
}

/* created, of SF_ZK_PATH_SIZE, is the path that it got; may be NULL. */
int
sf_zk_create(const char *path, const char *data, size_t length, int mode,
			 const struct ACL_vector *acl, char *created, SfZkReply *reply)
{
	Request    *request;
	int			rc;

	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	rc = await(request, zoo_acreate2(handle, path, data, length, acl, mode, on_created, request));
	if (created != NULL)
		strlcpy(created, request->created, SF_ZK_PATH_SIZE);
	return take_reply(request, rc, reply);
}

int
sf_zk_set(const char *path, const char *data, size_t length, int version, SfZkReply *reply)
{
	Request    *request;

	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	return take_reply(request, await(request, zoo_aset(handle, path, data, length, version,
													   on_stat, request)), reply);
}

/* ---- several at once ------------------------------------------------------ */

SfZkMulti *
sf_zk_multi_new(void)
{
	return MemoryContextAllocZero(TopMemoryContext, sizeof(SfZkMulti));
}

static const char *
keep_path(SfZkMulti *multi, const char *path)
{
	Assert(multi->n < MAX_OPS);
	strlcpy(multi->paths[multi->n], path, SF_ZK_PATH_SIZE);
	return multi->paths[multi->n];
}

static const char *
keep_data(SfZkMulti *multi, const char *data, size_t length)
{
	Assert(length <= SF_RECORD_SIZE);
	memcpy(multi->data[multi->n], data, length);
	return multi->data[multi->n];
}

/* Each of these returns the number of the operation. */
int
sf_zk_multi_check(SfZkMulti *multi, const char *path, int version)
{
	zoo_check_op_init(&multi->ops[multi->n], keep_path(multi, path), version);
	return multi->n++;
}

int
sf_zk_multi_create(SfZkMulti *multi, const char *path, const char *data, size_t length, int mode)
{
	zoo_create_op_init(&multi->ops[multi->n], keep_path(multi, path), keep_data(multi, data, length),
					   length, sf_zk_acl(), mode, NULL, 0);
	return multi->n++;
}

int
sf_zk_multi_set(SfZkMulti *multi, const char *path, const char *data, size_t length, int version)
{
	zoo_set_op_init(&multi->ops[multi->n], keep_path(multi, path), keep_data(multi, data, length),
					length, version, &multi->stats[multi->n]);
	return multi->n++;
}

int
sf_zk_multi_delete(SfZkMulti *multi, const char *path)
{
	zoo_delete_op_init(&multi->ops[multi->n], keep_path(multi, path), -1);
	return multi->n++;
}

static void
on_multi(int rc, const void *data)
{
	SfZkMulti  *multi = unconstify(void *, data);

	if (multi->abandoned)
	{
		pfree(multi);
		return;
	}
	multi->rc = rc;
	multi->received_us = sf_api->clock_monotonic_us();
	multi->done = true;
}

int
sf_zk_multi_run(SfZkMulti *multi)
{
	int			rc;

	multi->sent_us = sf_api->clock_monotonic_us();
	rc = sf_zk_connected() ?
		zoo_amulti(handle, multi->n, multi->ops, multi->results, on_multi, multi) : ZCONNECTIONLOSS;
	if (rc != ZOK)
		return rc;
	while (!multi->done && may_wait())
		turn(sf_api->clock_monotonic_us() + US_PER_SECOND);
	if (!multi->done)
		return ZOPERATIONTIMEOUT;
	if (multi->rc == ZOK || sf_zk_refused(multi->rc))
		sf_api->report_round_trip(Max(multi->received_us - multi->sent_us, 1));
	return multi->rc;
}

/* Of one that was refused: the number of the operation that was to blame. */
int
sf_zk_multi_failed(const SfZkMulti *multi)
{
	for (int i = 0; multi->done && i < multi->n; i++)
	{
		if (sf_zk_refused(multi->results[i].err))
			return i;
	}
	return -1;
}

/* Of one that was done: what an operation that sets data has replied. */
void
sf_zk_multi_reply(const SfZkMulti *multi, int op, SfZkReply *reply)
{
	memset(reply, 0, offsetof(SfZkReply, data));
	reply->stat = multi->stats[op];
	reply->sent_us = multi->sent_us;
	reply->received_us = multi->received_us;
}

void
sf_zk_multi_free(SfZkMulti *multi)
{
	if (multi->done || multi->sent_us == 0)
		pfree(multi);
	else
		multi->abandoned = true;
}
