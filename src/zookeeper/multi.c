/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  Several requests that write, of which all are done or none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl.h"
#include "session.h"
#include "utils/memutils.h"

#define MAX_OPS		8

/*
 * Who waits for it may go away before the reply comes; the callback then frees
 * it.
 */
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
		zoo_amulti(sf_zk_session_handle(), multi->n, multi->ops, multi->results, on_multi, multi) : ZCONNECTIONLOSS;
	if (rc != ZOK)
		return rc;
	if (!sf_zk_session_await(&multi->done))
		return ZOPERATIONTIMEOUT;
	if (multi->rc == ZOK || sf_zk_refused(multi->rc))
		sf_api->report_round_trip(Max(multi->received_us - multi->sent_us, 1));
	sf_zk_session_note(multi->rc);
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
