/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The client of ZooKeeper: its session, and the loop that it needs.
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
#include "common/pg_prng.h"
#include "compat.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "session.h"
#include "storage/latch.h"
#include "trouble.h"
#include "utils/wait_event.h"

#define US_PER_MS			1000
#define US_PER_SECOND		1000000

/* The library is content with any pause, but asks for very short ones. */
#define SHORTEST_PAUSE_MS	10

static zhandle_t *handle = NULL;

/*
 * What the session has authenticated with, none where the length is 0.  The
 * library keeps that too, for when it connects again.
 */
static char auth[SF_ZK_AUTH_SIZE];
static size_t auth_length = 0;

/* A request was refused for want of rights; when to look at the file again. */
static bool denied = false;
static int64 look_at_us = 0;

/* Set when a wait was cut short for something that is not for it. */
static bool latch_was_set = false;

/* Once the server stops, when to give up; 0: it does not stop. */
static int64 stop_at_us = 0;

/* How long a stop waits for the reply to what was under way. */
#define STOP_GRACE_US		US_PER_SECOND

/* ---- the session --------------------------------------------------------- */

/*
 * The list of servers, begun with another one each time: first with any, so
 * that not all go to the same, then with the next, so that a silent one is
 * tried once and not again by chance.
 */
static char *
next_hosts(void)
{
	static uint32 turn_of = 0;
	static bool begun = false;
	const char *at = sf_zk_hosts;
	int			n = 1;

	if (!begun)
		turn_of = pg_prng_uint32(&pg_global_prng_state);
	begun = true;

	for (const char *comma = strchr(at, ','); comma != NULL; comma = strchr(comma + 1, ','))
		n++;
	for (uint32 i = turn_of++ % n; i > 0; i--)
		at = strchr(at, ',') + 1;
	return at == sf_zk_hosts ? pstrdup(at) :
		psprintf("%s,%.*s", at, (int) (at - sf_zk_hosts - 1), sf_zk_hosts);
}

/*
 * Begin a session; it is there when sf_zk_connected().  Returns false, with
 * the reason reported, where that cannot be tried.
 */
bool
sf_zk_session_open(void)
{
	int			rc;

	explicit_bzero(auth, sizeof(auth));
	if (!sf_zk_auth_read(auth, &auth_length))
		return false;

	denied = false;
	zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
	zoo_deterministic_conn_order(1);
	handle = zookeeper_init2(next_hosts(), NULL, sf_zk_session_timeout_ms, NULL, NULL,
							 ZOO_NO_LOG_CLIENTENV, sf_zk_client_log);
	if (handle == NULL)
	{
		sf_zk_trouble("could not set up the ZooKeeper client for \"%s\": %m", sf_zk_hosts);
		return false;
	}

	/*
	 * Else each turn of the loop looks up the names, and waits for that. Each
	 * attempt to connect does so still.
	 */
	(void) zoo_set_servers_resolution_delay(handle, -1);

	rc = auth_length > 0 ? zoo_add_auth(handle, "digest", auth, auth_length, NULL, NULL) : ZOK;
	if (rc != ZOK)
	{
		sf_zk_trouble("could not authenticate to ZooKeeper: %s", zerror(rc));
		sf_zk_session_drop();
		return false;
	}
	return true;
}

/*
 * Are the credentials others now than those that the session has?  Where they
 * cannot be had, with the reason reported, the answer is the argument.
 */
bool
sf_zk_session_auth_changed(bool if_unreadable)
{
	char		fresh[SF_ZK_AUTH_SIZE];
	size_t		length;
	bool		changed = if_unreadable;

	if (sf_zk_auth_read(fresh, &length))
		changed = length != auth_length || memcmp(fresh, auth, length) != 0;
	explicit_bzero(fresh, sizeof(fresh));
	return changed;
}

/* Remember, of the result of a request, whether we had the right to make it. */
void
sf_zk_session_note(int rc)
{
	if (rc == ZNOAUTH)
		denied = true;
}

/*
 * Was a request refused for want of rights, and not yet asked for here?  Not
 * more often than once in a second, for the file is read each time.
 */
bool
sf_zk_session_denied(void)
{
	int64		now_us = sf_api->clock_monotonic_us();

	if (!denied || now_us < look_at_us)
		return false;
	denied = false;
	look_at_us = now_us + US_PER_SECOND;
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
	return handle != NULL && is_unrecoverable(handle) != ZOK;
}

/* The library is asked each time: it does not tell of all that ends a connection. */
bool
sf_zk_connected(void)
{
	return handle != NULL && zoo_state(handle) == ZOO_CONNECTED_STATE;
}

/* After how long without contact ZooKeeper ends the session, by its own limits. */
int64
sf_zk_session_timeout_us(void)
{
	return zoo_recv_timeout(handle) * INT64CONST(1000);
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

bool
sf_zk_session_authenticates(void)
{
	return auth_length > 0;
}

/* Is this ZooKeeper's ID of our name, with the digest of whatever password? */
bool
sf_zk_session_has_name(const char *id)
{
	const char *colon = memchr(auth, ':', auth_length);

	return colon != NULL && strncmp(id, auth, colon - auth + 1) == 0;
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

/*
 * Wait until *done, which a callback of the library sets.  Returns false where
 * it is of no use to wait longer.
 */
bool
sf_zk_session_await(const volatile bool *done)
{
	while (!*done && may_wait())
		turn(sf_api->clock_monotonic_us() + US_PER_SECOND);
	return *done;
}

/* Only where there is a connection. */
zhandle_t *
sf_zk_session_handle(void)
{
	return handle;
}
