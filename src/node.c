/*-------------------------------------------------------------------------
 *
 * node.c
 *	  The grant of a static node ID; that of a leased one is in lease.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "node.h"
#include "shared.h"

/*
 * Take the node ID from the settings into shared memory, for good: whatever
 * the settings say later, this server run keeps it.  Of several backends that
 * come here at once, perhaps with different settings during a reload, the
 * first one counts for all.
 */
void
sf_node_grant(void)
{
	const SfLayout *layout = &sf_shared->layout;
	uint64		none = SF_GRANT_NONE;
	uint32_t	node;
	SfNodeSetting setting = sf_guc_node(layout, ERROR, &node);

	if (setting == SF_NODE_UNSET)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the node ID of this server is not set"),
				 errdetail("Every ID contains the number of the server that made it."),
				 errhint("Set \"snowflake.node_id\" to a number from 0 to %u that no other server uses, and reload the configuration.",
						 (uint32) sf_max_value(layout->node_bits))));

	/* A static node ID is good for every tick that the layout has. */
	if (pg_atomic_compare_exchange_u64(&sf_shared->grant, &none,
									   sf_grant_pack(layout, node, sf_max_value(layout->bits[SF_TIME]))))
		pg_atomic_write_u32(&sf_shared->node_setting, setting);
}
