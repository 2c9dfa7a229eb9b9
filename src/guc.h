/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_GUC_H
#define SF_GUC_H

#include "layout.h"

/* Which settings name the node ID. */
typedef enum SfNodeSetting
{
	SF_NODE_UNSET,
	SF_NODE_LEASED,				/* none of them: a module leases it */
	SF_NODE_BY_ID,				/* snowflake.node_id */
	SF_NODE_BY_PARTS			/* snowflake.worker_id, with datacenter_id */
} SfNodeSetting;

extern int	sf_max_lead_ms;
extern int	sf_max_wait_ms;
extern int	sf_max_jump_s;
extern int	sf_sequence_start;
extern int	sf_horizon_ms;

extern void sf_guc_init(void);
extern void sf_guc_layout(SfLayout *layout);
extern SfNodeSetting sf_guc_node(const SfLayout *layout, int elevel, uint32_t *node);

#endif							/* SF_GUC_H */
