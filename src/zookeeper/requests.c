/*-------------------------------------------------------------------------
 *
 * requests.c
 *	  Requests to ZooKeeper that are waited for.
 *
 * The callbacks raise no errors, see session.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "session.h"
#include "utils/memutils.h"

/* How many reads are under way at once. */
#define READS_AT_ONCE		128

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
	SfZkAcl    *acl;
} Request;

/* Any event is a reason to look. */
static void
watch_node(zhandle_t *zh, int type, int state, const char *path, void *context)
{
	*(bool *) context = true;
}

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

/* Was this refused for want of rights, which only people can give? */
bool
sf_zk_denied(int rc)
{
	return rc == ZNOAUTH || rc == ZINVALIDACL;
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
	if (request->acl != NULL)
		pfree(request->acl);
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

	/* A string without a length, which ZooKeeper never sends, comes as NULL. */
	for (int i = 0; rc == ZOK && i < strings->count; i++)
	{
		if (strings->data[i] == NULL)
			rc = ZSYSTEMERROR;
	}
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
keep_acl(SfZkAcl *acl, const struct ACL *entry)
{
	int			changing = ZOO_PERM_WRITE | ZOO_PERM_CREATE | ZOO_PERM_DELETE | ZOO_PERM_ADMIN;
	const char *id = entry->id.id;
	size_t		length = strlen(id);

	if (strcmp(entry->id.scheme, "world") == 0)
		acl->open |= (entry->perms & changing) != 0;
	if (strcmp(entry->id.scheme, "digest") != 0)
		return;

	/* Who may not change a list is told "name:x" for the digests in it. */
	if (length >= 2 && strcmp(id + length - 2, ":x") == 0)
		return;
	if (acl->count < SF_ZK_MAX_ACL && length < sizeof(acl->entry[0].id))
	{
		acl->entry[acl->count].perms = entry->perms;
		strcpy(acl->entry[acl->count++].id, id);
	}
	else
		acl->left_out = true;
}

static void
on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data)
{
	Request    *request = unconstify(void *, data);

	if (rc == ZOK)
	{
		request->acl = MemoryContextAllocExtended(TopMemoryContext, sizeof(SfZkAcl),
												  MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
		if (request->acl == NULL)
			rc = ZSYSTEMERROR;
	}
	for (int i = 0; rc == ZOK && i < acl->count; i++)
	{
		if (acl->data[i].id.scheme == NULL || acl->data[i].id.id == NULL)
			rc = ZSYSTEMERROR;
		else
			keep_acl(request->acl, &acl->data[i]);
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
	if (!sf_zk_session_await(&request->done))
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
	sf_zk_session_note(rc);
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
	return take_reply(request, await(request, zoo_aget(sf_zk_session_handle(), path, 0, on_data, request)), reply);
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
			sent[i] = zoo_aget(sf_zk_session_handle(), paths[begin + i], 0, on_data, requests[i]);
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
	return take_reply(request, await(request, zoo_awexists(sf_zk_session_handle(), path, watch ? watch_node : NULL,
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
	rc = await(request, zoo_awget_children2(sf_zk_session_handle(), path, watch ? watch_node : NULL,
											watch, on_names, request));
	if (rc == ZOK)
	{
		names->count = request->names.count;
		names->stat = request->reply.stat;
		names->names = palloc(sizeof(char *) * Max(names->count, 1));
		for (int i = 0; i < names->count; i++)
			names->names[i] = pstrdup(request->names.names[i]);
	}
	sf_zk_session_note(rc);
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
	return take_reply(request, await(request, zoo_async(sf_zk_session_handle(), path, on_synced, request)), NULL);
}

int
sf_zk_get_acl(const char *path, SfZkAcl *acl)
{
	Request    *request;
	int			rc;

	if (!sf_zk_connected())
		return ZCONNECTIONLOSS;
	request = new_request();
	rc = await(request, zoo_aget_acl(sf_zk_session_handle(), path, on_acl, request));
	if (rc == ZOK)
		*acl = *request->acl;
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
	rc = await(request, zoo_acreate2(sf_zk_session_handle(), path, data, length, acl, mode, on_created, request));
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
	return take_reply(request, await(request, zoo_aset(sf_zk_session_handle(), path, data, length, version,
													   on_stat, request)), reply);
}
