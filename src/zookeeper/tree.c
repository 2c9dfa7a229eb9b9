/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  The cluster's nodes in ZooKeeper, and what all its servers agree on.
 *
 * The first server of a cluster makes the tree, in one step, so that no part
 * of it is ever missing unless somebody has deleted it.  Where that was what
 * has to last, it is found out and refused wherever it can be: without the
 * ledgers nobody knows which IDs were made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl.h"
#include "storage/lwlock.h"
#include "tree.h"
#include "trouble.h"
#include "zkshared.h"

SfZkTree	sf_zk_tree;

/* ---- paths ---------------------------------------------------------------- */

const char *
sf_zk_path_config(char buf[SF_ZK_PATH_SIZE])
{
	snprintf(buf, SF_ZK_PATH_SIZE, "%s/config", sf_zk_path);
	return buf;
}

/* below is "ids", "nodes" or "election". */
const char *
sf_zk_path_of(char buf[SF_ZK_PATH_SIZE], const char *below)
{
	snprintf(buf, SF_ZK_PATH_SIZE, "%s/%s/%s", sf_zk_path, sf_zk_tree.config.cluster, below);
	return buf;
}

const char *
sf_zk_path_id(char buf[SF_ZK_PATH_SIZE], uint32 id)
{
	snprintf(buf, SF_ZK_PATH_SIZE, "%s/%s/ids/%u", sf_zk_path, sf_zk_tree.config.cluster, id);
	return buf;
}

const char *
sf_zk_path_holder(char buf[SF_ZK_PATH_SIZE], uint32 id)
{
	snprintf(buf, SF_ZK_PATH_SIZE, "%s/%s/ids/%u/holder", sf_zk_path, sf_zk_tree.config.cluster, id);
	return buf;
}

const char *
sf_zk_path_node(char buf[SF_ZK_PATH_SIZE], uint32 id)
{
	snprintf(buf, SF_ZK_PATH_SIZE, "%s/%s/nodes/%u", sf_zk_path, sf_zk_tree.config.cluster, id);
	return buf;
}

/* ---- making it --------------------------------------------------------------- */

/* Make our own node and those above it, where they are not there. */
static int
make_root(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	int			rc = sf_zk_exists(sf_zk_path, NULL, &reply);

	if (rc != ZNONODE)
		return rc;
	strlcpy(path, sf_zk_path, sizeof(path));
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
	{
		*slash = '\0';
		rc = sf_zk_exists(path, NULL, &reply);
		if (rc == ZNONODE)
			rc = sf_zk_create(path, "", 0, ZOO_PERSISTENT, sf_zk_acl_above(), NULL, NULL);
		if (rc != ZOK && rc != ZNODEEXISTS)
			return rc;
		*slash = '/';
	}
	rc = sf_zk_create(path, "", 0, ZOO_PERSISTENT, sf_zk_acl(), NULL, NULL);
	return rc == ZNODEEXISTS ? ZOK : rc;
}

static int
make_tree(void)
{
	SfZkMulti  *multi = sf_zk_multi_new();
	SfConfigRecord config = {.generation = 1};
	uint8		random[16];
	char		record[SF_RECORD_SIZE];
	char		path[SF_ZK_PATH_SIZE];
	int			rc;

	if (!pg_strong_random(random, sizeof(random)))
		elog(ERROR, "could not generate a random UUID");
	sf_record_uuid(random, config.cluster);
	sf_api->layout_text(config.layout);

	sf_zk_multi_create(multi, sf_zk_path_config(path), record, sf_config_format(&config, record), ZOO_PERSISTENT);
	snprintf(path, sizeof(path), "%s/%s", sf_zk_path, config.cluster);
	sf_zk_multi_create(multi, path, "", 0, ZOO_PERSISTENT);
	snprintf(path, sizeof(path), "%s/%s/ids", sf_zk_path, config.cluster);
	sf_zk_multi_create(multi, path, "", 0, ZOO_PERSISTENT);
	snprintf(path, sizeof(path), "%s/%s/nodes", sf_zk_path, config.cluster);
	sf_zk_multi_create(multi, path, "", 0, ZOO_PERSISTENT);
	snprintf(path, sizeof(path), "%s/%s/election", sf_zk_path, config.cluster);
	sf_zk_multi_create(multi, path, "", 0, ZOO_PERSISTENT);
	rc = sf_zk_multi_run(multi);
	if (rc == ZOK)
		ereport(LOG, (errmsg("snowflake: cluster %s was set up in ZooKeeper under \"%s\"", config.cluster, sf_zk_path),
					  errdetail("Its layout is \"%s\".", config.layout)));
	sf_zk_multi_free(multi);
	return rc == ZNODEEXISTS ? ZOK : rc;
}

/* ---- agreeing ------------------------------------------------------------------ */

/* The value of a field in a layout's text, with its length; NULL: not there. */
static const char *
find_field(const char *layout, const char *name, size_t name_length, size_t *length)
{
	for (const char *at = layout; *at != '\0'; at += strspn(at, " "))
	{
		*length = strcspn(at, " ");
		if (*length > name_length && strncmp(at, name, name_length) == 0 && at[name_length] == ':')
			return at;
		at += *length;
	}
	return NULL;
}

/* The names of the fields that one layout has otherwise than the other. */
static void
name_differences(const char *one, const char *other, char *names, size_t size)
{
	names[0] = '\0';
	for (int pass = 0; pass < 2; pass++)
	{
		const char *from = pass == 0 ? one : other;
		const char *in = pass == 0 ? other : one;

		for (const char *at = from; *at != '\0'; at += strspn(at, " "))
		{
			size_t		length = strcspn(at, " ");
			size_t		name_length = strcspn(at, ": ");
			size_t		found_length;
			const char *found = find_field(in, at, name_length, &found_length);

			/* In the second pass only what the first layout does not have. */
			if (found == NULL || (pass == 0 && (found_length != length || strncmp(at, found, length) != 0)))
				snprintf(names + strlen(names), size - strlen(names), "%s%.*s",
						 names[0] != '\0' ? ", " : "", (int) name_length, at);
			at += length;
		}
	}
	if (names[0] == '\0')
		strlcpy(names, "order of the fields", size);
}

/* Is this configuration one that we can work under? */
static SfZkOutcome
check_config(const SfConfigRecord *config)
{
	char		ours[SF_LAYOUT_TEXT_SIZE];
	char		differences[SF_NAME_SIZE];
	char		known[SF_UUID_SIZE];

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	strlcpy(known, sf_zk_shared->cluster, sizeof(known));
	LWLockRelease(&sf_zk_shared->lock);
	if (known[0] != '\0' && strcmp(known, config->cluster) != 0)
	{
		sf_zk_trouble("the cluster under \"%s\" in ZooKeeper was replaced: this server works in %s, now there is %s; restart the server to join it",
					  sf_zk_path, known, config->cluster);
		return SF_ZK_REFUSED;
	}

	sf_api->layout_text(ours);
	if (strcmp(config->layout, ours) != 0)
	{
		name_differences(ours, config->layout, differences, sizeof(differences));
		sf_zk_trouble("this server has another layout than its cluster in ZooKeeper (%s): ours is \"%s\", theirs is \"%s\"",
					  differences, ours, config->layout);
		return SF_ZK_REFUSED;
	}
	if (config->frozen)
	{
		sf_zk_trouble("the configuration of the cluster under \"%s\" in ZooKeeper is being changed", sf_zk_path);
		return SF_ZK_REFUSED;
	}
	return SF_ZK_DONE;
}

/* What comes of a step with a request that had this result. */
SfZkOutcome
sf_zk_outcome(int rc)
{
	return rc == ZOK ? SF_ZK_DONE : sf_zk_denied(rc) ? SF_ZK_REFUSED : SF_ZK_LATER;
}

static SfZkOutcome
lost_or_refused(int rc, const char *what)
{
	if (sf_zk_denied(rc))
		sf_zk_trouble("ZooKeeper does not let this server %s \"%s\": see \"snowflake.zookeeper_auth_file\"", what, sf_zk_path);
	else
		sf_zk_trouble("could not %s \"%s\" in ZooKeeper: %s", what, sf_zk_path, zerror(rc));
	return sf_zk_outcome(rc);
}

static SfZkOutcome
refuse_lost(const char *path)
{
	sf_zk_trouble("the node \"%s\" in ZooKeeper was deleted, and with it what node IDs were used for: see \"Lost data\" in doc/zookeeper.md",
				  path);
	return SF_ZK_REFUSED;
}

/* There is no node config.  Was there ever one? */
static SfZkOutcome
make_or_refuse(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	int			rc;
	bool		known;

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	known = sf_zk_shared->cluster[0] != '\0';
	LWLockRelease(&sf_zk_shared->lock);

	if (!known)
	{
		rc = make_root();
		if (rc == ZOK)
			rc = sf_zk_exists(sf_zk_path, NULL, &reply);
		if (rc != ZOK)
			return lost_or_refused(rc, "make");

		/* How often a child was made or deleted; never, where all is new. */
		if (reply.stat.cversion == 0)
		{
			sf_zk_acl_refresh();
			rc = make_tree();
			return rc == ZOK ? SF_ZK_LATER : lost_or_refused(rc, "make nodes below");
		}

		/* Another server may have made it just now. */
		rc = sf_zk_sync(sf_zk_path);
		if (rc == ZOK)
			rc = sf_zk_exists(sf_zk_path_config(path), NULL, &reply);
		if (rc == ZOK)
			return SF_ZK_LATER;
		if (rc != ZNONODE)
			return lost_or_refused(rc, "read");
	}
	return refuse_lost(sf_zk_path_config(path));
}

/*
 * The tree was made with all its parts.  Those that hold only what lives as
 * long as sessions are made anew where somebody has deleted them; the ledgers
 * are not, nor is anything that they were deleted with.
 */
static SfZkOutcome
mend_parts(void)
{
	static const char *const parts[] = {"ids", "nodes", "election"};

	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		char		path[SF_ZK_PATH_SIZE];
		SfZkReply	reply;
		int			rc = sf_zk_exists(sf_zk_path_of(path, parts[i]), NULL, &reply);

		if (rc == ZNONODE && i == 0)
			return refuse_lost(path);
		if (rc == ZNONODE)
		{
			rc = sf_zk_create(path, "", 0, ZOO_PERSISTENT, sf_zk_acl(), NULL, NULL);
			if (rc == ZOK)
				ereport(LOG, (errmsg("snowflake: the node \"%s\" in ZooKeeper was deleted, and has been made anew", path)));
		}
		if (rc != ZOK && rc != ZNODEEXISTS)
		{
			sf_zk_trouble("could not find or make the node \"%s\" in ZooKeeper: %s", path, zerror(rc));

			/* No lease depends on the election. */
			if (sf_zk_denied(rc) && i == 2)
				continue;
			return sf_zk_outcome(rc);
		}
	}
	return SF_ZK_DONE;
}

/*
 * Read the configuration, or make it where we are the first, and see whether
 * this server fits in.
 */
SfZkOutcome
sf_zk_tree_agree(void)
{
	char		path[SF_ZK_PATH_SIZE];
	SfZkReply	reply;
	SfConfigRecord config;
	SfRecordError error;
	SfZkOutcome outcome;
	int			rc;

	sf_zk_tree.agreed = false;

	/* Once more where it is found that it is, or was just, being made. */
	for (int attempt = 0;; attempt++)
	{
		rc = sf_zk_sync(sf_zk_path);
		if (rc == ZOK)
			rc = sf_zk_get(sf_zk_path_config(path), &reply);
		if (rc != ZNONODE)
			break;
		outcome = make_or_refuse();
		if (outcome == SF_ZK_REFUSED || attempt > 0)
			return outcome;
	}
	if (rc != ZOK)
		return lost_or_refused(rc, "read");
	if (!sf_config_parse(reply.data, reply.length, &config, &error))
	{
		sf_zk_trouble("the node \"%s\" in ZooKeeper cannot be read: %s", path, error.message);
		return SF_ZK_REFUSED;
	}
	outcome = check_config(&config);
	if (outcome != SF_ZK_DONE)
		return outcome;
	sf_zk_acl_refresh();

	sf_zk_tree.config = config;
	outcome = mend_parts();
	if (outcome != SF_ZK_DONE)
		return outcome;
	sf_zk_tree.version = reply.stat.version;

	/*
	 * A node ID that has no ledger may have been used before there was a
	 * tree, by a setting or in a tree that was lost.
	 */
	sf_zk_tree.floor_ms = Max(config.floor_ms, reply.stat.ctime);
	sf_zk_tree.agreed = true;

	LWLockAcquire(&sf_zk_shared->lock, LW_EXCLUSIVE);
	strlcpy(sf_zk_shared->cluster, config.cluster, sizeof(sf_zk_shared->cluster));
	LWLockRelease(&sf_zk_shared->lock);
	return SF_ZK_DONE;
}

/* Where a node was not found that all trees have, the tree is looked through. */
void
sf_zk_tree_missing(int rc)
{
	if (rc == ZNONODE)
		sf_zk_tree.agreed = false;
}
