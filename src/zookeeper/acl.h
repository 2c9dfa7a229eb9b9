/*-------------------------------------------------------------------------
 *
 * acl.h
 *	  Who may use the nodes that this cluster makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_ACL_H
#define SF_ZK_ACL_H

#include "session.h"

extern void sf_zk_acl_refresh(void);
extern const struct ACL_vector *sf_zk_acl(void);
extern const struct ACL_vector *sf_zk_acl_above(void);

#endif							/* SF_ZK_ACL_H */
