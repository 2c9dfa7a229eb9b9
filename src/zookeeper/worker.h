/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The background worker that leases the node ID.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_WORKER_H
#define SF_ZK_WORKER_H

extern void sf_zk_worker_register(void);
extern PGDLLEXPORT void sf_zk_worker_main(Datum arg);

#endif							/* SF_ZK_WORKER_H */
