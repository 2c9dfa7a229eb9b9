/*-------------------------------------------------------------------------
 *
 * module.c
 *	  Entry point of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "settings.h"
#include "worker.h"
#include "zkshared.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

const SfLeaseApi *sf_api = NULL;

/*
 * Find the generator.  Where it is not loaded yet it is now, so the order in
 * shared_preload_libraries does not matter.
 */
void
sf_zk_api_init(void)
{
	SfLeaseApiFunction get_api;

	if (sf_api != NULL)
		return;
	get_api = (SfLeaseApiFunction) load_external_function("snowflake", SF_LEASE_API_FUNCTION, true, NULL);
	if (get_api()->version != SF_LEASE_API_VERSION)
		ereport(process_shared_preload_libraries_in_progress ? FATAL : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the libraries snowflake and snowflake_zookeeper do not fit together"),
				 errdetail("snowflake offers version %d of what the other needs in version %d.",
						   get_api()->version, SF_LEASE_API_VERSION),
				 errhint("Install both from the same release.")));
	sf_api = get_api();
}

/* Loaded later, only the functions are there, and say what is missing. */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	sf_zk_api_init();
	sf_zk_settings_init();
	sf_zk_shared_init();
	if (sf_zk_settings_active())
	{
		sf_api->enable();
		sf_zk_worker_register();
	}
}
