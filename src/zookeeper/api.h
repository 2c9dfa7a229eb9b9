/*-------------------------------------------------------------------------
 *
 * api.h
 *	  The way to the generator, which is another library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_API_H
#define SF_ZK_API_H

#include "lease.h"

/* NULL before sf_zk_api_init(). */
extern const SfLeaseApi *sf_api;

extern void sf_zk_api_init(void);

#endif							/* SF_ZK_API_H */
