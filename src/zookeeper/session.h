/*-------------------------------------------------------------------------
 *
 * session.h
 *	  The client of ZooKeeper: a session, and requests that are waited for.
 *
 * The library's requests are asynchronous.  Here each one is sent and then
 * awaited, with the library's events handled meanwhile, so that the protocol
 * reads from top to bottom.  A wait ends when the reply comes, when the
 * connection is lost, or when the server stops.
 *
 * Results are ZooKeeper's own codes.  For a request that writes there are
 * three kinds: ZOK, it was done; sf_zk_refused(), it was not; and all others,
 * of which nobody can tell.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_SESSION_H
#define SF_ZK_SESSION_H

#include <zookeeper/zookeeper.h>

#include "record.h"
#include "settings.h"

typedef struct SfZkReply
{
	int			rc;
	struct Stat stat;
	int			length;			/* of the data; may be more than was kept */
	char		data[SF_RECORD_SIZE];
	int64		sent_us;		/* monotonic */
	int64		received_us;
} SfZkReply;

/* Names of children, in memory of the caller's context. */
typedef struct SfZkNames
{
	int			count;
	char	  **names;
	struct Stat stat;			/* of the parent */
} SfZkNames;

/*
 * Who has which rights to a node, of those who authenticate by a digest as we
 * do.  Digests that ZooKeeper does not tell are left out.
 */
#define SF_ZK_MAX_ACL		16

typedef struct SfZkAcl
{
	bool		open;			/* everybody may change it, or what is below */
	bool		left_out;		/* there were more, or longer ones */
	int			count;
	struct
	{
		int			perms;
		char		id[SF_ZK_AUTH_SIZE + 32];
	}			entry[SF_ZK_MAX_ACL];
} SfZkAcl;

typedef struct SfZkMulti SfZkMulti;

/* session.c */
extern bool sf_zk_session_open(void);
extern void sf_zk_session_drop(void);
extern bool sf_zk_session_exists(void);
extern bool sf_zk_session_dead(void);
extern bool sf_zk_connected(void);
extern bool sf_zk_session_auth_changed(bool if_unreadable);
extern bool sf_zk_session_denied(void);
extern void sf_zk_session_note(int rc);
extern bool sf_zk_session_authenticates(void);
extern bool sf_zk_session_has_name(const char *id);
extern int64 sf_zk_session_timeout_us(void);
extern int64 sf_zk_session_id(void);
extern void sf_zk_session_wait(int64 until_us);
extern bool sf_zk_session_await(const volatile bool *done);
extern zhandle_t *sf_zk_session_handle(void);
extern void sf_zk_session_stop_at(int64 deadline_us);

/* requests.c: those that read */
extern int	sf_zk_get(const char *path, SfZkReply *reply);
extern int	sf_zk_get_many(int n, char *const *paths, SfZkReply *replies);
extern int	sf_zk_exists(const char *path, bool *watch, SfZkReply *reply);
extern int	sf_zk_children(const char *path, bool *watch, SfZkNames *names);
extern int	sf_zk_sync(const char *path);
extern int	sf_zk_get_acl(const char *path, SfZkAcl *acl);

/* those that write */
extern int	sf_zk_create(const char *path, const char *data, size_t length, int mode,
						 const struct ACL_vector *acl, char *created, SfZkReply *reply);
extern int	sf_zk_set(const char *path, const char *data, size_t length, int version, SfZkReply *reply);

/* multi.c: several of them, of which all are done or none */
extern SfZkMulti *sf_zk_multi_new(void);
extern int	sf_zk_multi_check(SfZkMulti *multi, const char *path, int version);
extern int	sf_zk_multi_create(SfZkMulti *multi, const char *path, const char *data, size_t length, int mode);
extern int	sf_zk_multi_set(SfZkMulti *multi, const char *path, const char *data, size_t length, int version);
extern int	sf_zk_multi_delete(SfZkMulti *multi, const char *path);
extern int	sf_zk_multi_run(SfZkMulti *multi);
extern int	sf_zk_multi_failed(const SfZkMulti *multi);
extern void sf_zk_multi_reply(const SfZkMulti *multi, int op, SfZkReply *reply);
extern void sf_zk_multi_free(SfZkMulti *multi);

extern bool sf_zk_refused(int rc);
extern bool sf_zk_denied(int rc);

#endif							/* SF_ZK_SESSION_H */
