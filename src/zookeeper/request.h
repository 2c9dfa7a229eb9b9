/*-------------------------------------------------------------------------
 *
 * request.h
 *	  What a session asks the worker to do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_REQUEST_H
#define SF_ZK_REQUEST_H

#include "zkshared.h"

/* In a session: ask, and wait for the answer, or raise an error. */
extern void sf_zk_ask(SfZkVerb verb, uint32 id, bool flag,
					  void (*take) (const SfZkRequest *answer, void *context), void *context);

/* In the worker: answer what was asked. */
extern void sf_zk_request_step(void);

#endif							/* SF_ZK_REQUEST_H */
