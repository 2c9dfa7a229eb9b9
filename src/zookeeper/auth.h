/*-------------------------------------------------------------------------
 *
 * auth.h
 *	  The credentials for ZooKeeper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_AUTH_H
#define SF_ZK_AUTH_H

#include "settings.h"

extern bool sf_zk_auth_read(char auth[SF_ZK_AUTH_SIZE], size_t *length);

#endif							/* SF_ZK_AUTH_H */
