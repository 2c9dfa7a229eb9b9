/*-------------------------------------------------------------------------
 *
 * acl.c
 *	  Who may use the nodes that this cluster makes.
 *
 * Where there is no authentication, everybody.  Else who authenticates like
 * us, and whoever else has rights to the cluster's own node by a digest: while
 * one password takes the place of another, both are in that list, and a node
 * that is made meanwhile is for the servers that have the old one and for
 * those that have the new one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl.h"

/* The list of the cluster's node, as it was last read. */
static SfZkAcl of_path;

/* Say once how open the tree is, where it should not be. */
static void
tell_access(void)
{
	static bool told = false;

	if (told)
		return;
	told = true;
	if (!sf_zk_session_authenticates())
		ereport(LOG,
				(errmsg("snowflake: everybody who can reach ZooKeeper can change the leases of node IDs"),
				 errhint("Set \"snowflake.zookeeper_auth_file\" on all servers.")));
	else if (of_path.open)
		ereport(LOG,
				(errmsg("snowflake: everybody who can reach ZooKeeper can change nodes below \"%s\"", sf_zk_path),
				 errdetail("The node was made without authentication."),
				 errhint("Set its access control list, and those of all nodes below it, by ZooKeeper's own client.")));
	if (of_path.left_out)
		ereport(LOG,
				(errmsg("snowflake: not all who may use the node \"%s\" in ZooKeeper may use what this server makes below it", sf_zk_path),
				 errdetail("Its access control list has more than %d digests, or longer ones than of a name and password with %d characters.",
						   SF_ZK_MAX_ACL, SF_ZK_AUTH_SIZE)));
}

/*
 * Read who may use the cluster's node; where that cannot be done, what was
 * read before stands.  To be called before nodes are made, and not between the
 * parts of one request, which have the list that is replaced here.
 */
void
sf_zk_acl_refresh(void)
{
	SfZkAcl		acl;

	if (sf_zk_session_authenticates())
	{
		if (sf_zk_get_acl(sf_zk_path, &acl) != ZOK)
			return;
		of_path = acl;
	}
	tell_access();
}

/*
 * The list for a new node.  ZooKeeper puts what the session has authenticated
 * as in the place of the first entry, so we are never without rights to it.
 */
const struct ACL_vector *
sf_zk_acl(void)
{
	static struct ACL entries[1 + SF_ZK_MAX_ACL];
	static struct ACL_vector vector = {0, entries};

	if (!sf_zk_session_authenticates())
		return &ZOO_OPEN_ACL_UNSAFE;
	vector.count = 0;
	entries[vector.count].perms = ZOO_PERM_ALL;
	entries[vector.count++].id = ZOO_AUTH_IDS;

	/*
	 * One alone that has our name, and that only who has rights by it can
	 * see, is us, and would be there twice.
	 */
	if (of_path.count == 1 && !of_path.open && sf_zk_session_has_name(of_path.entry[0].id))
		return &vector;
	for (int i = 0; i < of_path.count; i++)
	{
		entries[vector.count].perms = of_path.entry[i].perms;
		entries[vector.count].id.scheme = "digest";
		entries[vector.count++].id.id = of_path.entry[i].id;
	}
	return &vector;
}

/*
 * The same for a node above the cluster's own: others may have theirs there,
 * so everyone may make nodes.
 */
const struct ACL_vector *
sf_zk_acl_above(void)
{
	static struct ACL shared[2];
	static const struct ACL_vector vector = {2, shared};

	if (!sf_zk_session_authenticates())
		return &ZOO_OPEN_ACL_UNSAFE;
	shared[0].perms = ZOO_PERM_READ | ZOO_PERM_CREATE;
	shared[0].id = ZOO_ANYONE_ID_UNSAFE;
	shared[1].perms = ZOO_PERM_ALL;
	shared[1].id = ZOO_AUTH_IDS;
	return &vector;
}
