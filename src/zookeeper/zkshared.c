/*-------------------------------------------------------------------------
 *
 * zkshared.c
 *	  The module's own shared memory.
 *
 * It is reserved while the server starts, in all versions of PostgreSQL: the
 * module has a worker and must be preloaded anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "zkshared.h"

#define SHARED_NAME		"snowflake_zookeeper"

SfZkShared *sf_zk_shared = NULL;

static SfZkShared *reserved = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_shared(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(sizeof(SfZkShared));
}

static void
startup_shared(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	reserved = ShmemInitStruct(SHARED_NAME, sizeof(SfZkShared), &found);
	if (!found)
	{
		memset(reserved, 0, sizeof(SfZkShared));
		reserved->tranche = sf_lwlock_new_tranche(SHARED_NAME);
		LWLockInitialize(&reserved->lock, reserved->tranche);
		ConditionVariableInit(&reserved->answered);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Called in the postmaster, while it preloads. */
void
sf_zk_shared_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
}

/* Find the shared memory, or raise an error. */
void
sf_zk_shared_attach(void)
{
	if (sf_zk_shared != NULL)
		return;
	if (reserved == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("snowflake_zookeeper must be loaded via \"shared_preload_libraries\""),
				 errhint("Set \"shared_preload_libraries\" to \"snowflake, snowflake_zookeeper\" and restart the server.")));
	sf_lwlock_register_tranche(reserved->tranche, SHARED_NAME);
	sf_zk_shared = reserved;
}
